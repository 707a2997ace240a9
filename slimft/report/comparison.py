"""Several runs on one page: figures, curves, and recall class by class."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
from collections.abc import Sequence

from slimft.errors import UsageError
from slimft.files import write_atomically
from slimft.report.figures import Curve, curve_chart
from slimft.report.markup import Html, document, join, section, table, tag
from slimft.report.run_files import RunFiles, check_output, read_run
from slimft.report.texts import MISSING, count, duration, rate, share, spread
from slimft.runs.settings import OF_THE_DISK

# What repeated runs of one experiment differ in.
_REPEATED_WITH = ("seed", "fold", "split_seed")
_MOST_CLASSES = 60
# A figure's title, and whether the largest is the best.
_FIGURES = {"accuracy": True, "balanced accuracy": True, "loss": False, "ECE": False}


@dataclasses.dataclass(frozen=True)
class Row:
    """A run in a comparison.

    Attributes:
        name: tells the runs apart.
        run: its files.
        differs: flags of what not all runs have in common.
    """

    name: str
    run: RunFiles
    differs: tuple[str, ...]

    @property
    def figures(self) -> dict[str, float | None]:
        """What tells how well it did, by title."""
        result = self.run.result
        if result is None:
            return dict.fromkeys(_FIGURES)
        named = (result.figure("accuracy"), result.figure("balanced_accuracy"), result.figure("loss"), result.ece)
        return dict(zip(_FIGURES, named))

    @property
    def recalls(self) -> list[float | None]:
        """Each class's recall, by label; empty without a result."""
        return [one["recall"] for one in self.run.result.per_class] if self.run.result else []

    @property
    def steps(self) -> float | None:
        """The step it ended at, or the last one that is known."""
        steps = self.run.train["step"] or self.run.validation["step"]
        return self.run.result.figure("step") if self.run.result else max(steps, default=None)

    def setting(self, name: str) -> str:
        """A setting as text."""
        value = self.run.settings.get(name)
        return MISSING if value is None else str(value)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        rows: the runs, in the order they were named.
        groups: rows that differ in nothing but seed or fold, where there are several such.
    """

    rows: tuple[Row, ...]
    groups: tuple[tuple[Row, ...], ...]

    def best(self, title: str) -> float | None:
        """The best figure of this title; None if it tells no run from the others."""
        known = {row.figures[title] for row in self.rows} - {None}
        return (max if _FIGURES[title] else min)(known) if len(known) > 1 else None

    def text_rows(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the table of runs, then of means over groups, as text; ``*`` marks the best."""
        best = {title: self.best(title) for title in _FIGURES}
        rows = []
        for row in self.rows:
            figures = [
                f"{share(value)}{'*' if value is not None and value == best[title] else ''}"
                for title, value in row.figures.items()
            ]
            rows.append([row.name, *figures, *_effort(row), " ".join(row.differs)])
        for group in self.groups:
            figures = [spread([row.figures[title] for row in group]) for title in _FIGURES]
            rows.append([f"mean of {len(group)}", *figures, "", "", "", " ".join(_common(group))])
        return ["run", *_FIGURES, "steps", "time", "images/s", "differs in"], rows


def _effort(row: Row) -> list[str]:
    result = row.run.result
    seconds, speed = (result.seconds, result.images_per_second) if result else (None, None)
    return [count(row.steps), duration(seconds), rate(speed)]


def _common(group: Sequence[Row]) -> list[str]:
    """What the runs of a group have in common of what tells all runs apart."""
    return [flag for flag in group[0].differs if all(flag in row.differs for row in group)]


def compare(train_dirs: Sequence[str | pathlib.Path], output: str | pathlib.Path) -> Comparison:
    """Writes a page that compares runs; returns what it shows.

    Args:
        train_dirs: the runs' directories; at least two.
        output: the page's file.

    Raises:
        UsageError: a directory is no run's, or is named twice.
        DataError: a file in one is not as a run writes it.
    """
    output = pathlib.Path(output).expanduser()
    check_output(output)
    comparison = read_comparison(train_dirs)
    write_atomically(output, comparison_page(comparison))
    return comparison


def read_comparison(train_dirs: Sequence[str | pathlib.Path]) -> Comparison:
    """Reads the runs and finds out what tells them apart."""
    real = [os.path.realpath(os.path.expanduser(folder)) for folder in train_dirs]
    for i, folder in enumerate(real):
        if folder in real[:i]:
            raise UsageError(f"{train_dirs[i]} is named twice; name each run once")
    runs = [read_run(folder) for folder in train_dirs]
    names = _names(real)
    every = {name: None for run in runs for name in run.settings if name not in OF_THE_DISK}
    differing = [
        name for name in every if any(run.settings.get(name) != runs[0].settings.get(name) for run in runs)
    ]
    groups = _experiments(runs, [name for name in differing if name not in _REPEATED_WITH])
    rows = tuple(
        Row(name, run, tuple(run.flags(name for name in differing if run.settings.get(name) is not None)))
        for name, run in zip(names, runs)
    )
    return Comparison(rows, tuple(tuple(rows[i] for i in members) for members in groups))


def _experiments(runs: Sequence[RunFiles], differing: Sequence[str]) -> list[list[int]]:
    """Indices of finished runs with equal classes that agree in the settings `differing`: two or more each."""
    members: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        if run.result is not None:
            key = repr([[run.settings.get(name) for name in differing], list(run.result.class_names)])
            members.setdefault(key, []).append(i)
    return [group for group in members.values() if len(group) > 1]


def _names(folders: Sequence[str]) -> list[str]:
    """The least of the ends of the paths that tells them apart."""
    parts = [pathlib.PurePath(folder).parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(path[-depth:]) for path in parts]
        if len(set(names)) == len(names):
            break
    return names


def comparison_page(comparison: Comparison) -> Html:
    """The page of a comparison."""
    rows = comparison.rows
    return document(
        f"Comparison of {len(rows)} runs",
        tag("h1", f"Comparison of {len(rows)} runs"),
        _table_of_runs(comparison),
        _table_of_groups(comparison),
        _curves(rows),
        *_recalls(comparison),
    )


def _table_of_runs(comparison: Comparison) -> Html:
    best = {title: comparison.best(title) for title in _FIGURES}
    rows = [
        [
            _whole([row.name]), row.setting("model"), row.setting("recipe"),
            *(
                tag("td", share(value), class_="n best" if value is not None and value == best[title] else "n")
                for title, value in row.figures.items()
            ),
            *_effort(row),
            tag("td", _whole(row.differs)),  # Last: it can be long.
        ]
        for row in comparison.rows
    ]  # fmt: skip
    header = ["run", "model", "recipe", *_FIGURES, "steps", "time", "images/s", tag("th", "differs in")]
    splits = {row.run.result.result.get("split") for row in comparison.rows if row.run.result}
    data = {(row.setting("dataset"), row.setting("data_dir")) for row in comparison.rows}
    notes = ["The star marks the best figure of a column."]
    if len(splits) > 1 or len(data) > 1:
        notes.append("These runs were not all evaluated on the same data; their figures do not compare directly.")
    if any(row.run.result is None for row in comparison.rows):
        notes.append("A run without figures did not come to its end, or is still under way.")
    return section("Runs", table(header, rows, 3), tag("p", " ".join(notes), class_="note"))


def _whole(words: Sequence[str]) -> Html | str:
    """Flags or names, none of which is broken into lines."""
    return join(*(join(tag("span", word, class_="whole", title=word), " ") for word in words)) or MISSING


def _table_of_groups(comparison: Comparison) -> Html | None:
    if not comparison.groups:
        return None
    rows = [
        [
            _whole([row.name for row in group]), _whole(_common(group)), count(len(group)),
            *(spread([row.figures[title] for row in group]) for title in _FIGURES),
            spread([row.run.result.seconds if row.run.result else None for row in group], digits=0),
        ]
        for group in comparison.groups
    ]  # fmt: skip
    note = "Runs that differ in nothing but seed or fold: mean ± standard deviation (of a sample)."
    header = ["runs", "settings", "number", *_FIGURES, "seconds"]
    return section("Repetitions", table(header, rows, 2), tag("p", note, class_="note"))


def _curves(rows: Sequence[Row]) -> Html | None:
    charts = []
    for title, name in (("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy"), ("loss", "loss")):
        curves = [
            Curve(row.name, row.run.validation["step"], row.run.validation.get(name, []), i)
            for i, row in enumerate(rows)
        ]
        charts.append(curve_chart(f"Validation {title}", curves, f"validation-{name}", share=name != "loss"))
    return section("Validation curves", tag("div", charts, class_="grid")) if any(charts) else None


def _recalls(comparison: Comparison) -> list[Html | None]:
    """Tables of recalls by class: of repetitions, and of the runs, for each set of these with the same classes."""
    by_classes: dict[tuple[str, ...], list[Row]] = {}
    for row in comparison.rows:
        if row.recalls:
            names = tuple(str(one["class"]) for one in row.run.result.per_class)
            by_classes.setdefault(names, []).append(row)
    tables = []
    for names, rows in by_classes.items():
        groups = [group for group in comparison.groups if all(row in rows for row in group)]
        tables += [_mean_recalls(names, groups) if groups else None, _recall_table(names, rows)]
    return tables


def _mean_recalls(names: Sequence[str], groups: Sequence[Sequence[Row]]) -> Html:
    labels, note = _shown_classes(names, [row for group in groups for row in group])
    header = ["class", *(" ".join(_common(group)) or f"{len(group)} runs" for group in groups)]
    cells = [
        [names[label], *(_shade([row.recalls[label] for row in group]) for group in groups)] for label in labels
    ]
    note = tag("p", f"Mean ± standard deviation over the repetitions. {note}", class_="note")
    return section("Recall by class over repetitions", table(header, cells), note)


def _recall_table(names: Sequence[str], rows: Sequence[Row]) -> Html:
    labels, note = _shown_classes(names, rows)
    cells = []
    for label in labels:
        examples = [row.run.result.per_class[label]["examples"] for row in rows]
        fewest, most = count(min(examples)), count(max(examples))
        counted = fewest if fewest == most else f"{fewest} to {most}"
        cells.append([names[label], counted, *(_shade([row.recalls[label]]) for row in rows)])
    header = ["class", "examples", *(row.name for row in rows)]
    return section("Recall by class", table(header, cells), tag("p", note, class_="note"))


def _shown_classes(names: Sequence[str], rows: Sequence[Row]) -> tuple[list[int], str]:
    """The classes to show, by label: all, or those in which the runs differ most; and what to say of it."""

    def difference(label):
        known = [value for row in rows if (value := row.recalls[label]) is not None]
        return max(known) - min(known) if known else 0

    labels = list(range(len(names)))
    if len(names) <= _MOST_CLASSES:
        return labels, "Stronger colour: higher."
    labels = sorted(labels, key=difference, reverse=True)[:_MOST_CLASSES]
    note = f"The {_MOST_CLASSES} of {len(names):,} classes in which the runs differ most. Stronger colour: higher."
    return labels, note


def _shade(values: Sequence[float | None]) -> Html:
    known = [value for value in values if value is not None]
    part = min(max(statistics.fmean(known), 0), 1) if known else None
    style = None if part is None else f"background:rgba(var(--heat),{0.45 * part:.2f})"
    return tag("td", spread(values), class_="n", style=style)
