"""Protocol buffers on the wire: as much as checkpoints need, for bytes that nobody vouches for.

Source: the encoding as described at protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slimft.checkpoint.binary_file import Malformed

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10
_PIECE = 1 << 16


def read_varint(data, position: int) -> tuple[int, int]:
    """Returns the unsigned varint at `position` in `data`, below 2**64, and the position after it."""
    value = shift = 0
    for at in range(position, min(position + _MOST_VARINT_BYTES, len(data))):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + 1
        shift += 7
    raise Malformed("a varint is cut off or has over 64 bits")


def fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yields each field of a message: its number, its wire type and its value.

    The value of a varint is an unsigned int, of every other wire type a view of its bytes.

    Raises:
        Malformed: the bytes are no message.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, position = read_varint(message, position)
            yield number, wire_type, value
            continue
        if wire_type == LENGTH:
            size, position = read_varint(message, position)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise Malformed(f"a field has wire type {wire_type}")
        if size > end - position:
            raise Malformed("a field is longer than its message")
        yield number, wire_type, message[position : position + size]
        position += size


def signed(value: int) -> int:
    """The int64 that an unsigned varint stands for."""
    return value - (1 << 64) if value >> 63 else value


def text(value: int | memoryview) -> str:
    """A field's value as a string; bytes that are no UTF-8 are kept as surrogates."""
    return bytes(expect_bytes(value)).decode("utf-8", "surrogateescape")


def expect_bytes(value: int | memoryview) -> memoryview:
    """Returns `value` if it is bytes, as a field that holds a string or a message must be."""
    if isinstance(value, int):
        raise Malformed("a number stands where bytes should be")
    return value


def expect_int(value: int | memoryview) -> int:
    """Returns `value`, signed, if it is a varint."""
    if not isinstance(value, int):
        raise Malformed("bytes stand where a number should be")
    return signed(value)


def packed_varints(data: memoryview) -> np.ndarray:
    """Decodes varints that follow each other; uint64."""
    octets = np.frombuffer(data, np.uint8)
    if octets.size and octets[-1] >= 0x80:
        raise Malformed("a varint is cut off")
    values, count = np.zeros(np.count_nonzero(octets < 0x80), np.uint64), 0
    # In pieces: to decode one takes fifty bytes of memory for a byte.
    while octets.size:
        last = np.flatnonzero(octets[:_PIECE] < 0x80)
        first = np.concatenate([[0], last[:-1] + 1])
        lengths = last - first + 1
        if not last.size or lengths.max() > _MOST_VARINT_BYTES:
            raise Malformed("a varint has over 64 bits")
        piece = values[count : count + last.size]
        for byte in range(lengths.max()):
            longer = lengths > byte
            piece[longer] |= (octets[first[longer] + byte] & 0x7F).astype(np.uint64) << np.uint64(7 * byte)
        count += last.size
        octets = octets[last[-1] + 1 :]
    return values


def varint(value: int) -> bytes:
    """Encodes an int below 2**64; a negative one as its 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: int | bytes, fixed32: bool = False) -> bytes:
    """Encodes one field: an int as varint or as fixed32, bytes with their length."""
    if isinstance(value, bytes):
        return varint(number << 3 | LENGTH) + varint(len(value)) + value
    if fixed32:
        return varint(number << 3 | FIXED32) + value.to_bytes(4, "little")
    return varint(number << 3 | VARINT) + varint(value)
