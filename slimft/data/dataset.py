"""What a dataset is, and the options by which one is split and read."""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slimft.data.sampling import class_weights
from slimft.data.splits import few
from slimft.data.tf_example import IMAGE_KEY, LABEL_KEY
from slimft.data.threads import parts_of
from slimft.errors import DataError, UsageError

if TYPE_CHECKING:
    from slimft.data.image_files import ImageFiles

SPLITS = ("train", "validation", "test")
# What data without splits is called as a whole, when it is evaluated.
WHOLE = "all"

# Options of TFRecords alone.
OF_RECORDS = ("labels_offset", "image_key", "label_key")
# Options of image and mask pairs alone.
OF_MASKS = ("longest_side", "train_list")
# What says how data is read, not how it is split.
OF_READING = ("cache", "grey_bits", "longest_side", *OF_RECORDS)


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
        longest_side: of segmentation: an image whose longer side is longer, in pixels, is scaled down to that.
        train_list: of segmentation: the list of ``ImageSets/Segmentation`` to train on.
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
    longest_side: int = 1024
    train_list: str = "train"

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
        groups: int64 ``[examples]``: what belongs together, such as one patient's images, has the same number; None
            where the data does not tell.
        drawn_from: how many examples there were of which these were drawn; None where they are all.
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
    groups: np.ndarray | None = None
    drawn_from: int | None = None

    # The task that its targets are for, of `slimft.tasks`.
    task: ClassVar[str] = "classification"

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

    def read_batch(
        self, indices: np.ndarray, image_shape: tuple[int, int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads a batch: the images, as `read`; their labels; and that each fills the whole, int32 ``[n, 2]``."""
        sizes = np.tile(np.array(image_shape[:2], np.int32), [len(indices), 1])
        return self.read(indices, image_shape), self.labels[indices], sizes

    def evaluation_batches(self, batch_size: int) -> list[np.ndarray]:
        """The examples of each batch in which the split is evaluated: all in order, `batch_size` at a time."""
        return list(parts_of(np.arange(self.num_examples), batch_size))

    def prepare(self, side: int, several_passes: bool) -> str | None:
        """Gets ready to be read at a size of `side`; arguments and result as of `ImageFiles.prepare`."""
        return None if self.in_memory else self.images.prepare(side, several_passes)

    def class_weights(self, beta: float) -> np.ndarray:
        """What an example of each class counts, as of `slimft.data.sampling.class_weights`."""
        return class_weights(self.counts, beta)

    def describe(self, index: int) -> str:
        """What to call an example in a message: its path, or such as ``test example 12``."""
        return f"{self.split} example {index}" if self.in_memory else self.images.name(index)

    def select(self, indices: np.ndarray) -> Dataset:
        """The dataset of some of the examples, in the order of `indices`."""
        images = self.images[indices] if self.in_memory else self.images.select(indices)
        groups = None if self.groups is None else self.groups[indices]
        return dataclasses.replace(self, images=images, labels=self.labels[indices], groups=groups)

    def joined(self, others: Sequence[Dataset]) -> Dataset:
        """The examples of this split and, behind them, of others of the same data, as the split ``all``."""
        parts = (self, *others)
        if self.in_memory:
            images = np.concatenate([part.images for part in parts])
        else:
            images = self.images.joined([part.images for part in others])
        groups = None if self.groups is None else np.concatenate([part.groups for part in parts])
        labels = np.concatenate([part.labels for part in parts])
        return dataclasses.replace(self, split=WHOLE, images=images, labels=labels, groups=groups)

    def keys(self) -> list[str] | None:
        """What each example is known by from run to run, such as its path below `--data_dir`; None of an array."""
        return None if self.in_memory else [self.images.source(index).key for index in range(self.num_examples)]

    def digests(self) -> list[str] | None:
        """What each example's file holds, as `slimft.data.digest.digest` tells; None of an array.

        Raises:
            DataError: a file cannot be read.
        """
        return None if self.in_memory else self.images.digests()

    def companions(self) -> list[str]:
        """The digest of the file that belongs to each image, such as its mask; empty as there are none."""
        return []

    def fingerprint(self, index: int) -> str:
        """What changes when the image of an example does: of a file what it is now, of an array a digest."""
        if not self.in_memory:
            return self.images.fingerprint(index)
        return hashlib.blake2b(np.ascontiguousarray(self.images[index]), digest_size=16).hexdigest()

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
