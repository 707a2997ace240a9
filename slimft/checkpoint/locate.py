"""Finds the checkpoint a path means, by the files that are there and how they begin and end."""

from __future__ import annotations

import dataclasses
import glob
import os
import pathlib
import re

from slimft.checkpoint import kinds
from slimft.checkpoint.base import reason
from slimft.checkpoint.state_file import newest_checkpoint
from slimft.errors import CheckpointError, DataError
from slimft.files import read_bounded
from slimft.messages import say
from slimft.wire.binary_file import Malformed

_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
# What a checkpoint's prefix, or its one file, is followed by in the names of its files, whole or not.
_END = re.compile(
    rf"(\.index|\.meta|\.data-\d{{5}}-of-\d{{5}})?({'|'.join(map(re.escape, kinds.UNFINISHED))})?", re.IGNORECASE
)
# One of several V1 files, or the pattern by which TensorFlow names all of them.
_V1_SHARD = re.compile(r"(?P<prefix>.*)-(?:\d{5}|\?{5})-of-(?P<count>\d{5}|\?{5})$", re.DOTALL)
# Of ten thousand checkpoints that were all kept it has about as many.
_MOST_STATE_BYTES = 1 << 20
_STATE = "checkpoint"
# Formats of a single file, whose name has to tell that it is a checkpoint for it to be the one of a directory.
_SUFFIXES = (".safetensors", ".h5", ".keras", ".npz")
# What is looked at of a directory without a checkpoint to say what it holds instead.
_MOST_LOOKED_AT = 50
# A pointer of Git LFS, which may stand in the place of a data file, is shorter.
_MOST_POINTER_BYTES = 1024
_FOLDERS = {
    "manifest.ocdbt": "an Orbax checkpoint (JAX)",
    "_CHECKPOINT_METADATA": "an Orbax checkpoint (JAX)",
    "_METADATA": "an Orbax checkpoint (JAX)",
    ".metadata": "a distributed checkpoint of PyTorch",
    "Manifest.json": "a Core ML package",
}
# What lies beside a checkpoint, or among data, and tells nothing.
_SIDE_FILES = ("an image", "a text file", "JSON", "empty", "a graph", "a TFRecord", "the state file")
# What has been said of moved checkpoints: training asks often where its newest one is.
_said: set[str] = set()


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


def _locate_file(path: str, from_state: bool = False) -> Found | None:
    """As `locate`, of what is a file or the prefix of files.

    Args:
        path: the file or prefix.
        from_state: whether a state file names it, which then is not another state file, or itself.
    """
    given = path
    path = path.rsplit(".", 1)[0] if path.endswith((".index", ".meta")) else _DATA.sub("", path)
    file = pathlib.Path(path)
    if os.path.isfile(path + ".index"):
        return _locate_v2(file)
    sharded = _locate_v1_shards(file)
    if sharded:
        return sharded
    if not file.exists() and given != path and os.path.exists(given):
        kind = _identify(pathlib.Path(given))
        if kind is not None and kind.format not in (None, "tensorflow_v1"):
            path, file = given, pathlib.Path(given)  # It is not what its name says.
    if not file.exists():
        _check_link(file)
        _check_incomplete(file)
        return None
    return _locate_single(file, from_state)


def _locate_single(file: pathlib.Path, from_state: bool) -> Found:
    """The checkpoint that a single file is, or leads to."""
    kind = _identify(file)
    name = kind.format if kind is not None else None
    if name == "state" and not from_state:
        found = _locate_named(file.parent, file.name)
        if found is None:
            raise CheckpointError(f"{file} is a state file that names no checkpoint; give the checkpoint itself")
        return found
    if name == "saved_model":
        found = _locate_saved_model(file.parent)
        if found is None:
            raise CheckpointError(f"{file} is a SavedModel's graph; copy its folder variables/ to beside it too")
        return found
    if kind is None and file.suffix.lower() in (".pb", *_SUFFIXES):
        by_suffix = kinds.of_suffix(str(file))
        name = by_suffix.format if by_suffix is not None else None  # Whose reader says what is wrong.
    if name is None or name == "state":
        raise CheckpointError(kinds.explain(str(file), kind))
    return Found(name, str(file), (str(file),) if name == "tensorflow_v1" else ())


def _identify(file: pathlib.Path) -> kinds.Kind | None:
    try:
        return kinds.identify(file)
    except Malformed:
        raise CheckpointError(f"{file} is not a regular file") from None
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {reason(error)}") from None


def _locate_v2(prefix: pathlib.Path) -> Found:
    """The V2 checkpoint whose index is there, if its files look like what they should be."""
    index = prefix.with_name(f"{prefix.name}.index")
    data = [name for name in os.listdir(prefix.parent) if name.startswith(f"{prefix.name}.data-")]
    if not data:
        raise CheckpointError(f"{index} has no {prefix.name}.data-* file beside it; copy that too")
    kind = _identify(index)
    if kind is not None and kind.format != "tensorflow_v1":
        raise CheckpointError(kinds.explain(str(index), kind))
    for name in sorted(data):
        file = prefix.with_name(name)
        if file.is_file() and 0 < file.stat().st_size <= _MOST_POINTER_BYTES:
            kind = _identify(file)
            if kind is not None and kind.name.startswith(("a Git LFS", "a web page")):
                raise CheckpointError(kinds.explain(str(file), kind))
    return Found("tensorflow_v2", str(prefix))


def _check_link(file: pathlib.Path) -> None:
    """Raises CheckpointError if `file` is a link to what is not there."""
    if file.is_symlink():
        target = os.readlink(file)
        what = f"run git annex get {file}" if "annex/objects" in target else "copy what it stands for"
        raise CheckpointError(f"{file} is a link to {target}, which is not there; {what}")


def _check_incomplete(prefix: pathlib.Path) -> None:
    """Raises CheckpointError if some files of the checkpoint at `prefix` are there, or a part of it."""
    if not prefix.parent.is_dir():
        return
    names = sorted(name for name in os.listdir(prefix.parent) if name.startswith(f"{prefix.name}."))
    # But for those that go on otherwise: NAME.ckpt is another checkpoint than NAME.
    there = {end: name for name in names if _END.fullmatch(end := name.removeprefix(prefix.name))}
    data = [end for end in there if _DATA.fullmatch(end)]
    if data:
        raise CheckpointError(
            f"{prefix}.index is missing, without which {there[data[0]]} cannot be read; copy that file too, from "
            "where this one is from"
        )
    unfinished = [name for name in there.values() if kinds.is_unfinished(name)]
    if unfinished:
        raise CheckpointError(
            f"{prefix} is not there, but {unfinished[0]} is, an unfinished download; wait until it is done, or "
            "download it again"
        )
    if ".meta" in there:
        raise CheckpointError(
            f"{prefix}.index and {prefix.name}.data-* are missing: {prefix.name}.meta is the graph only; "
            "copy them too"
        )


def locate_in_directory(directory: pathlib.Path) -> Found:
    """Returns the newest checkpoint in `directory`.

    That is the one its ``checkpoint`` state file names or, where there is none, the only one: TensorFlow's, else
    one of another format. The variables of a SavedModel are a checkpoint too.

    Raises:
        CheckpointError: there is no checkpoint, more than one, or the one named is missing.
    """
    found = _locate_named(directory, _STATE) or _locate_saved_model(directory)
    if found is not None:
        return found
    names = sorted(file.name for file in directory.iterdir())
    shown = [name for name in names if not name.startswith(".")]  # Others are of a system, or not whole yet.
    indices = [name for name in shown if name.endswith(".index") and not (directory / name).is_dir()]
    prefixes = [name.removesuffix(".index") for name in indices]
    prefixes += [name for name in shown if name.endswith(".ckpt") and (directory / name).is_file()]
    if not prefixes:
        prefixes = [name for name in shown if name.endswith(_SUFFIXES) and (directory / name).is_file()]
    if not prefixes:
        instead = _what_instead(directory, names)
        raise CheckpointError(f"there is no checkpoint in the directory {directory}{instead}")
    if len(prefixes) > 1:
        some = ", ".join(prefixes[:5])
        raise CheckpointError(f"{directory} holds {len(prefixes)} checkpoints ({some}); name one of them")
    only = _locate_file(str(directory / prefixes[0]))
    if only is None:
        raise CheckpointError(f"there is no checkpoint in {directory}: {prefixes[0]}.index is no file")
    return only


def _locate_named(directory: pathlib.Path, state: str) -> Found | None:
    """The checkpoint that a state file names; None if it names none."""
    named = latest_in_state(directory, state)
    if named is None:
        return None
    # Not another directory, which could name this one; but a prefix may be the name of one too.
    if os.path.isdir(named) and not os.path.isfile(f"{named}.index"):
        raise CheckpointError(f"{directory}/{state} names {named!r}, which is a directory")
    found = _locate_file(named, from_state=True)
    if found is None:
        raise CheckpointError(f"{directory}/{state} names {named!r}, which is not there")
    return found


def _locate_saved_model(directory: pathlib.Path) -> Found | None:
    """The variables of the SavedModel, or TF-Hub module, in `directory`; None if it is none."""
    prefix = directory / "variables" / "variables"
    return _locate_v2(prefix) if os.path.isfile(f"{prefix}.index") else None


def _what_instead(directory: pathlib.Path, names: list[str]) -> str:
    """What a directory without a checkpoint holds, and what to do."""
    for name, what in _FOLDERS.items():
        if name in names:
            return f": it is {what}; read it there and save its arrays with numpy.savez, each by its name"
    for name in names[:_MOST_LOOKED_AT]:
        inner = directory / name
        if not name.startswith(".") and inner.is_dir():
            try:
                locate_in_directory(inner)
            except (CheckpointError, OSError):
                continue
            return f", but there is one in {inner}"
    others = [directory / name for name in names[:_MOST_LOOKED_AT] if (directory / name).is_file()]
    for file in others:
        kind = _identify(file)
        if kind is not None and kind.format not in (None, "state"):
            return f", but {file.name} may be one; name it"
    for file in others:
        kind = _identify(file)
        if kind is not None and not kind.name.startswith(_SIDE_FILES):
            return f": {kinds.explain(file.name, kind)}"
    return ""


def latest_in_state(directory: pathlib.Path, state: str = _STATE) -> str | None:
    """Returns the prefix that `directory`'s ``checkpoint`` state file calls the newest, or None.

    A relative path in the state file counts from the directory, as in `tf.train.latest_checkpoint`. Where what it
    names is not there, as after a directory was moved, but the same name beside the state file is, that is taken
    and said.

    Raises:
        CheckpointError: the state file cannot be read, or names what cannot be.
    """
    file = directory / state
    if not file.is_file():
        return None
    try:
        newest = newest_checkpoint(read_bounded(file, _MOST_STATE_BYTES))
    except DataError as error:
        raise CheckpointError(str(error)) from None
    if newest is None:
        return None
    named = str(directory / newest)
    try:
        return named if _is_there(named) else _moved(directory, newest, file) or named
    except OSError as error:  # No file can have that name.
        raise CheckpointError(f"{file} names a checkpoint that cannot be read: {error.strerror}") from None


def _moved(directory: pathlib.Path, path: str, state: pathlib.Path) -> str | None:
    """What in `directory` has the name that `path`, of this system or of Windows, ends in."""
    name = re.split(r"[\\/]", path)[-1]
    beside = str(directory / name)
    if name in ("", ".", "..", _STATE) or not _is_there(beside):
        return None
    said = f"note: {state} names {path}, which is not there; {beside} is taken"
    if said not in _said:
        _said.add(said)
        say(said)
    return beside


def _is_there(prefix: str) -> bool:
    """Whether there is a file or a checkpoint of that name, whole or not."""
    if os.path.isfile(f"{prefix}.index") or os.path.lexists(prefix):
        return True
    try:
        return _locate_v1_shards(pathlib.Path(prefix)) is not None
    except CheckpointError:  # Some of its files are there.
        return True


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
    count = names[0][-len("00000") :]
    if not int(count):
        raise CheckpointError(f"{file.parent / names[0]} is said to be one of no files; rename it")
    expected = [f"{prefix}-{shard:05d}-of-{count}" for shard in range(int(count))]
    if len({name[-len(count) :] for name in names}) > 1:
        raise CheckpointError(f"{file} has files of several checkpoints ({names[0]}, {names[-1]}); name one")
    missing = [name for name in expected if name not in names]
    if missing:
        raise CheckpointError(f"{file}: {missing[0]} is missing beside {names[0]}; copy that too")
    pattern = file.parent / f"{prefix}-?????-of-{count}"
    return Found("tensorflow_v1", str(pattern), tuple(str(file.parent / name) for name in expected))


def files_at(path: str) -> list[str]:
    """The files that there are of the checkpoint at `path`: a file, shards of a V1 checkpoint, or a V2 prefix."""
    prefix = glob.escape(path).replace("-" + 5 * "[?]" + "-of-", "-?????-of-")
    return [file for pattern in (prefix, f"{prefix}.index", f"{prefix}.data-*") for file in glob.glob(pattern)]
