"""bin/evaluate: accuracy, per-class figures and calibration of a checkpoint on a dataset."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags

from slimft.cli import common
from slimft.cli.evaluate_folds import is_out_of_fold, out_of_fold
from slimft.cli.network_flags import define_network_flags, networks_of
from slimft.cli.output_files import writable
from slimft.cli.setting_flags import define_setting_flags
from slimft.cli.slim_flags import define_slim_flags
from slimft.data import SPLITS, WHOLE, dataset_names
from slimft.data.dataset import OF_READING
from slimft.data.views import TTA
from slimft.errors import UsageError
from slimft.files import write_atomically, write_table
from slimft.messages import say
from slimft.tasks.classification_scores import Predictions

if TYPE_CHECKING:
    from slimft.assessment import Assessment

DESCRIPTION = (
    "Evaluates a checkpoint, or an ensemble of several, on every example of a split, once. --train_dir names a run "
    "of bin/finetune and is all it takes; without it give --model, --dataset and --checkpoint. What was chosen and "
    "each class's figures are printed on standard error; the last line on standard output is the result as JSON."
)
_DATA_FLAGS = ("validation_share", "test_share", "split_seed", "folds", "fold", "group", "train_list", *OF_READING)
# Classes of which the file of predictions has the probabilities unless it is told otherwise.
_MOST_COLUMNS = 200


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    define_network_flags(
        values,
        train_dir="Directory of a run of bin/finetune; several (A,B,C) are an ensemble, whose probabilities are "
        "averaged, on the data of the first.",
        checkpoint="",
        averages="Evaluate",
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
    flags.DEFINE_integer(
        "examples",
        None,
        "Evaluate so many examples of the split only, of each class its share; which, follows from their names and "
        "the run's --split_seed.",
        lower_bound=1,
        **define,
    )
    flags.DEFINE_enum(
        "tta",
        "none",
        TTA,
        "Test-time augmentation: average the probabilities over an image and its mirror image (flips), over five "
        "crops of 7/8 of its sides (crops), or over these and their mirror images (ten_crops).",
        **define,
    )
    flags.DEFINE_list(
        "top",
        None,
        "K,...: also tell how often the right class is among the K likeliest; by default 5 where there are more "
        "than 10 classes.",
        **define,
    )
    flags.DEFINE_integer(
        "bootstrap",
        None,
        "Resamples that 95 % intervals come from, 0 for none; by default 1000, without intervals of areas under "
        "curves where these would take long. Where the data has groups (--group), these are drawn, else images.",
        lower_bound=0,
        upper_bound=1_000_000,
        **define,
    )
    flags.DEFINE_multi_string(
        "threshold_for",
        None,
        "recall:R or precision:P, and of one class recall:R:CLASS, repeated: choose on the validation split from "
        "which probability on each class is said, so that its recall or precision is that; then tell what this "
        "reaches on the evaluated split.",
        **define,
    )
    flags.DEFINE_string(
        "thresholds_file",
        None,
        "A JSON file to write these thresholds to, for bin/predict --threshold=FILE.json.",
        **define,
    )
    flags.DEFINE_string(
        "predictions",
        None,
        "A CSV file to write with each example's name, label, predicted class and confidence; of a segmentation "
        "with each image's mean IoU and pixel accuracy.",
        **define,
    )
    flags.DEFINE_boolean(
        "probabilities",
        None,
        f"Whether --predictions has the probabilities of all classes; by default of at most {_MOST_COLUMNS}.",
        **define,
    )
    define_slim_flags(values)


def evaluate(values: flags.FlagValues) -> None:
    """Runs the command on parsed flags."""
    if values.train_dir is None and values.checkpoint is None:
        missing = next(name for name in ("model", "dataset", "checkpoint") if values[name].value is None)
        raise UsageError(f"--{missing} is missing; give it, or --train_dir of a run of bin/finetune")
    if is_out_of_fold(values):
        common.print_result(out_of_fold(values, _writable(values, "predictions")))
        return
    networks = networks_of(values)
    if values.dataset is None and networks[0].run is None:
        raise UsageError("--dataset is missing; give it, or --train_dir of a run of bin/finetune")
    table_file, thresholds_file = (_writable(values, flag) for flag in ("predictions", "thresholds_file"))
    if thresholds_file is not None and not values.threshold_for:
        raise UsageError(
            f"--thresholds_file={values.thresholds_file} needs --threshold_for, such as --threshold_for=recall:0.95"
        )
    with common.quiet_standard_error():
        from slimft import assessment
        from slimft.cli.evaluation_text import text_of

    options = {name: values[name].value for name in _DATA_FLAGS if values[name].present}
    asked = assessment.Asked(
        tta=values.tta,
        top=_numbers(values.top),
        bootstrap=values.bootstrap,
        threshold_for=values.threshold_for or (),
        examples=values.examples,
    )
    found = assessment.assess(
        networks, values.dataset, values.data_dir, values.split, options, values.batch_size, asked
    )
    say(*text_of(networks[0].task, found))
    if table_file is not None:  # If that fails, the figures have been told.
        _write_predictions(table_file, found, values.probabilities)
    if thresholds_file is not None and found.thresholds is not None:
        told = found.thresholds.to_json(found.result)
        write_atomically(thresholds_file, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    common.print_result(found.result)


def _numbers(told: Sequence[str] | None) -> tuple[int, ...] | None:
    """Those of --top; raises UsageError for what is none."""
    if told is None:
        return None
    if not all(text.isascii() and text.isdigit() for text in told):
        raise UsageError(f"--top={','.join(told)} must be whole numbers with commas between them, such as 1,5")
    return tuple(map(int, told))


def _writable(values: flags.FlagValues, flag: str) -> pathlib.Path | None:
    path = values[flag].value
    return writable(path, f"--{flag}") if path else None


def _write_predictions(file: pathlib.Path, found: Assessment, in_full: bool | None) -> None:
    """Writes a row for each example, all of it or nothing.

    Args:
        file: the CSV file.
        found: what was found.
        in_full: whether with the probabilities of all classes; None for where there are not too many.
    """
    is_map = not isinstance(found.evaluation.predictions, Predictions)
    rows = _rows_of_maps(found.evaluation) if is_map else _rows_of_classes(found, in_full)
    write_table(file, rows)


def _rows_of_classes(found: Assessment, in_full: bool | None) -> Iterator[list]:
    data, made = found.evaluation.dataset, found.evaluation.predictions
    names = data.class_names
    shares = made.probabilities if (len(names) <= _MOST_COLUMNS if in_full is None else in_full) else None
    if in_full and shares is None:
        say("--predictions: without the probabilities of all classes, which take more than 2 GB of memory")
    decided = None if found.thresholds is None else found.thresholds.decisions()
    columns = ["name", "label", "predicted", "confidence", *(["decision"] if decided else [])]
    yield [*columns, *(f"probability_{name}" for name in names if shares is not None)]
    for index, (label, predicted, confidence) in enumerate(zip(made.labels, made.predicted, made.confidence)):
        row = [data.describe(index), names[label], names[predicted], f"{confidence:.6f}"]
        row += [decided[index]] if decided else []
        yield [*row, *(f"{share:.6g}" for share in (shares[index] if shares is not None else ()))]


def _rows_of_maps(found) -> Iterator[list]:
    yield ["name", "mean_iou", "pixel_accuracy"]
    for one in found.predictions:  # Without a value where a mask is all void.
        figures = ("" if value is None else f"{value:.6f}" for value in (one.mean_iou, one.pixel_accuracy))
        yield [found.dataset.describe(one.index), *figures]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, evaluate, DESCRIPTION)
