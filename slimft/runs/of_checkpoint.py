"""Which run of bin/finetune a checkpoint is of, by where it lies."""

from __future__ import annotations

import os
import pathlib

from slimft.checkpoint import Checkpoint
from slimft.errors import SlimftError
from slimft.runs.directory import BEST
from slimft.runs.settings_file import SETTINGS_FILE, read_settings


def run_of(checkpoint: Checkpoint | str | os.PathLike) -> pathlib.Path | None:
    """The directory of the run of bin/finetune that a checkpoint lies in, itself or in its ``best``.

    Args:
        checkpoint: a `Checkpoint`, also one that shows another's averages; or the path of a file of one, of a state
            file or of a directory, or a prefix.

    Returns:
        The directory, by the path's own way to it where there is one: links are followed, and what a link leads to
        goes before where the link is. None if no such directory has a ``settings.json`` of a run, or nothing is
        at that path.
    """
    path = os.path.expanduser(checkpoint.path if isinstance(checkpoint, Checkpoint) else os.fspath(checkpoint))
    file = file_of(path)
    if file is None:
        return None
    is_folder = os.path.isdir(file)
    here, there = pathlib.Path(file), pathlib.Path(os.path.realpath(file))
    ours = run_folders(here if is_folder else here.parent)
    for folder in run_folders(there if is_folder else there.parent):
        if is_run(folder):
            return next((own for own in ours if own.exists() and os.path.samefile(own, folder)), folder)
    return next(filter(is_run, ours), None)


def file_of(path: str) -> str | None:
    """A file, or the directory, that is there of a path or prefix."""
    folder, name = os.path.split(path.replace("-?????-of-", "-00000-of-"))
    for candidate in (os.path.join(folder, name), f"{path}.index"):
        if os.path.lexists(candidate):
            return candidate
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        return None
    found = (other for other in names if name and other.startswith((f"{name}.", f"{name}-")))
    return next((os.path.join(folder, other) for other in found), None)


def run_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Where the settings of a checkpoint in `folder` may be."""
    if os.path.basename(os.path.abspath(folder)) != BEST:
        return [folder]
    return [folder, folder.parent if folder.name == BEST else folder / ".."]


def is_run(folder: pathlib.Path) -> bool:
    """Whether `folder` has a ``settings.json`` of a run; a damaged one counts, so that it is not passed over."""
    file = folder / SETTINGS_FILE
    if not file.is_file():
        return False
    try:
        return "model" in read_settings(file)
    except SlimftError:
        return True
