"""NumPy's `.npz` archives, read and written one array at a time."""

from __future__ import annotations

import io
import math
import os
import pathlib
import zipfile
import zlib
from typing import IO, cast

import numpy as np

from slimft.checkpoint.base import Checkpoint, Listing
from slimft.checkpoint.memory import Allowance
from slimft.checkpoint.tensor_proto import checked_shape
from slimft.files import atomic_file
from slimft.wire.binary_file import Malformed, aligned_buffer

# Deflate, which is all that NumPy uses, makes at most 1032 bytes of one.
_MOST_EXPANSION = 1032
_PIECE = 1 << 20
# NumPy reads no longer header without being told to; structured dtypes of hundreds of fields have less.
_MOST_HEADER_BYTES = 10_000
# What an array takes that is listed, but for its name: zipfile's entry and ours.
_MEMBER_BYTES = 1 << 10


class NpzCheckpoint(Checkpoint):
    """The arrays of an `.npz` file, by their names.

    Args:
        path: the file.

    Raises:
        Malformed: it is no archive of plain arrays.
        OSError: it cannot be read.
    """

    format = "npz"

    def __init__(self, path: str):
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise Malformed(str(error)) from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._variables: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        allowance = Allowance(os.path.getsize(path))
        for member in self._zip.infolist():
            allowance.take(_MEMBER_BYTES + 12 * len(member.filename) + len(member.extra))
            if not member.filename.endswith(".npy"):
                continue
            name = member.filename.removesuffix(".npy")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Malformed(f"{name} is compressed in a way that NumPy does not use")
            with self._open(member) as stream:
                shape, dtype, _ = read_header(stream)
            self._members[name] = member
            self._variables[name] = shape, dtype
        if not self._members:
            raise Malformed("it is a zip archive without NumPy arrays")

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        member = self._members[name]
        with self._open(member) as stream:
            try:
                shape, dtype, fortran_order = read_header(stream)
                size = math.prod(shape) * dtype.itemsize
                most = member.compress_size * (1 if member.compress_type == zipfile.ZIP_STORED else _MOST_EXPANSION)
                if size > min(member.file_size, most):
                    raise Malformed(f"its shape {list(shape)} is more than its {member.file_size} bytes")
                octets, end = aligned_buffer(size), 0
                # ZipExtFile.readinto takes twice as much memory again as it is asked for.
                while end < size and (count := stream.readinto(octets.data[end : end + _PIECE])):
                    end += count
                if end != size or stream.read(1):
                    raise Malformed("it has more or fewer bytes than its shape")
            except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
                raise Malformed(str(error)) from None
        array = octets.view(dtype)
        return array.reshape(shape[::-1]).T if fortran_order else array.reshape(shape)

    def _open(self, member: zipfile.ZipInfo) -> zipfile.ZipExtFile:
        try:
            return cast(zipfile.ZipExtFile, self._zip.open(member))  # What `open` returns for reading.
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
            raise Malformed(f"{member.filename}: {error}") from None


def write_npz(file: str, variables: Checkpoint) -> None:
    """Writes `variables` as an `.npz` file, not compressed, one variable at a time.

    Raises:
        Malformed: a variable is of a dtype that `.npz` files cannot hold: strings, bfloat16 and the like.
        CheckpointError: a variable cannot be read.
        OSError: the file cannot be written.
    """
    for name in variables:
        dtype = variables.dtype(name)
        # ml_dtypes' are known to NumPy, and as float8_e5m2 claims to be, even floats; but not to its files.
        if dtype.hasobject or dtype.isbuiltin == 2 or (dtype.kind == "V" and not dtype.names):
            kind = "strings" if dtype.hasobject else dtype.name
            raise Malformed(f"{name} is of {kind}, which .npz cannot hold; exclude it or convert it with a dtype")
    with atomic_file(pathlib.Path(file)) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in variables:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, np.asarray(variables[name], order="C"))


def _write_array(stream: IO[bytes], array: np.ndarray) -> None:
    """As `np.lib.format.write_array`, which copies 16 MB at a time."""
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
    stream.write(array.reshape(-1).view(np.uint8).data)


def read_header(stream: io.BufferedIOBase, objects: bool = False) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype and whether the order is Fortran's, from the head of a `.npy` file.

    Args:
        stream: the file, which is left where the header ends.
        objects: whether the dtype may be that of Python objects.

    Raises:
        Malformed: it is damaged, or the dtype is not one of plain values.
    """
    try:
        # NumPy reads all that a header claims to have before it looks at how much that is.
        head = stream.read(np.lib.format.MAGIC_LEN)
        version = np.lib.format.read_magic(io.BytesIO(head))
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"its version, {version}, is unknown")
        width = 2 if version == (1, 0) else 4
        length = int.from_bytes(stream.read(width), "little")
        if length > _MOST_HEADER_BYTES:
            raise ValueError(f"it is said to have {length} bytes, and NumPy reads at most {_MOST_HEADER_BYTES}")
        text = stream.read(length)
        if len(text) < length:
            raise ValueError("it is cut off")
        if version == (3, 0):  # As version 2, but in UTF-8. What is not ASCII stands in the names of fields.
            text = text.decode("utf-8").encode("ascii", "backslashreplace")
        header = io.BytesIO(len(text).to_bytes(width, "little") + text)
        if version == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(header)
        else:
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(header)
    except OSError:
        raise
    except Exception as error:  # The header is Python, which NumPy parses: errors of any kind come up.
        raise Malformed(f"an array's header is damaged: {error}") from None
    if dtype.hasobject and not objects:
        raise Malformed("it holds Python objects, which could run code when read; they are not read")
    if not dtype.itemsize or dtype.subdtype:
        raise Malformed(f"its dtype, {dtype}, is not one of plain values")
    return checked_shape(shape), dtype, fortran_order
