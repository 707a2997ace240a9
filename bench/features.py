"""Measures training of the last layer on a frozen VGG-16 against Keras: later epochs, and the pass before them.

    python bench/features.py [--rounds 5] [--images 512] [--size 224] [--batch 32] [--json FILE]

Runs slimft and Keras alternately, in fresh processes, each in float32 and bfloat16, on the same number of images:

- later epochs: images per second of slimft's loop, with all that belongs to a step, from the second epoch on, by
  the features that are kept; against Keras' `fit` of VGG16 with all but its last layer frozen;
- first pass: images per second at which slimft computes the features; against Keras' `predict` of the same network.

Ratios are of each side's best precision.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time

import rounds

PRECISIONS = ("float32", "bfloat16")


def main():
    parser = rounds.parser(__doc__, rounds=5)
    parser.add_argument("--images", type=int, default=512, help="images to train on")
    parser.add_argument("--size", type=int, default=224, help="their height and width in pixels")
    parser.add_argument("--batch", type=int, default=32, help="images in a step")
    parser.add_argument("--side", help="what a process of this script measures: slimft or keras")
    parser.add_argument("--precision", choices=PRECISIONS, help="and in which precision")
    flags = parser.parse_args()
    if flags.side:
        rounds.print_figures(**{"slimft": slimft_figures, "keras": keras_figures}[flags.side](flags))
        return
    given = [f"--images={flags.images}", f"--size={flags.size}", f"--batch={flags.batch}"]
    commands = {
        f"{side} {precision}": [__file__, *given, f"--side={side}", f"--precision={precision}"]
        for precision in PRECISIONS
        for side in ("slimft", "keras")
    }
    figures = rounds.alternate(commands, flags.rounds)
    rounds.finish(flags, figures, text_of(figures))


def text_of(figures: dict[str, list[dict]]) -> str:
    """Tables of what was measured."""
    rows, best = [], {}
    for title, name in (("later epochs", "later"), ("first pass", "first")):
        found = rounds.spreads(figures, name)
        for side in ("slimft", "keras"):
            best[side] = max(found[f"{side} {precision}"].median for precision in PRECISIONS)
        cells = [found[f"{side} {precision}"].show() for side in ("slimft", "keras") for precision in PRECISIONS]
        rows.append([title, *cells, rounds.shortly(best["slimft"] / best["keras"])])
    head = ["images/s", *(f"{side} {precision}" for side in ("slimft", "Keras") for precision in PRECISIONS)]
    return rounds.table([*head, "best / best"], rows)


def slimft_figures(flags) -> dict:
    """Images per second of the features' pass, and of later epochs."""
    import slimft
    from slimft.training import feature_records, loop

    seconds, ends = [], []
    compute, step = feature_records.Records._compute_missing, loop.Progress.step

    def timed_pass(records, *arguments):
        began = time.perf_counter()
        compute(records, *arguments)
        seconds.append(time.perf_counter() - began)

    def timed_step(progress, *arguments):
        step(progress, *arguments)
        ends.append(time.perf_counter())

    feature_records.Records._compute_missing, loop.Progress.step = timed_pass, timed_step
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # Nothing is there already.
        slimft.finetune(
            model="vgg_16", dataset="digits", train_examples=flags.images, image_size=flags.size,
            batch_size=flags.batch, trainable=("head",), augment="none", precision=flags.precision, epochs=10,
            learning_rate=1e-4, eval_every=10**6, train_dir=f"{folder}/run",
        )  # fmt: skip
    epoch = -(-flags.images // flags.batch)
    steps = [later - before for before, later in zip(ends[epoch:], ends[epoch + 1 :])]
    # The median, and not the mean, which has what the machine does beside it.
    return {
        "later": flags.batch / statistics.median(steps),
        "first": flags.images / seconds[0],
        "peak_mb": rounds.peak_megabytes(),
    }


def keras_figures(flags) -> dict:
    """Images per second of `predict`, and of an epoch of `fit`."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import numpy as np

    keras.mixed_precision.set_global_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[flags.precision])
    shape = flags.size, flags.size, 3
    model = keras.applications.VGG16(weights=None, classes=10, input_shape=shape)
    for layer in model.layers[:-1]:
        layer.trainable = False
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    draws = np.random.default_rng(0)
    images = draws.uniform(-100, 100, (min(flags.images, 256), *shape)).astype(np.float32)
    labels = draws.integers(0, 10, len(images))
    speeds = {}
    for name, work in (
        ("first", lambda: model.predict(images, batch_size=flags.batch, verbose=0)),
        ("later", lambda: model.fit(images, labels, batch_size=flags.batch, verbose=0)),
    ):
        work()
        began = time.perf_counter()
        work()
        speeds[name] = len(images) / (time.perf_counter() - began)
    return {**speeds, "peak_mb": rounds.peak_megabytes()}


if __name__ == "__main__":
    sys.exit(main())
