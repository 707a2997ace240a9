"""The data that is looked at: its splits as bin/finetune has them, or as they are where it would not train."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from slimft.data import WHOLE, DataOptions, load_dataset, load_for_evaluation
from slimft.data.image_files import FileSource, Source, open_source
from slimft.data.images import loaded, opened
from slimft.errors import DataError


@dataclasses.dataclass(frozen=True)
class Data:
    """All pictures of a dataset, one split after the other.

    Attributes:
        splits: split name to dataset.
        refused: why bin/finetune would not train on it; None if it would.
        empty: the folders that ought to have a class's images and have none.
    """

    splits: Mapping[str, Any]
    refused: str | None = None
    empty: tuple[str, ...] = ()

    @property
    def first(self) -> Any:
        """The first split, for what all have in common."""
        return next(iter(self.splits.values()))

    @functools.cached_property
    def names(self) -> list[str]:
        """The splits' names."""
        return list(self.splits)

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([dataset.num_examples for dataset in self.splits.values()])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @functools.cached_property
    def split_of(self) -> np.ndarray:
        """The index in `names` of each picture's split: uint8 ``[pictures]``."""
        return np.repeat(np.arange(len(self.names), dtype=np.uint8), np.diff(self._ends, prepend=0))

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The class of each picture: int32 ``[pictures]``; -1 where pictures have masks."""
        parts = [
            dataset.labels if dataset.task == "classification" else np.full(dataset.num_examples, -1, np.int32)
            for dataset in self.splits.values()
        ]
        return np.concatenate(parts)

    def place(self, index: int) -> tuple[Any, int]:
        """The dataset that a picture is in, and its index there."""
        split = int(self.split_of[index])
        dataset = self.splits[self.names[split]]
        return dataset, index - int(self._ends[split]) + dataset.num_examples

    def name(self, index: int) -> str:
        """What to call a picture: its path, or such as ``test example 12``."""
        dataset, index = self.place(index)
        return dataset.describe(index)

    def key(self, index: int) -> str:
        """The same, without the folder that all files are in."""
        return self.name(index) if self.path(index) is None else self.source(index).key

    def source(self, index: int) -> Source:
        """Where a picture of a file is."""
        dataset, index = self.place(index)
        return dataset.images.source(index)

    def path(self, index: int) -> str | None:
        """A picture's file; None of a record or an array."""
        dataset, index = self.place(index)
        if dataset.in_memory:
            return None
        source = dataset.images.source(index)
        source = getattr(source, "image", source)  # Of a pair.
        return source.path if isinstance(source, FileSource) else None

    def thumbnail(self, index: int, side: int) -> Image.Image | None:
        """A picture whose longer side has `side` pixels at most; None if it cannot be read."""
        dataset, at = self.place(index)
        if dataset.in_memory:
            return Image.fromarray(np.ascontiguousarray(dataset.images[at]))
        source = dataset.images.source(at)
        try:
            with opened(open_source(source), source.name) as (image, stream):
                with loaded(image, stream, side, dataset.grey_bits) as picture:
                    factor = max(1, max(picture.height, picture.width) // side)
                    pixels = picture.region(0, 0, picture.height, picture.width, factor)
                    small = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        except DataError:
            return None
        small.thumbnail((side, side))
        return small


def open_data(name: str, data_dir: str | None, options: DataOptions) -> Data:
    """Finds the pictures; reads none of them.

    Where bin/finetune would not train, such as where a class has no images, the data's own splits are taken.

    Args:
        name: one of `slimft.data.dataset_names`.
        data_dir: as of `slimft.data.load_dataset`.
        options: how to split, and how to read.

    Raises:
        UsageError: there is no such dataset, or an option makes no sense for it.
        DataError: there are no pictures.
    """
    try:
        return Data(load_dataset(name, data_dir, options))
    except DataError as error:
        refused = str(error)
    try:
        splits = load_for_evaluation(name, data_dir, options)
    except DataError:
        raise DataError(refused) from None
    return Data(splits, refused, _empty(name, data_dir))


def has_own_splits(name: str, data_dir: str | None, options: DataOptions) -> bool:
    """Whether data has a split to validate or test on, which are not drawn then; raises what `open_data` does."""
    return WHOLE not in load_for_evaluation(name, data_dir, options)


def _empty(name: str, data_dir: str | None) -> tuple[str, ...]:
    if name != "image_folder" or data_dir is None:
        return ()
    from slimft.data.image_folder import folders_without_images

    return tuple(folders_without_images(data_dir))
