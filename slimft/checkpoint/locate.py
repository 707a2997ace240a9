"""Finds the checkpoint a path means, by the files that are there and how they begin and end."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

from slimft.checkpoint.state_file import newest_checkpoint
from slimft.checkpoint.table import MAGIC as TABLE_MAGIC
from slimft.errors import CheckpointError, DataError
from slimft.files import read_bounded

_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
# One of several V1 files, or the pattern by which TensorFlow names all of them.
_V1_SHARD = re.compile(r"(?P<prefix>.*)-(?:\d{5}|\?{5})-of-(?P<count>\d{5}|\?{5})$", re.DOTALL)
# Of ten thousand checkpoints that were all kept it has about as many.
_MOST_STATE_BYTES = 1 << 20
_MAGIC = {b"\x89HDF\r\n\x1a\n": "keras_h5", b"PK\x03\x04": "npz", b"PK\x05\x06": "npz"}
_SUFFIXES = {".npz": "npz", ".safetensors": "safetensors", ".pb": "frozen_graph", ".h5": "keras_h5"}


@dataclasses.dataclass(frozen=True)
class Found:
    """A checkpoint that was found.

    Attributes:
        format: as `Checkpoint.format`.
        path: the prefix of a V2 checkpoint, the pattern of a V1 checkpoint of several files, else the file.
        files: the files of a V1 checkpoint.
    """

    format: str
    path: str
    files: tuple[str, ...] = ()


def locate(path: str) -> Found | None:
    """Returns the checkpoint that `path` means, or None.

    Raises:
        CheckpointError: `path` exists but is not a checkpoint, is a directory without one, or cannot be a path.
    """
    try:
        return locate_in_directory(pathlib.Path(path)) if os.path.isdir(path) else _locate_file(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None


def _locate_file(path: str) -> Found | None:
    """As `locate`, of what is a file or the prefix of files."""
    path = path.rsplit(".", 1)[0] if path.endswith((".index", ".meta")) else _DATA.sub("", path)
    file = pathlib.Path(path)
    if os.path.isfile(path + ".index"):
        if not any(name.startswith(f"{file.name}.data-") for name in os.listdir(file.parent)):
            raise CheckpointError(f"{path}.index has no {file.name}.data-* file beside it; copy that too")
        return Found("tensorflow_v2", path)
    sharded = _locate_v1_shards(file)
    if sharded:
        return sharded
    if not file.exists():
        return None
    kind = _format_of_file(file)
    return Found(kind, path, (path,) if kind == "tensorflow_v1" else ())


def locate_in_directory(directory: pathlib.Path) -> Found:
    """Returns the newest checkpoint in `directory`.

    That is the one its ``checkpoint`` state file names or, where there is none, the only one.

    Raises:
        CheckpointError: there is no checkpoint, more than one, or the one named is missing.
    """
    named = latest_in_state(directory)
    if named is not None:
        # Not another directory, which could name this one; but a prefix may be the name of one too.
        if os.path.isdir(named) and not os.path.isfile(f"{named}.index"):
            raise CheckpointError(f"{directory}/checkpoint names {named!r}, which is a directory")
        found = _locate_file(named)
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
    return _locate_file(prefixes[0])


def latest_in_state(directory: pathlib.Path) -> str | None:
    """Returns the prefix that `directory`'s ``checkpoint`` state file calls the newest, or None.

    A relative path in the state file counts from the directory, as in `tf.train.latest_checkpoint`.

    Raises:
        CheckpointError: the state file cannot be read.
    """
    state = directory / "checkpoint"
    if not state.is_file():
        return None
    try:
        newest = newest_checkpoint(read_bounded(state, _MOST_STATE_BYTES))
    except DataError as error:
        raise CheckpointError(str(error)) from None
    return None if newest is None else str(directory / newest)


def _locate_v1_shards(file: pathlib.Path) -> Found | None:
    """The V1 checkpoint of several files that `file` is one of, the pattern of, or the prefix of."""
    match = _V1_SHARD.fullmatch(file.name)
    prefix = match["prefix"] if match else file.name
    if not file.parent.is_dir() or (not match and file.exists()):
        return None
    count = match["count"] if match and match["count"].isdigit() else r"\d{5}"
    shards = re.compile(rf"{re.escape(prefix)}-\d{{5}}-of-{count}")
    names = sorted(name for name in os.listdir(file.parent) if shards.fullmatch(name))
    if not names:
        return None
    count = names[0][-len("00000"):]
    if not int(count):
        raise CheckpointError(f"{file.parent / names[0]} is said to be one of no files; rename it")
    expected = [f"{prefix}-{shard:05d}-of-{count}" for shard in range(int(count))]
    if len({name[-len(count):] for name in names}) > 1:
        raise CheckpointError(f"{file} has files of several checkpoints ({names[0]}, {names[-1]}); name one")
    missing = [name for name in expected if name not in names]
    if missing:
        raise CheckpointError(f"{file}: {missing[0]} is missing beside {names[0]}; copy that too")
    pattern = file.parent / f"{prefix}-?????-of-{count}"
    return Found("tensorflow_v1", str(pattern), tuple(str(file.parent / name) for name in expected))


def _format_of_file(file: pathlib.Path) -> str:
    """The format of a single file; raises CheckpointError if it can be none."""
    try:
        if not file.is_file():
            raise CheckpointError(f"{file} is not a regular file")
        size = file.stat().st_size
        with open(file, "rb") as stream:
            head = stream.read(8)
            stream.seek(max(0, size - len(TABLE_MAGIC)))
            tail = stream.read(len(TABLE_MAGIC))
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}") from None
    if not size:
        raise CheckpointError(f"{file} is empty; copy or download it again")
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if tail == TABLE_MAGIC:
        return "tensorflow_v1"
    if file.suffix in _SUFFIXES:
        return _SUFFIXES[file.suffix]
    if _head_is_html(head):
        raise CheckpointError(f"{file} is a web page, not a checkpoint; download the file itself")
    raise CheckpointError(f"{file} is not a checkpoint, or its end is cut off; copy or download it again")


def _head_is_html(head: bytes) -> bool:
    return head.lstrip().lower().startswith((b"<!doctyp", b"<!doc", b"<html"))
