"""bin/finetune: fine-tunes a network from a TF-Slim checkpoint."""

from __future__ import annotations

import dataclasses
import datetime
import os
import sys
from collections.abc import Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.models_table import models_table
from slimft.cli.setting_flags import define_setting_flag
from slimft.errors import UsageError
from slimft.messages import say
from slimft.nets import get_network
from slimft.runs.settings import Settings, kind_of, read_settings
from slimft.training import recipes
from slimft.training.setting_checks import check_settings

DESCRIPTION = (
    "Rebuilds a network under TF-Slim's variable names, restores a checkpoint into it but for the excluded "
    "scopes, fine-tunes it, evaluates it on the test split and writes a report. The last line on standard output "
    "is the result as JSON; a --train_dir that holds an unfinished run is continued. --flagfile=FILE reads flags "
    "from a file, such as a run's flags.txt."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    for field in dataclasses.fields(Settings):
        # None: a run has a directory of its own unless told otherwise.
        define_setting_flag(values, field, *([None] if field.name == "train_dir" else []))
    flags.DEFINE_string(
        "settings", None,
        "A run's settings.json: what it was told, but for its directory and for the flags that you give.", **define,
    )  # fmt: skip
    flags.DEFINE_boolean("list_models", False, "Print a table of the networks, and stop.", **define)
    flags.DEFINE_boolean("dry_run", False, "Print what would be restored and trained, and stop.", **define)
    flags.DEFINE_boolean(
        "find_lr", False,
        "Try learning rates from small to large for some steps instead of training; print a suggestion and draw "
        "the losses to lr_finder.png in the run's directory.", **define,
    )  # fmt: skip


def settings_from(values: flags.FlagValues) -> Settings:
    """The run's settings: the flags that were given, else what the recipe says, else a file's, else the defaults.

    Raises:
        UsageError: a flag's value cannot work.
    """
    fields = dataclasses.fields(Settings)
    given = {field.name: _value(values, field) for field in fields if values[field.name].present}
    if values.settings is not None:
        saved = read_settings(os.path.expanduser(values.settings))
        saved.pop("train_dir", None)
    else:
        saved = {}
    model = given.get("model", saved.get("model"))
    if not model:
        raise UsageError("--model is missing; --list_models shows which there are")
    spec = get_network(model)
    advised = {}
    if given.get("recipe"):
        head = given.get("head", saved.get("head", Settings.head))
        recipe = recipes.recipe_flags(given["recipe"], spec, head)
        advised = {name: value for name, value in recipe.items() if name not in given}
        if given.get("stage"):
            advised.pop("trainable", None)
        shown = " ".join(recipes.explain(advised))
        say(f"--recipe={given['recipe']} is {shown}")
    settings = Settings(**{**saved, **advised, **given})
    check_settings(settings)
    return dataclasses.replace(settings, **_places(settings, given))


def _value(values: flags.FlagValues, field: dataclasses.Field):
    value = values[field.name].value
    return tuple(value) if kind_of(field) == "tuple" else value


def _places(settings: Settings, given: dict) -> dict[str, str]:
    """The directories of the run and of its data, so that they are found from anywhere."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    train_dir = given.get("train_dir") or f"runs/{settings.model}-{settings.dataset}-{now}"
    places = {"train_dir": os.path.expanduser(train_dir)}
    if settings.data_dir is not None:
        places["data_dir"] = os.path.abspath(os.path.expanduser(settings.data_dir))
    return places


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
        from slimft.training.loop import prepare, train_and_evaluate

    run = prepare(settings)
    if values.dry_run:
        print(run.describe(), flush=True)
        run.check()
        return
    common.print_result(train_and_evaluate(run))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, finetune, DESCRIPTION)
