"""Labels that are likely wrong, by what a network says of examples that it was not trained on; in NumPy.

Confident learning after Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels"
(arXiv:1911.00068): an example counts as confidently of a class where the network gives that class at least the
probability that it gives it, on average, to the examples that are labelled so. What is labelled as one class and is
confidently of another is likely a label error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

# Where a run, or a cross-validation, lists them in its directory.
ERRORS_FILE = "label_errors.csv"
# Rounding must not decide where all examples of a class have the same probability.
_ROUNDING = 1e-6
# Examples at a time.
_ROWS = 65536


@dataclasses.dataclass(frozen=True, eq=False)
class LabelErrors:
    """Examples whose label is likely wrong, the likeliest first.

    Attributes:
        examples: int64 ``[errors]``, indices of examples.
        suggested: int64 ``[errors]``, the class that each is confidently of.
        scores: float64 ``[errors]`` in 0..1: how far the network takes the label for right, half of 1 plus the
            probability of the label minus the largest one of another class. 0 is surely wrong.
    """

    examples: np.ndarray
    suggested: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.examples)


def confident_classes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The class that each example is confidently of.

    Args:
        labels: integers ``[examples]``, below the number of classes.
        probabilities: float ``[examples, classes]``, by a network that was not trained on the example.

    Returns:
        int64 ``[examples]``: of the classes whose probability is at least the mean of it over the examples that are
        labelled so, the likeliest; -1 where there is none. A class that no example is labelled as is none.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    sums = np.bincount(labels, given, minlength=classes)
    thresholds = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    found = np.empty(len(labels), np.int64)
    for start in range(0, len(labels), _ROWS):
        some = probabilities[start : start + _ROWS]
        confident = some >= thresholds - _ROUNDING
        likeliest = np.where(confident, some, -1.0).argmax(axis=1)
        found[start : start + _ROWS] = np.where(confident.any(axis=1), likeliest, -1)
    return found


def confident_joint(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How many examples of each label are confidently of each class: int64 ``[classes, classes]``, label by class.

    Arguments as of `confident_classes`.
    """
    classes = probabilities.shape[1]
    found = confident_classes(labels, probabilities)
    sure = found >= 0
    pairs = labels[sure].astype(np.int64) * classes + found[sure]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def find_label_errors(labels: np.ndarray, probabilities: np.ndarray) -> LabelErrors:
    """The examples off the diagonal of the confident joint, ranked by the margin of their label.

    Left out is one whose label is no less probable than the class it is confidently of: of a class of few examples,
    which the network hardly ever says, that may be next to nothing. Arguments as of `confident_classes`.

    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9], [0.95, 0.05]])
    >>> found = find_label_errors(np.array([0, 0, 1, 1, 1]), probabilities)
    >>> found.examples.tolist(), found.suggested.tolist(), found.scores.round(2).tolist()
    ([4], [0], [0.05])
    """
    found = confident_classes(labels, probabilities)
    every = np.arange(len(labels))
    given = probabilities[every, labels]
    wrong = np.flatnonzero((found >= 0) & (found != labels) & (given < probabilities[every, found]))
    others = probabilities[wrong].astype(np.float64)
    others[np.arange(len(wrong)), labels[wrong]] = -np.inf
    margin = given[wrong] - others.max(axis=1, initial=-np.inf)
    order = np.argsort(margin, kind="stable")
    return LabelErrors(wrong[order], found[wrong[order]], (1 + margin[order]) / 2)


def rows_of_errors(
    found: LabelErrors, labels: np.ndarray, class_names: Sequence[str], describe: Callable[[int], str]
) -> Iterator[list[str]]:
    """The rows of `ERRORS_FILE`, its header first.

    Args:
        found: the errors.
        labels: integers ``[examples]``.
        class_names: the classes' names.
        describe: what to call an example.
    """
    yield ["name", "label", "suggested", "score"]
    for index, suggested, score in zip(found.examples.tolist(), found.suggested.tolist(), found.scores.tolist()):
        yield [describe(index), class_names[labels[index]], class_names[suggested], f"{score:.6f}"]
