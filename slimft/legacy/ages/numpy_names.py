"""Names that NumPy had until 1.24 or 2.0, and calls that it no longer takes.

Which: NumPy's release notes of 1.20, 1.24, 2.0 and 2.4 (numpy.org/doc/stable/release).
"""

from __future__ import annotations

import functools
import math

import numpy as np

from slimft.legacy.ages import numpy_calls, numpy_values
from slimft.legacy.ages.script import Script

# NumPy 2 has bool and long again, as its own types: there these are not asked for.
_TYPES = {"float": float, "int": int, "object": object, "str": str, "complex": complex, "unicode": str,
          "bool": bool, "long": int}  # fmt: skip
_RENAMED = {
    "NaN": "nan", "NAN": "nan", "Inf": "inf", "Infinity": "inf", "infty": "inf", "PINF": "inf",
    "float_": "float64", "complex_": "complex128", "unicode_": "str_", "string_": "bytes_", "bool8": "bool_",
    "cumproduct": "cumprod", "product": "prod", "sometrue": "any", "alltrue": "all", "row_stack": "vstack",
    "round_": "round", "trapz": "trapezoid", "mat": "asmatrix", "rank": "ndim", "typeDict": "sctypeDict",
    "object0": "object_", "int0": "intp", "uint0": "uintp", "str0": "str_", "bytes0": "bytes_", "void0": "void",
    "cfloat": "complex128", "singlecomplex": "complex64", "longfloat": "longdouble", "longcomplex": "clongdouble",
    "clongfloat": "clongdouble", "recfromtxt": "genfromtxt",
}  # fmt: skip


def _asscalar(array):
    return np.asarray(array).item()


def _in1d(array, values, **named):
    return np.isin(np.ravel(array), values, **named)


def _msort(array):
    return np.sort(array, axis=0)


def _asfarray(array, dtype=np.float64):
    return np.asarray(array, dtype if np.issubdtype(dtype, np.inexact) else np.float64)


def _find_common_type(array_types, scalar_types):
    """The type of arrays and scalars together; scalars count only if they are of a higher kind."""
    arrays = np.result_type(*array_types) if len(array_types) else None
    scalars = np.result_type(*scalar_types) if len(scalar_types) else None
    if arrays is None or scalars is None:
        return scalars if arrays is None else arrays
    kinds = "buifcSUVOMm"
    return np.result_type(scalars, arrays) if kinds.index(scalars.kind) > kinds.index(arrays.kind) else arrays


def _issubsctype(arg1, arg2):
    return np.issubdtype(_scalar_type(arg1), _scalar_type(arg2))


def _scalar_type(value):
    if isinstance(value, type):
        return value
    return (value.dtype if hasattr(value, "dtype") else np.dtype(value)).type


class _Cast:
    """`np.cast[dtype](values)`."""

    def __getitem__(self, dtype):
        return lambda values: np.asarray(values).astype(dtype)


def _alen(array):
    return len(np.atleast_1d(array))


# NumPy 1's, from the smallest to the largest of each kind.
_SCTYPES = {
    "int": [np.int8, np.int16, np.int32, np.int64],
    "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
    "float": [np.float16, np.float32, np.float64, np.longdouble],
    "complex": [np.complex64, np.complex128, np.clongdouble],
    "others": [bool, object, bytes, str, np.void],
}

_WRITTEN = {
    "alen": (_alen, "len"),
    "obj2sctype": (_scalar_type, "np.dtype(value).type"),
    "sctypes": (_SCTYPES, "a dict of the types"),
    "cast": (_Cast(), "np.asarray(values).astype(dtype)"),
    "find_common_type": (_find_common_type, "np.result_type"),
    "issubsctype": (_issubsctype, "np.issubdtype"),
    "NINF": (-np.inf, "-np.inf"),
    "NZERO": (-0.0, "-0.0"),
    "PZERO": (0.0, "0.0"),
    "math": (math, "Python's math"),
    "asscalar": (_asscalar, "array.item()"),
    "in1d": (_in1d, "np.isin of the flattened array"),
    "msort": (_msort, "np.sort along axis 0"),
    "asfarray": (_asfarray, "np.asarray of floats"),
}
_EXCEPTIONS = ("AxisError", "ComplexWarning", "ModuleDeprecationWarning", "RankWarning", "TooHardError",
               "VisibleDeprecationWarning")  # fmt: skip


def put_in(script: Script) -> None:
    """Gives the script these names and calls."""
    table = {name: (kind, f"gone since NumPy 1.24, {kind.__name__} stands for it") for name, kind in _TYPES.items()}
    for old, new in _RENAMED.items():
        if hasattr(np, new):
            table[old] = (getattr(np, new), f"gone since NumPy 2, np.{new} stands for it")
    for name, (value, shown) in _WRITTEN.items():
        table[name] = (value, f"gone from NumPy, {shown} stands for it")
    exceptions = getattr(np, "exceptions", None)
    for name in _EXCEPTIONS:
        if hasattr(exceptions, name):
            table[name] = (getattr(exceptions, name), f"np.exceptions.{name} since NumPy 2")
    script.answer(np, "np", "numpy", table)
    old_core = {name: (getattr(np, name), f"np.{name} stands for it") for name in np.__all__}
    script.answer(np.core, "np.core", "numpy", table | old_core)
    numpy_values.put_in(script)
    for name in ("array", "asarray"):
        script.patches.set(np, name, _ragged(getattr(np, name), script))
    script.patches.set(np, "fromstring", _from_bytes(np.fromstring, script))
    script.patches.set(np, "load", _load(np.load, script))
    archive = np.lib.npyio.NpzFile
    script.patches.set(archive, "__getitem__", _member(archive.__getitem__, script))
    script.patches.set(np, "reshape", _reshape(np.reshape, script))
    numpy_calls.put_in(script)


def _ragged(function, script):
    @functools.wraps(function)
    def array(*arguments, **named):
        """Makes an array of objects of lists of several lengths, as NumPy before 1.24 did."""
        try:
            return function(*arguments, **named)
        except ValueError as error:
            if (
                "inhomogeneous" not in str(error)
                or len(arguments) > 1
                or "dtype" in named
                or not script.is_calling()
            ):
                raise
        script.say("numpy", f"np.{function.__name__} of lists of several lengths", "makes an array of objects")
        return function(*arguments, dtype=object, **named)

    return array


def _from_bytes(function, script):
    @functools.wraps(function)
    def fromstring(string, dtype=float, count=-1, *sep, **named):
        """np.fromstring, also of bytes, which np.frombuffer reads today."""
        named = {**named, "sep": sep[0]} if sep else named
        if named.get("sep", "") != "" or not script.is_calling():
            return function(string, dtype, count, **named)
        script.say("numpy", "np.fromstring of bytes", "np.frombuffer reads them")
        return np.frombuffer(string.encode("latin1") if isinstance(string, str) else string, dtype, count).copy()

    return fromstring


def _load(function, script):
    @functools.wraps(function)
    def load(file, *arguments, **named):
        """np.load, of pickled arrays too where the user allows it."""
        is_ours = script.is_calling()
        if is_ours and script.allow_pickle and len(arguments) < 2:
            named.setdefault("allow_pickle", True)
            named.setdefault("encoding", "latin1")
        try:
            return function(file, *arguments, **named)
        except ValueError as error:
            if not is_ours or "allow_pickle" not in str(error):
                raise
            raise ValueError(_pickled(file)) from error

    return load


def _member(function, script):
    @functools.wraps(function)
    def getitem(archive, key):
        """An array of an .npz file, which is read only now."""
        try:
            return function(archive, key)
        except ValueError as error:
            if "allow_pickle" not in str(error) or not script.is_calling():
                raise
            raise ValueError(_pickled(f"{key!r} of {archive.zip.filename}")) from error

    return getitem


def _pickled(what):
    return (
        f"np.load: {what} holds pickled objects, which NumPy before 1.16.3 read; reading them can run any code in "
        "the file: if you trust it, say bin/run_legacy --allow_pickle"
    )


def _reshape(function, script):
    @functools.wraps(function)
    def reshape(a, *arguments, newshape=None, **named):
        """np.reshape, also with the argument `newshape`, which is `shape` today."""
        if newshape is None or not script.is_calling():
            return function(a, *arguments, **({} if newshape is None else {"newshape": newshape}), **named)
        script.say("numpy", "np.reshape(newshape=)", "shape= stands for it")
        return function(a, newshape, *arguments, **named)

    return reshape
