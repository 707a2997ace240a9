"""Settings made complete: what they leave open filled in, and all of it checked.

The command and the library both begin here, so that they train the same.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import secrets
from collections.abc import Mapping

from slimft.errors import UsageError
from slimft.filters import split_patterns
from slimft.local_paths import check_local
from slimft.nets import get_network
from slimft.runs.settings import DEFAULTS, OF_RECIPES, Settings, kind_of
from slimft.runs.settings_file import read_settings
from slimft.training.recipes import explain, recipe_flags
from slimft.training.setting_checks import check_settings

_DIGITS = "--dataset is missing: training on digits, scikit-learn's handwritten digits"


def complete(settings: Settings) -> Settings:
    """Fills in what settings leave open, from their recipe, and checks them; complete ones it returns as they are.

    Args:
        settings: what was told. Paths may be `os.PathLike`, and patterns a string with commas between them.

    Returns:
        Settings in which the fields of `slimft.runs.settings.DEFAULTS` and `train_dir` are not None.

    Raises:
        UsageError: a value is of a wrong type or cannot work, alone or beside another.
    """
    settings = dataclasses.replace(
        settings,
        **{field.name: _typed(field, getattr(settings, field.name)) for field in dataclasses.fields(Settings)},
    )
    for name in ("checkpoint", "data_dir", "train_dir"):
        check_local(getattr(settings, name), f"--{name}")
    if settings.model is None:
        raise UsageError("--model is missing; --list_models shows which there are")
    spec = get_network(settings.model)
    settings = _with_recipe(settings, spec)
    open_fields = {name: value for name, value in DEFAULTS.items() if getattr(settings, name) is None}
    settings = dataclasses.replace(settings, **open_fields)
    check_settings(settings)
    places = {"train_dir": os.path.expanduser(settings.train_dir or _new_directory(settings))}
    if settings.data_dir is not None:
        places["data_dir"] = os.path.abspath(os.path.expanduser(settings.data_dir))
    return dataclasses.replace(settings, **places)


def over_file(given: Mapping[str, object], file: str | os.PathLike | None) -> Settings:
    """The settings that were given, and beside them those of a file, but for the directory of its run.

    Args:
        given: fields of `Settings`. A recipe among them counts more than what the file has in its place.
        file: a run's ``settings.json``; None for none.

    Raises:
        DataError: the file is missing or not as a run writes it.
    """
    check_local(file, "--settings")
    saved = {} if file is None else read_settings(os.path.expanduser(file))
    left = ("train_dir", *(OF_RECIPES if "recipe" in given else ()))
    return Settings(**{**{name: value for name, value in saved.items() if name not in left}, **given})


def notes_on(given: Settings, completed: Settings) -> list[str]:
    """What is to be said of what `complete` has filled in: data that nobody named, and what a recipe sets."""
    notes = [_DIGITS] if given.dataset is None else []
    if completed.recipe is not None:
        advised = {name: getattr(completed, name) for name in OF_RECIPES if getattr(given, name) is None}
        told = explain({name: value for name, value in advised.items() if value not in (None, DEFAULTS.get(name))})
        if told:
            notes.append(f"--recipe={completed.recipe} is {' '.join(told)}")
    return notes


def _with_recipe(settings: Settings, spec) -> Settings:
    if settings.recipe is None:
        return settings
    advised = recipe_flags(settings.recipe, spec, settings.head, settings.network_options())
    if settings.stage:  # It says what to train.
        advised.pop("trainable", None)
    several = (settings.num_replicas or 1) > 1
    if settings.stage or settings.mixup or settings.cutmix or settings.cache == "off" or several:
        advised.pop("cache_views", None)
    if all(getattr(settings, name) is not None for name in OF_RECIPES if name not in ("checkpoint", "cache_views")):
        return settings  # They are complete.
    return dataclasses.replace(
        settings, **{name: value for name, value in advised.items() if getattr(settings, name) is None}
    )


def _new_directory(settings: Settings) -> str:
    """A name that no other run has, also one that starts in the same second."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return f"runs/{settings.model}-{settings.dataset}-{now}-{secrets.token_hex(4)}"


def _typed(field: dataclasses.Field, value):
    """A value as the field has it; raises UsageError if it is of another type."""
    kind = kind_of(field)
    if value is None:
        if field.default is None:
            return None
        raise UsageError(f"--{field.name} must not be None; leave it out for {field.default!r}")
    if kind is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if kind is tuple:
        if isinstance(value, str):
            value = (value,) if field.name == "stage" else split_patterns(value)
        elif isinstance(value, list):
            value = tuple(value)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if isinstance(value, bool) and kind is not bool:
        fits = False  # To Python it is an int.
    if not fits or (kind is tuple and not all(isinstance(item, str) for item in value)):
        raise UsageError(f"--{field.name}={value!r} must be of type {kind.__name__}")
    if value == "" and field.name != "group":
        raise UsageError(f"--{field.name} is empty; give it a value, or leave it out")
    return value
