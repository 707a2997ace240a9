"""``report.html`` of one run."""

from __future__ import annotations

import pathlib
from typing import Protocol

from slimft.files import write_atomically
from slimft.report.classification_sections import ClassificationSections
from slimft.report.figures import Curve, curve_chart
from slimft.report.markup import Html, document, folded, join, section, table, tag, tiles
from slimft.report.segmentation_sections import SegmentationSections
from slimft.report.texts import MISSING, count, duration, folder_of_data, rate, share
from slimft.runs.read import RunFiles, read_run
from slimft.runs.result import Result
from slimft.tasks.base import figure

REPORT_FILE = "report.html"


class Sections(Protocol):
    """What of a page is of the run's task.

    Attributes:
        below: what of the page is of the same split as the headline.
        training: what to know of the figures of training.
    """

    @property
    def below(self) -> str: ...

    @property
    def training(self) -> str: ...

    def evaluated(self, result: Result) -> str:
        """How many examples the result is of."""

    def headline(self, result: Result) -> list[tuple[str, str, str]]:
        """The figures at the top: title, value and a note."""

    def findings(self, result: Result, data_dir: str) -> list[Html | None]:
        """The sections that show how the figures come about; `data_dir` is left off names of examples."""


SECTIONS: dict[str, Sections] = {"classification": ClassificationSections(), "segmentation": SegmentationSections()}


def write_report(train_dir: str | pathlib.Path) -> pathlib.Path:
    """Writes ``report.html`` of a run from the JSON files in its directory; returns its path.

    ``settings.json`` has to be there; of ``history.json`` and ``result.json``, what there is.

    Raises:
        UsageError: it is no run's directory.
        DataError: a file in it is not as a run writes it.
    """
    run = read_run(train_dir)
    file = run.train_dir / REPORT_FILE
    write_atomically(file, run_page(run))
    return file


def run_page(run: RunFiles) -> Html:
    """The page of a run."""
    result, sections = run.result, SECTIONS[run.task.name]
    model, dataset = (run.settings.get(name) or MISSING for name in ("model", "dataset"))
    parts = [
        tag("h1", f"{model} on {dataset}"),
        tag("p", run.name, class_="sub"),
        [tag("p", note, class_="warning") for note in run.notes()],
        _headline(run, sections) if result else None,
        tag("p", validation, class_="note") if (validation := _validation(run)) else None,
        _what_was_run(run),
        _curves(run, sections),
    ]
    if result:
        data_dir = folder_of_data(run.settings.get("data_dir"))
        parts += [*sections.findings(result, data_dir), _machine(result)]
    return document(f"{run.name}: {model} on {dataset}", *parts)


def _headline(run: RunFiles, sections: Sections) -> Html:
    result = run.result
    step = result.figure("step")
    figures = [
        *sections.headline(result),
        ("training", duration(result.seconds), "" if step is None else f"to step {count(step)}"),
        ("images per second", rate(result.images_per_second), "in training"),
    ]
    shown = [figure for figure in figures if figure[1] != MISSING]
    split = f"the {result.split} split" if result.split else "a split that is not told"
    where = (
        f"On the {sections.evaluated(result)} of {split}, as are {sections.below} below; by the checkpoint of step "
        f"{count(step)}."
    )
    if not run.has_gone_on and None not in (step, run.last_step) and run.last_step > step:
        where += f" It is the best in validation; the run ended at step {count(run.last_step)}."
    return join(tiles(shown), tag("p", where, class_="note"))


def _validation(run: RunFiles) -> str | None:
    """What validation said of the step that the result is of, and of the best step."""
    steps = {run.step: "", run.history.best_step: f", the best by {run.metric_title}"}
    names = {figure.name: figure.short for figure in run.task.figures if figure.chooses}
    told = []
    for step, what in steps.items():
        record = run.validation_at(step)
        figures = [f"{title} {share(record.get(name))}" for name, title in names.items()]
        if record:
            told.append(f"at step {count(step)}{what}: {', '.join(figures)}")
    return f"Validation {'; '.join(told)}." if told else None


def _what_was_run(run: RunFiles) -> Html:
    flags = run.flags(run.given())
    command = " \\\n  ".join(["bin/finetune", *flags])
    settings = table(["setting", "value"], [(name, _setting(value)) for name, value in run.settings.items()], 2)
    restored = run.result and run.result.restore
    return section(
        "What was run",
        tag("pre", command, class_="wrap"),
        [tag("h3", "Restored"), tag("pre", restored)] if restored else None,
        folded("All settings", settings),
    )


def _setting(value) -> str:
    if value is None or value == []:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _curves(run: RunFiles, sections: Sections) -> Html | None:
    train, validation = run.train, run.validation
    best, by = run.history.best_step, run.metric_title
    headline = figure(run.task.figures, run.task.headline)

    def both(name):
        return [
            Curve("training", train["step"], train.get(name, []), 0, faint=True),
            Curve("validation", validation["step"], validation.get(name, []), 1),
        ]

    # In the chart of the headline, the other shares.
    others = [one for one in run.task.figures if one.chooses and one.is_share and one is not headline]
    curves = [
        Curve(f"validation, {one.short}", validation["step"], validation.get(one.name, []), 2 + place)
        for place, one in enumerate(others)
    ]
    curves += [
        Curve(f"training, {one.short}", train["step"], train.get(one.name, []), 2 + len(others) + place, faint=True)
        for place, one in enumerate(others)
        if one.name in run.task.measured
    ]
    rates = [Curve("learning rate", train["step"], train.get("learning_rate", []), 3)]
    title, drawn = headline.title[0].upper() + headline.title[1:], [*both(headline.name), *curves]
    charts = [
        curve_chart("Loss", both("loss"), "loss", best, best_by=by),
        curve_chart(title, drawn, headline.name, best, share=headline.is_share, best_by=by),
        curve_chart("Learning rate", rates, "rate"),
    ]
    if not any(charts):
        return None
    note = None
    if charts[0] and train["step"] and any(value is not None for value in train.get("loss", [])):
        note = tag(
            "p", f"{sections.training} Many points are drawn faintly under their running mean.", class_="note"
        )
    return section("Learning curves", tag("div", charts, class_="grid"), note)


def _machine(result: Result) -> Html:
    rows = [
        ("training time", duration(result.seconds)),
        ("images per second", rate(result.images_per_second)),
        ("device", result.device or MISSING),
        *result.versions.items(),
    ]
    checkpoint = result.result.get("checkpoint")
    if isinstance(checkpoint, str):
        rows.append(("checkpoint", checkpoint))
    return section("Time and machine", table(["", ""], rows, 2))
