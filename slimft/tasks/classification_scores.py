"""How good predictions are: accuracy, per-class precision, recall and F1, calibration. NumPy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a network makes of the examples of a split, one entry an example, in the split's order.

    Attributes:
        labels: int32 ``[examples]``, the true classes.
        predicted: int32 ``[examples]``, the likeliest classes.
        confidence: float32 ``[examples]``, the probabilities of these, in 0..1.
        losses: float32 ``[examples]``, cross entropies in nats.
        num_classes: number of classes; labels and predicted are below it.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    losses: np.ndarray
    num_classes: int

    def __post_init__(self):
        lengths = {len(self.labels), len(self.predicted), len(self.confidence), len(self.losses)}
        if lengths == {0} or len(lengths) > 1:
            raise ValueError(f"predictions need as many labels, classes, confidences and losses, not {lengths}")

    @property
    def correct(self) -> np.ndarray:
        """bool ``[examples]``: whether the likeliest class is the true one."""
        return self.labels == self.predicted

    def summary(self) -> dict:
        """The figures in short.

        Returns:
            ``examples``; ``accuracy``, the share of examples that are right; ``balanced_accuracy`` and
            ``macro_f1``, the means of recall and F1 over the classes that occur; ``loss``, the mean cross entropy
            in nats.
        """
        counts = self._counts()
        occur = counts.examples > 0
        return {
            "examples": len(self.labels),
            "accuracy": float(self.correct.mean()),
            "balanced_accuracy": float(counts.recall()[occur].mean()),
            "macro_f1": float(counts.f1()[occur].mean()),
            "loss": float(self.losses.mean(dtype=np.float64)),
        }

    def confusion_matrix(self) -> np.ndarray:
        """int64 ``[num_classes, num_classes]``: examples by true class (row) and predicted class (column)."""
        pairs = self.labels.astype(np.int64) * self.num_classes + self.predicted
        return np.bincount(pairs, minlength=self.num_classes**2).reshape(self.num_classes, self.num_classes)

    def per_class(self, class_names: Sequence[str]) -> list[dict]:
        """Each class's figures.

        Args:
            class_names: the classes' names, by label.

        Returns:
            For each class ``class`` (its name), ``examples``, ``precision``, ``recall`` and ``f1``, the harmonic
            mean of these two. Precision is None where the class is never predicted, recall and F1 where it has no
            examples.
        """
        counts = self._counts()
        columns = (counts.precision(), counts.recall(), counts.f1())
        table = []
        for label, name in enumerate(class_names):
            values = (float(column[label]) for column in columns)
            precision, recall, f1 = (None if np.isnan(value) else value for value in values)
            examples = int(counts.examples[label])
            table.append({"class": name, "examples": examples, "precision": precision, "recall": recall, "f1": f1})
        return table

    def calibration(self, bins: int = 15) -> dict:
        """How far confidence is from accuracy (Guo et al., arXiv:1706.04599).

        Args:
            bins: into how many intervals of equal width to divide the confidences; bin i goes from ``i / bins``,
                exclusive, to ``(i + 1) / bins``, inclusive.

        Returns:
            ``ece``, the expected calibration error: the mean over the examples of the distance between the mean
            confidence and the accuracy of their bin; and ``bins``, a list of ``low``, ``high``, ``examples``, mean
            ``confidence`` and ``accuracy``, which are None where the bin is empty.
        """
        edges = np.arange(bins + 1) / bins
        # The last bin also takes what rounding has put above 1.
        number = np.minimum(np.searchsorted(edges[1:], self.confidence, side="left"), bins - 1)
        examples = np.bincount(number, minlength=bins)
        confidence = np.bincount(number, self.confidence.astype(np.float64), minlength=bins)
        correct = np.bincount(number, self.correct, minlength=bins)
        described = [
            {
                "low": float(edges[i]),
                "high": float(edges[i + 1]),
                "examples": int(examples[i]),
                "confidence": float(confidence[i] / examples[i]) if examples[i] else None,
                "accuracy": float(correct[i] / examples[i]) if examples[i] else None,
            }
            for i in range(bins)
        ]
        return {"ece": float(np.abs(confidence - correct).sum() / len(self.labels)), "bins": described}

    def most_confident_mistakes(self, n: int) -> np.ndarray:
        """The indices of the at most `n` wrong predictions of the highest confidence, the highest first."""
        wrong = np.flatnonzero(~self.correct)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")[:n]]

    def _counts(self) -> _Counts:
        def count(labels):
            return np.bincount(labels, minlength=self.num_classes)

        return _Counts(count(self.labels), count(self.predicted), count(self.labels[self.correct]))


@dataclasses.dataclass(frozen=True, eq=False)
class _Counts:
    """By class: its examples, how often it is predicted, and how often rightly; each ``[num_classes]``."""

    examples: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    def precision(self) -> np.ndarray:
        return _share(self.right, self.predicted)

    def recall(self) -> np.ndarray:
        return _share(self.right, self.examples)

    def f1(self) -> np.ndarray:
        return np.where(self.examples > 0, _share(2 * self.right, self.examples + self.predicted), np.nan)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part` by `whole`; NaN where that is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
