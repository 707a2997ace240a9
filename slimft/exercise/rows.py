"""What the table and the page say of each step, read from the directories of its runs."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import statistics
from collections.abc import Mapping, Sequence

from slimft.exercise.plan import Run
from slimft.exercise.steps import Step
from slimft.report.same_data import differing, examples_of
from slimft.report.texts import MISSING, duration, percent, wilson_interval
from slimft.runs.read import RunFiles, read_run
from slimft.runs.result import Result
from slimft.runs.settings_file import SETTINGS_FILE


@dataclasses.dataclass(frozen=True)
class Row:
    """A step with its runs.

    Attributes:
        step: the step.
        runs: its runs, one for each seed.
        files: what those that are done have left.
        begun: what those that are not done have left.
        seconds: of the whole command, for each that is done; None where it is not known.
        note: why something is missing, or what is otherwise than the step says; empty for nothing.
    """

    step: Step
    runs: Sequence[Run]
    files: Sequence[RunFiles]
    begun: Sequence[RunFiles]
    seconds: Sequence[float | None]
    note: str

    @property
    def figure(self) -> str:
        """The figure that counts: ``accuracy``, or of a segmentation ``mean_iou``."""
        return "mean_iou" if self.step.segments else "accuracy"

    @property
    def results(self) -> list[Result]:
        """How the runs ended that are done."""
        return [one.result for one in self.files if one.result is not None]

    @property
    def validation(self) -> list[float | None]:
        """It on the validation split, of each run that is done."""
        found = [one.validation_at(one.step).get(self.figure) for one in self.files]
        return [
            result.figure(self.figure) if result.split == "validation" else value
            for result, value in zip(self.results, found)
        ]

    @property
    def test(self) -> list[float | None]:
        """It on the test split, of each run that is done; None where there is none."""
        return [result.figure(self.figure) if result.split == "test" else None for result in self.results]

    @property
    def examples(self) -> float | None:
        """How many test examples that is of."""
        return self.results[0].figure("examples") if self.results and None not in self.test else None

    @functools.cached_property
    def cells(self) -> dict[str, str]:
        """The table's cells, by their title."""
        flags = self.runs[0].flags
        start = flags.get("checkpoint")
        return {
            "step": self.name,
            "network": flags["model"],
            "from": _start(self, start),
            "size": str(flags["image_size"]),
            "validation": _shares(self.validation),
            "test": self._test,
            "published": self._published,
            "training": _mean_duration([result.seconds for result in self.results]),
            "in all": _mean_duration(self.seconds),
        }

    @property
    def name(self) -> str:
        """The step's name, and what it started from where that is not what it is about."""
        return f"{self.step.name} from {self.runs[0].tag}" if self.runs[0].tag else self.step.name

    @property
    def _published(self) -> str:
        """The figure of others, if there is one of the same data."""
        figure = self.step.published
        return percent(figure.accuracy) if figure and self.runs[0].flags["dataset"] == "cifar10" else ""

    @property
    def _test(self) -> str:
        known = [value for value in self.test if value is not None]
        if len(known) == 1 and self.examples and not self.step.segments:
            low, high = wilson_interval(known[0], self.examples)
            return f"{percent(known[0])} ({100 * low:.1f} to {100 * high:.1f})"
        return _shares(known)


def _start(row: Row, checkpoint: str | None) -> str:
    if checkpoint is None:
        return "nothing"
    start = row.runs[0].start or row.step.starts[0]
    return start.step or start.checkpoint


def _shares(values: Sequence[float | None]) -> str:
    """One figure, or mean and standard deviation of several."""
    known = [value for value in values if value is not None]
    if not known:
        return MISSING
    mean = 100 * statistics.fmean(known)
    return f"{mean:.1f} ± {100 * statistics.stdev(known):.1f} %" if len(known) > 1 else f"{mean:.1f} %"


def _mean_duration(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return duration(statistics.fmean(known)) if known and len(known) == len(values) else MISSING


def read_rows(
    runs: Sequence[Run], failed: Mapping[pathlib.Path, int], seconds: Mapping[pathlib.Path, float]
) -> list[Row]:
    """The rows of runs: those of one step in one, if they started from the same.

    Args:
        runs: the runs, in the order of the catalogue and of seeds.
        failed: exit statuses of those that failed, by directory.
        seconds: of the whole command, by directory.
    """
    rows = []
    for step, tag in dict.fromkeys((run.step, run.tag) for run in runs):
        mine = [run for run in runs if run.step is step and run.tag == tag]
        done = [run for run in mine if run.is_done]
        begun = [run for run in mine if not run.is_done and (run.directory / SETTINGS_FILE).is_file()]
        row = Row(
            step,
            mine,
            [read_run(run.directory) for run in done],
            [read_run(run.directory) for run in begun],
            [seconds.get(run.directory) for run in done],
            _note(mine, done, failed),
        )
        rows.append(row)
    return rows


def _note(runs: Sequence[Run], done: Sequence[Run], failed: Mapping[pathlib.Path, int]) -> str:
    """What to know of a step's runs."""
    told = []
    left = [run for run in runs if run not in done]
    if left and done:
        told.append(f"{len(done)} of {len(runs)} seeds")
    broken = [failed[run.directory] for run in left if run.directory in failed]
    if broken:
        told.append(f"failed ({how_it_ended(broken[0])})")
    elif left and left[0].missing:
        told.append(left[0].missing)
    elif left:
        saved = left[0].step_saved
        told.append(f"stopped at step {saved:,}" if saved else "not run yet")
    start = runs[0].start
    if start and start.note and done:
        needs = "" if start.step else f"needs the official checkpoint {runs[0].step.starts[0].checkpoint}; this is "
        told.append(f"{needs}{start.note}")
    return "; ".join(told)


def how_it_ended(status: int) -> str:
    """An exit status, in words."""
    if status < 0:
        return f"killed by signal {-status}" + ("; there may not have been enough memory" if status == -9 else "")
    return f"exit status {status}"


def doubts(rows: Sequence[Row]) -> list[str]:
    """What keeps the figures of the rows from being compared, a sentence each."""
    told = []
    for segments, kind in ((False, "accuracies"), (True, "mean IoUs")):
        runs = [one for row in rows if row.step.segments is segments for one in row.files]
        for split in ("validation", "test"):
            parts = differing(examples_of(runs, split))
            if parts:
                told.append(
                    f"The {split} {kind} do not compare directly: they are of different examples (what differs: "
                    f"{', '.join(parts)})."
                )
    for dataset in dict.fromkeys(str(row.runs[0].flags["dataset"]) for row in rows):
        folders = {
            str(one.settings.get("data_dir"))
            for row in rows
            for one in (*row.files, *row.begun)
            if one.settings.get("dataset") == dataset
        }
        if len(folders) > 1:
            told.append(
                f"The runs on {dataset} read it from several folders ({', '.join(sorted(folders))}): their figures "
                "compare if these hold the same."
            )
    machines = {(one.device, *sorted(one.versions.items())) for row in rows for one in row.results}
    if len(machines) > 1:
        told.append(
            "The runs are of different machines or versions: their times do not compare, see their reports."
        )
    return told
