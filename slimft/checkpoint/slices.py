"""Slices of partitioned variables: where they lie, what they are filed under, and joining them.

Sources: tensorflow/core/framework/tensor_slice.proto; core/util/saved_tensor_slice_util.cc (the key);
core/lib/strings/ordered_code.cc (its parts, which sort as bytes like the values they stand for).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from slimft.checkpoint.tensor_proto import MOST_DIMENSIONS
from slimft.wire.binary_file import Malformed, aligned_buffer
from slimft.wire.protobuf import Message, expect_bytes, expect_int, fields

# One (start, length) for each dimension; length FULL is all of it.
Slice = tuple[tuple[int, int], ...]
FULL = -1

_ESCAPED = {b"\x00": b"\x00\xff", b"\xff": b"\xff\x00"}


def parse_slice(message: Message) -> Slice:
    """A TensorSliceProto."""
    extents = []
    for number, _, value in fields(message):
        if number == 1:
            start, length = 0, FULL
            for inner, _, extent in fields(expect_bytes(value)):
                if inner == 1:
                    start = expect_int(extent)
                elif inner == 2:
                    length = expect_int(extent)
            extents.append((start, length))
            if len(extents) > MOST_DIMENSIONS:
                raise Malformed(f"a slice has over {MOST_DIMENSIONS} dimensions")
    return tuple(extents)


def slice_bytes(piece: Slice) -> int:
    """About the memory that a parsed slice takes."""
    return 64 + 128 * len(piece)


def resolve(piece: Slice, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of an array of `shape` that `piece` is; raises Malformed if it is no part of it."""
    if len(piece) != len(shape):
        raise Malformed(f"a slice has {len(piece)} dimensions, the variable {len(shape)}")
    part = []
    for (start, length), size in zip(piece, shape):
        length = size if length == FULL and start == 0 else length
        if not 0 <= start <= start + length <= size:
            raise Malformed(f"a slice of {length} from {start} on is outside the dimension of {size}")
        part.append(slice(start, start + length))
    return tuple(part)


def slice_shape(part: Sequence[slice]) -> tuple[int, ...]:
    """The shape of a resolved slice."""
    return tuple(extent.stop - extent.start for extent in part)


def join(
    shape: tuple[int, ...], dtype: np.dtype, parts: Sequence[tuple[slice, ...]], read: Callable[[int], np.ndarray]
) -> np.ndarray:
    """Puts the slices of one variable together.

    Args:
        shape: the variable's.
        dtype: the variable's.
        parts: each slice, resolved.
        read: returns the values of the slice with that index.

    Raises:
        Malformed: the slices overlap or leave a gap.
    """
    check_cover(shape, parts)
    if dtype.hasobject:
        whole = np.empty(shape, dtype)
    else:
        whole = aligned_buffer(math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)
    for index, part in enumerate(parts):
        whole[part] = read(index)
    return whole


def check_cover(shape: tuple[int, ...], parts: Sequence[tuple[slice, ...]]) -> None:
    """Raises Malformed unless `parts` hold each element of an array of `shape` exactly once."""
    total = sum(math.prod(slice_shape(part)) for part in parts)
    if total != math.prod(shape):
        raise Malformed(f"its slices hold {total} of {math.prod(shape)} elements")
    if not total:
        return
    # Where slices end cuts the array into cells, each of which is in a slice or not, and none in two.
    filled = [part for part in parts if math.prod(slice_shape(part))]
    ends = [{end for part in filled for end in (part[axis].start, part[axis].stop)} for axis in range(len(shape))]
    cell_of_end = [{end: cell for cell, end in enumerate(sorted(places))} for places in ends]
    covered = np.zeros([len(places) - 1 for places in ends], bool)
    for part in filled:
        cells = tuple(slice(cell[extent.start], cell[extent.stop]) for cell, extent in zip(cell_of_end, part))
        if covered[cells].any():
            raise Malformed("its slices overlap")
        covered[cells] = True


def slice_key(name: str, piece: Slice) -> bytes:
    """What the values of a slice are filed under in a checkpoint's table."""
    encoded = name.encode("utf-8", "surrogateescape")
    escaped = re.sub(rb"[\x00\xff]", lambda byte: _ESCAPED[byte[0]], encoded)
    extents = b"".join(_signed_number(start) + _signed_number(length) for start, length in piece)
    return b"\x00" + escaped + b"\x00\x01" + _number(len(piece)) + extents


def _number(value: int) -> bytes:
    """OrderedCode's unsigned number: how many bytes follow, then those, most significant first."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def _signed_number(value: int) -> bytes:
    """OrderedCode's signed number: two's complement, its top bits telling sign and length."""
    magnitude = ~value if value < 0 else value
    size = magnitude.bit_length() // 7 + 1  # Each byte but for its share of the header holds seven bits.
    header = ((1 << size) - 1) << (8 * size - size)
    return ((value & ((1 << 8 * size) - 1)) ^ header).to_bytes(size, "big")
