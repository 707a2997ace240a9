"""The JSON files of a run's directory, checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from slimft.errors import DataError, UsageError
from slimft.local_paths import check_local
from slimft.runs.checked_json import Value, read_json
from slimft.runs.history_file import HISTORY_FILE, Record, SavedHistory, read_history
from slimft.runs.result import RESULT_FILE, Result, parse_result
from slimft.runs.settings import Settings
from slimft.runs.settings_file import FOLDS_FILE, SETTINGS_FILE, flags_of, is_told, parse_settings
from slimft.tasks import Task, get_task

# What the run recorded of its data.
DATA_FILE = "data.json"
# It names each image: of a million.
_MOST_DATA_BYTES = 256 << 20
# The validation of the checkpoint in best/.
BEST_FILE = "best/metrics.json"
_OF_ALL_STEPS = ("learning_rate", "images_per_second")
_NO_HISTORY = SavedHistory([], [], None, "")

# A curve: its steps, and for each figure as many values (None where there is none).
Curves = dict[str, list]


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """A run, as its directory tells it.

    Attributes:
        train_dir: the directory.
        settings: its settings, by name: JSON's strings, numbers, true and false, null, and lists of these.
        history: its records; without any where there is no file.
        result: how it ended; None if it did not.
        recorded: digests of what the run recorded of each split of its data; None if it recorded nothing.
        best_kept: the step of the checkpoint in ``best/``; None if nothing tells.
    """

    train_dir: pathlib.Path
    settings: dict[str, Any]
    history: SavedHistory
    result: Result | None
    recorded: dict[str, str] | None
    best_kept: int | None

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.train_dir.resolve().name or str(self.train_dir)

    @property
    def task(self) -> Task:
        """What its network is trained for: as its result says, or else as its network's name does."""
        return get_task(self.result.task) if self.result else self._told_task or get_task("classification")

    @property
    def _told_task(self) -> Task | None:
        """What its settings say it is trained for; None where they name no network that is known."""
        told = {name: self.settings[name] for name in ("model", "head") if self.settings.get(name) is not None}
        try:
            return Settings(**told).task if "model" in told else None
        except UsageError:
            return None

    @property
    def train(self) -> Curves:
        """Curves of training: ``step`` and figures."""
        return _curves(self.history.train, (*self.task.measured, *_OF_ALL_STEPS))

    @property
    def validation(self) -> Curves:
        """Curves of validation: ``step`` and figures."""
        return _curves(self.history.validation, tuple(figure.name for figure in self.task.figures))

    @property
    def metric(self) -> str:
        """What tells the run's best validation."""
        return self.history.metric or self._told_metric

    @property
    def _told_metric(self) -> str:
        """What its settings say should tell it."""
        balance = self.settings.get("balance") or "none"
        return self.settings.get("metric") or self.task.default_metric(balance != "none")

    @property
    def metric_title(self) -> str:
        """What a person calls `metric`."""
        titles = {figure.name: figure.title for figure in self.task.figures}
        return titles.get(self.metric, self.metric.replace("_", " "))

    @property
    def last_step(self) -> int | None:
        """The last step of the history."""
        return max((rows[-1]["step"] for rows in self.history[:2] if rows), default=None)

    @property
    def step(self) -> float | None:
        """The step that the run's figures are of: its result's; without one, that of its best validation so far."""
        return self.result.figure("step") if self.result else self.history.best_step

    @property
    def has_gone_on(self) -> bool:
        """Whether it has trained on since its result was written."""
        if self.result is None or self.step is None or self.last_step is None or self.last_step <= self.step:
            return False
        trained_to = self.result.figure("last_step")
        if trained_to is not None:
            return self.last_step > trained_to
        # Of an earlier version. A run with --patience ends with an earlier checkpoint, its best.
        return not (self.settings.get("patience") and self.step == self.history.best_step)

    def validation_at(self, step: float | None) -> Record:
        """The validation of a step; empty where there is none."""
        return next((record for record in self.history.validation if record["step"] == step), {})

    def flags(self, names: Iterable[str]) -> list[str]:
        """The settings of these names as flags of ``bin/finetune``, ready for a shell."""
        return [shlex.quote(flag) for name in names for flag in flags_of(name, self.settings.get(name))]

    def given(self) -> list[str]:
        """Names of the settings that differ from their defaults."""
        fields = {field.name: field for field in dataclasses.fields(Settings)}
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.settings.items()
            if name in fields
        }
        told = Settings(**known)
        return [name for name in self.settings if name not in fields or is_told(told, fields[name])]

    def notes(self) -> list[str]:
        """What a reader of the run's figures has to know of them, a sentence each."""
        return [sentence for applies, sentence in self._remarks() if applies]

    def _remarks(self) -> Iterator[tuple[bool, str]]:
        """Pairs: whether something is as it should not be, and what to say then."""
        result, step, last, best = self.result, self.step, self.last_step, self.history.best_step
        headline = self.task.headline
        unknown = sum(None in (one.get(headline), one.get("loss")) for one in self.history.validation)
        yield (
            result is None,
            (
                "It did not come to its end, or is still under way: there is no final evaluation yet, only its "
                "best validation so far."
            ),
        )
        if result is not None:
            yield self.has_gone_on, f"This result is of step {step}; the run has gone on to {last}."
            yield (
                step is not None and last is not None and last < step,
                (
                    f"This result is of step {step}, but history.json ends at step {last}: they are not of the "
                    "same run, or not of the same time."
                ),
            )
            yield step is None, "The result does not tell which step it is of."
            yield step is not None and not self.validation_at(step), f"There is no validation of step {step}."
            yield (
                result.split == "validation",
                (
                    "There is no test split: the result is of the validation split, which chose the checkpoint, "
                    "and so tells too well of it."
                ),
            )
            yield not result.split, "result.json does not tell which split its figures are of."
            for name in ("model", "dataset"):
                there, told = result.result.get(name), self.settings.get(name)
                yield there not in (None, told), f"result.json is of --{name}={there}, settings.json of {told}."
            yield (
                self._told_task not in (None, self.task),
                f"result.json is of the task {self.task.name}, for which the network of settings.json is not.",
            )
        yield (
            self.history.metric not in ("", self._told_metric),
            (f"The best step is the best by {self.history.metric}; the settings now say {self._told_metric}."),
        )
        yield (
            self.best_kept is not None and self.best_kept != best,
            (f"best/ holds the checkpoint of step {self.best_kept}; the best validation is that of step {best}."),
        )
        yield unknown > 0, f"{unknown} validations have no finite {headline} or no finite loss."


def read_run(train_dir: str | pathlib.Path) -> RunFiles:
    """Reads what a run's directory tells of it.

    Raises:
        UsageError: it is no run's directory.
        DataError: a file in it cannot be read, or is not as a run writes it.
    """
    check_local(train_dir)
    train_dir = pathlib.Path(train_dir).expanduser()
    if not os.path.lexists(train_dir / SETTINGS_FILE):
        what = f"{SETTINGS_FILE} is missing in it" if os.path.isdir(train_dir) else "it is no directory"
        if os.path.lexists(train_dir / FOLDS_FILE):
            what = f"it is a cross-validation, of which each fold is one, such as {train_dir / 'fold_0'}"
        raise UsageError(f"{train_dir} is no run of bin/finetune: {what}; name a --train_dir")

    def read(name: str, reader: Callable[[pathlib.Path], Any], otherwise: Any = None) -> Any:
        # A link to nothing is there, and an error.
        return reader(train_dir / name) if os.path.lexists(train_dir / name) else otherwise

    return RunFiles(
        train_dir,
        _settings(read_json(train_dir / SETTINGS_FILE)),
        read(HISTORY_FILE, read_history, _NO_HISTORY),
        read(RESULT_FILE, lambda file: parse_result(read_json(file))),
        read(DATA_FILE, _recorded),
        read(BEST_FILE, lambda file: read_json(file).get("step").integer()),
    )


def _settings(value: Value) -> dict[str, Any]:
    """All settings as they are, those of other versions too."""
    parse_settings(value)
    members = value.object()
    for member in members.values():
        for element in member.array() if isinstance(member.raw, list) else [member]:
            if isinstance(element.raw, (dict, list)):
                raise element.wrong("a string or a number")
    return {name: member.raw for name, member in members.items()}


def _recorded(file: pathlib.Path) -> dict[str, str]:
    splits = read_json(file, _MOST_DATA_BYTES).get("splits").object()
    return {split: _digest(record.raw) for split, record in splits.items()}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _curves(records: list[Record], names: tuple[str, ...]) -> Curves:
    # Axes need room around their values.
    return {"step": [record["step"] for record in records]} | {
        name: [
            value if (value := record.get(name)) is not None and abs(value) < 1e30 else None for record in records
        ]
        for name in names
    }


def check_output(file: pathlib.Path) -> None:
    """Raises DataError if `file` has no directory to be written into."""
    if not file.parent.is_dir():
        raise DataError(f"--output={file}: there is no directory {file.parent}")
