"""A checkpoint's variables as rows, and their totals, for bin/inspect_checkpoint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.cli.read_progress import stored_bytes
from slimft.cli.text_table import counted, dtype_text, megabytes, shape_text, text_table
from slimft.cli.variable_values import Statistics
from slimft.filters import VariableFilter

# With more top scopes than these, the totals by scope do not go deeper unless told to.
_FEW_SCOPES = 12


@dataclasses.dataclass(frozen=True)
class Row:
    """One variable.

    Attributes:
        name: its name in the checkpoint.
        full_name: its `Variable.name`, where the checkpoint is object-based and tells.
        shape: its shape.
        dtype: its dtype.
        parameters: how many numbers it has; None for strings.
        bytes: how many bytes these take; None for strings.
    """

    name: str
    full_name: str | None
    shape: tuple[int, ...]
    dtype: np.dtype
    parameters: int | None
    bytes: int | None

    def as_json(self) -> dict:
        """The row as a JSON object."""
        full_name = {} if self.full_name is None else {"full_name": self.full_name}
        return {
            "name": self.name,
            **full_name,
            "shape": list(self.shape),
            "dtype": dtype_text(self.dtype),
            "parameters": self.parameters,
            "bytes": self.bytes,
        }


@dataclasses.dataclass(frozen=True)
class Totals:
    """The sums over some variables; strings have no parameters and count no bytes."""

    variables: int
    parameters: int
    bytes: int

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Totals:
        """The sums over `rows`."""
        return cls(len(rows), sum(row.parameters or 0 for row in rows), sum(row.bytes or 0 for row in rows))

    def __str__(self) -> str:
        counts = f"{counted(self.variables, 'variable')}, {counted(self.parameters, 'parameter')}"
        return f"{counts}, {megabytes(self.bytes, self.bytes)} MB"


def selected_names(checkpoint: Checkpoint, match: str | None, *more: Iterable[str]) -> list[str]:
    """The names of the variables that `match` selects, by name or by full name, in the checkpoint's order.

    Args:
        checkpoint: the checkpoint.
        match: patterns; None or nothing selects everything.
        more: further names that a pattern may select, and that are returned too.

    Raises:
        PatternError: a pattern selects nothing.
    """
    full_names = checkpoint.aliases() if match else {}
    names = list(dict.fromkeys([*checkpoint, *(name for names in more for name in names)]))
    selected = VariableFilter(include=match, include_flag="--match").select([*names, *full_names])
    chosen = {full_names.get(name, name) for name in selected}
    return [name for name in names if name in chosen]


def rows_of(checkpoint: Checkpoint, names: Iterable[str], full_names: Mapping[str, str]) -> list[Row]:
    """The rows of the variables `names`; reads no values.

    Args:
        checkpoint: the checkpoint.
        names: its variables to list.
        full_names: by name there, the full name.
    """
    rows = []
    for name in names:
        shape, dtype = checkpoint.shape(name), checkpoint.dtype(name)
        parameters = None if dtype.kind in "OSU" else math.prod(shape)
        rows.append(Row(name, full_names.get(name), shape, dtype, parameters, stored_bytes(checkpoint, name)))
    return rows


def listing(rows: Sequence[Row], statistics: Mapping[str, Statistics | None] | None = None) -> str:
    """The table of the variables.

    Args:
        rows: the variables.
        statistics: the figures of each, by name; None to do without.
    """
    header = ["name", "shape", "dtype", "parameters", "MB", "share"]
    has_full_names = any(row.full_name for row in rows)
    if has_full_names:
        header.insert(1, "full name")
    if statistics is not None:
        header += ["mean", "std", "min", "max", "NaN", "Inf"]
    total = Totals.of(rows).bytes
    lines = []
    for row in rows:
        full_name = [row.full_name or ""] if has_full_names else []
        lines.append(
            [
                row.name,
                *full_name,
                shape_text(row.shape),
                dtype_text(row.dtype),
                *_size_cells(row.parameters, row.bytes, total),
                *(_statistics_cells(statistics[row.name]) if statistics is not None else ()),
            ]
        )
    return text_table(header, lines, left=header.index("parameters"))


def totals_by_scope(rows: Sequence[Row], depth: int | None = None) -> dict[str, Totals]:
    """The totals of each scope, in order of first appearance; a variable outside counts as a scope of its own.

    Args:
        rows: the variables.
        depth: how many levels of scopes; by default two, or one where there are many top scopes.
    """
    # Object-based checkpoints end a variable's name so.
    parts = {row.name: row.name.split("/.ATTRIBUTES/")[0].split("/") for row in rows}
    if depth is None:
        depth = 2 if len({part[0] for part in parts.values()}) <= _FEW_SCOPES else 1
    members: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        for level in range(1, min(depth, len(parts[row.name])) + 1):
            members.setdefault(tuple(parts[row.name][:level]), []).append(row)
    # A scope before what is in it, also where the names are not sorted.
    first = {scope: order for order, scope in enumerate(members)}
    scopes = sorted(members, key=lambda scope: [first[scope[: level + 1]] for level in range(len(scope))])
    return {"/".join(scope): Totals.of(members[scope]) for scope in scopes}


def scope_table(scopes: Mapping[str, Totals], total: int) -> str:
    """The table of the totals by scope.

    Args:
        scopes: as from `totals_by_scope`.
        total: bytes that are all of it.
    """
    lines = [
        [scope, f"{totals.variables:,}", *_size_cells(totals.parameters, totals.bytes, total)]
        for scope, totals in scopes.items()
    ]
    return text_table(["scope", "variables", "parameters", "MB", "share"], lines, left=1)


def _size_cells(parameters: int | None, size: int | None, total: int) -> list[str]:
    count = "-" if parameters is None else f"{parameters:,}"
    if size is None:
        return [count, "-", "-"]
    return [count, megabytes(size, total), f"{100 * size / total if total else 0:.2f}%"]


def _statistics_cells(figures: Statistics | None) -> list[str]:
    if figures is None:
        return ["-"] * 6
    values = (figures.mean, figures.std, figures.min, figures.max)
    return [*map(_number, values), f"{figures.nan:,}", f"{figures.inf:,}"]


def _number(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
