"""Flags made of the fields of `slimft.runs.settings.Settings`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from absl import flags

from slimft.runs.folds import ALL
from slimft.runs.settings import Settings, kind_of


class _FoldParser(flags.ArgumentParser):
    """Parses a fold's number, or `ALL`."""

    def parse(self, argument) -> int | str:
        if argument == ALL:
            return ALL
        try:
            return flags.IntegerParser(lower_bound=0).parse(argument)
        except ValueError:
            raise ValueError(f"must be a fold's number, from 0, or {ALL}") from None

    def flag_type(self) -> str:
        return "int"


def define_setting_flags(values: flags.FlagValues, names: Iterable[str] | None = None, all_folds=False) -> None:
    """Defines a flag for each field of `Settings`, with slim's name as an alias.

    Args:
        values: where they are defined.
        names: the fields; None for all.
        all_folds: whether ``--fold`` may be ``all`` too.
    """
    for field in dataclasses.fields(Settings):
        if all_folds and field.name == "fold":
            told = f"{field.metadata['help'][:-1]}, or {ALL}: each in turn, a run in a directory of its own."
            serializer = flags.ArgumentSerializer()
            flags.DEFINE(_FoldParser(), "fold", field.default, told, flag_values=values, serializer=serializer)
        elif names is None or field.name in names:
            define_setting_flag(values, field)


def define_setting_flag(values: flags.FlagValues, field: dataclasses.Field) -> None:
    """Defines the flag of one field."""
    told, kind, name, default = field.metadata, kind_of(field), field.name, field.default
    define = {"flag_values": values}
    if name == "stage":
        flags.DEFINE_multi_string(name, list(default), told["help"], **define)
    elif told["choices"]:
        flags.DEFINE_enum(name, default, told["choices"], told["help"], **define)
    elif kind is tuple:
        flags.DEFINE_list(name, default and list(default), told["help"], **define)
    elif kind is bool:
        flags.DEFINE_boolean(name, default, told["help"], **define)
    elif kind is str:
        flags.DEFINE_string(name, default, told["help"], **define)
    else:
        number = flags.DEFINE_integer if kind is int else flags.DEFINE_float
        number(name, default, told["help"], lower_bound=told["least"], upper_bound=told["most"], **define)
    if told["alias"]:
        flags.DEFINE_alias(told["alias"], name, flag_values=values)
