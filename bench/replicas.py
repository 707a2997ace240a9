#!/usr/bin/env python3
"""What sharing a batch costs: steps of one device against those of two and more virtual devices of the same CPU.

    bench/replicas.py [--model=resnet_v1_50] [--image_size=64] [--batch_size=32] [--numbers=1,2] [--rounds=3]

All compute the same batches on the same processors, so what is over is the price of splitting, copying and
averaging; nothing can be gained. With GPUs, the devices are these, and something can.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time

from rounds import alternate, describe, machine, print_figures, spreads

WARM_UP, STEPS = 3, 10


def child(arguments: argparse.Namespace) -> None:
    """Prints the median of the milliseconds that a step takes."""
    os.environ["SLIMFT_CPU_DEVICES"] = str(arguments.child)
    from slimft.runs.settings import Settings
    from slimft.training.run import prepare

    with tempfile.TemporaryDirectory() as folder:
        run = prepare(
            Settings(
                model=arguments.model,
                dataset="digits",
                image_size=arguments.image_size,
                batch_size=arguments.batch_size,
                steps=WARM_UP + STEPS,
                precision="float32",
                num_replicas=arguments.child,
                sync_batch_norm=arguments.sync_batch_norm and arguments.child > 1,
                train_dir=f"{folder}/run",
            )
        )
        milliseconds = []
        with run.training.graph.as_default(), run.new_session() as session:
            run.restore(session)
            run.start_batches(session, 0)
            for _ in range(WARM_UP + STEPS):
                began = time.monotonic()
                run.take_step(session)
                milliseconds.append(1000 * (time.monotonic() - began))
    print_figures(milliseconds=statistics.median(milliseconds[WARM_UP:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet_v1_50")
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--sync_batch_norm", action="store_true")
    parser.add_argument("--numbers", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    numbers = arguments.numbers.split(",")
    commands = {number: [__file__, *sys.argv[1:], f"--child={number}"] for number in numbers}
    found = spreads(alternate(commands, arguments.rounds), "milliseconds")
    for number in numbers:
        ratio = found[number].median / found[numbers[0]].median
        print(f"{number} replicas: {found[number].show()} ms a step, {ratio:.2f} of the first")
    print(describe(machine()))


if __name__ == "__main__":
    main()
