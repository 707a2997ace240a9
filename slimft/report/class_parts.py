"""What the reports of several tasks show class by class: long tables, bars, the confusion matrix."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from slimft.report.markup import Html, folded, join, table, tag
from slimft.report.texts import MISSING, count, percent

# Up to so many classes a confusion matrix has its numbers, up to so many it is drawn at all.
_NUMBERED_CLASSES = 30
DRAWN_CLASSES = 60
# Up to so many, its cells are wide.
_WIDE_CLASSES = 15
# From so many classes on, the table of all of them is folded away.
OPEN_ROWS = 40
_MOST_ROWS = 2000
# Of the pairs of classes that are confused most often.
_SHOWN_PAIRS = 20


def picture(url: str | None, alt: str = "") -> Html:
    """An image; where it cannot be had, an empty place that says so."""
    return tag("img", src=url, alt=alt) if url else tag("div", "no picture", class_="blank")


def extent(counts: Sequence[int], names: Sequence[str]) -> tuple[str, str, str]:
    """The smallest class, the median and the largest, of how many there are of each class."""
    least, most = min(counts), max(counts)
    return (
        f"{count(least)} ({names[counts.index(least)]})",
        count(statistics.median(counts)),
        f"{count(most)} ({names[counts.index(most)]})",
    )


def with_bar(text: str, part: float | None) -> Html:
    """A figure after a bar that is filled as far as `part`, in 0..1, says."""
    filled = None if not part else tag("i", style=f"width:{100 * min(max(part, 0), 1):.1f}%")
    return join(tag("span", filled, class_="bar"), tag("span", text, class_="figure"))


def long_table(header: Sequence, rows: list, summary: str) -> Html:
    """A table that is folded away where it is long, and cut where it is very long."""
    note = None
    if len(rows) > _MOST_ROWS:
        note = tag("p", f"The first {_MOST_ROWS:,}; all are in result.json.", class_="note")
    whole = table(header, rows[:_MOST_ROWS])
    return folded(summary, whole, note) if len(rows) > OPEN_ROWS else whole


def heat_map(
    names: Sequence[str], matrix: Sequence[Sequence[int]], text: Callable[[int, float], str], note: str
) -> Html:
    """A confusion matrix whose cells are coloured by their share of their row.

    Args:
        names: the classes' names.
        matrix: numbers by label (row) and prediction (column).
        text: makes what a cell says of its number, which is not 0, and of its share.
        note: what to know of it.
    """
    numbered = len(names) <= _NUMBERED_CLASSES
    corner = tag("th")
    header = tag("tr", corner, [tag("th", tag("span", _short(name)), title=name, class_="t") for name in names])
    rows = []
    for label, (name, row) in enumerate(zip(names, matrix)):
        total = sum(row)
        cells = [
            _heat_cell(
                number,
                number / total if total else 0,
                text if numbered else None,
                label == predicted,
                f"{name} → {other}",
            )
            for predicted, (other, number) in enumerate(zip(names, row))
        ]
        rows.append(tag("tr", tag("th", _short(name), title=name), cells))
    css = "heat small" if not numbered else "heat" if len(names) <= _WIDE_CLASSES else "heat dense"
    drawn = tag("div", tag("table", tag("thead", header), tag("tbody", rows), class_=css), class_="scroll")
    return join(drawn, tag("p", note, class_="note"))


def _heat_cell(number: int, part: float, text: Callable[[int, float], str] | None, right: bool, what: str) -> Html:
    css = " ".join(name for name, applies in (("right", right), ("strong", part > 0.55)) if applies)
    return tag(
        "td",
        text(number, part) if text and number else None,
        class_=css or None,
        title=f"{what}: {number:,} ({part:.1%})" if number else None,
        style=f"background:rgba(var(--heat),{part:.2f})" if number else None,
    )


def _short(name: str) -> str:
    """A name's beginning and end: long names often differ in one of them only."""
    return name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"


def confused_pairs(
    names: Sequence[str], pairs: Iterable[Sequence[int]], of_class: Mapping[int, int], counted: str
) -> Html:
    """A table of what is taken for what.

    Args:
        names: the classes' names.
        pairs: label, prediction and how many there are of that, the most first.
        of_class: how many there are of a class, by label, as far as that is known.
        counted: what is counted.
    """
    rows = [
        (names[label], names[predicted], count(number), _part(number, of_class.get(label)))
        for label, predicted, number in itertools.islice(pairs, _SHOWN_PAIRS)
    ]
    header = ["label", "taken for", counted, "of the class"]
    return join(tag("h3", "Most frequent confusions"), table(header, rows, 2))


def _part(number: int, examples) -> str:
    return percent(number / examples) if examples else MISSING
