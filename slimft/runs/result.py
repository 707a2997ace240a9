"""``result.json``: how a finished run did, with all that its report shows."""

from __future__ import annotations

import base64
import dataclasses
import importlib.metadata
import io
import json
import math
import pathlib
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from slimft import __version__
from slimft.errors import DataError
from slimft.files import write_atomically
from slimft.runs.checked_json import Value
from slimft.tasks import Scores, all_figures

RESULT_FILE = "result.json"
_THUMBNAIL_SIDE = 160
# What of `Result.result` the reports show, beside strings.
_WHOLE = ("examples", "step", "last_step")
_FIGURES = (*(figure.name for figure in all_figures()), *_WHOLE)
_SPLITS = ("train", "validation", "test")
_IMAGE = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/]+={0,2}")


@dataclasses.dataclass(frozen=True)
class Result:
    """What ``result.json`` holds.

    Attributes:
        result: what ``bin/finetune`` printed.
        restore: summary of the restore plan.
        class_names: the classes' names, by label.
        class_counts: examples of each class, by split.
        confusion_matrix: examples by label and prediction; None beyond 200 classes.
        confused_pairs: (label, prediction, examples) of the most frequent mistakes, most frequent first.
        per_class: for each class ``class, examples, precision, recall, f1``; None where undefined.
        calibration: ``{"ece", "bins": [{"low", "high", "examples", "confidence", "accuracy"}]}``, or None.
        mistakes: the most confident ones: ``name, label, predicted, confidence, image`` (a data URL, or None).
        seconds: of training, in total.
        images_per_second: of training.
        device: what it ran on.
        versions: of what it ran with, by name.
    """

    result: Mapping[str, Any]
    restore: str = ""
    class_names: Sequence[str] = ()
    class_counts: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    confusion_matrix: Sequence[Sequence[int]] | None = None
    confused_pairs: Sequence[Sequence[int]] = ()
    per_class: Sequence[Mapping[str, Any]] = ()
    calibration: Mapping[str, Any] | None = None
    mistakes: Sequence[Mapping[str, Any]] = ()
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
    seconds: float | None = None,
    images_per_second: float | None = None,
    device: str = "",
) -> Result:
    """Writes ``result.json`` of a run, all of it or nothing.

    Args:
        train_dir: the run's directory.
        result: what ``bin/finetune`` prints.
        restore: summary of the restore plan.
        class_names: the classes' names, by label.
        class_counts: examples of each class, by split.
        scores: of the split that `result` is about; None if there are none.
        dataset: that split, to show mistakes from; None to show none.
        seconds: of training, in total.
        images_per_second: of training.
        device: what it ran on.
    """
    found = {} if scores is None else scores.findings(class_names)
    if scores is not None and dataset is not None:
        found["mistakes"] = [
            {"name": dataset.describe(index), **what, "image": _thumbnail(dataset, index)}
            for index, what in scores.mistakes()
        ]
    whole = Result(
        result=dict(result),
        restore=restore,
        class_names=list(class_names),
        class_counts={split: [int(count) for count in counts] for split, counts in class_counts.items()},
        seconds=seconds,
        images_per_second=images_per_second,
        device=device,
        versions=versions(),
        **found,
    )
    values = _ready({field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)})
    write_atomically(pathlib.Path(train_dir, RESULT_FILE), json.dumps(values, allow_nan=False))
    return whole


def _thumbnail(dataset: Any, index: int) -> str | None:
    """An example's picture as a data URL of a JPEG; None if it cannot be read any more."""
    try:
        pixels = dataset.read(np.array([index]), dataset.image_shape(_THUMBNAIL_SIDE))[0]
    except DataError:
        return None
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


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
        per_class=[_class_figures(row) for row in value.get("per_class").array()],
        calibration=_calibration(value.get("calibration")),
        mistakes=[_checked_mistake(mistake, size) for mistake in value.get("mistakes").array()],
        seconds=value.get("seconds").number(),
        images_per_second=value.get("images_per_second").number(),
        device=value.get("device").text(),
        versions=_texts(value.get("versions")),
    )


def _pair(value: Value, size: int) -> tuple[int, int, int]:
    label, predicted, count = value.array(3)
    return label.integer(size), predicted.integer(size), count.integer()


def _class_figures(value: Value) -> dict[str, object]:
    figures = {name: value.get(name).number() for name in ("precision", "recall", "f1")}
    return {"class": value.get("class").text(), "examples": value.get("examples").integer(), **figures}


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
    image = value.get("image").text()
    return {
        "name": value.get("name").text(),
        "label": value.get("label").integer(size),
        "predicted": value.get("predicted").integer(size),
        "confidence": value.get("confidence").number(),
        "image": image if _IMAGE.fullmatch(image) else None,
    }


def _texts(value: Value) -> dict[str, str]:
    return {} if value.raw is None else {name: inner.text() for name, inner in value.object().items()}
