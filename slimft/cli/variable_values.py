"""What is in an array, and how two arrays differ; a chunk at a time, so that little memory is taken beside them."""

from __future__ import annotations

import dataclasses

import numpy as np

from slimft.checkpoint.dtypes import is_float

# Elements at a time: as float64 they still fit into a processor's cache.
_CHUNK = 1 << 17


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Figures over the finite values of a variable, in float64; None where there are no such values.

    Attributes:
        mean: their mean.
        std: their standard deviation (of the population: divided by their number).
        min: the smallest, exact.
        max: the largest, exact.
        nan: how many values are NaN.
        inf: how many are infinite.
    """

    mean: float | None
    std: float | None
    min: float | int | None
    max: float | int | None
    nan: int
    inf: int


@dataclasses.dataclass(frozen=True)
class Difference:
    """How the values of two variables of one shape and dtype differ.

    Attributes:
        elements: how many they have.
        differing: how many are not the same bits, NaNs in the same place aside.
        largest: the largest absolute difference, infinite where a NaN or an infinity stands against a number;
            None for strings.
    """

    elements: int
    differing: int
    largest: float | int | None


def statistics(array: np.ndarray) -> Statistics | None:
    """Returns the figures of real numbers (and of booleans, as 0 and 1), None for anything else."""
    if not _is_real(array.dtype):
        return None
    flat = array.ravel(order="K")
    count, mean, squares, nan, inf = 0, 0.0, 0.0, 0, 0
    lows, highs = [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, _CHUNK):
            numbers = _numbers(flat[start : start + _CHUNK])
            values = numbers.astype(np.float64)
            if not np.isfinite(values.sum()):
                finite = np.isfinite(values)
                is_nan = np.isnan(values)
                nan += int(is_nan.sum())
                inf += int(values.size - finite.sum() - is_nan.sum())
                numbers, values = numbers[finite], values[finite]
            if not values.size:
                continue
            lows.append(numbers.min())
            highs.append(numbers.max())
            # Chan, Golub and LeVeque, 1979: mean and sum of squares of two parts make those of the whole.
            part_mean = float(values.mean())
            values -= part_mean
            shift, total = part_mean - mean, count + values.size
            squares += float(values @ values) + shift * shift * count * values.size / total
            mean += shift * values.size / total
            count = total
        if not count:
            return Statistics(None, None, None, None, nan, inf)
        return Statistics(mean, float(np.sqrt(squares / count)), min(lows).item(), max(highs).item(), nan, inf)


def difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Compares two arrays of the same shape and dtype."""
    ours, theirs = ours.reshape(-1), theirs.reshape(-1)
    if ours.dtype.kind in "OSU":
        return Difference(ours.size, int(np.sum(ours != theirs)), None)
    differing, largest = 0, 0
    for start in range(0, ours.size, _CHUNK):
        ours_part, theirs_part = ours[start : start + _CHUNK], theirs[start : start + _CHUNK]
        places = np.flatnonzero(_bits(ours_part) != _bits(theirs_part))
        if ours.dtype.itemsize > 8:  # complex128, of two words.
            places = np.unique(places // 2)
        if places.size:
            distances = _distances(_numbers(ours_part[places]), _numbers(theirs_part[places]))
            differing += distances.size
            largest = max(largest, distances.max().item() if distances.size else 0)
    return Difference(ours.size, differing, largest)


def _is_real(dtype: np.dtype) -> bool:
    return dtype.kind in "biuf" or dtype.names is not None or _is_of_ml_dtypes(dtype)


def _is_of_ml_dtypes(dtype: np.dtype) -> bool:
    return dtype.kind == "V" and not dtype.names and dtype.name.startswith(("bfloat", "float", "int", "uint"))


def _numbers(array: np.ndarray) -> np.ndarray:
    """`array` in a dtype of NumPy's own that holds every value of it."""
    if array.dtype.names:  # Quantized.
        return array[array.dtype.names[0]]
    if _is_of_ml_dtypes(array.dtype):
        return array.astype(np.float32 if is_float(array.dtype) else np.int8)
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def _bits(array: np.ndarray) -> np.ndarray:
    """The bits of `array`'s values, as unsigned integers."""
    return np.ascontiguousarray(array).view(f"u{min(array.dtype.itemsize, 8)}")


def _distances(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The absolute differences, but for NaNs in the same place."""
    if ours.dtype.kind in "iu":
        high, low = np.maximum(ours, theirs), np.minimum(ours, theirs)
        # Modulo 2**64 this is exact, for negative numbers too.
        return high.astype(np.uint64) - low.astype(np.uint64)
    both = np.isnan(ours) & np.isnan(theirs)
    ours, theirs = ours[~both], theirs[~both]
    wide = np.complex128 if ours.dtype.kind == "c" else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        distances = np.abs(ours.astype(wide) - theirs.astype(wide))
    return np.where(np.isnan(distances), np.inf, distances)
