"""A file of records of one size: a head, a table with an entry for each record there is room for, and the records.

Only one process adds records to a file; what was added does not change, and other processes may read it meanwhile.
A record is written before its entry, and its checksum is in the entry: whatever a killed process, a full disk or a
power failure leaves, a record is read as it was written or not at all. All numbers are little-endian.
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

# Bytes of records for which a file has room.
SHARD_BYTES = 256 << 20
# Entries; those of a million tiny records would be a table that is larger than most caches.
MOST_PLACES = 1 << 14

# A hash of which record it is, the CRC-32C of its bytes, and whether it is there.
ENTRY = np.dtype([("hash", "S16"), ("crc", "<u4"), ("filled", "<u4")])
_HEAD = struct.Struct("<16sQII")
_MAGIC = b"slimft records\n\0"
_TABLE_AT = 64
# Records begin at a page of the disk.
_ALIGNMENT = 4096


class Shard:
    """One such file, opened.

    Attributes:
        file: its path.
        places: for how many records it has room.
        descriptor: of the open file.
    """

    def __init__(self, file: pathlib.Path, record_bytes: int, descriptor: int, places: int):
        self.file, self.places, self.descriptor = file, places, descriptor
        self._record_bytes = record_bytes
        self._records_at = -(-(_TABLE_AT + places * ENTRY.itemsize) // _ALIGNMENT) * _ALIGNMENT

    def __del__(self):
        os.close(self.descriptor)

    @classmethod
    def open(cls, file: pathlib.Path, record_bytes: int) -> Shard | None:
        """Opens a file; None where it is no such file, or not (yet) whole. Raises OSError."""
        descriptor = system.open_descriptor(file, os.O_RDWR)
        try:
            head = np.zeros(_HEAD.size, np.uint8)
            if system.read_into(descriptor, head, 0) == head.size:
                magic, its_bytes, places, crc = _HEAD.unpack(head)
                intact = crc == checksum.crc32c(head[:-4]) and magic == _MAGIC
                if intact and its_bytes == record_bytes and 0 < places <= MOST_PLACES:
                    shard, descriptor = cls(file, record_bytes, descriptor, places), None
                    return shard
            return None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @classmethod
    def create(cls, folder: pathlib.Path, ending: str, record_bytes: int) -> Shard:
        """Makes an empty file with a new name, which ends with `ending`, locked. Raises OSError."""
        places = max(1, min(MOST_PLACES, SHARD_BYTES // record_bytes))
        file = folder / f"{secrets.token_hex(8)}{ending}"
        descriptor = system.open_descriptor(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        shard = cls(file, record_bytes, descriptor, places)
        system.lock(descriptor)
        head = _HEAD.pack(_MAGIC, record_bytes, places, 0)[:-4]
        start = np.zeros(shard._records_at, np.uint8)
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
        """Tells the system that a record will be read soon."""
        system.will_read(self.descriptor, self._records_at + place * self._record_bytes, self._record_bytes)

    def read(self, place: int, record: np.ndarray, seed: int, crc: int) -> bool:
        """Reads a record into a contiguous array of its size; whether its checksum, from `seed`, is `crc`."""
        try:
            count = system.read_into(self.descriptor, record, self._records_at + place * self._record_bytes)
        except OSError:
            return False
        return count == self._record_bytes and checksum.extend(seed, record.reshape(-1)) == crc

    def write(self, place: int, record: np.ndarray, its_hash: np.ndarray) -> int:
        """Writes a record and then its entry; returns its checksum. Raises OSError."""
        record = np.ascontiguousarray(record)
        crc = checksum.extend(int(seeds(its_hash)[0]), record.reshape(-1))
        entry = np.zeros(1, ENTRY)
        entry["hash"], entry["crc"], entry["filled"] = its_hash, crc, 1
        system.write_at(self.descriptor, record, self._records_at + place * self._record_bytes)
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
    """What the checksums of records with these hashes (S16) begin with: the bytes of another would not fit."""
    return np.ascontiguousarray(hashes).reshape(-1).view("<u4")[::4]
