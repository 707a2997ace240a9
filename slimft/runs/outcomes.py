"""``predictions.npz``: what a finished run made of each example, so that it can be compared with another's."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from slimft.checkpoint.npz import NpzCheckpoint
from slimft.errors import CheckpointError, DataError
from slimft.files import atomic_file, open_regular
from slimft.tasks.packed import MOST_BYTES, Packed, pack
from slimft.wire.binary_file import Malformed

OUTCOMES_FILE = "predictions.npz"
# Of two million examples of a classifier; also what its arrays may take in memory.
_MOST_BYTES = 128 << 20
_HEADER_BYTES = 1024
_DIGESTS, _STEP = "digests", "step"
# By task, the arrays that there are of each example: their types, and how many axes they have.
_ARRAYS: dict[str, dict[str, tuple[type, int]]] = {
    "classification": {"labels": (np.int32, 1), "predicted": (np.int32, 1), "confidence": (np.float32, 1)},
    "segmentation": {"right": (np.int32, 2), "labels": (np.int32, 2), "predicted": (np.int32, 2)},
}


@dataclasses.dataclass(frozen=True, eq=False)
class Outcomes:
    """What a run made of each example of a split.

    Attributes:
        digests: bytes ``[examples]``, ASCII: what each image holds, as `slimft.data.fingerprint.contents` tells.
        step: the step of the checkpoint.
        arrays: by name. Of a classifier ``labels`` and ``predicted``, int32 ``[examples]``, and ``confidence``,
            float32 in 0..1. Of a segmentation ``right``, ``labels`` and ``predicted``, int32 ``[examples,
            classes]``: the pixels that are of a class and predicted so, that are of it, and that are predicted so.
    """

    digests: np.ndarray
    step: int
    arrays: Mapping[str, np.ndarray]


def write_outcomes(train_dir: str | os.PathLike, outcomes: Outcomes | None) -> bool:
    """Writes ``predictions.npz`` into a run's directory, whole or not at all.

    Args:
        train_dir: the run's directory.
        outcomes: what it holds; None where that was too much.

    Returns:
        Whether it was written. One that would be too large to be read is not, and an earlier one is removed.
    """
    file = pathlib.Path(train_dir, OUTCOMES_FILE)
    if outcomes is not None:
        arrays = {_DIGESTS: outcomes.digests, _STEP: np.array(outcomes.step, np.int64), **outcomes.arrays}
        if sum(array.nbytes + _HEADER_BYTES for array in arrays.values()) <= _MOST_BYTES:
            with atomic_file(file) as stream:
                np.savez(stream, allow_pickle=False, **arrays)
            return True
    file.unlink(missing_ok=True)
    return False


def packed(batches: Sequence[Mapping[str, np.ndarray]], task: str) -> bytes:
    """The outcomes of some batches, each with ``examples``, their indices, for `joined` in another process.

    Of so many that no process would take them, nothing.
    """
    names = {"examples": np.int64, **{name: dtype for name, (dtype, _) in _ARRAYS[task].items()}}
    whole: dict[str, np.ndarray] = {
        name: np.concatenate([batch[name] for batch in batches]).astype(dtype) if batches else np.zeros(0, dtype)
        for name, dtype in names.items()
    }
    message = pack(task, whole)
    return message if len(message) <= MOST_BYTES else b""


def joined(messages: Sequence[bytes], task: str, num_classes: int) -> dict[str, np.ndarray] | None:
    """The arrays of `Outcomes` from what each process `packed`, in the split's order; None where that is too much.

    Raises:
        ValueError: a message is something else.
    """
    if not all(messages):
        return None
    parts = [Packed.of(message, task) for message in messages]
    order = np.argsort(np.concatenate([part["examples"].array(np.int64) for part in parts]), kind="stable")
    found = {}
    for name, (dtype, axes) in _ARRAYS[task].items():
        flat = np.concatenate([part[name].array(dtype) for part in parts])
        found[name] = (flat.reshape(-1, num_classes) if axes == 2 else flat)[order]
    return found


def read_outcomes(train_dir: str | os.PathLike, task: str, num_classes: int) -> Outcomes | None:
    """Reads a run's ``predictions.npz``; None where there is none, as of earlier versions.

    Args:
        train_dir: the run's directory.
        task: the name of the run's task.
        num_classes: the number of its classes.

    Raises:
        DataError: it is not as a run writes it.
    """
    file = pathlib.Path(train_dir, OUTCOMES_FILE)
    if not os.path.lexists(file):
        return None
    try:
        return _read(file, task, num_classes)
    except (OSError, Malformed, CheckpointError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file} is no file of a run: {reason}; restore it, or remove it") from None


def _read(file: pathlib.Path, task: str, num_classes: int) -> Outcomes:
    with open_regular(file) as stream:
        if os.fstat(stream.fileno()).st_size > _MOST_BYTES:
            raise Malformed(f"it has more than {_MOST_BYTES:,} bytes")
    found = NpzCheckpoint(str(file))
    expected = {_STEP: (np.int64, 0), _DIGESTS: (np.bytes_, 1), **_ARRAYS[task]}
    missing = [name for name in expected if name not in found]
    if missing:
        raise Malformed(f"it has no {missing[0]}")
    if sum(math.prod(found.shape(name)) * found.dtype(name).itemsize for name in expected) > _MOST_BYTES:
        raise Malformed(f"it holds more than {_MOST_BYTES:,} bytes")
    for name, (dtype, axes) in expected.items():
        shape, kind = found.shape(name), found.dtype(name)
        fits = kind.kind == "S" if dtype is np.bytes_ else kind == dtype
        if not fits or len(shape) != axes or (axes and shape[0] != found.shape(_DIGESTS)[0]):
            raise Malformed(f"its {name} are of another type or number")
        if axes == 2 and shape[1] != num_classes:
            raise Malformed(f"its {name} are of {shape[1]} classes, not of {num_classes}")
    arrays = {name: found[name] for name in _ARRAYS[task]}
    for name, array in arrays.items():
        most = num_classes if array.ndim == 1 and array.dtype == np.int32 else None
        if array.dtype == np.int32 and ((array < 0).any() or (most is not None and (array >= most).any())):
            raise Malformed(f"its {name} are out of their range")
    return Outcomes(found[_DIGESTS], int(found[_STEP]), arrays)
