"""The page of several runs: figures, curves, and recall, or IoU, class by class."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Iterable, Mapping, Sequence

from slimft.files import write_atomically
from slimft.local_paths import check_local
from slimft.report.comparison import Comparison, Row, common, read_comparison
from slimft.report.figures import Curve, curve_chart
from slimft.report.markup import Html, document, join, section, table, tag
from slimft.report.pairs import texts_of
from slimft.report.settings_section import settings_section, stacking_table
from slimft.report.texts import MISSING, count, duration, rate, share, spread
from slimft.runs.read import check_output

_MOST_CLASSES = 60


def compare(train_dirs: Sequence[str | pathlib.Path], output: str | pathlib.Path) -> Comparison:
    """Writes a page that compares runs; returns what it shows.

    Args:
        train_dirs: the runs' directories; at least two.
        output: the page's file.

    Raises:
        UsageError: a directory is no run's, or is named twice; or the runs are of several tasks.
        DataError: a file in one is not as a run writes it.
    """
    check_local(output, "--output")
    output = pathlib.Path(output).expanduser()
    check_output(output)
    comparison = read_comparison(train_dirs)
    write_atomically(output, comparison_page(comparison))
    return comparison


def comparison_page(comparison: Comparison) -> Html:
    """The page of a comparison."""
    rows = comparison.rows
    return document(
        f"Comparison of {len(rows)} runs",
        tag("h1", f"Comparison of {len(rows)} runs"),
        _table_of_runs(comparison),
        settings_section(comparison),
        _table_of_tests(comparison),
        _pairs(comparison),
        _table_of_groups(comparison),
        _curves(comparison),
        *_classes(comparison),
    )


def text_tables(comparison: Comparison) -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of tables as text: of validation and, where there are any, of test figures and of pairs.

    Means over repetitions follow after the runs; ``*`` marks the best. The first table's last column may be long.
    """
    columns = comparison.columns
    header = ["run", "rank", *_titled("validation", columns.validation), "step", "time", "images/s", "differs in"]
    column = list(columns.validation.values()).index(comparison.metric)
    rows, ranks, group_ranks = [], comparison.ranks, comparison.group_ranks
    for row, rank in zip(comparison.rows, ranks):
        figures = [share(value) for value in row.validation.values()]
        figures[column] += "*" if comparison.is_best(rank, ranks) else ""
        rows.append([row.name, _rank(rank), *figures, *_effort(row), " ".join(row.differs)])
    for group, rank in zip(comparison.groups, group_ranks):
        figures = _spreads([row.validation for row in group], columns.validation)
        figures[column] += "*" if comparison.is_best(rank, group_ranks) else ""
        rows.append([f"mean of {len(group)}", _rank(rank), *figures, "", "", "", " ".join(common(group))])
    tables = [(header, rows)]
    if _has_test(comparison.rows):
        tested = [[row.name, *map(share, row.test.values())] for row in comparison.rows]
        tested += [
            [f"mean of {len(group)}", *_spreads([row.test for row in group], columns.test)]
            for group in comparison.groups
        ]
        tables.append((["run", *_titled("test", columns.test)], tested))
    pairs = comparison.pairs
    return [*tables, pairs.text_table()] if pairs.of_rows else tables


def _has_test(rows: Sequence[Row]) -> bool:
    return any(row.run.result is not None and row.run.result.split == "test" for row in rows)


def _rank(rank: int | None) -> str:
    return MISSING if rank is None else str(rank)


def _titled(split: str, titles: Iterable[str]) -> list[str]:
    return [f"{split} {title}" for title in titles]


def _spreads(figures: Sequence[dict], titles: Mapping[str, str]) -> list[str]:
    return [spread([one[name] for one in figures]) for name in titles.values()]


def _effort(row: Row) -> list[str]:
    result = row.run.result
    seconds, speed = (result.seconds, result.images_per_second) if result else (None, None)
    return [count(row.run.step), duration(seconds), rate(speed)]


def _table_of_runs(comparison: Comparison) -> Html:
    rows = [
        [
            _whole([row.name]),
            row.setting("model"),
            row.setting("recipe"),
            tag("td", _rank(rank), class_="n"),
            *_marked(row.validation, comparison, comparison.is_best(rank, comparison.ranks), share),
            *_effort(row),
        ]
        for row, rank in zip(comparison.rows, comparison.ranks)
    ]
    header = [
        "run",
        "model",
        "recipe",
        tag("th", "rank", class_="n"),
        *_titled("validation", comparison.columns.validation),
        "step",
        "time",
        "images/s",
    ]
    notes = [tag("p", note, class_="note") for note in comparison.notes()]
    return section("Runs, by validation", table(header, rows, 3), *notes)


def _marked(figures: dict, comparison: Comparison, best: bool, text) -> list[Html]:
    """Cells of validation figures; that of the metric is marked in the best row."""
    return [
        tag("td", text(value), class_="n best" if best and name == comparison.metric else "n")
        for name, value in figures.items()
    ]


def _table_of_tests(comparison: Comparison) -> Html | None:
    if not _has_test(comparison.rows):
        return None
    rows = [
        [_whole([row.name]), count(row.run.result.figure("examples")), *map(share, row.test.values())]
        for row in comparison.rows
        if row.run.result is not None and row.run.result.split == "test"
    ]
    note = "Of the checkpoints above. They are for the run that was chosen by validation, and not for choosing."
    header = ["run", "examples", *_titled("test", comparison.columns.test)]
    return section("On the test split", table(header, rows), tag("p", note, class_="note"))


def _pairs(comparison: Comparison) -> Html | None:
    pairs = comparison.pairs
    notes = [tag("p", note, class_="note") for note in pairs.notes]
    if not pairs.of_rows:
        return section("More than chance?", notes) if notes else None
    rows = [(name, texts_of(one)) for name, one in pairs.of_rows]
    title = f"More than chance? Against {pairs.reference}, on the test images of both"
    return section(title, stacking_table("run", pairs.titles(), rows), notes)


def _whole(words: Sequence[str]) -> Html | str:
    """Flags or names, none of which is broken into lines."""
    return join(*(join(tag("span", word, class_="whole", title=word), " ") for word in words)) or MISSING


def _table_of_groups(comparison: Comparison) -> Html | None:
    if not comparison.groups:
        return None
    ranks, columns = comparison.group_ranks, comparison.columns
    rows = []
    for group, rank in zip(comparison.groups, ranks):
        validation = {name: spread([row.validation[name] for row in group]) for name in columns.validation.values()}
        rows.append(
            [
                _whole([row.name for row in group]),
                _whole(common(group)),
                count(len(group)),
                _rank(rank),
                *_marked(validation, comparison, comparison.is_best(rank, ranks), str),
                *_spreads([row.test for row in group], columns.test),
                spread([row.run.result.seconds for row in group], digits=0),
            ]
        )
    note = (
        "Runs that differ in nothing but seed or fold: mean ± standard deviation (of a sample). The rank is that "
        "of the mean in validation."
    )
    header = [
        "runs",
        "settings",
        "number",
        "rank",
        *_titled("validation", columns.validation),
        *_titled("test", columns.test),
        "seconds",
    ]
    return section("Repetitions", table(header, rows, 2), tag("p", note, class_="note"))


def _curves(comparison: Comparison) -> Html | None:
    charts = []
    for name, figure in comparison.columns.choosing.items():
        curves = [
            Curve(row.name, row.run.validation["step"], row.run.validation.get(name, []), i)
            for i, row in enumerate(comparison.rows)
        ]
        title = f"Validation {figure.title}"
        charts.append(curve_chart(title, curves, f"validation-{name}", share=figure.is_share))
    return section("Validation curves", tag("div", charts, class_="grid")) if any(charts) else None


def _classes(comparison: Comparison) -> list[Html | None]:
    """Tables of recall, or IoU, by class, of repetitions and of runs that have the same classes and split."""
    alike: dict[tuple[tuple[str, ...], str], list[Row]] = {}
    for row in comparison.rows:
        if row.by_class:
            names = tuple(str(one["class"]) for one in row.run.result.per_class)
            alike.setdefault((names, row.run.result.split), []).append(row)
    tables = []
    for (names, split), rows in alike.items():
        groups = [group for group in comparison.groups if all(row in rows for row in group)]
        where = f", on the {split} split" if split else ", on a split that is not told"
        tables += [_means_by_class(names, groups, where) if groups else None, _by_class(names, rows, where)]
    return tables


def _means_by_class(names: Sequence[str], groups: Sequence[Sequence[Row]], where: str) -> Html:
    labels, note = _shown_classes(names, [row for group in groups for row in group])
    header = ["class", *(" ".join(common(group)) or f"{len(group)} runs" for group in groups)]
    cells = [
        [names[label], *(_shade([row.by_class[label] for row in group]) for group in groups)] for label in labels
    ]
    note = tag("p", f"Mean ± standard deviation over the repetitions. {note}", class_="note")
    return section(f"{_title(groups[0])} by class over repetitions{where}", table(header, cells), note)


def _by_class(names: Sequence[str], rows: Sequence[Row], where: str) -> Html:
    labels, note = _shown_classes(names, rows)
    cells, counted = [], rows[0].run.result.counted
    for label in labels:
        numbers = [row.run.result.per_class[label][counted] for row in rows]
        fewest, most = count(min(numbers)), count(max(numbers))
        number = fewest if fewest == most else f"{fewest} to {most}"
        cells.append([names[label], number, *(_shade([row.by_class[label]]) for row in rows)])
    header = ["class", counted, *(row.name for row in rows)]
    return section(f"{_title(rows)} by class{where}", table(header, cells), tag("p", note, class_="note"))


def _title(rows: Sequence[Row]) -> str:
    _, title = rows[0].columns.by_class
    return title


def _shown_classes(names: Sequence[str], rows: Sequence[Row]) -> tuple[list[int], str]:
    """The classes to show, by label: all, or those in which the runs differ most; and what to say of it."""

    def difference(label):
        known = [value for row in rows if (value := row.by_class[label]) is not None]
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
