"""bin/dataset: a look at the data before anything trains on it."""

from __future__ import annotations

import os
import pathlib
import sys
import time
import warnings
from collections.abc import Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.setting_flags import define_setting_flags
from slimft.data import DataOptions, dataset_names
from slimft.data.dataset import OF_READING
from slimft.errors import UsageError
from slimft.inspection.duplicates import MOST_NEAR_BITS, NEAR_BITS
from slimft.messages import say
from slimft.nets import get_network

DESCRIPTION = (
    "Looks at data before anything trains on it: how many images each class has, their sizes and formats, which "
    "cannot be read, and which are there twice, as copies or as near duplicates, above all in two splits. DIR is "
    "a folder with a folder for each class, or what --dataset says; it is split as bin/finetune would with the "
    "same flags. Nothing is written but --report and --manifest. What was found is printed on standard error; the "
    "last line on standard output is the same as JSON. Exit status: 0; 1 if images cannot be read, if one is in "
    "two splits or in two classes, or if bin/finetune would not train on the data; 2 if anything else is wrong."
)
_DATA_FLAGS = (
    "validation_share", "test_share", "split_seed", "folds", "fold", "group", "train_list",
    *(name for name in OF_READING if name != "cache"),
)  # fmt: skip
# What most networks see.
_IMAGE_SIZE = 224


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    flags.DEFINE_string("dataset", "image_folder", f"The data: {', '.join(dataset_names())}.", **define)
    flags.DEFINE_alias("dataset_name", "dataset", flag_values=values)
    flags.DEFINE_string("data_dir", None, "Where the data is; the same as DIR.", **define)
    flags.DEFINE_alias("dataset_dir", "data_dir", flag_values=values)
    define_setting_flags(values, _DATA_FLAGS)
    flags.DEFINE_integer(
        "near",
        NEAR_BITS,
        "In how many of its 64 bits the perceptual hash of a near duplicate may differ; 0 finds little but other "
        f"formats and sizes, {MOST_NEAR_BITS} much that is not the same. -1 looks for copies alone.",
        lower_bound=-1,
        upper_bound=MOST_NEAR_BITS,
        **define,
    )
    flags.DEFINE_string(
        "model", None, f"The network that is to see them; its size counts, else {_IMAGE_SIZE} pixels.", **define
    )
    flags.DEFINE_alias("model_name", "model", flag_values=values)
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width at which it is to see them.",
        lower_bound=1,
        upper_bound=4096,
        **define,
    )
    flags.DEFINE_alias("train_image_size", "image_size", flag_values=values)
    flags.DEFINE_string(
        "report", None, "A web page to write: the figures, samples of each class, duplicates, odd files.", **define
    )
    flags.DEFINE_string(
        "manifest",
        None,
        "Of an image folder: a CSV file to write, for --dataset=csv, of the images that can be read, with a column "
        "group for those that are the same, so that no split divides these.",
        **define,
    )
    flags.DEFINE_integer("sample", 8, "Images of each class on that page.", lower_bound=1, upper_bound=64, **define)
    flags.DEFINE_integer("seed", 0, "Decides which these are.", lower_bound=0, **define)


def look(values: flags.FlagValues, arguments: list[str]) -> int:
    """Runs the command on parsed flags and arguments; returns the exit status."""
    began = time.monotonic()
    data_dir = _data_dir(values, arguments)
    report, manifest = (_file_to_write(name, values[name].value, data_dir) for name in ("report", "manifest"))
    if manifest is not None and (values.dataset != "image_folder" or values.group is not None):
        raise UsageError(f"--manifest={manifest}: it is for --dataset=image_folder, and without --group")
    image_size = values.image_size or (
        get_network(values.model).default_image_size if values.model else _IMAGE_SIZE
    )
    from slimft.inspection import text  # Late, as all that loads Pillow.
    from slimft.inspection.data import has_own_splits, open_data
    from slimft.inspection.findings import find, groups_of
    from slimft.inspection.looks import look_at
    from slimft.inspection.search import search

    # What Pillow says of an odd but readable file.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    options = DataOptions(**{name: values[name].value for name in _DATA_FLAGS})
    data = open_data(values.dataset, data_dir, options)
    looks = look_at(data)
    searched = search(data, looks, values.near)
    groups = groups_of(data, searched.groups)
    result = find(data, looks, searched.groups, groups, values.near, image_size)
    result["notes"] += searched.notes
    result = {"data_dir": data_dir, **result, "seconds": round(time.monotonic() - began, 2)}
    say(*text.lines(data, result))
    if report is not None:
        from slimft.inspection.page import write_page

        write_page(report, data, looks, groups, result, values.sample, values.seed)
        result["report"] = str(report)
    if manifest is not None:
        from slimft.inspection.manifest import write_manifest

        drawn = not has_own_splits(values.dataset, data_dir, options)
        written, grouped = write_manifest(manifest, data, looks, searched.groups, drawn)
        say(f"{manifest}: {written:,} images, {grouped:,} of them in groups that stay together")
        result["manifest"] = str(manifest)
    common.print_result(result)
    return 1 if result["problems"] else 0


def _data_dir(values: flags.FlagValues, arguments: list[str]) -> str | None:
    if len(arguments) > 1:
        raise UsageError(
            f"one folder can be looked at, and there are {len(arguments)}: {arguments[0]}, {arguments[1]}"
        )
    if arguments and values.data_dir is not None:
        raise UsageError(f"{arguments[0]} and --data_dir={values.data_dir}: give one of them")
    return arguments[0] if arguments else values.data_dir


def _file_to_write(name: str, path: str | None, data_dir: str | None) -> pathlib.Path | None:
    """What the flag `name` says to write, which is not in the data."""
    if path is None:
        return None
    file = pathlib.Path(os.path.expanduser(path))
    if not path or file.is_dir():
        raise UsageError(f"--{name}={path} is a folder; name a file")
    if not file.parent.is_dir():
        raise UsageError(f"--{name}={path}: there is no directory {file.parent}")
    if data_dir is not None:
        root = pathlib.Path(os.path.expanduser(data_dir)).resolve()
        if root.is_dir() and root in file.resolve().parents:
            raise UsageError(f"--{name}={path} is within {data_dir}, where nothing is written; name another place")
    return file


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, look, DESCRIPTION, positional="[DIR]")
