"""Protocol buffers on the wire: as much as checkpoints need, for bytes that nobody vouches for.

Source: the encoding as described at protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import DTypeLike

from slimft.wire.binary_file import Malformed, aligned_buffer

# A message, or what is joined of several; a field's value, as `fields` yields it.
Message = memoryview | bytearray
Value = int | bytes | memoryview
# The numbers of the fields that are messages, each with the schema of these.
Schema = dict[int, "Schema"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
EMPTY: Message = memoryview(b"")
_MOST_VARINT_BYTES = 10
_PIECE = 1 << 16


def read_varint(data: bytes | Message, position: int) -> tuple[int, int]:
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


def fields(message: bytes | Message) -> Iterator[tuple[int, int, Value]]:
    """Yields each field of a message: its number, its wire type and its value.

    The value of a varint is an unsigned int, of a number of fixed size its bytes, and of what has a length a view.

    Raises:
        Malformed: the bytes are no message.
    """
    message = memoryview(message)
    position, end = 0, len(message)
    while position < end:
        tag, position = read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise Malformed(f"a field has the number {number}")
        if wire_type == VARINT:
            varint_value, position = read_varint(message, position)
            yield number, wire_type, varint_value
            continue
        if wire_type == LENGTH:
            size, position = read_varint(message, position)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise Malformed(f"a field has wire type {wire_type}")
        if size > end - position:
            raise Malformed("a field is longer than its message")
        value = message[position : position + size]
        yield number, wire_type, value if wire_type == LENGTH else bytes(value)
        position += size


def check_messages(message: Message, schema: Schema) -> None:
    """Checks also those parts of a message that are not used, as protobuf does, which reads all or nothing.

    Args:
        message: the message.
        schema: the numbers of fields that are messages, each with the schema of these.

    Raises:
        Malformed: it is no message, or something in it that should be is none.
    """
    for number, wire_type, value in fields(message):
        if wire_type == LENGTH and number in schema:
            check_messages(expect_bytes(value), schema[number])


def signed(value: int) -> int:
    """The int64 that an unsigned varint stands for."""
    return value - (1 << 64) if value >> 63 else value


def text(value: Value) -> str:
    """A field's value as a string; bytes that are no UTF-8 are kept as surrogates."""
    return bytes(expect_bytes(value)).decode("utf-8", "surrogateescape")


def utf8(value: Value) -> str:
    """A field's value as a string, which in a message of syntax proto3 has to be UTF-8."""
    try:
        return bytes(expect_bytes(value)).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a string is no UTF-8") from None


def joined(message: Message, more: memoryview) -> Message:
    """One message of what several occurrences of a field hold that is not repeated, as protocol buffers join them.

    Numbers in them overwrite each other, repeated fields add up, messages are joined in their turn: just that is
    what all their bytes mean as one message. Source: "Last One Wins" in the guide to the encoding.

    Args:
        message: what is joined so far; empty at first. A bytearray is extended.
        more: the next occurrence. The first is returned as it is.
    """
    if not len(message):
        return more
    message = message if isinstance(message, bytearray) else bytearray(message)
    message += more
    return message


def expect_bytes(value: Value) -> memoryview:
    """Returns `value` if it is what has a length, as a field that holds a string or a message must be."""
    if not isinstance(value, memoryview):
        raise Malformed("a number stands where bytes should be")
    return value


def expect_int(value: Value) -> int:
    """Returns `value`, signed, if it is a varint."""
    if not isinstance(value, int):
        raise Malformed("bytes stand where a number should be")
    return signed(value)


def packed_varints(
    data: memoryview,
    narrowed: Callable[[np.ndarray], np.ndarray] = lambda values: values,
    dtype: DTypeLike = np.uint64,
) -> np.ndarray:
    """Decodes varints that follow each other, into memory that is aligned.

    Args:
        data: the varints.
        narrowed: makes uint64 the values that are wanted.
        dtype: of these.
    """
    octets = np.frombuffer(data, np.uint8)
    if octets.size and octets[-1] >= 0x80:
        raise Malformed("a varint is cut off")
    dtype, count = np.dtype(dtype), 0
    values = aligned_buffer(int(np.count_nonzero(octets < 0x80)) * dtype.itemsize).view(dtype)
    # In pieces: to decode one takes fifty bytes of memory for a byte.
    while octets.size:
        last = np.flatnonzero(octets[:_PIECE] < 0x80)
        first = np.concatenate([[0], last[:-1] + 1])
        lengths = last - first + 1
        if not last.size or lengths.max() > _MOST_VARINT_BYTES:
            raise Malformed("a varint has over 64 bits")
        piece = np.zeros(last.size, np.uint64)
        for byte in range(lengths.max()):
            longer = lengths > byte
            piece[longer] |= (octets[first[longer] + byte] & 0x7F).astype(np.uint64) << np.uint64(7 * byte)
        values[count : count + last.size] = narrowed(piece)
        count += last.size
        octets = octets[last[-1] + 1 :]
    return values


def leading_varints(data: memoryview, count: int) -> tuple[np.ndarray, int]:
    """Decodes the first `count` varints of `data`; returns them, as uint64, and the position after them."""
    octets, position, left = np.frombuffer(data, np.uint8), 0, count
    while left:
        last = np.flatnonzero(octets[position : position + _PIECE] < 0x80)[:left]
        if not last.size:
            raise Malformed("a varint is cut off or has over 64 bits")
        position, left = position + int(last[-1]) + 1, left - last.size
    return packed_varints(data[:position]), position


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
