"""What a dataset is, and which there are."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
import pathlib
import unicodedata
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from slimft.data.fingerprint import digests
from slimft.data.splits import few, subset
from slimft.data.tf_example import IMAGE_KEY, LABEL_KEY
from slimft.errors import DataError, UsageError

if TYPE_CHECKING:
    from slimft.data.image_files import ImageFiles

SPLITS = ("train", "validation", "test")
# What data without splits is called as a whole, when it is evaluated.
WHOLE = "all"

# Name to the module of slimft.data whose `load(data_dir, options)` returns splits that never change.
_FIXED = {"cifar10": "cifar10", "digits": "digits"}
# And to that whose `find(data_dir, options, class_names)` returns the examples of `slimft.data.file_dataset`.
_FILES = {"image_folder": "image_folder", "csv": "csv_manifest", "tfrecord": "tfrecord"}
_MODULES = {**_FIXED, **_FILES}
# Options of TFRecords alone.
_OF_RECORDS = ("labels_offset", "image_key", "label_key")
# What says how data is read, not how it is split.
OF_READING = ("cache", "grey_bits", *_OF_RECORDS)
# Datasets of research/slim's dataset_factory.py.
_SLIMS = ("flowers", "imagenet", "mnist", "visualwakewords")


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How a dataset without splits of its own is split, and read; `slimft.training.Settings` has the same fields.

    Attributes:
        validation_share: share of the training examples that validates where the data has no such split.
        test_share: share of all examples that tests where the data has no splits at all.
        split_seed: decides which examples these are.
        folds: into how many parts to split the data, one of which tests; None for `test_share`.
        fold: the part that tests, below `folds`.
        group: a regular expression, searched in an image's path: images with the same match (of its first group, if
            it has one) stay in one split. Empty to draw single images though a manifest names groups; None for
            neither.
        train_examples: how many examples of the training split to use, of each class its share; None for all.
        cache: whether decoded images are kept on the disk: ``auto``, ``on`` or ``off``.
        grey_bits: how many bits 16-bit grey images use that do not tell; None for what the brightest of all needs.
        labels_offset: of TFRecords, what to take off from labels that are numbers.
        image_key: of TFRecords, the feature with the encoded image.
        label_key: of TFRecords, the feature with the label.
    """

    validation_share: float = 0.1
    test_share: float = 0.2
    split_seed: int = 0
    folds: int | None = None
    fold: int = 0
    group: str | None = None
    train_examples: int | None = None
    cache: str = "auto"
    grey_bits: int | None = None
    labels_offset: int = 0
    image_key: str = IMAGE_KEY
    label_key: str = LABEL_KEY

    def check(self, what: str, own: Collection[str]) -> None:
        """Raises UsageError if they contradict each other, or are about splits that a dataset has already.

        Args:
            what: the dataset, for the message.
            own: the splits it has; one with nothing but ``train`` is split.
        """
        is_split = set(own) - {"train"}
        for name in ("folds", "test_share") if is_split else ():
            if getattr(self, name) != getattr(DataOptions, name):
                has = ", ".join(split for split in SPLITS if split in own)
                raise UsageError(f"--{name}={getattr(self, name):g}: {what} has splits of its own ({has})")
        if "validation" in own and self.group:
            has = ", ".join(split for split in SPLITS if split in own)
            raise UsageError(f"--group={self.group}: {what} has splits of its own ({has})")
        if "validation" in own and self.validation_share != DataOptions.validation_share:
            raise UsageError(f"--validation_share={self.validation_share:g}: {what} has a validation split")
        if "validation" not in own and not 0 < self.validation_share < 1:
            raise UsageError(f"--validation_share={self.validation_share:g}: it has to be above 0 and below 1")
        if not 0 <= self.test_share < 1:
            raise UsageError(f"--test_share={self.test_share:g}: it has to be 0 or more and below 1")
        if self.folds is None:
            if self.fold:
                raise UsageError(f"--fold={self.fold} needs --folds")
            return
        if self.folds < 2:
            raise UsageError(f"--folds={self.folds}: two is the least")
        if not 0 <= self.fold < self.folds:
            raise UsageError(f"--fold={self.fold}: with --folds={self.folds} it is 0 to {self.folds - 1}")
        if self.test_share != DataOptions.test_share:
            raise UsageError(f"--test_share={self.test_share:g} and --folds={self.folds}: give one of them")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One split of an image classification dataset.

    Attributes:
        name: the dataset's name.
        split: ``train``, ``validation`` or ``test``; ``all`` for data without splits that is evaluated.
        images: uint8 ``[examples, height, width, 3]``, RGB in 0..255, or image files of any size.
        labels: int32 ``[examples]``, each in ``0 .. len(class_names) - 1``.
        class_names: the classes' names, by label.
        image_size: height and width, in pixels, at which a network should see the images unless told
            otherwise: their own size, or the least the networks can do with; None for the network's own.
        flip: whether an image's mirror image is as good an example of its class.
        max_shift: share of its height and width by which training may move an image.
        min_area: the least share of an image's area that training may crop it to.
        notes: what the user is to be told of the data, the same for all its splits: what was passed over, what
            stays together. A line each.
    """

    name: str
    split: str
    images: np.ndarray | ImageFiles
    labels: np.ndarray
    class_names: tuple[str, ...]
    image_size: int | None
    flip: bool
    max_shift: float
    min_area: float = 1.0
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if len(self.images) != len(self.labels):
            raise DataError(f"{self.name} {self.split}: {len(self.images)} images, {len(self.labels)} labels")
        if not len(self.images):
            raise DataError(f"{self.name} {self.split} holds no examples")
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= self.num_classes))
        if len(wrong):
            raise DataError(
                f"{self.name} {self.split}: example {wrong[0]} has label {self.labels[wrong[0]]}, "
                f"which is not in 0..{self.num_classes - 1}"
            )

    def __repr__(self) -> str:
        size = "x".join(map(str, self.images.shape[1:3])) + " pixels" if self.in_memory else "image files"
        examples = f"{self.num_examples:,} examples of {self.num_classes} classes"
        return f"<Dataset {self.name} {self.split}: {examples}, {size}>"

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_examples(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> np.ndarray:
        """Examples of each class: int64 ``[num_classes]``."""
        return np.bincount(self.labels, minlength=self.num_classes).astype(np.int64)

    @property
    def in_memory(self) -> bool:
        """Whether `images` is an array."""
        return isinstance(self.images, np.ndarray)

    @property
    def grey_bits(self) -> int | None:
        """How many bits 16-bit grey images use that do not tell; None where there are no such."""
        return None if self.in_memory else self.images.grey_bits

    def image_shape(self, side: int) -> tuple[int, int, int]:
        """The shape that `read` gives: that of the array, or ``(side, side, 3)`` of image files."""
        return tuple(self.images.shape[1:]) if self.in_memory else (side, side, 3)

    def read(self, indices: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
        """Reads images.

        Args:
            indices: which: integers ``[n]``, each below `num_examples`.
            image_shape: what `image_shape` returns.

        Returns:
            uint8 ``[n, height, width, 3]``, RGB in 0..255. Of an image file the central square, resized.

        Raises:
            DataError: an image cannot be read; the message names it.
        """
        return self.images[indices] if self.in_memory else self.images.read(indices, image_shape[0])

    def describe(self, index: int) -> str:
        """What to call an example in a message: its path, or such as ``test example 12``."""
        return f"{self.split} example {index}" if self.in_memory else self.images.name(index)

    def select(self, indices: np.ndarray) -> Dataset:
        """The dataset of some of the examples, in the order of `indices`."""
        images = self.images[indices] if self.in_memory else self.images.select(indices)
        return dataclasses.replace(self, images=images, labels=self.labels[indices])

    def keys(self) -> list[str] | None:
        """What each example is known by from run to run, such as its path below `--data_dir`; None of an array."""
        return None if self.in_memory else [self.images.source(index).key for index in range(self.num_examples)]

    def digests(self) -> list[str] | None:
        """What each example's file holds, as `slimft.data.fingerprint.digests` tells; None of an array.

        Raises:
            DataError: a file cannot be read.
        """
        return None if self.in_memory else digests(self.images)

    def with_classes(self, class_names: Sequence[str]) -> Dataset:
        """The same examples, with their classes numbered as in `class_names`, which has them and may have more.

        Raises:
            DataError: an example is of another class, or of one that `class_names` has twice.
        """
        if tuple(class_names) == self.class_names:
            return self
        # A name may come from a file system that takes accents apart.
        theirs = [unicodedata.normalize("NFC", name) for name in class_names]
        there = {label: unicodedata.normalize("NFC", self.class_names[label]) for label in np.unique(self.labels)}
        for wrong, what in (
            ([name for name in there.values() if name not in theirs], "classes that the run was not trained on"),
            ([name for name in there.values() if theirs.count(name) > 1], "classes that the run has twice"),
        ):
            if wrong:
                raise DataError(f"the data ({self.name} {self.split}) has {what}: {few(wrong)}; see its labels.txt")
        number = np.zeros(self.num_classes, np.int32)
        for label, name in there.items():
            number[label] = theirs.index(name)
        return dataclasses.replace(self, labels=number[self.labels], class_names=tuple(class_names))


def dataset_names() -> list[str]:
    """The names `load_dataset` knows."""
    return list(_MODULES)


def never_changes(name: str) -> bool:
    """Whether the dataset of that name is the same wherever it lies, and split the same in every version."""
    return name in _FIXED


def load_dataset(
    name: str, data_dir: str | pathlib.Path | None = None, options: DataOptions | None = None
) -> dict[str, Dataset]:
    """Loads the splits ``train``, ``validation`` and ``test`` of a dataset; no ``test`` where the data has none.

    Args:
        name: one of `dataset_names`.
        data_dir: where its files are or, where it can be downloaded, shall be; None for its default.
        options: how to split it; None for the defaults.

    Raises:
        UsageError: there is no dataset of that name, or an option makes no sense for it.
        DataError: its files are missing, truncated or corrupt.

    >>> splits = load_dataset("digits")
    >>> splits["test"]
    <Dataset digits test: 360 examples of 10 classes, 8x8 pixels>
    >>> splits["test"].images.shape, splits["test"].class_names[:3]
    ((360, 8, 8, 3), ('0', '1', '2'))
    """
    module, folder, options = _module(name), _expanded(data_dir), options or DataOptions()
    _check_reading(name, options)
    if name in _FIXED:
        splits = module.load(folder, options)
    else:
        from slimft.data.file_dataset import file_splits

        splits = file_splits(module.find(folder, options), options)
    if options.train_examples is not None:
        splits["train"] = _some_examples(splits["train"], options)
    return splits


def load_for_evaluation(
    name: str,
    data_dir: str | pathlib.Path | None = None,
    options: DataOptions | None = None,
    class_names: Sequence[str] | None = None,
) -> dict[str, Dataset]:
    """Loads labelled data to evaluate on, which need not have a training split, nor all the classes; draws nothing.

    Args:
        name: one of `dataset_names`.
        data_dir: as in `load_dataset`.
        options: how to read it: nothing of it is about splits but `group`, which says that folders within those of
            the classes are no classes.
        class_names: the classes of the checkpoint. The data's are found among them by name, or by number in
            TFRecords without a ``labels.txt``. None for the data's own.

    Returns:
        Split name to dataset: the splits that the data has itself; or ``all``, where it has none or nothing but
        ``train``.

    Raises:
        UsageError: there is no dataset of that name.
        DataError: its files are missing, truncated or corrupt, or of a class that is not among `class_names`.
    """
    module, folder, options = _module(name), _expanded(data_dir), options or DataOptions()
    _check_reading(name, options)
    if name in _FIXED:
        splits = module.load(folder, DataOptions(cache=options.cache))
    else:
        from slimft.data.file_dataset import splits_to_evaluate

        found = module.find(folder, options, () if class_names is None else class_names)
        splits = splits_to_evaluate(found, options, class_names)
    if class_names is None:
        return splits
    return {split: dataset.with_classes(class_names) for split, dataset in splits.items()}


def _module(name: str):
    if name not in _MODULES:
        close = difflib.get_close_matches(name, _MODULES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(_MODULES)}"
        if name in _SLIMS:
            hint = "--dataset=tfrecord reads the files that slim's download_and_convert_data.py makes of it"
        raise UsageError(f"--dataset={name}: there is no such dataset; {hint}")
    return importlib.import_module(f"slimft.data.{_MODULES[name]}")


def _check_reading(name: str, options: DataOptions) -> None:
    """Raises UsageError if an option is about another kind of data."""
    for option in _OF_RECORDS:
        value = getattr(options, option)
        if name != "tfrecord" and value != getattr(DataOptions, option):
            raise UsageError(f"--{option}={value}: it is for TFRecords only, and this is --dataset={name}")
    if name in _FIXED and options.grey_bits is not None:
        raise UsageError(f"--grey_bits={options.grey_bits}: {name} has no grey images of 16 bits")


def _expanded(data_dir: str | pathlib.Path | None) -> pathlib.Path | None:
    return None if data_dir is None else pathlib.Path(os.path.expanduser(data_dir))


def _some_examples(train: Dataset, options: DataOptions) -> Dataset:
    count, classes = options.train_examples, np.count_nonzero(train.counts)
    if count > train.num_examples:
        raise UsageError(f"--train_examples={count}: {train.name} has only {train.num_examples} to train on")
    if count < classes:
        raise UsageError(f"--train_examples={count}: {train.name} has {classes} classes, and each needs one")
    # The examples of an array never change: there, the number of one is its name.
    names = train.keys() or [str(index) for index in range(train.num_examples)]
    return train.select(subset(train.labels, names, count, options.split_seed))
