"""The memory of training with and without ``--remat``: the same batch, and twice the batch.

    python bench/memory.py [--rounds 3] [--model vgg_16] [--size 224] [--batch 16] [--precision float32]

Each round starts a process for the batch and for twice the batch, with and without; each takes the median of its
steps. The ratio is the largest resident memory of twice the batch with ``--remat`` to that of the batch without;
beside it stands Keras' `fit` at the batch.
"""

from __future__ import annotations

import rounds
from training import NAMES

WORKER = rounds.ROOT / "bench" / "worker.py"


def main():
    parser = rounds.parser(__doc__, 3)
    parser.add_argument("--model", default="vgg_16", choices=NAMES)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seconds", type=float, default=5, help="how long each process measures")
    flags = parser.parse_args()
    common = [f"--model={flags.model}", f"--size={flags.size}", f"--precision={flags.precision}"]
    common += [f"--seconds={flags.seconds}", "--least=3"]
    once, twice = f"--batch={flags.batch}", f"--batch={2 * flags.batch}"
    commands = {
        f"slimft, batch {flags.batch}": ["slimft", "train", once],
        f"slimft --remat, batch {flags.batch}": ["slimft", "train", once, "--remat"],
        f"slimft, batch {2 * flags.batch}": ["slimft", "train", twice],
        f"slimft --remat, batch {2 * flags.batch}": ["slimft", "train", twice, "--remat"],
        f"Keras, batch {flags.batch}": ["keras", "train", once],
    }
    found = rounds.alternate(
        {name: [WORKER, *command, *common] for name, command in commands.items()}, flags.rounds
    )
    speed, memory = (rounds.spreads(found, name) for name in ("images_per_second", "peak_mb"))
    base = memory[f"slimft, batch {flags.batch}"].median
    head = (f"{NAMES[flags.model]}, {flags.size}x{flags.size}, {flags.precision}", "images/s", "peak MB", "ratio")
    rows = [
        [name, speed[name].show(), memory[name].show(4), f"{memory[name].median / base:.2f}"] for name in commands
    ]
    rounds.finish(flags, {"images_per_second": speed, "peak_mb": memory}, rounds.table(head, rows))


if __name__ == "__main__":
    main()
