"""Measures what importing slimft, and reading a checkpoint with it, adds to Python's own start.

    python bench/startup.py [--rounds 15]

Each round starts a fresh process for every row. Prints the medians of the whole processes' wall time.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="fresh processes of each kind")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/small.ckpt"
        rows = {
            "python": "pass",
            "import numpy": "import numpy",
            "import slimft": "import slimft",
            "slimft.open_checkpoint(...)[...]": f"import slimft; slimft.open_checkpoint({path!r})['a/b']",
            "import tensorflow": "import tensorflow",
        }
        write = f"import numpy, slimft; slimft.write_checkpoint({path!r}, {{'a/b': numpy.ones(100)}})"
        subprocess.run([sys.executable, "-c", write], cwd=ROOT, check=True)
        seconds = {name: [] for name in rows}
        for _ in range(rounds):
            for name, code in rows.items():
                if name == "import tensorflow" and len(seconds[name]) == 3:
                    continue
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds["python"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<34} {median:.3f} s, {median - base:.3f} s beyond Python's own start")


if __name__ == "__main__":
    main()
