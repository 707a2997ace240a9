"""The table of an exercise as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from slimft.exercise.rows import Row

# Columns whose cells are words, aligned left.
_WORDS = ("step", "network", "from")
LEGEND = (
    "Accuracy, of FCN mean IoU, in percent: on the validation split, by which settings are chosen, and on the test "
    "split, with its 95 % interval (Wilson); ± is the standard deviation over seeds. Published figures are of "
    "other images, epochs and machines."
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
            by_note.setdefault(row.note, []).append(row.step.name)
    return [f"{', '.join(names)}: {note}." for note, names in by_note.items()]


def words(titles: Sequence[str]) -> list[int]:
    """The places of the columns that are words."""
    return [place for place, title in enumerate(titles) if title in _WORDS]


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    titles = columns(rows)
    lines = ["| " + " | ".join(titles) + " |"]
    lines.append("| " + " | ".join("---" if title in _WORDS else "---:" for title in titles) + " |")
    for row in rows:
        cells = row.cells
        lines.append("| " + " | ".join(cells[title].replace("|", "\\|") for title in titles) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(rows))]) + "\n"
