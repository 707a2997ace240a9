"""What varies between trials: the flags of ``--sweep``, each with its values or its range."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimft.errors import UsageError
from slimft.filters import split_patterns
from slimft.runs.settings import OF_THE_CLUSTER, OF_THE_DISK, Settings, kind_of, out_of_bounds

# A value's text, or a number of a range, by flag.
Parameters = dict[str, Any]

# What leaves a flag out.
_DEFAULT = "default"
# Trials of these would be validated on different examples, or by different figures.
_OF_VALIDATION = (
    "dataset", "data_dir", "validation_share", "test_share", "validation_examples", "test_examples", "split_seed",
    "folds", "fold", "group", "train_list", "metric", "image_key", "label_key", "labels_offset",
)  # fmt: skip
_MOST_COMBINATIONS = 10_000
_FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
_ALIASES = {field.metadata["alias"]: name for name, field in _FIELDS.items() if field.metadata["alias"]}
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclasses.dataclass(frozen=True)
class Axis:
    """A flag that varies.

    Attributes:
        name: the flag's.
        choices: the texts of its values; empty for a range.
        low, high: the ends of a range, both inclusive; ints where the flag is one.
        log: whether equal ratios of the range are as likely as each other, rather than equal differences.
    """

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the values of its range are whole numbers."""
        return kind_of(_FIELDS[self.name]) is int

    def __str__(self) -> str:
        separator = "|" if self.name == "stage" or any("," in choice for choice in self.choices) else ","
        told = separator.join(self.choices) or f"{self.low!r}..{self.high!r}{':log' if self.log else ''}"
        return f"{self.name}:{told}"


def read_sweep(texts: Sequence[str], ranges: bool) -> tuple[Axis, ...]:
    """What the values of ``--sweep`` say.

    Args:
        texts: such as ``learning_rate:1e-4,3e-4``, ``recipe:features,top`` or ``weight_decay:1e-6..1e-3:log``.
            Values are separated by commas or, where there is one, by ``|``, for those that have commas themselves.
        ranges: whether ranges are allowed.

    Raises:
        UsageError: a flag is unknown or cannot vary, or a value cannot be its.
    """
    axes = [_axis(text, ranges) for text in texts]
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--sweep={name}:... is there twice; give all its values in one")
    return tuple(axes)


def _axis(text: str, ranges: bool) -> Axis:
    name, colon, rest = text.partition(":")
    name = name.strip().removeprefix("--")
    name = _ALIASES.get(name, name)
    if not colon or not rest.strip():
        raise UsageError(f"--sweep={text}: write FLAG:VALUE,VALUE,... or, with --search, FLAG:LOW..HIGH[:log]")
    if name not in _FIELDS:
        close = difflib.get_close_matches(name, list(_FIELDS), n=1)
        raise UsageError(f"--sweep={text}: there is no --{name}{f'; did you mean {close[0]}?' if close else ''}")
    if name in (*OF_THE_DISK, *OF_THE_CLUSTER):
        raise UsageError(f"--sweep={text}: --{name} changes nothing of what is learned; leave it out")
    if name in _OF_VALIDATION:
        raise UsageError(
            f"--sweep={text}: with another --{name} trials are validated otherwise, and no figure could choose "
            "among them; make a search for each, or compare runs with bin/report"
        )
    if kind_of(_FIELDS[name]) in (int, float) and ".." in rest:
        if not ranges:
            raise UsageError(f"--sweep={text}: a range needs --search=tpe or --search=random; or list values")
        return _range(text, name, rest)
    separator = "|" if "|" in rest or name == "stage" else ","
    choices = tuple(choice.strip() for choice in rest.split(separator))
    values = [setting(name, choice, text) for choice in choices]
    for i, value in enumerate(values):
        if value in values[:i]:
            raise UsageError(f"--sweep={text}: {choices[i]} is there twice")
    return Axis(name, choices)


def _range(text: str, name: str, rest: str) -> Axis:
    span, colon, scale = rest.partition(":")
    if colon and scale not in ("log", "linear"):
        raise UsageError(f"--sweep={text}: what follows a range is :log, or nothing")
    low, high = (setting(name, end.strip(), text) for end in span.split("..", 1))
    if low is None or high is None or not low < high:
        raise UsageError(f"--sweep={text}: a range goes from a number to a larger one")
    if scale == "log" and low <= 0:
        raise UsageError(f"--sweep={text}: a range with :log begins above 0")
    return Axis(name, (), low, high, scale == "log")


def setting(name: str, told: Any, text: str = "") -> Any:
    """A parameter as the field of `Settings` has it; ``default`` is the field's default.

    Args:
        name: the field's.
        told: the value's text, or a number of a range.
        text: the whole value of ``--sweep``, for the message.

    Raises:
        UsageError: the field cannot have it.
    """
    field = _FIELDS[name]
    kind = kind_of(field)
    if told == _DEFAULT:
        return field.default
    try:
        if kind is bool:
            value: Any = _truth(str(told))
        elif kind is tuple:
            value = tuple(told.split()) if name == "stage" else split_patterns(told)
        else:
            value = kind(told)
    except ValueError:
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "a value")
        raise UsageError(f"--sweep={text or name}: {told!r} is not {wanted}") from None
    problem = "must not be empty" if value in ("", ()) else out_of_bounds(field, value)
    if problem:
        raise UsageError(f"--sweep={text or name}: {told} {problem}")
    return value


def _truth(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(text)
    return text.lower() in _TRUE


def settings_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Settings` that parameters set."""
    return {name: setting(name, told) for name, told in parameters.items()}


def grid(axes: Sequence[Axis]) -> list[Parameters]:
    """All combinations; the values of the last flag change fastest.

    Raises:
        UsageError: they are far too many.
    """
    number = math.prod(len(axis.choices) for axis in axes)
    if number > _MOST_COMBINATIONS:
        raise UsageError(f"--sweep has {number:,} combinations; give fewer values, or --search=tpe with --trials")
    return [
        dict(zip([axis.name for axis in axes], values)) for values in itertools.product(*(a.choices for a in axes))
    ]


def corners(axes: Sequence[Axis]) -> Iterator[Parameters]:
    """Parameters in which each value, and each end of a range, is once at least."""
    ends = [axis.choices or (axis.low, axis.high) for axis in axes]
    for i in range(max(map(len, ends))):
        yield {axis.name: values[min(i, len(values) - 1)] for axis, values in zip(axes, ends)}


def shown(parameters: Mapping[str, Any]) -> list[str]:
    """Parameters as a person reads them."""
    return [f"{name}={text(value)}" for name, value in parameters.items()]


def text(value: Any) -> str:
    """A parameter's value, a range's to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
