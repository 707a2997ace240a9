"""Processes that train together, on this machine."""

import json
import os
import pathlib
import socket
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
WORKER = pathlib.Path(__file__).with_name("worker.py")


def free_addresses(number):
    """So many addresses of this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def environment_of(addresses, index, **more):
    """The environment of one of several processes."""
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    # Each has a core of its own, as on machines of their own.
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": json.dumps(config), **threads, **more}


class Left:
    """What a case left behind: of each process what it measured, the variables after it, or its error."""

    def __init__(self, folder, number):
        self._folder, self._number = folder, number

    def all_of(self, case, suffix):
        """The files of a case, one for each process."""
        return [self._folder / f"{case}-{index}{suffix}" for index in range(self._number)]

    def json(self, case):
        return [json.loads(file.read_text()) for file in self.all_of(case, ".json")]

    def variables(self, case):
        found = []
        for file in self.all_of(case, ".npz"):
            with np.load(file) as values:
                found.append({name.replace("|", "/"): values[name] for name in values})
        return found

    def errors(self, case):
        return [file.read_text() for file in self.all_of(case, ".error")]


@pytest.fixture(scope="session")
def together(tmp_path_factory, warm_python):
    """Runs cases in several processes, one case after the other; what it takes is `worker.py`'s."""

    def run(number, cases, **environment):
        folder = tmp_path_factory.mktemp("together")
        (folder / "cases.json").write_text(json.dumps(cases))
        addresses = free_addresses(number)
        processes = [
            subprocess.Popen(
                [warm_python, str(WORKER), str(folder / "cases.json"), str(folder)],
                env=environment_of(addresses, index, **environment),
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(number)
        ]
        for process in processes:
            _, said = process.communicate(timeout=600)
            assert process.returncode == 0, said
        return Left(folder, number)

    return run


@pytest.fixture
def addresses():
    """The addresses of two processes."""
    return free_addresses(2)


@pytest.fixture
def start(addresses, warm_python):
    """Starts one of two processes of ``bin/finetune`` that train on, in a directory, until something ends them."""
    started = []

    def run(index, folder, *flags):
        code = "import sys; from slimft.cli.finetune import main; sys.exit(main(sys.argv))"
        process = subprocess.Popen(
            [
                warm_python, "-c", code, "--model=cifarnet", "--dataset=digits", "--precision=float32",
                f"--train_dir={folder}", "--steps=100000", "--eval_every=20", *flags,
            ],
            env=environment_of(addresses, index),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
