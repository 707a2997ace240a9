"""bin/evaluate of a cross-validation without other data: each fold on what it did not train on, put together."""

from __future__ import annotations

import pathlib

from absl import flags

from slimft.cli import common
from slimft.cli.network_flags import networks_of
from slimft.data import WHOLE
from slimft.errors import UsageError
from slimft.files import write_table
from slimft.runs.folds import is_cross_validation, read_folds

# What these figures are made with.
_TAKES = (
    "train_dir",
    "batch_size",
    "averages",
    "precision",
    "image_size",
    "eval_image_size",
    "split",
    "predictions",
)
_SPLITS = ("test", WHOLE)


def is_out_of_fold(values: flags.FlagValues) -> bool:
    """Whether the flags ask for the figures of a cross-validation on its own data."""
    told = (values.train_dir, values.dataset, values.data_dir)
    return told[1:] == (None, None) and told[0] is not None and is_cross_validation(told[0])


def out_of_fold(values: flags.FlagValues, predictions: pathlib.Path | None) -> dict:
    """The figures; `predictions` is where to write each example's.

    Raises:
        UsageError: a flag has no meaning here.
        SlimftError: as `slimft.cross_validation.out_of_fold.evaluate_folds`.
    """
    what = f"--train_dir={values.train_dir} is a cross-validation, evaluated on what each fold did not train on"
    for name in values:
        if values[name].present and name not in _TAKES and not name.endswith("help"):
            raise UsageError(f"--{name}={values[name].value}: {what}; name one fold for that, or other data")
    if values.split is not None and values.split not in _SPLITS:
        raise UsageError(f"--split={values.split}: {what}; name one fold for another split")
    networks = networks_of(values)
    with common.quiet_standard_error():
        from slimft.cross_validation.out_of_fold import evaluate_folds
    outcome = evaluate_folds(read_folds(values.train_dir), networks, batch_size=values.batch_size)
    if predictions is not None:
        write_table(predictions, outcome.pooled.rows())
    return outcome.result
