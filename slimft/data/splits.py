"""Which examples train, validate and test: drawn by class, as a pure function of the labels and a seed.

`labels` are integers ``[examples]``, each 0 or more; results are int64, indices of examples, in order.
"""

from __future__ import annotations

import numpy as np

# From so many examples on, a class has some in every split.
_ENOUGH_FOR_ALL = 3
# Up to so many classes have a line each in a table.
_MOST_LINES = 30
_MOST_NAMES = 5


def stratified(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draws a share of the examples, of each class that share.

    What is left of the fractions goes to the classes that lack most. Of a class of three examples or more at least
    one is drawn; at least one of each class is not.

    Args:
        labels: the labels.
        share: what share to draw, above 0 and below 1.
        seed: integer from 0 to 2**31 - 1.

    Returns:
        The examples drawn; empty only where no class has two.
    """
    counts = np.bincount(labels)
    take = _apportion(counts, max(1, round(share * len(labels))))
    take = np.clip(take, counts >= _ENOUGH_FOR_ALL, np.maximum(counts - 1, 0))
    return _first_of_each(labels, take, seed)


def fold(labels: np.ndarray, folds: int, fold: int, seed: int) -> np.ndarray:
    """One of the parts that cross-validation tests on.

    The parts are disjoint, and hold every example but those that are alone in their class: these always train. The
    sizes of any two parts, and what they have of any class, differ by one at most.

    Args:
        labels: the labels.
        folds: number of parts, 2 or more.
        fold: which part, from 0.
        seed: integer from 0 to 2**31 - 1.
    """
    order = _by_class(labels, seed)
    order = order[np.bincount(labels)[labels[order]] > 1]
    # Dealt out like cards: a class goes on where the one before it ended.
    return np.sort(order[fold::folds])


def subset(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws `count` examples, of each class its share but one at least.

    Args:
        labels: the labels.
        count: how many: at least the number of classes that occur, at most that of the examples.
        seed: integer from 0 to 2**31 - 1.
    """
    counts = np.bincount(labels)
    single = np.zeros(len(counts), bool)
    while True:
        rest = np.where(single, 0, counts)
        left = count - np.count_nonzero(single)
        small = (rest > 0) & (rest * left < rest.sum())
        if not small.any():
            return _first_of_each(labels, _apportion(rest, left) + single, seed)
        single |= small


def _apportion(counts: np.ndarray, total: int) -> np.ndarray:
    """Divides `total` in proportion to `counts` by the method of largest remainders: int64 ``[classes]``."""
    if not counts.any():
        return np.zeros_like(counts)
    shares, remainders = np.divmod(counts * total, counts.sum())
    largest = np.argsort(-remainders, kind="stable")[: total - shares.sum()]
    shares[largest] += 1
    return shares


def _by_class(labels: np.ndarray, seed: int) -> np.ndarray:
    """All examples, class by class, shuffled within each."""
    # RandomState's numbers are the same in every version of NumPy; those of newer generators may change.
    order = np.random.RandomState(seed).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]


def _first_of_each(labels: np.ndarray, take: np.ndarray, seed: int) -> np.ndarray:
    """The first ``take[class]`` examples of each class in its shuffled order."""
    order = _by_class(labels, seed)
    counts = np.bincount(labels)
    position = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[position < np.repeat(take, counts)])


def describe_splits(splits: dict) -> str:
    """A table of the examples of each class in each split, and notes on what is missing.

    Args:
        splits: split name to `slimft.data.Dataset`.

    Returns:
        Lines of text. Of more than 30 classes only the fewest and the most examples of one.
    """
    names = next(iter(splits.values())).class_names
    counts = [dataset.counts for dataset in splits.values()]
    rows = [("class", *splits)]
    if len(names) <= _MOST_LINES:
        rows += [(name, *map(str, row)) for name, row in zip(names, zip(*counts))]
    else:
        rows.append(("fewest of a class", *(str(count.min()) for count in counts)))
        rows.append(("most of a class", *(str(count.max()) for count in counts)))
    rows.append((f"all {len(names)} classes", *(str(count.sum()) for count in counts)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    for split, count in zip(splits, counts):
        without = [names[label] for label in np.flatnonzero(count == 0)]
        if without:
            lines.append(f"note: no {split} examples of {few(without)}")
    return "\n".join(lines)


def few(names: list[str]) -> str:
    """The first of some names, for a message."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
