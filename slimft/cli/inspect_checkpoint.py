"""bin/inspect_checkpoint: what is in a checkpoint, whether it is intact, and what of it fits a network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from absl import flags

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.cli import common, inspections
from slimft.cli.text_table import json_ready
from slimft.errors import UsageError
from slimft.messages import printable
from slimft.nets import get_network
from slimft.renaming import parse_renames

DESCRIPTION = (
    "Lists the variables of checkpoints, without TensorFlow and without reading their values: TensorFlow V1 and "
    "V2 files, Keras .h5 and .keras, .npz, .safetensors, frozen graphs (.pb), pickles and .npy files of named "
    "arrays. A PATH is a file, the prefix of a V2 checkpoint, a directory with a checkpoint or of a SavedModel, "
    "or a name: hed, an official release such as vgg_16, or hf:OWNER/NAME[@REVISION][:FILE] for weights of a "
    "Hugging Face repository. --stats adds figures of the values; --verify, --diff and --model tell something "
    "else instead of the listing. Exit status: 0; 1 if --verify finds damage or --diff a difference; 2 if "
    "something is wrong with the command line or a checkpoint cannot be read, if it does not fit --model, or if "
    "the answer cannot be written to standard output."
)
_MODES = ("verify", "diff", "model")
_ONLY_TO_LIST = ("stats", "depth")
_ONLY_WITH_MODEL = ("include", "exclude", "rename", "num_classes", "cast")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = {"flag_values": values}
    flags.DEFINE_string(
        "match",
        None,
        "Only the variables in these scopes or of these names (or full names), such as vgg_16/fc8; * and re: "
        "patterns too.",
        **define,
    )
    flags.DEFINE_boolean(
        "stats",
        False,
        "Read the values too: mean, standard deviation, least and largest of the finite ones, how many are NaN "
        "and infinite.",
        **define,
    )
    flags.DEFINE_integer(
        "depth",
        None,
        "Levels of scopes in the totals; by default 2, or 1 where there are many top scopes.",
        lower_bound=1,
        **define,
    )
    flags.DEFINE_boolean(
        "verify",
        False,
        "Read everything and check every checksum of the format; says which variables are damaged.",
        **define,
    )
    flags.DEFINE_string(
        "diff",
        None,
        "Another checkpoint, as PATH: names, shapes, dtypes and values that differ. Values are compared bit by "
        "bit; only NaNs in the same place are equal whatever their bits.",
        **define,
    )
    flags.DEFINE_string(
        "model",
        None,
        "A network, such as vgg_16: what of the checkpoint would restore which variable of it.",
        **define,
    )
    flags.DEFINE_string("include", None, "With --model: the variables to restore; all by default.", **define)
    flags.DEFINE_string("exclude", None, "With --model: variables not to restore, such as vgg_16/fc8.", **define)
    flags.DEFINE_list("rename", [], "With --model: FROM:TO,... scopes of the checkpoint and the network.", **define)
    flags.DEFINE_boolean("cast", False, "With --model: convert floats to the network's dtype.", **define)
    flags.DEFINE_integer(
        "num_classes",
        None,
        "With --model: its classes; by default as of its ImageNet checkpoint.",
        lower_bound=1,
        **define,
    )
    flags.DEFINE_boolean("json", False, "Print one line of JSON: a list with an object for each PATH.", **define)


def inspect_checkpoint(values: flags.FlagValues, paths: list[str]) -> int:
    """Runs the command on parsed flags and paths; returns the exit status."""
    if not paths:
        raise UsageError("name a checkpoint: a path, a directory, or a name such as hed")
    mode = _mode(values)
    # By pread, not mapped: a file that shrinks meanwhile is an error then.
    checkpoints = [open_checkpoint(path, memory_map=False) for path in paths]
    answer = _inspection(mode, values)
    answers = []
    for checkpoint in checkpoints:
        answers.append(answer(checkpoint))
        if not values.json:
            heading = f"{printable(checkpoint.path)} ({checkpoint.format})\n\n" if len(paths) > 1 else ""
            gap = "\n" if len(answers) > 1 else ""
            print(f"{gap}{heading}{answers[-1].text}", flush=True)
    if values.json:
        described = [
            {"path": checkpoint.path, "format": checkpoint.format, **one.result}
            for checkpoint, one in zip(checkpoints, answers)
        ]
        common.print_result(json_ready(described))
    for one in answers:
        if one.error is not None:
            raise one.error
    return max(one.status for one in answers)


def _mode(values: flags.FlagValues) -> str:
    """What to do: one of `_MODES`, or ``list``; raises UsageError where flags do not go together."""
    chosen = [mode for mode in _MODES if values[mode].value not in (None, False)] or ["list"]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} do not go together; run the command twice")
    mode = chosen[0]
    for name in _ONLY_TO_LIST if mode != "list" else ():
        if values[name].value:
            raise UsageError(f"--{name} belongs to the listing, and --{mode} replaces that; leave one of them out")
    for name in _ONLY_WITH_MODEL if mode != "model" else ():
        if values[name].value:
            raise UsageError(f"--{name} says what --model restores; give --model, or --match to select variables")
    if mode == "model":
        get_network(values.model)
        if values.match:
            raise UsageError("--match does not go with --model; --include and --exclude say what to restore")
    return mode


def _inspection(mode: str, values: flags.FlagValues) -> Callable[[Checkpoint], inspections.Answer]:
    """What `mode` asks of each checkpoint."""
    if mode == "model":
        return inspections.planner(
            values.model,
            values.num_classes,
            include=values.include,
            exclude=values.exclude,
            rename=parse_renames(values.rename) or None,
            cast=values.cast,
        )
    if mode == "verify":
        return lambda checkpoint: inspections.verify(checkpoint, values.match)
    if mode == "diff":
        other = open_checkpoint(values.diff, memory_map=False)
        return lambda checkpoint: inspections.diff(checkpoint, other, values.match)
    return lambda checkpoint: inspections.list_variables(checkpoint, values.match, values.stats, values.depth)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, inspect_checkpoint, DESCRIPTION, positional="PATH...")
