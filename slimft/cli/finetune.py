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
from slimft.data import dataset_names
from slimft.errors import UsageError
from slimft.nets import get_network, network_names
from slimft.renaming import parse_renames
from slimft.training.settings import OPTIMIZERS, PRECISIONS, SCHEDULES, Settings

DESCRIPTION = (
    "Rebuilds a network under TF-Slim's variable names, restores a checkpoint into it but for the excluded "
    "scopes, fine-tunes it and evaluates it on the test split. The last line on standard output is the result "
    "as JSON; a --train_dir that holds an unfinished run is continued."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    default = {field.name: field.default for field in dataclasses.fields(Settings)}

    def alias(new, name):
        flags.DEFINE_alias(new, name, flag_values=values)

    define = {"flag_values": values}
    flags.DEFINE_string("model", None, f"The network: {', '.join(network_names())}.", **define)
    alias("model_name", "model")
    flags.DEFINE_boolean("list_models", False, "Print a table of the networks, and stop.", **define)
    _define_restore_flags(values)
    flags.DEFINE_list("trainable", [], "Scopes or variables to train; everything by default.", **define)
    alias("trainable_scopes", "trainable")
    flags.DEFINE_string(
        "train_dir", None,
        "Directory of the run: checkpoints, TensorBoard events, settings. A run in it is continued. By default "
        "a new one, runs/MODEL-DATASET-TIME.", **define,
    )  # fmt: skip
    flags.DEFINE_string("dataset", default["dataset"], f"The data: {', '.join(dataset_names())}.", **define)
    alias("dataset_name", "dataset")
    flags.DEFINE_string("data_dir", None, "Directory of the data, or to download it into.", **define)
    alias("dataset_dir", "data_dir")
    flags.DEFINE_integer(
        "image_size", None, "Height and width the network sees; by default as the dataset suggests.",
        lower_bound=1, upper_bound=4096, **define,
    )  # fmt: skip
    alias("train_image_size", "image_size")
    flags.DEFINE_integer("batch_size", default["batch_size"], "Images per step.", lower_bound=1, **define)
    flags.DEFINE_float("epochs", default["epochs"], "Passes over the training split.", lower_bound=0, **define)
    flags.DEFINE_integer("steps", None, "Steps to train, instead of --epochs.", lower_bound=1, **define)
    alias("max_number_of_steps", "steps")
    flags.DEFINE_float("learning_rate", default["learning_rate"], "Initial learning rate.", **define)
    flags.DEFINE_enum("schedule", default["schedule"], SCHEDULES, "How the learning rate falls.", **define)
    alias("learning_rate_decay_type", "schedule")
    flags.DEFINE_float(
        "decay_factor", default["decay_factor"], "What --schedule=exponential multiplies by.",
        lower_bound=0, upper_bound=1, **define,
    )  # fmt: skip
    alias("learning_rate_decay_factor", "decay_factor")
    flags.DEFINE_float("decay_epochs", default["decay_epochs"], "Epochs between such steps.", **define)
    alias("num_epochs_per_decay", "decay_epochs")
    flags.DEFINE_enum("optimizer", default["optimizer"], OPTIMIZERS, "The optimizer.", **define)
    flags.DEFINE_float(
        "momentum", default["momentum"], "Momentum, of momentum and rmsprop.",
        lower_bound=0, upper_bound=1, **define,
    )  # fmt: skip
    flags.DEFINE_float(
        "weight_decay", None, "Factor of the L2 regularizer; by default the network's own.",
        lower_bound=0, **define,
    )  # fmt: skip
    flags.DEFINE_enum(
        "precision", default["precision"], PRECISIONS,
        "bfloat16 runs convolutions in bfloat16, on CPUs that have it; variables stay float32.", **define,
    )  # fmt: skip
    flags.DEFINE_integer(
        "seed", default["seed"], "Decides order, augmentation, dropout and fresh variables.",
        lower_bound=0, upper_bound=2**31 - 1, **define,
    )  # fmt: skip
    flags.DEFINE_integer("keep", default["keep"], "Newest checkpoints to keep.", lower_bound=1, **define)
    alias("max_to_keep", "keep")
    flags.DEFINE_float(
        "save_secs", default["save_secs"],
        "Seconds after which to save, besides when validation improves and at the end.", lower_bound=0, **define,
    )  # fmt: skip
    alias("save_interval_secs", "save_secs")
    flags.DEFINE_boolean("dry_run", False, "Print what would be restored and trained, and stop.", **define)


def _define_restore_flags(values: flags.FlagValues) -> None:
    define = {"flag_values": values}
    flags.DEFINE_string(
        "checkpoint", None,
        "What to start from: a checkpoint's path, a directory with one, or a name: hed, or an official "
        "TF-Slim release such as vgg_16, which is fetched if need be. Without it all variables start afresh.",
        **define,
    )  # fmt: skip
    flags.DEFINE_alias("checkpoint_path", "checkpoint", **define)
    flags.DEFINE_list(
        "exclude", [],
        "Scopes or variables not to restore, such as vgg_16/fc8; * and re: patterns too.", **define,
    )  # fmt: skip
    flags.DEFINE_alias("checkpoint_exclude_scopes", "exclude", **define)
    flags.DEFINE_list("include", [], "Scopes or variables to restore; everything by default.", **define)
    flags.DEFINE_list(
        "rename", [],
        "FROM:TO,...: what the checkpoint has in the scope FROM restores the scope TO; several TOs of one FROM "
        "are several pairs.", **define,
    )  # fmt: skip
    flags.DEFINE_boolean("cast", False, "Convert a checkpoint of half, bfloat16 or double floats.", **define)


def settings_from(values: flags.FlagValues) -> Settings:
    """The run's settings.

    Raises:
        UsageError: a flag's value cannot work.
    """
    if not values.model:
        raise UsageError("--model is missing; --list_models shows which there are")
    get_network(values.model)
    for name in ("learning_rate", "decay_epochs", "epochs"):
        # Not `<= 0`: that lets nan pass.
        if not 0 < values[name].value < float("inf"):
            raise UsageError(f"--{name}={values[name].value} must be a positive number")
    names = [field.name for field in dataclasses.fields(Settings)]
    given = {name: values[name].value for name in names}
    given.update({name: tuple(given[name]) for name in ("include", "exclude", "rename", "trainable")})
    if given["checkpoint"] is None and (given["exclude"] or given["include"] or given["rename"]):
        raise UsageError("--exclude, --include and --rename say what to restore; they need a --checkpoint")
    parse_renames(given["rename"])
    if given["train_dir"] is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        given["train_dir"] = f"runs/{values.model}-{values.dataset}-{now}"
    given["train_dir"] = os.path.expanduser(given["train_dir"])
    return Settings(**given)


def finetune(values: flags.FlagValues) -> None:
    """Runs the command on parsed flags."""
    if values.list_models:
        print(models_table(), flush=True)
        return
    settings = settings_from(values)
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
