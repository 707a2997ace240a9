"""Files of gzip or zlib, read in order, or at any place of what they unpack to.

Deflate has to be unpacked from its start on. While a file is read in order, the state of the decompressor, about
36 KB, is kept at some places; reading at a place begins at the last of these before it. So nothing is unpacked to
the disk, and memory is bounded.
"""

from __future__ import annotations

import bisect
import collections
import itertools
import os
import threading
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from slimft import system
from slimft.wire.binary_file import Malformed

# A file may unpack to so many times its own size, and so many bytes more. Deflate reaches 1032; images, which are
# compressed already, hardly 2.
MOST_RATIO = 200
ALLOWANCE = 64 << 20
# Bytes between two places, at first: twice as many whenever there are too many places.
_SPACING = 1 << 20
_BLOCK = 64 << 10
# zlib.h: the largest window, and the head of either format is found out.
_EITHER_HEAD = 15 + 32
# Places where reading has ended lately, of all files together: who reads on in order goes on from there.
_MOST_RECENT = 64

_numbers = itertools.count()
_recent: collections.OrderedDict[tuple[int, int], _Place] = collections.OrderedDict()
_recent_lock = threading.Lock()


class _Place(NamedTuple):
    """A state between two bytes: `position` of what is unpacked, and `taken` bytes of the file to get there."""

    position: int
    taken: int
    decompressor: object


def unpacked_start(head: bytes, size: int) -> bytes:
    """The first `size` bytes that the head of a gzip or zlib file unpacks to; fewer, or none, of another file."""
    try:
        return zlib.decompressobj(_EITHER_HEAD).decompress(head, size)
    except zlib.error:
        return b""


class DeflateFile:
    """A gzip or zlib file.

    Args:
        path: the file.
        most_places: how many places to keep.
    """

    def __init__(self, path: str | os.PathLike, most_places: int):
        self._path, self._most, self._number = path, most_places, next(_numbers)
        self._spacing = _SPACING
        self._places = [_Place(0, 0, zlib.decompressobj(_EITHER_HEAD))]

    def in_order(self, descriptor: int) -> Unpacker:
        """A stream of all that the file, open under `descriptor`, unpacks to; to be read before `read` is used."""
        return Unpacker(descriptor, self._places[0], self._keep)

    def read(self, offset: int, size: int) -> bytes:
        """Reads at a place of what the file unpacks to; fewer bytes only at the end.

        Raises:
            OSError: the file cannot be read.
            Malformed: it is cut off or damaged.
        """
        place = self._place_before(offset)
        descriptor = system.open_descriptor(self._path, os.O_RDONLY)
        try:
            stream = Unpacker(descriptor, place)
            while stream.position < offset:
                if not stream.read(min(offset - stream.position, _SPACING)):
                    return b""
            data = stream.read(size)
            with _recent_lock:
                _recent[self._number, stream.position] = stream.place()
                while len(_recent) > _MOST_RECENT:
                    _recent.popitem(last=False)
            return data
        finally:
            os.close(descriptor)

    def _place_before(self, offset: int) -> _Place:
        place = self._places[bisect.bisect_right(self._places, offset, key=lambda place: place.position) - 1]
        with _recent_lock:
            for (number, position), recent in _recent.items():
                if number == self._number and place.position < position <= offset:
                    place = recent
            _recent.pop((self._number, place.position), None)
        return place

    def _keep(self, stream: Unpacker) -> None:
        if stream.position - self._places[-1].position >= self._spacing:
            self._places.append(stream.place())
            if len(self._places) > self._most:
                self._places, self._spacing = self._places[::2], 2 * self._spacing


class Unpacker:
    """A stream of what a file unpacks to, from a place on.

    Args:
        descriptor: the open file.
        place: where to begin.
        passed: called after each read; with it, the ratio is watched.

    Attributes:
        position: bytes unpacked so far.
        taken: bytes of the file read so far.
    """

    def __init__(self, descriptor: int, place: _Place, passed: Callable[[Unpacker], None] | None = None):
        self.position, self.taken = place.position, place.taken
        self._descriptor, self._passed = descriptor, passed
        self._decompressor, self._waiting = place.decompressor.copy(), b""
        self._block = np.empty(_BLOCK, np.uint8)

    def place(self) -> _Place:
        """Where it is."""
        return _Place(self.position, self.taken - len(self._waiting), self._decompressor.copy())

    def read(self, size: int) -> bytes:
        """Unpacks `size` bytes, fewer only at the end; raises OSError or Malformed."""
        parts = []
        while size and not (self._decompressor.eof and not self._has_more()):
            data = self._waiting or self._next_block()
            try:
                part = self._decompressor.decompress(data, size)
            except zlib.error as error:
                raise Malformed(f"its compression is damaged ({error}); copy or make the file again") from None
            # What follows the end, or what did not fit.
            self._waiting = self._decompressor.unused_data or self._decompressor.unconsumed_tail
            if not data and not part and not self._decompressor.eof:
                raise Malformed("its compressed data is cut off; copy or make the file again")
            parts.append(part)
            size -= len(part)
            self.position += len(part)
        if self._passed is not None:
            if self.position > ALLOWANCE + MOST_RATIO * self.taken:
                what = f"more than {MOST_RATIO} times its size"
                raise Malformed(f"it unpacks to {what}; if it is yours, unpack it before (gzip -d)")
            self._passed(self)
        return b"".join(parts)

    def readinto(self, buffer: memoryview) -> int:
        """`read` into a buffer; returns how many bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next_block(self) -> bytes:
        count = system.read_into(self._descriptor, self._block, self.taken)
        self.taken += count
        return self._block[:count].tobytes()

    def _has_more(self) -> bool:
        """Whether another part follows one that has ended, as in files of gzip that were joined; and begins it."""
        self._waiting = self._waiting.lstrip(b"\0")  # As gzip does.
        while not self._waiting:
            block = self._next_block()
            if not block:
                return False
            self._waiting = block.lstrip(b"\0")
        self._decompressor = zlib.decompressobj(_EITHER_HEAD)
        return True
