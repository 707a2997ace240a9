"""Reads pickled dictionaries of NumPy arrays without running the pickle.

Python's unpickler calls whatever a file names. Allowing it NumPy's own functions only is not enough: a
dtype's state can make NumPy follow pointers that come out of the file, and one memo index can ask for
gigabytes. Here pickletools reads the opcodes; a call is written down and never made, and the few calls
an array is pickled as are understood.
"""

from __future__ import annotations

import dataclasses
import pickletools
import re

import numpy as np

# The calls that pickle an array, as Python 2 and NumPy 1 and 2 name them.
_CALLS = {
    "_codecs encode": "bytes",
    "numpy dtype": "dtype",
    "numpy ndarray": "ndarray",
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy.core.numeric _frombuffer": "array from buffer",
    "numpy._core.numeric _frombuffer": "array from buffer",
}
# Opcodes that push their argument.
_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
# How many objects the others take off the stack, where it is not none.
_TAKES = {
    **{"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2},
    **{"STACK_GLOBAL": 2, "REDUCE": 2, "BUILD": 1, "STOP": 1},
}
_TAKES_TO_MARK = {"TUPLE", "APPENDS", "SETITEMS"}
# A batch of CIFAR-10 takes about 40,000.
_MOST_OPCODES = 1 << 20


@dataclasses.dataclass(eq=False)
class _Call:
    """A call the pickle asks for, and the state it wants set on the result."""

    function: str
    arguments: tuple
    state: object = None


def load_arrays(data: bytes) -> dict:
    """The dictionary pickled in `data`, by protocol 2 or later.

    Strings of Python 2 are given as bytes. Memory stays within a small multiple of the size of `data`.

    Raises:
        Exception: of nearly any kind, where `data` is corrupt or holds anything but strings, integers,
            lists, tuples, dictionaries and arrays of integers.
    """
    batch = _interpret(data)
    if not isinstance(batch, dict):
        raise ValueError("it holds no dictionary")
    return {key: _array(value) if isinstance(value, _Call) else value for key, value in batch.items()}


def _interpret(data: bytes):
    """What the pickle builds, with a _Call for the result of each call."""
    stack, marks, memo = [], [], {}
    encoded = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if count >= _MOST_OPCODES:
            raise ValueError("it holds far too many objects")
        name = opcode.name
        start = marks.pop() if name in _TAKES_TO_MARK else len(stack) - _TAKES.get(name, 0)
        if not 0 <= start <= len(stack):
            raise ValueError(f"its {name} has nothing to take")
        items = stack[start:]
        del stack[start:]
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINSTRING", "SHORT_BINSTRING"):
            stack.append(argument.encode("latin-1"))
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
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
                if encoded > len(data):
                    raise ValueError("it repeats its strings")
        elif name == "BUILD":
            stack[-1].state = items[0]
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "STOP":
            return items[0]
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it holds a {name}, which no CIFAR-10 file does")


def _set_items(dictionary: dict, items: list):
    if len(items) % 2:
        raise ValueError("it has a key without a value")
    # Not tuples: to hash a tuple of tuples can take forever.
    if not all(isinstance(key, (bytes, str)) for key in items[::2]):
        raise ValueError("it has a key that is not a string")
    dictionary.update(zip(items[::2], items[1::2]))


def _function(name: str) -> str:
    if name not in _CALLS:
        raise ValueError(f"it names {name.replace(' ', '.')[:60]!r}, which no CIFAR-10 file does")
    return _CALLS[name]


def _call(function: str, arguments: tuple):
    if function == "bytes":  # Protocol 2 has no bytes: Python 3 pickles them as an encoded string.
        return arguments[0].encode("latin-1")
    return _Call(function, arguments)


def _array(call: _Call) -> np.ndarray:
    """The array of integers that ndarray.__reduce__ (or, in protocol 5, __reduce_ex__) wrote as `call`."""
    if call.function == "array":
        _, shape, dtype, fortran, raw = call.state
        order = "F" if fortran else "C"
    elif call.function == "array from buffer":
        raw, dtype, shape, order = call.arguments
    else:
        raise ValueError(f"it holds a {call.function} where an array should be")
    code, byte_order = _text(dtype.arguments[0]), _text(dtype.state[1])
    if not re.fullmatch("[iu][1248]", code):
        raise ValueError("it holds an array that is not of integers")
    return np.frombuffer(raw, np.dtype(code).newbyteorder(byte_order)).reshape(shape, order=order)


def _text(text: bytes | str) -> str:
    return str(text, "ascii") if isinstance(text, bytes) else text
