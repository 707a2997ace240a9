"""A file of decoded images: a head, a table with an entry for each image there is room for, and their pixels.

Only one process adds images to a file; what was added does not change, and other processes may read it meanwhile.
An image is written before its entry, and its checksum is in the entry: whatever a killed process, a full disk or a
power failure leaves, an image is read as it was written or not at all. All numbers are little-endian.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import struct

import numpy as np

from slimft import system
from slimft.wire import checksum

SUFFIX = ".images"
# Bytes of pixels for which a file has room.
SHARD_BYTES = 256 << 20
# Entries; those of a million tiny images would be a table that is larger than most caches.
MOST_PLACES = 1 << 14

# A hash of which image it is, the CRC-32C of its pixels, and whether it is there.
ENTRY = np.dtype([("hash", "S16"), ("crc", "<u4"), ("filled", "<u4")])
_HEAD = struct.Struct("<16sIII")
_MAGIC = b"slimft images 2\n"
_TABLE_AT = 64
# Pixels begin at a page of the disk.
_ALIGNMENT = 4096


class Shard:
    """One such file, opened.

    Attributes:
        file: its path.
        places: for how many images it has room.
        descriptor: of the open file.
    """

    def __init__(self, file: pathlib.Path, side: int, descriptor: int, places: int):
        self.file, self.places, self.descriptor = file, places, descriptor
        self._image_bytes = side * side * 3
        self._pixels_at = -(-(_TABLE_AT + places * ENTRY.itemsize) // _ALIGNMENT) * _ALIGNMENT

    def __del__(self):
        os.close(self.descriptor)

    @classmethod
    def open(cls, file: pathlib.Path, side: int) -> Shard | None:
        """Opens a file; None where it is no such file, or not (yet) whole. Raises OSError."""
        descriptor = system.open_descriptor(file, os.O_RDWR)
        try:
            head = np.zeros(_HEAD.size, np.uint8)
            if system.read_into(descriptor, head, 0) == head.size:
                magic, its_side, places, crc = _HEAD.unpack(head)
                intact = crc == checksum.crc32c(head[:-4]) and magic == _MAGIC
                if intact and its_side == side and 0 < places <= MOST_PLACES:
                    shard, descriptor = cls(file, side, descriptor, places), None
                    return shard
            return None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @classmethod
    def create(cls, folder: pathlib.Path, side: int) -> Shard:
        """Makes an empty file with a new name, locked. Raises OSError."""
        places = max(1, min(MOST_PLACES, SHARD_BYTES // (side * side * 3)))
        file = folder / f"{secrets.token_hex(8)}-{side}{SUFFIX}"
        descriptor = system.open_descriptor(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        shard = cls(file, side, descriptor, places)
        system.lock(descriptor)
        head = _HEAD.pack(_MAGIC, side, places, 0)[:-4]
        start = np.zeros(shard._pixels_at, np.uint8)
        start[: _HEAD.size] = np.frombuffer(head + struct.pack("<I", checksum.crc32c(head)), np.uint8)
        try:
            system.write_at(descriptor, start, 0)
        except OSError:
            shard.remove()
            raise
        return shard

    def table(self) -> np.ndarray:
        """The entries, as they are now: `ENTRY` ``[places]``; of those that are not there `filled` is 0."""
        entries = np.zeros(self.places, ENTRY)
        system.read_into(self.descriptor, entries.view(np.uint8), _TABLE_AT)
        return entries

    def will_read(self, place: int) -> None:
        """Tells the system that an image will be read soon."""
        system.will_read(self.descriptor, self._pixels_at + place * self._image_bytes, self._image_bytes)

    def read(self, place: int, image: np.ndarray, seed: int, crc: int) -> bool:
        """Reads an image into contiguous uint8 ``[side, side, 3]``; whether its checksum, from `seed`, is `crc`."""
        try:
            count = system.read_into(self.descriptor, image, self._pixels_at + place * self._image_bytes)
        except OSError:
            return False
        return count == self._image_bytes and checksum.extend(seed, image.reshape(-1)) == crc

    def write(self, place: int, image: np.ndarray, its_hash: np.ndarray) -> int:
        """Writes an image and then its entry; returns its checksum. Raises OSError."""
        image = np.ascontiguousarray(image)
        crc = checksum.extend(int(seeds(its_hash)[0]), image.reshape(-1))
        entry = np.zeros(1, ENTRY)
        entry["hash"], entry["crc"], entry["filled"] = its_hash, crc, 1
        system.write_at(self.descriptor, image, self._pixels_at + place * self._image_bytes)
        system.write_at(self.descriptor, entry.view(np.uint8), _TABLE_AT + place * ENTRY.itemsize)
        return crc

    def touch(self) -> None:
        """Notes that it was used now."""
        with contextlib.suppress(OSError):
            os.utime(self.file)

    def remove(self) -> None:
        """Removes the file; who has it open may go on reading."""
        with contextlib.suppress(OSError):
            self.file.unlink()


def seeds(hashes: np.ndarray) -> np.ndarray:
    """What the checksums of images with these hashes (S16) begin with: the pixels of another would not fit."""
    return np.ascontiguousarray(hashes).reshape(-1).view("<u4")[::4]
