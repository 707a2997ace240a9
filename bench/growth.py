"""How the time of an epoch grows with image size, batch, images and classes: slimft against Keras `fit`.

    python bench/growth.py [--rounds 1] [--precision float32] [--json FILE]

MobileNet V1, all layers; one of the four changes, the others are 64x64 pixels, batches of 32, 512 images and 10
classes. Each process times one epoch or more after a first one (see `bench/worker.py`).
"""

from __future__ import annotations

import rounds

BASE = {"size": 64, "batch": 32, "images": 512, "classes": 10}
QUICK_BASE = {"size": 32, "batch": 16, "images": 32, "classes": 10}
GROWS = {
    "size": (32, 64, 128, 224),
    "batch": (8, 32, 128),
    "images": (128, 512, 2048),
    "classes": (10, 1000, 20_000),
}
QUICK = {"size": (32, 64), "batch": (8, 16), "images": (32, 64), "classes": (10, 1000)}
TITLES = {"size": "image size", "batch": "batch", "images": "images", "classes": "classes"}


def measure(settings, flags):
    """The spreads of seconds and memory with these settings."""
    common = [f"--{name}={number}" for name, number in settings.items()]
    common += ["--model=mobilenet_v1", f"--precision={flags.precision}", "--least=1", "--seconds=2"]
    worker = rounds.ROOT / "bench" / "worker.py"
    found = rounds.alternate({side: [worker, side, "epoch", *common] for side in ("slimft", "keras")}, flags.rounds)
    return {"seconds": rounds.spreads(found, "seconds"), "mb": rounds.spreads(found, "peak_mb")}


def row(what, figures):
    return [f"{TITLES[what]} {figures['value']:,}", *rounds.beside(figures, "slimft", "keras", 2)]


HEAD = ("one epoch", "slimft, s", "Keras, s", "Keras / slimft", "peak MB, slimft / Keras")


def main():
    parser = rounds.parser(__doc__, 1)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--quick", action="store_true", help="toy sizes, to see that it works")
    flags = parser.parse_args()
    grows, base = (QUICK, QUICK_BASE) if flags.quick else (GROWS, BASE)
    points = {(what, value): {**base, what: value} for what, values in grows.items() for value in values}
    # The one that all four share is measured once.
    distinct = dict.fromkeys(tuple(settings.items()) for settings in points.values())
    found = {settings: measure(dict(settings), flags) for settings in distinct}
    figures = {
        what: [{"value": value, **found[tuple(points[what, value].items())]} for value in values]
        for what, values in grows.items()
    }
    rows = [row(what, one) for what, found in figures.items() for one in found]
    rounds.finish(flags, figures, rounds.table(HEAD, rows))


if __name__ == "__main__":
    main()
