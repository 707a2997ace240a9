"""Measures how long a plain listing of VGG-16 takes, against TensorFlow's own inspect_checkpoint tool.

    python bench/inspect_checkpoint.py [PATH ...] [--rounds 7]

Runs `bin/inspect_checkpoint PATH` and `python -m tensorflow.python.tools.inspect_checkpoint --file_name=PATH`
in turn, each a process of its own, and takes the wall time from its start to its end, Python's start-up and all
imports included. One run of each comes first and does not count: it brings the files into the page cache. Both
list names, shapes and dtypes; neither is asked for values. Prints medians, the ratio (TensorFlow's / ours: above
1 is faster) and the largest memory.

Without a PATH it makes two files of VGG-16's variables (random values, 553 MB each) in a temporary directory: V2,
and V1 as the official vgg_16.ckpt is.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
OURS, PEER = "ours", "TensorFlow's"


def make_files(folder):
    """Writes VGG-16's variables as `v2.ckpt` and, of V1, `v1.ckpt`."""
    import numpy as np

    import slimft
    from slimft.checkpoint.official import find_release

    generator = np.random.default_rng(0)
    values = {
        name: generator.standard_normal(shape, np.float32) if name != "global_step" else np.int64(0)
        for name, shape in find_release("vgg_16").variables.items()
    }
    v2, v1 = f"{folder}/v2.ckpt", f"{folder}/v1.ckpt"
    slimft.write_checkpoint(v2, values)
    from slimft.compat import tf

    for name, value in values.items():
        tf.get_variable(name, value.shape, value.dtype)
    with tf.Session() as session:
        slimft.restore(session, v2)
        tf.train.Saver(write_version=1).save(session, v1, write_meta_graph=False, write_state=False)


def measure(command):
    """Runs a command; returns its wall time in seconds and its largest memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"inspect_checkpoint: {' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # Of ru_maxrss, in bytes.
    return seconds, usage.ru_maxrss * unit / 1e6


def compare(path, rounds):
    """Measures both tools on one checkpoint and prints the result."""
    commands = {
        OURS: [sys.executable, str(ROOT / "bin" / "inspect_checkpoint"), path],
        PEER: [sys.executable, "-m", "tensorflow.python.tools.inspect_checkpoint", f"--file_name={path}"],
    }
    results = {kind: [] for kind in commands}
    for counts in [False] + [True] * rounds:
        for kind, command in commands.items():
            result = measure(command)
            if counts:
                results[kind].append(result)
    seconds = {kind: statistics.median(run[0] for run in runs) for kind, runs in results.items()}
    memory = {kind: max(run[1] for run in runs) for kind, runs in results.items()}
    print(
        f"{path}: {OURS} {seconds[OURS]:.3f} s, {PEER} {seconds[PEER]:.3f} s, ratio "
        f"{seconds[PEER] / seconds[OURS]:.1f} (medians of {rounds}); memory {memory[OURS]:.0f} MB "
        f"and {memory[PEER]:.0f} MB",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="*", help="TensorFlow checkpoints; made if there are none")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=7, help="processes of each kind")
    flags = parser.parse_args()
    if flags.make:
        make_files(flags.make)
        return
    with tempfile.TemporaryDirectory() as folder:
        if not flags.path:
            # In another process: this one's memory would count as its children's.
            subprocess.run([sys.executable, __file__, "--make", folder], check=True, stderr=subprocess.DEVNULL)
        for path in flags.path or [f"{folder}/v1.ckpt", f"{folder}/v2.ckpt"]:
            compare(path, flags.rounds)


if __name__ == "__main__":
    main()
