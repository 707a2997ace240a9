"""Writing checkpoints: which format a path means, and its writer."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from slimft.checkpoint import kinds
from slimft.checkpoint.base import Checkpoint, reason
from slimft.checkpoint.view import ArraysInMemory
from slimft.errors import CheckpointError
from slimft.local_paths import check_local
from slimft.wire.binary_file import Malformed

_V2_FILE = re.compile(r"(\.index|\.meta|\.data-\d{5}-of-\d{5})$")
_MOST_NPZ_NAME_BYTES = 65535 - len(".npy")


def format_to_write(path: str) -> str:
    """The format that `write_checkpoint` gives to `path`: ``npz``, ``safetensors`` or ``tensorflow_v2``.

    Raises:
        CheckpointError: the suffix is that of a format which is not written, or `path` names no file.
    """
    suffix = pathlib.Path(path).suffix.lower()
    prefix = _V2_FILE.sub("", path)
    if prefix != path:
        raise CheckpointError(f"{path} is the name of one file of a V2 checkpoint; write to its prefix, {prefix}")
    if suffix in (".npz", ".safetensors"):
        return suffix[1:]
    kind = kinds.of_suffix(path)
    if kind is not None and not os.path.isdir(path):
        does = "is read, not written" if kind.format else "is not written"
        raise CheckpointError(
            f"{path}: {kind.name} {does}; name an .npz, a .safetensors or the prefix of a V2 checkpoint (.ckpt)"
        )
    if not os.path.basename(path) or os.path.isdir(path):
        raise CheckpointError(f"{path} is a directory; add a name, such as {os.path.join(path, 'model.ckpt')}")
    return "tensorflow_v2"


def files_to_write(path: str) -> list[str]:
    """The files that `write_checkpoint` makes of `path`."""
    if format_to_write(path) == "tensorflow_v2":
        return [f"{path}.data-00000-of-00001", f"{path}.index"]
    return [path]


def write_checkpoint(path: str | os.PathLike, variables: Checkpoint | Mapping[str, np.ndarray]) -> None:
    """Writes a checkpoint, one variable at a time; it gets its name when all of it is on the disk.

    Args:
        path: a file that ends in ``.npz`` or ``.safetensors``, else the prefix of a TensorFlow V2 checkpoint,
            which `tf.train.load_checkpoint` and `tf.train.Saver` read. Not one with another format's suffix.
        variables: what to write.

    Raises:
        CheckpointError: a variable cannot be read, or its dtype is not one of the format; or the files cannot be
            written. What was there is still there then.
    """
    check_local(path, error=CheckpointError)
    path = os.path.expanduser(os.fspath(path))
    if not isinstance(variables, Checkpoint):
        variables = ArraysInMemory(variables)
    kind = format_to_write(path)
    try:
        for name in variables:
            _check_name(name, kind)
        if kind == "npz":
            from slimft.checkpoint.npz import write_npz

            write_npz(path, variables)
        elif kind == "safetensors":
            from slimft.checkpoint.safetensors import write_safetensors

            write_safetensors(path, variables)
        else:
            from slimft.checkpoint.tensorflow_v2_writer import write_tensorflow_v2

            write_tensorflow_v2(path, variables)
    except (Malformed, OSError) as error:
        raise CheckpointError(f"cannot write {path}: {reason(error)}") from None


def _check_name(name: str, kind: str) -> None:
    """Raises Malformed if a variable cannot have this name in a file of the format `kind`."""
    if kind == "tensorflow_v2":
        # The empty key is the index's header; after a zero byte come slices of partitioned variables.
        bad = not name or name.startswith("\0") or not _is_key(name)
    else:
        bad = name != name.encode("utf-8", "replace").decode("utf-8")  # Surrogates: bytes that were no UTF-8.
        # An archive's file names end at a zero byte and have a length of 16 bits.
        bad |= kind == "npz" and ("\0" in name or len(name.encode("utf-8", "replace")) > _MOST_NPZ_NAME_BYTES)
        bad |= kind == "safetensors" and name == "__metadata__"
    if bad:
        raise Malformed(f"{name[:80]!r} cannot be a variable's name in this format; rename or exclude it")


def _is_key(name: str) -> bool:
    """Whether the bytes a name becomes in a table are the name's alone."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == name
    except UnicodeEncodeError:
        return False
