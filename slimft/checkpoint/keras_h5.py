"""Keras weight files (HDF5) as checkpoints."""

from __future__ import annotations

import math

import numpy as np

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.binary_file import Malformed, aligned_buffer
from slimft.checkpoint.dtypes import dtype_of_name, is_float
from slimft.checkpoint.tensor_proto import checked_shape

# Deflate, the usual compression, makes at most 1032 bytes of one.
_MOST_EXPANSION = 1032


class KerasH5Checkpoint(Checkpoint):
    """The datasets of an HDF5 file, by their path in it (``block1/layers/conv2d/vars/0``).

    Args:
        path: the file.

    Attributes:
        layers: the names of Keras' layers by the path of the group with their weights, where the file tells them.

    Raises:
        Malformed: h5py is not installed, or the file is not HDF5.
    """

    format = "keras_h5"

    def __init__(self, path: str):
        try:
            import h5py
        except ImportError:
            raise Malformed("reading HDF5 needs h5py: pip install h5py") from None
        self.path = path
        self._variables = {}
        self.layers: dict[str, str] = {}

        def add(name, item):
            if isinstance(item, h5py.Group):
                # Keras' legacy layout has a group for each layer; Keras 3 numbers them and notes their names.
                layer = item.attrs.get("name") if name.endswith("/vars") else None
                if isinstance(layer, str) or "weight_names" in item.attrs:
                    self.layers[name] = layer or name
            elif isinstance(item, h5py.Dataset) and item.shape is not None:
                # HDF5 has no bfloat16; Keras leaves it to h5py, which writes two bytes of no meaning.
                dtype = dtype_of_name("bfloat16") if item.dtype == np.dtype("V2") else item.dtype
                if dtype.kind in "biufc" or is_float(dtype):
                    self._variables[name] = (checked_shape(item.shape), dtype)

        try:
            self._file = h5py.File(path, "r")
            self._file.visititems(add)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise Malformed(f"it is not a readable HDF5 file: {error}") from None

    def _shapes_and_dtypes(self):
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        shape, dtype = self._variables[name]
        try:
            dataset = self._file[name]
            if dataset.external or dataset.is_virtual:
                raise Malformed("its values lie in other files, whichever its writer chose; they are not read")
            # Chunks that were never written, or compressed ones, could claim any size.
            stored = dataset.id.get_storage_size()
            most = max(stored, 1) * _MOST_EXPANSION
            if dataset.nbytes > most:
                raise Malformed(f"its shape {list(shape)} is more than the {stored} bytes stored")
            if dataset.chunks and math.prod(dataset.chunks) * dtype.itemsize > most:
                raise Malformed(f"its chunks {list(dataset.chunks)} are more than the {stored} bytes stored")
            array = aligned_buffer(dataset.nbytes).view(dtype).reshape(shape)
            if array.size:
                dataset.read_direct(array.view(dataset.dtype))
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise Malformed(str(error)) from None
        return array
