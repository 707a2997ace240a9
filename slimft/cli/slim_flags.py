"""Flags of research/slim's scripts, for the commands: what `slimft.legacy.slim_flags` lists, as flags of absl."""

from __future__ import annotations

from absl import flags

from slimft.legacy.slim_flags import SLIM_FLAGS, SlimFlag


class ForeignFlag(flags.Flag):
    """A flag that the help does not list."""


class _Parser(flags.ArgumentParser):
    def __init__(self, told: SlimFlag):
        self._told = told

    def parse(self, argument: object) -> str:
        if not self._told.accepts(argument):
            raise ValueError(self._told.instead)
        return str(argument)


def define_slim_flags(values: flags.FlagValues) -> None:
    """Defines those of `SLIM_FLAGS` that a command does not have by now: to say what to use instead."""
    for name, told in SLIM_FLAGS.items():
        if name not in values:
            flag = ForeignFlag(
                _Parser(told), None, name, None, f"Of research/slim: {told.instead}.", boolean=told.boolean
            )
            flags.DEFINE_flag(flag, flag_values=values)
