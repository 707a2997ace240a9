#!/usr/bin/env python3
"""What training together costs: workers against as many processes that train alone; and a simulation of many.

    bench/scaling.py [--model=resnet_v1_50] [--image_size=64] [--share=16] [--workers=2,4] [--rounds=3] [--to=1000]

Measured, on this machine: a step of N workers, each with `--share` images and a processor of its own as far as
there are so many, in turn with a step of N processes that each train on as many images alone, at the same time.
That is equal work on equal hardware: what is over is the price of the runtime and of the wire, which here is
loopback. Then the time of all-reduce for messages of several sizes, of which a latency and a bandwidth are fitted.

Simulated, and called so: a step of up to `--to` workers. It takes as long as the slowest of N steps, whose spread
is the one measured, and as the ring: 2 (N - 1) messages one after the other, of 1/N of the gradients each, at a
given latency and bandwidth.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import numpy as np
from rounds import Spread, describe, machine, print_figures

WARM_UP, SECONDS = 3, 10.0
# Numbers of four bytes in a message.
SIZES = (1, 1 << 10, 1 << 16, 1 << 20, 1 << 23)
# Of the networks that are simulated: latency in seconds and bytes a second.
NETWORKS = {"1 Gbit/s": (200e-6, 0.117e9), "10 Gbit/s": (100e-6, 1.17e9), "100 Gbit/s": (30e-6, 11.7e9)}
CHILD = "--child"


def train(arguments: argparse.Namespace) -> None:
    """Prints how long steps take, and this process's part of them, in seconds."""
    from slimft.runs.settings import Settings
    from slimft.training.run import prepare

    workers = arguments.child if "TF_CONFIG" in os.environ else 1
    with tempfile.TemporaryDirectory() as folder:
        run = prepare(
            Settings(
                model=arguments.model,
                dataset="digits",
                image_size=arguments.image_size,
                batch_size=arguments.share * workers,
                steps=1_000_000,
                precision="float32",
                train_dir=f"{folder}/run",
            )
        )
        steps, own = [], []
        with run.training.graph.as_default(), run.new_session() as session:
            run.restore(session)
            run.start_batches(session, 0)
            while True:
                began = time.monotonic()
                measured = run.take_step(session)
                steps.append(time.monotonic() - began)
                own.append(measured.own_seconds or steps[-1])
                if run.group.broadcast(len(steps) >= WARM_UP + 5 and sum(steps[WARM_UP:]) >= SECONDS):
                    break
        gradients = sum(variable.shape.num_elements() for variable in run.training.trained)
        run.group.leave()
    print_figures(steps=steps[WARM_UP:], own=own[WARM_UP:], bytes=4 * gradients)


def reduce(arguments: argparse.Namespace) -> None:
    """Prints how long all-reduce takes for messages of `SIZES`, in seconds."""
    from slimft.compat import tf
    from slimft.training.cluster.collective import all_reduce
    from slimft.training.cluster.group import Processes
    from slimft.training.cluster.members import cluster_of

    group = Processes(cluster_of(), None, 120.0)
    seconds = {}
    with tf.Graph().as_default(), tf.device("/cpu:0"):
        ops = {size: all_reduce(tf.fill([size], 1.0), group.number, 100 + size).op for size in SIZES}
        with tf.Session(group.target, config=group.config()) as session:
            for size, op in ops.items():
                times = []
                for _ in range(23):
                    group.any(False)
                    began = time.monotonic()
                    session.run(op)
                    times.append(time.monotonic() - began)
                seconds[size] = statistics.median(times[3:])
    group.leave()
    print_figures(**{str(size): value for size, value in seconds.items()})


def at_once(arguments: argparse.Namespace, number: int, kind: str, together: bool) -> list[dict]:
    """What so many processes print, that run at once, each on a processor of its own as far as there are enough."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processors = sorted(os.sched_getaffinity(0))
    processes = []
    for index in range(number):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}
        if together:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        own = ["taskset", "-c", str(processors[index % len(processors)])]
        flags = [f"--model={arguments.model}", f"--image_size={arguments.image_size}", f"--share={arguments.share}"]
        command = [*own, sys.executable, __file__, *flags, f"{CHILD}={number}", f"--kind={kind}"]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    printed = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("scaling: a process failed; see above")
    return [json.loads(one.splitlines()[-1]) for one in printed]


def measure(arguments: argparse.Namespace, number: int) -> dict:
    """Seconds for a step of so many workers and of as many processes alone; rounds in turn."""
    alone, together, spread, size = [], [], [], 0
    for _ in range(arguments.rounds):
        of_alone = at_once(arguments, number, "train", together=False)
        of_together = at_once(arguments, number, "train", together=True)
        alone.append(statistics.fmean(statistics.median(one["steps"]) for one in of_alone))
        together.append(statistics.median(of_together[0]["steps"]))
        spread += [np.std(np.log(one["own"])) for one in of_together]
        size = of_together[0]["bytes"]
    ratios = [one / other for one, other in zip(together, alone)]
    return {
        "alone": Spread.of(alone), "together": Spread.of(together), "ratio": Spread.of(ratios),
        "spread": statistics.median(spread), "bytes": size,
    }  # fmt: skip


def fit(seconds: Mapping[int, float], number: int) -> tuple[float, float]:
    """The latency and the bandwidth, in bytes a second, of a ring's messages by the times of several sizes."""
    rounds = 2 * (number - 1)
    latency = seconds[SIZES[0]] / rounds
    largest = SIZES[-1]
    return latency, rounds * 4 * largest / number / (seconds[largest] - seconds[SIZES[0]])


def ring(size: float, number: int, latency: float, bandwidth: float) -> float:
    """Seconds for an all-reduce of `size` bytes."""
    return 2 * (number - 1) * (latency + size / number / bandwidth) if number > 1 else 0.0


def simulated(
    step: float, spread: float, size: float, number: int, latency: float, bandwidth: float, rng: np.random.Generator
) -> float:
    """Seconds for a step of `number` workers: the slowest one's, the gradients' ring, and that of a few flags."""
    slowest = step * np.exp(spread * rng.standard_normal([200, number])).max(axis=1).mean()
    return float(slowest) + ring(size, number, latency, bandwidth) + ring(16, number, latency, bandwidth)


def powers(most: int) -> Sequence[int]:
    return [number for number in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000) if number <= most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet_v1_50")
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--share", type=int, default=16, help="images of a step that each worker has")
    parser.add_argument("--workers", default="2,4", help="how many, several with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--to", type=int, default=1000, help="so many workers are simulated, at most")
    parser.add_argument(CHILD, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        (train if arguments.kind == "train" else reduce)(arguments)
        return
    print(describe(machine()))
    print(f"load {os.getloadavg()[0]:.1f}, {arguments.model}, {arguments.share} images a worker", flush=True)
    rng, measured = np.random.default_rng(0), {}
    for number in map(int, arguments.workers.split(",")):
        found = measured[number] = measure(arguments, number)
        seconds = {int(size): one for size, one in at_once(arguments, number, "reduce", together=True)[0].items()}
        latency, bandwidth = fit(seconds, number)
        wire = ring(found["bytes"], number, latency, bandwidth)
        alone, together = found["alone"].median, found["together"].median
        print(
            f"{number} workers: a step {found['together'].show()} s, of as many processes alone "
            f"{found['alone'].show()} s, ratio {found['ratio'].show()}; the wire, by the messages, {wire:.3f} s; "
            f"over beside it {100 * ((together - wire) / alone - 1):.1f} %"
        )
        told = ", ".join(f"{4 * size:,} bytes {1000 * one:.2f} ms" for size, one in seconds.items())
        print(f"  all-reduce: {told}; fitted: {1e6 * latency:.0f} us a message, {bandwidth / 1e9:.2f} GB/s")
        guess = simulated(alone, found["spread"], found["bytes"], number, latency, bandwidth, rng)
        print(f"  simulated with these: {guess:.3f} s a step, measured {together:.3f} s", flush=True)
    of = measured[min(measured)]
    step, spread, size = of["alone"].median, of["spread"], of["bytes"]
    print(
        f"SIMULATED from a step of {step:.3f} s, its spread of {spread:.3f} and {size / 1e6:.0f} MB of gradients:"
    )
    print("images/s of N workers, each with its own network card; and the share of N times one worker's")
    for name, (latency, bandwidth) in NETWORKS.items():
        cells = []
        for number in powers(arguments.to):
            seconds_of_step = simulated(step, spread, size, number, latency, bandwidth, rng)
            rate = number * arguments.share / seconds_of_step
            cells.append(f"{number}: {rate:,.0f} ({100 * rate * step / arguments.share / number:.0f} %)")
        print(f"  {name}: {', '.join(cells)}")


if __name__ == "__main__":
    main()
