"""Decoded images on the disk, each found by what its file was when it was decoded.

They are in files of `slimft.data.image_shard`, those of each side in files of their own. An image that is there
already, for whatever collection of images it was decoded, is not decoded again. Several processes may fill the
cache at the same time, each a file of its own; each looks from time to time for what the others have decoded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import PIL

from slimft import system
from slimft.data.image_shard import ENTRY, SUFFIX, Shard, seeds
from slimft.messages import say

# Of one collection, where nobody asked for it.
MOST_BYTES = 10 << 30
MOST_OF_FREE_SPACE = 1 / 3
# Of all together: those that were not used for the longest time make room.
MOST_BYTES_IN_FOLDER = 20 << 30
# Of the collection's own files, those of which a smaller share is in use may make room too.
LEAST_IN_USE = 1 / 2

# What a cached image is of its file; another number where that changes.
_VERSION = 3
# Seconds between two looks for what other processes have decoded.
LOOK_SECONDS = 5.0
_damage_is_told = threading.Event()


def folder() -> pathlib.Path:
    """The folder of the caches; raises UsageError where the user has no home folder."""
    return system.cache_folder("images")


def hashes(fingerprints: Iterable[str]) -> np.ndarray:
    """What images are found by: S16 ``[images]``, from fingerprints that change when the images do."""
    kind = f"{_VERSION} Pillow {PIL.__version__}\n".encode()
    found = [
        hashlib.blake2b(kind + fingerprint.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        for fingerprint in fingerprints
    ]
    return np.frombuffer(b"".join(found), "S16")


class _Found(NamedTuple):
    """Where the images of a collection are: for each its file's index (-1: nowhere), its place and checksum."""

    shards: list[Shard]
    shard: np.ndarray
    place: np.ndarray
    crc: np.ndarray


class Cache:
    """The cached images of a collection, at one side. Threads may read, and write, at the same time.

    Args:
        fingerprints: a string for each image, which changes when the image does.
        side: height and width of a cached image.

    Raises:
        OSError: files that are there cannot be read.
        UsageError: the user has no home folder.
    """

    def __init__(self, fingerprints: Iterable[str], side: int):
        self.side, self._folder = side, folder()
        self._image_bytes = side * side * 3
        self._hashes = hashes(fingerprints)
        self._seeds = seeds(self._hashes)
        self._writer = None
        self._found = _Found([], *(np.full(len(self._hashes), -1, np.int64) for _ in range(3)))
        self.look()
        for shard in self._found.shards:
            shard.touch()

    def look(self) -> None:
        """Looks for the images, also those that other processes have written since."""
        known = {shard.file: shard for shard in self._found.shards}
        shards = []
        for file in self._files(f"-{self.side}{SUFFIX}"):
            # Another user's, or removed just now.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                shards.append(known.get(file) or Shard.open(file, self.side))
        shards = [shard for shard in shards if shard is not None]
        tables = [shard.table() for shard in shards] or [np.zeros(0, ENTRY)]
        entries = np.concatenate(tables)
        shard_of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        place_of = np.concatenate([np.arange(len(table)) for table in tables])
        there = np.flatnonzero(entries["filled"] == 1)
        there = there[np.argsort(entries["hash"][there], kind="stable")]
        at = np.searchsorted(entries["hash"][there], self._hashes)
        mine = np.flatnonzero(at < len(there))
        mine = mine[entries["hash"][there[at[mine]]] == self._hashes[mine]]
        entry = there[at[mine]]
        # Files without any of the images are closed.
        used, index = np.unique(shard_of[entry], return_inverse=True)
        shard, place, crc = (np.full(len(self._hashes), -1, np.int64) for _ in range(3))
        shard[mine], place[mine], crc[mine] = index, place_of[entry], entries["crc"][entry]
        self._found = _Found([shards[number] for number in used], shard, place, crc)

    def has(self, indices: np.ndarray) -> np.ndarray:
        """Which of the images are there: bool of the shape of `indices`."""
        return self._found.shard[indices] >= 0

    def missing(self, indices: np.ndarray) -> np.ndarray:
        """Those of the images that are not there, each once even if it occurs several times in the collection."""
        indices = indices[~self.has(indices)]
        _, first = np.unique(self._hashes[indices], return_index=True)
        return indices[np.sort(first)]

    def will_read(self, indices: np.ndarray) -> None:
        """Tells the system which images will be read soon: a disk is faster if it has more than one to read."""
        shards, shard, place, _ = self._found
        for number, where in zip(shard[indices].tolist(), place[indices].tolist()):
            if number >= 0:
                shards[number].will_read(where)

    def read(self, indices: np.ndarray, images: np.ndarray) -> list[int]:
        """Reads the images that are there.

        Args:
            indices: which.
            images: where to: uint8 ``[len(indices), side, side, 3]``, contiguous.

        Returns:
            The places in `images` that are still to be filled: of those that are not there, or are damaged.
        """
        shards, *where = self._found
        left = []
        rows = zip(self._seeds[indices].tolist(), *(column[indices].tolist() for column in where))
        for position, (seed, number, place, crc) in enumerate(rows):
            if number < 0:
                left.append(position)
            elif not shards[number].read(place, images[position], seed, crc):
                left.append(position)
                if not _damage_is_told.is_set():
                    _damage_is_told.set()
                    say(f"{shards[number].file} is damaged: an image fails its checksum; such are decoded anew")
        return left

    def repair(self, index: int, fingerprint: str, image: np.ndarray) -> None:
        """Writes an image again where `read` found it damaged; if that fails, it stays as it is."""
        shards, shard, place, crc = self._found
        if shard[index] >= 0 and self._is_as_it_was(index, fingerprint):
            with contextlib.suppress(OSError):
                crc[index] = shards[shard[index]].write(int(place[index]), image, self._hashes[index : index + 1])

    def obstacle(self, wanted: np.ndarray) -> str | None:
        """Why those of the wanted images that are missing should not be written unasked; None if they may."""
        size = len(self.missing(wanted)) * self._image_bytes
        together = size + int(np.count_nonzero(self._found.shard >= 0)) * self._image_bytes
        if together > MOST_BYTES:
            return f"decoded they take {_size(together)}, more than {_size(MOST_BYTES)}; --cache=on would keep them"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(self._folder).free
        if size > free * MOST_OF_FREE_SPACE:
            return f"decoded they take {_size(size)}, and {self._folder} has no more than {_size(free)} free"
        return None

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """Around calls of `write`; if writing fails (OSError), the files that were made meanwhile are removed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._writer = _Writer(self._folder, self.side, self._found.shards)
        try:
            yield
        except OSError:
            self._writer.remove()
            raise
        finally:
            self._writer.close()
            self._writer = None
            self.look()

    def write(self, index: int, fingerprint: str, image: np.ndarray) -> None:
        """Writes an image, while `filling`, unless its file is by now another than when this cache was opened."""
        if self._is_as_it_was(index, fingerprint):
            self._writer.write(image, self._hashes[index : index + 1])

    def _is_as_it_was(self, index: int, fingerprint: str) -> bool:
        return hashes([fingerprint])[0] == self._hashes[index]

    def make_room(self, indices: np.ndarray) -> None:
        """Removes files so that all together, with those of the images that are missing, are not too large.

        Those go that were not used for the longest time and hold none of the collection's images; then those that
        hold least of them, if it is less than `LEAST_IN_USE`: most of what they have is of images that were removed
        or changed.
        """
        excess = len(self.missing(indices)) * self._image_bytes - MOST_BYTES_IN_FOLDER
        ours, found = {}, []
        for number, shard in enumerate(self._found.shards):
            filled = np.count_nonzero(shard.table()["filled"])
            ours[shard.file] = np.count_nonzero(self._found.shard == number) / max(filled, 1)
        for file in self._files(SUFFIX):
            with contextlib.suppress(OSError):
                status = file.stat()
                size = status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
                last_used = max(status.st_atime_ns, status.st_mtime_ns)
                found.append((ours.get(file, 0), last_used, str(file), size))
                excess += size
        for share, _, file, size in sorted(found):
            if excess <= 0 or share >= LEAST_IN_USE:
                break
            with contextlib.suppress(OSError):
                os.unlink(file)
                excess -= size
        self.look()

    def _files(self, suffix: str) -> list[pathlib.Path]:
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder) if entry.name.endswith(suffix))
        except FileNotFoundError:
            return []
        return [self._folder / name for name in names]


class _Writer:
    """Adds images to files that no other process adds to: those of `shards` that have room, then new ones."""

    def __init__(self, folder: pathlib.Path, side: int, shards: list[Shard]):
        self._folder, self._side, self._candidates = folder, side, list(shards)
        self._shard, self._next = None, 0
        self._used, self._made = [], []
        self._lock = threading.Lock()

    def write(self, image: np.ndarray, its_hash: np.ndarray) -> None:
        with self._lock:
            if self._shard is None or self._next == self._shard.places:
                self._shard = self._continued() or self._created()
                self._used.append(self._shard)
            shard, place = self._shard, self._next
            self._next += 1
        shard.write(place, image, its_hash)

    def _continued(self) -> Shard | None:
        while self._candidates:
            shard = self._candidates.pop()
            if shard.file.exists() and system.lock(shard.descriptor):
                filled = np.flatnonzero(shard.table()["filled"])
                self._next = int(filled[-1]) + 1 if len(filled) else 0
                if self._next < shard.places:
                    return shard
                system.unlock(shard.descriptor)
        return None

    def _created(self) -> Shard:
        self._next = 0
        self._made.append(Shard.create(self._folder, self._side))
        return self._made[-1]

    def remove(self) -> None:
        """Removes the files it has made."""
        for shard in self._made:
            shard.remove()

    def close(self) -> None:
        for shard in self._used:
            system.unlock(shard.descriptor)


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
