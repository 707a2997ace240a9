"""The page of a search: its trials by their validation, what varied, and how the chosen one does."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from slimft.errors import DataError
from slimft.files import write_atomically
from slimft.report.figures import Curve, curve_chart
from slimft.report.markup import Html, document, section, tag, tiles
from slimft.report.run_page import REPORT_FILE
from slimft.report.settings_section import stacking_table
from slimft.report.texts import count, duration, share
from slimft.runs.history_file import HISTORY_FILE, read_history
from slimft.search.record import COMPLETE, FAILED, GRID, PRUNED, WAITING, Record, Trial
from slimft.search.space import text
from slimft.tasks import all_figures

_STATES = {COMPLETE: "complete", PRUNED: "ended early", FAILED: "failed", WAITING: "not at its end"}
# Curves in a chart; more are not told apart.
_MOST_CURVES = 12


def write_page(
    folder: pathlib.Path, record: Record, result: Mapping[str, Any] | None = None, command: str = ""
) -> None:
    """Writes ``report.html`` into the directory of a search.

    Args:
        folder: the directory.
        record: the search.
        result: what ``bin/finetune`` prints of the best trial; None while it is not tested.
        command: what makes the best trial anew.
    """
    write_atomically(folder / REPORT_FILE, search_page(folder, record, result, command))


def search_page(folder: pathlib.Path, record: Record, result: Mapping[str, Any] | None, command: str) -> Html:
    """The page, as of `write_page`."""
    name = folder.resolve().name or str(folder)
    how = "every combination" if record.kind == GRID else f"by {record.kind}, seed {record.seed}"
    return document(
        f"Search: {name}",
        tag("h1", f"Search: {name}"),
        tag("p", f"{record.settings.get('model') or 'several networks'}, {how}", class_="sub"),
        tiles(_tiles(record, result)),
        _chosen(record, result, command),
        _trials(record),
        _by_parameter(record),
        _curves(folder, record),
    )


def _title(record: Record) -> str:
    return next((figure.title for figure in all_figures() if figure.name == record.metric), record.metric)


def _tiles(record: Record, result: Mapping[str, Any] | None) -> list[tuple[str, str, object]]:
    best, title = record.best, _title(record)
    states = ", ".join(f"{number} {what}" for state, what in _STATES.items() if (number := record.count(state)))
    found: list[tuple[str, str, object]] = [("trials", count(len(record.trials)), states)]
    if best is not None:
        found.append((f"best validation {title}", share(best.value), best.name))
    if result is not None and result.get("split") == "test":
        found.append((f"its test {title}", share(result.get(record.metric)), "not used to choose it"))
    return found


def _chosen(record: Record, result: Mapping[str, Any] | None, command: str) -> Html | None:
    best = record.best
    if best is None:
        return None
    notes = [f"{best.name} is the best in validation, and so the one that is taken."]
    if result is None:
        notes.append("It has not been evaluated yet.")
    elif result.get("split") == "test":
        notes.append(
            f"Only it was tested, once it was chosen: on {count(result.get('examples'))} test images. The test "
            "figure was not used to choose it. Its validation figure was, and of many trials tells too well of it."
        )
    else:
        notes.append("There is no test split: nothing tells how good it is but the validation that chose it.")
    return section("The chosen trial", tag("pre", command, class_="wrap"), [tag("p", note) for note in notes])


def _trials(record: Record) -> Html:
    header = [*(axis.name for axis in record.axes), f"validation {_title(record)}", "loss", "step", "time", "state"]
    best = record.best
    rows = []
    for trial in record.sorted:
        told = share(trial.value)
        rows.append(
            (
                trial.name,
                [
                    *(text(trial.parameters[axis.name]) for axis in record.axes),
                    tag("span", told, class_="best") if trial is best else told,
                    share(trial.loss),
                    count(trial.step),
                    duration(trial.seconds),
                    _STATES[trial.state],
                ],
            )
        )
    failed = [tag("p", f"{one.name}: {one.message}", class_="note") for one in record.trials if one.state == FAILED]
    note = tag("p", "By validation, of equals by the lower loss. The star marks the best.", class_="note")
    return section("Trials, by validation", stacking_table("trial", header, rows), note, failed)


def _by_parameter(record: Record) -> Html | None:
    """A chart for each range: the figure of each trial by its value."""
    title, charts = _title(record), []
    for axis in record.axes:
        if axis.choices:
            continue
        trials = [trial for trial in record.trials if trial.is_chosen_from]
        trials.sort(key=lambda trial: trial.parameters[axis.name])
        curve = Curve("trials", [t.parameters[axis.name] for t in trials], [t.value for t in trials])
        identity = f"by-{len(charts)}"
        charts.append(
            curve_chart(f"Validation {title} by {axis.name}", [curve], identity, over=axis.name, log=axis.log)
        )
    charts = [chart for chart in charts if chart is not None]
    return section("By what varied", tag("div", charts, class_="grid")) if charts else None


def _curves(folder: pathlib.Path, record: Record) -> Html | None:
    chosen = [trial for trial in record.sorted if trial.state in (COMPLETE, PRUNED)][:_MOST_CURVES]
    names = {record.metric: _title(record), "loss": "loss"}
    told = {trial.name: _validations(folder, trial) for trial in chosen}
    charts = []
    for number, (name, title) in enumerate(names.items()):
        curves = [
            Curve(trial, [one["step"] for one in records], [_drawn(one.get(name)) for one in records], i)
            for i, (trial, records) in enumerate(told.items())
        ]
        charts.append(curve_chart(f"Validation {title}", curves, f"validation-{number}"))
    charts = [chart for chart in charts if chart is not None]
    if not charts:
        return None
    note = f"Of the best {_MOST_CURVES}." if len(record.trials) > _MOST_CURVES else None
    return section(
        "Validation curves", tag("div", charts, class_="grid"), tag("p", note, class_="note") if note else None
    )


def _validations(folder: pathlib.Path, trial: Trial) -> list[dict]:
    file = folder / trial.name / HISTORY_FILE
    try:
        return read_history(file).validation if os.path.lexists(file) else []
    except DataError:  # The page is of the others, too.
        return []


def _drawn(value: float | None) -> float | None:
    return value if value is not None and abs(value) < 1e30 else None
