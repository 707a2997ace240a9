"""Work on many images in threads, which all that reads images shares."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from slimft import system

# Twice the processors, so that some decode while others wait for the disk; each holds one image while it decodes.
_THREADS_A_PROCESSOR = 2
_MOST_THREADS = 16
# Tasks that wait for a thread, in a long pass.
_TASKS_AHEAD = 64


def parts_of(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The indices in parts of `size`, the last of which may be smaller."""
    return (indices[start : start + size] for start in range(0, len(indices), size))


def in_threads(work: Callable, items: Iterable, ahead: int = _TASKS_AHEAD) -> Iterator:
    """Yields ``work(item)`` for each of the items, in order; at most `ahead` are waiting, or done, at a time.

    Raises:
        Exception: what the first `work` to fail raised, after those that had begun are done.
    """
    items, waiting = iter(items), collections.deque()
    try:
        for item in itertools.islice(items, ahead):
            waiting.append(_threads(os.getpid()).submit(work, item))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(_threads(os.getpid()).submit(work, item) for item in itertools.islice(items, 1))
    finally:
        for future in waiting:
            future.cancel()
        concurrent.futures.wait(waiting)


@functools.lru_cache(maxsize=1)
def _threads(process: int) -> concurrent.futures.ThreadPoolExecutor:
    """The threads that read, of this `process`: a fork has none of its parent's."""
    system.keep_freed_memory()
    return concurrent.futures.ThreadPoolExecutor(count_threads(), "read-images")


@functools.cache
def count_threads() -> int:
    """How many threads read images."""
    return min(_MOST_THREADS, _THREADS_A_PROCESSOR * system.processors())
