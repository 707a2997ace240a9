"""Images a second, and memory, of training: slimft against Keras `fit`, all layers, in each precision.

    python bench/training.py [--rounds 5] [--seconds 10] [--only vgg_16:224:16] [--json FILE]

Each round starts a process for each precision of each side (see `bench/worker.py`), which takes the median of its
steps; here the median of the rounds stands, with the least and the most. Each side's best precision is the one with
the highest median. `auto` is slimft's own choice.
"""

from __future__ import annotations

import rounds

# Model, image size, batch.
WORK = (("vgg_16", 224, 16), ("vgg_16", 32, 64), ("resnet_v1_50", 224, 16), ("mobilenet_v1", 96, 64))
NAMES = {"vgg_16": "VGG-16", "resnet_v1_50": "ResNet-V1-50", "mobilenet_v1": "MobileNet V1"}
PRECISIONS = ("float32", "bfloat16")


def commands(model, size, batch, seconds):
    """The command of each side in each precision, by ``(side, precision)``."""
    from slimft.runs.settings import PRECISIONS as OURS

    kinds = [(side, precision) for precision in PRECISIONS for side in ("slimft", "keras")]
    kinds += [("slimft", "auto")] if "auto" in OURS else []
    flags = [f"--model={model}", f"--size={size}", f"--batch={batch}", f"--seconds={seconds}"]
    worker = rounds.ROOT / "bench" / "worker.py"
    return {(side, kind): [worker, side, "train", f"--precision={kind}", *flags] for side, kind in kinds}


def measure(model, size, batch, flags):
    """The spreads of one row: speed and memory by ``side precision``."""
    found = rounds.alternate(commands(model, size, batch, flags.seconds), flags.rounds)
    speed, memory = (rounds.spreads(found, name) for name in ("images_per_second", "peak_mb"))
    return {
        "model": model,
        "size": size,
        "batch": batch,
        "speed": {" ".join(kind): spread for kind, spread in speed.items()},
        "peak_mb": {" ".join(kind): spread for kind, spread in memory.items()},
    }


def best(speed, side):
    """The kind of a side, without ``auto``, that is fastest."""
    kinds = [kind for kind in speed if kind.startswith(side) and not kind.endswith("auto")]
    return max(kinds, key=lambda kind: speed[kind][0])


def row(figures):
    """The row of the table."""
    speed, peak = figures["speed"], figures["peak_mb"]
    ours, peers = best(speed, "slimft"), best(speed, "keras")
    cells = [f"{NAMES[figures['model']]}, {figures['size']}x{figures['size']}, batch {figures['batch']}"]
    for side in ("slimft", "keras"):
        cells += [rounds.Spread(*speed[f"{side} {precision}"]).show() for precision in PRECISIONS]
    auto = speed.get("slimft auto")
    cells.append(rounds.Spread(*auto).show() if auto else "")
    cells.append(f"{speed[ours][0] / speed[peers][0]:.2f}")
    cells.append(f"**{auto[0] / speed[peers][0]:.2f}**" if auto else "")
    cells.append(f"{peak['slimft auto' if auto else ours][0]:,.0f} / {peak[peers][0]:,.0f}")
    return cells


HEAD = (
    "images/s", "slimft float32", "slimft bfloat16", "Keras float32", "Keras bfloat16", "slimft auto",
    "best / best", "auto / best", "peak MB, slimft / Keras",
)  # fmt: skip


def main():
    parser = rounds.parser(__doc__, 5)
    parser.add_argument("--seconds", type=float, default=10, help="how long each process measures")
    parser.add_argument("--only", nargs="*", help="rows, as MODEL:SIZE:BATCH; all by default")
    flags = parser.parse_args()
    chosen = [line.split(":") for line in flags.only] if flags.only else WORK
    figures = [measure(model, int(size), int(batch), flags) for model, size, batch in chosen]
    rounds.finish(flags, {"rows": figures}, rounds.table(HEAD, [row(one) for one in figures]))


if __name__ == "__main__":
    main()
