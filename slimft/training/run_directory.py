"""The directory of a run: whatever a run writes there is written here.

Each file is written whole or not at all, and in such an order that a run can be killed at any instant: see
`RunDirectory.save`. `slimft.runs` reads the files. Of several processes the chief writes, and the others have a
`NoDirectory`.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import tempfile
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from slimft.compat import tf
from slimft.data.class_names import write_labels
from slimft.data.fingerprint import Fingerprint
from slimft.errors import TrainingError
from slimft.files import atomic_file, write_atomically, write_table
from slimft.messages import say
from slimft.runs.data_record import write_data_record
from slimft.runs.directory import locked, prefix_of
from slimft.runs.history import History
from slimft.runs.outcomes import OUTCOMES_FILE, Outcomes, write_outcomes
from slimft.runs.result import write_result
from slimft.runs.settings import Settings
from slimft.runs.settings_file import save_settings
from slimft.training.progress import Events, device_name
from slimft.training.saving import CheckpointKeeper

# What the run started from, for its report.
_RESTORE_FILE = "restore.txt"
_TRACEBACK_FILE = "traceback.txt"


class RunDirectory:
    """A run's directory, which need not exist yet.

    Args:
        path: the directory.
        keep: how many of the newest checkpoints to keep.

    Attributes:
        path: the directory.
        checkpoints: its checkpoints.
    """

    def __init__(self, path: str, keep: int):
        self.path = pathlib.Path(path)
        self.checkpoints = CheckpointKeeper(path, keep)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """A context in which no other process trains in the directory, which is created if need be.

        Raises:
            UsageError: another process trains there, or the directory cannot be written.
        """
        self.checkpoints.create_directory()
        return locked(str(self.path))

    def begin(self, settings: Settings, class_names: Sequence[str], data: Fingerprint | None) -> None:
        """Writes what the run is: its settings, its classes' names and, where it begins or changes, its data."""
        save_settings(settings)
        if data is not None:
            write_data_record(self.path, data)
        write_labels(self.path, class_names)

    def write_restored(self, text: str) -> None:
        """Keeps what the run started from, for its report."""
        self.write_text(_RESTORE_FILE, text + "\n")

    def restored(self) -> str | None:
        """What `write_restored` kept; None in a directory of an earlier version."""
        try:
            return (self.path / _RESTORE_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def events(self, step: int) -> Events:
        """The TensorBoard events of a run that goes on from `step`."""
        return Events(str(self.path), step)

    def save(self, session: tf.Session, saver: tf.train.Saver, history: History, step: int) -> None:
        """Saves what the run needs to go on from `step`.

        The history comes first: a checkpoint must not be ahead of it, and a run that resumes forgets what is ahead
        of its checkpoint. After the first checkpoint it is written once more, so that from then on a directory
        without a checkpoint is known to have lost it.

        Raises:
            TrainingError: something cannot be written; the checkpoints that are there stay.
        """
        self._write_history(history, step)
        self.checkpoints.save(session, saver, step)
        is_first, history.saved = history.saved is None, step
        if is_first:
            self._write_history(history, step)

    def _write_history(self, history: History, step: int) -> None:
        try:
            history.save()
        except OSError as error:
            raise TrainingError(f"cannot save step {step} in {self.path}: {error.strerror}") from None

    def keep_as_best(self, validation: Mapping[str, object]) -> None:
        """Makes the saved checkpoint of a validation's step the one in ``best/``.

        Raises:
            TrainingError: it cannot be written; what was in ``best/`` is still there then.
        """
        self.checkpoints.keep_as_best(prefix_of(self.path, validation["step"]), dict(validation))

    def write_result(self, result: Mapping[str, object], **details) -> None:
        """Writes ``result.json``; the arguments are those of `slimft.runs.result.write_result`."""
        write_result(self.path, result, device=device_name(), **details)

    def write_outcomes(self, outcomes: Outcomes | None) -> None:
        """Writes ``predictions.npz``; says where it is not written because it is too large, or None."""
        if not write_outcomes(self.path, outcomes):
            say(f"{OUTCOMES_FILE} is not written: of so many examples it would be too large")

    def write_traceback(self, error: Exception) -> str:
        """Writes the traceback of what nobody foresaw; says where, or that it cannot be written."""
        file = self.path / _TRACEBACK_FILE
        try:
            text = "".join(traceback.format_exception(error))
            file.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as failure:
            return f"its traceback could not be written to {file} ({failure.strerror})"
        return f"its traceback is in {file}"

    def write_text(self, name: str, text: str) -> None:
        """Writes another file of the run."""
        write_atomically(self.path / name, text)

    def write_table(self, name: str, rows: Iterable[Sequence]) -> None:
        """Writes another file of the run, as CSV."""
        write_table(self.path / name, rows)

    def write_json(self, name: str, value: object) -> None:
        """Writes another file of the run, as JSON."""
        self.write_text(name, json.dumps(value) + "\n")

    def open_file(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Another file of the run, to be written; it gets its name when the context is left."""
        return atomic_file(self.path / name)


class NoDirectory(RunDirectory):
    """What the processes of a run have that are not the chief: nothing is written."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def begin(self, settings: Settings, class_names: Sequence[str], data: Fingerprint | None) -> None:
        pass

    def write_restored(self, text: str) -> None:
        pass

    def restored(self) -> str | None:
        return None

    def events(self, step: int) -> Events:
        return Events(None, step)

    def save(self, session: tf.Session, saver: tf.train.Saver, history: History, step: int) -> None:
        history.saved = step

    def keep_as_best(self, validation: Mapping[str, object]) -> None:
        pass

    def write_result(self, result: Mapping[str, object], **details) -> None:
        pass

    def write_table(self, name: str, rows: Iterable[Sequence]) -> None:
        pass

    def write_traceback(self, error: Exception) -> str:
        descriptor, file = tempfile.mkstemp(prefix="slimft-traceback-", suffix=".txt", text=True)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write("".join(traceback.format_exception(error)))
        return f"its traceback is in {file}"
