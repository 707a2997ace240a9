"""Keras weight files (HDF5) as checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from slimft.checkpoint.base import Checkpoint
from slimft.errors import CheckpointError


class KerasH5Checkpoint(Checkpoint):
    """The datasets of an HDF5 file, by their path in it (``block1/layers/conv2d/vars/0``).

    Args:
        path: the file.
        rename: variable name to dataset path: offers just these, under these names; None for all.
        transforms: variable name to a function applied to the array after reading, which keeps its
            shape and dtype.

    Raises:
        CheckpointError: h5py is not installed, or the file is not HDF5 or lacks a renamed dataset.
    """

    format = "keras_h5"

    def __init__(
        self,
        path: str,
        rename: Mapping[str, str] | None = None,
        transforms: Mapping[str, Callable[[np.ndarray], np.ndarray]] | None = None,
    ):
        try:
            import h5py
        except ImportError:
            raise CheckpointError(f"reading {path} needs h5py: pip install h5py") from None
        self.path = path
        self._transforms = dict(transforms or {})
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise CheckpointError(f"{path} is not a readable HDF5 file: {error}") from None
        if rename is None:
            rename = {}
            self._file.visititems(
                lambda name, item: rename.update({name: name}) if isinstance(item, h5py.Dataset) else None
            )
        self._paths = dict(rename)
        self._variables = {}
        for name, where in self._paths.items():
            if not isinstance(self._file.get(where), h5py.Dataset):
                raise CheckpointError(f"{path} has no dataset {where!r} for {name}; is it another file?")
            self._variables[name] = (tuple(self._file[where].shape), self._file[where].dtype)

    def _shapes_and_dtypes(self):
        return self._variables

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            array = self._file[self._paths[name]][()]
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{self.path}: cannot read {name}: {error}") from None
        transform = self._transforms.get(name)
        return array if transform is None else np.ascontiguousarray(transform(array))
