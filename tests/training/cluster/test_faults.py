"""What a process does when another is lost, where no training is needed to see it."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import types

import pytest

from slimft.errors import UsageError
from slimft.training import failures, loop
from slimft.training.cluster.group import Processes
from slimft.training.cluster.joining import WorkerLost, join, start_server
from slimft.training.cluster.members import Cluster
from slimft.training.cluster.stall import Stall

ROOT = pathlib.Path(__file__).resolve().parents[3]
# A chief that never says who trains, and is killed.
_CHIEF = """
import sys, time
from slimft.training.cluster.joining import start_server
from slimft.training.cluster.members import Cluster
server = start_server(Cluster(tuple(sys.argv[1:]), 0), 1)
print("started", flush=True)
time.sleep(600)
"""


def free_addresses(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def test_a_chief_that_is_killed_before_it_says_who_trains_is_lost():
    cluster = Cluster(tuple(free_addresses(2)), 1)
    chief = subprocess.Popen(
        [sys.executable, "-c", _CHIEF, *cluster.addresses],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    try:
        assert chief.stdout.readline() == b"started\n"
        start_server(cluster, 1)
        # While the list of members is being read.
        threading.Timer(2.0, chief.kill).start()
        with pytest.raises(WorkerLost, match=r"worker 1 \(.*\) waits in vain for worker 0 \("):
            join(cluster, None, 60)
    finally:
        chief.kill()
        chief.wait()


def state_of(is_chief, lost):
    """A state that can be saved, of a process that finds another lost when it waits for all."""

    def any_of_all(*flags):
        if lost:
            raise WorkerLost("worker 1 has ended")
        return list(flags)

    training = types.SimpleNamespace(
        parts=types.SimpleNamespace(put_back=lambda _: None), all_finite=True, saver=None
    )
    run = types.SimpleNamespace(
        training=training,
        directory=types.SimpleNamespace(save=lambda *_: None),
        group=types.SimpleNamespace(is_chief=is_chief, any=any_of_all, failure=lambda _: None),
        settings=types.SimpleNamespace(train_dir="runs/1"),
    )
    session = types.SimpleNamespace(run=lambda _: True)
    return types.SimpleNamespace(run=run, step=7, saved=3, session=session, history=None)


@pytest.mark.parametrize("is_chief, lost, saved", [(False, True, 3), (True, True, 7), (False, False, 7)])
def test_a_step_is_saved_once_the_chief_has_saved_it(is_chief, lost, saved):
    state = state_of(is_chief, lost)
    try:
        loop._save(state, together=True)
    except WorkerLost:
        assert lost
    assert state.saved == saved


@pytest.mark.parametrize(
    "is_chief, said",
    [(True, "step 7 is saved"), (False, "the newest checkpoint is that of step 3, 7 is not saved")],
)
def test_only_the_chief_saves_and_says_so_when_an_error_of_its_own_ends_it(is_chief, said):
    state = state_of(is_chief, lost=False)
    failure = loop._with_what_is_saved(state, UsageError("a file is gone"))
    assert str(failure) == f"a file is gone; {said}, and the command goes on from there with --train_dir=runs/1"
    assert state.saved == (7 if is_chief else 3)


def test_who_has_lost_another_before_the_first_step_has_nothing_to_do_again():
    assert failures._what_is_lost(types.SimpleNamespace(saved=None, step=0)) == ""
    assert (
        failures._what_is_lost(types.SimpleNamespace(saved=None, step=2)) == "; steps 1 to 2 are to be done again"
    )


@pytest.mark.parametrize("is_lost", [False, True])
def test_nobody_ends_well_before_all_have(is_lost, monkeypatch):
    group = object.__new__(Processes)
    left = []

    def wait_for_all():
        if is_lost:
            raise WorkerLost("worker 1 has ended")

    monkeypatch.setattr(group, "any", wait_for_all)
    monkeypatch.setattr(group, "leave", lambda together=True: left.append(together))
    with pytest.raises(WorkerLost) if is_lost else contextlib.nullcontext():
        group.finish()
    assert left == ([] if is_lost else [True])


def test_who_is_waited_for_is_named(capsys):
    """Two servers of one process: the first has come further than the second, which answers."""
    addresses = free_addresses(2)
    servers = [start_server(Cluster(tuple(addresses), index), 1) for index in range(2)]
    both = dict(enumerate(addresses))
    watching = [Stall(index, both, lambda index: f"worker {index}", seconds=1.0) for index in range(2)]
    for watch, times in zip(watching, (3, 2)):
        for _ in range(times):
            watch.note()
    said, until = "", time.monotonic() + 60
    while "waiting" not in said and time.monotonic() < until:
        time.sleep(0.2)
        said += capsys.readouterr().err
    for watch in watching:
        watch.end()
        assert not watch._thread.is_alive()
    assert "waiting for worker 1 for " in said and "worker 0" not in said
    assert len(servers) == 2
