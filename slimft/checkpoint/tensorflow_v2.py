"""TensorFlow's V2 checkpoints ("tensor bundles"): an index, which is a table, and files of raw values.

Source: tensorflow/core/protobuf/tensor_bundle.proto and core/util/tensor_bundle/tensor_bundle.cc.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Mapping

import numpy as np

from slimft.checkpoint import object_graph
from slimft.checkpoint.base import Checkpoint, Listing
from slimft.checkpoint.dtypes import STRING, dtype_of_enum
from slimft.checkpoint.memory import Allowance
from slimft.checkpoint.slices import Slice, join, parse_slice, resolve, slice_bytes, slice_key, slice_shape
from slimft.checkpoint.table import Table
from slimft.checkpoint.tensor_proto import check_versions, parse_shape
from slimft.errors import CheckpointError
from slimft.wire.binary_file import ALIGNMENT, BinaryFile, Malformed, aligned_buffer
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import EMPTY, Value, expect_bytes, expect_int, fields, joined, leading_varints

# Smaller variables are read: a map of their own, a page and a file descriptor each, would cost more.
_LEAST_MAPPED_BYTES = 1 << 20
# What a variable takes that is listed, but for its slices and its name.
_ENTRY_BYTES = 1 << 9


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """A BundleEntryProto: where the values of a variable, or of a slice of one, lie."""

    enum: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    slices: tuple[Slice, ...] = ()


class TensorFlowV2Checkpoint(Checkpoint):
    """A V2 checkpoint.

    Args:
        prefix: the path of its files up to ``.index`` and ``.data-?????-of-?????``.
        verify: whether to check checksums.
        memory_map: whether large variables that lie at a multiple of 64 bytes in their file are mapped.

    Raises:
        Malformed: the index is damaged.
        OSError: the index cannot be read.
    """

    format = "tensorflow_v2"

    def __init__(self, prefix: str, verify: bool = True, memory_map: bool = True):
        self.path = prefix
        self._verify = verify
        self._memory_map = memory_map
        self._shards: dict[int, BinaryFile] = {}
        self._slice_records: dict[bytes, bytes] = {}
        self._entries: dict[str, _Entry] = {}
        index = BinaryFile(f"{prefix}.index")
        allowance = Allowance(index.size)
        shard_count = None
        for key, value in Table(index, verify, allowance):
            allowance.take(_ENTRY_BYTES)
            if not key:
                shard_count = _parse_header(value)
            elif key.startswith(b"\0"):
                allowance.take(len(key) + len(value))
                self._slice_records[key] = bytes(value)
            else:
                name = key.decode("utf-8", "surrogateescape")
                allowance.take(sys.getsizeof(name))
                self._entries[name] = _parse_entry(value, allowance)
        if shard_count is None:
            raise Malformed("its index has no header")
        self._shard_count = shard_count
        self._variables = {name: (entry.shape, _dtype(entry.enum)) for name, entry in self._entries.items()}

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def aliases(self) -> Mapping[str, str]:
        """Full names of the variables of an object-based checkpoint, each with its key.

        Raises:
            CheckpointError: the object graph, which tells them, is damaged.
        """
        if object_graph.KEY not in self:
            return {}
        graph = self[object_graph.KEY]
        if graph.shape or not isinstance(graph.item(), bytes):
            raise CheckpointError(f"{self.path}: {object_graph.KEY} is not the object graph of a checkpoint")
        try:
            names = object_graph.full_names(memoryview(graph.item()))
        except Malformed as error:
            raise CheckpointError(f"{self.path}: cannot read {object_graph.KEY}: {error}") from None
        return {name: key for name, key in names.items() if key in self and name not in self}

    def is_mapped(self, name: str) -> bool:
        entry = self._entries[name]
        return not entry.slices and self._maps(entry)

    def _maps(self, entry: _Entry) -> bool:
        large = entry.size >= _LEAST_MAPPED_BYTES and entry.enum != STRING
        return self._memory_map and large and entry.offset % ALIGNMENT == 0

    def _read(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        if not entry.slices:
            return self._read_entry(entry)
        parts = [resolve(piece, entry.shape) for piece in entry.slices]
        pieces = []
        for piece, part in zip(entry.slices, parts):
            record = self._slice_records.get(slice_key(name, piece))
            if record is None:
                raise Malformed("a slice of it is missing")
            pieces.append(_parse_entry(memoryview(record)))
            if (pieces[-1].enum, pieces[-1].shape, pieces[-1].slices) != (entry.enum, slice_shape(part), ()):
                raise Malformed("a slice of it has another shape or dtype")
        dtype = dtype_of_enum(entry.enum)
        # What the files have is compared before memory is taken: slices could all lie at the same place in one.
        # Of strings no more than one fits into a byte.
        stored = sum(file.size for file in {self._shard(each) for each in pieces})
        if math.prod(entry.shape) * (dtype.itemsize if entry.enum != STRING else 1) > stored:
            raise Malformed("its slices hold less than its shape")
        return join(entry.shape, dtype, parts, lambda index: self._read_entry(pieces[index]))

    def _read_entry(self, entry: _Entry) -> np.ndarray:
        dtype, count = dtype_of_enum(entry.enum), math.prod(entry.shape)
        file = self._shard(entry)
        if entry.enum != STRING and entry.size != count * dtype.itemsize:
            raise Malformed(f"it has {entry.size} bytes, but the shape {list(entry.shape)} of {dtype}")
        if self._maps(entry):
            octets = file.map(entry.offset, entry.size)
            checksum = crc32c(octets) if self._verify else None
        else:
            octets = aligned_buffer(entry.size)
            checksum = file.read_into(octets, entry.offset, checked=self._verify)
        if entry.enum == STRING:
            values, checksum = _parse_strings(octets.data, count)
            values = values.reshape(entry.shape)
        else:
            values = octets.view(dtype).reshape(entry.shape)
        if checksum is not None and self._verify and masked(checksum) != entry.checksum:
            raise Malformed("its checksum does not match: the file is damaged")
        return values

    def _shard(self, entry: _Entry) -> BinaryFile:
        """The file an entry lies in, if all of the entry is in it."""
        if not 0 <= entry.shard < self._shard_count:
            raise Malformed(f"it is in data file {entry.shard} of {self._shard_count}")
        if entry.shard not in self._shards:
            name = f"{self.path}.data-{entry.shard:05d}-of-{self._shard_count:05d}"
            try:
                self._shards[entry.shard] = BinaryFile(name)
            except FileNotFoundError:
                raise Malformed(f"the file {os.path.basename(name)} is missing; copy that too") from None
        file = self._shards[entry.shard]
        if min(entry.offset, entry.size) < 0 or entry.offset + entry.size > file.size:
            raise Malformed(
                f"it ends at byte {entry.offset + entry.size} of a data file of {file.size}; the file is cut short"
            )
        return file


def _dtype(enum: int) -> np.dtype:
    """As `dtype_of_enum`; what holds no plain values is listed as of objects, and an error when read."""
    try:
        return dtype_of_enum(enum)
    except Malformed:
        return np.dtype(object)


def _parse_header(record: memoryview) -> int:
    """The number of data files that a BundleHeaderProto tells."""
    found: dict[int, Value] = {}
    versions = EMPTY
    for number, _, value in fields(record):
        if number == 3:
            versions = joined(versions, expect_bytes(value))
        else:
            found[number] = value
    if found.get(2):
        raise Malformed("it was written on a big-endian machine; convert it there with TensorFlow")
    check_versions(versions)
    return expect_int(found.get(1, 0))


def _parse_entry(record: memoryview, allowance: Allowance | None = None) -> _Entry:
    allowance = allowance or Allowance(len(record))
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    checksum = 0
    shape = EMPTY
    slices: list[Slice] = []
    for number, _, value in fields(record):
        if number == 2:
            shape = joined(shape, expect_bytes(value))
        elif number == 6:
            if not isinstance(value, bytes) or len(value) != 4:  # Of wire type FIXED32.
                raise Malformed("its checksum is none")
            checksum = int.from_bytes(value, "little")
        elif number == 7:
            slices.append(parse_slice(expect_bytes(value)))
            allowance.take(slice_bytes(slices[-1]))
        elif number in numbers:
            numbers[number] = expect_int(value)
    dimensions = parse_shape(shape)
    allowance.take(40 * len(dimensions))
    enum, shard, offset, size = numbers.values()
    return _Entry(enum, dimensions, shard, offset, size, checksum, tuple(slices))


def _parse_strings(record: memoryview, count: int) -> tuple[np.ndarray, int]:
    """The strings in `record`, as objects, and the checksum of lengths and contents, not masked.

    A record is the lengths as varints, their masked checksum, and the strings. The checksum is of each length
    as 4 bytes (8 where it needs them), of the masked checksum and of the strings.
    """
    if count > len(record):
        raise Malformed(f"{count} strings are not in {len(record)} bytes")
    lengths, position = leading_varints(record, count)
    start = position + 4
    # Each of them first: their sum could wrap around.
    longest = int(lengths.max(initial=0))
    if longest > len(record) or start + int(lengths.sum()) != len(record):
        raise Malformed("its strings do not fill its bytes")
    fixed = lengths.astype("<u4") if longest < 1 << 32 else _fixed(lengths)
    checksum = crc32c(record[position:], crc32c(fixed))
    values = np.empty(count, object)
    for index, length in enumerate(lengths):
        end = start + int(length)
        values[index] = bytes(record[start:end])
        start = end
    return values, checksum


def _fixed(lengths: np.ndarray) -> np.ndarray:
    octets = b"".join(int(length).to_bytes(4 if length < 1 << 32 else 8, "little") for length in lengths)
    return np.frombuffer(octets, np.uint8)
