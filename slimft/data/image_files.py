"""Images that stay in their files until they are asked for, read in parallel.

What a network sees of an image is its central square, in training, evaluation and prediction alike; a random
crop is a part of that.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import functools
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Protocol

import numpy as np

from slimft.data import image_cache
from slimft.data.fingerprint import file_digest
from slimft.data.images import central_square, read_image, size_to_read
from slimft.errors import DataError

# Twice the processors, so that some decode while others wait for the disk; each holds one image while it decodes.
_THREADS_A_PROCESSOR = 2
_MOST_THREADS = 16
# Images a thread reads before it comes back for more, at most: to hand out a small one costs as much as to read it.
_MOST_AT_A_TIME = 16
# Tasks that wait for a thread, in a long pass.
_TASKS_AHEAD = 64
# A bar that would be gone at once is not shown.
_QUIET_SECONDS = 3
# Images that cannot be read, in one message.
_NAMED = 3


class Source(Protocol):
    """Where one encoded image is."""

    @property
    def name(self) -> str:
        """What to call it in a message: a path, or a file and the number of a record."""

    @property
    def fingerprint(self) -> str:
        """Changes when the image does."""

    @property
    def key(self) -> str:
        """What it is known by from run to run."""

    def digest(self) -> str:
        """What `slimft.data.fingerprint.digest` makes of its bytes; raises OSError or DataError."""

    def open(self) -> BinaryIO | bytes:
        """The encoded image; raises OSError or DataError."""


class FileSource:
    """An image file.

    Args:
        path: where it is.
        key: what it is known by from run to run; by default its path.
    """

    __slots__ = ("path", "key")

    def __init__(self, path: str, key: str | None = None):
        self.path = path
        self.key = path if key is None else key

    @property
    def name(self) -> str:
        return self.path

    @property
    def fingerprint(self) -> str:
        """Its path, size and time of change; that of a file that is gone says so."""
        path = os.path.abspath(self.path)
        try:
            status = os.stat(path)
        except OSError as error:
            return f"{path} {error.strerror}"
        return f"{path} {status.st_size} {status.st_mtime_ns}"

    def open(self) -> BinaryIO:
        return open(self.path, "rb")

    def digest(self) -> str:
        return file_digest(self.path)


class _Collection:
    """What an `ImageFiles` and all that were selected from it share: the sources, and the caches by side."""

    def __init__(self, sources: Sequence[Source], cache: str):
        self.sources = sources
        self.cache = cache
        self.caches: dict[int, image_cache.CacheFile] = {}
        self.digests: np.ndarray | None = None

    def open_cache(self, side: int, make: bool = True) -> image_cache.CacheFile | None:
        """The cache of the sources as they are now; None if it is not there and not to be made. Raises OSError."""
        if side not in self.caches:
            file = image_cache.file_for((source.fingerprint for source in self.sources), side)
            if not (make or file.exists()):
                return None
            self.caches[side] = image_cache.CacheFile(file, len(self.sources), side)
        return self.caches[side]


class ImageFiles:
    """A sequence of encoded images.

    Args:
        sources: where each is; may make its items when they are asked for.
        cache: ``auto``, ``on`` or ``off``: see `prepare`.
    """

    def __init__(self, sources: Sequence[Source], cache: str = "auto"):
        self._collection = _Collection(sources, cache)
        self._indices = None  # Of the sources; None for all.

    def __len__(self) -> int:
        return len(self._all) if self._indices is None else len(self._indices)

    def name(self, index: int) -> str:
        """What image `index` is called in messages."""
        return self.source(index).name

    def source(self, index: int) -> Source:
        """Where image `index` is."""
        return self._all[int(self._of_sources(np.array(index)))]

    def known_digests(self) -> tuple[np.ndarray, np.ndarray]:
        """A place for each source's digest, empty where it is not known, and the places of these images.

        Returns:
            bytes of 16 letters ``[sources]``, to be filled; and int64 ``[len(self)]``.
        """
        if self._collection.digests is None:
            self._collection.digests = np.zeros(len(self._all), "S16")
        return self._collection.digests, self._of_sources(np.arange(len(self)))

    def select(self, indices: np.ndarray) -> ImageFiles:
        """Some of the images, in the order of `indices`; what is cached of one is cached of the other."""
        selected = ImageFiles.__new__(ImageFiles)
        selected._collection = self._collection
        selected._indices = self._of_sources(np.asarray(indices, np.int64))
        return selected

    def read(self, indices: Sequence[int] | np.ndarray, side: int) -> np.ndarray:
        """Reads images, from the cache where it has them.

        Args:
            indices: which.
            side: height and width of the result.

        Returns:
            uint8 ``[len(indices), side, side, 3]``, RGB in 0..255: the central squares of the images, as
            `slimft.data.images.central_square` makes them, rounded.

        Raises:
            DataError: an image is missing, truncated or corrupt; the message names it.
        """
        indices = self._of_sources(np.asarray(indices, np.int64))
        images = np.empty((len(indices), side, side, 3), np.uint8)
        cache = self._collection.caches.get(side)
        missing = np.arange(len(indices)) if cache is None else cache.read(indices, images)

        def decode(places: np.ndarray) -> None:
            for place in places:
                try:
                    images[place] = _square(self._all[int(indices[place])], side)
                except DataError as error:
                    raise DataError(f"{error}; replace or remove it") from None

        for _ in _in_threads(decode, _parts(missing)):
            pass
        return images

    def prepare(self, side: int, several_passes: bool, progress: bool = True) -> str | None:
        """Decodes all of these images into a cache on the disk, if that helps; `read` then uses it.

        With a cache of ``auto``, that is where the images are read in several passes, and take at most
        `image_cache.MOST_BYTES` and a third of the free space of the disk; in a single pass, what is there already
        is used. With ``on`` it is always, with ``off`` never.

        Args:
            side: height and width the images will be read at.
            several_passes: whether they will be read more than once.
            progress: whether to show a bar if it takes more than a few seconds.

        Returns:
            What to tell the user where ``auto`` would have cached them and cannot, else None.

        Raises:
            DataError: images cannot be read (the message counts them, and names the first), or a cache that has
                to be (``on``) cannot be written.
        """
        mode = self._collection.cache
        if mode == "off":
            return None
        if mode == "auto" and not several_passes:
            with contextlib.suppress(OSError):
                self._collection.open_cache(side, make=False)
            return None
        wanted = self._of_sources(np.arange(len(self)))
        try:
            cache = self._collection.open_cache(side)
            missing = wanted[~cache.has(wanted)]
            obstacle = cache.obstacle(len(missing)) if mode == "auto" else None
            if obstacle is None:
                self._fill(cache, missing, progress)
                return None
            if cache.is_empty():
                cache.file.unlink(missing_ok=True)
                del self._collection.caches[side]
        except OSError as error:
            self._collection.caches.pop(side, None)
            obstacle = f"{image_cache.folder()}: {error.strerror or error}"
            if mode == "on":
                raise DataError(f"--cache=on: {obstacle}; make room for it, or choose --cache=off") from None
        return f"images are decoded anew in each epoch: {obstacle}"

    def _fill(self, cache: image_cache.CacheFile, missing: np.ndarray, progress: bool) -> None:
        """Decodes the `missing` images, of all sources, into the cache; raises DataError if some cannot be read."""
        from slimft.progress_bar import ProgressBar

        failures = {}

        def decode(indices: np.ndarray) -> np.ndarray:
            decoded = []
            for index in indices:
                try:
                    cache.write(index, _square(self._all[int(index)], cache.side))
                    decoded.append(index)
                except DataError as error:
                    failures[int(index)] = error
            return np.array(decoded, np.int64)

        options = {"unit": " images", "delay": _QUIET_SECONDS, "mininterval": 1, "disable": not progress}
        with ProgressBar(desc="decoding", total=len(missing), **options) as bar, cache.filling(len(missing)) as add:
            for decoded in _in_threads(decode, _parts(missing)):
                add(decoded)
                bar.update(len(decoded))
        if len(failures) == 1:
            raise DataError(f"{next(iter(failures.values()))}; replace or remove it")
        if failures:
            named = [str(failures[index]) for index in sorted(failures)[:_NAMED]]
            more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
            listed = "; ".join(named)
            raise DataError(f"{len(failures)} images cannot be read: {listed}{more}; replace or remove them")

    @property
    def _all(self) -> Sequence[Source]:
        return self._collection.sources

    def _of_sources(self, indices: np.ndarray) -> np.ndarray:
        """The indices, among the sources, of images of this object."""
        return indices if self._indices is None else self._indices[indices]


def _square(source: Source, side: int) -> np.ndarray:
    """uint8 ``[side, side, 3]``; raises DataError."""
    try:
        stream = source.open()
    except OSError as error:
        raise DataError(f"{source.name} cannot be read: {error.strerror or error}") from None
    if isinstance(stream, bytes):
        stream = io.BytesIO(stream)
    square = central_square(read_image(stream, size_to_read(side, 1.0), source.name), side, 1.0)
    return np.rint(square, out=square).astype(np.uint8)


def _parts(indices: np.ndarray) -> Iterator[np.ndarray]:
    """The indices, in parts for a thread each."""
    size = max(1, min(_MOST_AT_A_TIME, len(indices) // count_threads()))
    return (indices[start : start + size] for start in range(0, len(indices), size))


def _in_threads(work: Callable, items: Iterable) -> Iterator:
    """Yields ``work(item)`` for each of the items, in order; only a few are waiting for a thread at a time.

    Raises:
        Exception: what the first `work` to fail raised, after those that had begun are done.
    """
    items, waiting = iter(items), collections.deque()
    try:
        for item in itertools.islice(items, _TASKS_AHEAD):
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
    return concurrent.futures.ThreadPoolExecutor(count_threads(), "read-images")


@functools.cache
def count_threads() -> int:
    """How many threads read images."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_THREADS, _THREADS_A_PROCESSOR * processors)
