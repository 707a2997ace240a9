"""Pickles of named arrays, and NumPy's `.npy` with one in it, such as ``vgg16.npy``. Nothing in a pickle is run."""

from __future__ import annotations

import math
import os

import numpy as np

from slimft.array_pickle import PickledArray, Span, as_array, is_call, object_in_array, read_pickle
from slimft.checkpoint.base import Checkpoint, Listing
from slimft.checkpoint.memory import Allowance
from slimft.checkpoint.npz import read_header
from slimft.checkpoint.tensor_proto import checked_shape
from slimft.messages import one_line, printable, say
from slimft.wire.binary_file import BinaryFile, Malformed, aligned_buffer

_MOST_DEPTH = 32
# What an array takes that is listed, but for its name.
_ENTRY_BYTES = 1 << 9
_BY_NAME = "save arrays by their variables' names: numpy.savez('weights.npz', **{name: array, ...})"


class PickledCheckpoint(Checkpoint):
    """The arrays in a pickle's dictionaries and lists, by their keys and positions: ``conv1_1/0``.

    Args:
        path: the file: a pickle, or an `.npy` file of one object.
        npy: whether it is the latter.

    Raises:
        Malformed: it holds no such arrays, or anything else that would have to be called.
        OSError: it cannot be read.
    """

    def __init__(self, path: str, npy: bool = False):
        self.path, self.format = path, "npy" if npy else "pickle"
        self._file = BinaryFile(path)
        self._allowance = Allowance(self._file.size)
        self._arrays: dict[str, PickledArray] = {}
        self._others: list[str] = []
        with open(os.dup(self._file.fileno()), "rb") as stream:
            stream.seek(0)
            if npy:
                shape, dtype, _ = read_header(stream, objects=True)
                if not dtype.hasobject:
                    raise Malformed(f"it is one array ({dtype} {list(shape)}) without a name; {_BY_NAME}")
            try:
                self._add((), object_in_array(read_pickle(stream)))
            except Malformed:
                raise
            except OSError:
                raise
            except Exception as error:  # Of nearly any kind, where the pickle is damaged.
                raise Malformed(f"its pickle is not read: {one_line(error)}; {_BY_NAME}") from None
        if not self._arrays:
            raise Malformed(f"its pickle holds no arrays with names; {_BY_NAME}")
        self._variables = {name: (array.shape, array.dtype) for name, array in self._arrays.items()}
        if self._others:
            more = f" and {len(self._others) - 3} more" if len(self._others) > 3 else ""
            say(f"note: {path}: no arrays, and left out: {', '.join(map(printable, self._others[:3]))}{more}")

    def _add(self, keys: tuple[str, ...], value: object) -> None:
        name = "/".join(keys)
        self._allowance.take(_ENTRY_BYTES + 4 * len(name))
        if isinstance(value, (dict, list, tuple)):
            if len(keys) == _MOST_DEPTH:
                raise Malformed("it is nested absurdly deep")
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in pairs:
                key = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
                self._add((*keys, key), inner)
            return
        if is_call(value):
            array = as_array(value)
        elif isinstance(value, (bool, int, float)) and not (isinstance(value, int) and value.bit_length() > 63):
            number = np.asarray(value)
            array = PickledArray(number.dtype, (), "C", number.tobytes())
        else:
            self._others.append(name)
            return
        if not keys:
            raise Malformed(f"it is one array ({array.dtype} {list(array.shape)}) without a name; {_BY_NAME}")
        if name in self._arrays:
            raise Malformed(f"two of its arrays are called {printable(name)}")
        checked_shape(array.shape)
        self._arrays[name] = array

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        size, values = math.prod(array.shape) * array.dtype.itemsize, array.values
        if isinstance(values, Span) and values.text:
            try:
                values = bytes(self._file.read(values.start, values.size)).decode("utf-8").encode("latin-1")
            except UnicodeError:
                raise Malformed("its values are no bytes") from None
        if (values.size if isinstance(values, Span) else len(values)) != size:
            raise Malformed(f"it has more or fewer bytes than its shape, {list(array.shape)}")
        octets = aligned_buffer(size)
        if isinstance(values, Span):
            self._file.read_into(octets, values.start)
        else:
            octets[:] = np.frombuffer(values, np.uint8)
        return octets.view(array.dtype).reshape(array.shape, order=array.order)
