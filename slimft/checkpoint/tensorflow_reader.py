"""TensorFlow's V1 and V2 checkpoints, read by TensorFlow's own reader.

TensorFlow is imported when the first checkpoint is opened, not before.
"""

from __future__ import annotations

import numpy as np

from slimft.checkpoint.base import Checkpoint
from slimft.errors import CheckpointError


class TensorFlowCheckpoint(Checkpoint):
    """A TensorFlow checkpoint.

    Args:
        path: the file of a V1 checkpoint or the prefix of a V2 one.
        format: ``tensorflow_v1`` or ``tensorflow_v2``.

    Raises:
        CheckpointError: TensorFlow cannot read it.
    """

    def __init__(self, path: str, format: str):
        from tensorflow.compat import v1 as tf

        self.path = path
        self.format = format
        try:
            self._reader = tf.train.NewCheckpointReader(path)
        except Exception as error:  # TensorFlow maps its statuses to a dozen of Python's types.
            raise CheckpointError(f"{path} is not a checkpoint TensorFlow can read: {_short(error)}") from None
        dtypes = self._reader.get_variable_to_dtype_map()
        self._variables = {
            name: (tuple(shape), np.dtype(dtypes[name].as_numpy_dtype))
            for name, shape in sorted(self._reader.get_variable_to_shape_map().items())
        }

    def _shapes_and_dtypes(self):
        return self._variables

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._variables:
            raise KeyError(name)
        try:
            return np.asarray(self._reader.get_tensor(name))
        except Exception as error:
            raise CheckpointError(f"{self.path}: cannot read {name}: {_short(error)}") from None


def _short(error: Exception) -> str:
    """The first line of TensorFlow's message: the rest is a C++ stack."""
    lines = str(getattr(error, "message", error)).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
