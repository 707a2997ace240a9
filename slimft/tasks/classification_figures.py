"""What the probabilities of all classes tell: top-k accuracy, areas under curves, and intervals by the bootstrap.

The areas are scikit-learn's; the bootstrap computes them of many resamples at once. All in NumPy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slimft.progress_bar import PassBar

RESAMPLES = 1000
# Examples times resamples of which there are weights in memory at a time: 4 MB.
_CELLS = 1 << 20
# Examples times classes times resamples from which on areas get intervals only where they are asked for: it takes
# some two seconds.
_MOST_UNASKED = 1 << 28
_SHARE = 0.95


def ranks(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How many classes are likelier than the true one; of classes that are as likely, those of lower numbers.

    Args:
        labels: int ``[examples]``.
        probabilities: float ``[examples, classes]``.

    Returns:
        int32 ``[examples]``; 0 where the likeliest class is the true one.
    """
    own = np.take_along_axis(probabilities, labels[:, None].astype(np.int64), axis=1)
    before = np.arange(probabilities.shape[1]) < labels[:, None]
    return ((probabilities > own) | ((probabilities == own) & before)).sum(axis=1).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Areas:
    """Areas under the curves of each class against all others.

    Attributes:
        roc_auc: of each class the area under its ROC curve; None where the examples are all of the class, or none.
        average_precision: likewise under its precision-recall curve, as average precision.
    """

    roc_auc: Sequence[float | None]
    average_precision: Sequence[float | None]

    def macro(self) -> dict[str, Any]:
        """The means of both over the classes that have them, and ``classes_with_areas``, how many these are."""
        return {
            "roc_auc": _mean(self.roc_auc),
            "average_precision": _mean(self.average_precision),
            "classes_with_areas": sum(value is not None for value in self.roc_auc),
        }


def areas(labels: np.ndarray, probabilities: np.ndarray) -> Areas:
    """The areas of each class.

    Args:
        labels: int ``[examples]``.
        probabilities: float ``[examples, classes]``.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    rocs, precisions = [], []
    with PassBar("areas under curves", probabilities.shape[1], " classes") as bar:
        for label, scores in enumerate(probabilities.T):
            truth = labels == label
            defined = truth.any() and not truth.all()
            rocs.append(float(roc_auc_score(truth, scores)) if defined else None)
            precisions.append(float(average_precision_score(truth, scores)) if defined else None)
            bar.update()
    return Areas(rocs, precisions)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


@dataclasses.dataclass(frozen=True)
class Intervals:
    """95 % intervals of figures: percentiles of what they are in resamples (Efron, 1979).

    Attributes:
        of: by figure, the lower and the upper end.
        resamples: how many there were.
        units: how many units each has, drawn with replacement: images, or groups of them.
        grouped: whether these are groups.
        left_out: the figures that have none, since it would have taken long.
    """

    of: dict[str, tuple[float, float]]
    resamples: int
    units: int
    grouped: bool
    left_out: tuple[str, ...] = ()


def intervals(
    labels: np.ndarray,
    predicted: np.ndarray,
    num_classes: int,
    ranked: np.ndarray | None = None,
    tops: Sequence[int] = (),
    probabilities: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> Intervals:
    """Intervals of accuracy, balanced accuracy and macro F1, of top-k accuracies and of areas.

    In each resample, a figure is what it is of any examples: classes that do not occur in it do not count.

    Args:
        labels, predicted: int ``[examples]``, the true classes and the likeliest.
        num_classes: number of classes.
        ranked: as of `ranks`; needed for `tops`.
        tops: each k of a top-k accuracy.
        probabilities: float ``[examples, classes]``; None for no intervals of areas.
        groups: int ``[examples]``, from 0 on without gaps: what belongs together, such as one patient's images,
            and is drawn as a whole; None where each example stands alone.
        resamples: how many; None for `RESAMPLES`, and no intervals of areas where that would take long.
        seed: of the draws.
    """
    units = np.arange(len(labels)) if groups is None else groups
    count = resamples or RESAMPLES
    left_out: tuple[str, ...] = ()
    if resamples is None and probabilities is not None and probabilities.size * count > _MOST_UNASKED:
        probabilities, left_out = None, ("roc_auc", "average_precision")
    curves = [] if probabilities is None else _curves(labels, probabilities)
    found: dict[str, list[np.ndarray]] = {}
    with PassBar("bootstrap", count, " resamples") as bar:
        for weights in _resamples(units, count, seed):
            figures = _counted(labels, predicted, num_classes, weights)
            for k in tops:
                assert ranked is not None
                figures[f"top_{k}_accuracy"] = (ranked < k) @ weights.astype(np.float64) / weights.sum(axis=0)
            if curves:
                both = np.array([curve.areas(weights) for curve in curves])
                for name, of_classes in zip(("roc_auc", "average_precision"), both.swapaxes(0, 1)):
                    figures[name] = _mean_of_known(of_classes)
            for name, values in figures.items():
                found.setdefault(name, []).append(values)
            bar.update(weights.shape[1])
    ends = [50 * (1 - _SHARE), 50 * (1 + _SHARE)]
    of = {}
    for name, parts in found.items():
        values = np.concatenate(parts)
        if not np.isnan(values).all():
            low, high = np.nanpercentile(values, ends).tolist()
            of[name] = (low, high)
    return Intervals(of, count, int(units.max()) + 1, groups is not None, left_out)


def _resamples(units: np.ndarray, count: int, seed: int) -> Iterator[np.ndarray]:
    """Yields float32 ``[examples, n]``, in all `count` columns: how often each example is in each resample."""
    number, rng = int(units.max()) + 1, np.random.default_rng(seed)
    at_a_time = max(1, _CELLS // len(units))
    for first in range(0, count, at_a_time):
        columns = [
            np.bincount(rng.integers(0, number, number), minlength=number)
            for _ in range(min(at_a_time, count - first))
        ]
        yield np.stack(columns, axis=1).astype(np.float32)[units]


def _counted(labels: np.ndarray, predicted: np.ndarray, num_classes: int, weights: np.ndarray) -> dict:
    """Accuracy, balanced accuracy and macro F1 of each resample, as `ClassificationScores` has them."""
    right = labels == predicted

    def of_classes(classes: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(classes, column, num_classes) for column in of.T], axis=1)

    true, said, hits = (
        of_classes(labels, weights), of_classes(predicted, weights), of_classes(labels[right], weights[right]),
    )  # fmt: skip
    with np.errstate(invalid="ignore"):
        recall = hits / true  # NaN where the class does not occur.
        f1 = np.where(true > 0, 2 * hits / (true + said), np.nan)
    return {
        "accuracy": hits.sum(axis=0) / true.sum(axis=0),
        "balanced_accuracy": _mean_of_known(recall),
        "macro_f1": _mean_of_known(f1),
    }


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    number = known.sum(axis=0)
    return np.divide(
        np.where(known, values, 0).sum(axis=0), number, out=np.full(values.shape[1:], np.nan), where=number > 0
    )


class _Curve:
    """The examples in the order of their probabilities of one class, the highest first.

    Args:
        truth: bool ``[examples]``, which are of the class.
        scores: float ``[examples]``.
    """

    def __init__(self, truth: np.ndarray, scores: np.ndarray):
        self._order = np.argsort(-scores, kind="stable")
        in_order, truth = scores[self._order], truth[self._order]
        # Examples that are equally probable come in together. Only where some of the class come in, areas grow.
        starts = np.flatnonzero(np.append(True, in_order[1:] != in_order[:-1]))
        ends = np.append(starts[1:], len(scores)) - 1
        some = np.add.reduceat(truth, starts, dtype=np.int64) > 0
        self._starts, self._ends = starts[some], ends[some]
        self._hits = self._order[truth]
        # Where in `_hits` those begin that come in together.
        self._first = np.searchsorted(np.flatnonzero(truth), self._starts)

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """float64 ``[2, n]``: the area under the ROC curve and the average precision of each resample.

        Args:
            weights: float32 ``[examples, n]``, how often each example is in a resample. NaN where it has none of
                the class, or no others.
        """
        ordered = weights[self._order]
        sums = np.cumsum(ordered, axis=0)  # Whole numbers, exact below 2 ** 24.
        new_hits = np.add.reduceat(weights[self._hits], self._first, axis=0)
        hits = np.cumsum(new_hits, axis=0)
        called = sums[self._ends]
        new = called - sums[self._starts] + ordered[self._starts]
        total_hits, total_alarms = hits[-1].astype(np.float64), (sums[-1] - hits[-1]).astype(np.float64)
        # Of the others, those that come in later, and half of those that come in at the same time.
        below = total_alarms - (called - hits) + (new - new_hits) / 2
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        with np.errstate(invalid="ignore"):
            roc = (new_hits * below).sum(axis=0, dtype=np.float64) / (total_hits * total_alarms)
            average = (new_hits * precision).sum(axis=0, dtype=np.float64) / total_hits
        return np.stack([roc, np.where(total_alarms > 0, average, np.nan)])


def _curves(labels: np.ndarray, probabilities: np.ndarray) -> list[_Curve]:
    """Those of the classes that some examples are of, and not all."""
    truths = ((label, labels == label) for label in range(probabilities.shape[1]))
    return [_Curve(truth, probabilities[:, label]) for label, truth in truths if truth.any() and not truth.all()]
