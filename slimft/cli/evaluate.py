"""bin/evaluate: accuracy, per-class figures and calibration of a checkpoint on a dataset."""

from __future__ import annotations

import csv
import io
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.evaluate_folds import is_out_of_fold, out_of_fold
from slimft.cli.network_flags import define_network_flags, network_of
from slimft.cli.setting_flags import define_setting_flags
from slimft.cli.slim_flags import define_slim_flags
from slimft.cli.text_table import text_table
from slimft.data import SPLITS, WHOLE, dataset_names
from slimft.data.dataset import OF_READING
from slimft.errors import UsageError
from slimft.files import atomic_file
from slimft.messages import say
from slimft.tasks import Task
from slimft.tasks.base import show
from slimft.tasks.classification_scores import Predictions

DESCRIPTION = (
    "Evaluates a checkpoint on every example of a split, once. --train_dir names a run of bin/finetune and is "
    "all it takes; without it give --model, --dataset and --checkpoint. What was chosen and each class's figures "
    "are printed on standard error; the last line on standard output is the result as JSON."
)
_DATA_FLAGS = ("validation_share", "test_share", "split_seed", "folds", "fold", "group", "train_list", *OF_READING)
# Classes in the table, and in the JSON.
_MOST_ROWS = 40
_MOST_IN_JSON = 1000
# What tells the worst classes, by the task; how that is called; and what counts examples or pixels.
_WORST_BY = {"classification": "f1", "segmentation": "iou"}
_TITLES = {"f1": "F1", "iou": "IoU"}
_COUNTS = ("examples", "pixels")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    define_network_flags(
        values, train_dir="Directory of a run of bin/finetune.", checkpoint="", averages="Evaluate"
    )
    flags.DEFINE_string("dataset", None, f"The data: {', '.join(dataset_names())}.", **define)
    flags.DEFINE_alias("dataset_name", "dataset", flag_values=values)
    flags.DEFINE_string("data_dir", None, "Where the data is, as in bin/finetune.", **define)
    flags.DEFINE_alias("dataset_dir", "data_dir", flag_values=values)
    flags.DEFINE_enum(
        "split",
        None,
        (*SPLITS, WHOLE),
        "The part of the data to evaluate on. By default, of the data that the run was trained on, test or, where "
        "there is none, validation, as the run split it; of other data, its own test split or, where it has no "
        "splits, all of it. What the run trained on is left out of everything but train.",
        **define,
    )
    flags.DEFINE_alias("dataset_split_name", "split", flag_values=values)
    define_setting_flags(values, _DATA_FLAGS)
    flags.DEFINE_integer("batch_size", 64, "Images at a time.", lower_bound=1, **define)
    flags.DEFINE_string(
        "predictions",
        None,
        "A CSV file to write with each example's name, label, predicted class and confidence; of a segmentation "
        "with each image's mean IoU and pixel accuracy.",
        **define,
    )
    define_slim_flags(values)


def evaluate(values: flags.FlagValues) -> None:
    """Runs the command on parsed flags."""
    if values.train_dir is None and values.checkpoint is None:
        missing = next(name for name in ("model", "dataset", "checkpoint") if values[name].value is None)
        raise UsageError(f"--{missing} is missing; give it, or --train_dir of a run of bin/finetune")
    if is_out_of_fold(values):
        common.print_result(out_of_fold(values, _writable(values.predictions)))
        return
    network = network_of(values)
    if values.dataset is None and network.run is None:
        raise UsageError("--dataset is missing; give it, or --train_dir of a run of bin/finetune")
    table_file = _writable(values.predictions)
    with common.quiet_standard_error():
        from slimft import evaluation

    options = {name: values[name].value for name in _DATA_FLAGS if values[name].present}
    found = evaluation.evaluate_network(
        network, values.dataset, values.data_dir, values.split, options, values.batch_size
    )
    class_names = found.dataset.class_names
    per_class = found.scores.per_class(class_names)
    # How far confidence is from accuracy; a segmentation does not tell.
    more = {} if network.task.targets.is_map else {"ece": found.scores.calibration()["ece"]}
    say(*_text(network.task, found.result, per_class, more).split("\n"))
    if table_file is not None:  # If that fails, the figures have been told.
        _write_predictions(table_file, found)
    listed = per_class if len(per_class) <= _MOST_IN_JSON else None
    common.print_result({**found.result, **more, "per_class": listed})


def _writable(path: str | None) -> pathlib.Path | None:
    """The file to write, found out before the work is done; raises UsageError where there is no folder for it."""
    if not path:
        return None
    file = pathlib.Path(path).expanduser().resolve()
    # It is replaced, which a device must not be.
    if (file.exists() and not file.is_file()) or not os.access(file.parent, os.W_OK):
        raise UsageError(f"--predictions={path} cannot be written; name a file in a folder that is there")
    return file


def _write_predictions(file: pathlib.Path, found) -> None:
    """Writes a row for each example of an `Evaluation`, all of it or nothing."""
    rows = _rows_of_classes(found) if isinstance(found.predictions, Predictions) else _rows_of_maps(found)
    with atomic_file(file) as stream:
        # Names of files may be no Unicode: they are written as the bytes they are.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        text.detach()  # Which flushes, and leaves the stream open.


def _rows_of_classes(found) -> Iterator[list]:
    names, made = found.dataset.class_names, found.predictions
    yield ["name", "label", "predicted", "confidence"]
    for index, (label, predicted, confidence) in enumerate(zip(made.labels, made.predicted, made.confidence)):
        yield [found.dataset.describe(index), names[label], names[predicted], f"{confidence:.6f}"]


def _rows_of_maps(found) -> Iterator[list]:
    yield ["name", "mean_iou", "pixel_accuracy"]
    for one in found.predictions:  # Without a value where a mask is all void.
        figures = ("" if value is None else f"{value:.6f}" for value in (one.mean_iou, one.pixel_accuracy))
        yield [found.dataset.describe(one.index), *figures]


def _text(task: Task, result: dict, per_class: list[dict], more: dict[str, float]) -> str:
    """The figures for a person: a table of the classes, or of the worst of them, and a summary."""
    shown, note = per_class, ""
    columns = list(per_class[0])
    by = _WORST_BY[task.name]
    if len(per_class) > _MOST_ROWS:
        known = [row for row in per_class if row[by] is not None]
        shown = sorted(known, key=lambda row: row[by])[:_MOST_ROWS]
        title = _TITLES.get(by, by)
        note = f"\nthese are the {len(shown)} of {len(per_class)} classes with the lowest {title}"
    rows = [[_cell(name, row[name]) for name in columns] for row in shown]
    table = text_table(columns, rows, left=1)
    weights = " of the weights' moving averages" if result["averages"] else ""
    told = [f"{figure.short} {show(result[figure.name])}" for figure in task.figures]
    told += [f"calibration error (ECE) {value:.4f}" for value in more.values()]
    return f"{table}{note}\n{result['split']}{weights}: {', '.join(told)}"


def _cell(column: str, value) -> str:
    return value if column == "class" else f"{value:,}" if column in _COUNTS else show(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, evaluate, DESCRIPTION)
