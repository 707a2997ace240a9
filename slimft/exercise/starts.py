"""Which of its checkpoints a step starts from: the one that it is about, or the first other that can be had."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence

from slimft.checkpoint import fetch
from slimft.checkpoint.named import is_named, open_hed
from slimft.checkpoint.official import checkpoint_directory, find_release
from slimft.errors import CheckpointError
from slimft.exercise.steps import Start
from slimft.messages import say


class Starts:
    """Finds starts, and asks for each checkpoint once.

    Args:
        fetches: whether official checkpoints that are not there are downloaded.
        is_done: whether the run of another step, with a seed, is there to start from.
    """

    def __init__(self, fetches: bool, is_done: Callable[[Start, int], bool]):
        self._fetches, self._is_done = fetches, is_done
        self._asked: dict[str, str | None] = {}

    def choose(self, starts: Sequence[Start | None], seed: int, downloads: bool) -> tuple[Start | None, str]:
        """What a run starts from, and why there is none; (None, "") for one that starts from nothing.

        Args:
            starts: what it can start from, the best first; None for nothing.
            seed: that of the run.
            downloads: whether to download now; else what would have to be downloaded counts as had, if it may be.
        """
        missing = []
        for start in starts:
            why = None if start is None else self._why_not(start, seed, downloads)
            if why is None:
                return start, ""
            missing.append(why)
        return None, "; ".join(dict.fromkeys(missing))

    def _why_not(self, start: Start, seed: int, downloads: bool) -> str | None:
        """Why a start cannot be had; None if it can."""
        if start.step is not None:
            return None if self._is_done(start, seed) else f"needs the run of {start.step}, with its checkpoint"
        name = start.checkpoint
        if name == "hed":
            return self._once(name, open_hed)
        if not is_named(name):
            file = _converted(name)
            there = file.is_file() or file.with_name(f"{file.name}.index").is_file()
            return None if there else f"needs {file.name} in --checkpoint_dir, which bin/convert_checkpoint writes"
        if find_release(name).is_in(checkpoint_directory()):
            return None
        needs = f"needs the official checkpoint {name}"
        if not self._fetches:
            return needs
        if not downloads:
            return self._asked.get(name)
        if self._once(name, lambda: fetch.fetch(name)) is None:
            return None
        say("no other checkpoint is downloaded now; the same command tries again")
        self._fetches = False
        return needs

    def _once(self, name: str, get: Callable[[], object]) -> str | None:
        """Tries to get a checkpoint, unless that was tried before; says why it cannot be had."""
        if name not in self._asked:
            self._asked[name] = None
            try:
                get()
            except CheckpointError as error:
                say(f"{name} cannot be had: {error}")
                self._asked[name] = str(error)
        return self._asked[name]


def _converted(name: str) -> pathlib.Path:
    """Where a checkpoint is looked for that has no official release."""
    return checkpoint_directory() / f"{name}.ckpt"


def checkpoint_of(start: Start, folder: pathlib.Path | None) -> str:
    """What ``--checkpoint`` is told of a start that is no step's run: its path where a flag names the folder."""
    name = start.checkpoint
    if name == "hed":
        return name
    if not is_named(name):
        return str(_converted(name))
    release = find_release(name)
    return str(folder / release.file) if folder and release.is_in(folder) else name


def use_directory(folder: str | None) -> pathlib.Path | None:
    """Has official checkpoints looked for, and fetched into, `folder`, here and in the processes of steps."""
    if folder is None:
        return None
    place = pathlib.Path(folder).expanduser().resolve()
    if not place.is_dir():
        say(f"--checkpoint_dir={folder} is not there yet; what is fetched goes there")
    os.environ["SLIMFT_CHECKPOINTS"] = str(place)
    return place
