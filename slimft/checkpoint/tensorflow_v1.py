"""TensorFlow's V1 checkpoints: one table file, or several that share the variables.

The official VGG, ResNet V1 and Inception files are of this format. Source: tensorflow/core/util/
saved_tensor_slice.proto and tensor_slice_writer.cc. The empty key holds the names, shapes and slices; the
values of each slice lie under a key made of the name and the slice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.binary_file import BinaryFile, Malformed, aligned
from slimft.checkpoint.dtypes import dtype_of_enum
from slimft.checkpoint.protobuf import expect_bytes, expect_int, fields, text
from slimft.checkpoint.slices import Slice, check_cover, join, parse_slice, resolve, slice_key, slice_shape
from slimft.checkpoint.table import Table
from slimft.checkpoint.tensor_proto import parse_shape, parse_values


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
        self._bytes = 0
        variables: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        for name in files:
            file = BinaryFile(name)
            self._bytes += file.size
            table = Table(file, verify)
            for variable, shape, enum, slices in _parse_contents(table.value(b"")):
                described = shape, dtype_of_enum(enum)
                if variables.setdefault(variable, described) != described:
                    raise Malformed(f"its files disagree about {variable}")
                self._enums[variable] = enum
                self._slices.setdefault(variable, []).extend((table, piece) for piece in slices)
        self._variables = {name: variables[name] for name in sorted(variables)}

    def _shapes_and_dtypes(self):
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        shape, dtype = self._variables[name]
        slices = self._slices[name]
        parts = [resolve(piece, shape) for _, piece in slices]
        if len(parts) == 1:
            check_cover(shape, parts)
            return self._read_slice(name, 0, shape)
        if math.prod(shape) > self._bytes:
            raise Malformed(f"its shape {list(shape)} has more elements than the file has bytes")
        return join(shape, dtype, parts, lambda index: self._read_slice(name, index, slice_shape(parts[index])))

    def _read_slice(self, name: str, index: int, shape: tuple[int, ...]) -> np.ndarray:
        table, piece = self._slices[name][index]
        count, dtype = math.prod(shape), self._variables[name][1]
        # The values come last in their record, so that they can be aligned before they are read.
        record = table.value(slice_key(name, piece), align_last=count * dtype.itemsize)
        if record is None:
            raise Malformed("its values are missing")
        values = parse_values(_parse_record(record.data, name, piece), self._enums[name])
        if values.size != count:
            raise Malformed(f"it has {values.size} values, but the shape {list(shape)}")
        return aligned(values).reshape(shape)


def _parse_contents(record: np.ndarray | None) -> list[tuple[str, tuple[int, ...], int, list[Slice]]]:
    """The name, shape, dtype's number and slices of each variable in a SavedTensorSlices' `meta`."""
    if record is None:
        raise Malformed("it is a table file, but not of variables")
    contents = []
    for number, _, meta in fields(record.data):
        for inner, _, tensor in fields(expect_bytes(meta)) if number == 1 else ():
            if inner != 1:
                continue
            name, shape, enum, slices = "", (), 0, []
            for number_, _, value in fields(expect_bytes(tensor)):
                if number_ == 1:
                    name = text(value)
                elif number_ == 2:
                    shape = parse_shape(expect_bytes(value))
                elif number_ == 3:
                    enum = expect_int(value)
                elif number_ == 4:
                    slices.append(parse_slice(expect_bytes(value)))
            contents.append((name, shape, enum, slices))
    return contents


def _parse_record(record: memoryview, name: str, piece: Slice) -> memoryview:
    """The TensorProto in a SavedTensorSlices' `data`; checks that it is of that slice."""
    for number, _, saved in fields(record):
        if number != 2:
            continue
        found = {inner: value for inner, _, value in fields(expect_bytes(saved))}
        if text(found.get(1, b"")) != name or parse_slice(expect_bytes(found.get(2, b""))) != piece:
            raise Malformed("its values are filed under another name")
        return expect_bytes(found.get(3, memoryview(b"")))
    raise Malformed("its record holds no values")
