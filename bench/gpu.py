"""Training on a GPU: slimft against Keras `fit`, in one run, for each precision, with and without XLA.

    python bench/gpu.py [--rounds 3] [--size 224] [--batch 64] [--seconds 10] [--json FILE]

VGG-16, ResNet-V1-50 and MobileNet V1, all layers, in float32, bfloat16 and float16; `--xla` compiles slimft's
graph, and `jit_compile=True` Keras' step. Without a GPU it ends with status 2. `--device=cpu` runs the same on a
CPU, to see that it works.
"""

from __future__ import annotations

import subprocess
import sys

import rounds
from training import NAMES

WORKER = rounds.ROOT / "bench" / "worker.py"
PRECISIONS = ("float32", "bfloat16", "float16")
GPUS = """
import tensorflow as tf
found = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
print(*(details.get("device_name", "a GPU") for details in found), sep="; ")
"""


def gpus() -> str:
    """The names of the GPUs that TensorFlow sees; empty where there are none."""
    done = subprocess.run([sys.executable, "-c", GPUS], capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def measure(model, precisions, flags):
    """The spreads of one network, by ``side precision`` and ``side precision xla``."""
    common = [f"--model={model}", f"--size={flags.size}", f"--batch={flags.batch}", f"--seconds={flags.seconds}"]
    common += [f"--device={flags.device}"]
    commands = {
        f"{side} {precision}{' xla' if xla else ''}": [
            *(WORKER, side, "train", *common, f"--precision={precision}", *(["--xla"] if xla else []))
        ]
        for precision in precisions
        for xla in (False, True)
        for side in ("slimft", "keras")
    }
    found = rounds.alternate(commands, flags.rounds)
    memory = "gpu_mb" if flags.device == "gpu" else "peak_mb"
    return {
        "model": model,
        "speed": rounds.spreads(found, "images_per_second"),
        "mb": rounds.spreads(found, memory),
    }


def rows(figures):
    """A row for each way, the fastest of each side in bold, and the ratio of these."""
    speed, memory = figures["speed"], figures["mb"]
    best = {
        side: max((kind for kind in speed if kind.startswith(side)), key=lambda kind: speed[kind][0])
        for side in ("slimft", "keras")
    }
    made = []
    for kind, spread in speed.items():
        shown = rounds.Spread(*spread).show()
        made.append([NAMES[figures["model"]], kind, f"**{shown}**" if kind in best.values() else shown])
        made[-1] += [f"{memory[kind][0]:,.0f}", f"{spread[0] / speed[best['keras']][0]:.2f}"]
    return made


HEAD = ("network", "way", "images/s", "peak MB", "ratio to Keras' best")


def main():
    parser = rounds.parser(__doc__, 3)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10, help="how long each process measures")
    parser.add_argument("--only", nargs="*", default=list(NAMES), choices=NAMES, help="networks; all by default")
    parser.add_argument("--device", default="gpu", choices=("gpu", "cpu"))
    flags = parser.parse_args()
    found = gpus() if flags.device == "gpu" else "the CPU"
    if not found:
        print("gpu: there is no GPU here; --device=cpu runs on the CPU, to see that it works", file=sys.stderr)
        sys.exit(2)
    from slimft.runs.settings import PRECISIONS as OURS

    precisions = [precision for precision in PRECISIONS if precision in OURS]
    figures = [measure(model, precisions, flags) for model in flags.only]
    text = rounds.table(HEAD, [row for one in figures for row in rows(one)])
    rounds.finish(flags, {"device": found, "rows": figures}, f"On {found}:\n\n{text}")


if __name__ == "__main__":
    main()
