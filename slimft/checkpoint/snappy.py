"""Snappy's raw format, which the blocks of some table files are compressed with.

Source: github.com/google/snappy/blob/main/format_description.txt. A varint with the number of bytes; then literals,
and copies of what came before. The low two bits of an element's first byte tell which it is.
"""

from __future__ import annotations

from slimft.wire.binary_file import Malformed
from slimft.wire.protobuf import read_varint

# The element that makes the most of its bytes is a copy of 64 bytes, told in three.
_MOST_EXPANSION = 22
# How many bytes tell the distance of a copy, by its kind.
_DISTANCE_BYTES = {1: 1, 2: 2, 3: 4}


def decompress(data: memoryview) -> memoryview:
    """Returns the bytes that `data` stands for; at most `_MOST_EXPANSION` times as many.

    Raises:
        Malformed: it is not in the format, or not of the length that it tells.
    """
    size, position = read_varint(data, 0)
    if size > _MOST_EXPANSION * len(data):
        raise Malformed(f"a block of {len(data)} bytes is said to be {size} bytes compressed with Snappy")
    octets = bytes(data)  # Which are read faster than a memoryview's.
    out, end = bytearray(size), 0
    while position < len(octets):
        tag = octets[position]
        position += 1
        kind = tag & 3
        if kind == 0:
            length, position = _literal_length(octets, tag, position)
            start, position = position, position + length
            if position > len(octets) or end + length > size:
                raise Malformed("a block's Snappy data are damaged: a literal is longer than the block")
            out[end : end + length] = octets[start:position]
        else:
            width = _DISTANCE_BYTES[kind]
            distance = int.from_bytes(octets[position : position + width], "little")
            length = (tag >> 2) + 1
            if kind == 1:
                length, distance = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | distance
            position += width
            if position > len(octets) or not 0 < distance <= end or end + length > size:
                raise Malformed("a block's Snappy data are damaged: a copy leads out of the block")
            source = out[end - distance : min(end, end - distance + length)]
            if distance < length:  # It repeats what it makes itself.
                source = (source * (length // distance + 1))[:length]
            out[end : end + length] = source
        end += length
    if end != size:
        raise Malformed(f"a block's Snappy data are damaged: they are {end} bytes, not {size}")
    return memoryview(out)


def _literal_length(data: bytes, tag: int, position: int) -> tuple[int, int]:
    """The length of a literal, and where its bytes start."""
    length = tag >> 2
    if length >= 60:
        width = length - 59
        length = int.from_bytes(data[position : position + width], "little")
        position += width
    return length + 1, position
