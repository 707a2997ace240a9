"""The page over all steps of an exercise: a table and charts for each part, with links to the runs' own reports."""

from __future__ import annotations

import os
import pathlib
import shlex
import urllib.parse
from collections.abc import Sequence

from slimft.exercise.catalogue import PARTS, Part
from slimft.exercise.plan import Places
from slimft.exercise.rows import Row, doubts
from slimft.exercise.table import LEGEND, about, columns, notes, words
from slimft.nets import get_network
from slimft.report.figures import Curve, curve_chart
from slimft.report.markup import Html, document, folded, section, table, tag
from slimft.report.run_page import REPORT_FILE
from slimft.runs.read import RunFiles

# By which the page is known.
TITLE = "slimft exercise"
# Curves in one chart: more, and none can be told from another.
_MOST_CURVES = 8
_MINUTES = "minutes of training, with the pass that makes features"


def exercise_page(rows: Sequence[Row], places: Places) -> Html:
    """The page."""
    done = sum(bool(row.files) for row in rows)
    parts = [_part(part, [row for row in rows if row.step.part == part.name], places) for part in PARTS]
    return document(
        TITLE,
        tag("h1", "The exercise"),
        tag("p", f"{done} of {len(rows)} rows are done. {about(places)}", class_="sub"),
        [tag("p", doubt, class_="warning") for doubt in doubts(rows)],
        tag("p", LEGEND, class_="note"),
        *parts,
    )


def _part(part: Part, rows: Sequence[Row], places: Places) -> Html | None:
    if not rows:
        return None
    titles = columns(rows)
    left = words(titles)
    cells = [[_cell(row, title, place in left, places) for place, title in enumerate(titles)] for row in rows]
    header = [
        tag("th", title) if place in left else tag("th", title, class_="n") for place, title in enumerate(titles)
    ]
    charts = [*_curve_charts(part.name, rows), _sizes_chart(part.name, rows)]
    return section(
        part.title,
        tag("p", part.about),
        table(header, cells, len(titles)),
        [tag("p", note, class_="note") for note in notes(rows)],
        tag("div", charts, class_="grid") if any(charts) else None,
        *(_about(row) for row in rows),
    )


def _cell(row: Row, title: str, is_word: bool, places: Places) -> Html | str:
    text = row.cells[title]
    if title == "step":
        told = tag("div", row.step.title, class_="note", style="min-width:15em")
        report = row.files[0].train_dir / REPORT_FILE if row.files else None
        if report is not None and report.is_file():
            relative = pathlib.Path(os.path.relpath(report, places.root)).as_posix()
            return tag("td", tag("a", text, href=urllib.parse.quote(relative)), told)
        return tag("td", text, told)
    return tag("td", text, class_=None if is_word else "n")


def _about(row: Row) -> Html:
    """What a step shows, and its command, that of its run if there is one, folded away."""
    there = [*row.files, *row.begun]
    flags = there[0].flags(there[0].given()) if there else [shlex.quote(flag) for flag in row.runs[0].command]
    command = " \\\n  ".join(["bin/finetune", *flags])
    return folded(f"{row.name}: {row.step.title}", tag("p", row.step.shows), tag("pre", command, class_="wrap"))


def _curve_charts(name: str, rows: Sequence[Row]) -> list[Html | None]:
    """Validation figures over the minutes of training: of classifiers, and of networks for segmentation."""
    charts = []
    for segments, title in ((False, "Validation accuracy"), (True, "Validation mean IoU")):
        drawn = [row for row in rows if row.step.segments is segments and not row.step.chart]
        curves = [
            curve
            for row in drawn
            for files in [*row.files, *row.begun]
            if (curve := _over_minutes(row, files, drawn.index(row)))
        ]
        for start in range(0, len(curves), _MOST_CURVES):
            shown = curves[start : start + _MOST_CURVES]
            identity = f"{name}-{'iou' if segments else 'accuracy'}-{start}"
            charts.append(curve_chart(title, shown, identity, share=True, over=_MINUTES))
    return charts


def _over_minutes(row: Row, files: RunFiles, number: int) -> Curve | None:
    """The validations of a run by the time that training had taken; None where that is not known."""
    records = files.history.train
    times = [(one["step"], one["seconds"]) for one in records if one.get("seconds") is not None]
    before = _seconds_before(row, files)
    minutes, values = [], []
    for record in files.history.validation:
        seconds = _seconds_at(record["step"], times)
        if seconds is not None and record.get(row.figure) is not None:
            minutes.append((before + seconds) / 60)
            values.append(record[row.figure])
    seed = files.settings.get("seed")
    return Curve(f"{row.name}{f', seed {seed}' if seed else ''}", minutes, values, number) if values else None


def _seconds_before(row: Row, files: RunFiles) -> float:
    """What frozen layers took to make their features, as far as that is known: the command without its training."""
    if not files.settings.get("cache_views") or files not in row.files:
        return 0.0
    whole, trained = row.seconds[row.files.index(files)], files.result.seconds if files.result else None
    return max(whole - trained, 0.0) if whole is not None and trained is not None else 0.0


def _seconds_at(step: int, times: Sequence[tuple[int, float]]) -> float | None:
    """When a step was done, between the points of the curve."""
    before = max((point for point in times if point[0] <= step), default=(0, 0.0))
    after = min((point for point in times if point[0] >= step), default=None)
    if not times:
        return None
    if after is None:
        return before[1]
    if after[0] == before[0]:
        return after[1]
    return before[1] + (after[1] - before[1]) * (step - before[0]) / (after[0] - before[0])


def _sizes_chart(name: str, rows: Sequence[Row]) -> Html | None:
    """Test accuracy over what an image costs, for the steps that ask for it."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        known = [value for value in row.test if value is not None]
        if row.step.chart and known:
            points = curves.setdefault(row.step.chart, [])
            points.append((cost_of(row), sum(known) / len(known)))
    lines = []
    for number, (title, points) in enumerate(curves.items()):
        points.sort()
        lines.append(Curve(title, [cost for cost, _ in points], [value for _, value in points], number))
    return curve_chart(
        "Test accuracy by image size and cost", lines, f"{name}-sizes", share=True, over="MFLOPs an image", log=True
    )


# The share of MobileNet V1's operations that its first blocks have, by the shapes in table 1 of Howard et al.
# (arXiv:1704.04861).
_SHARES = {"Conv2d_5_pointwise": 0.356, "Conv2d_11_pointwise": 0.861}


def cost_of(row: Row) -> float:
    """10**6 floating-point operations that one image takes on its way through the network, once."""
    flags = row.runs[0].flags
    spec = get_network(flags["model"])
    share = _SHARES.get(flags.get("final_endpoint", ""), 1.0)
    return 1000 * spec.gflops * share * (flags["image_size"] / spec.default_image_size) ** 2
