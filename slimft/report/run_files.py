"""The JSON files of a run's directory, checked."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex

from slimft.errors import DataError, UsageError
from slimft.report.checked_json import Value, read_json
from slimft.report.results import RESULT_FILE, Result, parse_result
from slimft.runs.history import HISTORY_FILE
from slimft.runs.settings import SETTINGS_FILE, Settings, flags_of

_TRAIN = ("loss", "accuracy", "learning_rate", "images_per_second")
_VALIDATION = ("accuracy", "balanced_accuracy", "macro_f1", "loss")

# A curve: its steps, and for each figure as many values (None where there is none).
Curves = dict[str, list]


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """A run, as its directory tells it.

    Attributes:
        train_dir: the directory.
        settings: its settings, by name: JSON's strings, numbers, true and false, null, and lists of these.
        train: curves of training: ``step`` and figures.
        validation: curves of validation: ``step`` and figures.
        best_step: the step of the best checkpoint in validation; None if there is none.
        result: how it ended; None if it did not.
    """

    train_dir: pathlib.Path
    settings: dict[str, object]
    train: Curves
    validation: Curves
    best_step: int | None
    result: Result | None

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.train_dir.resolve().name or str(self.train_dir)

    def flags(self, names) -> list[str]:
        """The settings of these names as flags of ``bin/finetune``, ready for a shell."""
        return [shlex.quote(flag) for name in names for flag in flags_of(name, self.settings.get(name))]

    def given(self) -> list[str]:
        """Names of the settings that differ from their defaults."""
        defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
        return [
            name for name, value in self.settings.items()
            if name not in defaults or value != _as_json(defaults[name])
        ]  # fmt: skip


def _as_json(value):
    return list(value) if isinstance(value, tuple) else value


def read_run(train_dir: str | pathlib.Path) -> RunFiles:
    """Reads what a run's directory tells of it.

    Raises:
        UsageError: it is no run's directory.
        DataError: a file in it cannot be read, or is not as a run writes it.
    """
    train_dir = pathlib.Path(train_dir).expanduser()
    file = train_dir / SETTINGS_FILE
    if not file.is_file():
        what = f"{SETTINGS_FILE} is missing in it" if train_dir.is_dir() else "it is no directory"
        raise UsageError(f"{train_dir} is no run of bin/finetune: {what}; name a --train_dir")
    settings = {name: _setting(value) for name, value in read_json(file).object().items()}
    train, validation, best_step = {"step": []}, {"step": []}, None
    if (train_dir / HISTORY_FILE).exists():
        history = read_json(train_dir / HISTORY_FILE)
        train = _curves(history.get("train"), _TRAIN)
        validation = _curves(history.get("validation"), _VALIDATION)
        best_step = None if history.get("best_step").raw is None else history.get("best_step").integer()
    result = None
    if (train_dir / RESULT_FILE).exists():
        result = parse_result(read_json(train_dir / RESULT_FILE))
    return RunFiles(train_dir, settings, train, validation, best_step, result)


def _setting(value: Value):
    elements = value.array() if isinstance(value.raw, list) else [value]
    for element in elements:
        if isinstance(element.raw, (dict, list)):
            raise element.wrong("a string or a number")
    return value.raw


def _curves(rows: Value, names: tuple[str, ...]) -> Curves:
    curves = {name: [] for name in ("step", *names)}
    for row in rows.array():
        members = row.object()
        if "step" not in members:
            raise row.wrong("a row with a step")
        curves["step"].append(members["step"].integer())
        for name in names:
            curves[name].append(members[name].number() if name in members else None)
    return curves


def check_output(file: pathlib.Path) -> None:
    """Raises DataError if `file` has no directory to be written into."""
    if not file.parent.is_dir():
        raise DataError(f"--output={file}: there is no directory {file.parent}")
