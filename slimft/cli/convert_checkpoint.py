"""bin/convert_checkpoint: writes a checkpoint, or a part of one, in another format."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import flags

from slimft.checkpoint import Checkpoint, open_checkpoint, write_checkpoint
from slimft.checkpoint.dtypes import dtype_of_name
from slimft.checkpoint.locate import files_at
from slimft.checkpoint.object_graph import KEY as OBJECT_GRAPH
from slimft.checkpoint.write import files_to_write, format_to_write
from slimft.cli import common
from slimft.cli.listing import Totals, rows_of
from slimft.cli.read_progress import ReadProgress
from slimft.cli.text_table import dtype_text
from slimft.errors import CheckpointError, UsageError
from slimft.filters import VariableFilter
from slimft.local_paths import check_local
from slimft.messages import say
from slimft.renaming import parse_renames, renamed

DESCRIPTION = (
    "Writes the variables of the checkpoint SRC to DST, one at a time, without TensorFlow. SRC is a TensorFlow "
    "V1 or V2 checkpoint, a Keras .h5 or .keras, an .npz, a .safetensors, a frozen graph (.pb), a pickle or "
    ".npy of named arrays, a directory with a checkpoint or of a SavedModel, or a name: hed, an official "
    "release such as vgg_16, or hf:OWNER/NAME[@REVISION][:FILE] for weights of a Hugging Face repository. DST "
    "ends in .npz or .safetensors, or is the prefix of a TensorFlow V2 checkpoint, such as model.ckpt. What SRC "
    "has checksums for is checked; DST gets its name when all of it is on the disk. With --model, SRC holds "
    "Keras Applications', torchvision's, timm's or Caffe's weights (vgg16.npy) of that network, and DST gets "
    "TF-Slim's variables. The last line on standard output is the result as JSON."
)
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_OBJECT_CONFIG = "/.ATTRIBUTES/OBJECT_CONFIG_JSON"


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = {"flag_values": values}
    flags.DEFINE_string(
        "include",
        None,
        "Scopes or variables of SRC to convert, such as vgg_16/conv1; * and re: patterns too; all by default.",
        **define,
    )
    flags.DEFINE_string("exclude", None, "Scopes or variables of SRC to leave out.", **define)
    flags.DEFINE_list(
        "rename",
        [],
        "FROM:TO,...: what SRC has in the scope FROM, or by that name, goes by TO in DST; several TOs of one FROM "
        "are several pairs.",
        **define,
    )
    flags.DEFINE_enum(
        "dtype",
        None,
        _DTYPES,
        "Convert floating-point variables; it is an error if a value is too large for it.",
        **define,
    )
    flags.DEFINE_boolean(
        "full_names",
        False,
        "Of an object-based TensorFlow 2 checkpoint: the variables by their full names (Variable.name) instead of "
        "its keys, and nothing else.",
        **define,
    )
    flags.DEFINE_string(
        "model",
        None,
        "SRC holds Keras Applications', torchvision's or timm's weights of this network, such as mobilenet_v2: "
        "write them as TF-Slim's variables, float32; the other flags are about these.",
        **define,
    )
    for flag in ("mean", "std"):
        flags.DEFINE_list(
            flag,
            None,
            f"R,G,B: of torchvision's or timm's weights, the {flag} that images, from 0 to 1, were normalized "
            "with; by default that of the library's own weights.",
            **define,
        )
    flags.DEFINE_boolean("overwrite", False, "Replace DST if it is there.", **define)


def convert_checkpoint(values: flags.FlagValues, paths: list[str]) -> None:
    """Runs the command on parsed flags and paths."""
    if len(paths) != 2:
        raise UsageError(f"give two paths, SRC and DST, not {len(paths)}")
    check_local(paths[1])
    destination = os.path.expanduser(paths[1])
    kind = format_to_write(destination)
    # By pread, not mapped: a file that changes meanwhile is an error then.
    source = open_checkpoint(paths[0], memory_map=False)
    _check_destination(source, destination, values.overwrite)
    if values.model:
        source = _converted(source, values)
    elif values.mean or values.std:
        raise UsageError("--mean and --std say what images a network takes; give --model too")
    names = _names(source, kind, values)
    dtype = dtype_of_name(values.dtype) if values.dtype else None
    with common.terminated_by_exception(), ReadProgress(source, names, dtype) as variables:
        write_checkpoint(destination, variables)
    _check_written(destination, variables)
    totals = Totals.of(rows_of(variables, variables, {}))
    common.print_result(
        {
            "source": source.path,
            "destination": destination,
            "format": kind,
            **({"model": values.model} if values.model else {}),
            "variables": totals.variables,
            "parameters": totals.parameters,
            "bytes": sum(map(os.path.getsize, files_at(destination))),
        }
    )


def _converted(source: Checkpoint, values: flags.FlagValues) -> Checkpoint:
    """Another library's weights as TF-Slim's; says on standard error what is left out and what differs.

    Raises:
        UsageError, CheckpointError: as from `converted`.
    """
    from slimft.conversion import converted

    checkpoint = converted(source, values.model, _floats("mean", values.mean), _floats("std", values.std))
    for note in checkpoint.notes:
        say(f"convert_checkpoint: {note}")
    return checkpoint


def _floats(flag: str, texts: list[str] | None) -> list[float] | None:
    try:
        return texts and [float(text) for text in texts]
    except ValueError:
        raise UsageError(f"--{flag}={','.join(texts)}: give three numbers, of red, green and blue") from None


def _check_destination(source: Checkpoint, destination: str, overwrite: bool) -> None:
    """Raises UsageError if `destination` cannot be written or should not be."""
    folder = os.path.dirname(destination) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"cannot write {destination}: there is no directory {folder}; make it first")
    files = [file for file in files_to_write(destination) if os.path.lexists(file)]
    sources = files_at(source.path)
    for file in files:
        if os.path.exists(file) and any(os.path.samefile(file, other) for other in sources):
            raise UsageError(f"{destination} is the source itself; write to another name")
    if destination not in files_to_write(destination) and os.path.lexists(destination):
        raise UsageError(f"{destination} is a file that a V2 checkpoint of that name would hide; take another name")
    if files and not overwrite:
        raise UsageError(f"{files[0]} is there already; choose another name, or replace it with --overwrite")


def _names(source: Checkpoint, kind: str, values: flags.FlagValues) -> dict[str, str]:
    """The names in the destination, each with the name in the source.

    Raises:
        PatternError, RestoreError: as from the filter and the renaming.
        UsageError: nothing is selected, or there are no full names.
    """
    names = dict(source.aliases()) if values.full_names else {name: name for name in source}
    if not names:
        raise UsageError(f"{source.path} has no full names, as object-based checkpoints do; leave --full_names out")
    chosen = VariableFilter(values.include, values.exclude).select(names)
    if kind != "tensorflow_v2":
        bookkeeping = [name for name in chosen if _is_bookkeeping(source, names[name])]
        if bookkeeping:
            say(
                f"convert_checkpoint: {', '.join(bookkeeping)} left out: strings of TensorFlow 2's own, which "
                f".{kind} cannot hold"
            )
        chosen = [name for name in chosen if name not in bookkeeping]
    if not chosen:
        raise UsageError("nothing is left to convert; change --include or --exclude")
    new_names = renamed(chosen, parse_renames(values.rename) or None, source.path)
    return {new: names[name] for new, name in new_names.items()}


def _is_bookkeeping(source: Checkpoint, name: str) -> bool:
    return source.dtype(name).hasobject and (name == OBJECT_GRAPH or name.endswith(_OBJECT_CONFIG))


def _check_written(destination: str, variables: Checkpoint) -> None:
    """Opens what was written; raises CheckpointError unless all names, shapes and dtypes are there."""
    if _described(open_checkpoint(destination)) != _described(variables):
        raise CheckpointError(f"{destination} was written, but does not read back as it should; do not use it")


def _described(checkpoint: Checkpoint) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (checkpoint.shape(name), dtype_text(checkpoint.dtype(name))) for name in checkpoint}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, convert_checkpoint, DESCRIPTION, positional="SRC DST")
