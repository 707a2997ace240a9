"""What several runs were told otherwise than each other, to be read at any width."""

from __future__ import annotations

from slimft.report.comparison import Comparison
from slimft.report.markup import Html, section, tag

# Beyond so many columns values get too narrow to be read.
_MOST_COLUMNS = 8


def settings_section(comparison: Comparison) -> Html | None:
    """The settings that not all runs have in common, and nothing of the others; None where there are none."""
    if not comparison.apart:
        return None
    rows = [(row.name, [row.setting(name) for name in comparison.apart]) for row in comparison.rows]
    return section("What the runs differ in", stacking_table("run", comparison.apart, rows))


def stacking_table(corner: str, header, rows) -> Html:
    """A table of texts; where it is too wide, each row is a block: its name, and below it titles and values.

    Args:
        corner: what the rows are.
        header: the columns' titles.
        rows: of each its name, and as many values.
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
    narrow = "stacking stacked" if len(header) > _MOST_COLUMNS else "stacking"
    return tag("table", head, tag("tbody", body), class_=narrow)
