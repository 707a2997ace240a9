"""bin/evaluate: accuracy and loss of a checkpoint on a dataset."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import flags

from slimft.cli import common
from slimft.data import SPLITS, dataset_names
from slimft.errors import UsageError
from slimft.nets import get_network, network_names
from slimft.training.settings import PRECISIONS, load_settings

DESCRIPTION = (
    "Evaluates a checkpoint on every example of a split, once. --train_dir names a run of bin/finetune and is "
    "all it takes; without it give --model, --dataset and --checkpoint. The last line on standard output is "
    "the result as JSON."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    flags.DEFINE_string("train_dir", None, "Directory of a run of bin/finetune.", **define)
    flags.DEFINE_string(
        "checkpoint", None,
        "A checkpoint's path, directory or name; by default the newest in --train_dir (the best in validation "
        "is in its folder best).", **define,
    )  # fmt: skip
    flags.DEFINE_alias("checkpoint_path", "checkpoint", flag_values=values)
    flags.DEFINE_string("model", None, f"The network: {', '.join(network_names())}.", **define)
    flags.DEFINE_alias("model_name", "model", flag_values=values)
    flags.DEFINE_string("dataset", None, f"The data: {', '.join(dataset_names())}.", **define)
    flags.DEFINE_alias("dataset_name", "dataset", flag_values=values)
    flags.DEFINE_string("data_dir", None, "Directory of the data, or to download it into.", **define)
    flags.DEFINE_alias("dataset_dir", "data_dir", flag_values=values)
    flags.DEFINE_enum("split", "test", SPLITS, "The part of the data to evaluate on.", **define)
    flags.DEFINE_alias("dataset_split_name", "split", flag_values=values)
    flags.DEFINE_integer(
        "image_size", None, "Height and width the network sees; by default as in training.",
        lower_bound=1, upper_bound=4096, **define,
    )  # fmt: skip
    flags.DEFINE_alias("eval_image_size", "image_size", flag_values=values)
    flags.DEFINE_integer("batch_size", 64, "Images at a time.", lower_bound=1, **define)
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "As in bin/finetune.", **define)


def evaluate(values: flags.FlagValues) -> None:
    """Runs the command on parsed flags."""
    given = {name: values[name].value for name in ("model", "dataset", "checkpoint", "data_dir", "image_size")}
    if values.train_dir is not None:
        saved = load_settings(os.path.expanduser(values.train_dir))
        for name in ("model", "dataset", "data_dir", "image_size"):
            given[name] = getattr(saved, name) if given[name] is None else given[name]
        given["checkpoint"] = given["checkpoint"] or values.train_dir
    for name in ("model", "dataset", "checkpoint"):
        if not given[name]:
            raise UsageError(f"--{name} is missing; give it, or --train_dir of a run of bin/finetune")
    get_network(given["model"])
    from slimft import evaluation

    result = evaluation.evaluate(
        **given, split=values.split, batch_size=values.batch_size, precision=values.precision
    )
    common.print_result({**result, "train_dir": values.train_dir})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, evaluate, DESCRIPTION)
