"""TensorFlow's V1 checkpoints: one table file, or several that share the variables.

The official VGG, ResNet V1 and Inception files are of this format. Source: tensorflow/core/util/
saved_tensor_slice.proto and tensor_slice_writer.cc. The empty key holds the names, shapes and slices; the
values of each slice lie under a key made of the name and the slice.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np

from slimft.checkpoint.base import Checkpoint, Listing
from slimft.checkpoint.dtypes import dtype_of_enum
from slimft.checkpoint.memory import Allowance
from slimft.checkpoint.slices import (
    Slice,
    check_cover,
    join,
    parse_slice,
    resolve,
    slice_bytes,
    slice_key,
    slice_shape,
)
from slimft.checkpoint.table import Table
from slimft.checkpoint.tensor_proto import TENSOR_FIELDS, check_versions, least_bytes, parse_shape, parse_values
from slimft.wire.binary_file import BinaryFile, Malformed, aligned
from slimft.wire.protobuf import (
    EMPTY,
    Message,
    Schema,
    check_messages,
    expect_bytes,
    expect_int,
    fields,
    joined,
    utf8,
)

# What a variable takes that is listed, but for its slices and its name.
_VARIABLE_BYTES = 1 << 9
# The messages in a SavedSlice.
_SAVED_FIELDS: Schema = {2: {1: {}}, 3: TENSOR_FIELDS}


class TensorFlowV1Checkpoint(Checkpoint):
    """A V1 checkpoint.

    Args:
        path: its file, or the pattern of its files' names.
        files: its files.
        verify: whether to check checksums.

    Raises:
        Malformed: a file is no V1 checkpoint or damaged.
        OSError: a file cannot be read.
    """

    format = "tensorflow_v1"

    def __init__(self, path: str, files: Sequence[str], verify: bool = True):
        self.path = path
        self._enums: dict[str, int] = {}
        self._slices: dict[str, list[tuple[Table, Slice]]] = {}
        variables: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        opened = [BinaryFile(name) for name in files]
        self._bytes = sum(file.size for file in opened)
        allowance = Allowance(self._bytes)
        for file in opened:
            table = Table(file, verify, allowance)
            for variable, shape, enum, slices in _parse_contents(table.value(b""), allowance):
                described = shape, dtype_of_enum(enum)
                if variables.setdefault(variable, described) != described:
                    raise Malformed(f"its files disagree about {variable}")
                self._enums[variable] = enum
                self._slices.setdefault(variable, []).extend((table, piece) for piece in slices)
        self._variables = {name: variables[name] for name in sorted(variables)}

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        shape, dtype = self._variables[name]
        slices = self._slices[name]
        parts = [resolve(piece, shape) for _, piece in slices]
        if len(parts) == 1:
            check_cover(shape, parts)
            return self._read_slice(name, 0, shape)
        if math.prod(shape) * least_bytes(self._enums[name]) > self._bytes:
            raise Malformed(f"its shape {list(shape)} has more elements than the file has bytes")
        return join(shape, dtype, parts, lambda index: self._read_slice(name, index, slice_shape(parts[index])))

    def _read_slice(self, name: str, index: int, shape: tuple[int, ...]) -> np.ndarray:
        table, piece = self._slices[name][index]
        count, dtype = math.prod(shape), self._variables[name][1]
        # The values come last in their record, so that they can be aligned before they are read.
        record = table.value(slice_key(name, piece), align_last=count * dtype.itemsize)
        if record is None:
            raise Malformed("its values are missing")
        values = parse_values(_parse_record(record.data, name, piece), self._enums[name], contents=False)
        if values.size != count:
            raise Malformed(f"it has {values.size} values, but the shape {list(shape)}")
        return aligned(values).reshape(shape)


def _parse_contents(
    record: np.ndarray | None, allowance: Allowance | None = None
) -> list[tuple[str, tuple[int, ...], int, list[Slice]]]:
    """The name, shape, dtype's number and slices of each variable in a SavedTensorSlices' `meta`."""
    if record is None:
        raise Malformed("it is a table file, but not of variables")
    allowance = allowance or Allowance(record.size)
    contents, versions = [], EMPTY
    for number, _, meta in fields(record.data):
        for inner, _, value in fields(expect_bytes(meta)) if number == 1 else ():
            if inner == 1:
                contents.append(_parse_variable(expect_bytes(value), allowance))
            elif inner == 2:
                versions = joined(versions, expect_bytes(value))
    check_versions(versions)
    return contents


def _parse_variable(meta: memoryview, allowance: Allowance) -> tuple[str, tuple[int, ...], int, list[Slice]]:
    """A SavedSliceMeta."""
    name, shape, enum = "", EMPTY, 0
    slices: list[Slice] = []
    allowance.take(_VARIABLE_BYTES)
    for number, _, value in fields(meta):
        if number == 1:
            name = utf8(value)
        elif number == 2:
            shape = joined(shape, expect_bytes(value))
        elif number == 3:
            enum = expect_int(value)
        elif number == 4:
            slices.append(parse_slice(expect_bytes(value)))
            allowance.take(slice_bytes(slices[-1]))
    dimensions = parse_shape(shape)
    allowance.take(sys.getsizeof(name) + 40 * len(dimensions))
    return name, dimensions, enum, slices


def _parse_record(record: memoryview, name: str, piece: Slice) -> Message:
    """The TensorProto in a SavedTensorSlices' `data`; checks that it is of that slice."""
    saved = EMPTY
    for number, _, value in fields(record):
        if number == 2:
            saved = joined(saved, expect_bytes(value))
    if not len(saved):
        raise Malformed("its record holds no values")
    check_messages(saved, _SAVED_FIELDS)
    filed, place, values = "", EMPTY, EMPTY
    for number, _, value in fields(saved):
        if number == 1:
            filed = utf8(value)
        elif number == 2:
            place = joined(place, expect_bytes(value))
        elif number == 3:
            values = joined(values, expect_bytes(value))
    if filed != name or parse_slice(place) != piece:
        raise Malformed("its values are filed under another name")
    return values
