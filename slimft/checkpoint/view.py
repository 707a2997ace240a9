"""A checkpoint seen under other names, in part, or in another dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from slimft.checkpoint.base import Checkpoint, Listing
from slimft.checkpoint.dtypes import is_float
from slimft.wire.binary_file import Malformed, aligned_buffer

# Elements converted at a time.
_CAST_ELEMENTS = 1 << 18


class CheckpointView(Checkpoint):
    """Some of another checkpoint's variables, read from it when asked for.

    Args:
        source: the other checkpoint.
        names: each name here, with the name there.
        dtype: what floating-point variables are converted to; None leaves them.
        transforms: by name here, a function applied to the array, which keeps its shape and dtype.
    """

    def __init__(
        self,
        source: Checkpoint,
        names: Mapping[str, str],
        dtype: np.dtype | None = None,
        transforms: Mapping[str, Callable[[np.ndarray], np.ndarray]] | None = None,
    ):
        self.path, self.format = source.path, source.format
        self._source, self._names = source, dict(names)
        self._transforms = dict(transforms or {})
        self._variables = {
            name: (source.shape(there), _converted(source.dtype(there), dtype))
            for name, there in self._names.items()
        }

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def is_mapped(self, name: str) -> bool:
        there = self._names[name]
        unchanged = name not in self._transforms and self.dtype(name) == self._source.dtype(there)
        return unchanged and self._source.is_mapped(there)

    def _read(self, name: str) -> np.ndarray:
        array = self._source[self._names[name]]
        if name in self._transforms:
            array = np.ascontiguousarray(self._transforms[name](array))
        return cast(array, self.dtype(name))


class ArraysInMemory(Checkpoint):
    """A mapping of arrays as a checkpoint, so that it can be written as one."""

    format = "memory"

    def __init__(self, arrays: Mapping[str, np.ndarray], path: str = "memory"):
        self.path = path
        self._arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self._variables = {name: (array.shape, array.dtype) for name, array in self._arrays.items()}

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        return self._arrays[name].copy()


def cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Converts floats to floats and integers to integers.

    Raises:
        Malformed: the kinds differ, or a value does not fit: an integer out of range, a finite float that
            would become infinite.
    """
    if array.dtype == dtype:
        return array
    if not castable(array.dtype, dtype):
        raise Malformed(f"{array.dtype} cannot become {dtype}")
    array = np.asarray(array)
    converted = aligned_buffer(array.size * dtype.itemsize).view(dtype).reshape(array.shape)
    # What is converted at a time is small: the checks take several times its memory.
    ours, theirs = converted.reshape(-1), array.reshape(-1)
    misfits = 0
    for start in range(0, theirs.size, _CAST_ELEMENTS):
        piece = theirs[start : start + _CAST_ELEMENTS]
        with np.errstate(over="ignore", invalid="ignore"):
            ours[start : start + _CAST_ELEMENTS] = piece.astype(dtype)
        misfits += _count_misfits(piece, ours[start : start + _CAST_ELEMENTS])
    if misfits:
        raise Malformed(f"{misfits} of its values do not fit into {dtype}")
    return converted


def _count_misfits(array: np.ndarray, converted: np.ndarray) -> int:
    """How many finite floats became infinite, or integers another number."""
    if is_float(converted.dtype):
        # By way of float64: not all of ml_dtypes' types know isfinite.
        fits = np.isfinite(converted.astype(np.float64)) | ~np.isfinite(array.astype(np.float64))
    else:
        fits = (converted == array) & ((converted < 0) == (array < 0))
    return int(np.size(fits) - np.sum(fits))


def castable(source: np.dtype, target: np.dtype) -> bool:
    """Whether `cast` takes arrays of `source` to `target`, if the values fit."""
    both_floats = is_float(source) and is_float(target)
    return source == target or both_floats or (source.kind in "iu" and target.kind in "iu")


def _converted(dtype: np.dtype, target: np.dtype | None) -> np.dtype:
    return target if target is not None and is_float(dtype) else dtype
