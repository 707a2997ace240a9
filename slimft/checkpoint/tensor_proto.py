"""TensorProto, TensorShapeProto, VersionDef and strings: the values inside V1 checkpoints and frozen graphs.

Field numbers: tensorflow/core/framework/tensor.proto, tensor_shape.proto and versions.proto.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from slimft.checkpoint.dtypes import STRING, dtype_of_enum
from slimft.wire.binary_file import Malformed, aligned_buffer
from slimft.wire.protobuf import (
    EMPTY,
    LENGTH,
    VARINT,
    Message,
    Schema,
    Value,
    expect_bytes,
    expect_int,
    fields,
    joined,
    packed_varints,
)

# More dimensions NumPy does not take.
MOST_DIMENSIONS = 32
# TensorFlow writes all values in one piece, but protocol buffers may come in several, even one by one.
_MOST_PIECES = 1 << 14
# The version of V1 and V2 checkpoints that is read here: TF_CHECKPOINT_VERSION, kTensorBundleVersion.
_VERSION = 1

_DTYPE, _SHAPE, _CONTENT = 1, 2, 4
# The messages in a TensorShapeProto and in a TensorProto, for `check_messages`.
SHAPE_FIELDS: Schema = {2: {}}
TENSOR_FIELDS: Schema = {_SHAPE: SHAPE_FIELDS}
# Of each dtype's number: the field with its values. Some dtypes have none and come as contents only.
_FIXED = {1: 5, 2: 6, 8: 9, 18: 12}
_VARINTS = {
    **dict.fromkeys((3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 29, 30, 31, 32), 7),
    9: 10,
    10: 11,
    14: 13,
    19: 13,
    22: 16,
    23: 17,
}
_FIELDS = {STRING: 8, **dict.fromkeys((24, 25, 26, 27, 28), 18), **_FIXED, **_VARINTS}


def parse_shape(message: Message) -> tuple[int, ...]:
    """The dimensions of a TensorShapeProto; raises Malformed if one is unknown or absurd."""
    dimensions = []
    for number, _, value in fields(message):
        if number == 2:
            size = 0
            for inner, _, dimension in fields(expect_bytes(value)):
                size = expect_int(dimension) if inner == 1 else size
            dimensions.append(size)
            if len(dimensions) > MOST_DIMENSIONS:
                break
        elif number == 3 and value:
            raise Malformed("its shape is unknown")
    return checked_shape(dimensions)


def checked_shape(dimensions: Iterable[int]) -> tuple[int, ...]:
    """Returns `dimensions` as a tuple if NumPy can make an array of them."""
    shape = tuple(dimensions)
    # The product without its zeros too: NumPy refuses [0, 2**62], and so does TensorFlow.
    if len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0 or math.prod(filter(None, shape)) >= 1 << 58:
        raise Malformed(f"its shape {list(shape[:8])} cannot be")
    return shape


def check_versions(message: Message) -> None:
    """Raises Malformed if a checkpoint's VersionDef says that readers of today must not read it."""
    producer, least, bad = 0, 0, False
    for number, _, value in fields(message):
        if number == 1:
            producer = _int32(expect_int(value))
        elif number == 2:
            least = _int32(expect_int(value))
        elif number == 3:
            numbers = [value] if isinstance(value, int) else packed_varints(expect_bytes(value))
            bad |= _VERSION in map(_int32, map(int, numbers))
    if producer < 0 or least > _VERSION or bad:
        raise Malformed("its format is of a version that TensorFlow's readers must not read either")


def _int32(value: int) -> int:
    """The value that a varint has where the field is an int32: the lowest 32 bits."""
    return ((value + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def describe_tensor(message: Message) -> tuple[int, tuple[int, ...]]:
    """The dtype's number and the shape in a TensorProto."""
    enum, shape = 0, EMPTY
    for number, _, value in fields(message):
        if number == _DTYPE:
            enum = expect_int(value)
        elif number == _SHAPE:
            shape = joined(shape, expect_bytes(value))
    return enum, parse_shape(shape)


def parse_tensor(message: Message, most: int | None = None) -> np.ndarray:
    """The array that a graph's TensorProto stands for, in aligned memory of its own.

    Where fewer values are given than the shape has elements, the last one stands for the others; where none is
    given, as in a tensor of zeros that grappler compressed, zero (of strings the empty one) does.

    Args:
        message: the TensorProto.
        most: the bytes that an array of more elements than values may have; None for any number.

    Raises:
        Malformed: it is none; has more values than elements, or contents of another size than its shape; or is
            larger than `most`.
    """
    enum, shape = describe_tensor(message)
    values, count = parse_values(message, enum), math.prod(shape)
    octets = count * values.dtype.itemsize
    if values.size > count or (values.size < count and has_contents(message)):
        raise Malformed(f"it has {values.size} values, but the shape {list(shape)}")
    if values.size < count and most is not None and octets > most:
        made = f"makes {octets} bytes of {values.size} values; at most {most} are made"
        raise Malformed(f"its shape {list(shape)} {made}")
    if enum == STRING:
        whole = np.empty(count, object)
    else:
        whole = aligned_buffer(octets).view(values.dtype)
    whole[: values.size] = values
    whole[values.size :] = values[-1:] if values.size else _default(enum)
    return whole.reshape(shape)


def has_contents(message: Message) -> bool:
    """Whether a TensorProto has its values as the bytes of an array instead of one by one."""
    size = 0
    for number, _, value in fields(message):
        if number == _CONTENT:
            size = len(expect_bytes(value))
    return size > 0


def least_bytes(enum: int) -> int:
    """The fewest bytes that a TensorProto takes for an element of the dtype with number `enum`."""
    return 1 if enum in _VARINTS or enum == STRING else dtype_of_enum(enum).itemsize


def parse_values(message: Message, enum: int, contents: bool = True) -> np.ndarray:
    """The values in a TensorProto of the dtype with number `enum`, of one dimension.

    A V1 checkpoint's TensorProto holds these alone: dtype and shape are written elsewhere.

    Args:
        message: the TensorProto.
        enum: the dtype's number.
        contents: whether the values may be the bytes of an array, as in graphs, instead of one by one.
    """
    dtype, own = dtype_of_enum(enum), _FIELDS.get(enum)
    content: memoryview | None = None
    strings: list[bytes] = []
    chunks: list[tuple[int, Value]] = []
    for number, wire_type, value in fields(message):
        if number == _CONTENT:
            content = expect_bytes(value)
        elif number == own and enum == STRING:
            strings.append(bytes(expect_bytes(value)))
        elif number == own:
            chunks.append((wire_type, value))
            if len(chunks) > _MOST_PIECES:
                raise Malformed("its values are in too many pieces")
    if content is not None and len(content):
        if not contents:
            raise Malformed(f"its values are raw contents, not of dtype {dtype} one by one")
        return _from_content(content, enum, dtype)
    if enum == STRING:
        return string_array(strings, (len(strings),))
    return _values(chunks, enum, dtype)


def string_array(values: list[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """An array of bytes objects."""
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _from_content(content: memoryview, enum: int, dtype: np.dtype) -> np.ndarray:
    if enum == STRING or len(content) % dtype.itemsize:
        raise Malformed(f"its contents are not of dtype {dtype}")
    return np.frombuffer(content, np.uint8).view(dtype)


def _default(enum: int) -> bytes | np.ndarray:
    """What TensorFlow takes where a TensorProto has no values."""
    return b"" if enum == STRING else np.zeros(1, dtype_of_enum(enum))


def _values(chunks: list[tuple[int, Value]], enum: int, dtype: np.dtype) -> np.ndarray:
    """The values in a repeated field, packed or not, in one piece or several."""
    parts = [_chunk(wire_type, value, enum, dtype) for wire_type, value in chunks]
    if len(parts) == 1:
        return parts[0]
    # Complex numbers that are not packed come as two floats.
    octets = np.concatenate([part.view(np.uint8) for part in parts]) if parts else np.zeros(0, np.uint8)
    if octets.size % dtype.itemsize:
        raise Malformed(f"its values are not of dtype {dtype}")
    return octets.view(dtype)


def _chunk(wire_type: int, value: Value, enum: int, dtype: np.dtype) -> np.ndarray:
    if enum in _VARINTS:
        if wire_type == VARINT:
            return _narrowed(np.array([value], np.uint64), dtype)
        return packed_varints(expect_bytes(value), lambda integers: _narrowed(integers, dtype), dtype)
    octets = np.frombuffer(value if isinstance(value, bytes) else expect_bytes(value), np.uint8)
    if wire_type == LENGTH:
        if octets.size % dtype.itemsize:
            raise Malformed(f"its values are not of dtype {dtype}")
        return octets.view(dtype)
    return octets


def _narrowed(integers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Varints as `dtype`: the low bits, which for half and bfloat16 are the number's own."""
    if dtype == np.bool_:
        return integers != 0
    return integers.astype(f"<u{dtype.itemsize}").view(dtype)
