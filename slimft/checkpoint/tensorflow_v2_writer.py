"""Writes TensorFlow's V2 checkpoints without TensorFlow.

Source: as tensorflow_v2.py. One data file; each variable starts at a multiple of 64 bytes, so that reading the
checkpoint back can map it (TensorFlow's own writer leaves no gaps; its readers mind neither).
"""

from __future__ import annotations

import pathlib
from typing import Any, BinaryIO

import numpy as np

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.bundle_files import data_file, index_file, move_checkpoint
from slimft.checkpoint.dtypes import STRING, enum_of_dtype
from slimft.checkpoint.table import build_table
from slimft.files import temporary_directory
from slimft.wire.binary_file import ALIGNMENT, Malformed, as_octets
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import field, varint

# BundleHeaderProto: one data file, little-endian, format version 1.
_HEADER = field(1, 1) + field(3, field(1, 1))


def write_tensorflow_v2(prefix: str, variables: Checkpoint) -> None:
    """Writes `variables` as the V2 checkpoint at `prefix`, one variable at a time.

    At every instant there is the old checkpoint or the new one, and whole.

    Raises:
        Malformed: TensorFlow has no dtype for a variable, or cannot have a name.
        CheckpointError: a variable cannot be read.
        OSError: the files cannot be written.
    """
    entries: dict[bytes, bytes] = {}
    target = pathlib.Path(prefix)
    with temporary_directory(target.parent) as folder:
        source = folder / target.name
        with open(data_file(source), "wb") as data:
            for name in sorted(variables):
                data.write(bytes(-data.tell() % ALIGNMENT))
                try:
                    # Without a name for the array, which would keep it while the next one is read.
                    entries[name.encode("utf-8", "surrogateescape")] = _write_values(data, variables[name])
                except Malformed as error:
                    raise Malformed(f"{name}: {error}") from None
        index_file(source).write_bytes(build_table([(b"", _HEADER), *sorted(entries.items())]))
        move_checkpoint(source, target)


def _write_values(data: BinaryIO, array: np.ndarray) -> bytes:
    """Writes an array's values; returns its BundleEntryProto."""
    enum, offset = enum_of_dtype(array.dtype), data.tell()
    if enum == STRING:
        checksum = _write_strings(data, [_as_bytes(value) for value in array.flat])
    else:
        octets = as_octets(array)
        data.write(octets.data)
        checksum = crc32c(octets)
    shape = b"".join(field(2, field(1, size)) for size in array.shape)
    entry = field(1, enum) + field(2, shape) + field(4, offset) + field(5, data.tell() - offset)
    return entry + field(6, masked(checksum), fixed32=True)


def _write_strings(data: BinaryIO, values: list[bytes]) -> int:
    """Writes strings as `tensorflow_v2._parse_strings` reads them; returns their checksum."""
    checksum = crc32c(b"".join(len(value).to_bytes(4 if len(value) < 1 << 32 else 8, "little") for value in values))
    of_lengths = masked(checksum).to_bytes(4, "little")
    data.write(b"".join(varint(len(value)) for value in values) + of_lengths)
    checksum = crc32c(of_lengths, checksum)
    for value in values:
        data.write(value)
        checksum = crc32c(value, checksum)
    return checksum


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return value.encode("utf-8")
    except (AttributeError, UnicodeEncodeError):
        raise Malformed(f"of its values, one is neither bytes nor a string of Unicode: {value!r:.40}") from None
