"""Datasets of image files: what folders, manifests and TFRecords have in common."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from slimft.data import splits
from slimft.data.class_names import sorted_names
from slimft.data.dataset import SPLITS, WHOLE, DataOptions, Dataset
from slimft.data.image_files import ImageFiles
from slimft.data.splits import few
from slimft.errors import DataError, UsageError

# What a split may be called, in small letters.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "test": "test",
    "testing": "test",
}

# research/slim's preprocessing for Inception goes down to 5 %, but that is for training from nothing on a million.
_MIN_AREA = 0.5
# Suffixes of pictures in formats that are not read, some of which not every Pillow reads.
_PICTURES = frozenset(
    (
        ".heic", ".heif", ".jxl", ".avif", ".jp2", ".jpx", ".j2k", ".psd", ".svg", ".dng", ".cr2", ".cr3", ".nef",
        ".arw", ".raw", ".dcm", ".dicom", ".nii", ".exr", ".hdr", ".tga", ".ico", ".pcx", ".qoi", ".pfm", ".fits",
        ".npy", ".pdf", ".svs", ".ndpi", ".czi", ".lif", ".nd2", ".webm", ".mp4", ".mov", ".avi",
    )
)  # fmt: skip
_MOST_LETTERS = 12
# Groups of names in a note.
_MOST_ALIKE = 3
# Unicode's categories of control characters, and of what is no character.
_UNPRINTABLE = ("Cc", "Cs")
_AT_THE_END = re.compile(rf"(?:(.*)[_-])?({'|'.join(SPLIT_NAMES)})", re.IGNORECASE | re.DOTALL)
_AT_THE_START = re.compile(rf"({'|'.join(SPLIT_NAMES)})[_-](.*)", re.IGNORECASE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Examples:
    """What a reader found: labelled images, not yet split.

    Attributes:
        name: the dataset's name.
        place: the file or folder that they come from, for messages.
        sources: what `ImageFiles` takes, an item an example.
        labels: integers ``[examples]``, each 0 or more.
        class_names: the classes' names, by label; None where the data has nothing but numbers.
        split_of: integers ``[examples]``: the index in `SPLITS` of each example's own split; None where there are
            none.
        groups: what each example belongs to, None for one that stands alone; None where the data does not tell.
        notes: what was passed over, or understood in one of several ways, a line each.
        folds: the part of a cross-validation that each example is in; None where the data does not tell.
    """

    name: str
    place: object
    sources: Sequence
    labels: np.ndarray
    class_names: Sequence[str] | None
    split_of: np.ndarray | None = None
    groups: Sequence[str | None] | None = None
    notes: tuple[str, ...] = ()
    folds: Sequence[str] | None = None

    @property
    def own(self) -> list[str]:
        """The splits that the data has itself."""
        return [] if self.split_of is None else [SPLITS[index] for index in np.unique(self.split_of)]

    def own_parts(self) -> dict[str, np.ndarray]:
        """Each of these to its examples."""
        return {split: np.flatnonzero(self.split_of == SPLITS.index(split)) for split in self.own}


class PassedOver:
    """Counts what is no example, by reason, with the first of each.

    Args:
        root: the folder that paths are told from.
    """

    def __init__(self, root: str):
        self._root = root
        self._found: dict[tuple[str, str], list] = {}
        self._suffixes: collections.Counter[str] = collections.Counter()

    def add(self, one: str, many: str, folder: str | os.PathLike, names: Sequence[str]) -> None:
        """Adds what is called `names` in `folder`; `one` and `many` say what one and several of these are."""
        if names:
            path = os.path.relpath(os.path.join(folder, names[0]), self._root)
            self._found.setdefault((one, many), [0, path])[0] += len(names)

    def add_files(self, folder: str | os.PathLike, names: Sequence[str]) -> None:
        """Adds files in `folder` that have no suffix of an image's."""
        self.add("file without an image's suffix", "files without an image's suffix", folder, names)
        self._suffixes.update(os.path.splitext(name)[1].lower()[:_MOST_LETTERS] or "none" for name in names)

    def notes(self) -> tuple[str, ...]:
        """A line on all of it, if there is anything."""
        told = [
            f"1 {one} ({first})" if count == 1 else f"{count} {many} (such as {first})"
            for (one, many), (count, first) in self._found.items()
        ]
        pictures = [f"{count} {suffix}" for suffix, count in self._suffixes.most_common() if suffix in _PICTURES]
        lines = [f"passed over: {', '.join(told)}"] if told else []
        if pictures:
            listed = ", ".join(pictures)
            lines.append(f"of these, pictures that cannot be read ({listed}): convert them to JPEG or PNG")
        return tuple(lines)


def split_named(name: str, last: bool = False) -> tuple[str | None, str]:
    """The split that a name stands for, and the rest of the name.

    It may be the whole name or stand at its start or end, apart by ``_`` or ``-``, in large or small letters.

    Args:
        name: such as ``train``, ``my-Test`` or ``val_images``.
        last: of a name that has one at either end, the last one counts; else none of them, unless both are the
            same.
    """
    end, start = _AT_THE_END.fullmatch(name), _AT_THE_START.fullmatch(name)
    at_the_end = end and SPLIT_NAMES[end[2].lower()]
    at_the_start = start and SPLIT_NAMES[start[1].lower()]
    if at_the_end and (last or at_the_start in (None, at_the_end)):
        return at_the_end, end[1] or ""
    return (at_the_start, start[2]) if at_the_start and not at_the_end else (None, name)


def file_splits(examples: Examples, options: DataOptions) -> dict[str, Dataset]:
    """Makes the splits to train on.

    Examples without splits, or with nothing but a training split, are split: first the test examples are drawn,
    then from the others those that validate. Where only those that validate are missing, they are drawn from the
    training split. A dataset that has training and validation, but no test split, stays without one.

    Args:
        examples: what there is.
        options: how to split, and how to read.

    Returns:
        Split name to dataset: ``train``, ``validation``, and ``test`` unless there is none.

    Raises:
        DataError: there is one class only, or a class without training examples; there are too few examples.
        UsageError: an option makes no sense for this dataset.
    """
    labels, class_names = np.asarray(examples.labels, np.int32), _class_names(examples)
    _check_classes(examples.place, labels, class_names, least=2)
    if "train" in examples.own:
        _check_training(examples.place, labels, class_names, examples.own_parts())
    parts, notes = drawn_parts(examples, options)
    if examples.folds is not None:
        _check_training(examples.place, labels, class_names, parts)
    return _datasets(examples, labels, class_names, parts, options, notes, _groups(examples, options))


def drawn_parts(examples: Examples, options: DataOptions) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Which examples are in which split, as `file_splits` says; and notes on that.

    Raises:
        DataError: there are no training examples, or too few examples.
        UsageError: an option makes no sense for this dataset.
    """
    place, labels = examples.place, np.asarray(examples.labels, np.int32)
    own, parts = examples.own, examples.own_parts()
    options.check(str(place), own)
    units, notes = _units(examples, options)
    if set(own) <= {"train"}:
        parts, of_folds = _drawn_of_all(examples, labels, units, options)
        return parts, (*notes, *of_folds)
    if "train" not in own:
        raise DataError(f"{place} has no training examples, only {' and '.join(own)}")
    if "validation" in own:
        notes = ()  # Nothing is drawn.
    else:
        drawn = _drawn(place, labels, units, parts["train"], options, tests=False)
        parts = {**drawn, **({"test": parts["test"]} if "test" in parts else {})}
    return parts, (*notes, *_apart(examples, parts, units, "the data's own splits"))


def splits_to_evaluate(
    examples: Examples, options: DataOptions, class_names: Sequence[str] | None
) -> dict[str, Dataset]:
    """The data's own splits as they are; or all of it, as one split called ``all``, where it has none.

    Args:
        examples: what there is, of one class or more.
        options: how to read; nothing is drawn.
        class_names: the classes that the labels are of, where the data has nothing but numbers; or None.

    Raises:
        DataError: there are no examples; a label is not among `class_names`.
    """
    labels = np.asarray(examples.labels, np.int32)
    if examples.class_names is None and class_names is not None:
        if labels.max(initial=-1) >= len(class_names):
            raise DataError(
                f"{examples.place} has the label {labels.max()}, which the run was not trained on: it has the "
                f"classes 0 to {len(class_names) - 1}"
            )
        names = list(class_names)
    else:
        names = _class_names(examples)
    _check_classes(examples.place, labels, names, least=1)
    parts, notes = {WHOLE: np.arange(len(labels))}, ()
    if not set(examples.own) <= {"train"}:
        parts = examples.own_parts()
        if examples.groups is not None:
            notes = _apart(examples, parts, _names_of(examples, examples.groups), "the data's own splits")
    groups = None
    with contextlib.suppress(UsageError):  # Other data need not have what --group finds in the run's.
        groups = _groups(examples, options)
    return _datasets(examples, labels, names, parts, options, notes, groups)


def _class_names(examples: Examples) -> list[str]:
    if examples.class_names is not None:
        return list(examples.class_names)
    return [str(label) for label in range(int(examples.labels.max(initial=-1)) + 1)]


def _groups(examples: Examples, options: DataOptions) -> np.ndarray | None:
    """A number for each example, the same for those that belong together; None where the data does not tell."""
    if options.group == "" or (examples.groups is None and not options.group):
        return None
    units, _ = _units(examples, options)
    return np.unique(units, return_inverse=True)[1].astype(np.int64)


def _datasets(examples, labels, class_names, parts, options, notes, groups) -> dict[str, Dataset]:
    images = ImageFiles(examples.sources, cache=options.cache, grey_bits=options.grey_bits)
    common = {"class_names": tuple(class_names), "image_size": None, "flip": True, "max_shift": 0.0}
    common |= {"min_area": _MIN_AREA, "notes": (*examples.notes, *alike(class_names), *notes)}
    return {
        split: Dataset(
            examples.name,
            split,
            images.select(part),
            labels[part],
            groups=None if groups is None else groups[part],
            **common,
        )
        for split, part in parts.items()
    }


def alike(class_names: Sequence[str]) -> tuple[str, ...]:
    """A note on classes whose names are the same but for case and spaces, if there are any."""
    found: dict[str, list[str]] = {}
    for name in class_names:
        same = unicodedata.normalize("NFKC", name).casefold()
        found.setdefault(re.sub(r"[\s_-]+", "", same), []).append(name)
    alike = [names for names in found.values() if len(names) > 1]
    if not alike:
        return ()
    told = ", ".join(" and ".join(map(repr, names)) for names in alike[:_MOST_ALIKE])
    return (f"classes that differ only in case or spaces are different classes: {told}",)


def _check_classes(place: object, labels: np.ndarray, class_names: Sequence[str], least: int) -> None:
    found = np.unique(labels)
    if not len(found):
        raise DataError(f"{place} holds no examples")
    if len(found) < least:
        raise DataError(f"{place} has images of one class only, {class_names[found[0]]}; two is the least")
    check_printable(place, class_names)


def check_printable(place: object, class_names: Sequence[str]) -> None:
    """Raises DataError if a class's name has a control character."""
    for name in class_names:
        if any(unicodedata.category(letter) in _UNPRINTABLE for letter in name):
            raise DataError(f"{place}: the class name {name!r} has a character that cannot be printed; rename it")


def _check_training(place: object, labels: np.ndarray, class_names: Sequence[str], parts: dict) -> None:
    """Each class that another split has must be in the training split too."""
    counts = {split: np.bincount(labels[part], minlength=len(class_names)) for split, part in parts.items()}
    for split, count in counts.items():
        lacking = np.flatnonzero((count > 0) & (counts["train"] == 0))
        if len(lacking):
            names = few([class_names[label] for label in lacking])
            raise DataError(f"{place}: {split} has classes that the training split lacks: {names}")


def _units(examples: Examples, options: DataOptions) -> tuple[list[str], tuple[str, ...]]:
    """A name for each example, the same for those that stay together; and notes on these.

    Raises:
        UsageError: ``--group`` is no regular expression, matches nothing, or there is a column for that.
    """
    keys, count = [source.key for source in examples.sources], len(examples.labels)
    groups, origin = examples.groups, "the column group"
    if options.group:
        if groups is not None:
            raise UsageError(f"--group={options.group}: {examples.place} has a column group; leave out one of them")
        groups, origin = _matches(examples.place, keys, options.group), f"--group={options.group}"
    if groups is None or options.group == "":
        ignored = ("the column group is not used (--group=)",) if groups is not None else ()
        return keys, ignored
    alone = sum(group is None for group in groups)
    kept = f"{count - alone} images are in {len(set(groups) - {None})} groups ({origin}), none of which is divided"
    return _names_of(examples, groups), (kept + (f"; {alone} are in none and stand alone" if alone else ""),)


def _names_of(examples: Examples, groups: Sequence[str | None]) -> list[str]:
    """The groups' names; of an example in none its key, before which no group's name can be taken for it."""
    return [source.key if group is None else f"\0{group}" for source, group in zip(examples.sources, groups)]


def _matches(place: object, keys: list[str], pattern: str) -> list[str | None]:
    """What a regular expression finds in each key: its first group, or all of it; None where that is nothing."""
    try:
        compiled = re.compile(unicodedata.normalize("NFC", pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"--group={pattern} is no regular expression: {error}") from None
    found = [compiled.search(key) for key in keys]
    groups = [(match[1] if compiled.groups else match[0]) or None if match else None for match in found]
    if not any(groups):
        raise UsageError(
            f"--group={pattern} matches none of the {len(keys)} images' paths in {place}, such as {keys[0]}"
        )
    return groups


def _apart(examples: Examples, parts: dict[str, np.ndarray], units: list[str], by: str) -> tuple[str, ...]:
    """A note on groups that are divided `by` something, if there are any."""
    where: dict[str, set] = {}
    for split, part in parts.items():
        for index in part:
            if units[index].startswith("\0"):
                where.setdefault(units[index][1:], set()).add(split)
    divided = {name: found for name, found in where.items() if len(found) > 1}
    if not divided:
        return ()
    first = min(divided)
    listed = " and ".join(split for split in SPLITS if split in divided[first])
    are = "group is" if len(divided) == 1 else "groups are"
    return (f"{len(divided)} {are} divided by {by}, such as {first} in {listed}",)


def _drawn_of_all(
    examples: Examples, labels: np.ndarray, units: list[str], options: DataOptions
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Draws all splits: where the data tells the parts of a cross-validation, and --folds is given, as it does.

    Raises:
        UsageError: the data has another number of parts.
    """
    everything = np.arange(len(labels))
    if examples.folds is None:
        return _drawn(examples.place, labels, units, everything, options, tests=True), ()
    names = sorted_names(set(examples.folds))
    if options.folds is None:
        note = f"the column fold, which has {len(names)} parts, is not used; --folds={len(names)} --fold=0 would"
        return _drawn(examples.place, labels, units, everything, options, tests=True), (note,)
    if options.folds != len(names):
        raise UsageError(
            f"--folds={options.folds}: the column fold of {examples.place} has {len(names)} parts ({few(names)}); "
            f"give --folds={len(names)}, or rename the column"
        )
    tests = np.array([fold == names[options.fold] for fold in examples.folds])
    parts = _drawn(examples.place, labels, units, everything[~tests], options, tests=False)
    parts["test"] = everything[tests]
    part = names[options.fold]
    note = f"--fold={options.fold} tests the {len(parts['test'])} examples of which the column fold is {part}"
    return parts, (note, *_apart(examples, parts, units, "the column fold"))


def _drawn(
    place: object, labels: np.ndarray, units: list[str], among: np.ndarray, options: DataOptions, tests: bool
) -> dict[str, np.ndarray]:
    """Split name to the examples drawn, of those in `among`; with `tests`, some of them test."""
    names = [units[index] for index in among]
    together = len(set(names))
    what = "examples" if together == len(names) else "groups of examples"
    asked = tests and (options.folds is not None or options.test_share > 0)
    if tests and options.folds is not None and options.folds > together:
        raise DataError(f"{place} has too few {what} ({together}) to draw some that test in {options.folds} folds")
    test = {"test_share": options.test_share, "folds": options.folds, "fold": options.fold} if tests else {}
    drawn = splits.draw(labels[among], names, options.validation_share, seed=options.split_seed, **test)
    if asked and not len(drawn["test"]):
        raise DataError(f"{place} has too few {what} ({together}) to draw some that test; add more")
    if not len(drawn["validation"]):
        left = len({names[index] for index in drawn["train"]})
        raise DataError(f"{place} has too few {what} to train on ({left}) to draw some that validate; add more")
    return {split: among[part] for split, part in drawn.items() if len(part)}
