"""``report.html`` of a cross-validation: all folds together, and each by its figures and its page."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence

from slimft.errors import UsageError
from slimft.files import write_atomically
from slimft.report.classification_sections import ClassificationSections
from slimft.report.markup import Html, document, section, table, tag, tiles
from slimft.report.run_page import REPORT_FILE
from slimft.report.texts import count, folder_of_data, share, spread
from slimft.runs.checked_json import read_json
from slimft.runs.directory import RESULT_FILE
from slimft.runs.folds import ALL, Folds, read_folds
from slimft.runs.result import Result, parse_result
from slimft.runs.settings_file import as_flags
from slimft.tasks import get_task

_EACH_ONCE = "Each example is judged by the network of the fold that did not train on it."
_SPREAD = (
    "± is the standard deviation over the folds, of a sample. Folds share most of what they train on: it tells how "
    "much the part that tests matters, and is no confidence interval."
)


def write_folds_report(folder: str | pathlib.Path) -> pathlib.Path:
    """Writes ``report.html`` of a cross-validation that has come to its end; returns its path.

    Raises:
        UsageError: it has not come to its end.
        DataError: a file in it is not as `slimft.cross_validation` writes it.
    """
    folds = read_folds(folder)
    results = folds.path / RESULT_FILE
    if not results.exists():
        raise UsageError(
            f"{folder} is a cross-validation that has not come to its end: {RESULT_FILE} is missing; repeat its "
            "command"
        )
    file = folds.path / REPORT_FILE
    write_atomically(file, folds_page(folds, parse_result(read_json(results))))
    return file


def folds_page(folds: Folds, result: Result) -> Html:
    """The page of a cross-validation."""
    settings, sections = folds.settings, ClassificationSections()
    title, name = f"{settings.model} on {settings.dataset}", folds.path.resolve().name
    data_dir = folder_of_data(result.result.get("data_dir"))
    return document(
        f"{name}: {title}, {folds.number} folds",
        tag("h1", f"{title}: {folds.number} folds"),
        tag("p", name, class_="sub"),
        tiles(sections.headline(result)),
        tag("p", _headline(folds, result), class_="note"),
        _each_fold(folds, result.folds),
        section("What was run", tag("pre", _command(folds), class_="wrap")),
        *sections.findings(result, data_dir),
    )


def _headline(folds: Folds, result: Result) -> str:
    untested = result.figure("untested")
    told = f"On {count(result.figure('examples'))} examples out of fold, as is all below. {_EACH_ONCE}"
    if not untested:
        return told
    return (
        f"{told} {count(untested)} more are tested by no fold: the only example, or group, of a class always "
        "trains, and a copy of an image that trains tests nothing."
    )


def _each_fold(folds: Folds, rows: Sequence) -> Html | None:
    if not rows:
        return None
    figures = get_task("classification").figures
    header = ["fold", "examples", *(figure.title for figure in figures), "step"]
    each = [
        [
            tag("a", f"fold {one['fold']}", href=f"fold_{one['fold']}/{REPORT_FILE}"),
            count(one["examples"]),
            *(share(one[figure.name]) for figure in figures),
            count(one["step"]),
        ]
        for one in rows
    ]
    mean = [spread([one[figure.name] for one in rows]) for figure in figures]
    total = count(sum(one["examples"] for one in rows))
    each.append([tag("b", "mean ± deviation"), total, *mean, ""])
    return section("Fold by fold", table(header, each), tag("p", _SPREAD, class_="note"))


def _command(folds: Folds) -> str:
    flags = [f"--fold={ALL}", *as_flags(folds.settings, leave=("train_dir", "fold"))]
    return " \\\n  ".join(["bin/finetune", *map(shlex.quote, flags)])
