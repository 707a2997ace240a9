"""What a dataset is, and which there are."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pathlib

import numpy as np

from slimft.errors import DataError, UsageError

SPLITS = ("train", "validation", "test")

# Name to the module of slimft.data whose `load(data_dir)` returns the three splits.
_MODULES = {"cifar10": "cifar10", "digits": "digits"}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One split of an image classification dataset, in memory.

    Attributes:
        name: the dataset's name.
        split: ``train``, ``validation`` or ``test``.
        images: uint8 ``[examples, height, width, 3]``, RGB in 0..255.
        labels: int32 ``[examples]``, each in ``0 .. len(class_names) - 1``.
        class_names: the classes' names, by label.
        image_size: height and width, in pixels, at which a network should see the images unless told
            otherwise: their own size, or the least the networks can do with.
        flip: whether an image's mirror image is as good an example of its class.
        max_shift: share of its height and width by which training may move an image.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    image_size: int
    flip: bool
    max_shift: float

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

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_examples(self) -> int:
        return len(self.labels)


def dataset_names() -> list[str]:
    """The names `load_dataset` knows."""
    return list(_MODULES)


def load_dataset(name: str, data_dir: str | pathlib.Path | None = None) -> dict[str, Dataset]:
    """Loads the splits ``train``, ``validation`` and ``test`` of a dataset.

    Args:
        name: one of `dataset_names`.
        data_dir: where its files are or, where it can be downloaded, shall be; None for its default.

    Raises:
        UsageError: there is no dataset of that name.
        DataError: its files are missing, truncated or corrupt.
    """
    if name not in _MODULES:
        close = difflib.get_close_matches(name, _MODULES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(_MODULES)}"
        raise UsageError(f"--dataset={name}: there is no such dataset; {hint}")
    module = importlib.import_module(f"slimft.data.{_MODULES[name]}")
    return module.load(None if data_dir is None else pathlib.Path(data_dir).expanduser())
