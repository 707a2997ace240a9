"""Checkpoints of several formats behind one immutable mapping. Nothing here imports TensorFlow.

`open_checkpoint` takes a path or a name and returns a `Checkpoint`: variable names to NumPy arrays,
with each variable's shape and dtype known before it is read. `write_checkpoint` writes one.
"""

from __future__ import annotations

import os

from slimft.checkpoint.base import Checkpoint, reason
from slimft.checkpoint.locate import Found, locate
from slimft.checkpoint.write import write_checkpoint
from slimft.errors import CheckpointError
from slimft.local_paths import check_local
from slimft.wire.binary_file import Malformed

__all__ = ["Checkpoint", "open_checkpoint", "write_checkpoint"]


def open_checkpoint(
    path: str | os.PathLike[str] | Checkpoint, *, verify: bool = True, memory_map: bool = True
) -> Checkpoint:
    """Opens a checkpoint without reading its variables.

    Args:
        path: one of
            - a TensorFlow checkpoint, V1 (one file, as TF-Slim's ``vgg_16.ckpt``, or ``NAME-?????-of-?????``)
              or V2 (the prefix, the ``.index`` or a ``.data-?????-of-?????`` file);
            - a directory with a ``checkpoint`` state file, or with exactly one checkpoint in it;
            - a directory of a SavedModel or of a TF-Hub module, whose variables are a checkpoint;
            - a Keras ``.h5`` or ``.keras``, an ``.npz`` or a ``.safetensors`` file, a frozen graph (``.pb``), or a
              dictionary of arrays in a pickle or an ``.npy`` file. What a file is, its content tells;
            - a name: ``hed``, or an official TF-Slim release such as ``vgg_16``, or
              ``hf:OWNER/NAME[@REVISION][:FILE]`` for weights of a Hugging Face repository, which are downloaded
              the first time.
        verify: whether the checksums of TensorFlow's formats are checked as variables are read.
        memory_map: whether large variables of V2 checkpoints are mapped instead of read, where they lie at a
            multiple of 64 bytes in their file (see docs/checkpoints.md for what that means to the file).

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot be read.

    >>> import numpy as np
    >>> write_checkpoint("net.ckpt", {"net/fc8/weights": np.ones([4, 10], np.float32)})
    >>> checkpoint = open_checkpoint("net.ckpt")
    >>> checkpoint.format, list(checkpoint), checkpoint.shape("net/fc8/weights")
    ('tensorflow_v2', ['net/fc8/weights'], (4, 10))
    >>> checkpoint["net/fc8/weights"].sum().item()
    40.0
    """
    if isinstance(path, Checkpoint):
        return path
    check_local(path, error=CheckpointError)
    path = os.path.expanduser(os.fspath(path))
    found = locate(path)
    if found is not None:
        return _open(found, verify, memory_map)
    from slimft.checkpoint import named

    if named.is_named(path):
        return named.open_named(path, verify=verify, memory_map=memory_map)
    raise CheckpointError(f"no checkpoint at {path!r}; {named.where_to_get(path)}")


def _open(found: Found, verify: bool, memory_map: bool) -> Checkpoint:
    kind, path = found.format, found.path
    try:
        if kind == "tensorflow_v1":
            from slimft.checkpoint.tensorflow_v1 import TensorFlowV1Checkpoint

            return TensorFlowV1Checkpoint(path, found.files, verify)
        if kind == "tensorflow_v2":
            from slimft.checkpoint.tensorflow_v2 import TensorFlowV2Checkpoint

            return TensorFlowV2Checkpoint(path, verify, memory_map)
        if kind == "keras_h5":
            from slimft.checkpoint.keras_h5 import KerasH5Checkpoint

            return KerasH5Checkpoint(path)
        if kind == "keras":
            from slimft.checkpoint.keras_zip import KerasZipCheckpoint

            return KerasZipCheckpoint(path)
        if kind in ("npy", "pickle"):
            from slimft.checkpoint.pickled import PickledCheckpoint

            return PickledCheckpoint(path, npy=kind == "npy")
        if kind == "npz":
            from slimft.checkpoint.npz import NpzCheckpoint

            return NpzCheckpoint(path)
        if kind == "safetensors":
            from slimft.checkpoint.safetensors import SafetensorsCheckpoint

            return SafetensorsCheckpoint(path)
        from slimft.checkpoint.frozen_graph import FrozenGraphCheckpoint

        return FrozenGraphCheckpoint(path)
    except (Malformed, OSError) as error:
        raise CheckpointError(f"{path} is not a good checkpoint ({kind}): {reason(error)}") from None
