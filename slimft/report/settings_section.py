"""What several runs were told otherwise than each other, to be read at any width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slimft.report.comparison import Comparison, Row
from slimft.report.markup import Html, section, tag

# Beyond so many columns values get too narrow to be read.
_MOST_COLUMNS = 8


def settings_section(comparison: Comparison) -> Html | None:
    """The settings that not all runs have in common, and nothing of the others; None where there are none.

    A column for each run, or else for each setting, or else a block for each run.
    """
    if not comparison.apart:
        return None
    names = [row.name for row in comparison.rows]
    if len(names) <= _MOST_COLUMNS:
        rows = [(name, [_text(row, name) for row in comparison.rows]) for name in comparison.apart]
        shown = stacking_table("setting", names, rows, even=True)
    else:
        rows = [(row.name, [_text(row, name) for name in comparison.apart]) for row in comparison.rows]
        shown = stacking_table("run", comparison.apart, rows, even=True)
    return section("What the runs differ in", shown)


def _text(row: Row, name: str) -> str:
    value = row.run.settings.get(name)
    return ", ".join(map(str, value)) if isinstance(value, list) and value else row.setting(name)


def stacking_table(
    corner: str, header: Sequence[str], rows: Iterable[tuple[str, Sequence[object]]], even: bool = False
) -> Html:
    """A table of texts; where it is too wide, each row is a block: its name, and below it titles and values.

    Args:
        corner: what the rows are.
        header: the columns' titles.
        rows: of each its name, and as many values.
        even: whether all columns are as wide as each other, so that long values break.
    """
    head = tag("thead", tag("tr", tag("th", corner), [tag("th", title) for title in header]))
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            [tag("td", value, data_title=title) for title, value in zip(header, values)],
        )
        for name, values in rows
    ]
    css = ["stacking", *(["even"] if even else []), *(["stacked"] if len(header) > _MOST_COLUMNS else [])]
    return tag("table", head, tag("tbody", body), class_=" ".join(css))
