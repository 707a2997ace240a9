"""Which runs have the same data, and were validated or tested on the same examples."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Hashable, Sequence

from slimft.data.loading import never_changes
from slimft.runs.read import RunFiles
from slimft.runs.settings import Settings

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Settings)}
# What decides which examples a split has.
_DRAWN_BY = ("validation_share", "test_share", "split_seed", "folds", "group")
# What makes a set of examples: each part of it under its name.
Examples = dict[str, Hashable]


def places(runs: Sequence[RunFiles]) -> list[str | None]:
    """Where the data of each run lies: equal where it is the same, by its path or by what the runs recorded."""
    first: dict[tuple, str | None] = {}
    found = []
    for run in runs:
        place = _place(run)
        found.append(first.setdefault(tuple(sorted(run.recorded.items())), place) if run.recorded else place)
    return found


def examples_of(runs: Sequence[RunFiles], split: str) -> list[Examples]:
    """What is known of the examples of each run's `split`; equal where they are the same.

    What a run recorded of them decides. One that recorded nothing, as those of earlier versions, is taken to have
    had what the others of the same data and the same options recorded, where these agree.
    """
    drawn = [_drawn(run) for run in runs]
    records = [(run.recorded or {}).get(split) for run in runs]
    found = []
    for run, told, record in zip(runs, drawn, records):
        if record is None:
            alike = {other for other, of in zip(records, drawn) if other is not None and of == told}
            record = alike.pop() if len(alike) == 1 else None
        known = told if record is None else {"what data.json says of them": record}
        found.append(known | _sample(run, split) | _counted(run, split))
    return found


def differing(sets: Sequence[Examples]) -> list[str]:
    """The names of what several sets of examples differ in; empty where they are the same."""
    names = {name: None for examples in sets for name in examples}
    return [name for name in names if any(one.get(name) != sets[0].get(name) for one in sets)]


def _place(run: RunFiles) -> str | None:
    folder = run.settings.get("data_dir")
    if folder is None or never_changes(run.settings.get("dataset")):
        return None
    return os.path.realpath(os.path.expanduser(folder))


def _drawn(run: RunFiles) -> Examples:
    told = {name: run.settings.get(name, _DEFAULTS.get(name)) for name in _DRAWN_BY}
    if told["folds"] is not None:
        told |= {"fold": run.settings.get("fold", 0)}
    flags = {f"--{name}": tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return {"--dataset": run.settings.get("dataset"), "--data_dir": _place(run), **flags}


def _sample(run: RunFiles, split: str) -> Examples:
    """Which of them were drawn to validate or to test on, where they were not all."""
    flag = f"{split}_examples"
    count = run.settings.get(flag)
    return {} if count is None else {f"--{flag}": (count, run.settings.get("split_seed", _DEFAULTS["split_seed"]))}


def _counted(run: RunFiles, split: str) -> Examples:
    """How many examples a finished run was validated or tested on, and how many of each class it has there."""
    result = run.result
    if result is None:
        return {}
    figures = run.validation_at(run.step) if split == "validation" else {}
    if not figures and result.split == split:
        figures = result.result
    return {
        "the classes": tuple(result.class_names),
        "the number of examples": figures.get("examples"),
        f"the {result.counted} of each class": tuple(result.class_counts.get(split, ())),
    }
