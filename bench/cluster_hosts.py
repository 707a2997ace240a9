"""Two hosts on one machine, and the processes that train on them, for `cluster_trials`.

A host is a network namespace. Its network card is a TUN device, whose packets a thread of this process carries to
the other host: late, not at all, or only most of them. (`tc netem` would do it too; not every kernel has it.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import heapq
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_NAMES, _ADDRESSES = ("slimft-a", "slimft-b"), ("10.77.0.1", "10.77.0.2")
# A process that exits with these is started anew, as Kubernetes would do.
_STARTED_ANEW = (75, -signal.SIGKILL)
_LOST = re.compile(r"^finetune: worker (\d+) \(|cannot reach worker (\d+) ")


class Hosts:
    """Two network namespaces and the link between them; a context manager, which removes them at its end.

    Attributes:
        delay: seconds that a packet takes.
        loss: share of the packets that are lost.
        cut: whether all are.
    """

    def __init__(self):
        self.delay, self.loss, self.cut = 0.0, 0.0, False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Hosts:
        with contextlib.ExitStack() as stack:
            self._cards = []
            for name, address in zip(_NAMES, _ADDRESSES):
                _ip("netns", "add", name)
                stack.callback(_ip, "netns", "delete", name)
                card = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                stack.callback(os.close, card)
                fcntl.ioctl(card, _TUNSETIFF, struct.pack("16sH", name.encode(), _TUN_WITHOUT_HEADER))
                _ip("link", "set", name, "netns", name)
                _ip("-n", name, "address", "add", f"{address}/24", "dev", name)
                _ip("-n", name, "link", "set", name, "up")
                _ip("-n", name, "link", "set", "lo", "up")
                self._cards.append(card)
            ended = threading.Event()
            thread = threading.Thread(target=self._carry, args=(ended,), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(ended.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def set(self, host: int, state: str) -> None:
        """Pulls a host's network card (``down``), or puts it in again (``up``)."""
        _ip("-n", _NAMES[host], "link", "set", _NAMES[host], state)

    def well(self) -> None:
        """Mends the link."""
        self.delay, self.loss, self.cut = 0.0, 0.0, False

    def _carry(self, ended: threading.Event) -> None:
        other = dict(zip(self._cards, reversed(self._cards)))
        waiting: list[tuple[float, int, int, bytes]] = []
        draw, count = random.Random(0), 0
        while not ended.is_set():
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, card, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # It is down, or full.
                    os.write(card, packet)
            timeout = min(0.1, waiting[0][0] - now) if waiting else 0.1
            for card in select.select(self._cards, [], [], max(0.0, timeout))[0]:
                with contextlib.suppress(OSError):
                    for _ in range(64):
                        packet = os.read(card, 1 << 16)
                        if self.cut or draw.random() < self.loss:
                            continue
                        if self.delay:
                            count += 1
                            heapq.heappush(waiting, (time.monotonic() + self.delay, count, other[card], packet))
                        else:
                            os.write(other[card], packet)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@dataclasses.dataclass
class End:
    """How a process ended.

    Attributes:
        at: when, by `time.monotonic`.
        said: when it wrote to standard error for the last time.
        worker: which it was.
        status: what it exited with; a signal's number with a minus.
        line: the last line that it wrote, or the last that is an error.
        log: all it wrote to standard error.
    """

    at: float
    said: float
    worker: int
    status: int
    line: str
    log: str

    @property
    def named(self) -> int | None:
        """The worker that its line is about."""
        found = _LOST.findall(self.line)
        return int("".join(found[-1])) if found else None


class Team:
    """The processes of a run, and what starts them anew.

    Args:
        folder: for their output.
        hosts: where they run; None for this machine.
        flags: of all.
        own: more flags of some, by their index.
        number: of processes.
        start: which of them are started at once; None for all.
    """

    def __init__(self, folder, flags, hosts=None, own=None, number=2, start=None, python=sys.executable):
        self.folder, self._flags, self._hosts, self._own = pathlib.Path(folder), flags, hosts, own or {}
        self.folder.mkdir(parents=True, exist_ok=True)
        self._python, self.number = python, number
        self.addresses = [f"{_ADDRESSES[i]}:2222" for i in range(number)] if hosts else _free_addresses(number)
        self.processes: dict[int, subprocess.Popen] = {}
        self.starts = dict.fromkeys(range(number), 0)
        self.started_at: dict[int, float] = {}
        self.ends: list[End] = []
        for index in range(number) if start is None else start:
            self.start(index)

    def log(self, index: int) -> pathlib.Path:
        """What a process writes to standard error, now."""
        return self.folder / f"worker{index}-{self.starts[index]}.txt"

    def start(self, index: int) -> None:
        """Starts a process, for the first time or anew."""
        self.starts[index] += 1
        task = {"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
        command = [self._python, str(ROOT / "bin/finetune"), *self._flags, *self._own.get(index, ())]
        if self._hosts:
            command = ["ip", "netns", "exec", _NAMES[index], *command]
        output = self.log(index)
        with open(output, "w") as log, open(output.with_suffix(".out"), "w") as out:
            self.processes[index] = subprocess.Popen(
                command, env=environment, stdout=out, stderr=log, stdin=subprocess.DEVNULL
            )
        self.started_at[index] = time.monotonic()

    def send(self, index: int, number: int) -> float:
        """Sends a signal to a process, if it runs; returns when."""
        self.processes[index].send_signal(number)
        return time.monotonic()

    def poll(self, anew: bool = True) -> list[End]:
        """Those that have ended since the last call; starts them anew if that may help."""
        ends = []
        for index, process in list(self.processes.items()):
            status = process.poll()
            if status is None:
                continue
            del self.processes[index]
            log = self.log(index).read_text(errors="replace").replace("\r", "\n")
            lines = [line for line in log.splitlines() if line.strip()] or [""]
            errors = [line for line in lines if line.startswith("finetune: ")]
            said = time.monotonic() - (time.time() - self.log(index).stat().st_mtime)
            ends.append(End(time.monotonic(), said, index, status, (errors or lines)[-1].strip(), log))
            if anew and status in _STARTED_ANEW:
                self.start(index)
        self.ends += ends
        return ends

    def wait(self, until, seconds: float = 400, anew: bool = True) -> list[End]:
        """Waits until something holds; returns who has ended meanwhile.

        Raises:
            TimeoutError: it does not hold after so many seconds.
        """
        ends, last = [], time.monotonic() + seconds
        while True:
            ends += self.poll(anew)
            if until():
                return ends
            if time.monotonic() > last:
                raise TimeoutError(f"after {seconds:.0f} seconds")
            time.sleep(0.01)

    def finish(self, seconds: float = 400, anew: bool = True) -> list[End]:
        """Waits until all processes have ended, and none is started anew."""
        return self.wait(lambda: not self.processes, seconds, anew)

    def has(self, text: str, index: int = 0) -> bool:
        """Whether a process, in its newest start, has written something."""
        return text in self.log(index).read_text(errors="replace")

    def kill(self) -> None:
        """Ends all that still run."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()


def _free_addresses(number: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
