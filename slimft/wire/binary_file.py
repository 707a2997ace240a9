"""A file read at any position, into memory that TensorFlow can take over without copying.

Reading is by position, so that a file that shrinks meanwhile is an error; only `map` depends on the file
afterwards. A file that is replaced (as by `os.replace`) goes on being read as it was.
"""

from __future__ import annotations

import mmap
import os
import stat

import numpy as np

from slimft import system
from slimft.wire import checksum

# What TensorFlow (Eigen) wants of memory that it shares instead of copying.
ALIGNMENT = 64

# Bytes read between two steps of the checksum: small enough to be still in the processor's cache then.
_PIECE = 1 << 20


class Malformed(ValueError):
    """Bytes that are not what their format says; the message is a reason, without the file's name."""


class BinaryFile:
    """A file opened for reading.

    Args:
        path: the file.

    Raises:
        Malformed: it is not a regular file.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str):
        self._descriptor = system.open_descriptor(path, os.O_RDONLY)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Malformed("it is not a regular file")
        self.size = status.st_size
        self._version = status.st_size, status.st_mtime_ns

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):  # Else it could not be opened.
            os.close(self._descriptor)

    def fileno(self) -> int:
        """The open file's descriptor, for a child process that is to read the same file."""
        return self._descriptor

    def read(self, offset: int, size: int) -> memoryview:
        """Returns `size` bytes from `offset` on."""
        buffer = np.empty(self._checked(offset, size), np.uint8)
        self.read_into(buffer, offset)
        return buffer.data

    def read_into(self, buffer: np.ndarray, offset: int, checked: bool = False) -> int | None:
        """Fills `buffer`, of uint8, from `offset` on; returns the bytes' CRC-32C if it is to be `checked`."""
        self._checked(offset, buffer.size)
        parts = checksum.in_strides(
            buffer.size, lambda start, stop: self._fill(buffer[start:stop], offset + start, checked)
        )
        self.check_unchanged()
        return checksum.combine(0, parts, buffer.size) if checked else None

    def crc32c(self, offset: int, size: int) -> int:
        """CRC-32C of `size` bytes from `offset` on, keeping none of them."""
        self._checked(offset, size)

        def check(start: int, stop: int) -> int:
            scratch, so_far = np.empty(min(stop - start, _PIECE), np.uint8), 0
            for position in range(start, stop, _PIECE):
                piece = scratch[: min(_PIECE, stop - position)]
                self._fill(piece, offset + position, checked=False)
                so_far = checksum.extend(so_far, piece)
            return so_far

        parts = checksum.in_strides(size, check)
        self.check_unchanged()
        return checksum.combine(0, parts, size)

    def _fill(self, buffer: np.ndarray, offset: int, checked: bool) -> int:
        """As `read_into`, in this thread; without `checked` the result means nothing."""
        so_far = 0
        for start in range(0, buffer.size, _PIECE):
            piece = buffer[start : start + _PIECE]
            if system.read_into(self._descriptor, piece, offset + start) != piece.size:
                raise Malformed("the file was changed or cut while it was read; open it again")
            if checked:
                so_far = checksum.extend(so_far, piece)
        return so_far

    def map(self, offset: int, size: int) -> np.ndarray:
        """Returns `size` bytes from `offset` on as a private, copy-on-write map of the file.

        Writing to it changes memory only. It stays valid when the file is replaced or removed; but a file cut
        short in place takes the bytes away, and touching them then is a SIGBUS.
        """
        self._checked(offset, size)
        self.check_unchanged()
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        try:
            mapped = mmap.mmap(self._descriptor, offset + size - start, access=mmap.ACCESS_COPY, offset=start)
        except ValueError:  # It has been cut short just now.
            raise Malformed("the file has changed since it was opened; open it again") from None
        return np.frombuffer(mapped, np.uint8, size, offset - start)

    def check_unchanged(self) -> None:
        """Raises Malformed if the file has been written to since it was opened."""
        status = os.fstat(self._descriptor)
        if (status.st_size, status.st_mtime_ns) != self._version:
            raise Malformed("the file has changed since it was opened; open it again")

    def _checked(self, offset: int, size: int) -> int:
        if not 0 <= offset <= offset + size <= self.size:
            raise Malformed(f"bytes {offset} to {offset + size} are outside the file, which has {self.size}")
        return size


def aligned_buffer(size: int, at: int = 0) -> np.ndarray:
    """Returns `size` bytes of memory, as uint8, whose byte `at` lies at a multiple of `ALIGNMENT`."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    skip = -(memory.ctypes.data + at) % ALIGNMENT
    return memory[skip : skip + size]


def aligned(array: np.ndarray) -> np.ndarray:
    """Returns `array` where it lies at a multiple of `ALIGNMENT` or holds objects, else a copy that does."""
    if array.dtype.hasobject or array.ctypes.data % ALIGNMENT == 0 or not array.size:
        return array
    copy = aligned_buffer(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def as_octets(array: np.ndarray) -> np.ndarray:
    """The values of `array` in C order, least significant byte first, as uint8."""
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
