"""Conducts an exercise: one step after the other within a time, with the table and the page written after each."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

from slimft.errors import UsageError
from slimft.exercise import page, plan, table
from slimft.exercise.catalogue import ALL_STEPS
from slimft.exercise.plan import Places, Run
from slimft.exercise.rows import Row, how_it_ended, read_rows
from slimft.exercise.running import run_step
from slimft.exercise.starts import Starts
from slimft.exercise.steps import Step
from slimft.files import write_atomically
from slimft.messages import say
from slimft.report.texts import duration
from slimft.runs.checked_json import read_json
from slimft.runs.directory import RESULT_FILE, check_free

# Beyond what is asked for: how many seeds of a step are looked for.
_MOST_SEEDS = 10
PAGE_FILE, TABLE_FILE, TIMES_FILE = "index.html", "table.md", "times.json"
# The least that is worth starting a step for, and that one is said to take.
_LEAST_SECONDS = 20.0
_WAIT_SECONDS = 120.0
# To save and stop, and to write the page, before a time is over.
_SECONDS_TO_STOP = 15.0


def make_directory(folder: pathlib.Path) -> None:
    """Makes a directory of the exercise; raises UsageError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}; name another --dir") from None


class Exercise:
    """Steps, each with its runs, in a directory.

    Args:
        steps: what there is to do, in this order.
        places: where, with what data and at which scale.
        starts: finds what they start from.
        seeds: how many runs of each step; None for what the step says.
        keeps: whether checkpoints of runs that are done stay where nothing starts from them.

    Raises:
        UsageError: a run in the directory has other settings.
        DataError: a file there is not as it was written.
    """

    def __init__(
        self, steps: Sequence[Step], places: Places, starts: Starts, seeds: int | None = None, keeps: bool = False
    ):
        self._steps, self._places, self._starts, self._keeps = steps, places, starts, keeps
        self._seeds = {step.name: seeds or step.seeds for step in steps}
        self._failed: dict[pathlib.Path, int] = {}
        self._times = _Times(places.root)
        for run in self.runs():
            run.check()

    def runs(self) -> list[Run]:
        """The runs of all steps: all of the first seed, then all of the next."""
        most = max(self._seeds.values())
        return [
            plan.run_of(step, seed, self._places, self._starts)
            for seed in range(most)
            for step in self._steps
            if seed < self._seeds[step.name]
        ]

    def shown(self) -> list[Run]:
        """The runs of the page: those in the directory, of whatever step, and those that are to be done."""
        found = []
        for step in ALL_STEPS:
            wanted = self._seeds.get(step.name, 0)
            for seed in range(max(wanted, _MOST_SEEDS)):
                there = plan.begun_runs_of(step, seed, self._places)
                if seed < wanted and not any(run.is_done for run in there):
                    run = plan.run_of(step, seed, self._places, self._starts)
                    there = [*(one for one in there if one.directory != run.directory), run]
                found += there
        return found

    def seconds(self, runs: Sequence[Run]) -> dict[pathlib.Path, float]:
        """About how many seconds each run still takes, by its directory."""
        left = {}
        for run in runs:
            whole = plan.seconds_of(run, self._times.rates(but=run.directory))
            left[run.directory] = max(whole * run.share_left, _LEAST_SECONDS)
        return left

    def conduct(self, budget: float | None, stopped: Callable[[], bool]) -> int:
        """Runs what is not done, until the time is over or somebody wants to stop.

        Args:
            budget: seconds; None for as long as it takes.
            stopped: whether somebody wants to stop.

        Returns:
            How many runs it has brought to their end.
        """
        end = time.monotonic() + budget if budget is not None else float("inf")
        finished = 0
        self.write()  # What is damaged is said before anything is run.
        say(f"the page of all steps: {self._places.root / PAGE_FILE}")
        while not stopped():
            run = self._next(end - _SECONDS_TO_STOP - time.monotonic())
            if run is None:
                break
            finished += self._run(run, end - _SECONDS_TO_STOP, stopped)
            self.write()
            if time.monotonic() >= end - _SECONDS_TO_STOP:
                break
        return finished

    def _next(self, left: float) -> Run | None:
        if left < _LEAST_SECONDS:
            return None
        runs = [run for run in self.runs() if not run.is_done and run.directory not in self._failed]
        open_runs = [run for run in runs if not run.missing]
        while chosen := plan.next_of(open_runs, self.seconds(open_runs), left):
            again = plan.run_of(chosen.step, chosen.seed, self._places, self._starts, downloads=True)
            if not again.missing and not again.is_done:
                again.check()
                return again
            open_runs.remove(chosen)  # Its checkpoint could not be had, which is said.
        return None

    def _run(self, run: Run, deadline: float, stopped: Callable[[], bool]) -> bool:
        """Runs a run; says how that went. Returns whether it is done."""
        about = duration(self.seconds([run])[run.directory])
        goes_on = f", from step {run.step_saved:,} on" if run.step_saved else ""
        say("", f"== {run.directory.name}: {run.step.title} (about {about}){goes_on}")
        if run.start and run.start.note:
            say(run.start.note)
        make_directory(run.directory.parent)
        self._wait_for(run, stopped)
        began = time.monotonic()
        status, was_told = run_step(run, deadline, stopped)
        took = time.monotonic() - began
        self._times.add(run, took)
        if run.is_done and status == 0:
            self._remove_checkpoints(run)
            return True
        if was_told:
            say(f"{run.directory.name}: stopped at step {run.step_saved:,}; the same command goes on from there")
        else:
            how = how_it_ended(status)
            say(f"{run.directory.name}: failed ({how}){', as said above' if status > 0 else ''}")
            self._failed[run.directory] = status
        return False

    def _wait_for(self, run: Run, stopped: Callable[[], bool]) -> None:
        """Waits for a process that an exercise which was killed has left, and that is about to stop."""
        end = time.monotonic() + _WAIT_SECONDS
        while not stopped() and time.monotonic() < end:
            try:
                return check_free(str(run.directory))
            except UsageError:
                time.sleep(1)

    def _remove_checkpoints(self, done: Run) -> None:
        """Removes the checkpoints of a run that has just come to its end, and of that which it started from.

        But for those that some step, of this exercise or another, still is to start from.
        """
        if self._keeps:
            return
        folders = [done.directory]
        if done.start and done.start.step:
            folders.append(plan.source_of(done.start, done.seed, self._places))
        for folder in folders:
            if not self._is_needed(folder, done.seed) and plan.remove_checkpoints(folder):
                say(f"{folder.name}: its checkpoints are removed (--keep_checkpoints keeps them)")

    def _is_needed(self, folder: pathlib.Path, seed: int) -> bool:
        """Whether a step that is not done can start from the run in a directory."""
        for step in ALL_STEPS:
            for start in plan.beginnings(step):
                if start and start.step and plan.source_of(start, seed, self._places) == folder:
                    target = plan.directory_of(step, seed, self._places, start)
                    if not (target / RESULT_FILE).is_file():
                        return True
        return False

    def write(self) -> list[Row]:
        """Writes the page and the table; returns the rows."""
        rows = read_rows(self.shown(), self._failed, self._times.finished)
        root = self._places.root
        make_directory(root)
        write_atomically(root / PAGE_FILE, page.exercise_page(rows, self._places))
        write_atomically(root / TABLE_FILE, table.markdown(rows, self._places))
        return rows

    @property
    def failed(self) -> list[str]:
        """The names of the runs that failed."""
        return [folder.name for folder in self._failed]


class _Times:
    """How long runs took, the commands as a whole; kept in a file of the exercise's directory."""

    def __init__(self, root: pathlib.Path):
        self._root = root
        self._kept: dict[str, dict[str, float | str | bool]] = {}
        if (root / TIMES_FILE).is_file():
            for name, value in read_json(root / TIMES_FILE).object().items():
                self._kept[name] = {
                    "seconds": value.get("seconds").number(1e9) or 0.0,
                    "work": value.get("work").number(1e15) or 0.0,
                    "model": value.get("model").text(),
                    "done": value.get("done").raw is True,
                }

    def _name(self, folder: pathlib.Path) -> str:
        return folder.relative_to(self._root).as_posix()

    def of(self, folder: pathlib.Path) -> float:
        """How many seconds a run has taken so far."""
        return float(self._kept.get(self._name(folder), {}).get("seconds", 0.0))

    @property
    def finished(self) -> Mapping[pathlib.Path, float]:
        """By directory, how many seconds runs took that are done."""
        return {
            self._root / name: float(one["seconds"])
            for name, one in self._kept.items()
            if one["done"] and float(one["seconds"]) >= 1
        }

    def rates(self, but: pathlib.Path) -> dict[str, tuple[str, float, float]]:
        """What `plan.seconds_of` goes by: of runs that are done, but for one."""
        return {
            name: (str(one["model"]), float(one["work"]), float(one["seconds"]))
            for name, one in self._kept.items()
            if one["done"] and name != self._name(but)
        }

    def add(self, run: Run, seconds: float) -> None:
        """Notes that a run has taken so much time more."""
        self._kept[self._name(run.directory)] = {
            "seconds": round(self.of(run.directory) + seconds, 1),
            "work": round(plan.work_of(run.flags), 1),
            "model": run.flags["model"],
            "done": run.is_done,
        }
        write_atomically(self._root / TIMES_FILE, json.dumps(self._kept, indent=1) + "\n")
