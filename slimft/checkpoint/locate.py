"""Finds the checkpoint a path means, without TensorFlow."""

from __future__ import annotations

import pathlib
import re

from slimft.errors import CheckpointError

_SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")
_STATE_LINE = re.compile(r'^model_checkpoint_path:\s*"(?P<path>(?:[^"\\]|\\.)*)"\s*$', re.MULTILINE)
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def locate(path: str) -> tuple[str, str] | None:
    """Returns the format and the location of the checkpoint that `path` means, or None.

    The location of a V2 checkpoint is its prefix, of any other its file.

    Raises:
        CheckpointError: `path` exists but is not a checkpoint, or is a directory without one.
    """
    file = pathlib.Path(path)
    if file.is_dir():
        return locate_in_directory(file)
    if path.endswith((".index", ".meta")):
        return locate(path.rsplit(".", 1)[0])
    if _SHARD.search(path):
        return locate(_SHARD.sub("", path))
    if pathlib.Path(path + ".index").is_file():
        if not any(file.parent.glob(file.name.replace("[", "[[]") + ".data-?????-of-?????")):
            raise CheckpointError(f"{path}.index has no {file.name}.data-* file beside it; copy that too")
        return "tensorflow_v2", path
    if not file.is_file():
        return None
    if file.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty; copy or download it again")
    with open(file, "rb") as stream:
        magic = stream.read(len(_HDF5_MAGIC))
    return ("keras_h5" if magic == _HDF5_MAGIC else "tensorflow_v1"), path


def locate_in_directory(directory: pathlib.Path) -> tuple[str, str]:
    """Returns `locate`'s answer for the newest checkpoint in `directory`.

    That is the one its ``checkpoint`` state file names or, where there is none, the only one.

    Raises:
        CheckpointError: there is no checkpoint, more than one, or the one named is missing.
    """
    named = latest_in_state(directory)
    if named is not None:
        found = locate(named)
        if found is None:
            raise CheckpointError(f"{directory}/checkpoint names {named!r}, which is not there")
        return found
    prefixes = sorted(str(index)[: -len(".index")] for index in directory.glob("*.index"))
    prefixes += sorted(str(file) for file in directory.glob("*.ckpt") if file.is_file())
    if not prefixes:
        raise CheckpointError(f"there is no checkpoint in the directory {directory}")
    if len(prefixes) > 1:
        names = ", ".join(pathlib.Path(prefix).name for prefix in prefixes[:5])
        raise CheckpointError(f"{directory} holds {len(prefixes)} checkpoints ({names}); name one of them")
    return locate(prefixes[0])


def latest_in_state(directory: pathlib.Path) -> str | None:
    """Returns the prefix that `directory`'s ``checkpoint`` state file calls the newest, or None.

    A relative path in the state file counts from the directory, as in `tf.train.latest_checkpoint`.
    """
    try:
        text = (directory / "checkpoint").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        raise CheckpointError(f"{directory}/checkpoint cannot be read: {error.strerror}") from None
    match = _STATE_LINE.search(text)
    if not match:
        return None
    named = re.sub(r"\\(.)", r"\1", match["path"])
    return str(directory / named)
