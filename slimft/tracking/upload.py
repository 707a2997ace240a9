"""What a tracker has of a run, brought up to what the files in the run's directory tell.

``tracked-TRACKER.json`` there remembers which tracked run it is and what that has. A record counts from the first
checkpoint on that is not behind it: then a run that resumes never takes it back. A run that goes back further
(``--resume_from``) is tracked as another one from then on, because no tracker forgets a point.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from slimft import __version__
from slimft.checkpoint.bundle_files import data_files, index_file
from slimft.checkpoint.locate import latest_in_state
from slimft.data.class_names import LABELS_FILE
from slimft.files import write_atomically
from slimft.runs.checked_json import read_json
from slimft.runs.directory import BEST
from slimft.runs.history_file import HISTORY_FILE, Record, read_history
from slimft.runs.result import RESULT_FILE, parse_result
from slimft.runs.settings import OF_THE_DISK
from slimft.runs.settings_file import FLAGS_FILE, SETTINGS_FILE, read_settings
from slimft.tracking.base import FINISHED, KILLED, Gone, Point, Told, Tracker

# What tells the run without TensorFlow. With the checkpoint it is a directory for --train_dir.
_FILES = (SETTINGS_FILE, FLAGS_FILE, HISTORY_FILE, RESULT_FILE, LABELS_FILE, "restore.txt", "report.html")
# Of a record, what is no figure of its step.
_NO_FIGURES = ("step", "seconds", "examples", "pixels")
_OF_RESULT = ("ece", "seconds", "images_per_second")
_IDENTITY = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclasses.dataclass
class Tracked:
    """What a tracker has of a run.

    Attributes:
        identity: what the tracker knows it by.
        where: `Tracker.where`.
        steps: of each curve (``train``, ``validation``), the step of the newest point that it has.
        points: a digest of all these points; empty without any.
        result: a digest of what it has of the run's result; empty without.
        files: of each file that it has, a mark that tells whether the file has changed since.
    """

    identity: str
    where: str
    steps: dict[str, int] = dataclasses.field(default_factory=dict)
    points: str = ""
    result: str = ""
    files: dict[str, str] = dataclasses.field(default_factory=dict)


class Upload:
    """A run in a directory, as one tracker has it.

    Args:
        train_dir: the run's directory.
        tracker: the tracker.
        name: the tracker's own name.
        project: see `Told`.
        title: what the tracker calls the run; None for the directory's name.
        checkpoint: whether the tracker gets the checkpoints as well.
    """

    def __init__(
        self, train_dir: pathlib.Path, tracker: Tracker, name: str, project: str | None, title: str | None,
        checkpoint: bool,
    ):  # fmt: skip
        self._dir, self._tracker, self._name = train_dir, tracker, name
        self._file = train_dir / f"tracked-{name}.json"
        self._project, self._title, self._checkpoint = project, title, checkpoint
        self._tracked: Tracked | None = None

    def update(self) -> Iterator[str]:
        """Tells the tracker what is new; yields what a person should know, a line each."""
        saved = _saved_step(self._dir)
        curves = {name: [one for one in curve if one.step <= saved] for name, curve in self._curves().items()}
        tracked = self._tracked
        if tracked is None or _digest_of(curves, tracked.steps) != tracked.points:
            yield from self._begin(curves)
        tracked = self._tracked
        assert tracked is not None
        new = [one for name, curve in curves.items() for one in curve if one.step > tracked.steps.get(name, -1)]
        if new:
            self._tracker.log(_merged(new))
            tracked.steps = {name: curve[-1].step for name, curve in curves.items() if curve}
            tracked.points = _digest_of(curves, tracked.steps)
            self._remember()

    def finish(self, status: str) -> Iterator[str]:
        """Brings the tracker up to the end of a run, or of one command of it."""
        yield from self.update()
        tracked = self._tracked
        assert tracked is not None
        if status == FINISHED:
            self._conclude(tracked)
        self._keep(tracked, {name: self._dir / name for name in _FILES}, self._tracker.keep)
        if status == FINISHED and self._checkpoint:
            self._keep(tracked, self._checkpoints(), self._tracker.keep_checkpoint)
        self._tracker.end(status)

    def _begin(self, curves: Mapping[str, list[Point]]) -> Iterator[str]:
        """Goes on with the run that is tracked already, if it is the one in the directory; else begins one."""
        tracked = self._tracked or self._remembered()
        seconds = max((curve[-1].seconds for curve in curves.values() if curve), default=0.0)
        why = ""
        if tracked is not None and tracked.where != self._tracker.where:
            tracked = None
        if tracked is not None and _digest_of(curves, tracked.steps) != tracked.points:
            why = f"; {tracked.identity} keeps what was before the run went back"
            if tracked is self._tracked:
                self._tracker.end(KILLED)
            tracked = self._tracked = None
        if tracked is not None:
            try:
                self._tracker.begin(self._told(seconds, max(tracked.steps.values(), default=-1)), tracked.identity)
            except Gone:
                why = f"; {tracked.identity} is not there any more"
                tracked = None
        if tracked is None:
            tracked = Tracked(self._tracker.begin(self._told(seconds), None), self._tracker.where)
        self._tracked = tracked
        self._remember()
        yield f"{self._name}: {self._tracker.describe()}{why}"

    def _told(self, seconds: float, step: int = -1) -> Told:
        settings = read_settings(self._dir / SETTINGS_FILE)
        return Told(
            name=self._title or self._dir.resolve().name,
            project=self._project,
            settings={
                name: ",".join(value) if isinstance(value, tuple) else value
                for name, value in settings.items()
                if value is not None and name not in OF_THE_DISK
            },
            tags={"model": settings["model"], "dataset": settings["dataset"], "slimft": __version__},
            seconds=seconds,
            step=step,
        )

    def _curves(self) -> dict[str, list[Point]]:
        """The points of training and of validation, as far as the run has written them down."""
        if not os.path.lexists(self._dir / HISTORY_FILE):
            return {}
        history = read_history(self._dir / HISTORY_FILE)
        train = [_point("train", record, record.get("seconds") or 0.0) for record in history.train]
        steps = [point.step for point in train]
        validation = []
        for record in history.validation:  # It does not tell when: as late as the training before it.
            before = bisect.bisect_right(steps, record["step"])
            validation.append(_point("validation", record, train[before - 1].seconds if before else 0.0))
        return {"train": train, "validation": validation}

    def _conclude(self, tracked: Tracked) -> None:
        """Tells the figures of the result, once."""
        result = parse_result(read_json(self._dir / RESULT_FILE))
        figures: dict[str, Any] = {name: getattr(result, name) for name in _OF_RESULT}
        for name, value in result.result.items():
            # The validation of that step is a point already.
            if name not in (*_NO_FIGURES, *_OF_RESULT, "last_step") and result.split != "validation":
                figures[f"{result.split}/{name}"] = value
        history = read_history(self._dir / HISTORY_FILE)
        best = next((one for one in history.validation if one["step"] == history.best_step), {})
        figures.update(_figures("best_validation", best))
        point = Point(int(result.figure("step") or 0), result.seconds or 0.0, _finite(figures))
        digest = _digest(point)
        if digest != tracked.result:
            self._tracker.conclude(point)
            tracked.result = digest
            self._remember()

    def _keep(
        self,
        tracked: Tracked,
        files: Mapping[str, pathlib.Path],
        keep: Callable[[Mapping[str, pathlib.Path]], None],
    ) -> None:
        """Hands over those files that are there and that the tracker has not as they are."""
        marks = {name: _mark(file) for name, file in files.items() if file.is_file()}
        new = {name: files[name] for name, mark in marks.items() if tracked.files.get(name) != mark}
        if new:
            keep(new)
            tracked.files.update({name: marks[name] for name in new})
            self._remember()

    def _checkpoints(self) -> dict[str, pathlib.Path]:
        """The files of the newest checkpoint, and of the best one where that is of another step."""
        newest, best = (_prefix_in(self._dir / folder) for folder in ("", BEST))
        found = []
        if newest is not None:
            found += [self._dir / "checkpoint", index_file(newest), *data_files(newest).values()]
        if best is not None and (newest is None or best.name != newest.name):
            found += sorted((self._dir / BEST).iterdir())
        return {file.relative_to(self._dir).as_posix(): file for file in found}

    def _remembered(self) -> Tracked | None:
        """What `_remember` has kept."""
        if not os.path.lexists(self._file):
            return None
        value = read_json(self._file)
        identity = value.get("identity")
        if not _IDENTITY.fullmatch(identity.text()):
            raise identity.wrong("the identity of a run")
        return Tracked(
            identity.text(),
            value.get("where").text(),
            {name: step.integer() for name, step in value.get("steps").object().items()},
            value.get("points").text(),
            value.get("result").text(),
            {name: mark.text() for name, mark in value.get("files").object().items()},
        )

    def _remember(self) -> None:
        assert self._tracked is not None
        write_atomically(self._file, json.dumps(dataclasses.asdict(self._tracked), indent=2) + "\n")


def _point(prefix: str, record: Record, seconds: float) -> Point:
    return Point(record["step"], seconds, _finite(_figures(prefix, record)))


def _figures(prefix: str, record: Record) -> dict[str, Any]:
    return {f"{prefix}/{name}": value for name, value in record.items() if name not in _NO_FIGURES}


def _merged(points: list[Point]) -> list[Point]:
    """The points in the order of their steps, one a step."""
    merged: dict[int, Point] = {}
    for point in sorted(points, key=lambda one: one.step):
        before = merged.get(point.step, point)
        seconds = max(before.seconds, point.seconds)
        merged[point.step] = Point(point.step, seconds, {**before.figures, **point.figures})
    return list(merged.values())


def _finite(figures: Mapping[str, Any]) -> dict[str, float]:
    """Those that are numbers."""
    numbers = {name: value for name, value in figures.items() if isinstance(value, (int, float))}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _digest_of(curves: Mapping[str, list[Point]], steps: Mapping[str, int]) -> str:
    """A digest of the points up to a step of each curve; empty without any."""
    known = {name: [one for one in curves.get(name, ()) if one.step <= step] for name, step in steps.items()}
    return _digest(known) if any(known.values()) else ""


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _prefix_in(folder: pathlib.Path) -> pathlib.Path | None:
    prefix = latest_in_state(folder)
    return None if prefix is None else pathlib.Path(prefix)


def _saved_step(train_dir: pathlib.Path) -> int:
    """The step of the run's newest checkpoint; -1 without one."""
    prefix = _prefix_in(train_dir)
    number = "" if prefix is None else prefix.name.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else -1


def _mark(file: pathlib.Path) -> str:
    """What changes when the file is written anew."""
    state = file.stat()
    return f"{state.st_size} bytes at {state.st_mtime_ns}"
