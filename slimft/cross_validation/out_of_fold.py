"""What the folds of a cross-validation say of the examples that they did not train on, put together."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slimft.data.label_errors import ERRORS_FILE, LabelErrors, find_label_errors, rows_of_errors
from slimft.errors import DataError
from slimft.evaluation import Evaluation, evaluate_network
from slimft.files import write_table
from slimft.inference import Network
from slimft.messages import say
from slimft.runs import pictures
from slimft.runs.data_record import read_data_record
from slimft.runs.folds import Folds
from slimft.runs.read import read_run
from slimft.runs.result import write_result
from slimft.tasks.base import in_words
from slimft.tasks.classification_scores import Predictions

PREDICTIONS_FILE = "predictions.csv"
# Of all examples, 1 GB of float32.
_MOST_PROBABILITIES = 1 << 28
# Likely label errors in the report.
_MOST_SHOWN = 48


class OutOfFold:
    """The examples of all folds' test parts, one fold after the other, and what is predicted of each.

    It has what pictures are made by: `describe`, `read` and `image_shape`, as `slimft.data.Dataset`.

    Args:
        evaluations: of each fold, its network on its own test part.

    Attributes:
        predictions: of all of them.
        folds: int64 ``[examples]``, the fold that each is of.
        class_names: the classes' names.

    Raises:
        DataError: the folds are of different classes.
    """

    def __init__(self, evaluations: Sequence[Evaluation]):
        self._datasets = [one.dataset for one in evaluations]
        self.class_names = self._datasets[0].class_names
        for fold, data in enumerate(self._datasets):
            if data.class_names != self.class_names:
                raise DataError(f"fold {fold} is of other classes than fold 0; train all folds on the same data")
        parts = [one.predictions for one in evaluations]
        self._sizes = [len(part.labels) for part in parts]
        self.folds = np.repeat(np.arange(len(parts)), self._sizes)
        kept = all(part.probabilities is not None for part in parts)
        names = [field.name for field in dataclasses.fields(Predictions)][:4]
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        probabilities = np.concatenate([part.probabilities for part in parts]) if kept else None
        self.predictions = Predictions(*joined, parts[0].num_classes, probabilities)

    def _place(self, index: int) -> tuple[Any, int]:
        fold = int(self.folds[index])
        return self._datasets[fold], int(index) - sum(self._sizes[:fold])

    def describe(self, index: int) -> str:
        """What to call an example."""
        data, its = self._place(index)
        return data.describe(its)

    def image_shape(self, side: int) -> tuple[int, int, int]:
        """As of a dataset."""
        return self._datasets[0].image_shape(side)

    def read(self, indices: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
        """As of a dataset."""
        places = map(self._place, indices.tolist())
        return np.concatenate([data.read(np.array([its]), image_shape) for data, its in places])

    def digests(self) -> set[str]:
        """What the examples' files hold, as of a dataset."""
        return {digest for data in self._datasets for digest in data.digests() or ()}

    def rows(self) -> Iterator[list]:
        """The rows of ``predictions.csv``, its header first."""
        made, names = self.predictions, self.class_names
        given = made.probabilities
        shares = [] if given is None else [f"probability_{name}" for name in names]
        yield ["name", "label", "fold", "predicted", "confidence", *shares]
        for index, fold in enumerate(self.folds.tolist()):
            row = [self.describe(index), names[made.labels[index]], fold, names[made.predicted[index]]]
            yield [*row, _six(made.confidence[index]), *([] if given is None else map(_six, given[index]))]


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What a cross-validation came to; made by `evaluate_folds`.

    Attributes:
        folds: the cross-validation.
        pooled: all examples, each as the fold predicts it that did not train on it.
        result: figures, for one line of JSON: ``model, dataset, data_dir, split`` (``test``), ``folds``,
            ``examples``, ``accuracy, balanced_accuracy, macro_f1, loss`` over all examples, ``untested`` (how many
            examples no fold tests), ``label_errors`` (how many are likely; None where they were not looked for),
            ``train_dir``; ``mean`` and ``standard_deviation`` (of a sample) of each figure over the folds;
            ``per_fold``, a list of ``fold, step, examples`` and the figures; ``per_class`` and ``confusion_matrix``
            (None beyond 200 classes).
        errors: the likely label errors; None where there are too many probabilities to keep.
    """

    folds: Folds
    pooled: OutOfFold
    result: dict
    errors: LabelErrors | None

    def write(self) -> None:
        """Writes ``predictions.csv``, ``label_errors.csv`` and ``result.json``, which the report is made of."""
        made, shown = self.pooled.predictions, []
        write_table(self.folds.path / PREDICTIONS_FILE, self.pooled.rows())
        if self.errors is not None and made.probabilities is not None:
            rows = rows_of_errors(self.errors, made.labels, self.pooled.class_names, self.pooled.describe)
            write_table(self.folds.path / ERRORS_FILE, rows)
            shown = pictures.label_errors(self.pooled, self.errors, made.probabilities, made.labels, _MOST_SHOWN)
        write_result(
            self.folds.path,
            {name: value for name, value in self.result.items() if not isinstance(value, (dict, list))},
            restore="",
            class_names=self.pooled.class_names,
            class_counts={},
            scores=made.scores,
            dataset=self.pooled,
            label_errors=shown,
            folds=self.result["per_fold"],
        )


def evaluate_folds(
    folds: Folds, networks: Sequence[Network], data_dir: str | None = None, batch_size: int = 64
) -> Outcome:
    """Evaluates each fold's network on the part of the data that tests it, so that each example is predicted once.

    Args:
        folds: the cross-validation; all of its folds have come to their end.
        networks: of each fold its network.
        data_dir: where the data is; None for where each fold had it.
        batch_size: examples at a time.

    Raises:
        DataError: the data is missing, or of other classes.
        SlimftError: as `slimft.evaluation.evaluate_network`.
    """
    in_full = _number_of_probabilities(folds) <= _MOST_PROBABILITIES
    task = networks[0].task
    figures = [figure.name for figure in task.figures]
    evaluations, per_fold = [], []
    for fold, network in enumerate(networks):
        say(f"fold {fold} of {folds.number}, on what it did not train on:")
        one = evaluate_network(network, None, data_dir, "test", None, batch_size, in_full)
        evaluations.append(one)
        per_fold.append({"fold": fold, **{name: one.result[name] for name in ("step", "examples", *figures)}})
    pooled = OutOfFold(evaluations)
    made = pooled.predictions
    errors = None
    if made.probabilities is not None:
        errors = find_label_errors(made.labels, made.probabilities)
    else:
        say(
            f"of so many examples and classes {PREDICTIONS_FILE} has no probabilities, and label errors are not "
            "looked for"
        )
    findings = made.scores.findings(pooled.class_names)
    result = {
        **{name: evaluations[0].result[name] for name in ("model", "dataset", "data_dir", "split")},
        "folds": folds.number,
        **made.summary(),
        "untested": _untested(folds, pooled),
        "label_errors": None if errors is None else len(errors),
        "train_dir": str(folds.path),
        "mean": {name: statistics.fmean(one[name] for one in per_fold) for name in figures},
        "standard_deviation": {name: statistics.stdev(one[name] for one in per_fold) for name in figures},
        "per_fold": per_fold,
        "per_class": findings["per_class"],
        "confusion_matrix": findings["confusion_matrix"],
    }
    for number, one in enumerate(per_fold):
        say(f"fold {number}: {one['examples']} examples, {in_words(task, one)}")
    say(f"out of fold: {result['examples']} examples, each once, {in_words(task, result)}")
    if result["untested"]:
        say(
            f"{result['untested']} more are tested by no fold: a class's only example or group always trains, a "
            "copy of a training image tests nothing, and what is no longer there neither"
        )
    return Outcome(folds, pooled, result, errors)


def _number_of_probabilities(folds: Folds) -> int:
    """How many there are of all examples, by what the folds' results tell."""
    counts = [read_run(folder).result.class_counts.get("test", ()) for folder in folds.directories]
    return sum(map(sum, counts)) * max(map(len, counts))


def _untested(folds: Folds, pooled: OutOfFold) -> int:
    """How many of the examples that the folds recorded no fold tests."""
    records = [read_data_record(folder) for folder in folds.directories]
    tested = pooled.digests()
    images = {image for record in records if record for images in record.splits.values() for image in images}
    return sum(digest not in tested for _, digest in images)


def _six(value: float) -> str:
    return f"{value:.6f}"
