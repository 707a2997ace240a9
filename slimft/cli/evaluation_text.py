"""What bin/evaluate tells a person: a table of the classes, a summary, intervals and thresholds."""

from __future__ import annotations

from slimft.assessment import Assessment, Thresholds
from slimft.cli.text_table import text_table
from slimft.data import WHOLE
from slimft.tasks import Task
from slimft.tasks.base import show
from slimft.tasks.classification_figures import Intervals

# Classes in a table.
_MOST_ROWS = 40
# What tells the worst classes, by the task; how that is called; and what counts examples or pixels.
_WORST_BY = {"classification": "f1", "segmentation": "iou"}
_TITLES = {"f1": "F1", "iou": "IoU"}
_COUNTS = ("examples", "pixels")
_AREAS = {"roc_auc": "ROC-AUC", "average_precision": "PR-AUC"}


def text_of(task: Task, found: Assessment) -> list[str]:
    """The figures, in lines."""
    lines = [*_classes(task, found.per_class), _summary(task, found)]
    if found.intervals is not None:
        lines.append(_intervals(task, found.intervals))
    if found.thresholds is not None:
        lines += _thresholds(found.thresholds, found.result)
    return lines


def _classes(task: Task, per_class: list[dict]) -> list[str]:
    """The table of the classes, or of the worst of them."""
    shown, note = per_class, []
    columns = list(per_class[0])
    by = _WORST_BY[task.name]
    if len(per_class) > _MOST_ROWS:
        known = [row for row in per_class if row[by] is not None]
        shown = sorted(known, key=lambda row: row[by])[:_MOST_ROWS]
        note = [f"these are the {len(shown)} of {len(per_class)} classes with the lowest {_TITLES.get(by, by)}"]
    rows = [[_cell(name, row[name]) for name in columns] for row in shown]
    return [*text_table(columns, rows, left=1).split("\n"), *note]


def _cell(column: str, value) -> str:
    return value if column == "class" else f"{value:,}" if column in _COUNTS else show(value)


def _summary(task: Task, found: Assessment) -> str:
    result = found.result
    weights = " of the weights' moving averages" if result["averages"] else ""
    some = ""
    if result["examples"] != result["examples_in_split"]:
        some = f", {result['examples']} of {result['examples_in_split']} examples"
    told = [f"{figure.short} {show(result[figure.name])}" for figure in task.figures]
    told += [f"{_title(name)} {show(value)}" for name, value in result.items() if name.startswith("top_")]
    if result.get("roc_auc") is not None:
        told += [f"{title} {show(result[name])}" for name, title in _AREAS.items()]
        known, number = result["classes_with_areas"], len(found.per_class)
        if known < number:
            told[-1] += f" (means over {known} of {number} classes)"
    if "ece" in result:
        told.append(f"calibration error (ECE) {result['ece']:.4f}")
    return f"{result['split']}{some}{weights}: {', '.join(told)}"


def _title(name: str) -> str:
    """Such as ``top 5`` for ``top_5_accuracy``."""
    return name.removesuffix("_accuracy").replace("_", " ") if name.startswith("top_") else _AREAS.get(name, name)


def _intervals(task: Task, found: Intervals) -> str:
    shorts = {figure.name: figure.short for figure in task.figures}
    of = [f"{shorts.get(name, _title(name))} {low:.4f} to {high:.4f}" for name, (low, high) in found.of.items()]
    units = "groups" if found.grouped else "images"
    return f"95 % intervals ({found.resamples} bootstrap resamples of {found.units} {units}): {', '.join(of)}"


def _thresholds(found: Thresholds, result: dict) -> list[str]:
    chosen_on, split = found.validated, result["split"]
    of = "" if split == WHOLE else f"{split} "
    columns = ["class", "wanted", "threshold"]
    for where in (chosen_on["split"], split if of else "evaluated"):
        columns += [f"{where} recall", "precision", "of", "said"]
    rows = []
    for one in found.classes[:_MOST_ROWS]:
        row = [one["class"], one["wanted"] if one["reached"] else f"{one['wanted']} (not reached)"]
        row.append(f"{one['threshold']:.4f}")
        for where in ("validation", "evaluated"):
            told = one[where]
            row += [show(told["recall"]), show(told["precision"]), f"{told['examples']:,}", f"{told['said']:,}"]
        rows.append(row)
    lines = text_table(columns, rows, left=2).split("\n")
    if len(found.classes) > len(rows):
        lines.append(f"these are the first {len(rows)} of {len(found.classes)} classes with a threshold")
    rule = found.rule
    said = result["examples"] - rule["unsure"]
    right = "" if rule["accuracy"] is None else f", of {rule['accuracy']:.4f} of them rightly"
    lines.append(
        f"by these thresholds, chosen on {chosen_on['examples']} {chosen_on['split']} examples, a class is said of "
        f"{said} of the {result['examples']} {of}examples{right}; {rule['unsure']} are unsure"
    )
    return lines
