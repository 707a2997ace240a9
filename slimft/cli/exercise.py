"""bin/exercise: the POSTECH exercise and the tutorials around it, as much as fits into a time."""

from __future__ import annotations

import pathlib
import re
import shlex
import sys
import time
from collections.abc import Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.text_table import text_table
from slimft.errors import DataError, UsageError
from slimft.exercise import table
from slimft.exercise.catalogue import PARTS, select
from slimft.exercise.conduct import PAGE_FILE, TABLE_FILE, Exercise, make_directory
from slimft.exercise.page import TITLE
from slimft.exercise.plan import VOC_RELEASES, Places, is_done
from slimft.exercise.rows import doubts
from slimft.exercise.starts import Starts, use_directory
from slimft.exercise.steps import SCALES
from slimft.messages import printable, say
from slimft.report.texts import duration
from slimft.runs.directory import locked
from slimft.training.signals import StopSignals

DESCRIPTION = (
    "Runs the POSTECH exercise and the tutorials around it, one step after the other: each is a command of "
    "bin/finetune, which is printed by --list. A STEP is a step's name or a part's: "
    f"{', '.join(part.name for part in PARTS)}, or all; by default the first two. After each step it writes a "
    "table and one page over all, with links to the runs' reports. The same command goes on where it was stopped. "
    "Where an official checkpoint cannot be had, a step starts from another one, and its row says so. The last "
    "line on standard output is JSON."
)
_BUDGET = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = {"flag_values": values}
    flags.DEFINE_string(
        "budget",
        None,
        "For how long, such as 20m, 2h or 1h30m: steps that fit are run first; the last one is saved and stopped "
        "when the time is over. By default until all is done.",
        **define,
    )
    flags.DEFINE_enum(
        "scale",
        "small",
        list(SCALES),
        "small: minutes a step on two cores. course: the course's own parameters (224x224, batches of 100, Adam at "
        "0.001, 3 epochs) and the tutorials', for a GPU. smoke: a few training steps each, to see that all works. "
        "The part headline has one scale.",
        **define,
    )
    flags.DEFINE_string("dir", "runs/exercise", "The exercise's directory: runs, table and page.", **define)
    flags.DEFINE_enum(
        "dataset", "cifar10", ["cifar10", "digits"], "What is classified; digits needs no download.", **define
    )
    flags.DEFINE_string(
        "data_dir", None, "Where CIFAR-10 is, or is downloaded to (170 MB); by default slimft's cache.", **define
    )
    flags.DEFINE_string(
        "voc_dir",
        None,
        "Images with masks in VOC's layout, for the FCNs, or voc2012 or voc2007 to download it (2 GB, 0.9 GB). "
        "Without it these steps are left out.",
        **define,
    )
    flags.DEFINE_string(
        "checkpoint_dir",
        None,
        "Where official checkpoints are, and are fetched to; by default as bin/fetch_checkpoint has it.",
        **define,
    )
    flags.DEFINE_boolean("fetch", True, "Download official checkpoints that are not there (513 MB).", **define)
    flags.DEFINE_integer(
        "seeds",
        None,
        "Runs of each step, with --seed=0, 1, ...; by default 1, of headline 3.",
        lower_bound=1,
        upper_bound=100,
        **define,
    )
    flags.DEFINE_boolean(
        "keep_checkpoints",
        False,
        "Keep the checkpoints of steps that are done, up to 1.6 GB each; by default only those that other steps "
        "start from.",
        **define,
    )
    flags.DEFINE_boolean("list", False, "Print the steps with their commands, and stop.", **define)
    flags.DEFINE_boolean("report", False, "Only write the table and the page anew, of what is done.", **define)


def seconds_of(budget: str | None) -> float | None:
    """A time such as ``1h30m`` in seconds; None for None.

    Raises:
        UsageError: it is no time.
    """
    if budget is None:
        return None
    parts = _BUDGET.fullmatch(budget)
    if not budget or parts is None:
        raise UsageError(f"--budget={budget} is no time; write 20m, 2h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    whole = 3600 * hours + 60 * minutes + seconds
    if not 60 <= whole <= 10**7:
        raise UsageError(f"--budget={budget} must be at least a minute, and at most some months")
    return whole


def exercise(values: flags.FlagValues, names: list[str]) -> int:
    """Runs the command on parsed flags and names of steps; returns the exit status."""
    began, budget = time.monotonic(), seconds_of(values.budget)
    steps = select(names)
    places = _places(values)
    starts = Starts(values.fetch, lambda start, seed: is_done(start, seed, places))
    work = Exercise(steps, places, starts, values.seeds, values.keep_checkpoints)
    if values.list:
        _print_list(work)
        return 0
    status = 0
    _check_page(places.root)
    if values.report and not places.root.is_dir():
        raise UsageError(f"--dir={values.dir} is not there; name the directory of an exercise")
    if not values.report:
        make_directory(places.root)
        with locked(str(places.root), "dir"), StopSignals() as stop:
            if any(not step.segments for step in steps):
                _prepare(places)
            left = None if budget is None else max(budget - (time.monotonic() - began), 0.0)
            work.conduct(left, lambda: stop.received is not None)
        status = 128 + stop.received if stop.received else int(bool(work.failed))
    rows = work.write()
    titles = table.columns(rows)
    cells = [row.cells for row in rows]
    print(text_table(titles, [[one[title] for title in titles] for one in cells], table.words(titles)))
    told = [f"{table.about(places)} {table.LEGEND}", *doubts(rows), *table.notes(rows)]
    print("\n".join(["", *map(printable, told), ""]))
    runs = work.runs()
    undone = [run.directory.name for run in runs if not run.is_done]
    if undone and not values.report:
        goes_on = any(not run.is_done and not run.missing for run in runs)
        others = "the same command goes on with the others" if goes_on else "what the others need is said above"
        say(f"{len(runs) - len(undone)} of the {len(runs)} runs that were asked for are done; {others}")
    common.print_result(
        {
            "done": len(runs) - len(undone),
            "runs": len(runs),
            "failed": work.failed,
            "missing": {run.directory.name: run.missing for run in runs if run.missing and not run.is_done},
            "report": str(places.root / PAGE_FILE),
            "table": str(places.root / TABLE_FILE),
            "seconds": round(time.monotonic() - began, 1),
        }
    )
    return status


def _places(values: flags.FlagValues) -> Places:
    """Where things are; raises UsageError where a place is named that is not there."""
    voc = values.voc_dir
    if voc is not None and voc not in VOC_RELEASES:
        folder = pathlib.Path(voc).expanduser()
        if not folder.is_dir():
            raise UsageError(f"--voc_dir={voc} is no folder; name one in VOC's layout, or voc2012 to download it")
        lacking = [name for name in ("JPEGImages", "SegmentationClass") if not (folder / name).is_dir()]
        if lacking:
            raise UsageError(f"--voc_dir={voc} is not in VOC's layout: it has no folder {lacking[0]}")
        voc = str(folder.resolve())
    data = values.data_dir
    if data is not None:
        data = str(pathlib.Path(data).expanduser().resolve())
    root = pathlib.Path(values.dir).expanduser().resolve()
    return Places(root, values.scale, values.dataset, data, voc, use_directory(values.checkpoint_dir))


def _check_page(root: pathlib.Path) -> None:
    """Raises UsageError if a page in the directory is not the exercise's, and would be overwritten."""
    file = root / PAGE_FILE
    if file.is_file():
        with open(file, encoding="utf-8", errors="replace") as stream:
            if TITLE not in stream.read(10_000):
                raise UsageError(f"{file} is not of an exercise, and would be overwritten; name another --dir")


def _prepare(places: Places) -> None:
    """Has the data there before the first step; raises DataError, with what else there is, if it cannot be had."""
    if places.dataset != "cifar10":
        return
    from slimft.data import load_dataset

    try:
        load_dataset("cifar10", places.data_dir)
    except DataError as error:
        raise DataError(f"{error}; --data_dir names a copy that you have, --dataset=digits needs none") from None


def _print_list(work: Exercise) -> None:
    runs = work.runs()
    seconds = work.seconds(runs)
    for part in PARTS:
        mine = [run for run in runs if run.step.part == part.name and run.seed == 0]
        if not mine:
            continue
        print(f"{part.title} ({part.name})\n{part.about}\n")
        for run in mine:
            state = "done" if run.is_done else run.missing or f"about {duration(seconds[run.directory])}"
            print(f"  {run.step.name}: {run.step.title} [{state}]")
            print(f"    bin/finetune {printable(shlex.join(run.command))}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, exercise, DESCRIPTION, positional="[STEP...]")
