"""``result.json``: how a finished run did, with all that its report shows."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import pathlib
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slimft import __version__
from slimft.files import write_atomically
from slimft.runs import pictures
from slimft.runs.checked_json import Value
from slimft.tasks import Scores, all_figures, task_names

RESULT_FILE = "result.json"
# What of `Result.result` the reports show, beside strings.
_WHOLE = (
    "examples", "examples_in_split", "pixels", "step", "last_step", "folds", "untested", "label_errors",
)  # fmt: skip
_OF_TASKS = tuple(figure.name for figure in all_figures())
_FIGURES = (*_OF_TASKS, *_WHOLE)
_SPLITS = ("train", "validation", "test")
# How the images of `Result.pictures` may be there.
_KINDS = ("worst", "best")
# What `Result.per_class` has of each class, by the task: how many it has, and figures.
_OF_CLASSES = {
    "classification": ("examples", ("precision", "recall", "f1")),
    "segmentation": ("pixels", ("iou", "accuracy", "precision")),
}
# What shows the mistakes that scores tell: the field, and what makes it.
_SHOWN = {
    "classification": ("mistakes", pictures.mistakes),
    "segmentation": ("pictures", pictures.segmented),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What ``result.json`` holds.

    Attributes:
        result: what ``bin/finetune`` printed.
        task: the name of the task that the network was trained for; files of earlier versions do not tell.
        restore: summary of the restore plan.
        class_names: the classes' names, by label.
        class_counts: examples of each class, by split; pixels of a segmentation.
        confusion_matrix: examples, or pixels, by label and prediction; None beyond 200 classes.
        confused_pairs: (label, prediction, examples) of the most frequent mistakes, most frequent first.
        per_class: for each class ``class, examples, precision, recall, f1``; of a segmentation ``class, pixels,
            iou, accuracy, precision``; None where undefined.
        calibration: ``{"ece", "bins": [{"low", "high", "examples", "confidence", "accuracy"}]}``, or None.
        mistakes: the most confident ones: ``name, label, predicted, confidence``, and ``image, heat,
            heat_of_label`` (data URLs, or None).
        pictures: of a segmentation, the worst images and then the best: ``name, kind`` (``worst`` or ``best``),
            ``mean_iou, pixel_accuracy, image, truth, predicted``, the last three data URLs, or None.
        label_errors: examples whose label is likely wrong, the likeliest first, at most so many as are shown:
            ``name, label, suggested, given`` (the label's probability), ``confidence`` (that of the suggested
            class) and ``image`` (a data URL, or None).
        folds: of a cross-validation, of each fold ``fold``, ``step``, ``examples`` and the task's figures.
        seconds: of training, in total.
        images_per_second: of training.
        device: what it ran on.
        versions: of what it ran with, by name.
    """

    result: Mapping[str, Any]
    task: str = "classification"
    restore: str = ""
    class_names: Sequence[str] = ()
    class_counts: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    confusion_matrix: Sequence[Sequence[int]] | None = None
    confused_pairs: Sequence[Sequence[int]] = ()
    per_class: Sequence[Mapping[str, Any]] = ()
    calibration: Mapping[str, Any] | None = None
    mistakes: Sequence[Mapping[str, Any]] = ()
    pictures: Sequence[Mapping[str, Any]] = ()
    label_errors: Sequence[Mapping[str, Any]] = ()
    folds: Sequence[Mapping[str, Any]] = ()
    seconds: float | None = None
    images_per_second: float | None = None
    device: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def split(self) -> str:
        """The split that the figures are of; empty where the file does not tell."""
        return self.result.get("split", "")

    @property
    def ece(self) -> float | None:
        """Expected calibration error."""
        return self.calibration["ece"] if self.calibration else None

    @property
    def counted(self) -> str:
        """What is counted of each class: examples, or pixels."""
        counted, _ = _OF_CLASSES[self.task]
        return counted

    def figure(self, name: str) -> float | None:
        """A figure of what ``bin/finetune`` printed; None if it is not there."""
        return self.result.get(name)


def write_result(
    train_dir: str | pathlib.Path,
    result: Mapping[str, object],
    *,
    restore: str,
    class_names: Sequence[str],
    class_counts: Mapping[str, Sequence[int]],
    scores: Scores | None = None,
    dataset: Any = None,
    heat: Mapping[int, np.ndarray] | None = None,
    seconds: float | None = None,
    images_per_second: float | None = None,
    device: str = "",
    label_errors: Sequence[Mapping[str, Any]] = (),
    folds: Sequence[Mapping[str, Any]] = (),
) -> Result:
    """Writes ``result.json`` of a run, all of it or nothing.

    Args:
        train_dir: the run's directory.
        result: what ``bin/finetune`` prints.
        restore: summary of the restore plan.
        class_names: the classes' names, by label.
        class_counts: examples of each class, or pixels, by split.
        scores: of the split that `result` is about, which also tell the task; None if there are none.
        dataset: that split, to show mistakes from; None to show none.
        heat: what speaks for the classes of mistakes, as of `slimft.runs.pictures.mistakes`; None for none.
        seconds: of training, in total.
        images_per_second: of training.
        device: what it ran on.
        label_errors, folds: as of `Result`.
    """
    found = {} if scores is None else {"task": scores.task, **scores.findings(class_names)}
    if scores is not None and dataset is not None:
        field, show = _SHOWN[scores.task]
        found[field] = show(dataset, scores.mistakes(), heat or {})
    whole = Result(
        result=dict(result),
        restore=restore,
        class_names=list(class_names),
        class_counts={split: [int(count) for count in counts] for split, counts in class_counts.items()},
        seconds=seconds,
        images_per_second=images_per_second,
        device=device,
        label_errors=list(label_errors),
        folds=list(folds),
        versions=versions(),
        **found,
    )
    values = _ready({field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)})
    write_atomically(pathlib.Path(train_dir, RESULT_FILE), json.dumps(values, allow_nan=False))
    return whole


def versions() -> dict[str, str]:
    """The versions of slimft, Python and what counts most of the rest, by name."""
    found = {"slimft": __version__, "Python": platform.python_version()}
    for title, names in {"TensorFlow": ("tensorflow", "tensorflow-cpu"), "NumPy": ("numpy",)}.items():
        for name in names:
            try:
                found.setdefault(title, importlib.metadata.version(name))
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def _ready(value: Any) -> Any:
    """`value` with null for floats that JSON has no number for, and Python's numbers for NumPy's."""
    if isinstance(value, Mapping):
        return {str(key): _ready(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_ready(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse_result(value: Value) -> Result:
    """Checks what was read of a ``result.json``.

    Raises:
        DataError: something in it is of the wrong type or size.
    """
    task = _task(value.get("task"))
    names = [name.text() for name in value.get("class_names").array()]
    size = len(names)
    matrix = value.get("confusion_matrix")
    result = value.get("result").object()
    figures = {name: result[name].number() for name in _FIGURES if name in result}
    for name in _WHOLE:
        if figures.get(name) is not None:
            figures[name] = result[name].integer()
    counts = value.get("class_counts")
    if "split" in result and result["split"].raw not in _SPLITS:
        raise result["split"].wrong(f"one of {', '.join(_SPLITS)}")
    return Result(
        result={**{name: inner.raw for name, inner in result.items() if isinstance(inner.raw, str)}, **figures},
        task=task,
        restore=value.get("restore").text(),
        class_names=names,
        class_counts={
            split: [count.integer() for count in inner.array(size)]
            for split, inner in (counts.object() if counts.raw is not None else {}).items()
        },
        confusion_matrix=None
        if matrix.raw is None
        else [[cell.integer() for cell in row.array(size)] for row in matrix.array(size)],
        confused_pairs=[_pair(pair, size) for pair in value.get("confused_pairs").array()],
        per_class=[_class_figures(row, task) for row in value.get("per_class").array()],
        calibration=_calibration(value.get("calibration")),
        mistakes=[_checked_mistake(mistake, size) for mistake in value.get("mistakes").array()],
        pictures=[_checked_picture(picture) for picture in value.get("pictures").array()],
        label_errors=[_checked_error(error, size) for error in value.get("label_errors").array()],
        folds=[_checked_fold(fold) for fold in value.get("folds").array()],
        seconds=value.get("seconds").number(),
        images_per_second=value.get("images_per_second").number(),
        device=value.get("device").text(),
        versions=_texts(value.get("versions")),
    )


def _pair(value: Value, size: int) -> tuple[int, int, int]:
    label, predicted, count = value.array(3)
    return label.integer(size), predicted.integer(size), count.integer()


def _task(value: Value) -> str:
    if value.raw is None:  # Of a version that had one only.
        return "classification"
    if value.raw not in task_names():
        raise value.wrong(f"one of {', '.join(task_names())}")
    return value.text()


def _class_figures(value: Value, task: str) -> dict[str, object]:
    counted, names = _OF_CLASSES[task]
    figures = {name: value.get(name).number() for name in names}
    return {"class": value.get("class").text(), counted: value.get(counted).integer(), **figures}


def _calibration(value: Value) -> dict[str, object] | None:
    if value.raw is None:
        return None
    names = ("low", "high", "confidence", "accuracy")
    bins = [
        {name: one.get(name).number() for name in names} | {"examples": one.get("examples").integer()}
        for one in value.get("bins").array()
    ]
    return {"ece": value.get("ece").number(), "bins": bins}


def _checked_mistake(value: Value, size: int) -> dict[str, object]:
    return {
        "name": value.get("name").text(),
        "label": value.get("label").integer(size),
        "predicted": value.get("predicted").integer(size),
        "confidence": value.get("confidence").number(),
        **{name: _url(value.get(name), pictures.JPEG_URL) for name in ("image", "heat", "heat_of_label")},
    }


def _checked_error(value: Value, size: int) -> dict[str, object]:
    return {
        "name": value.get("name").text(),
        **{name: value.get(name).integer(size) for name in ("label", "suggested")},
        **{name: value.get(name).number() for name in ("given", "confidence")},
        "image": _url(value.get("image"), pictures.JPEG_URL),
    }


def _checked_fold(value: Value) -> dict[str, object]:
    whole = {name: value.get(name).integer() for name in ("fold", "examples")}
    return {**whole, **{name: value.get(name).number() for name in (*_OF_TASKS, "step")}}


def _checked_picture(value: Value) -> dict[str, object]:
    kind = value.get("kind")
    if kind.raw not in _KINDS:
        raise kind.wrong(f"one of {', '.join(_KINDS)}")
    return {
        "name": value.get("name").text(),
        "kind": kind.text(),
        **{name: value.get(name).number() for name in ("mean_iou", "pixel_accuracy")},
        "image": _url(value.get("image"), pictures.JPEG_URL),
        **{name: _url(value.get(name), pictures.PNG_URL) for name in ("truth", "predicted")},
    }


def _url(value: Value, expected: re.Pattern) -> str | None:
    """A data URL as `expected`; None for any other text, which is shown to nobody."""
    text = value.text()
    return text if expected.fullmatch(text) else None


def _texts(value: Value) -> dict[str, str]:
    return {} if value.raw is None else {name: inner.text() for name, inner in value.object().items()}
