"""TensorProto, TensorShapeProto and strings: the values inside V1 checkpoints and frozen graphs.

Field numbers: tensorflow/core/framework/tensor.proto and tensor_shape.proto.
"""

from __future__ import annotations

import math

import numpy as np

from slimft.checkpoint.binary_file import Malformed
from slimft.checkpoint.dtypes import STRING, dtype_of_enum
from slimft.checkpoint.protobuf import LENGTH, VARINT, expect_bytes, expect_int, fields, packed_varints

# More dimensions NumPy does not take.
_MOST_DIMENSIONS = 32
# TensorFlow writes all values in one piece, but protocol buffers may come in several, even one by one.
_MOST_PIECES = 1 << 14
# A message has at most 2 GB; so has a tensor that a graph could hold value by value.
_MOST_FILLED_BYTES = 1 << 31

_DTYPE, _SHAPE, _CONTENT = 1, 2, 4
# Of each dtype's number: the field with its values. Some dtypes have none and come as contents only.
_FIXED = {1: 5, 2: 6, 8: 9, 18: 12}
_VARINTS = {
    **dict.fromkeys((3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 29, 30, 31, 32), 7), 9: 10, 10: 11, 14: 13, 19: 13,
    22: 16, 23: 17,
}  # fmt: skip
_FIELDS = {STRING: 8, **dict.fromkeys((24, 25, 26, 27, 28), 18), **_FIXED, **_VARINTS}


def parse_shape(message: memoryview) -> tuple[int, ...]:
    """The dimensions of a TensorShapeProto; raises Malformed if one is unknown or absurd."""
    dimensions = []
    for number, _, value in fields(message):
        if number == 2:
            size = 0
            for inner, _, dimension in fields(expect_bytes(value)):
                size = expect_int(dimension) if inner == 1 else size
            dimensions.append(size)
        elif number == 3 and value:
            raise Malformed("its shape is unknown")
    return checked_shape(dimensions)


def checked_shape(dimensions) -> tuple[int, ...]:
    """Returns `dimensions` as a tuple if NumPy can make an array of them."""
    shape = tuple(dimensions)
    # The product without its zeros too: NumPy refuses [0, 2**62], and so does TensorFlow.
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0 or math.prod(filter(None, shape)) >= 1 << 58:
        raise Malformed(f"its shape {list(shape[:8])} cannot be")
    return shape


def parse_tensor(message: memoryview) -> np.ndarray:
    """The array a graph's TensorProto stands for; a view of `message` where that is possible.

    Where fewer values are given than the shape has elements, the last one stands for the others; where none is
    given, as in a tensor of zeros that grappler compressed, zero (of strings the empty one) does.
    """
    enum, shape = 0, ()
    for number, _, value in fields(message):
        if number == _DTYPE:
            enum = expect_int(value)
        elif number == _SHAPE:
            shape = parse_shape(expect_bytes(value))
    count = math.prod(shape)
    values = parse_values(message, enum)
    if values.size != count:
        if values.size > count or count * values.dtype.itemsize > _MOST_FILLED_BYTES:
            raise Malformed(f"it has {values.size} values, but the shape {list(shape)}")
        filled = np.empty(count, values.dtype)
        filled[: values.size] = values
        filled[values.size :] = values[-1:] if values.size else _default(enum)
        values = filled
    return values.reshape(shape)


def parse_values(message: memoryview, enum: int) -> np.ndarray:
    """The values in a TensorProto of the dtype with number `enum`, of one dimension.

    A V1 checkpoint's TensorProto holds these alone: dtype and shape are written elsewhere.
    """
    dtype, own = dtype_of_enum(enum), _FIELDS.get(enum)
    content, chunks = None, []
    for number, wire_type, value in fields(message):
        if number == _CONTENT:
            content = expect_bytes(value)
        elif number == own:
            chunks.append(bytes(expect_bytes(value)) if enum == STRING else (wire_type, value))
            if len(chunks) > _MOST_PIECES and enum != STRING:
                raise Malformed("its values are in too many pieces")
    if content is not None and len(content):
        return _from_content(content, enum, dtype)
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


def _default(enum: int):
    """What TensorFlow takes where a TensorProto has no values."""
    return b"" if enum == STRING else np.zeros(1, dtype_of_enum(enum))


def _values(chunks: list, enum: int, dtype: np.dtype) -> np.ndarray:
    """The values in a repeated field, packed or not, in one piece or several."""
    if enum == STRING:
        return string_array(chunks, (len(chunks),))
    parts = [_chunk(wire_type, value, enum, dtype) for wire_type, value in chunks]
    if len(parts) == 1:
        return parts[0]
    # Complex numbers that are not packed come as two floats.
    octets = np.concatenate([part.view(np.uint8) for part in parts]) if parts else np.zeros(0, np.uint8)
    if octets.size % dtype.itemsize:
        raise Malformed(f"its values are not of dtype {dtype}")
    return octets.view(dtype)


def _chunk(wire_type: int, value: int | memoryview, enum: int, dtype: np.dtype) -> np.ndarray:
    if enum in _VARINTS:
        if wire_type == VARINT:
            integers = np.array([value], np.uint64)
        else:
            integers = packed_varints(expect_bytes(value))
        return _narrowed(integers, dtype)
    octets = np.frombuffer(expect_bytes(value), np.uint8)
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
