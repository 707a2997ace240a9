"""What a run has measured so far: its learning curves, and all that early stopping goes by.

The file is written before each checkpoint, and a run that resumes forgets what comes after its step. So best
checkpoint and patience are those of a run that was never interrupted.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from slimft.errors import DataError
from slimft.files import write_atomically
from slimft.runs.history_file import HISTORY_FILE, SavedHistory, read_history
from slimft.tasks import Figure


@dataclasses.dataclass
class Sums:
    """What the steps since the last point of the training curves add up to.

    Attributes:
        step: the last of them.
        steps: how many they are.
        seconds: how long they took.
        totals: of each figure that training measures.
    """

    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    totals: dict[str, float] = dataclasses.field(default_factory=dict)

    def add(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Adds a step."""
        self.step, self.steps, self.seconds = step, self.steps + 1, self.seconds + seconds
        self.totals = {name: self.totals.get(name, 0.0) + value for name, value in values.items()}

    def copy(self) -> Sums:
        """One that later steps do not change."""
        return dataclasses.replace(self)

    def to_json(self) -> dict[str, float]:
        """As ``history.json`` has it: all in one object."""
        return {"step": self.step, "steps": self.steps, "seconds": self.seconds, **self.totals}

    @classmethod
    def from_json(cls, saved: Mapping[str, float]) -> Sums:
        """From what `to_json` returned."""
        totals = dict(saved)
        return cls(int(totals.pop("step")), int(totals.pop("steps")), totals.pop("seconds"), totals)


class History:
    """The records of a run, each a dictionary with its ``step``, in the order of the steps.

    Args:
        train_dir: the run's directory.
        metric: the figure of validation records that tells the best one. Of equals, the one of the smaller loss is
            the best, then the first.

    Attributes:
        train: means over the steps since the record before: ``step``, what training measures, ``learning_rate``,
            ``seconds`` (of training, from the start of the run) and ``images_per_second``.
        validation: ``step`` and the figures; `add_validation` adds one.
        sums: of the steps since the last of `train`.
        best_from: the step from which on validations may be the best; before it only that of step `kept` may.
        kept: see `best_from`.
        saved: the step of the newest checkpoint when the file was last written; None before there is one.
    """

    def __init__(self, train_dir: str, metric: Figure):
        self._file = pathlib.Path(train_dir, HISTORY_FILE)
        self.metric = metric
        self.train: list[dict] = []
        self.validation: list[dict] = []
        self.sums = Sums()
        self.best_from = 0
        self.kept: int | None = None
        self.saved: int | None = None
        self._sums_before: Sums | None = None  # Of the checkpoint before, which is the newest until there is one.
        self._best: dict | None = None
        self._since: dict[int, int] = {}

    def load(self, step: int) -> None:
        """Reads the records up to `step`; none where there is no file.

        Raises:
            DataError: the file cannot be read, or is not as a run writes it.
        """
        if not os.path.lexists(self._file):
            return
        self._take(read_history(self._file), step)

    def copy(self, records: Mapping[str, Any], step: int) -> None:
        """Takes what another process's `records` returned, up to `step`."""
        sums = tuple(records["sums"])
        self._take(SavedHistory(**{**records, "sums": sums}), step)

    def _take(self, saved: SavedHistory, step: int) -> None:
        self.train = [record for record in saved.train if record["step"] <= step]
        self.validation = [record for record in saved.validation if record["step"] <= step]
        for record in self.validation:
            if not {self.metric.name, "loss"} <= record.keys():
                raise DataError(f"{self._file}: the validation of step {record['step']} has no {self.metric}")
        self.sums = next((Sums.from_json(one) for one in saved.sums if one["step"] == step), Sums(step))
        self._sums_before = self.sums.copy()
        self.best_from, self.kept, self.saved = saved.best_from, saved.kept, saved.saved
        self._has_changed()

    def records(self) -> dict[str, Any]:
        """All of it, of what JSON has."""
        best = self.best()
        records = {
            "train": self.train,
            "validation": self.validation,
            "sums": [sums.to_json() for sums in (self._sums_before, self.sums) if sums],
            "best_step": best and best["step"],
            "metric": self.metric.name,
            "best_from": self.best_from,
            "kept": self.kept,
            "saved": self.saved,
        }
        return _finite(records)

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        write_atomically(self._file, json.dumps(self.records(), allow_nan=False) + "\n")
        self._sums_before = self.sums.copy()

    @property
    def seconds(self) -> float:
        """How long the run has trained."""
        return (self.train[-1]["seconds"] if self.train else 0.0) + self.sums.seconds

    def add_validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds the validation of `step`, which is above that of the last one."""
        self.validation.append({"step": step, **figures})
        self._has_changed()

    def validated(self, step: int) -> bool:
        """Whether there is a validation of `step`, the run's last one."""
        return bool(self.validation) and self.validation[-1]["step"] == step

    def best(self) -> dict | None:
        """The best validation of those that count; None if there is none with finite figures."""
        return self._best

    def _has_changed(self) -> None:
        """Finds the best validation; the loop asks for it at every step."""
        ranked = [(rank, record) for record in self._counted() if (rank := self._rank(record)) is not None]
        _, self._best = max(ranked, key=lambda pair: pair[0], default=(None, None))
        self._since = {}

    def validations_since_best(self, after: int = 0) -> int:
        """How many validations in a row, of those after step `after`, were not better than the best before them."""
        if after not in self._since:
            self._since[after] = self._count_since_best(after)
        return self._since[after]

    def _count_since_best(self, after: int) -> int:
        best, since = None, 0
        for record in self._counted():
            if record["step"] <= after:
                continue
            rank = self._rank(record)
            is_better = rank is not None and (best is None or rank > best)
            best, since = (rank, 0) if is_better else (best, since + 1)
        return since

    def agree_with_kept(self, kept: int | None, step: int) -> bool:
        """Lets the best be chosen anew from `step` on if its checkpoint is not there.

        That is so where the run resumes with another metric, or from an older checkpoint.

        Args:
            kept: the step of the checkpoint that is kept as the best; None if there is none.
            step: the step of the run.

        Returns:
            Whether it is chosen anew: of the validations before `step` only that of `kept` still counts.
        """
        best = self.best()
        if best is None or best["step"] in (kept, step):
            return False
        self.best_from, self.kept = step, kept
        self._has_changed()
        return True

    def _counted(self) -> list[dict]:
        return [r for r in self.validation if r["step"] >= self.best_from or r["step"] == self.kept]

    def _rank(self, record: dict) -> tuple[float, float] | None:
        """What compares a validation with others, the larger the better; None for one that is not finite."""
        value, loss = record[self.metric.name], record["loss"]
        if value is None or loss is None or not (math.isfinite(value) and math.isfinite(loss)):
            return None
        return (value if self.metric.larger_is_better else -value), -loss


def _finite(value: Any) -> Any:
    """`value` with null for the numbers that JSON has not."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
