"""bin/finetune: fine-tunes a network from a TF-Slim checkpoint."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.models_table import models_table
from slimft.cli.setting_flags import define_setting_flags
from slimft.cli.slim_flags import define_slim_flags
from slimft.runs.settings import Settings, kind_of
from slimft.training.completion import complete, over_file

DESCRIPTION = (
    "Rebuilds a network under TF-Slim's variable names, restores a checkpoint into it but for the excluded "
    "scopes, fine-tunes it, evaluates it on the test split and writes a report. The last line on standard output "
    "is the result as JSON; a --train_dir that holds an unfinished run is continued. --flagfile=FILE reads flags "
    "from a file, such as a run's flags.txt."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    define_setting_flags(values)
    flags.DEFINE_string(
        "settings",
        None,
        "A run's settings.json: what it was told, but for its directory and for the flags that you give.",
        **define,
    )
    flags.DEFINE_integer(
        "resume_from",
        None,
        "The step of the checkpoint in --train_dir to go on from, where its newest is damaged or not wanted; what "
        "comes after that step is forgotten.",
        lower_bound=1,
        **define,
    )
    flags.DEFINE_boolean("list_models", False, "Print a table of the networks, and stop.", **define)
    flags.DEFINE_boolean("dry_run", False, "Print what would be restored and trained, and stop.", **define)
    flags.DEFINE_boolean(
        "find_lr",
        False,
        "Try learning rates from small to large for some steps instead of training; print a suggestion and draw "
        "the losses to lr_finder.png in the run's directory.",
        **define,
    )
    define_slim_flags(values)


def settings_from(values: flags.FlagValues) -> Settings:
    """The settings: the flags that were given, else a file's; what is left open, recipes and defaults fill.

    Raises:
        UsageError: a flag's value cannot work.
    """
    fields = dataclasses.fields(Settings)
    given = {field.name: _value(values, field) for field in fields if values[field.name].present}
    settings = over_file(given, values.settings)
    complete(settings)  # So that what cannot work is said before anything is loaded.
    return settings


def _value(values: flags.FlagValues, field: dataclasses.Field):
    value = values[field.name].value
    return tuple(value) if kind_of(field) is tuple and value is not None else value


def finetune(values: flags.FlagValues) -> None:
    """Runs the command on parsed flags."""
    if values.list_models:
        print(models_table(), flush=True)
        return
    settings = settings_from(values)
    if values.find_lr:
        with common.quiet_standard_error():
            from slimft.training.lr_finder import find_learning_rate

        common.print_result(find_learning_rate(settings))
        return
    with common.quiet_standard_error():
        from slimft.api.reported import train_and_evaluate
        from slimft.training.run import prepare, prepare_alone

    if values.dry_run:
        run = prepare_alone(settings, resume_from=values.resume_from)
        run.say_notes()
        print(run.describe(), flush=True)
        run.check()
        return
    run = prepare(settings, resume_from=values.resume_from)
    result = train_and_evaluate(run)
    if run.group.is_chief:  # Of several processes one tells.
        common.print_result(result)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, finetune, DESCRIPTION)
