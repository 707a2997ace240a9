"""The page of several runs: figures, curves, and recall class by class."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Iterable, Sequence

from slimft.files import write_atomically
from slimft.report.comparison import CHOOSING, TEST, VALIDATION, Comparison, Row, common, read_comparison
from slimft.report.figures import Curve, curve_chart
from slimft.report.markup import Html, document, join, section, table, tag
from slimft.report.texts import MISSING, count, duration, rate, share, spread
from slimft.runs.read import check_output

_MOST_CLASSES = 60


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


def comparison_page(comparison: Comparison) -> Html:
    """The page of a comparison."""
    rows = comparison.rows
    return document(
        f"Comparison of {len(rows)} runs",
        tag("h1", f"Comparison of {len(rows)} runs"),
        _table_of_runs(comparison),
        _table_of_tests(comparison),
        _table_of_groups(comparison),
        _curves(rows),
        *_recalls(comparison),
    )


def text_tables(comparison: Comparison) -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of the table of validation, and of that of test figures if there are any, as text.

    Means over repetitions follow after the runs; ``*`` marks the best. The first table's last column may be long.
    """
    header = ["run", "rank", *_titled("validation", VALIDATION), "step", "time", "images/s", "differs in"]
    column = list(VALIDATION.values()).index(comparison.metric)
    rows, ranks, group_ranks = [], comparison.ranks, comparison.group_ranks
    for row, rank in zip(comparison.rows, ranks):
        figures = [share(value) for value in row.validation.values()]
        figures[column] += "*" if comparison.is_best(rank, ranks) else ""
        rows.append([row.name, _rank(rank), *figures, *_effort(row), " ".join(row.differs)])
    for group, rank in zip(comparison.groups, group_ranks):
        figures = _spreads([row.validation for row in group], VALIDATION)
        figures[column] += "*" if comparison.is_best(rank, group_ranks) else ""
        rows.append([f"mean of {len(group)}", _rank(rank), *figures, "", "", "", " ".join(common(group))])
    tables = [(header, rows)]
    if _has_test(comparison.rows):
        tested = [[row.name, *map(share, row.test.values())] for row in comparison.rows]
        tested += [
            [f"mean of {len(group)}", *_spreads([row.test for row in group], TEST)] for group in comparison.groups
        ]
        tables.append((["run", *_titled("test", TEST)], tested))
    return tables


def _has_test(rows: Sequence[Row]) -> bool:
    return any(row.run.result is not None and row.run.result.split == "test" for row in rows)


def _rank(rank: int | None) -> str:
    return MISSING if rank is None else str(rank)


def _titled(split: str, titles: Iterable[str]) -> list[str]:
    return [f"{split} {title}" for title in titles]


def _spreads(figures: Sequence[dict], titles: dict[str, str]) -> list[str]:
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
            tag("td", _whole(row.differs)),  # Last: it can be long.
        ]
        for row, rank in zip(comparison.rows, comparison.ranks)
    ]
    header = [
        "run",
        "model",
        "recipe",
        tag("th", "rank", class_="n"),
        *_titled("validation", VALIDATION),
        "step",
        "time",
        "images/s",
        tag("th", "differs in"),
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
    header = ["run", "examples", *_titled("test", TEST)]
    return section("On the test split", table(header, rows), tag("p", note, class_="note"))


def _whole(words: Sequence[str]) -> Html | str:
    """Flags or names, none of which is broken into lines."""
    return join(*(join(tag("span", word, class_="whole", title=word), " ") for word in words)) or MISSING


def _table_of_groups(comparison: Comparison) -> Html | None:
    if not comparison.groups:
        return None
    ranks = comparison.group_ranks
    rows = []
    for group, rank in zip(comparison.groups, ranks):
        validation = {name: spread([row.validation[name] for row in group]) for name in VALIDATION.values()}
        rows.append(
            [
                _whole([row.name for row in group]),
                _whole(common(group)),
                count(len(group)),
                _rank(rank),
                *_marked(validation, comparison, comparison.is_best(rank, ranks), str),
                *_spreads([row.test for row in group], TEST),
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
        *_titled("validation", VALIDATION),
        *_titled("test", TEST),
        "seconds",
    ]
    return section("Repetitions", table(header, rows, 2), tag("p", note, class_="note"))


def _curves(rows: Sequence[Row]) -> Html | None:
    charts = []
    for name, figure in CHOOSING.items():
        curves = [
            Curve(row.name, row.run.validation["step"], row.run.validation.get(name, []), i)
            for i, row in enumerate(rows)
        ]
        title = f"Validation {figure.title}"
        charts.append(curve_chart(title, curves, f"validation-{name}", share=figure.is_share))
    return section("Validation curves", tag("div", charts, class_="grid")) if any(charts) else None


def _recalls(comparison: Comparison) -> list[Html | None]:
    """Tables of recalls by class, of repetitions and of runs, for all that have the same classes and split."""
    alike: dict[tuple[tuple[str, ...], str], list[Row]] = {}
    for row in comparison.rows:
        if row.recalls:
            names = tuple(str(one["class"]) for one in row.run.result.per_class)
            alike.setdefault((names, row.run.result.split), []).append(row)
    tables = []
    for (names, split), rows in alike.items():
        groups = [group for group in comparison.groups if all(row in rows for row in group)]
        where = f", on the {split} split" if split else ", on a split that is not told"
        tables += [_mean_recalls(names, groups, where) if groups else None, _recall_table(names, rows, where)]
    return tables


def _mean_recalls(names: Sequence[str], groups: Sequence[Sequence[Row]], where: str) -> Html:
    labels, note = _shown_classes(names, [row for group in groups for row in group])
    header = ["class", *(" ".join(common(group)) or f"{len(group)} runs" for group in groups)]
    cells = [
        [names[label], *(_shade([row.recalls[label] for row in group]) for group in groups)] for label in labels
    ]
    note = tag("p", f"Mean ± standard deviation over the repetitions. {note}", class_="note")
    return section(f"Recall by class over repetitions{where}", table(header, cells), note)


def _recall_table(names: Sequence[str], rows: Sequence[Row], where: str) -> Html:
    labels, note = _shown_classes(names, rows)
    cells = []
    for label in labels:
        examples = [row.run.result.per_class[label]["examples"] for row in rows]
        fewest, most = count(min(examples)), count(max(examples))
        counted = fewest if fewest == most else f"{fewest} to {most}"
        cells.append([names[label], counted, *(_shade([row.recalls[label]]) for row in rows)])
    header = ["class", "examples", *(row.name for row in rows)]
    return section(f"Recall by class{where}", table(header, cells), tag("p", note, class_="note"))


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
