"""The safetensors format, read and written one tensor at a time.

Source: the format as described at github.com/huggingface/safetensors: 8 bytes with the length of a JSON header,
the header (name to dtype, shape and place), the values.
"""

from __future__ import annotations

import json
import math
import pathlib

import numpy as np

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.binary_file import ALIGNMENT, BinaryFile, Malformed, aligned_buffer, as_octets
from slimft.checkpoint.dtypes import dtype_of_name
from slimft.checkpoint.tensor_proto import checked_shape
from slimft.files import atomic_file

_MOST_HEADER_BYTES = 100_000_000
_METADATA = "__metadata__"
_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool", "C64": "complex64",
}  # fmt: skip
_CODES = {name: code for code, name in _NAMES.items()}


class SafetensorsCheckpoint(Checkpoint):
    """The tensors of a safetensors file, by their names.

    Args:
        path: the file.

    Raises:
        Malformed: it is not a safetensors file.
        OSError: it cannot be read.
    """

    format = "safetensors"

    def __init__(self, path: str):
        self.path = path
        self._file = BinaryFile(path)
        length = int.from_bytes(self._file.read(0, 8), "little")
        if length > min(_MOST_HEADER_BYTES, self._file.size - 8):
            raise Malformed("its header is longer than the file")
        try:
            header = json.loads(bytes(self._file.read(8, length)))
        except (ValueError, RecursionError) as error:
            raise Malformed(f"its header is not JSON: {error}") from None
        if not isinstance(header, dict):
            raise Malformed("its header is not a JSON object")
        header.pop(_METADATA, None)
        self._offsets: dict[str, int] = {}
        self._variables = {}
        end = 0
        tensors = [(*_parse_description(name, described), name) for name, described in header.items()]
        for begin, stop, shape, dtype, name in sorted(tensors, key=lambda tensor: tensor[:2]):
            # Without gaps or overlaps, as the format demands.
            if begin != end or stop - begin != math.prod(shape) * dtype.itemsize:
                raise Malformed(f"the place of {name} does not fit")
            end = stop
            self._offsets[name] = 8 + length + begin
            self._variables[name] = shape, dtype
        if 8 + length + end != self._file.size:
            raise Malformed(f"it has {self._file.size} bytes, its tensors end at {8 + length + end}")

    def _shapes_and_dtypes(self):
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        shape, dtype = self._variables[name]
        octets = aligned_buffer(math.prod(shape) * dtype.itemsize)
        self._file.read_into(octets, self._offsets[name])
        return octets.view(dtype).reshape(shape)


def write_safetensors(file: str, variables: Checkpoint) -> None:
    """Writes `variables` as a safetensors file, one variable at a time.

    Raises:
        Malformed: a variable is of a dtype that the format has not: strings, complex128 and the like.
        CheckpointError: a variable cannot be read.
        OSError: the file cannot be written.
    """
    header, end = {}, 0
    for name in variables:
        shape, dtype = variables.shape(name), variables.dtype(name)
        code = _CODES.get(dtype.name)
        if code is None:
            kind = "strings" if dtype.hasobject else dtype.name
            raise Malformed(f"{name} is of {kind}, which safetensors cannot hold; exclude it or give a dtype")
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    with atomic_file(pathlib.Path(file)) as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in variables:
            stream.write(as_octets(variables[name]).data)


def _parse_description(name: str, described) -> tuple[int, int, tuple[int, ...], np.dtype]:
    """Place, shape and dtype of the tensor `name`, from the JSON about it."""
    try:
        dtype = dtype_of_name(_NAMES[described["dtype"]])
        shape, (begin, stop) = described["shape"], described["data_offsets"]
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, stop)):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise Malformed(f"its header does not describe {name} as the format wants") from None
    return begin, stop, checked_shape(shape), dtype
