"""Datasets of image files: what folders, manifests and TFRecords have in common."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from slimft.data import splits
from slimft.data.dataset import SPLITS, DataOptions, Dataset
from slimft.data.image_files import ImageFiles
from slimft.errors import DataError

# What a split may be called, in small letters.
SPLIT_NAMES = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}

# research/slim's preprocessing for Inception goes down to 5 %, but that is for training from nothing on a million.
_MIN_AREA = 0.5
# Unicode's categories of control characters, and of what is no character.
_UNPRINTABLE = ("Cc", "Cs")


def file_splits(
    name: str,
    place: object,
    sources: Sequence,
    labels: np.ndarray,
    class_names: Sequence[str],
    options: DataOptions,
    split_of: np.ndarray | None = None,
) -> dict[str, Dataset]:
    """Makes the splits of a dataset whose examples are image files.

    Examples without splits, or with nothing but a training split, are split: first the test examples are drawn,
    then from the others those that validate. Where only those that validate are missing, they are drawn from the
    training split. A dataset that has training and validation, but no test split, stays without one.

    Args:
        name: the dataset's name.
        place: the file or folder that it comes from, for messages.
        sources: what `ImageFiles` takes, an item an example; the split depends on their order.
        labels: integers ``[examples]``, each in ``0 .. len(class_names) - 1``.
        class_names: the classes' names, by label.
        options: how to split, and how to read.
        split_of: integers ``[examples]``: the index in `SPLITS` of each example's own split; None where there are
            none.

    Returns:
        Split name to dataset: ``train``, ``validation``, and ``test`` unless there is none.

    Raises:
        DataError: there is one class only, or a class without training examples; there are too few examples.
        UsageError: an option makes no sense for this dataset.
    """
    labels = np.asarray(labels, np.int32)
    _check_classes(place, labels, class_names)
    own = set() if split_of is None else {SPLITS[index] for index in np.unique(split_of)}
    options.check(str(place), own)
    if own <= {"train"}:
        parts = _split_all(place, labels, options)
    else:
        parts = {split: np.flatnonzero(split_of == SPLITS.index(split)) for split in SPLITS if split in own}
        if "train" not in own:
            raise DataError(f"{place} has no training examples, only {' and '.join(parts)}")
        _check_training(place, labels, class_names, parts)
        if "validation" not in own:
            train, validation = _split_off(place, labels, parts["train"], options)
            parts = {"train": train, "validation": validation, "test": parts["test"]}
    images = ImageFiles(sources, cache=options.cache)
    common = {"class_names": tuple(class_names), "image_size": None, "flip": True, "max_shift": 0.0}
    return {
        split: Dataset(name, split, images.select(part), labels[part], **common, min_area=_MIN_AREA)
        for split, part in parts.items()
    }


def _check_classes(place: object, labels: np.ndarray, class_names: Sequence[str]) -> None:
    found = np.unique(labels)
    if not len(found):
        raise DataError(f"{place} holds no examples")
    if len(found) == 1:
        raise DataError(f"{place} has images of one class only, {class_names[found[0]]}; two is the least")
    for name in class_names:
        if any(unicodedata.category(letter) in _UNPRINTABLE for letter in name):
            raise DataError(f"{place}: the class name {name!r} has a character that cannot be printed; rename it")


def _check_training(place: object, labels: np.ndarray, class_names: Sequence[str], parts: dict) -> None:
    """Each class that another split has must be in the training split too."""
    counts = {split: np.bincount(labels[part], minlength=len(class_names)) for split, part in parts.items()}
    for split, count in counts.items():
        lacking = np.flatnonzero((count > 0) & (counts["train"] == 0))
        if len(lacking):
            names = splits.few([class_names[label] for label in lacking])
            raise DataError(f"{place}: {split} has classes that the training split lacks: {names}")


def _split_all(place: object, labels: np.ndarray, options: DataOptions) -> dict[str, np.ndarray]:
    test = np.zeros(0, np.int64)
    if options.folds is not None:
        test = splits.fold(labels, options.folds, options.fold, options.split_seed)
    elif options.test_share:
        test = splits.stratified(labels, options.test_share, options.split_seed)
    if not len(test) and (options.folds is not None or options.test_share):
        raise DataError(f"{place} has too few examples ({len(labels)}) to draw some that test; add more")
    train, validation = _split_off(place, labels, np.setdiff1d(np.arange(len(labels)), test), options)
    parts = {"train": train, "validation": validation, "test": test}
    return {split: part for split, part in parts.items() if len(part)}


def _split_off(place: object, labels: np.ndarray, train: np.ndarray, options: DataOptions):
    """Divides `train` in those that train and those that validate."""
    drawn = splits.stratified(labels[train], options.validation_share, options.split_seed)
    if not len(drawn):
        raise DataError(
            f"{place} has too few examples to train on ({len(train)}) to draw some that validate; add more"
        )
    return np.delete(train, drawn), train[drawn]
