"""Which examples train, validate and test: a pure function of each example's name and a seed.

An example's split follows from a hash of its name alone, so that examples that are added or removed move no other.
Only in a class of few examples, where the hash may leave a split without any, one of them is moved; see `draw`.

`labels` are integers ``[examples]``, each 0 or more; `names` has a string for each example, and examples of one
name, such as one patient's images, stay together. Results are int64, indices of examples, in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

# From so many units on (examples, or groups of them), a class has some in every split.
_ENOUGH_FOR_ALL = 3
# Up to so many classes have a line each in a table.
_MOST_LINES = 30
_MOST_NAMES = 5


def unit(name: str, seed: int, purpose: str) -> float:
    """A number from 0 to below 1 that follows from the arguments: evenly distributed over names (BLAKE2b)."""
    text = f"{seed} {purpose} {name}".encode("utf-8", "surrogatepass")
    # The upper 53 bits: as many as a float has.
    return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 11) / 2**53


def draw(
    labels: np.ndarray,
    names: Sequence[str],
    validation_share: float,
    test_share: float = 0.0,
    folds: int | None = None,
    fold: int = 0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Draws the examples that test, and of the others those that validate.

    An example tests if its hash is below `test_share`; of the others it validates if another hash is below
    `validation_share`. With `folds`, a hash tells which of so many parts an example is in, and one of these tests.
    Each class trains on one example at least, and a class of three has one in each split: where hashes alone do not
    give that, the examples of the smallest hash are moved. A class of two is in two parts at least, a class's only
    example always trains. With groups, read "group" for "example"; a group of several classes is moved only if none
    of them loses what it has to keep.

    Args:
        labels: the labels.
        names: the examples' names.
        validation_share: share of the examples that do not test, above 0 and below 1.
        test_share: share of all examples, 0 or more and below 1.
        folds: number of parts, from 2 to that of different names; None for `test_share`.
        fold: which part tests, from 0.
        seed: integer from 0 to 2**31 - 1.

    Returns:
        ``train``, ``validation`` and ``test`` to their examples; disjoint, and together all of them. A split is
        empty only if nothing is asked of it, or there are too few examples.
    """
    units = _Units(labels, names)
    everything = np.ones(len(units), bool)
    test = np.zeros(len(units), bool)
    if folds is not None:
        test = _parts(units, folds, seed) == fold
    elif test_share:
        test = _drawn(units, everything, test_share, seed, "test", spare=1)
    validation = _drawn(units, ~test, validation_share, seed, "validation", spare=0)
    chosen = {"train": ~(test | validation), "validation": validation, "test": test}
    return {split: np.flatnonzero(which[units.of]) for split, which in chosen.items()}


def subset(
    labels: np.ndarray, names: Sequence[str], count: int, seed: int, purpose: str = "train_examples"
) -> np.ndarray:
    """Draws `count` examples, of each class its share but one at least: those of the smallest hash.

    Args:
        labels: the labels.
        names: the examples' names.
        count: how many: at least the number of classes that occur, at most that of the examples.
        seed: integer from 0 to 2**31 - 1.
        purpose: what they are drawn for.
    """
    counts = np.bincount(labels)
    place = np.array([unit(name, seed, purpose) for name in names])
    order = np.lexsort((place, labels))
    position = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[position < np.repeat(_apportion_to_all(counts, count), counts)])


def _apportion_to_all(counts: np.ndarray, total: int) -> np.ndarray:
    """Divides `total` in proportion to `counts`, with one at least for each that is not 0."""
    single = np.zeros(len(counts), bool)
    while True:
        rest = np.where(single, 0, counts)
        left = total - np.count_nonzero(single)
        small = (rest > 0) & (rest * left < rest.sum())
        if not small.any():
            return _apportion(rest, left) + single
        single |= small


def _apportion(counts: np.ndarray, total: int) -> np.ndarray:
    """Divides `total` in proportion to `counts` by the method of largest remainders: int64 ``[classes]``."""
    if not counts.any():
        return np.zeros_like(counts)
    shares, remainders = np.divmod(counts * total, counts.sum())
    largest = np.argsort(-remainders, kind="stable")[: total - shares.sum()]
    shares[largest] += 1
    return shares


class _Units:
    """What is drawn as a whole, and of which classes it is.

    Attributes:
        of: int64 ``[examples]``, the unit of each.
    """

    def __init__(self, labels: np.ndarray, names: Sequence[str]):
        index: dict[str, int] = {}
        self.of = np.fromiter((index.setdefault(name, len(index)) for name in names), np.int64, len(labels))
        self._names = list(index)
        self._classes = int(np.max(labels, initial=-1)) + 1
        # Each unit with each of its classes, once.
        pairs = np.unique(self.of * self._classes + labels)
        self._unit, self._label = np.divmod(pairs, max(self._classes, 1))
        self._by_class = np.argsort(self._label, kind="stable")
        self._class_at = np.searchsorted(self._label[self._by_class], np.arange(self._classes + 1))
        self._unit_at = np.searchsorted(self._unit, np.arange(len(index) + 1))

    def __len__(self) -> int:
        return len(self._names)

    def places(self, seed: int, purpose: str) -> np.ndarray:
        """float64 ``[units]``: `unit` of each."""
        return np.array([unit(name, seed, purpose) for name in self._names])

    def count(self, which: np.ndarray) -> np.ndarray:
        """Units of each class, of those that are True in `which` (bool ``[units]``): int64 ``[classes]``."""
        return np.bincount(self._label[which[self._unit]], minlength=self._classes)

    def of_class(self, label: int) -> np.ndarray:
        """The units of a class."""
        return self._unit[self._by_class[self._class_at[label] : self._class_at[label + 1]]]

    def classes_of(self, unit: int) -> np.ndarray:
        """The classes of a unit."""
        return self._label[self._unit_at[unit] : self._unit_at[unit + 1]]


def _drawn(units: _Units, free: np.ndarray, share: float, seed: int, purpose: str, spare: int) -> np.ndarray:
    """The units to draw of those that are `free`: bool ``[units]``.

    Args:
        units: all there are.
        free: bool ``[units]``.
        share: share of the free ones.
        seed: the seed.
        purpose: what they are drawn for.
        spare: how many, of a class that has enough, have to stay for later draws, beside the one that trains.
    """
    place = units.places(seed, purpose)
    there = units.count(free)
    enough = units.count(np.ones(len(units), bool)) >= _ENOUGH_FOR_ALL
    keep = np.minimum(there, np.where(enough, 1 + spare, 1))
    chosen = free & (place < share)
    for label in np.flatnonzero(there - units.count(chosen) < keep):
        taken = units.of_class(label)
        taken = taken[chosen[taken]]
        lacking = max(0, keep[label] - (there[label] - len(taken)))
        chosen[taken[np.argsort(-place[taken])][:lacking]] = False
    stay = there - units.count(chosen)

    def add_first(candidates: np.ndarray, keep: np.ndarray) -> None:
        candidates = candidates[free[candidates] & ~chosen[candidates]]
        for candidate in candidates[np.argsort(place[candidates])]:
            classes = units.classes_of(candidate)
            if (stay[classes] > keep[classes]).all():
                chosen[candidate] = True
                stay[classes] -= 1
                return

    for label in np.flatnonzero(enough & (units.count(chosen) == 0)):
        if not chosen[units.of_class(label)].any():  # Nor by a group that came in for another class.
            add_first(units.of_class(label), keep)
    if not chosen.any():
        add_first(np.arange(len(units)), np.minimum(there, 1))
    return chosen


def _parts(units: _Units, folds: int, seed: int) -> np.ndarray:
    """Which of `folds` parts each unit is in: int64 ``[units]``; -1 for one that always trains.

    That is one that is alone in a class. A class of as many units as there are parts is in all of them, and one of
    two or more in two at least, wherever its groups, if they are of other classes too, allow that.
    """
    place = units.places(seed, "fold")
    part = np.minimum((place * folds).astype(np.int64), folds - 1)
    counts = units.count(np.ones(len(units), bool))
    for label in np.flatnonzero(counts == 1):
        part[units.of_class(label)] = -1

    def can_leave(member: int, but: int) -> bool:
        """Whether the member's part keeps another unit of each of its classes, apart from the class `but`."""
        others = (units.of_class(label) for label in units.classes_of(member) if label != but)
        return all(np.count_nonzero(part[other] == part[member]) > 1 for other in others)

    def fill(members: np.ndarray, empty: np.ndarray, label: int | None) -> None:
        in_part = np.bincount(part[members], minlength=folds)
        for target in empty:
            able = members[in_part[part[members]] > 1]
            # As if the parts lay on a circle: each is filled from what lies next, whatever else is added or
            # removed.
            for member in able[np.argsort((place[able] - target / folds) % 1)]:
                if label is None or can_leave(member, label):
                    in_part[part[member]] -= 1
                    part[member] = target
                    in_part[target] += 1
                    break

    for label in np.flatnonzero(counts > 1):
        members = units.of_class(label)
        dealt = members[part[members] >= 0]
        there = np.unique(part[dealt])
        if len(dealt) >= folds > len(there):
            fill(dealt, np.setdiff1d(np.arange(folds), there), label)
        elif len(there) == 1 and len(dealt) == len(members):
            fill(dealt, (there + 1) % folds, label)
        if len(np.unique(part[members])) == 1:  # Groups of other classes, too, may all be needed where they are.
            part[members[np.argmin(place[members])]] = -1
    dealt = np.flatnonzero(part >= 0)
    if len(dealt) >= folds:
        fill(dealt, np.setdiff1d(np.arange(folds), part[dealt]), None)
    return part


def describe_splits(splits: dict) -> str:
    """A table of the examples, of masks the pixels, of each class in each split, and notes on what is missing.

    Args:
        splits: split name to `slimft.data.Dataset`.

    Returns:
        Lines of text. Of more than 30 classes only the fewest and the most examples of one.
    """
    first = next(iter(splits.values()))
    names = first.class_names
    counts = [dataset.counts for dataset in splits.values()]
    of_pixels = first.task == "segmentation"
    rows = [("pixels of" if of_pixels else "class", *splits)]
    if len(names) <= _MOST_LINES:
        rows += [(name, *map(str, row)) for name, row in zip(names, zip(*counts))]
    else:
        rows.append(("fewest of a class", *(str(count.min()) for count in counts)))
        rows.append(("most of a class", *(str(count.max()) for count in counts)))
    rows.append((f"all {len(names)} classes", *(str(count.sum()) for count in counts)))
    if of_pixels:
        rows.append(("images", *(str(dataset.num_examples) for dataset in splits.values())))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    what = "pixels" if of_pixels else "examples"
    for split, count in zip(splits, counts):
        without = [names[label] for label in np.flatnonzero(count == 0)]
        if without:
            lines.append(f"note: no {split} {what} of {few(without)}")
    lines += [f"note: {note}" for note in first.notes]
    return "\n".join(lines)


def few(names: Sequence[str]) -> str:
    """The first of some names, for a message."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
