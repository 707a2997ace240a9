"""CRC-32C, the checksum of TensorFlow's checkpoints, on all processors.

google-crc32c's own function holds Python's lock while it computes. The C function beneath it needs no lock, so
it is called directly where it can be found; then the parts of large data are checked at the same time, and
their checksums combined.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import numpy as np

from slimft import system

# Bytes a thread does at a time; for less than two of these it is not worth to start one.
STRIDE = 4 << 20
_MOST_THREADS = 8

# What has contiguous bytes; Python's own name for it comes with 3.12.
Buffer = bytes | bytearray | memoryview | np.ndarray

_MASK_DELTA = 0xA282EAD8
# The polynomial without its highest term, the bits in reverse: RFC 3720, appendix B.4.
_POLYNOMIAL = 0x82F63B78


def _find_extend() -> Callable[[int, np.ndarray], int]:
    """`crc32c_extend` of the C library that google-crc32c brings, or google-crc32c's Python function."""
    try:
        from google_crc32c import _crc32c

        native = ctypes.CDLL(_crc32c.__file__).crc32c_extend
    except (ImportError, OSError, AttributeError):
        return google_crc32c.extend
    native.argtypes, native.restype = (ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_uint32
    return lambda so_far, octets: native(so_far, octets.ctypes.data, octets.size)


_extend = _find_extend()


def extend(so_far: int, octets: np.ndarray) -> int:
    """The CRC-32C of what gave `so_far` and, after it, contiguous `octets` (uint8); in this thread."""
    return _extend(so_far, octets)


def crc32c(data: Buffer, so_far: int = 0) -> int:
    """CRC-32C of `data`, any contiguous buffer, continuing `so_far`."""
    octets = np.frombuffer(data, np.uint8)
    if octets.size < 2 * STRIDE:
        return extend(so_far, octets)
    parts = in_strides(octets.size, lambda start, stop: extend(0, octets[start:stop]))
    return combine(so_far, parts, octets.size)


def in_strides(size: int, work: Callable[[int, int], int]) -> list[int]:
    """Calls `work(start, stop)` for each stride of `size` bytes, several at a time; returns the results."""
    starts = range(0, size, STRIDE)
    threads = min(len(starts), _MOST_THREADS, system.processors())
    if threads < 2:
        return [work(start, min(start + STRIDE, size)) for start in starts]
    # A pool each time: one that outlives the call would be of no use after a fork.
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda start: work(start, min(start + STRIDE, size)), starts))


def combine(so_far: int, parts: list[int], size: int) -> int:
    """The checksum of what gave `so_far` and then `size` bytes, whose strides have the checksums `parts`."""
    for index, part in enumerate(parts):
        so_far = join(so_far, part, min(STRIDE, size - index * STRIDE))
    return so_far


def join(first: int, second: int, size: int) -> int:
    """The checksum of some bytes with the checksum `first` and, after them, `size` with the checksum `second`."""
    return _multiply(_shift(size), first) ^ second


def masked(checksum: int) -> int:
    """The form in which TensorFlow stores a CRC-32C: tensorflow/core/lib/hash/crc32c.h, from LevelDB."""
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return (rotated + _MASK_DELTA) & 0xFFFFFFFF


def _multiply(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), modulo CRC-32C's; the highest bit is the constant term."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@functools.lru_cache(maxsize=64)
def _shift(size: int) -> int:
    """x to the power of 8 `size`: what a checksum is multiplied by when `size` bytes follow."""
    power, square = 1 << 31, 1 << 23  # 1, and x to the power of 8.
    while size:
        if size & 1:
            power = _multiply(square, power)
        square = _multiply(square, square)
        size >>= 1
    return power
