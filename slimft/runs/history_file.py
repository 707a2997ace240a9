"""``history.json`` of a run, read and checked."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

from slimft.runs.checked_json import Value, read_json

HISTORY_FILE = "history.json"
# A ``step``, which is an int, and figures, each a float or None.
Record = dict[str, Any]


class SavedHistory(NamedTuple):
    """What ``history.json`` holds.

    Attributes:
        train: records of training, ordered by their ``step``, no two of which are equal; all else in a record is a
            finite number, or None where there is none.
        validation: those of validation, likewise.
        best_step: the step of the best validation; None if there is none.
        metric: what tells the best; empty in files of earlier versions.
        sums: of the steps since a point of the curves, one or two of them: see `slimft.runs.history.Sums`.
        best_from, kept, saved: see `slimft.runs.history.History`.
    """

    train: list[Record]
    validation: list[Record]
    best_step: int | None
    metric: str
    sums: tuple[dict[str, Any], ...] = ()
    best_from: int = 0
    kept: int | None = None
    saved: int | None = None


def read_history(file: str | os.PathLike) -> SavedHistory:
    """Reads ``history.json`` of a run.

    Figures that are NaN or infinite, as Python writes them, are None.

    Raises:
        DataError: the file is missing, or is not as a run writes it.
    """
    whole = read_json(file)
    train, validation = (_records(whole.get(name)) for name in ("train", "validation"))
    best = whole.get("best_step")
    best_step = None if best.raw is None else best.integer()
    if best_step is not None and all(record["step"] != best_step for record in validation):
        raise best.error(f"{best_step}, of which there is no validation")
    best_from, kept, saved = (
        None if value.raw is None else value.integer() for value in map(whole.get, ("best_from", "kept", "saved"))
    )
    sums = tuple(map(_sums, whole.get("sums").array()))
    return SavedHistory(train, validation, best_step, whole.get("metric").text(), sums, best_from or 0, kept, saved)


def _sums(value: Value) -> dict[str, Any]:
    found: dict[str, Any] = {name: value.get(name).integer() for name in ("step", "steps")}
    for name in ("seconds", *(name for name in value.object() if name not in ("step", "steps", "seconds"))):
        found[name] = value.get(name).number(below=math.inf)
        if found[name] is None:
            raise value.get(name).wrong("a finite number")
    return found


def _records(rows: Value) -> list[Record]:
    if rows.raw is None:
        raise rows.wrong("a list")
    records: list[Record] = []
    before = -1
    for row in rows.array():
        members = row.object()
        if "step" not in members:
            raise row.wrong("a row with a step")
        step = members["step"].integer()
        if step <= before:
            raise members["step"].error(f"{step}, which is not above the step before it, {before}")
        records.append({name: value.number(below=math.inf) for name, value in members.items()} | {"step": step})
        before = step
    return records
