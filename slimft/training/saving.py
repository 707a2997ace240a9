"""Checkpoints of a run: written whole or not at all, the newest few and the best one kept."""

from __future__ import annotations

import json
import os
import pathlib
import shutil

from slimft.checkpoint.locate import latest_in_state, locate
from slimft.compat import tf
from slimft.errors import TrainingError, UsageError
from slimft.files import sync_directory, sync_file, write_atomically

_PARTIAL = ".partial"


class CheckpointKeeper:
    """Saves a run's checkpoints in its directory.

    ``model.ckpt-STEP.*`` are the newest, and the ``checkpoint`` state file names the very newest;
    ``best/`` holds the one with the best validation accuracy, sharing its bytes on the disk. A file gets its
    name only when all of it is on the disk, and the state file names only what is whole: whenever the run is
    killed, the directory holds a checkpoint to resume from.

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
            for leftover in (self.directory / _PARTIAL, self.best_directory / _PARTIAL):
                shutil.rmtree(leftover, ignore_errors=True)
            probe = self.directory / ".writable"
            probe.touch()
            probe.unlink()
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
        partial = self.directory / _PARTIAL
        try:
            partial.mkdir(exist_ok=True)
            saver.save(session, str(partial / name), write_meta_graph=False, write_state=False)
            _move_whole(sorted(partial.glob(f"{name}.*")), self.directory)
            shutil.rmtree(partial)
            _write_state(self.directory, name)
            self._prune(name)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise TrainingError(f"cannot save step {step} in {self.directory}: {_reason(error)}") from None
        return str(self.directory / name)

    def keep_as_best(self, prefix: str, metrics: dict) -> None:
        """Makes the saved checkpoint at `prefix` the one in ``best/``, with its validation metrics.

        Raises:
            TrainingError: it cannot be written.
        """
        source = pathlib.Path(prefix)
        partial = self.best_directory / _PARTIAL
        try:
            partial.mkdir(parents=True, exist_ok=True)
            for file in source.parent.glob(f"{source.name}.*"):
                _link_or_copy(file, partial / file.name)
            _move_whole(sorted(partial.iterdir()), self.best_directory)
            partial.rmdir()
            _write_state(self.best_directory, source.name)
            write_atomically(self.best_directory / "metrics.json", json.dumps(metrics) + "\n")
            _remove_others(self.best_directory, {source.name})
        except OSError as error:
            raise TrainingError(f"cannot write {self.best_directory}: {error.strerror}") from None

    def forget_best(self) -> None:
        """Removes the checkpoint in ``best/``.

        Raises:
            TrainingError: it cannot be removed.
        """
        try:
            (self.best_directory / "checkpoint").unlink(missing_ok=True)
            _remove_others(self.best_directory, set())
        except OSError as error:
            raise TrainingError(f"cannot write {self.best_directory}: {error.strerror}") from None

    def _prune(self, newest: str) -> None:
        steps = sorted(
            (int(file.stem.rsplit("-", 1)[1]), file.stem)
            for file in self.directory.glob("model.ckpt-*.index")
            if file.stem.rsplit("-", 1)[1].isdigit()
        )
        # Later ones are of a run that went on from an older checkpoint.
        steps = [(step, name) for step, name in steps if step <= int(newest.rsplit("-", 1)[1])]
        kept = {newest, *(name for _, name in steps[-self._keep:])} if self._keep > 1 else {newest}
        _remove_others(self.directory, kept)


def _reason(error: OSError | tf.errors.OpError) -> str:
    """What went wrong, such as ``No space left on device``, in one line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    # TensorFlow says it in the line before the one that names the op, behind the name of a temporary file.
    lines = error.message.splitlines()
    said = next((line for line, following in zip(lines, lines[1:]) if "[[{{node" in following), lines[0])
    return said.rpartition("; ")[2]


def _move_whole(files, directory: pathlib.Path) -> None:
    """Renames a V2 checkpoint's files into `directory`, its index last: that makes it one."""
    for file in files:
        sync_file(file)
    for file in sorted(files, key=lambda file: file.suffix == ".index"):
        os.replace(file, directory / file.name)
    sync_directory(directory)


def _write_state(directory: pathlib.Path, name: str) -> None:
    """Writes TensorFlow's ``checkpoint`` state file, with a path relative to it."""
    text = f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
    write_atomically(directory / "checkpoint", text)


def _remove_others(directory: pathlib.Path, kept: set[str]) -> None:
    # The index goes first: data without an index is no checkpoint, an index without data a broken one.
    files = sorted(directory.glob("model.ckpt-*"), key=lambda file: file.suffix != ".index")
    for file in files:
        if file.name.rsplit(".", 1)[0] not in kept:
            file.unlink(missing_ok=True)


def _link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Some file systems have no hard links.
        shutil.copyfile(source, target)
