"""Checkpoints of a run: written whole or not at all, the newest few and the best one kept."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil

from slimft.checkpoint.bundle_files import data_files, index_file, move_checkpoint
from slimft.checkpoint.locate import latest_in_state, locate
from slimft.compat import tf
from slimft.errors import TrainingError, UsageError
from slimft.files import (
    clear_leftovers,
    exchange,
    link_or_copy,
    sync_directory,
    temporary_directory,
    write_atomically,
)
from slimft.wire.binary_file import Malformed

_STATE, _METRICS = "checkpoint", "metrics.json"
# What a killed run of an earlier version has left half written.
_EARLIER_LEFTOVER = re.compile(r"\.partial|\.(checkpoint|metrics\.json|history\.json|settings\.json)-[a-z0-9_]{8}")


class CheckpointKeeper:
    """Saves a run's checkpoints in its directory.

    ``model.ckpt-STEP.*`` are the newest, and the ``checkpoint`` state file names the very newest;
    ``best/`` holds the best one in validation, sharing its bytes on the disk, and its metrics. A file gets its name
    only when all of it is on the disk, the state file names only what is whole, and ``best/`` is replaced at once:
    whenever the run is killed, there is a checkpoint to resume from, and a best one with its metrics.

    Args:
        train_dir: the run's directory, which need not exist yet.
        keep: how many of the newest to keep, 1 or more.
    """

    def __init__(self, train_dir: str, keep: int):
        self.directory = pathlib.Path(train_dir)
        self.best_directory = self.directory / "best"
        self._keep = keep

    def create_directory(self) -> None:
        """Creates the directory if need be, and clears away what a killed run left half written.

        Raises:
            UsageError: the directory cannot be created or written.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for directory in (self.directory, self.best_directory):
                clear_leftovers(directory)
                _clear_earlier_leftovers(directory)
            with temporary_directory(self.directory):
                pass  # It can be written.
        except OSError as error:
            raise UsageError(f"--train_dir={self.directory} cannot be written: {error.strerror}") from None

    def latest(self) -> str | None:
        """The prefix of the newest whole checkpoint, or None."""
        prefix = latest_in_state(self.directory)
        return prefix if prefix and locate(prefix) else None

    def best(self) -> str | None:
        """The prefix of the checkpoint in ``best/``, or None."""
        prefix = latest_in_state(self.best_directory)
        return prefix if prefix and locate(prefix) else None

    def best_step(self) -> int | None:
        """The step of the checkpoint in ``best/``; None where there is none."""
        prefix = self.best()
        return int(prefix.rsplit("-", 1)[1]) if prefix else None

    def save(self, session: tf.Session, saver: tf.train.Saver, step: int) -> str:
        """Saves all variables as the checkpoint of `step` and returns its prefix.

        Raises:
            TrainingError: it cannot be written, for example because the disk is full; the checkpoints there
                are stay.
        """
        name = f"model.ckpt-{step}"
        try:
            with temporary_directory(self.directory) as partial:
                saver.save(session, str(partial / name), write_meta_graph=False, write_state=False)
                move_checkpoint(partial / name, self.directory / name)
            _write_state(self.directory, name)
            self._prune(name)
        except (OSError, Malformed, tf.errors.OpError) as error:
            raise TrainingError(f"cannot save step {step} in {self.directory}: {_reason(error)}") from None
        return str(self.directory / name)

    def keep_as_best(self, prefix: str, metrics: dict) -> None:
        """Makes the saved checkpoint at `prefix` the one in ``best/``, with its validation metrics.

        Raises:
            TrainingError: it cannot be written; what was in ``best/`` is still there then.
        """
        source = pathlib.Path(prefix)
        try:
            with temporary_directory(self.directory) as partial:
                new = partial / self.best_directory.name
                new.mkdir(mode=0o755)
                for file in (index_file(source), *data_files(source).values()):
                    link_or_copy(file, new / file.name)
                write_atomically(new / _METRICS, json.dumps(metrics) + "\n")
                _write_state(new, source.name)
                if not self._replace_best(new):
                    self._rename_into_best(new)
        except (OSError, Malformed) as error:
            raise TrainingError(f"cannot write {self.best_directory}: {_reason(error)}") from None

    def _replace_best(self, new: pathlib.Path) -> bool:
        """Puts the directory `new` in the place of ``best/``, if that can be done at once and nothing is lost."""
        try:
            there = os.listdir(self.best_directory)
        except FileNotFoundError:
            there = []
        if not there:
            os.rename(new, self.best_directory)  # Over an empty directory, if there is one.
        elif not all(map(_is_of_best, there)) or not exchange(new, self.best_directory):
            return False
        sync_directory(self.directory)
        return True

    def _rename_into_best(self, new: pathlib.Path) -> None:
        """Does the same file by file; a run that is killed in between does it again, from the metrics on."""
        (name,) = {file.stem for file in new.glob("model.ckpt-*.index")}
        move_checkpoint(new / name, self.best_directory / name)
        for file in (_METRICS, _STATE):
            os.replace(new / file, self.best_directory / file)
            sync_directory(self.best_directory)
        _remove_others(self.best_directory, {name})

    def go_back_to(self, prefix: str) -> None:
        """Makes the checkpoint at `prefix` the newest; removes what was saved after it, and the best if it was.

        Raises:
            TrainingError: the directory cannot be written.
        """
        name, step, best = os.path.basename(prefix), _step_of(os.path.basename(prefix)), self.best_step()
        try:
            _write_state(self.directory, name)
            later = {other for other in self._saved() if _step_of(other) > step}
            _remove_others(self.directory, set(self._saved()) - later)
            if best is not None and best > step:
                (self.best_directory / _STATE).unlink(missing_ok=True)
                _remove_others(self.best_directory, set())
        except OSError as error:
            raise TrainingError(f"cannot write {self.directory}: {error.strerror}") from None

    def _saved(self) -> list[str]:
        """The names of the checkpoints in the directory, the oldest first."""
        names = [file.stem for file in self.directory.glob("model.ckpt-*.index")]
        return sorted((name for name in names if name.rsplit("-", 1)[1].isdigit()), key=_step_of)

    def _prune(self, newest: str) -> None:
        kept = {newest, *self._saved()[-self._keep :]} if self._keep > 1 else {newest}
        _remove_others(self.directory, kept)


def _step_of(name: str) -> int:
    return int(name.rsplit("-", 1)[1])


def _reason(error: Exception) -> str:
    """What went wrong, such as ``No space left on device``, in one line."""
    if not isinstance(error, tf.errors.OpError):
        return getattr(error, "strerror", None) or str(error)
    # TensorFlow says it in the line before the one that names the op, behind the name of a temporary file.
    lines = error.message.splitlines()
    said = next((line for line, following in zip(lines, lines[1:]) if "[[{{node" in following), lines[0])
    return said.rpartition("; ")[2]


def _clear_earlier_leftovers(directory: pathlib.Path) -> None:
    for leftover in directory.glob(".*"):
        if _EARLIER_LEFTOVER.fullmatch(leftover.name):
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def _is_of_best(name: str) -> bool:
    """Whether a file in ``best/`` is one that a new best checkpoint replaces."""
    return name in (_STATE, _METRICS) or name.startswith("model.ckpt-")


def _write_state(directory: pathlib.Path, name: str) -> None:
    """Writes TensorFlow's ``checkpoint`` state file, with a path relative to it."""
    text = f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
    write_atomically(directory / _STATE, text)


def _remove_others(directory: pathlib.Path, kept: set[str]) -> None:
    # The index goes first: data without an index is no checkpoint, an index without data a broken one.
    files = sorted(directory.glob("model.ckpt-*"), key=lambda file: file.suffix != ".index")
    for file in files:
        if file.name.rsplit(".", 1)[0] not in kept:
            file.unlink(missing_ok=True)
