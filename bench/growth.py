"""How the time of an epoch grows with image size, batch, images and classes: slimft against Keras `fit`.

    python bench/growth.py [--rounds 1] [--precision float32] [--json FILE]

MobileNet V1, all layers; one of the four changes, the others are 64x64 pixels, batches of 32, 1,024 images and 10
classes. Each process times one epoch or more after a first one (see `bench/worker.py`).
"""

from __future__ import annotations

import rounds

BASE = {"size": 64, "batch": 32, "images": 1024, "classes": 10}
GROWS = {
    "size": (32, 64, 128, 224),
    "batch": (8, 32, 128, 256),
    "images": (256, 1024, 4096),
    "classes": (10, 1000, 5000, 20_000),
}
QUICK = {"size": (32, 64), "batch": (8, 16), "images": (32, 64), "classes": (10, 1000)}
TITLES = {"size": "image size", "batch": "batch", "images": "images", "classes": "classes"}


def measure(what, value, flags):
    """The spreads of one point."""
    settings = {**BASE, **({"size": 32, "images": 32, "batch": 16} if flags.quick else {}), what: value}
    common = [f"--{name}={number}" for name, number in settings.items()]
    common += ["--model=mobilenet_v1", f"--precision={flags.precision}", "--least=1", "--seconds=2"]
    worker = rounds.ROOT / "bench" / "worker.py"
    found = rounds.alternate({side: [worker, side, "epoch", *common] for side in ("slimft", "keras")}, flags.rounds)
    return {"value": value, "seconds": rounds.spreads(found, "seconds"), "mb": rounds.spreads(found, "peak_mb")}


def row(what, figures):
    return [f"{TITLES[what]} {figures['value']:,}", *rounds.beside(figures, "slimft", "keras", 2)]


HEAD = ("one epoch", "slimft, s", "Keras, s", "Keras / slimft", "peak MB, slimft / Keras")


def main():
    parser = rounds.parser(__doc__, 1)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--quick", action="store_true", help="toy sizes, to see that it works")
    flags = parser.parse_args()
    grows = QUICK if flags.quick else GROWS
    figures = {what: [measure(what, value, flags) for value in values] for what, values in grows.items()}
    rows = [row(what, one) for what, found in figures.items() for one in found]
    rounds.finish(flags, figures, rounds.table(HEAD, rows))


if __name__ == "__main__":
    main()
