"""Checkpoints of several formats behind one immutable mapping.

`open_checkpoint` takes a path or a name and returns a `Checkpoint`: variable names to NumPy arrays,
with each variable's shape and dtype known before it is read.
"""

import os

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.locate import locate
from slimft.checkpoint.named import NAMED, open_named, where_to_get
from slimft.errors import CheckpointError

__all__ = ["Checkpoint", "open_checkpoint"]


def open_checkpoint(path) -> Checkpoint:
    """Opens a checkpoint without reading its variables.

    Args:
        path: one of
            - a TensorFlow checkpoint, V1 (one file, as TF-Slim's ``vgg_16.ckpt``) or V2 (the prefix,
              the ``.index`` or a ``.data-?????-of-?????`` file);
            - a directory with a ``checkpoint`` state file, or with exactly one checkpoint in it;
            - a Keras ``.h5`` file;
            - a name: ``hed``, or an official TF-Slim release such as ``vgg_16`` whose file lies in
              the project's ``checkpoints/``.

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot be read.
    """
    if isinstance(path, Checkpoint):
        return path
    path = os.path.expanduser(str(path))
    found = locate(path)
    if found is None and path in NAMED:
        return open_named(path)
    if found is None:
        raise CheckpointError(f"no checkpoint at {path!r}; {where_to_get(path)}")
    kind, location = found
    if kind == "keras_h5":
        from slimft.checkpoint.keras_h5 import KerasH5Checkpoint

        return KerasH5Checkpoint(location)
    from slimft.checkpoint.tensorflow_reader import TensorFlowCheckpoint

    return TensorFlowCheckpoint(location, format=kind)
