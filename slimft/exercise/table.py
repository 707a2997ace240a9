"""The table of an exercise as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from slimft.exercise.plan import Places
from slimft.exercise.rows import Row, doubts

# Columns whose cells are words, aligned left.
# Beyond so many, they are counted.
_MOST_NAMES = 6
_WORDS = ("step", "network", "from")
LEGEND = (
    "Accuracy, of FCN mean IoU, in percent: on the validation split, by which settings are chosen, and on the test "
    "split, with its 95 % interval (Wilson); ± is the standard deviation over seeds. Published figures are "
    "of other epochs and settings, most of them of the test images as a validation split."
)


def columns(rows: Sequence[Row]) -> list[str]:
    """The titles of the columns that have anything in them."""
    cells = [row.cells for row in rows]
    return [title for title in (cells[0] if cells else ()) if any(one[title] for one in cells)]


def notes(rows: Sequence[Row]) -> list[str]:
    """What to know of the rows, a line for each thing."""
    by_note: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            by_note.setdefault(row.note, []).append(row.name)
    return [f"{_list(names)}: {note}." for note, names in by_note.items()]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} steps"


def words(titles: Sequence[str]) -> list[int]:
    """The places of the columns that are words."""
    return [place for place, title in enumerate(titles) if title in _WORDS]


def about(places: Places) -> str:
    """What all rows have in common."""
    return f"Dataset {places.dataset}, scale {places.scale}."


def markdown(rows: Sequence[Row], places: Places) -> str:
    """The table in Markdown, with what to know of it."""
    titles = columns(rows)
    lines = ["| " + " | ".join(titles) + " |"]
    lines.append("| " + " | ".join("---" if title in _WORDS else "---:" for title in titles) + " |")
    for row in rows:
        cells = row.cells
        lines.append("| " + " | ".join(cells[title].replace("|", "\\|") for title in titles) + " |")
    told = [f"- {note}" for note in (*doubts(rows), *notes(rows))]
    return "\n".join([f"{about(places)} {LEGEND}", "", *lines, "", *told]) + "\n"
