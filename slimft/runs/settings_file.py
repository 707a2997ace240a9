"""A run's settings as its directory keeps them: ``settings.json``, and ``flags.txt`` for ``--flagfile``."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from slimft.errors import DataError, UsageError
from slimft.files import write_atomically
from slimft.runs.checked_json import Value, read_json
from slimft.runs.settings import (
    DEFAULTS,
    NETWORK_OPTIONS,
    OF_RECIPES,
    OF_THE_CLUSTER,
    OF_THE_DISK,
    Settings,
    kind_of,
    out_of_bounds,
)

SETTINGS_FILE = "settings.json"
FLAGS_FILE = "flags.txt"
# In the directory of a cross-validation, whose folds are runs.
FOLDS_FILE = "folds.json"

# Where a run, or the runs of a cross-validation together, keep data that a program handed over: in this folder of
# their directory, as `slimft.data.given.write_manifest` does.
GIVEN_DATA = "data"
_GIVEN_MANIFESTS = re.compile("manifest-[0-9a-f]{16}[.]csv")

# What a run cannot change when it resumes: the saved variables would not fit, or what tests would have trained.
_FIXED = (
    "model", "dataset", "head", "validation_share", "test_share", "split_seed", "folds", "fold", "group",
    "train_examples", "validation_examples", "labels_offset", "image_key", "label_key", "longest_side",
    "train_list", *NETWORK_OPTIONS,
)  # fmt: skip
# What a resumed run may have otherwise without a word.
_OF_NO_CONSEQUENCE = (*OF_THE_DISK, *OF_THE_CLUSTER, "data_dir", "checkpoint", "averages", "recipe")
# By the kind of a field: what JSON has for it, and what that is called.
_TYPES: dict[type, Any] = {str: str, int: int, float: (int, float), bool: bool, tuple: list}
_CALLED = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list"}
# Of settings.json, which has a few thousand.
_MOST_BYTES = 1 << 20


def save_settings(settings: Settings) -> None:
    """Writes the settings into the run's directory, and as ``flags.txt`` for ``--flagfile``."""
    assert settings.train_dir is not None  # `complete` has filled it in.
    folder = pathlib.Path(settings.train_dir)
    write_atomically(folder / SETTINGS_FILE, json.dumps(dataclasses.asdict(settings), indent=2) + "\n")
    write_atomically(folder / FLAGS_FILE, "".join(f"{flag}\n" for flag in as_flags(settings, leave=("train_dir",))))


def as_flags(settings: Settings, leave: Sequence[str] = ()) -> list[str]:
    """The flags that make `settings`, without those that have their default and those in `leave`."""
    return [
        flag
        for field in dataclasses.fields(Settings)
        if field.name not in leave and is_told(settings, field)
        for flag in flags_of(field.name, getattr(settings, field.name))
    ]


def is_told(settings: Settings, field: dataclasses.Field) -> bool:
    """Whether a field has to be given to make the settings: also its default, where a recipe says otherwise."""
    value = getattr(settings, field.name)
    if settings.recipe is not None and field.name in OF_RECIPES:
        return value is not None
    return value not in (field.default, DEFAULTS.get(field.name, field.default))


def flags_of(name: str, value: Any) -> list[str]:
    """The flags that set the field `name` to `value`, which is a field's or what JSON has for it."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no{name}"]
    if isinstance(value, (tuple, list)):
        if name == "stage" and value:
            return [f"--stage={stage}" for stage in value]
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow(value)  # As absl reads its lists.
        value = row.getvalue()
    return [f"--{name}={'' if value is None else value}"]


def load_settings(train_dir: str | pathlib.Path) -> Settings:
    """Reads the settings that `save_settings` wrote.

    Raises:
        UsageError: `train_dir` holds none.
        DataError: they cannot be read.
    """
    file = pathlib.Path(train_dir, SETTINGS_FILE)
    if not os.path.lexists(file) and os.path.lexists(pathlib.Path(train_dir, FOLDS_FILE)):
        raise UsageError(
            f"--train_dir={train_dir} is a cross-validation, of which each fold is a run; name one, such as "
            f"{pathlib.Path(train_dir, 'fold_0')}"
        )
    if not os.path.lexists(file):
        raise UsageError(f"--train_dir={train_dir} is not the directory of a run: {file} is missing")
    saved = read_settings(file)
    if "model" not in saved:
        raise DataError(f"{file} cannot be read: it names no model")
    # Wherever the directory has been moved to.
    return Settings(**{**saved, "train_dir": str(train_dir)})


def _data_moved_along(data_dir: str | None, folder: pathlib.Path) -> str | None:
    """Where a run's data is whose directory is `folder`: if it keeps it itself, wherever that has been moved to."""
    if data_dir is None:
        return None
    place = pathlib.Path(data_dir)
    if place.parent.name != GIVEN_DATA or not _GIVEN_MANIFESTS.fullmatch(place.name):
        return data_dir
    there = (above / GIVEN_DATA / place.name for above in (folder, folder.parent))
    return next((str(one) for one in there if one.is_file()), data_dir)


def read_settings(file: str | os.PathLike) -> dict[str, Any]:
    """The fields of `Settings` in a JSON file that `save_settings`, perhaps an earlier version's, wrote.

    Raises:
        DataError: the file is missing or no such file, or a value in it is of another type than its field or out
            of the field's bounds.
    """
    saved = parse_settings(read_json(file, _MOST_BYTES))
    if "data_dir" in saved:
        saved["data_dir"] = _data_moved_along(saved["data_dir"], pathlib.Path(os.path.abspath(file)).parent)
    return saved


def parse_settings(saved: Value) -> dict[str, Any]:
    """The fields of `Settings` in what was read of a ``settings.json``; as `read_settings`."""
    known = {field.name: field for field in dataclasses.fields(Settings)}
    return {name: _typed(known[name], value) for name, value in saved.object().items() if name in known}


def _typed(field: dataclasses.Field, value: Value) -> Any:
    """A value from JSON as the field has it; raises DataError if it is of another type or out of bounds."""
    kind, raw = kind_of(field), value.raw
    if raw is None and field.default is None:
        return None
    # A bool is an int to Python.
    if not isinstance(raw, _TYPES[kind]) or (kind is not bool and isinstance(raw, bool)):
        raise value.wrong(_CALLED[kind])
    for text in value.array() if kind is tuple else [value]:
        if kind is tuple and not isinstance(text.raw, str):
            raise text.wrong("a string")
        if isinstance(text.raw, str) and not _can_name_a_file(text.raw):
            raise text.error(f"{text.raw!r:.80}, which no flag can be")
    problem = out_of_bounds(field, raw)
    if problem:
        raise value.error(f"{raw!r:.80}, which {problem}")
    return tuple(raw) if kind is tuple else raw


def _can_name_a_file(text: str) -> bool:
    """Whether `text` can be a path or an argument of a command, as all strings among the settings could."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def saved_settings(settings: Settings) -> Settings | None:
    """The settings of the run that `settings.train_dir` already holds, or None.

    Raises:
        UsageError: it is a run of another model or other data.
    """
    assert settings.train_dir is not None  # `complete` has filled it in.
    if os.path.lexists(pathlib.Path(settings.train_dir, FOLDS_FILE)):
        raise UsageError(
            f"--train_dir={settings.train_dir} holds a cross-validation; go on with it by --fold=all, or name "
            "another directory"
        )
    if not os.path.lexists(pathlib.Path(settings.train_dir, SETTINGS_FILE)):
        return None
    saved = load_settings(settings.train_dir)
    for name in _FIXED:
        if getattr(saved, name) != getattr(settings, name):
            raise UsageError(
                f"--train_dir={settings.train_dir} holds a run with --{name}={getattr(saved, name)}, not "
                f"{getattr(settings, name)}; name another directory"
            )
    return saved


def differences(saved: Settings, settings: Settings) -> list[str]:
    """One line for each setting of a resumed run that is not as it was."""
    return [
        f"note: --{field.name} was {_shown(saved, field)}, is now {_shown(settings, field)}"
        for field in dataclasses.fields(Settings)
        if field.name not in _OF_NO_CONSEQUENCE and getattr(saved, field.name) != getattr(settings, field.name)
    ]


def _shown(settings: Settings, field: dataclasses.Field[Any]) -> Any:
    value = getattr(settings, field.name)
    return "left out" if value is None else value
