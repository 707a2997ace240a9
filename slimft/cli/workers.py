"""The workers of a run on this machine: processes that know each other, and how they end."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from slimft import system
from slimft.errors import UsageError
from slimft.messages import is_redrawn, say, stream_for_bars
from slimft.training.signals import LAUNCHED, StopSignals

# In the environment of a worker beside LAUNCHED, which is how often the run has been started again: whether it has
# saved since the first time.
HAS_SAVED = "SLIMFT_HAS_SAVED"
CLUSTER = "TF_CONFIG"
_GPUS = "CUDA_VISIBLE_DEVICES"
_THREADS = "TF_NUM_INTRAOP_THREADS"
# EX_TEMPFAIL of sysexits.h: of a worker that has lost the others, and of a run that was started again too often.
LOST = 75
# Of a worker: an error that it would meet again.
_FAULTS = (1, 2)
# Not those that systems give to outgoing connections, one of which could have it when the worker wants it.
_PORTS = range(10000, 32768)
NAME = "finetune"


@dataclasses.dataclass(frozen=True)
class Patience:
    """For how many seconds the supervisor waits.

    Attributes:
        poll: before it looks again.
        ends: for workers to end by themselves, when another is lost or done.
        same: for the others to meet the error that one has met.
        terminates: after SIGTERM, before SIGKILL.
        saves: for workers that were told to stop, before it says that it waits.
    """

    poll: float = 0.1
    ends: float = 15.0
    same: float = 2.0
    terminates: float = 5.0
    saves: float = 30.0


class Ending(NamedTuple):
    """How a group of workers ended.

    Attributes:
        status: what the supervisor ends with; None where the group is to be started again.
        culprit: the worker that was lost; None where the workers have only lost each other.
        how: what to say of that.
    """

    status: int | None
    culprit: int | None = None
    how: str = ""


class Group:
    """Workers that know each other.

    Args:
        processes: the workers.
        readers: the threads that read what workers but the first say.
        errors: worker to the errors that it says at its end.
        patience: how long to wait.
    """

    def __init__(
        self,
        processes: Sequence[subprocess.Popen],
        readers: Sequence[threading.Thread],
        errors: Mapping[int, list[str]],
        patience: Patience,
    ):
        self._processes, self._readers, self._errors, self._patience = processes, readers, errors, patience

    def run_to_end(self, stop: StopSignals) -> Ending:
        """Waits until no worker is left, and ends those that would be."""
        while True:
            ended = self._ended()
            if stop.received is not None:
                ending = self._stopped(stop.received)
            elif ended.get(0) == 0:
                ending = self._done()
            elif any(ended.values()):
                ending = self._failed(stop)
                if ending is None:
                    continue
            else:
                time.sleep(self._patience.poll)
                continue
            return ending

    def end(self, told: Mapping[int, int] | None = None) -> None:
        """Ends the workers that are left, and says what they have said last.

        Args:
            told: the statuses of workers whose errors count; None for those that have ended by now.
        """
        told = self._ended() if told is None else told
        self._send(signal.SIGTERM)
        self._wait(self._patience.terminates)
        self.kill()
        for reader in self._readers:  # A process that a worker has started may keep it reading.
            reader.join(1.0)
        said = set()
        for worker, lines in self._errors.items():
            if told.get(worker) == told.get(0):  # Which worker 0 has said itself.
                continue
            for line in lines:
                if line not in said:
                    said.add(line)
                    tell(f"worker {worker}: {line}")

    def kill(self) -> None:
        """Ends the workers that are left at once."""
        self._send(signal.SIGKILL)
        for process in self._processes:
            process.wait()

    def _ended(self) -> dict[int, int]:
        """Worker to exit status, of those that have ended; negative where a signal has ended it."""
        statuses = {worker: process.poll() for worker, process in enumerate(self._processes)}
        return {worker: status for worker, status in statuses.items() if status is not None}

    def _send(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)  # Unless it has ended.

    def _wait(
        self, seconds: float, enough: Callable[[dict[int, int]], bool] = lambda ended: False
    ) -> dict[int, int]:
        """Waits until all have ended, it is enough, or the time is over; returns which have ended."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self._ended()
            if len(ended) == len(self._processes) or enough(ended) or time.monotonic() >= deadline:
                return ended
            time.sleep(self._patience.poll)

    def _done(self) -> Ending:
        """Worker 0 has the result."""
        ended = self._wait(self._patience.ends)
        self.end(ended)
        for worker, process in enumerate(self._processes):
            if process.returncode != 0:
                how = "had to be ended" if worker not in ended else _how_it_ended(process.returncode)
                tell(f"{NAME}: the run is done; after that, worker {worker} {how}")
        return Ending(0)

    def _failed(self, stop: StopSignals) -> Ending | None:
        """A worker has ended otherwise than with its work done; None if a signal has stopped the run."""

        def is_plain(ended: Mapping[int, int]) -> bool:
            return stop.received is not None or _first(ended, _is_fault) is not None

        ended = self._wait(self._patience.ends, is_plain)
        if stop.received is not None:
            return None
        if ended.get(0) == 0:  # It ended while the others were looked at.
            return self._done()
        if _first(ended, _is_fault) is not None:
            ended = self._wait(self._patience.same)
            self.end(ended)
            return Ending(ended[_first(ended, _is_fault)])
        stopped = _first(ended, _is_stop)
        if stopped is not None:  # The signal came to a worker alone.
            stop.received = signal.Signals(ended[stopped] - 128)
            return None
        self.end(ended)
        culprit = _first(ended, lambda status: status not in (0, LOST))
        worker = _first(ended, bool) if culprit is None else culprit
        return Ending(None, culprit, f"worker {worker} {_how_it_ended(ended[worker])}")

    def _stopped(self, number: int) -> Ending:
        """Lets workers save and end; of them only worker 0 writes, and without it nothing is waited for."""
        self._send(number)
        ended = self._wait(self._patience.saves, lambda ended: 0 in ended)
        if 0 not in ended:
            left = ", ".join(str(worker) for worker in range(len(self._processes)) if worker not in ended)
            tell(f"{NAME}: waiting for workers to save and end: {left}; a second signal ends them at once")
            while 0 not in self._ended():
                time.sleep(self._patience.poll)
        self.end(self._wait(self._patience.ends))
        status = self._ended()[0]
        return Ending(status if status == 0 or _is_fault(status) else 128 + number)


@contextlib.contextmanager
def started(
    command: Sequence[str], number: int, attempt: int, has_saved: bool, patience: Patience
) -> Iterator[Group]:
    """Starts a group of workers; kills what is left of it at the end."""
    sys.stdout.flush()
    ports = free_ports(number)
    processes: list[subprocess.Popen] = []
    readers: list[threading.Thread] = []
    errors: dict[int, list[str]] = {}
    ends_with_us, kept = os.pipe()
    group = Group(processes, readers, errors, patience)
    try:
        for worker in range(number):
            process = subprocess.Popen(
                command,
                env=environment_of(worker, ports, attempt, has_saved),
                stdin=ends_with_us,
                stdout=subprocess.DEVNULL if worker else None,
                stderr=subprocess.PIPE if worker else None,
                # Not in the terminal's group, whose Ctrl-C would reach it twice.
                start_new_session=True,
            )
            processes.append(process)
            if worker:
                errors[worker] = []
                reader = threading.Thread(target=_read, args=[process, worker, errors[worker]], daemon=True)
                reader.start()
                readers.append(reader)
        yield group
    finally:
        group.kill()
        os.close(ends_with_us)
        os.close(kept)


def _read(process: subprocess.Popen, worker: int, errors: list[str]) -> None:
    """Says what a worker says; keeps back the errors at its end, which others may have too."""
    with contextlib.suppress(ValueError, OSError):
        for line in process.stderr:
            text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            if text.startswith(f"{NAME}: "):
                errors.append(text.removeprefix(f"{NAME}: "))
            elif text.strip():
                tell(f"worker {worker}: {text}")


def environment_of(worker: int, ports: Sequence[int], attempt: int, has_saved: bool) -> dict[str, str]:
    """The environment of a worker: the cluster, and its share of the machine."""
    number = len(ports)
    cluster = {
        "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
        "task": {"type": "worker", "index": worker},
    }
    return {
        _THREADS: str(max(1, system.processors() // number)),
        **system.environment_of_python(),
        CLUSTER: json.dumps(cluster),
        **({_GPUS: ",".join(own)} if (own := gpus_of(worker, number)) else {}),
        system.LOCAL_PROCESSES: str(number),
        LAUNCHED: str(attempt),
        **({HAS_SAVED: "1"} if has_saved else {}),
    }


def gpus_of(worker: int, number: int) -> list[str]:
    """The GPUs of this machine that are a worker's: as many for each, and none for two.

    Raises:
        UsageError: there are GPUs, but not one for each.
    """
    told = os.environ.get(_GPUS)
    if told is None:
        nodes = pathlib.Path("/dev").glob("nvidia[0-9]*")
        gpus = sorted((node.name.removeprefix("nvidia") for node in nodes), key=lambda name: (len(name), name))
    else:
        names = (name.strip() for name in told.split(","))
        gpus = list(itertools.takewhile(lambda name: name not in ("", "-1"), names))
    if 0 < len(gpus) < number:
        raise UsageError(
            f"--launch={number}: this machine has {len(gpus)} GPUs, and each worker needs one of its own; choose "
            f"no more, or train on the CPU with {_GPUS}=-1 in the environment"
        )
    return gpus[worker::number][: len(gpus) // number]


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nothing listens on.

    Raises:
        UsageError: there are not so many.
    """
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(_PORTS, len(_PORTS)):
            if len(ports) == number:
                return ports
            one = stack.enter_context(socket.socket())
            try:
                one.bind(("", port))  # On all addresses, as TensorFlow's servers do.
            except OSError:
                one.close()
                continue
            ports.append(port)
    raise UsageError(f"--launch={number}: this machine has no {number} free ports from {_PORTS[0]} to {_PORTS[-1]}")


def tell(line: str) -> None:
    """Says a line, in the place of worker 0's progress bar, which draws itself again."""
    stream = stream_for_bars()
    if is_redrawn(stream):
        stream.write("\r\x1b[K")
    say(line)


# Exit statuses.


def _first(ended: Mapping[int, int], holds: Callable[[int], object]) -> int | None:
    """The first worker of whose status something holds."""
    return next((worker for worker, status in sorted(ended.items()) if holds(status)), None)


def _is_fault(status: int) -> bool:
    return status in _FAULTS


def _is_stop(status: int) -> bool:
    return status - 128 in [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]


def _how_it_ended(status: int) -> str:
    if status == LOST:
        return f"lost the others (status {LOST})"
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}{', as where memory is short' if name == 'SIGKILL' else ''}"
