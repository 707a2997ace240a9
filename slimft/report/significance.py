"""Whether two runs differ by more than chance on the images that both were tested on.

Each image is seen by both, so what counts is where they differ: McNemar's test (Psychometrika 12, 1947), exact, and
a bootstrap of images (Efron and Tibshirani, 1993) of which each brings along what both runs made of it.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np

from slimft.runs.outcomes import OUTCOMES_FILE, Outcomes, read_outcomes
from slimft.runs.read import RunFiles

_RESAMPLES = 10_000
_SEED = 0
_SHARE = 0.95
# Random numbers that are drawn at a time.
_AT_A_TIME = 4_000_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference of two runs' figures, and its 95 % interval, from `low` to `high`."""

    difference: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Paired:
    """A run against another, on the images that both have.

    Attributes:
        examples: how many these are.
        only_first: how many only the run has right; None of a segmentation.
        only_second: how many only the other has right; None of a segmentation.
        p: the probability of a split of these that is as uneven or more, if the runs were equally good; None of a
            segmentation.
        intervals: by the figure's name, the run's figure less the other's.
    """

    examples: int
    only_first: int | None
    only_second: int | None
    p: float | None
    intervals: dict[str, Interval]


def tested(run: RunFiles) -> tuple[Outcomes | None, str]:
    """What a run made of each test example; or None, and why there is nothing, a sentence.

    Raises:
        DataError: its ``predictions.npz`` is not as a run writes it.
    """
    result = run.result
    if result is None or result.split != "test":
        return None, "It was not tested."
    found = read_outcomes(run.train_dir, result.task, len(result.class_names))
    if found is None:
        return None, f"{OUTCOMES_FILE} is missing, as in runs of earlier versions; its finetune command writes it."
    if (found.step, len(found.digests)) != (result.figure("step"), result.figure("examples")):
        return None, f"{OUTCOMES_FILE} is not of the result's step or examples."
    return found, ""


def compare_outcomes(one: RunFiles, first: Outcomes, other: RunFiles, second: Outcomes) -> Paired | None:
    """Compares two tested runs of one task; None if no image tested both.

    An image is known by what it holds and by its class, of a segmentation its pixels of each class.
    """
    rows = _common(_keys(one, first), _keys(other, second))
    if not len(rows):
        return None
    left, right = (
        {name: array[index] for name, array in found.arrays.items()}
        for found, index in ((first, rows[:, 0]), (second, rows[:, 1]))
    )
    assert one.result is not None
    if one.result.task == "segmentation":
        return Paired(len(rows), None, None, None, {"mean_iou": _of_masks(left, right)})
    a, b = left["labels"] == left["predicted"], right["labels"] == right["predicted"]
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    return Paired(len(rows), only_first, only_second, mcnemar(only_first, only_second), _of_classes(a, b, left))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p of McNemar's test: of a fair coin that falls as unevenly as this, or more."""
    if only_first + only_second == 0:
        return 1.0
    from scipy.stats import binomtest  # It takes a second to import.

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def _keys(run: RunFiles, outcomes: Outcomes) -> list[Hashable]:
    """What each example is known by: of images that are there twice, the first of one run is the other's first."""
    assert run.result is not None
    names, labels = run.result.class_names, outcomes.arrays["labels"]
    if labels.ndim == 1:
        told: list[Hashable] = [names[label] for label in labels.tolist()]
    else:
        told = [tuple(zip(names, row)) for row in labels.tolist()]
    seen: collections.Counter[Hashable] = collections.Counter()
    keys = []
    for key in zip(outcomes.digests.tolist(), told):
        seen[key] += 1
        keys.append((key, seen[key]))
    return keys


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> np.ndarray:
    """The places of what both have: int ``[examples, 2]``."""
    places = {key: place for place, key in enumerate(second)}
    pairs = [(place, places[key]) for place, key in enumerate(first) if key in places]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _of_classes(first: np.ndarray, second: np.ndarray, arrays: dict[str, np.ndarray]) -> dict[str, Interval]:
    """The differences of accuracy and balanced accuracy.

    Of each class it counts how many only the one, only the other, and both or none have right. How often images of
    each of these kinds are drawn is multinomial, which is the bootstrap without drawing each image.
    """
    classes, labels = np.unique(arrays["labels"], return_inverse=True)
    kinds = np.stack([first & ~second, second & ~first, first == second])
    counts = np.stack([np.bincount(labels, weights, len(classes)) for weights in kinds]).astype(np.int64)

    def figures(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        difference, number = drawn[..., 0, :] - drawn[..., 1, :], drawn.sum(axis=-2)
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls = difference / number
        return difference.sum(axis=-1) / number.sum(axis=-1), np.nanmean(recalls, axis=-1)

    random = np.random.default_rng(_SEED)
    examples, drawn = int(counts.sum()), []
    for size in _parts(counts.size):
        flat = random.multinomial(examples, counts.ravel() / examples, size)
        drawn.append(figures(flat.reshape(size, *counts.shape)))
    told = figures(counts)
    return {
        name: _interval(float(told[i]), np.concatenate([part[i] for part in drawn]))
        for i, name in enumerate(("accuracy", "balanced_accuracy"))
    }


def _of_masks(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> Interval:
    """The difference of mean IoU, which is of the pixels of all images that are drawn."""

    def figures(weights: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
        right, labels, predicted = (weights @ arrays[name] for name in ("right", "labels", "predicted"))
        union = labels + predicted - right
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nanmean(np.where(union > 0, right / union, np.nan), axis=-1)

    first, second = ({name: array.astype(np.float64) for name, array in one.items()} for one in (first, second))
    random = np.random.default_rng(_SEED)
    examples, drawn = len(first["right"]), []
    for size in _parts(examples):
        weights = random.multinomial(examples, np.full(examples, 1 / examples), size).astype(np.float64)
        drawn.append(figures(weights, first) - figures(weights, second))
    once = np.ones(examples)
    return _interval(float(figures(once, first) - figures(once, second)), np.concatenate(drawn))


def _parts(numbers: int) -> list[int]:
    """How many resamples of so many numbers each to draw at a time."""
    most = max(1, _AT_A_TIME // max(1, numbers))
    return [min(most, _RESAMPLES - start) for start in range(0, _RESAMPLES, most)]


def _interval(difference: float, drawn: np.ndarray) -> Interval:
    low, high = np.nanquantile(drawn, [(1 - _SHARE) / 2, (1 + _SHARE) / 2])
    return Interval(difference, float(low), float(high))
