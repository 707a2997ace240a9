"""What share of a training step waits for its images.

    python bench/input_wait.py [--steps=20]

Writes JPEG files of 500x375, then trains MobileNet V1 at 96x96 and VGG-16 at 224x224 on them, all layers, without
and with the cache, in a process each. A step is taken in two halves: the batch is taken from the input, which reads
ahead as it does in `bin/finetune`, and then the network trains on it. What the first half takes is the time that a
step waits; its share is that of all steps together, the seconds are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
WARM_UP = 3
RUNS = (("mobilenet_v1", 96, 64), ("vgg_16", 224, 16))


def child(model: str, side: int, batch: int, cache: str, folder: str, steps: int) -> None:
    """Prints the seconds that each step waits, and those that it takes then."""
    from slimft.runs.settings import Settings
    from slimft.training.run import prepare

    settings = Settings(
        model=model,
        dataset="image_folder",
        data_dir=folder,
        image_size=side,
        batch_size=batch,
        cache=cache,
        train_dir=f"{folder}-run",
    )
    run = prepare(settings)
    training, batches = run.training, run.training.batches
    run.splits["train"].images.prepare(int(batches.images.shape[1]), several_passes=True)
    inputs = [batches.step, batches.images, batches.targets]
    fetches = [training.measured, training.learning_rate, training.train_op]
    with training.graph.as_default(), run.new_session() as session:
        run.restore(session)
        run.start_batches(session, 0)
        pairs = []
        for _ in range(WARM_UP + steps):
            began = time.perf_counter()
            values = session.run(inputs)
            has_it = time.perf_counter()
            session.run(fetches, dict(zip(inputs, values)))
            pairs.append((has_it - began, time.perf_counter() - has_it))
    print(json.dumps(pairs[WARM_UP:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        model, side, batch, cache, folder = flags.child
        return child(model, int(side), int(batch), cache, folder, flags.steps)
    from image_folder import photos

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch, "photos")
        photos(folder, flags.images, 500, 375, 90)
        environment = {**os.environ, "XDG_CACHE_HOME": f"{scratch}/cache", "TF_CPP_MIN_LOG_LEVEL": "3"}
        print("| network | cache | step | of which it waits | share |")
        print("| --- | --- | --- | --- | --- |")
        for model, side, batch in RUNS:
            for cache in ("off", "on"):
                arguments = ["--child", model, side, batch, cache, folder, "--steps", flags.steps]
                command = [sys.executable, __file__, *map(str, arguments)]
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                if done.returncode:
                    sys.exit(done.stderr)
                pairs = json.loads(done.stdout.splitlines()[-1])
                waits = statistics.median(wait for wait, _ in pairs)
                step = statistics.median(wait + rest for wait, rest in pairs)
                share = sum(wait for wait, _ in pairs) / sum(map(sum, pairs))
                what = f"{model}, {side}x{side}, batch {batch}"
                print(f"| {what} | {cache} | {step:.3f} s | {1000 * waits:.1f} ms | {share:.2%} |", flush=True)


if __name__ == "__main__":
    main()
