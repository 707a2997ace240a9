"""The labels of records, numbers or names, as numbers from 0 and what the classes are called."""

from __future__ import annotations

import array
import collections
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from slimft.data.class_names import sorted_names
from slimft.data.splits import few
from slimft.data.tfrecord_files import Names
from slimft.errors import DataError, UsageError
from slimft.wire.binary_file import Malformed

# A label is not to make names by the million.
MOST_CLASSES = 100_000


class NumberedLabels(NamedTuple):
    """Labels as a dataset has them.

    Attributes:
        labels: int32 ``[records]``, from 0.
        class_names: the classes' names; None where there is nothing but numbers.
        notes: what was understood in one of several ways, a line each.
    """

    labels: np.ndarray
    class_names: list[str] | None
    notes: tuple[str, ...]


class RecordLabels:
    """The labels of records, as they are found.

    Args:
        key: the feature that they are in, for messages.
    """

    def __init__(self, key: str):
        self._key = key
        self._labels = array.array("i")
        # Of labels that are names, by name, the number; of numbers, the name that the first record with it tells.
        self._number_of: dict[str, int] = {}
        self._text_of: dict[int, str | None] = {}
        self._contradicted: str | None = None

    def add(self, label: int | str, text: str | None) -> None:
        """Adds the label of the next record; raises Malformed if it cannot be one beside the others."""
        if isinstance(label, str):
            if self._text_of:
                raise Malformed(f"its label is the name {label!r:.60}, and those before are numbers")
            number = self._number_of.setdefault(label, len(self._number_of))
            if number >= MOST_CLASSES:
                raise Malformed(f"there are more than {MOST_CLASSES} different labels; is {self._key} the label?")
            self._labels.append(number)
            return
        if self._number_of:
            raise Malformed(f"its label is the number {label}, and those before are names")
        if not 0 <= label < MOST_CLASSES:
            raise Malformed(f"its {self._key} is {label}, which is not in 0..{MOST_CLASSES - 1}")
        before = self._text_of.setdefault(label, text)
        if before != text and self._contradicted is None:
            self._contradicted = f"label {label} is {before} and {text}"
        self._labels.append(label)

    def numbered(self, names: Names | None, offset: int, name_of: Callable[[int], str]) -> NumberedLabels:
        """The labels from 0, and the names of the classes.

        Args:
            names: what a file says; None without one.
            offset: what to take off from labels that are numbers.
            name_of: what to call a record in a message.

        Raises:
            DataError: a label is not among the names, or below the offset.
            UsageError: there is an offset, and the labels are names.
        """
        labels = np.array(self._labels, np.int32)
        if self._number_of:
            return self._of_names(labels, names, offset, name_of)
        if names is not None:
            return self._of_numbers(labels, names, offset, name_of)
        self._check_from(labels, offset, name_of)
        notes = []
        if not offset and len(labels) and labels.min() == 1:
            notes.append("no example has the label 0: if labels are counted from 1, give --labels_offset=1")
        found, note = self._texts(labels, offset)
        return NumberedLabels(labels - offset, found, (*notes, *note))

    def _of_names(self, labels, names, offset, name_of) -> NumberedLabels:
        if offset:
            raise UsageError(f"--labels_offset={offset}: the labels ({self._key}) are names")
        known = sorted_names(self._number_of) if names is None else names.names
        place = {name: number for number, name in enumerate(known)}
        for name, number in self._number_of.items():
            if name not in place:
                record = name_of(int(np.flatnonzero(labels == number)[0]))
                raise DataError(f"{record}: its label {name!r:.60} is not among the names in {names.file}")
        number_of = np.array([place[name] for name in self._number_of], np.int32)
        return NumberedLabels(number_of[labels], list(known), ())

    def _of_numbers(self, labels, names, offset, name_of) -> NumberedLabels:
        count, first = len(names.names), names.first
        start, highest = max(offset, first), int(labels.max(initial=-1))
        self._check_from(labels, start, name_of, f"{names.file} counts from {first}" if start > offset else None)
        notes = []
        if highest < first + count:  # The names are those of the labels before the offset, as slim has it.
            known = names.names[start - first :]
        elif highest < start + count:
            known = names.names
        else:
            wrong = int(np.flatnonzero(labels >= start + count)[0])
            where = f"{start}..{start + count - 1}"
            told = f"{name_of(wrong)}: its {self._key} is {labels[wrong]}, which is not in {where}"
            if not start and labels.min() == 1 and highest == count:
                told += (
                    f"; labels run from 1 to {highest}, and {names.file} has {count} names: if they are counted "
                    "from 1, give --labels_offset=1"
                )
            raise DataError(told)
        if start:
            left = f", {few(names.names[: start - first])} left out" if len(known) < count else ""
            notes.append(f"labels are counted from {start}: {start} is {known[0] if known else 'nothing'}{left}")
        return NumberedLabels(labels - start, known, tuple(notes))

    def _check_from(self, labels: np.ndarray, start: int, name_of, why: str | None = None) -> None:
        below = np.flatnonzero(labels < start)
        if len(below):
            first = int(below[0])
            why = why or f"--labels_offset={start}"
            raise DataError(f"{name_of(first)}: its {self._key} is {labels[first]}, and {why}")

    def _texts(self, labels: np.ndarray, offset: int) -> tuple[list[str] | None, tuple[str, ...]]:
        """Names of the classes by what records say beside their labels, and a note; None where they say nothing."""
        if not any(self._text_of.values()):
            return None, ()
        times = collections.Counter(filter(None, self._text_of.values()))
        several = [text for text, count in times.items() if count > 1]
        if self._contradicted or several:
            why = self._contradicted or f"several labels are {several[0]}"
            return None, (f"image/class/text does not name the classes: {why}",)
        highest = int(labels.max())
        return [self._text_of.get(label) or str(label) for label in range(offset, highest + 1)], ()
