"""Reads pickled dictionaries and lists of NumPy arrays without running the pickle.

Python's unpickler calls whatever a file names. Allowing it NumPy's own functions only is not enough: a
dtype's state can make NumPy follow pointers that come out of the file, and one memo index can ask for
gigabytes. Here pickletools tells the opcodes; a call is written down and never made, and the few calls
an array is pickled as are understood. Values of arrays stay in the file until they are asked for.
"""

from __future__ import annotations

import dataclasses
import io
import pickletools
import re
from typing import BinaryIO, Literal

import numpy as np

# The calls that pickle an array, as Python 2 and NumPy 1 and 2 name them.
_CALLS = {
    "_codecs encode": "bytes",
    "__builtin__ bytes": "no bytes",
    "builtins bytes": "no bytes",
    "collections OrderedDict": "dictionary",
    "numpy dtype": "dtype",
    "numpy ndarray": "ndarray",
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy.core.multiarray scalar": "scalar",
    "numpy._core.multiarray scalar": "scalar",
    "numpy.core.numeric _frombuffer": "array from buffer",
    "numpy._core.numeric _frombuffer": "array from buffer",
}
# Opcodes that push their argument.
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "UNICODE"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING"}
# How many bytes tell the length of what may be long.
_LENGTH_BYTES = {"BINUNICODE": 4, "BINUNICODE8": 8, "BINBYTES": 4, "BINBYTES8": 8, "BYTEARRAY8": 8, "BINSTRING": 4}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
# How many objects the others take off the stack, where it is not none.
_TAKES = {
    **{"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2},
    **{"STACK_GLOBAL": 2, "REDUCE": 2, "BUILD": 1, "STOP": 1},
}
_TAKES_TO_MARK = {"TUPLE", "APPENDS", "SETITEMS", "DICT", "LIST"}
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"GET", "BINGET", "LONG_BINGET"}
# A batch of CIFAR-10 takes about 40,000.
_MOST_OPCODES = 1 << 20
# What is longer is left in the file.
_SHORT_BYTES = 1 << 12
_CODE = re.compile(r"[iu][1248]|f[248]|c(8|16)|b1")


@dataclasses.dataclass(frozen=True, eq=False)
class Span:
    """Bytes that are left in the file.

    Attributes:
        start, size: where they are.
        text: whether they are text in UTF-8 that stands for as many bytes as it has characters.
    """

    start: int
    size: int
    text: bool = False

    def read(self, stream: BinaryIO) -> bytes:
        """Reads them from the file."""
        stream.seek(self.start)
        octets = stream.read(self.size)
        return octets.decode("utf-8").encode("latin-1") if self.text else octets


@dataclasses.dataclass(frozen=True, eq=False)
class PickledArray:
    """An array in a pickle.

    Attributes:
        dtype: of plain numbers.
        shape: its shape.
        order: ``C`` or ``F``.
        values: the bytes, or where they are.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    values: bytes | Span

    def read(self, stream: BinaryIO) -> np.ndarray:
        """The array, not writable, with its values from the file.

        Raises:
            ValueError: they are not as many as the shape says.
        """
        raw = self.values.read(stream) if isinstance(self.values, Span) else self.values
        return np.frombuffer(raw, self.dtype).reshape(self.shape, order=self.order)


@dataclasses.dataclass(eq=False)
class _Call:
    """A call the pickle asks for, and the state it wants set on the result."""

    function: str
    arguments: tuple
    state: object = None


def load_arrays(data: bytes) -> dict:
    """The dictionary pickled in `data`, with its arrays of integers.

    Strings of Python 2 are given as bytes. Memory stays within a small multiple of the size of `data`.

    Raises:
        Exception: of nearly any kind, where `data` is corrupt or holds anything but strings, numbers,
            lists, tuples, dictionaries and arrays of integers.
    """
    stream = io.BytesIO(data)
    batch = read_pickle(stream)
    if not isinstance(batch, dict):
        raise ValueError("it holds no dictionary")
    return {key: _loaded(value, stream) for key, value in batch.items()}


def _loaded(value, stream: BinaryIO):
    if isinstance(value, _Call):
        value = as_array(value)
        if value.dtype.kind not in "iu":
            raise ValueError("it holds an array that is not of integers")
        return value.read(stream)
    return value.read(stream) if isinstance(value, Span) else value


def read_pickle(stream: BinaryIO) -> object:
    """What a pickle builds, from where `stream` is: of any protocol, with little of its values in memory.

    Returns:
        Strings, numbers, lists, tuples, dictionaries; `Span` in the place of long strings; and what `as_array`
        makes an array of. Lists and dictionaries may hold themselves, as they may in a pickle.

    Raises:
        Exception: of nearly any kind, where it is corrupt or holds anything else.
    """
    stack, marks, memo = [], [], {}
    encoded, begin = 0, stream.tell()
    end = stream.seek(0, io.SEEK_END)
    stream.seek(begin)
    for count, (name, argument) in enumerate(_opcodes(stream, end)):
        if count >= _MOST_OPCODES:
            raise ValueError("it holds far too many objects")
        start = marks.pop() if name in _TAKES_TO_MARK else len(stack) - _TAKES.get(name, 0)
        if not 0 <= start <= len(stack):
            raise ValueError(f"its {name} has nothing to take")
        items = stack[start:]
        del stack[start:]
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _STRINGS:
            stack.append(argument.encode("latin-1") if isinstance(argument, str) else argument)
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name == "LIST":
            stack.append(items)
        elif name == "DICT":
            stack.append({})
            _set_items(stack[-1], items)
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(items))
        elif name in ("APPEND", "APPENDS"):
            stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            _set_items(stack[-1], items)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_function(argument if name == "GLOBAL" else " ".join(items)))
        elif name == "REDUCE":
            stack.append(_call(*items))
            if isinstance(stack[-1], bytes):
                encoded += len(stack[-1])
                if encoded > end - begin:
                    raise ValueError("it repeats its strings")
        elif name == "BUILD":
            stack[-1].state = items[0]
        elif name in _PUTS:
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in _GETS:
            stack.append(memo[argument])
        elif name == "STOP":
            return items[0]
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it holds a {name}, which no pickled array does")
    raise ValueError("it is cut off")


def _opcodes(stream: BinaryIO, end: int):
    """Yields the names and arguments of the opcodes, with a `Span` for what is long."""
    while code := stream.read(1):
        opcode = pickletools.code2op.get(code.decode("latin-1"))
        if opcode is None:
            raise ValueError(f"it holds the byte {code[0]:#04x} where an instruction should be")
        name = opcode.name
        if name == "LONG4":  # Its reader takes the memory for any length before it looks for the bytes.
            raise ValueError("it holds a LONG4, which no pickled array does")
        if name in _LENGTH_BYTES:
            width = _LENGTH_BYTES[name]
            length = int.from_bytes(stream.read(width), "little", signed=name == "BINSTRING")
            if not 0 <= length <= end - stream.tell():
                raise ValueError("a string in it is longer than the file")
            if length > _SHORT_BYTES:
                yield name, Span(stream.tell(), length, text=name.startswith("BINUNICODE"))
                stream.seek(length, io.SEEK_CUR)
                continue
            stream.seek(-width, io.SEEK_CUR)
        yield name, None if opcode.arg is None else opcode.arg.reader(stream)


def _set_items(dictionary: dict, items: list):
    if len(items) % 2:
        raise ValueError("it has a key without a value")
    # Not tuples: to hash a tuple of tuples can take forever.
    if not all(isinstance(key, (bytes, str, int)) for key in items[::2]):
        raise ValueError("it has a key that is neither a string nor a number")
    dictionary.update(zip(items[::2], items[1::2]))


def _function(name: str) -> str:
    if name not in _CALLS:
        raise ValueError(f"it names {name.replace(' ', '.')[:60]!r}, which no pickled array does")
    return _CALLS[name]


def _call(function: str, arguments: tuple):
    if function == "bytes":  # Protocol 2 has no bytes: Python 3 pickles them as an encoded string.
        return arguments[0] if isinstance(arguments[0], Span) else arguments[0].encode("latin-1")
    if function == "no bytes" and not arguments:
        return b""
    if function == "dictionary":
        found: dict = {}
        for pair in arguments[0] if arguments else ():
            _set_items(found, list(pair))
        return found
    return _Call(function, arguments)


def is_call(value: object) -> bool:
    """Whether a value that `read_pickle` gave may be an array."""
    return isinstance(value, _Call)


def object_in_array(value: object) -> object:
    """The object, or the list of several, in an array of objects, as `numpy.save` makes of one; else `value`."""
    if isinstance(value, _Call) and value.function == "array" and value.state is not None:
        _, shape, dtype, _, objects = value.state
        if _text(dtype.arguments[0]).lstrip("|") in ("O8", "O4", "O"):
            return objects[0] if shape == () else objects
    return value


def as_array(call: object) -> PickledArray:
    """The array that ndarray.__reduce__ (or, in protocol 5, __reduce_ex__) wrote as `call`.

    Raises:
        Exception: of nearly any kind, where it is none of plain numbers.
    """
    if call.function == "array":
        _, shape, dtype, fortran, raw = call.state
        order = "F" if fortran else "C"
    elif call.function == "array from buffer":
        raw, dtype, shape, order = call.arguments
    elif call.function == "scalar":
        (dtype, raw), shape, order = call.arguments, (), "C"
    else:
        raise ValueError(f"it holds a {call.function} where an array should be")
    code, byte_order = _text(dtype.arguments[0]), _text(dtype.state[1])
    if not _CODE.fullmatch(code):
        raise ValueError(f"it holds an array of {code}, which is not of numbers")
    # Fields, subarrays, or flags that let NumPy take numbers for objects.
    if dtype.state[2:5] != (None, None, None) or any(dtype.state[7:8]):
        raise ValueError(f"it holds an array of {code} that is not plain")
    if not isinstance(raw, (bytes, bytearray, Span)):
        raise ValueError("it holds an array without values")
    if isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("it holds an array without a shape")
    order = _text(order)
    if order not in ("C", "F"):
        raise ValueError("it holds an array in an order that is neither C nor F")
    return PickledArray(np.dtype(code).newbyteorder(byte_order), tuple(shape), order, raw)


def _text(text: bytes | str) -> str:
    return str(text, "ascii") if isinstance(text, bytes) else text
