"""From which probability on a class is said: thresholds that reach a recall or a precision, class by class.

They are chosen on some examples and told of others; see `slimft.tasks.decisions` for what is decided by them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from slimft.errors import UsageError

_FIGURES = ("recall", "precision")
# Of a class that is not said at all, as far as a threshold from 0 to 1 can say that.
NEVER = 1.0


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a class's threshold is to reach: at least `least`, above 0 and at most 1, of `figure`."""

    figure: str
    least: float

    def __str__(self) -> str:
        return f"{self.figure}:{self.least:g}"


def wanted_of(told: Sequence[str], class_names: Sequence[str]) -> list[Wanted | None]:
    """What each class's threshold is to reach.

    Args:
        told: texts such as ``recall:0.95``, for all classes, and ``precision:0.9:CLASS``, for one.
        class_names: the classes' names, by label.

    Returns:
        For each class what is told of it, else what is told of all; None where that is nothing.

    Raises:
        UsageError: a text is none of these, names no class or several, or says something for the second time.
    """
    found: dict[int | None, Wanted] = {}
    for text in told:
        flag = f"--threshold_for={text}"
        figure, least, *names = text.split(":", 2)[:3] if text.count(":") else (text, "")
        try:
            value = float(least)
        except ValueError:
            value = np.nan
        if figure not in _FIGURES or not 0 < value <= 1:
            raise UsageError(
                f"{flag}: it has to be recall:NUMBER or precision:NUMBER, the number above 0 and at most 1, such "
                "as recall:0.95, and for one class recall:0.95:CLASS"
            )
        label = None
        if names:
            if class_names.count(names[0]) != 1:
                which = "no class" if names[0] not in class_names else "the name of several classes"
                raise UsageError(f"{flag}: {names[0] or 'nothing'} is {which}; see the run's labels.txt")
            label = class_names.index(names[0])
        if label in found:
            raise UsageError(f"{flag}: there is another for {'all classes' if label is None else names[0]}")
        found[label] = Wanted(figure, value)
    return [found.get(label, found.get(None)) for label in range(len(class_names))]


@dataclasses.dataclass(frozen=True)
class Threshold:
    """One class's threshold.

    Attributes:
        wanted: what it is to reach.
        value: the threshold, in 0..1: a class is said where its probability is this or more.
        reached: whether it reaches that, on the examples that it was chosen on.
        best: the most of it that any threshold reaches there; None where there are no examples of the class.
    """

    wanted: Wanted
    value: float
    reached: bool
    best: float | None


def choose(labels: np.ndarray, scores: np.ndarray, label: int, wanted: Wanted) -> Threshold:
    """The threshold of one class that reaches what is wanted, and loses least by it.

    For a recall that is the highest threshold, for a precision the lowest. It lies in the middle between two of the
    examples' probabilities, since those of other examples, or on another machine, differ a little. Where nothing
    reaches it, the class is never said for a precision, and for a recall, which lacks examples of it, always.

    Args:
        labels: int ``[examples]``.
        scores: float32 ``[examples]``, the probabilities of the class.
        label: the class.
        wanted: what to reach.
    """
    from sklearn.metrics import precision_recall_curve

    truth = labels == label
    if not truth.any():
        return Threshold(wanted, NEVER if wanted.figure == "precision" else 0.0, False, None)
    precision, recall, values = precision_recall_curve(truth, scores)
    reaches = {"precision": precision, "recall": recall}[wanted.figure][: len(values)]
    enough = np.flatnonzero(reaches >= wanted.least)
    best = float(reaches.max())
    if not len(enough):
        return Threshold(wanted, NEVER, False, best)
    place = int(enough[-1] if wanted.figure == "recall" else enough[0])
    return Threshold(wanted, _between(values[place - 1], values[place]) if place else 0.0, True, best)


def _between(low: np.floating, high: np.floating) -> float:
    """A float32 that is above `low`, at most `high`, and as far from both as can be."""
    middle = np.float32((float(low) + float(high)) / 2)
    return float(middle if middle > low else high)


def told_of(labels: np.ndarray, scores: np.ndarray, label: int, threshold: float) -> dict[str, Any]:
    """What a threshold reaches on some examples.

    Returns:
        ``examples`` of the class; ``said``, how many examples are said to be of it; ``recall`` and ``precision``,
        None where there are none to tell by.
    """
    truth, said = labels == label, scores >= scores.dtype.type(threshold)
    right, examples, called = (int(np.count_nonzero(of)) for of in (truth & said, truth, said))
    return {
        "examples": examples,
        "said": called,
        "recall": right / examples if examples else None,
        "precision": right / called if called else None,
    }
