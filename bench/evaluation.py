"""Images a second of evaluation and of `Classifier`, against Keras `predict`, in each precision.

    python bench/evaluation.py [--rounds 5] [--seconds 8] [--size 224] [--batch 32] [--json FILE]

VGG-16, ResNet-V1-50 and MobileNet V1 of 1000 classes; each process passes over four batches again and again (see
`bench/worker.py`). slimft's evaluator reads uint8 images from its input and adds up all scores; `predict` and
`Classifier.classify` take arrays.
"""

from __future__ import annotations

import tempfile

import rounds
from training import NAMES, PRECISIONS

WORKER = rounds.ROOT / "bench" / "worker.py"


def measure(model, checkpoint, flags):
    """The spreads of one network, by ``side work precision``."""
    common = [f"--model={model}", f"--size={flags.size}", f"--batch={flags.batch}", "--classes=1000"]
    common += [f"--images={4 * flags.batch}", f"--seconds={flags.seconds}", "--least=2"]
    rounds.run([WORKER, "slimft", "checkpoint", *common, f"--checkpoint={checkpoint}"])
    works = (("slimft", "evaluate"), ("slimft", "classify"), ("keras", "evaluate"))
    found = rounds.alternate(
        {
            f"{side} {work} {precision}": [
                *(WORKER, side, work, *common, f"--precision={precision}", f"--checkpoint={checkpoint}")
            ]
            for precision in PRECISIONS
            for side, work in works
        },
        flags.rounds,
    )
    return {
        "model": model,
        "speed": rounds.spreads(found, "images_per_second"),
        "peak_mb": rounds.spreads(found, "peak_mb"),
    }


def best(speed, kind):
    """The spread of the precision in which a side and its work are fastest, and which that is."""
    precision = max(PRECISIONS, key=lambda precision: speed[f"{kind} {precision}"][0])
    return rounds.Spread(*speed[f"{kind} {precision}"]), precision


def row(figures):
    """The row of the table: each in its best precision, and ratios."""
    speed = figures["speed"]
    found = {kind: best(speed, kind) for kind in ("slimft evaluate", "slimft classify", "keras evaluate")}
    cells = [f"{spread.show()} {precision}" for spread, precision in found.values()]
    peer = found["keras evaluate"][0].median
    ratios = [f"{found[kind][0].median / peer:.2f}" for kind in ("slimft evaluate", "slimft classify")]
    return [NAMES[figures["model"]], *cells, f"**{ratios[0]}**", ratios[1]]


HEAD = ("images/s, each in its best precision", "slimft evaluates", "slimft classifies", "Keras predicts")
HEAD += ("evaluates / Keras", "classifies / Keras")


def main():
    parser = rounds.parser(__doc__, 5)
    parser.add_argument("--seconds", type=float, default=8, help="how long each process measures")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--only", nargs="*", default=list(NAMES), choices=NAMES, help="networks; all by default")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = [measure(model, f"{folder}/{model}.ckpt", flags) for model in flags.only]
    text = rounds.table(HEAD, [row(one) for one in figures])
    rounds.finish(flags, {"size": flags.size, "batch": flags.batch, "rows": figures}, text)


if __name__ == "__main__":
    main()
