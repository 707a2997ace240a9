"""How good a classifier's predictions are: accuracy, precision, recall and F1 by class, calibration; in NumPy."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from slimft.tasks.exact_sum import ExactSum
from slimft.tasks.packed import Packed, pack

_BINS = 15
# What a report shows.
_MOST_MISTAKES = 24
_MOST_PAIRS = 40
# A matrix of more classes has too many numbers for anybody to look at.
_MOST_MATRIX_CLASSES = 200


@dataclasses.dataclass(frozen=True)
class _Mistake:
    """A wrong prediction.

    Attributes:
        index: the example's, in its split.
        label: the true class.
        predicted: the likeliest class.
        confidence: its probability.
    """

    index: int
    label: int
    predicted: int
    confidence: float


class ClassificationScores:
    """Scores of a classifier. As `slimft.tasks.Scores`.

    Memory grows with the classes and with the pairs of classes that are confused, not with the examples.

    Args:
        num_classes: number of classes; labels and predictions are below it.
        bins: into how many intervals of equal width to divide the confidences; bin i goes from ``i / bins``,
            exclusive, to ``(i + 1) / bins``, inclusive.
        most_mistakes: how many mistakes, those of the highest confidence, to keep.

    Attributes:
        task: the name of the task that they are of.
        num_classes: as given.
        examples: how many examples there were.
    """

    task: ClassVar[str] = "classification"

    def __init__(self, num_classes: int, bins: int = _BINS, most_mistakes: int = _MOST_MISTAKES):
        self.num_classes, self.bins, self._most_mistakes = num_classes, bins, most_mistakes
        self.examples = 0
        self._mistakes: list[_Mistake] = []
        self._losses = ExactSum()
        # By class: its examples, how often it is predicted, and how often rightly.
        self._labels, self._predicted, self._right = (np.zeros(num_classes, np.int64) for _ in range(3))
        self._wrong: collections.Counter[int] = collections.Counter()  # By label * num_classes + prediction.
        self._binned = np.zeros((3, bins))  # Examples, the sum of their confidences, how many are right.

    def add(self, batch: Mapping[str, np.ndarray], examples: np.ndarray) -> None:
        """As of `Scores`: ``targets`` and ``predicted``, int, ``confidence`` in 0..1 and ``losses`` in nats.

        Raises:
            ValueError: they are not as many.
        """
        labels, predicted, confidence, losses = (
            np.asarray(batch[name]) for name in ("targets", "predicted", "confidence", "losses")
        )
        lengths = {len(labels), len(predicted), len(confidence), len(losses)}
        if len(lengths) > 1:
            raise ValueError(f"predictions need as many labels, classes, confidences and losses, not {lengths}")
        right = labels == predicted
        self.examples += len(labels)
        self._losses.add(losses)
        for counts, classes in ((self._labels, labels), (self._predicted, predicted), (self._right, labels[right])):
            counts += np.bincount(classes, minlength=self.num_classes)
        wrong = np.flatnonzero(~right)
        pairs, numbers = np.unique(
            labels[wrong].astype(np.int64) * self.num_classes + predicted[wrong], return_counts=True
        )
        self._wrong.update(dict(zip(pairs.tolist(), numbers.tolist())))
        surest = wrong[np.lexsort((examples[wrong], -confidence[wrong]))[: self._most_mistakes]]
        self._keep(
            [_Mistake(int(examples[i]), int(labels[i]), int(predicted[i]), float(confidence[i])) for i in surest]
        )
        # The last bin also takes what rounding has put above 1.
        edges = np.arange(1, self.bins + 1) / self.bins
        number = np.minimum(np.searchsorted(edges, confidence, side="left"), self.bins - 1)
        for sums, weights in zip(self._binned, (None, confidence.astype(np.float64), right)):
            sums += np.bincount(number, weights, minlength=self.bins)

    def merge(self, other: ClassificationScores) -> None:
        """As of `Scores`."""
        if (self.num_classes, self.bins) != (other.num_classes, other.bins):
            raise ValueError(f"scores of {other.num_classes} classes do not add to scores of {self.num_classes}")
        self.examples += other.examples
        self._losses.merge(other._losses)
        self._labels += other._labels
        self._predicted += other._predicted
        self._right += other._right
        self._wrong.update(other._wrong)
        self._binned += other._binned
        self._keep(other._mistakes)

    def _keep(self, mistakes: Sequence[_Mistake]) -> None:
        found = sorted([*self._mistakes, *mistakes], key=_order)
        self._mistakes = found[: self._most_mistakes]

    def to_bytes(self) -> bytes:
        """As of `Scores`."""
        pairs = sorted(self._wrong)
        return pack(
            self.task,
            {
                "num_classes": int(self.num_classes),
                "bins": self.bins,
                "most_mistakes": self._most_mistakes,
                "examples": self.examples,
                "losses": self._losses.packed(),
                "labels": self._labels,
                "predicted": self._predicted,
                "right": self._right,
                "pairs": np.array(pairs, np.int64),
                "numbers": np.array([self._wrong[pair] for pair in pairs], np.int64),
                "binned": self._binned,
                "mistakes": [dataclasses.astuple(one) for one in self._mistakes],
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> ClassificationScores:
        """As of `Scores`."""
        packed = Packed.of(data, cls.task)
        # Of each there are eight bytes, so that nothing is made of numbers that are too large.
        num_classes, bins = (packed[name].integer(len(data) // 8, 1) for name in ("num_classes", "bins"))
        scores = cls(num_classes, bins, packed["most_mistakes"].integer())
        scores.examples = number = packed["examples"].integer()
        scores._losses = ExactSum.of(packed["losses"])
        scores._labels = packed["labels"].counts((num_classes,), number)
        scores._predicted = packed["predicted"].counts((num_classes,), number)
        scores._right = right = packed["right"].counts((num_classes,))
        if (right > np.minimum(scores._labels, scores._predicted)).any():
            raise packed["right"].error("at most as many as there are")
        pairs = packed["pairs"].array(np.int64)
        numbers = packed["numbers"].counts(pairs.shape, number - int(right.sum()))
        rows, columns = np.divmod(pairs, num_classes)
        if (
            (pairs < 0).any()
            or (np.diff(pairs) <= 0).any()
            or (rows >= num_classes).any()
            or (rows == columns).any()
        ):
            raise packed["pairs"].error("pairs of classes")
        scores._wrong.update(dict(zip(pairs.tolist(), numbers.tolist())))
        scores._binned = packed["binned"].array(np.float64, (3, bins))
        counts = scores._binned[::2]
        if not (counts >= 0).all() or counts.sum(axis=1).tolist() != [number, right.sum()]:
            raise packed["binned"].error("as many as there are")
        for one in packed["mistakes"].items():
            index, label, predicted, confidence = one.items(4)
            classes = label.integer(num_classes), predicted.integer(num_classes)
            scores._mistakes.append(_Mistake(index.integer(), *classes, confidence.number()))
        scores._keep([])
        return scores

    def mistakes(self) -> list[tuple[int, dict[str, Any]]]:
        """The wrong predictions of the highest confidence, with ``label``, ``predicted`` and ``confidence``."""
        return [
            (one.index, {"label": one.label, "predicted": one.predicted, "confidence": one.confidence})
            for one in self._mistakes
        ]

    def summary(self) -> dict[str, Any]:
        """The figures in short.

        Returns:
            ``examples``; ``accuracy``, the share of examples that are right; ``balanced_accuracy`` and
            ``macro_f1``, the means of recall and F1 over the classes that occur; ``loss``, the mean cross entropy
            in nats.

        Raises:
            ValueError: there were no examples.
        """
        if not self.examples:
            raise ValueError("there are no predictions")
        occur = self._labels > 0
        return {
            "examples": self.examples,
            "accuracy": int(self._right.sum()) / self.examples,
            "balanced_accuracy": float(self._recall()[occur].mean()),
            "macro_f1": float(self._f1()[occur].mean()),
            "loss": self._losses.mean(self.examples),
        }

    def findings(self, class_names: Sequence[str]) -> dict[str, Any]:
        """``confusion_matrix`` (None beyond 200 classes), ``confused_pairs``, ``per_class`` and ``calibration``."""
        small = self.num_classes <= _MOST_MATRIX_CLASSES
        pairs = sorted(self._wrong.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_PAIRS]
        return {
            "confusion_matrix": self.confusion_matrix().tolist() if small else None,
            "confused_pairs": [[*divmod(pair, self.num_classes), number] for pair, number in pairs],
            "per_class": self.per_class(class_names),
            "calibration": self.calibration(),
        }

    def confusion_matrix(self) -> np.ndarray:
        """int64 ``[num_classes, num_classes]``: examples by true class (row) and predicted class (column)."""
        matrix = np.diag(self._right)
        for pair, number in self._wrong.items():
            matrix[divmod(pair, self.num_classes)] = number
        return matrix

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Each class's figures.

        Args:
            class_names: the classes' names, by label.

        Returns:
            For each class ``class`` (its name), ``examples``, ``precision``, ``recall`` and ``f1``, the harmonic
            mean of these two. Precision is None where the class is never predicted, recall and F1 where it has no
            examples.
        """
        columns = (_share(self._right, self._predicted), self._recall(), self._f1())
        table = []
        for label, name in enumerate(class_names):
            values = (float(column[label]) for column in columns)
            precision, recall, f1 = (None if np.isnan(value) else value for value in values)
            examples = int(self._labels[label])
            table.append({"class": name, "examples": examples, "precision": precision, "recall": recall, "f1": f1})
        return table

    def calibration(self) -> dict[str, Any]:
        """How far confidence is from accuracy (Guo et al., arXiv:1706.04599).

        Returns:
            ``ece``, the expected calibration error: the mean over the examples of the distance between the mean
            confidence and the accuracy of their bin; and ``bins``, a list of ``low``, ``high``, ``examples``, mean
            ``confidence`` and ``accuracy``, which are None where the bin is empty.
        """
        edges = np.arange(self.bins + 1) / self.bins
        examples, confidence, right = self._binned
        described = [
            {
                "low": float(edges[i]),
                "high": float(edges[i + 1]),
                "examples": int(examples[i]),
                "confidence": float(confidence[i] / examples[i]) if examples[i] else None,
                "accuracy": float(right[i] / examples[i]) if examples[i] else None,
            }
            for i in range(self.bins)
        ]
        return {"ece": float(np.abs(confidence - right).sum() / self.examples), "bins": described}

    def _recall(self) -> np.ndarray:
        return _share(self._right, self._labels)

    def _f1(self) -> np.ndarray:
        return np.where(self._labels > 0, _share(2 * self._right, self._labels + self._predicted), np.nan)


def _order(mistake: _Mistake) -> tuple[float, int]:
    """By which mistakes are sorted: the surest first, and those whose confidence is NaN last, as NumPy sorts."""
    return (math.inf if math.isnan(mistake.confidence) else -mistake.confidence), mistake.index


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a network makes of the examples of a split, one entry an example, in the split's order.

    Attributes:
        labels: int32 ``[examples]``, the true classes.
        predicted: int32 ``[examples]``, the likeliest classes.
        confidence: float32 ``[examples]``, the probabilities of these, in 0..1.
        losses: float32 ``[examples]``, cross entropies in nats.
        num_classes: number of classes; labels and predicted are below it.
        probabilities: float32 ``[examples, classes]``; None where they are not kept.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    losses: np.ndarray
    num_classes: int
    probabilities: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.labels), len(self.predicted), len(self.confidence), len(self.losses)}
        if lengths == {0} or len(lengths) > 1:
            raise ValueError(f"predictions need as many labels, classes, confidences and losses, not {lengths}")

    @classmethod
    def of(cls, batches: Sequence[Mapping[str, np.ndarray]], num_classes: int) -> Predictions:
        """Those of batches, each as of `ClassificationScores.add`."""

        def all_of(name: str) -> np.ndarray:
            return np.concatenate([batch[name] for batch in batches])

        labels, predicted, confidence, losses = map(all_of, ("targets", "predicted", "confidence", "losses"))
        return cls(labels, predicted, confidence, losses, num_classes)

    @property
    def correct(self) -> np.ndarray:
        """bool ``[examples]``: whether the likeliest class is the true one."""
        return self.labels == self.predicted

    @functools.cached_property
    def scores(self) -> ClassificationScores:
        """The scores of these examples."""
        return self._scores(_BINS, _MOST_MISTAKES)

    def summary(self) -> dict[str, Any]:
        """As of `ClassificationScores`."""
        return self.scores.summary()

    def confusion_matrix(self) -> np.ndarray:
        """As of `ClassificationScores`."""
        return self.scores.confusion_matrix()

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """As of `ClassificationScores`."""
        return self.scores.per_class(class_names)

    def calibration(self, bins: int = _BINS) -> dict[str, Any]:
        """As of `ClassificationScores`, with that many bins."""
        return self._scores(bins, 0).calibration()

    def most_confident_mistakes(self, n: int) -> np.ndarray:
        """The indices of the at most `n` wrong predictions of the highest confidence, the highest first."""
        wrong = np.flatnonzero(~self.correct)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")[:n]]

    def _scores(self, bins: int, most_mistakes: int) -> ClassificationScores:
        scores = ClassificationScores(self.num_classes, bins, most_mistakes)
        batch = {"targets": self.labels, "predicted": self.predicted}
        scores.add(batch | {"confidence": self.confidence, "losses": self.losses}, np.arange(len(self.labels)))
        return scores


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
