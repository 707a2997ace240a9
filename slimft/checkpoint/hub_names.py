"""Names of checkpoints on the Hugging Face Hub, ``hf:OWNER/NAME[@REVISION][:FILE]``, and which files they mean."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence

from slimft.errors import CheckpointError

PREFIX = "hf:"
# Of an owner and of a repository, as the Hub allows them; of a branch, a tag or a commit, as Git does, and no more.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_NAME = re.compile(
    rf"hf:(?P<repository>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9_][A-Za-z0-9_./+-]{{0,254}}))?(?::(?P<file>.+))?"
)
# Files that are a checkpoint by themselves; .ckpt also with the step that TensorFlow's Savers append.
SUFFIXES = (".safetensors", ".h5", ".keras", ".npz", ".pb", ".ckpt")
_SINGLE = re.compile(rf".*(?:{'|'.join(map(re.escape, SUFFIXES))}|\.ckpt-\d+)", re.DOTALL)
_PART_OF_V2 = re.compile(r"(?P<prefix>.*)\.(?:index|meta|data-\d{5}-of-(?P<count>\d{5}))", re.DOTALL)
_SHARD = re.compile(r".*-\d{5}-of-\d{5}\.safetensors", re.DOTALL)
_PICKLES = (".bin", ".pth", ".pt", ".pkl", ".pickle", ".joblib", ".npy", ".pdparams")
# Graphs beside a SavedModel's variables, which are what is wanted.
_GRAPHS = ("saved_model.pb", "keras_metadata.pb", "fingerprint.pb")
_PREFERRED = "model.safetensors"
_MOST_LISTED = 6
_MOST_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class HubName:
    """A name, taken apart.

    Attributes:
        text: all of it.
        repository: ``OWNER/NAME``.
        revision: a branch, a tag or a commit.
        file: its path in the repository, or the prefix of a V2 checkpoint; None for the only one there is.
    """

    text: str
    repository: str
    revision: str = "main"
    file: str | None = None


def parse(text: str) -> HubName:
    """Takes a name apart.

    Raises:
        CheckpointError: it is none, leads out of a repository, or is that of a file that is never fetched.
    """
    match = _NAME.fullmatch(text)
    if match is None or re.search(r"\.\.|--", match["repository"]) or not _is_path(match["revision"]):
        raise CheckpointError(
            f"{text[:_MOST_SHOWN]!r} is no name of a checkpoint on the Hugging Face Hub: write hf:OWNER/NAME, "
            "hf:OWNER/NAME:FILE or hf:OWNER/NAME@REVISION:FILE, such as hf:timm/vgg16.tv_in1k:model.safetensors"
        )
    name = HubName(text, match["repository"], match["revision"] or "main", match["file"])
    if name.file is not None:
        if not _is_path(name.file):
            raise CheckpointError(f"{text[:_MOST_SHOWN]!r}: {name.file[:_MOST_SHOWN]!r} is no path in a repository")
        _check_kind(name, name.file)
    return name


def _is_path(file: str | None) -> bool:
    """Whether it is a relative path that leads nowhere else; so is none."""
    parts = (file or "file").split("/")
    return "\\" not in "".join(parts) and all(part.isprintable() and part not in ("", ".", "..") for part in parts)


def stands_alone(file: str) -> bool:
    """Whether a file of this name, if there is one, is all of a checkpoint."""
    return file.endswith(tuple(suffix for suffix in SUFFIXES if suffix != ".ckpt"))


class NotChosen(CheckpointError):
    """A name does not say which file of its repository is meant; `why` is the error without the name."""

    def __init__(self, name: HubName, why: str):
        super().__init__(f"{name.text}: {why}")
        self.why = why


def choose(name: HubName, files: Sequence[str]) -> tuple[str, list[str]]:
    """What `name` means in a repository of `files`: the path to open, and the files to fetch, an index last.

    Raises:
        NotChosen: there is no such file, or without a file's name none or several that may be meant.
    """
    files = [file for file in files if _is_path(file)]
    bundles, singles = _checkpoints(files)
    chosen = name.file
    if chosen is None:
        chosen = _only(name, files, [*bundles, *singles])
    elif (match := _PART_OF_V2.fullmatch(chosen)) is not None:
        chosen = match["prefix"]
    if chosen in bundles:
        return chosen, bundles[chosen]
    if chosen in singles or (chosen in files and _SHARD.fullmatch(chosen)):
        return chosen, [chosen]
    if f"{chosen}.index" in files:
        raise NotChosen(name, f"{chosen}.index is there without all of its {chosen}.data-* files")
    if chosen in files:
        kinds = ", ".join(SUFFIXES)
        raise NotChosen(
            name,
            f"only checkpoints are taken from the Hub, {kinds} or the .index and .data-* files of TensorFlow, and "
            f"{chosen} is none by its name",
        )
    close = difflib.get_close_matches(chosen, [*bundles, *singles], n=1)
    has = f"did you mean {close[0]!r}?" if close else _has(name, files, [*bundles, *singles])
    raise NotChosen(name, f"there is no {chosen} in {name.repository} at {name.revision}; {has}")


def _only(name: HubName, files: Sequence[str], candidates: list[str]) -> str:
    if _PREFERRED in candidates:
        return _PREFERRED
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise NotChosen(
            name,
            f"{name.repository} has {len(candidates)} checkpoints ({_listed(candidates)}); name one, as "
            f"{PREFIX}{name.repository}:{candidates[0]}",
        )
    raise NotChosen(name, _has(name, files, candidates))


def _checkpoints(files: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The V2 checkpoints among `files`, each with its files, and the files that are one by themselves."""
    there, bundles = set(files), {}
    for file in files:
        match = _PART_OF_V2.fullmatch(file)
        if match is None or not match["count"] or f"{match['prefix']}.index" not in there:
            continue
        prefix, count = match["prefix"], match["count"]
        data = [f"{prefix}.data-{shard:05d}-of-{count}" for shard in range(min(int(count), len(there) + 1))]
        if data and there.issuperset(data):
            bundles[prefix] = [*data, f"{prefix}.index"]
    singles = [
        file
        for file in files
        if _SINGLE.fullmatch(file) and file.rsplit("/", 1)[-1] not in _GRAPHS and not _SHARD.fullmatch(file)
    ]
    return bundles, singles


def _has(name: HubName, files: Sequence[str], candidates: list[str]) -> str:
    """One clause about what a repository has instead of the checkpoint that is looked for."""
    if candidates:
        return f"it has {_listed(candidates)}"
    shards = [file for file in files if _SHARD.fullmatch(file)]
    if shards:
        return (
            f"{name.repository} has a checkpoint in {len(shards)} shards, which are not read together; each is one "
            f"by its name, as {PREFIX}{name.repository}:{shards[0]}"
        )
    pickles = [file for file in files if file.endswith(_PICKLES)]
    if pickles:
        what = f"{name.repository} has no checkpoint but pickles ({_listed(pickles[:2])})"
        return f"{what}; {_about_pickles(pickles[0])}"
    kinds = ", ".join(SUFFIXES)
    return f"{name.repository} has no checkpoint at {name.revision}: no {kinds} and no TensorFlow .index"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more


def _check_kind(name: HubName, file: str) -> None:
    """Raises CheckpointError if a file of this name is never fetched."""
    if file.endswith(_PICKLES):
        raise CheckpointError(f"{name.text}: {file} is a pickle by its name; {_about_pickles(file)}")
    if file.endswith(".safetensors.index.json"):
        raise CheckpointError(
            f"{name.text}: the shards that {file} lists are not read together; each is one by its name, such as "
            f"{PREFIX}{name.repository}:{file.removesuffix('.safetensors.index.json')}-00001-of-00002.safetensors"
        )


def _about_pickles(file: str) -> str:
    loaded = f"torch.load({file.rsplit('/', 1)[-1]!r}, weights_only=True)"
    return (
        "reading one can run code, so none is taken from the Hub; save it where PyTorch is: "
        f"safetensors.torch.save_file({loaded}, 'weights.safetensors')"
    )
