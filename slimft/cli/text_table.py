"""Tables and figures as text: aligned columns, megabytes, thousands separators; JSON that any parser takes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from slimft.messages import printable


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int | Collection[int]) -> str:
    """Returns the rows under their header, in columns; what is in a cell is escaped as by `printable`.

    Args:
        header: each column's title.
        rows: cells; as many in each row as there are titles.
        left: how many columns, from the first on, are aligned left, or which; the others are aligned right.
    """
    # tabulate takes as many lines to tell it not to guess at numbers and alignment, and is one more package.
    rows = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ["-" * width for width in widths])
    lines, left = [], range(left) if isinstance(left, int) else left
    for row in rows:
        cells = (
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def shape_text(shape: Sequence[int]) -> str:
    """``3x3x64x128``, or ``scalar``."""
    return "x".join(map(str, shape)) or "scalar"


def dtype_text(dtype: np.dtype) -> str:
    """The name of a dtype, TensorFlow's for its quantized ones; ``string`` for all kinds of strings."""
    if dtype.kind in "OSU":
        return "string"
    return dtype.names[0] if dtype.names else dtype.name


def megabytes(size: int, total: int) -> str:
    """`size` bytes of `total` in MB, of 10**6 bytes; to the byte if all of it is less than one."""
    return f"{size / 1e6:,.{3 if total >= 10**6 else 6}f}"


def counted(count: int, noun: str) -> str:
    """``1 variable``, ``34 variables``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def json_ready(value):
    """`value` with strings for the floats that JSON has no number for: NaN, Infinity, -Infinity."""
    if isinstance(value, dict):
        return {key: json_ready(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
