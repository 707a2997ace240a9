"""Measures what importing slimft, and reading a checkpoint with it, adds to Python's own start; and `bin/finetune`.

    python bench/startup.py [--rounds 15]

Each round starts a fresh process for every row. Prints the medians of the whole processes' wall time. Then, in turn
with `import tensorflow`, `bin/finetune` of VGG-16 from a V2 checkpoint of 553 MB of random weights, on the digits
at 32x32: how long it takes to the beginning of the first step and to its end.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

# Writes VGG-16's checkpoint, without TensorFlow, into argv[1].
WRITE = """
import sys, numpy, slimft
convolutions = [(1, 2, 64), (2, 2, 128), (3, 3, 256), (4, 3, 512), (5, 3, 512)]
shapes, depth = {}, 3
for block, count, width in convolutions:
    for number in range(1, count + 1):
        shapes[f"conv{block}/conv{block}_{number}"] = [3, 3, depth, width]
        depth = width
shapes.update(fc6=[7, 7, 512, 4096], fc7=[1, 1, 4096, 4096], fc8=[1, 1, 4096, 1000])
rng, values = numpy.random.default_rng(0), {}
for layer, shape in shapes.items():
    values[f"vgg_16/{layer}/weights"] = 0.01 * rng.standard_normal(shape, numpy.float32)
    values[f"vgg_16/{layer}/biases"] = numpy.zeros(shape[-1], numpy.float32)
slimft.write_checkpoint(sys.argv[1], values)
"""
# Runs bin/finetune with argv's flags; prints when its first step begins and ends.
FINETUNE = """
import sys, time
from slimft.cli import finetune
from slimft.cli.common import quiet_standard_error
with quiet_standard_error():
    from slimft.training.run import Run
take_step = Run.take_step
def first_step(run, *arguments):
    before = time.time()
    take_step(run, *arguments)
    print(before, time.time(), flush=True)
    import os
    os._exit(0)
Run.take_step = first_step
sys.exit(finetune.main(sys.argv))
"""
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
        fine_tuning = first_step(folder, max(3, rounds // 3))
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<34} {median:.3f} s, {median - base:.3f} s beyond Python's own start")
    print("; ".join(f"{what} {statistics.median(values):.2f} s" for what, values in fine_tuning.items()))


def first_step(folder: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of `bin/finetune` to its first step and to that step's end, and of importing TensorFlow."""
    checkpoint, names = f"{folder}/vgg_16.ckpt", ("import tensorflow", "to the first step", "to its end")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", WRITE, checkpoint], env=environment, check=True)
    seconds = {name: [] for name in names}
    for number in range(rounds):
        began = time.time()
        subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, stderr=subprocess.DEVNULL)
        seconds[names[0]].append(time.time() - began)
        flags = ["--model=vgg_16", "--dataset=digits", f"--checkpoint={checkpoint}", "--exclude=vgg_16/fc8"]
        flags += ["--batch_size=8", "--steps=1", f"--train_dir={folder}/run_{number}"]
        began = time.time()
        command = [sys.executable, "-c", FINETUNE, *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        times = done.stdout.split()
        if len(times) != 2:
            sys.exit(done.stderr)
        for name, at in zip(names[1:], times):
            seconds[name].append(float(at) - began)
    return seconds


if __name__ == "__main__":
    main()
