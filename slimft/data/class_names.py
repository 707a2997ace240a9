"""What the classes of a checkpoint are called: ImageNet's, or those of a labels.txt.

`imagenet_classes.txt` beside this file has one line for each class of ILSVRC 2012, in the order of its labels,
which is that of the synset ids (research/slim's datasets/imagenet_lsvrc_2015_synsets.txt): the WordNet 3.0 synset
and its words, as in ImageNet's words.txt and in timm's data/_info. WordNet 3.0 is copyright 2006 by Princeton
University, under the WordNet license.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Iterable

from slimft.errors import DataError
from slimft.files import read_bounded, write_atomically

LABELS_FILE = "labels.txt"
# The names of the 21,841 classes of ImageNet have less than one.
_MOST_BYTES = 16 << 20

_NUMBERED = re.compile(r"([0-9]{1,9}):(.*)", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
IMAGENET_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class ClassNames:
    """The classes of a network, by the index of their logit.

    Attributes:
        num_classes: how many there are.
        names: their names; None where nothing tells.
        first_imagenet_class: index of ImageNet's first class, 1 behind a background class and else 0; None where
            the classes are others.
        source: where the names come from, for a message.
    """

    num_classes: int
    names: tuple[str, ...] | None = None
    first_imagenet_class: int | None = None
    source: str = "none"

    @property
    def texts(self) -> tuple[str, ...]:
        """The classes' names; where nothing tells, their numbers."""
        return self.names or tuple(map(str, range(self.num_classes)))

    def describe(self, index: int) -> dict:
        """What there is to say of the class `index`.

        Returns:
            ``class`` and ``name``, which is None where nothing tells; and of ImageNet's also ``imagenet_class``
            (0..999, without background) and ``synset``, which are None for background.
        """
        described = {"class": index, "name": self.names[index] if self.names else None}
        if self.first_imagenet_class is not None:
            number = index - self.first_imagenet_class
            known = number >= 0
            described["imagenet_class"] = number if known else None
            described["synset"] = imagenet_synsets()[number] if known else None
        return described


def imagenet_class_names() -> tuple[str, ...]:
    """The names of the 1000 classes of ILSVRC 2012, in the order of the labels; there are two called ``crane``."""
    return tuple(name for _, name in _imagenet_classes())


def imagenet_synsets() -> tuple[str, ...]:
    """Their WordNet 3.0 synsets, such as ``n02124075``."""
    return tuple(synset for synset, _ in _imagenet_classes())


@functools.cache
def _imagenet_classes() -> tuple[tuple[str, str], ...]:
    file = pathlib.Path(__file__).with_name("imagenet_classes.txt")
    return tuple(tuple(line.split(" ", 1)) for line in file.read_text(encoding="utf-8").splitlines())


def write_labels(directory: str | os.PathLike, names: Iterable[str]) -> None:
    """Writes ``labels.txt`` as research/slim's datasets/dataset_utils.py does: ``0:airplane`` and so on, in UTF-8.

    Args:
        directory: where to.
        names: the names of the classes, by label.

    Raises:
        DataError: a name has a line end in it, or is not Unicode.
    """
    lines = []
    for label, name in enumerate(names):
        if "\n" in name or "\r" in name or not _is_unicode(name):
            raise DataError(f"the name of class {label}, {name!r}, does not go into a line of {LABELS_FILE}")
        lines.append(f"{label}:{name}\n")
    write_atomically(pathlib.Path(directory, LABELS_FILE), "".join(lines))


def read_labels(path: str | os.PathLike) -> list[str]:
    """Reads the names of classes: research/slim's ``labels.txt`` (``0:airplane``, in any order), or a name a line.

    Raises:
        DataError: the file is missing, no regular file, too large or not UTF-8; it has no names, an empty line
            between them, or numbers that are not 0, 1, 2 and so on.
    """
    names, first = read_numbered_labels(path)
    if first:
        raise DataError(f"{path} does not number its {len(names)} names 0 to {len(names) - 1}, each once")
    return names


def read_numbered_labels(path: str | os.PathLike) -> tuple[list[str], int | None]:
    """As `read_labels`, but the numbers may begin with 1; returns the first name's number, too, if it has one."""
    try:
        text = read_bounded(path, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8 (at byte {error.start})") from None
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{path} line {number} is empty; it has to be the name of a class")
    names: dict[int, str] = {}
    for line in lines:  # The matches of all lines would take many times the file.
        match = _NUMBERED.fullmatch(line)
        if match is None:
            return [line.strip() for line in lines], None
        names[int(match[1])] = match[2]
    first = min(min(names), 1)
    if sorted(names) != list(range(first, first + len(lines))):
        raise DataError(f"{path} does not number its {len(lines)} names 0 to {len(lines) - 1}, each once")
    return [names[label] for label in range(first, first + len(lines))], first


def sorted_names(names: Iterable[str]) -> list[str]:
    """Names of classes in the order of the alphabet; if all are integers, in that of numbers."""
    names = list(names)
    numbers = all(map(_INTEGER.fullmatch, names))
    return sorted(names, key=lambda name: (int(name), name) if numbers else name)


def _is_unicode(text: str) -> bool:
    """Whether `text` has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
