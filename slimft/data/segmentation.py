"""Datasets of images with masks, which say of each pixel what class it is of."""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from slimft.data.dataset import DataOptions
from slimft.data.image_files import ImageFiles
from slimft.data.masks import VOID
from slimft.data.pair_files import NO_CLASS, Masks, PairFiles, read_seen, seen_size
from slimft.data.splits import few
from slimft.data.threads import in_threads, parts_of
from slimft.errors import DataError

# Pixels of a batch that is evaluated, at most; of an image that is larger, it has one.
EVALUATED_PIXELS = 1 << 21


@dataclasses.dataclass(frozen=True)
class SegmentationDataset:
    """One split of a dataset of images and masks. As `slimft.data.Dataset`, in so far as both have it.

    Attributes:
        name: the dataset's name.
        split: ``train``, ``validation`` or ``test``; ``all`` for data without splits that is evaluated.
        images: the image files with their masks.
        masks: these masks alone, with the numbers of `class_names`.
        class_names: the classes' names, by number.
        longest_side: an image whose longer side is longer, in pixels, is scaled down to that, before a network sees
            it; in training its mask too.
        notes: what the user is to be told of the data, the same for all its splits, a line each.
        drawn_from: how many images there were of which these were drawn; None where they are all.
    """

    name: str
    split: str
    images: PairFiles
    masks: Masks
    class_names: tuple[str, ...]
    longest_side: int = DataOptions.longest_side
    notes: tuple[str, ...] = ()
    drawn_from: int | None = None

    task: ClassVar[str] = "segmentation"
    in_memory: ClassVar[bool] = False
    image_size: ClassVar[int | None] = None
    flip: ClassVar[bool] = True

    def __post_init__(self):
        if not len(self.images):
            raise DataError(f"{self.name} {self.split} holds no images")
        if not self.masks.pixels.any():
            raise DataError(f"{self.name} {self.split}: all pixels of its masks are void ({VOID})")

    def __repr__(self) -> str:
        images = f"{self.num_examples:,} images with masks of {self.num_classes} classes"
        return f"<SegmentationDataset {self.name} {self.split}: {images}>"

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_examples(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> np.ndarray:
        """Pixels of each class: int64 ``[num_classes]``."""
        return self.masks.pixels.sum(axis=0)

    @property
    def grey_bits(self) -> int | None:
        """How many bits 16-bit grey images use that do not tell; None where there are no such."""
        return self.images.grey_bits

    @functools.cached_property
    def _canvas(self) -> tuple[int, int]:
        """The largest height and width of all images as a network sees them."""
        height, width = seen_size(self.masks.sizes, self.longest_side).max(axis=0).tolist()
        return height, width

    def image_shape(self, side: int) -> tuple[int, int, int]:
        """The shape of training images: of the largest height and width of all of them, whatever `side` is."""
        del side
        return *self._canvas, 3

    def read_batch(
        self, indices: np.ndarray, image_shape: tuple[int | None, int | None, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads images and masks.

        Args:
            indices: which; where the size is open, those of one batch of `evaluation_batches`.
            image_shape: what `image_shape` returned: images and masks begin with row and column 0, beyond them is
                grey, and void. Or None for height and width: images as they are seen, masks at their own size.

        Returns:
            uint8 ``[n, height, width, 3]``, RGB; uint8 ``[n, rows, columns]``; and rows and columns of each image
            in the first, int32 ``[n, 2]``.

        Raises:
            DataError: a file cannot be read, or has changed.
        """
        sizes = seen_size(self.masks.sizes[indices], self.longest_side)
        if image_shape[0] is not None:
            images, masks = self._on_canvas(indices, image_shape[:2])
            return images, masks, sizes
        (height, width), canvas = sizes[0].tolist(), self._canvas
        # Only where they are kept a canvas that is larger than the image is no waste.
        images, masks = self._on_canvas(indices, canvas if self.images.keeps(canvas) else (height, width))
        images, masks = images[:, :height, :width], masks[:, :height, :width]
        if tuple(self.masks.sizes[indices[0]]) != (height, width):
            masks = np.stack(list(in_threads(self.masks.read, indices.tolist())))
        return images, masks, sizes

    def _on_canvas(self, indices: np.ndarray, canvas: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        records = self.images.read(indices, canvas)
        return np.ascontiguousarray(records[..., :3]), self.masks.table[records[..., 3]]

    def picture(self, index: int, longest_side: int) -> np.ndarray:
        """Reads an image, no larger than told: uint8 ``[height, width, 3]``, RGB; raises DataError."""
        return read_seen(self.images.source(index), longest_side, self.grey_bits)

    def evaluation_batches(self, batch_size: int) -> list[np.ndarray]:
        """The images of each batch in which the split is evaluated: of one size each, at most `batch_size`."""
        sizes = self.masks.sizes
        order = np.lexsort((np.arange(len(sizes)), sizes[:, 1], sizes[:, 0]))
        borders = np.flatnonzero((np.diff(sizes[order], axis=0) != 0).any(axis=1)) + 1
        batches: list[np.ndarray] = []
        for group in np.split(order, borders):
            most = max(1, min(batch_size, EVALUATED_PIXELS // int(np.prod(sizes[group[0]]))))
            batches += parts_of(group, most)
        return batches

    def prepare(self, side: int, several_passes: bool) -> str | None:
        """Gets ready to be read, as `ImageFiles.prepare`; `side` means nothing here."""
        del side
        return self.images.prepare(self._canvas, several_passes)

    def class_weights(self, beta: float) -> np.ndarray:
        """What a pixel of each class counts: the median of the classes' frequencies by its own.

        The frequency of a class is its share of the pixels of images that have it (Eigen and Fergus,
        arXiv:1411.4734, section 6.3.2).

        Args:
            beta: of no meaning here.

        Returns:
            float64 ``[num_classes]``: the mean over all pixels is 1; classes without pixels have 0.
        """
        del beta
        pixels = self.masks.pixels
        of_images = pixels.sum(axis=1, keepdims=True) * (pixels > 0)
        counts, weights = pixels.sum(axis=0), np.zeros(self.num_classes)
        some = counts > 0
        frequencies = counts[some] / of_images.sum(axis=0)[some]
        weights[some] = np.median(frequencies) / frequencies
        return weights * (counts.sum() / (counts @ weights))

    def describe(self, index: int) -> str:
        """What to call an example in a message: its path."""
        return self.images.name(index)

    def select(self, indices: np.ndarray) -> SegmentationDataset:
        """The dataset of some of the examples, in the order of `indices`."""
        return dataclasses.replace(self, images=self.images.select(indices), masks=self.masks.select(indices))

    def keys(self) -> list[str]:
        """What each image is known by from run to run: its path below ``--data_dir``."""
        return [self.images.source(index).key for index in range(self.num_examples)]

    def digests(self) -> list[str]:
        """What each image's file holds, as `slimft.data.digest.digest` tells.

        Raises:
            DataError: a file cannot be read.
        """
        return self.images.digests()

    def companions(self) -> list[str]:
        """What each image's mask holds, as `digests` tells of images.

        Raises:
            DataError: a file cannot be read.
        """
        return ImageFiles(self.masks.sources).digests()

    def with_classes(self, class_names: Sequence[str]) -> SegmentationDataset:
        """The same images, with their classes numbered as in `class_names`, which has them and may have more.

        Raises:
            DataError: a mask has another class.
        """
        if tuple(class_names) == self.class_names:
            return self
        theirs = [unicodedata.normalize("NFC", name) for name in class_names]
        ours = [unicodedata.normalize("NFC", name) for name in self.class_names]
        others = [name for name, count in zip(ours, self.counts) if count and theirs.count(name) != 1]
        if others:
            raise DataError(
                f"the data ({self.name} {self.split}) has classes that the run was not trained on, or has twice: "
                f"{few(others)}; see its labels.txt"
            )
        numbers = [theirs.index(name) if count else -1 for name, count in zip(ours, self.counts)]
        if max(numbers) >= NO_CLASS:
            raise DataError(
                f"the run has the class number {max(numbers)}, and {NO_CLASS - 1} is the most of a mask"
            )
        masks = self.masks.renumbered(np.array(numbers), len(theirs))
        return dataclasses.replace(self, masks=masks, class_names=tuple(class_names))
