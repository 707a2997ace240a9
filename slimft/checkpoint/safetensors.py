"""The safetensors format, read and written one tensor at a time.

Source: the format as described at github.com/huggingface/safetensors: 8 bytes with the length of a JSON header,
the header (name to dtype, shape and place), the values. The reader is as strict as the reference (version 0.8), and
stricter where that takes what the description forbids (a name twice) or what no writer makes (a tensor described by
an array instead of an object).
"""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import numpy as np

from slimft.checkpoint.base import Checkpoint, Listing, one_line
from slimft.checkpoint.dtypes import dtype_of_name
from slimft.checkpoint.memory import Allowance
from slimft.checkpoint.tensor_proto import checked_shape
from slimft.files import atomic_file
from slimft.wire.binary_file import ALIGNMENT, BinaryFile, Malformed, aligned_buffer, as_octets

_MOST_HEADER_BYTES = 100_000_000
_METADATA = "__metadata__"
# What one of JSON's values takes in Python, at least as much as that, but for its characters.
_VALUE_BYTES = 96
# The reference's parser goes down 127 levels of arrays and objects; the header and a tensor are two of them.
_MOST_DEPTH = 127 - 2
_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool", "C64": "complex64",
}  # fmt: skip
# Dtypes of the format that NumPy has no arrays of.
_OTHERS = {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0"}
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
            raise Malformed("its header is longer than the file, or than 100 MB")
        header = _parse_header(bytes(self._file.read(8, length)), Allowance(self._file.size))
        self._offsets: dict[str, int] = {}
        self._variables: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
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

    def _shapes_and_dtypes(self) -> Listing:
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


def _parse_header(octets: bytes, allowance: Allowance) -> dict[str, object]:
    """The JSON about each tensor, by its name."""
    values = sum(map(octets.count, (b",", b"[", b"{")))
    allowance.take(_VALUE_BYTES * values + 5 * len(octets))
    try:
        header = json.loads(
            octets.decode("utf-8"),
            object_pairs_hook=_parse_object,
            parse_constant=_parse_constant,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
        if b"\\u" in octets:
            # Halves of characters, which only escapes can be, are none.
            json.dumps(header, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Malformed(f"its header is not JSON as the format wants: {error}") from None
    if not isinstance(header, dict):
        raise Malformed("its header is not a JSON object")
    metadata = header.pop(_METADATA, None)
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    ):
        raise Malformed(f"its header's {_METADATA} is not a map of strings to strings")
    return header


def _parse_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"{one_line(name)!r} occurs twice in an object")
            seen.add(name)
    return found


def _parse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _parse_int(text: str) -> int | float:
    # -0 is a float to the reference, and so no size.
    _parse_float(text)
    return -0.0 if text == "-0" else int(text)


def _parse_float(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError("a number is out of range")
    return number


def _parse_description(name: str, described: Any) -> tuple[int, int, tuple[int, ...], np.dtype]:
    """Place, shape and dtype of the tensor `name`, from the JSON about it."""
    try:
        code, shape, (begin, stop) = described["dtype"], described["shape"], described["data_offsets"]
        lists = isinstance(shape, list) and isinstance(described["data_offsets"], list)
        if not lists or not all(type(number) is int and number >= 0 for number in (*shape, begin, stop)):
            raise ValueError
        others = [value for key, value in described.items() if key not in ("dtype", "shape", "data_offsets")]
        if any(_depth(value) > _MOST_DEPTH for value in others):
            raise ValueError
        if code in _OTHERS:
            raise Malformed(f"{one_line(name)} is of dtype {code}, which NumPy has not")
        dtype = dtype_of_name(_NAMES[code])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"its header does not describe {one_line(name)} as the format wants") from None
    return begin, stop, checked_shape(shape), dtype


def _depth(value: object) -> int:
    """How many arrays and objects are nested in `value`."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)
