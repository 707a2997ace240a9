"""TensorFlow's dtypes as NumPy's.

Source of the numbers: tensorflow/core/framework/types.proto. A quantized dtype is, as in TensorFlow's
`DType.as_numpy_dtype`, a structured dtype of one field; what NumPy lacks comes from ml_dtypes, which is
imported when the first such dtype turns up.
"""

from __future__ import annotations

import functools

import numpy as np

from slimft.wire.binary_file import Malformed

STRING = 7

_NUMPY = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", STRING: "object",
    8: "complex64", 9: "int64", 10: "bool", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32",
    23: "uint64",
}  # fmt: skip
_QUANTIZED = {
    11: ("qint8", "i1"),
    12: ("quint8", "u1"),
    13: ("qint32", "<i4"),
    15: ("qint16", "<i2"),
    16: ("quint16", "<u2"),
}
_ML_DTYPES = {
    14: "bfloat16", 24: "float8_e5m2", 25: "float8_e4m3fn", 26: "float8_e4m3fnuz", 27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz", 29: "int4", 30: "uint4", 31: "int2", 32: "uint2", 33: "float4_e2m1fn",
}  # fmt: skip
_ENUMS = {name: enum for names in (_NUMPY, _ML_DTYPES) for enum, name in names.items()}


@functools.cache
def dtype_of_enum(enum: int) -> np.dtype:
    """The NumPy dtype of a TensorFlow dtype's number; raises Malformed where there is none."""
    if enum in _NUMPY:
        return np.dtype(_NUMPY[enum])
    if enum in _QUANTIZED:
        return np.dtype([_QUANTIZED[enum]])
    if enum in _ML_DTYPES:
        return dtype_of_name(_ML_DTYPES[enum])
    kind = {20: "resource", 21: "variant"}.get(enum, f"number {enum}")
    raise Malformed(f"its dtype, {kind}, is not one of plain values")


def dtype_of_name(name: str) -> np.dtype:
    """The dtype called `name`, NumPy's or ml_dtypes'; raises Malformed where there is none."""
    if name in _ML_DTYPES.values():
        import ml_dtypes

        if hasattr(ml_dtypes, name):
            return np.dtype(getattr(ml_dtypes, name))
    elif name in _NUMPY.values():
        return np.dtype(name)
    raise Malformed(f"the dtype {name} is unknown here")


def enum_of_dtype(dtype: np.dtype) -> int:
    """The number of TensorFlow's dtype for a NumPy dtype; raises Malformed where there is none."""
    if dtype.names:
        for enum, field in _QUANTIZED.items():
            if dtype == np.dtype([field]):
                return enum
    elif dtype.kind in "SU":
        return STRING
    elif dtype.name in _ENUMS:
        return _ENUMS[dtype.name]
    raise Malformed(f"TensorFlow has no dtype for NumPy's {dtype}")


def is_float(dtype: np.dtype) -> bool:
    """Whether `dtype` holds real floating-point numbers, ml_dtypes' included."""
    return dtype.kind == "f" or (dtype.kind == "V" and dtype.name.startswith(("bfloat", "float")))
