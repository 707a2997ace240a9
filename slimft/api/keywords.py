"""Keywords of Python that stand for the commands' flags: the same names, the same values, the same bounds."""

from __future__ import annotations

import csv
import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping

import numpy as np

from slimft.errors import UsageError
from slimft.legacy.slim_flags import SLIM_FLAGS
from slimft.runs.settings import Settings, kind_of
from slimft.training.setting_checks import problem_of

_FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
_CALLED = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    tuple: "a list of strings, or one string with commas between them",
}
# Lists of FROM:TO and SCOPE:FACTOR, which in Python are dictionaries as well.
_OF_PAIRS = ("rename", "lr_multiplier")


def without_slims_names(keywords: Mapping[str, object], slims_names: Mapping[str, str]) -> dict[str, object]:
    """The keywords under slimft's names.

    Raises:
        UsageError: one is there under both.
    """
    renamed: dict[str, object] = {}
    for keyword, value in keywords.items():
        name = slims_names.get(keyword, keyword)
        if name in renamed or (name != keyword and name in keywords):
            raise UsageError(f"{keyword} is slim's name of {name}; give one of them")
        renamed[name] = value
    return renamed


def read_keywords(
    function: str, keywords: Mapping[str, object], names: Iterable[str] | None = None
) -> dict[str, object]:
    """Fields of `Settings`, as the command's flags would set them.

    Numbers of NumPy count as Python's, and paths as strings. A string stands for a list as on the command line:
    commas separate, and double quotes keep one that is meant.

    Args:
        function: whose keywords they are, for messages.
        keywords: what was given. A flag of slim that means nothing here is left out, if it asks for what is so.
        names: the fields that the function has; None for all.

    Raises:
        UsageError: there is no such keyword, or a value is of another type than the flag's or out of its bounds.
    """
    known = list(_FIELDS) if names is None else list(names)
    told = {}
    for keyword, value in keywords.items():
        if keyword in known:
            told[keyword] = _checked(_FIELDS[keyword], value)
        elif keyword not in SLIM_FLAGS:
            close = difflib.get_close_matches(keyword, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"help(slimft.{function}) lists them"
            raise UsageError(f"{function} has no keyword {keyword!r}; {hint}")
        elif not SLIM_FLAGS[keyword].accepts(value):
            raise UsageError(f"{keyword}={value!r:.80}: {SLIM_FLAGS[keyword].instead}")
    return told


def step_from(resume_from: object) -> int | None:
    """`resume_from` as the flag takes it; raises UsageError if it is no step."""
    step = resume_from.item() if isinstance(resume_from, np.generic) else resume_from
    if step is not None and (not isinstance(step, int) or isinstance(step, bool) or step < 1):
        raise UsageError(f"resume_from={resume_from!r:.80} must be the step of a checkpoint, 1 or more")
    return step


def _checked(field: dataclasses.Field, given: object):
    """A field's value from what was given for it."""
    name, kind = field.name, kind_of(field)
    if given is None:
        if field.default is None:
            return None
        raise UsageError(f"{name} must not be None; leave it out for {field.default!r}")
    value = _converted(field, given)
    if (
        not isinstance(value, kind)
        or (kind is int and isinstance(value, bool))
        or (kind is tuple and not all(isinstance(item, str) for item in value))
    ):
        raise UsageError(f"{name}={given!r:.80} must be {_CALLED[kind]}")
    if value == "" and name != "group":
        raise UsageError(f"{name} is empty; give it a value, or leave it out")
    problem = problem_of(field, value)
    if problem:
        raise UsageError(f"{name}={given!r:.80} {problem}")
    return value


def _converted(field: dataclasses.Field, value: object):
    """A value that Python has another type for as the field has it; any other as it is."""
    kind = kind_of(field)
    if isinstance(value, np.generic):
        value = value.item()
    if kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    if kind is not tuple:
        return value
    if isinstance(value, str):
        return (value,) if field.name == "stage" else _listed(field.name, value)
    if field.name in _OF_PAIRS and isinstance(value, Mapping):
        items = {one: [to] if not isinstance(to, (list, tuple)) else to for one, to in value.items()}
        return tuple(f"{one}:{to}" for one, tos in items.items() for to in tos)
    return tuple(value) if isinstance(value, list) else value


def _listed(name: str, text: str) -> tuple[str, ...]:
    """The items of a text with commas, as absl reads a flag's."""
    if text.startswith("re:") and "," in text:  # Which `slimft.filters` takes as one pattern, and a flag as two.
        raise UsageError(f"{name}={text!r:.80}: give a re: pattern with a comma, or one of several, in a list")
    try:
        return tuple(item.strip() for row in csv.reader([text], strict=True) for item in row)
    except csv.Error as error:
        raise UsageError(f"{name}={text!r:.80} is no list with commas: {error}") from None
