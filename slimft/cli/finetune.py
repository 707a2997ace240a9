"""bin/finetune: fine-tunes a network from a TF-Slim checkpoint."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from slimft.cli import common, launch
from slimft.cli.models_table import models_table
from slimft.cli.search_flags import define_search_flags, is_search, run_search
from slimft.cli.setting_flags import define_setting_flags
from slimft.cli.slim_flags import define_slim_flags
from slimft.errors import UsageError
from slimft.runs.folds import ALL
from slimft.runs.settings import Settings, kind_of
from slimft.training.completion import complete, over_file

DESCRIPTION = (
    "Rebuilds a network under TF-Slim's variable names, restores a checkpoint into it but for the excluded "
    "scopes, fine-tunes it, evaluates it on the test split and writes a report. The last line on standard output "
    "is the result as JSON; a --train_dir that holds an unfinished run is continued. --flagfile=FILE reads flags "
    "from a file, such as a run's flags.txt."
)

_MOST_LAUNCHED = 64


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    define_setting_flags(values, all_folds=True)
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
    flags.DEFINE_boolean(
        "show_augmented",
        False,
        "Draw what training sees of a few examples, each as it is and as eight epochs show it, to augmented.png in "
        "--train_dir, if that is given, or in the current folder; print where, and stop.",
        **define,
    )
    flags.DEFINE_integer(
        "launch",
        None,
        "Start so many processes on this machine, which train one run together, each on its share of every batch "
        "and of the processors (TF_NUM_INTRAOP_THREADS, where you have not set it). When one is lost, all start "
        "again from the last checkpoint.",
        lower_bound=1,
        upper_bound=_MOST_LAUNCHED,
        **define,
    )
    flags.DEFINE_integer(
        "max_restarts",
        3,
        "With --launch: how often to start again before the run has saved a new checkpoint, which sets the count "
        "back; then the exit status is 75.",
        lower_bound=0,
        **define,
    )
    define_search_flags(values)
    define_slim_flags(values)


def settings_from(values: flags.FlagValues) -> Settings:
    """The settings: the flags that were given, else a file's; what is left open, recipes and defaults fill.

    Raises:
        UsageError: a flag's value cannot work.
    """
    given = _given(values)
    if given.get("fold") == ALL:
        given["fold"] = 0
    settings = over_file(given, values.settings)
    complete(settings)  # So that what cannot work is said before anything is loaded.
    return settings


def _given(values: flags.FlagValues) -> dict[str, Any]:
    """The settings among the flags that were given."""
    fields = dataclasses.fields(Settings)
    return {field.name: _value(values, field) for field in fields if values[field.name].present}


def _value(values: flags.FlagValues, field: dataclasses.Field):
    value = values[field.name].value
    return tuple(value) if kind_of(field) is tuple and value is not None else value


def _supervise(values: flags.FlagValues, settings: Settings, arguments: Sequence[str]) -> int:
    """Lets workers run the command; returns the exit status."""
    min_workers = settings.min_workers
    launch.check(values.launch, min_workers)
    if values.find_lr:
        raise UsageError(f"--launch={values.launch}: --find_lr tries rates in one process; leave --launch out")
    train_dir = complete(settings).train_dir
    # One for all workers and restarts. In front: after "--" it would be no flag.
    chosen = [] if values.train_dir is not None else [f"--train_dir={train_dir}"]
    command = launch.worker_command([*chosen, *arguments])
    return launch.supervise(command, values.launch, train_dir, values.max_restarts, min_workers)


def _cross_validate(values: flags.FlagValues, settings: Settings) -> None:
    """Trains all folds, one after the other."""
    one = f"give --fold=0 and a --train_dir such as {settings.train_dir or 'DIR'}/fold_0"
    if values.launch is not None:
        raise UsageError(f"--launch={values.launch}: --fold={ALL} trains in one process; {one}")
    if values.find_lr:
        raise UsageError(f"--find_lr tries rates for one run, and --fold={ALL} is several; {one}")
    if values.show_augmented:
        raise UsageError(f"--show_augmented shows what one run sees, and --fold={ALL} is several; {one}")
    if values.resume_from is not None:
        raise UsageError(
            f"--resume_from={values.resume_from} is a step of one run, and --fold={ALL} is several; {one}"
        )
    with common.quiet_standard_error():
        from slimft.cross_validation import conduct
    if values.dry_run:
        print(conduct.dry_run(settings), flush=True)
        return
    common.print_result(conduct.cross_validate(settings))


def finetune(values: flags.FlagValues, arguments: Sequence[str]) -> int | None:
    """Runs the command on parsed flags; returns the exit status, if it is not 0.

    Args:
        values: the flags.
        arguments: what they were parsed from.
    """
    if values.list_models:
        print(models_table(), flush=True)
        return None
    if is_search(values):
        given = _given(values)
        return run_search(values, given, lambda chosen: over_file({**given, **chosen}, values.settings))
    settings = settings_from(values)
    if values.fold == ALL:
        return _cross_validate(values, settings)
    if not launch.is_worker():
        if values.launch is not None and not (values.dry_run or values.show_augmented):
            return _supervise(values, settings, arguments)
        if values.launch is None and values["max_restarts"].present:
            raise UsageError(f"--max_restarts={values.max_restarts} is for --launch=N; give that too")
    if values.show_augmented:
        with common.quiet_standard_error():
            from slimft.training.augmented import show_augmented

        print(show_augmented(settings, values.train_dir or "."), flush=True)
        return None
    if values.find_lr:
        with common.quiet_standard_error():
            from slimft.training.lr_finder import find_learning_rate

        common.print_result(find_learning_rate(settings))
        return None
    with common.quiet_standard_error():
        from slimft.api.reported import train_and_evaluate
        from slimft.training.run import prepare, prepare_alone

    # What was saved since goes on from where that was.
    resume_from = None if launch.has_saved() else values.resume_from
    if values.dry_run:
        run = prepare_alone(settings, resume_from=resume_from)
        run.say_notes()
        print(run.describe(), flush=True)
        run.check()
        return None
    run = prepare(settings, resume_from=resume_from)
    result = train_and_evaluate(run)
    if run.group.is_chief:  # Of several processes one tells.
        common.print_result(result)
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, lambda values: finetune(values, argv[1:]), DESCRIPTION)
