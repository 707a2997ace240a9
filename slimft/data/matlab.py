"""A mask out of a MATLAB 5 file, without anything else of that format being read.

The format is that of "MAT-File Format" (The MathWorks, https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf).
"""

from __future__ import annotations

import math
import pathlib
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from slimft.errors import DataError
from slimft.files import read_bounded

# Of a file, and of what all in it unpacks to: a mask of SBD has 250,000 pixels, its file some kilobytes.
MOST_FILE_BYTES = 4 << 20
MOST_UNPACKED_BYTES = 16 << 20

_HEADER_BYTES = 128
# At byte 126, as a number of 16 bits in the file's byte order.
_BYTE_ORDERS = {b"IM": "<", b"MI": ">"}
# Tables 1-1 and 1-3: kinds of elements, and classes of arrays.
_UINT8, _MATRIX, _COMPRESSED = 2, 14, 15
_STRUCT_CLASS, _UINT8_CLASS = 2, 9
_COMPLEX_FLAG = 0x0800
_MOST_DIMENSIONS = 32


def read_struct_mask(file: pathlib.Path, variable: str, field: str) -> np.ndarray:
    """Reads a matrix of bytes that is a field of a struct.

    Args:
        file: of at most `MOST_FILE_BYTES`; what is in it unpacks to at most `MOST_UNPACKED_BYTES`.
        variable: the name of the struct, which is a single one.
        field: of it.

    Returns:
        uint8 ``[height, width]``, neither of them 0.

    Raises:
        DataError: the file cannot be read, is none of MATLAB 5, is damaged or too large, or holds no such matrix.
    """
    data = read_bounded(file, MOST_FILE_BYTES)
    try:
        order = _BYTE_ORDERS.get(data[_HEADER_BYTES - 2 : _HEADER_BYTES])
        if order is None:
            raise ValueError("it does not begin as one")
        for kind, contents in _unpacked(memoryview(data)[_HEADER_BYTES:], order):
            if kind != _MATRIX:
                continue
            array = _Array(contents, order)
            if array.name == variable.encode():
                return _mask(array.field(field.encode()))
        raise ValueError(f"it has no variable {variable}")
    except (ValueError, zlib.error, struct.error) as error:
        raise DataError(f"{file} is not a good MATLAB 5 file with {variable}.{field}: {error}") from None


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yields the kind and the contents of each element; raises ValueError where one does not fit."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("it ends within a tag")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start, padding = at + 8, -size % 8
        if kind >> 16:  # A small one: its size is in the tag, and its contents are where else the size is.
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError(f"a small element has {size} bytes")
            padding = 4 - size
        elif kind == _COMPRESSED:
            padding = 0
        if start + size > len(data):
            raise ValueError(f"an element has {size} bytes, and {len(data) - start} are left")
        yield kind, data[start : start + size]
        at = start + size + padding


def _unpacked(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """As `_elements`, but yields what is in compressed ones instead of them."""
    left = MOST_UNPACKED_BYTES
    for kind, contents in _elements(data, order):
        if kind != _COMPRESSED:
            yield kind, contents
            continue
        decompressor = zlib.decompressobj()
        unpacked = decompressor.decompress(contents, left + 1)
        left -= len(unpacked)
        if left < 0:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED_BYTES:,} bytes")
        if not decompressor.eof:
            raise ValueError("its compressed part is cut off")
        yield from _elements(memoryview(unpacked), order)


class _Array:
    """A matrix element.

    Attributes:
        kind: the class of the array.
        is_complex: whether it has two parts.
        shape: its dimensions.
        name: of the variable, empty within a struct.
    """

    def __init__(self, contents: memoryview, order: str):
        self._order = order
        self._parts = _elements(contents, order)
        flags, dimensions, name = (self._next() for _ in range(3))
        if len(dimensions) > 4 * _MOST_DIMENSIONS:
            raise ValueError(f"an array has over {_MOST_DIMENSIONS} dimensions")
        (word,) = struct.unpack_from(f"{order}I", flags)
        self.kind, self.is_complex = word & 0xFF, bool(word & _COMPLEX_FLAG)
        self.shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
        self.name = bytes(name)

    def _next(self) -> memoryview:
        return self.next_element()[1]

    def next_element(self) -> tuple[int, memoryview]:
        """The kind and the contents of the next part of it."""
        element = next(self._parts, None)
        if element is None:
            raise ValueError("an array is cut off")
        return element

    def field(self, name: bytes) -> _Array:
        """A field of it, which is a single struct."""
        if self.kind != _STRUCT_CLASS or math.prod(self.shape) != 1:
            raise ValueError("that is no single struct")
        (length,) = struct.unpack(f"{self._order}i", self._next())
        names = bytes(self._next())
        if length < 1 or len(names) % length:
            raise ValueError("the names of its fields do not fit")
        for start in range(0, len(names), length):
            kind, contents = self.next_element()
            if names[start : start + length].split(b"\0", 1)[0] == name:
                if kind != _MATRIX:
                    raise ValueError("the field is no array")
                return _Array(contents, self._order)
        raise ValueError("the struct has no such field")


def _mask(array: _Array) -> np.ndarray:
    if array.kind != _UINT8_CLASS or array.is_complex or len(array.shape) != 2 or min(array.shape) < 1:
        raise ValueError(f"the field is no matrix of bytes (class {array.kind}, shape {array.shape})")
    kind, values = array.next_element()
    if kind != _UINT8 or len(values) != math.prod(array.shape):
        raise ValueError(f"{len(values)} bytes of kind {kind} are no matrix of {array.shape} bytes")
    return np.ascontiguousarray(np.frombuffer(values, np.uint8).reshape(array.shape, order="F"))
