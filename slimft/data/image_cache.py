"""Decoded images on the disk: a file for a collection of images and the side they were read at.

It has room for every image, uint8 ``[images, side, side, 3]``, and behind them a byte for each image, which is 1
where the image is there. What was not written takes no space on the disk. The byte is written when the image is
known to be on the disk: a process may be killed at any moment, and the next one goes on from there. Several may
fill the file at the same time, as they write the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import PIL

SUFFIX = ".images"
# Of one collection, where nobody asked for it.
MOST_BYTES = 10 << 30
MOST_OF_FREE_SPACE = 1 / 3
# Of all together: those that were not used for the longest time make room.
MOST_BYTES_IN_FOLDER = 20 << 30

# What a cached image is of its file; another number where that changes.
_VERSION = 1
# Seconds between two waits for the disk: what was written since the last is lost if the process is killed.
_SYNC_SECONDS = 10.0


def folder() -> pathlib.Path:
    """The folder of the caches: ``~/.cache/slimft/images``, or below ``$XDG_CACHE_HOME``."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(root, "slimft", "images")


def file_for(fingerprints: Iterable[str], side: int) -> pathlib.Path:
    """The cache of images with these fingerprints, read at `side`."""
    digest = hashlib.sha256(f"{_VERSION} Pillow {PIL.__version__}".encode())
    for fingerprint in fingerprints:
        digest.update(b"\n" + fingerprint.encode("utf-8", "surrogateescape"))
    return folder() / f"{digest.hexdigest()[:32]}-{side}{SUFFIX}"


class CacheFile:
    """The cache of a collection, opened or made.

    Args:
        file: its path; a file of a wrong size is replaced.
        num_images: images of the collection.
        side: height and width of an image.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, file: pathlib.Path, num_images: int, side: int):
        self.file, self.side = file, side
        self._descriptor = None
        self._image_bytes = side * side * 3
        self._marks_at = num_images * self._image_bytes
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = self._open(self._marks_at + num_images)
        self._marks = np.zeros(num_images, np.uint8)
        os.preadv(self._descriptor, [self._marks], self._marks_at)

    def __del__(self):
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _open(self, size: int) -> int:
        for _ in range(2):
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # Another process may have made it, and not have sized it yet.
                if os.fstat(descriptor).st_size == 0:
                    os.ftruncate(descriptor, size)
                if os.fstat(descriptor).st_size == size:
                    os.utime(descriptor)
                    return descriptor
                self.file.unlink(missing_ok=True)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        raise OSError(f"{self.file} changes its size")

    def has(self, indices: np.ndarray) -> np.ndarray:
        """Which of the images are there: bool ``[len(indices)]``."""
        return self._marks[indices] == 1

    def read(self, indices: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Reads the images that are there.

        Args:
            indices: which, among the collection.
            images: where to: uint8 ``[len(indices), side, side, 3]``, contiguous.

        Returns:
            int64, the places in `images` that are still to be filled.
        """
        there = self.has(indices)
        if hasattr(os, "posix_fadvise"):
            # All at once: a disk is faster if it has more than one to read.
            for index in indices[there].tolist():
                os.posix_fadvise(
                    self._descriptor, index * self._image_bytes, self._image_bytes, os.POSIX_FADV_WILLNEED
                )
        for place in np.flatnonzero(there):
            try:
                read = os.preadv(self._descriptor, [images[place]], int(indices[place]) * self._image_bytes)
            except OSError:
                read = 0
            there[place] = read == self._image_bytes
        return np.flatnonzero(~there)

    def obstacle(self, num_missing: int) -> str | None:
        """Why so many more images should not be written without being asked for; None if they may."""
        size = num_missing * self._image_bytes
        together = size + int(np.count_nonzero(self._marks)) * self._image_bytes
        if together > MOST_BYTES:
            return f"decoded they take {_size(together)}, more than {_size(MOST_BYTES)}; --cache=on would keep them"
        free = shutil.disk_usage(self.file.parent).free
        if size > free * MOST_OF_FREE_SPACE:
            return f"decoded they take {_size(size)}, and {self.file.parent} has no more than {_size(free)} free"
        return None

    def is_empty(self) -> bool:
        """Whether it has no image."""
        return not self._marks.any()

    @contextlib.contextmanager
    def filling(self, num_missing: int) -> Iterator[Callable[[np.ndarray], None]]:
        """Makes room for so many images; gives a function to be called with those that `write` has written.

        If writing fails (OSError), the file is removed.
        """
        make_room(self.file, num_missing * self._image_bytes)
        written, last = [], time.monotonic()

        def add(indices: np.ndarray) -> None:
            nonlocal last
            written.append(indices)
            if time.monotonic() - last >= _SYNC_SECONDS:
                self._mark(written)
                last = time.monotonic()

        try:
            try:
                yield add
            finally:
                self._mark(written)
        except OSError:
            self.file.unlink(missing_ok=True)
            raise

    def write(self, index: int, image: np.ndarray) -> None:
        """Writes one image; threads may do that at the same time. It is not there before it is marked."""
        _write(self._descriptor, image, int(index) * self._image_bytes)

    def _mark(self, written: list[np.ndarray]) -> None:
        if not written:
            return
        os.fdatasync(self._descriptor)
        indices = np.concatenate(written)
        written.clear()
        # Only these: another process may have marked others.
        for index in indices.tolist():
            _write(self._descriptor, np.ones(1, np.uint8), self._marks_at + index)
        self._marks[indices] = 1


def make_room(file: pathlib.Path, size: int) -> None:
    """Removes caches other than `file`, the least recently used first, so that `size` more bytes fit the folder."""
    others = []
    for path in file.parent.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            status = path.stat()
            others.append((status.st_mtime_ns, path, status.st_blocks * 512))
            if path == file:
                size += others.pop()[2]
    others.sort()
    together = size + sum(blocks for _, _, blocks in others)
    for _, path, blocks in others:
        if together <= MOST_BYTES_IN_FOLDER:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            together -= blocks


def _write(descriptor: int, array: np.ndarray, offset: int) -> None:
    octets = memoryview(np.ascontiguousarray(array)).cast("B")
    while octets:
        count = os.pwrite(descriptor, octets, offset)
        octets, offset = octets[count:], offset + count


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
