"""One process of a benchmark: trains, evaluates or classifies with slimft or with Keras, and prints its figures.

    python bench/worker.py SIDE WORK --model=vgg_16 [--size=224] [--batch=16] [--precision=float32] ...

`SIDE` is ``slimft`` or ``keras``; `WORK` is

- ``train``: the median time of a step, after three. slimft's is that of its own loop, with its own input and
  mirrored images; Keras' that of `fit` on `keras.applications`' network of the same name, with momentum, on arrays;
- ``epoch``: the time of one pass over `--images` images, after one, without validation;
- ``evaluate``: the time of passes over the images: slimft's evaluator with all its scores; Keras' `predict`;
- ``classify``: slimft's `Classifier`, as ``bin/predict`` has it, without reading files.

The figures: ``images_per_second``, ``seconds`` (of a step or a pass), ``peak_mb`` (the process' largest resident
memory) and, on a GPU, ``gpu_mb``. Weights are random: they do not change the time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import rounds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
KERAS = {"vgg_16": "VGG16", "resnet_v1_50": "ResNet50", "mobilenet_v1": "MobileNet"}
KERAS_PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def flags_of(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=("slimft", "keras"))
    parser.add_argument("work", choices=("train", "epoch", "evaluate", "classify", "checkpoint"))
    parser.add_argument("--model", default="vgg_16", choices=KERAS)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--images", type=int, help="four batches by default")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seconds", type=float, default=10, help="how long to measure")
    parser.add_argument("--least", type=int, default=4, help="steps or passes to measure at least")
    parser.add_argument("--xla", action="store_true")
    parser.add_argument("--remat", action="store_true")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    parser.add_argument("--checkpoint", help="what slimft evaluates; `checkpoint` writes it")
    flags = parser.parse_args(arguments)
    flags.images = flags.images or 4 * flags.batch
    return flags


def timed(flags, once, warm=1):
    """The median seconds of `once()`, after so many that do not count."""
    for _ in range(warm):
        once()
    seconds, began = [], time.perf_counter()
    while len(seconds) < flags.least or time.perf_counter() - began < flags.seconds:
        start = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def report(flags, seconds, images):
    """Prints the figures of `images` images in so many seconds."""
    rounds.print_figures(
        images_per_second=images / seconds, seconds=seconds, peak_mb=rounds.peak_megabytes(), **gpu_figures()
    )


def gpu_figures():
    """The most memory that was in use on the first GPU, in MB; nothing without one."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return {}
    return {"gpu_mb": tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6}


def choose_device(flags):
    """Hides GPUs from the process where it is to do without."""
    if flags.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


# slimft.


def dataset(flags, split):
    import numpy as np

    from slimft.data import Dataset

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (flags.images, flags.size, flags.size, 3), np.uint8)
    labels = generator.integers(0, flags.classes, flags.images).astype(np.int32)
    names = tuple(map(str, range(flags.classes)))
    return Dataset("random", split, images, labels, names, flags.size, flip=True, max_shift=0.0)


def prepared(flags):
    """A run of slimft of which nothing is written."""
    from slimft.runs.settings import Settings
    from slimft.training.run import prepare

    extra = {name: True for name in ("xla", "remat") if getattr(flags, name)}
    settings = Settings(
        model=flags.model,
        image_size=flags.size,
        batch_size=flags.batch,
        steps=10**6,
        precision=flags.precision,
        augment="flip",
        train_dir=f"nothing-is-written-{os.getpid()}",
        **extra,
    )
    return prepare(settings, {"train": dataset(flags, "train"), "validation": dataset(flags, "validation")})


def slimft_train(flags):

    run = prepared(flags)
    steps = 1 if flags.work == "train" else -(-flags.images // flags.batch)
    with (
        run.training.graph.as_default(),
        run.new_session() as session,
    ):
        run.restore(session)
        run.start_batches(session, 0)

        def once():
            for _ in range(steps):
                run.take_step(session)

        seconds = timed(flags, once, warm=3 if steps == 1 else 1)
        report(flags, seconds, steps * flags.batch)


def slimft_evaluate(flags):
    from slimft.compat import tf
    from slimft.evaluation import build_evaluator
    from slimft.inference import find_network

    data = dataset(flags, "test")
    network = find_network(flags.model, flags.checkpoint, image_size=flags.size, precision=flags.precision)
    with tf.Graph().as_default():
        evaluator = build_evaluator(network.architecture, data.image_shape(flags.size), flags.batch)
        with network.session() as session:
            report(flags, timed(flags, lambda: evaluator.run(session, data)), flags.images)


def slimft_classify(flags):
    from slimft.prediction import Classifier

    images = dataset(flags, "test").images
    with Classifier(flags.model, flags.checkpoint, image_size=flags.size, precision=flags.precision) as classifier:

        def once():
            for start in range(0, flags.images, flags.batch):
                classifier.classify(images[start : start + flags.batch])

        report(flags, timed(flags, once), flags.images)


def slimft_checkpoint(flags):
    """Writes a checkpoint of the network as it begins."""
    import slimft
    from slimft.compat import tf
    from slimft.inference import Architecture
    from slimft.nets import get_network

    with tf.Graph().as_default(), tf.Session() as session:
        network = Architecture(get_network(flags.model), flags.classes, flags.size)
        network.outputs(tf.zeros([1, flags.size, flags.size, 3]))
        session.run(tf.global_variables_initializer())
        values = {variable.op.name: session.run(variable) for variable in tf.global_variables()}
    slimft.write_checkpoint(flags.checkpoint, values)
    rounds.print_figures(path=flags.checkpoint)


# Keras.


def keras_model(flags):
    import keras

    keras.mixed_precision.set_global_policy(KERAS_PRECISIONS[flags.precision])
    network = getattr(keras.applications, KERAS[flags.model])
    model = network(weights=None, classes=flags.classes, input_shape=(flags.size, flags.size, 3))
    model.compile(
        optimizer=keras.optimizers.SGD(1e-4, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **({"jit_compile": True} if flags.xla else {}),
    )
    return model


def arrays(flags):
    import numpy as np

    generator = np.random.default_rng(0)
    images = generator.uniform(-100, 100, (flags.images, flags.size, flags.size, 3)).astype(np.float32)
    return images, generator.integers(0, flags.classes, flags.images)


def keras_train(flags):
    import keras

    class Steps(keras.callbacks.Callback):
        """Notes when each step begins and ends."""

        def __init__(self):
            super().__init__()
            self.seconds, self.began = [], None

        def on_train_batch_begin(self, *arguments, **keywords):
            self.began = time.perf_counter()

        def on_train_batch_end(self, *arguments, **keywords):
            self.seconds.append(time.perf_counter() - self.began)

    model, (images, labels) = keras_model(flags), arrays(flags)
    model.fit(images, labels, batch_size=flags.batch, verbose=0)
    steps, began = Steps(), time.perf_counter()
    while len(steps.seconds) < flags.least or time.perf_counter() - began < flags.seconds:
        model.fit(images, labels, batch_size=flags.batch, epochs=2, verbose=0, callbacks=[steps])
    report(flags, statistics.median(steps.seconds), flags.batch)


def keras_epoch(flags):
    model, (images, labels) = keras_model(flags), arrays(flags)
    seconds = timed(flags, lambda: model.fit(images, labels, batch_size=flags.batch, verbose=0))
    report(flags, seconds, flags.images)


def keras_evaluate(flags):
    model, (images, _) = keras_model(flags), arrays(flags)
    report(flags, timed(flags, lambda: model.predict(images, batch_size=flags.batch, verbose=0)), flags.images)


WORK = {
    ("slimft", "train"): slimft_train,
    ("slimft", "epoch"): slimft_train,
    ("slimft", "evaluate"): slimft_evaluate,
    ("slimft", "classify"): slimft_classify,
    ("slimft", "checkpoint"): slimft_checkpoint,
    ("keras", "train"): keras_train,
    ("keras", "epoch"): keras_epoch,
    ("keras", "evaluate"): keras_evaluate,
}


def main():
    flags = flags_of()
    choose_device(flags)
    WORK[flags.side, flags.work](flags)


if __name__ == "__main__":
    main()
