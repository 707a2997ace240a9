"""--threshold: from which probability on a class is believed."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from slimft.cli.class_argument import number_of
from slimft.data.class_names import ClassNames
from slimft.errors import DataError, UsageError
from slimft.runs.checked_json import read_json

# In a file: the thresholds by the classes' names or numbers. bin/evaluate writes one.
THRESHOLDS = "thresholds"
_MOST_BYTES = 16 << 20
HELP = (
    "From which probability on a class is believed: a number for all classes, CLASS:NUMBER (a name or its number) "
    "for one, several with commas, or a JSON file that bin/evaluate wrote. An image is of the "
    "likeliest class that reaches its threshold, and unsure where none does."
)


def read_thresholds(told: Sequence[str], classes: ClassNames) -> np.ndarray | None:
    """The threshold of each class.

    Args:
        told: parts of the flag's value.
        classes: the network's classes.

    Returns:
        float64 ``[classes]``, 0 where nothing is told of a class; None where nothing is told at all.

    Raises:
        UsageError: a part makes no sense, or names no class.
        DataError: the file cannot be read.
    """
    if not told:
        return None
    if len(told) == 1 and told[0].endswith(".json"):
        return _of_file(told[0], classes)
    found = np.full(classes.num_classes, np.nan)
    for_others = None
    for part in told:
        name, colon, number = part.rpartition(":")
        try:
            value = float(number)
        except ValueError:
            value = np.nan
        if not 0 <= value <= 1:
            raise UsageError(f"--threshold={part}: {number or 'nothing'} is no number from 0 to 1")
        label = number_of(name, classes, f"--threshold={part}") if colon else None
        if not np.isnan(found[label]) if label is not None else for_others is not None:
            raise UsageError(f"--threshold={part}: there is another for {name if colon else 'all classes'}")
        if label is None:
            for_others = value
        else:
            found[label] = value
    return np.where(np.isnan(found), for_others or 0.0, found)


def _of_file(path: str, classes: ClassNames) -> np.ndarray:
    file = os.path.expanduser(path)
    value = read_json(file, _MOST_BYTES).get(THRESHOLDS)
    if not isinstance(value.raw, dict):
        raise DataError(f'{path} is no file of thresholds: it has no object "{THRESHOLDS}" of numbers by class')
    thresholds = np.zeros(classes.num_classes)
    for name, one in value.object().items():
        number = one.number()
        if number is None or not 0 <= number <= 1:
            raise DataError(f"{path}: the threshold of {name} is no number from 0 to 1")
        thresholds[number_of(name, classes, path)] = number
    return thresholds


def note_on_origin(told: Sequence[str], checkpoints: Sequence[str], tta: str) -> str | None:
    """What to say where the thresholds of a file were chosen for other probabilities than these; else None.

    Args:
        told: as of `read_thresholds`, which has read them.
        checkpoints: paths of what predicts; only the last names count, since directories may be moved.
        tta: over which views it is averaged.
    """
    if not (len(told) == 1 and told[0].endswith(".json")):
        return None
    origin = read_json(os.path.expanduser(told[0]), _MOST_BYTES).get("of").raw
    if not isinstance(origin, dict) or not {"checkpoint", "tta"} <= set(origin):
        return None  # Of no bin/evaluate: somebody has written it.
    theirs = origin["checkpoint"] if isinstance(origin["checkpoint"], list) else [origin["checkpoint"]]
    same = [os.path.basename(str(one)) for one in theirs] == [os.path.basename(one) for one in checkpoints]
    if same and origin["tta"] == tta:
        return None
    chosen = f"{', '.join(map(str, theirs))} with --tta={origin['tta']}"
    return (
        f"{told[0]} was chosen for the probabilities of {chosen}, and these are of {', '.join(checkpoints)} with "
        f"--tta={tta}: what the thresholds reach there says nothing of these"
    )
