"""Work in a process of its own, with limits of memory and time, and what it took of them."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

# Beside what the work may take: stacks of threads, and address space that is reserved and not used.
_SLACK_BYTES = 256 << 20
# Of all files that the work writes, each.
_FILE_BYTES = 256 << 20
_LIBC = ctypes.CDLL(None)
_ARENAS, _MAPPED_FROM = -8, -3  # M_ARENA_MAX and M_MMAP_THRESHOLD of malloc.h.


class Outcome(NamedTuple):
    """How a process ended.

    Attributes:
        answer: what the work returned; None if it did not come to its end.
        end: why it did not: a signal's name, ``hang`` or a status; empty if it did.
        peak: bytes of memory it had at most, more than when it began; of the processes it started too.
        seconds: how long it took, by the clock.
    """

    answer: object
    end: str
    peak: int
    seconds: float


def resident_bytes() -> int:
    """What this process has in memory."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()


def plain_memory() -> None:
    """Lets memory be measured: one heap for all threads, and what is freed of large arrays goes back at once.

    A heap of each thread's own would reserve 64 MiB of address space.
    """
    _LIBC.mallopt(_ARENAS, 1)
    _LIBC.mallopt(_MAPPED_FROM, 1 << 18)


def isolated(work: Callable[[], object], memory: int, seconds: float) -> Outcome:
    """Does `work`, whose result goes through JSON, in a fork of this process.

    Args:
        work: what to do. What it raises counts as a status.
        memory: bytes of address space it may take beyond what this process has.
        seconds: after which it is killed, with the processes it started.
    """
    receiving, sending = os.pipe()
    _LIBC.malloc_trim(0)  # What is free here could be taken there, and not be seen.
    start = time.monotonic()
    process = os.fork()
    if not process:
        os.close(receiving)
        _work(work, sending, memory)
    os.close(sending)
    data, late = _received(receiving, start + seconds)
    os.close(receiving)
    if late:
        _kill_group(process)
    _, status, usage = os.wait4(process, 0)
    _kill_group(process)
    took = time.monotonic() - start
    before, _, text = data.partition(b"\n")
    peak = max(0, usage.ru_maxrss * 1024 - int(before or resident_bytes()))
    if late:
        return Outcome(None, "hang", peak, took)
    code = os.waitstatus_to_exitcode(status)
    if code:
        return Outcome(None, signal.Signals(-code).name if code < 0 else f"status {code}", peak, took)
    return Outcome(json.loads(text), "", peak, took)


def _received(descriptor: int, deadline: float) -> tuple[bytes, bool]:
    """What comes until the other end is closed, and whether that was not before the deadline."""
    pieces = []
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
        piece = os.read(descriptor, 1 << 20) if ready else b""
        if not piece:
            return b"".join(pieces), not ready
        pieces.append(piece)


def _kill_group(process: int) -> None:
    try:
        os.killpg(process, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _work(work: Callable[[], object], sending: int, memory: int) -> None:
    """Does it, sends what the process had at the start and the result, and ends the process."""
    status = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        with open("/proc/self/statm") as stream:
            size = int(stream.read().split()[0]) * resource.getpagesize()
        for kind, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, _FILE_BYTES),
            (resource.RLIMIT_AS, size + memory + _SLACK_BYTES),
        ):
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
        os.write(sending, f"{resident_bytes()}\n".encode())
        text = json.dumps(work()).encode()
        while text:
            text = text[os.write(sending, text) :]
        status = 0
    finally:
        os._exit(status)
