"""``search.json``: what the directory of a search keeps of its trials.

All a search goes on from: trials that are done are told to the sampler anew. It is written before and after each
trial, and at each of its validations where these may end it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

from slimft.errors import UsageError
from slimft.files import write_atomically
from slimft.runs.checked_json import Value, read_json
from slimft.runs.settings import OF_THE_CLUSTER, OF_THE_DISK, PRECISIONS
from slimft.search.space import Axis, Parameters, read_sweep

SEARCH_FILE = "search.json"
GRID = "grid"
KINDS = (GRID, "random", "tpe")
# To be run, or begun; come to its end; ended by the pruner; ended by an error.
WAITING, COMPLETE, PRUNED, FAILED = "waiting", "complete", "pruned", "failed"
_STATES = (WAITING, COMPLETE, PRUNED, FAILED)
_VERSION = 1


@dataclasses.dataclass
class Trial:
    """A trial.

    Attributes:
        number: from 1; also its directory's name.
        parameters: its values of the flags that vary.
        state: ``waiting``, ``complete``, ``pruned`` or ``failed``.
        value: what trials are chosen by: its figure in validation, of what it ends with; of a pruned one the last.
        loss: its loss there, which decides between equal ones.
        step: the step that these are of.
        seconds: of training.
        values: the figure at each of its validations, in their order.
        message: why it is not complete.
    """

    number: int
    parameters: Parameters
    state: str = WAITING
    value: float | None = None
    loss: float | None = None
    step: int | None = None
    seconds: float | None = None
    values: list[float | None] = dataclasses.field(default_factory=list)
    message: str = ""

    @property
    def name(self) -> str:
        """Its directory's name."""
        return f"trial-{self.number:03d}"

    @property
    def is_chosen_from(self) -> bool:
        """Whether it has come to its end, with a figure."""
        return self.state == COMPLETE and self.value is not None


@dataclasses.dataclass
class Record:
    """A search, as its directory keeps it.

    Attributes:
        kind: ``grid``, ``random`` or ``tpe``.
        seed: of the sampler.
        axes: what varies.
        metric: the figure of validation that chooses.
        larger_is_better: whether the best trial has the largest.
        settings: what all trials have in common, as JSON has it; without what is only of the disk.
        data: a digest of what the trials' data holds; empty where it never changes, or nothing has been trained.
        precision: what ``--precision=auto`` came to, for all trials alike; empty while that is not known.
        trials: the trials, by their numbers.
    """

    kind: str
    seed: int
    axes: tuple[Axis, ...]
    metric: str
    larger_is_better: bool
    settings: dict[str, Any]
    data: str = ""
    precision: str = ""
    trials: list[Trial] = dataclasses.field(default_factory=list)

    def save(self, folder: pathlib.Path) -> None:
        """Writes the file, whole or not at all."""
        values = dataclasses.asdict(self) | {"axes": [str(axis) for axis in self.axes], "version": _VERSION}
        write_atomically(folder / SEARCH_FILE, json.dumps(values, indent=1) + "\n")

    def rank(self, trial: Trial) -> tuple[float, float, int]:
        """What sorts trials that have a value, the best first: by the figure, the loss, the number."""
        assert trial.value is not None
        loss = float("inf") if trial.loss is None else trial.loss
        return -trial.value if self.larger_is_better else trial.value, loss, trial.number

    @property
    def best(self) -> Trial | None:
        """The best trial that came to its end."""
        return min((trial for trial in self.trials if trial.is_chosen_from), key=self.rank, default=None)

    @property
    def sorted(self) -> list[Trial]:
        """The trials, the best first; then those that were pruned, failed or have not come to their end."""
        order = {COMPLETE: 0, PRUNED: 1, FAILED: 2, WAITING: 3}

        def key(trial: Trial) -> tuple:
            known = trial.value is not None and trial.state in (COMPLETE, PRUNED)
            return order[trial.state], self.rank(trial) if known else (float("inf"), 0.0, trial.number)

        return sorted(self.trials, key=key)

    def count(self, state: str) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)


def common_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as the record compares them: of JSON, and without what is only of the disk."""
    told = {name: value for name, value in settings.items() if name not in (*OF_THE_DISK, *OF_THE_CLUSTER)}
    if told.get("data_dir") is not None:
        told["data_dir"] = os.path.abspath(os.path.expanduser(told["data_dir"]))
    return json.loads(json.dumps(told, default=os.fspath))


def read_record(folder: pathlib.Path) -> Record | None:
    """Reads a search's record; None where there is none.

    Raises:
        DataError: it is not as a search writes it.
    """
    file = folder / SEARCH_FILE
    if not os.path.lexists(file):
        return None
    value = read_json(file)
    if value.get("version").raw != _VERSION:
        raise value.get("version").wrong(str(_VERSION))
    if value.get("kind").raw not in KINDS:
        raise value.get("kind").wrong(f"one of {', '.join(KINDS)}")
    try:
        axes = read_sweep([axis.text() for axis in value.get("axes").array()], ranges=True)
    except UsageError as error:
        raise value.get("axes").error(f"no sweep ({error})") from None
    if not axes or not isinstance(value.get("larger_is_better").raw, bool):
        raise value.get("larger_is_better" if axes else "axes").wrong("what a search writes")
    trials = [_trial(one, number, axes) for number, one in enumerate(value.get("trials").array(), 1)]
    return Record(
        kind=value.get("kind").text(),
        seed=value.get("seed").integer(),
        axes=axes,
        metric=value.get("metric").text(),
        larger_is_better=value.get("larger_is_better").raw,
        settings={name: member.raw for name, member in value.get("settings").object().items()},
        data=value.get("data").text(),
        precision=_precision(value.get("precision")),
        trials=trials,
    )


def _precision(value: Value) -> str:
    if value.text() not in ("", *PRECISIONS):
        raise value.wrong(f"one of {', '.join(PRECISIONS)}")
    return value.text()


def _trial(value: Value, number: int, axes: tuple[Axis, ...]) -> Trial:
    if value.get("number").integer() != number:
        raise value.get("number").wrong(str(number))
    if value.get("state").raw not in _STATES:
        raise value.get("state").wrong(f"one of {', '.join(_STATES)}")
    told = value.get("parameters").object()
    if set(told) != {axis.name for axis in axes}:
        raise value.get("parameters").error("not of the flags that vary")
    for one in told.values():
        if isinstance(one.raw, bool) or not isinstance(one.raw, (str, int, float)):
            raise one.wrong("a text or a number")
    step = value.get("step")
    return Trial(
        number=number,
        parameters={name: one.raw for name, one in told.items()},
        state=value.get("state").text(),
        value=value.get("value").number(),
        loss=value.get("loss").number(),
        step=None if step.raw is None else step.integer(),
        seconds=value.get("seconds").number(),
        values=[one.number() for one in value.get("values").array()],
        message=value.get("message").text(),
    )
