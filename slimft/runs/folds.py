"""A cross-validation's directory, read: its folds, each the directory of a run, and what all of them were told."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

from slimft.errors import DataError, UsageError
from slimft.files import write_atomically
from slimft.runs.checked_json import read_json
from slimft.runs.directory import RESULT_FILE
from slimft.runs.settings import OF_THE_DISK, Settings
from slimft.runs.settings_file import FOLDS_FILE, SETTINGS_FILE, parse_settings

# What --fold is for all of them, in turn.
ALL = "all"
# Of a file with the settings of a run.
_MOST_BYTES = 1 << 20
# What may be another in the next call: where things are, and what changes no figure.
_MAY_CHANGE = (*OF_THE_DISK, "data_dir", "num_replicas", "fold")


@dataclasses.dataclass(frozen=True)
class Folds:
    """A cross-validation.

    Attributes:
        path: its directory, wherever that is now.
        settings: what its folds were told, but for the fold.
    """

    path: pathlib.Path
    settings: Settings

    @property
    def number(self) -> int:
        """How many there are."""
        assert self.settings.folds is not None  # `read_folds` and `begin_folds` see to it.
        return self.settings.folds

    @property
    def directories(self) -> list[pathlib.Path]:
        """The directories of the folds' runs, which need not be there."""
        return [self.path / f"fold_{fold}" for fold in range(self.number)]

    def finished(self) -> list[pathlib.Path]:
        """The directories of the folds' runs; raises UsageError where one has not come to its end."""
        done = [folder for folder in self.directories if os.path.lexists(folder / RESULT_FILE)]
        if len(done) < self.number:
            others = f", or name those that have: {','.join(map(str, done))}" if done else ""
            raise UsageError(
                f"--train_dir={self.path} is a cross-validation that has not come to its end: {len(done)} of "
                f"{self.number} folds have a result; repeat its command{others}"
            )
        return done

    def settings_of(self, fold: int) -> Settings:
        """The settings of a fold's run."""
        return dataclasses.replace(self.settings, fold=fold, train_dir=str(self.directories[fold]))


def is_cross_validation(folder: str | os.PathLike) -> bool:
    """Whether a folder is the directory of a cross-validation."""
    return os.path.lexists(pathlib.Path(folder).expanduser() / FOLDS_FILE)


def read_folds(folder: str | os.PathLike) -> Folds:
    """Reads which cross-validation a directory holds.

    Raises:
        DataError: the file that tells cannot be read, or tells no number of folds.
    """
    path = pathlib.Path(folder).expanduser()
    file = path / FOLDS_FILE
    saved = parse_settings(read_json(file, _MOST_BYTES).get("settings"))
    if saved.get("model") is None or saved.get("folds") is None:
        raise DataError(
            f"{file} is no file of a cross-validation: it names no model or no folds; restore or mend it"
        )
    return Folds(path, Settings(**{**saved, "train_dir": str(path)}))


def runs_of(train_dir: str | os.PathLike) -> list[pathlib.Path]:
    """The directories of the runs that a directory stands for: a cross-validation's folds, or a run's own.

    Raises:
        UsageError: a fold has not come to its end.
        DataError: a file cannot be read.
    """
    return read_folds(train_dir).finished() if is_cross_validation(train_dir) else [pathlib.Path(train_dir)]


def begin_folds(settings: Settings) -> Folds:
    """Begins a cross-validation in a directory that is there, or goes on with the one that it holds.

    Args:
        settings: what all folds are told, complete; `folds` is how many there are.

    Raises:
        UsageError: the directory holds a run, or a cross-validation of folds that were told otherwise.
    """
    assert settings.train_dir is not None  # `complete` has filled it in.
    path = pathlib.Path(settings.train_dir)
    folds = Folds(path, dataclasses.replace(settings, fold=0))
    before = read_folds(path) if is_cross_validation(path) else None
    # One that began nothing, as with a flag that was wrong, binds nobody.
    if before is not None and any(map(os.path.lexists, before.directories)):
        _check_alike(before.settings, settings)
    elif os.path.lexists(path / SETTINGS_FILE):
        raise UsageError(f"--train_dir={path} holds a run, and no cross-validation; name another directory")
    told: dict[str, Any] = dataclasses.asdict(folds.settings)
    write_atomically(path / FOLDS_FILE, json.dumps({"settings": told}, indent=2) + "\n")
    return folds


def _check_alike(before: Settings, now: Settings) -> None:
    """Raises UsageError if folds would be trained by other settings than those before them."""
    for field in dataclasses.fields(Settings):
        was, told = getattr(before, field.name), getattr(now, field.name)
        if field.name not in _MAY_CHANGE and was != told:
            raise UsageError(
                f"--train_dir={now.train_dir} holds a cross-validation with --{field.name}={_shown(was)}, not "
                f"{_shown(told)}, and all folds are trained alike; name another directory"
            )


def _shown(value: object) -> object:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value
