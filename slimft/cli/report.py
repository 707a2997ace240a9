"""bin/report: a web page of a run, or of several side by side."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from absl import flags

from slimft import report
from slimft.cli import common
from slimft.cli.setting_flags import define_setting_flags
from slimft.cli.text_table import text_table
from slimft.errors import UsageError
from slimft.messages import printable
from slimft.runs.directory import locked
from slimft.runs.folds import is_cross_validation, runs_of
from slimft.runs.read import read_run
from slimft.runs.settings import OF_TRACKERS
from slimft.runs.settings_file import load_settings
from slimft.tracking import check_trackers
from slimft.tracking.base import FINISHED, KILLED
from slimft.tracking.following import upload

DESCRIPTION = (
    "Compares runs of bin/finetune: prints tables of them, and writes a page with their figures, curves and "
    "recall, or IoU, class by class. They are ranked by validation; test figures stand apart. Runs that differ "
    "in nothing but --seed, --fold or --split_seed are repetitions, of which there is the mean and the standard "
    "deviation too. With one directory, writes that run's report.html again. A cross-validation (--fold=all) "
    "has a report of its own; in a comparison it stands for its folds. With --track, tells trackers of the runs "
    "instead. Needs nothing but the directories' files."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "output", None, "Where to write the comparison; by default comparison.html.", flag_values=values
    )
    define_setting_flags(values, OF_TRACKERS)


def write(values: flags.FlagValues, train_dirs: list[str]) -> None:
    """Runs the command on parsed flags and directories."""
    if values.track:
        _track(values, train_dirs)
        return
    if not train_dirs:
        raise UsageError("name the --train_dir of a run of bin/finetune, or of several to compare")
    if len(train_dirs) == 1:
        if values.output is not None:
            raise UsageError("--output is for a comparison; the report of one run is report.html in its directory")
        writer = report.write_folds_report if is_cross_validation(train_dirs[0]) else report.write_report
        print(printable(str(writer(train_dirs[0]))), flush=True)
        return
    output = values.output or "comparison.html"
    comparison = report.compare([run for one in train_dirs for run in runs_of(one)], output)
    validation, *test = report.text_tables(comparison)
    parts = [_with_long_ends(*validation), *(text_table(header, _printable(rows), left=1) for header, rows in test)]
    notes = [printable(note) for note in [*comparison.notes(), *comparison.pairs.notes]]
    print("\n\n".join([*parts, "\n".join(notes), printable(output)]), flush=True)


def _track(values: flags.FlagValues, train_dirs: list[str]) -> None:
    """Tells trackers of runs that have been trained."""
    if not train_dirs:
        raise UsageError(f"--track={','.join(values.track)}: name the --train_dir of one or more runs")
    if values.output is not None:
        raise UsageError("--output is for a comparison; give it without --track")
    check_trackers(values.track)
    for train_dir in train_dirs:
        read_run(train_dir)  # It is one, before any is told of.
    for train_dir in train_dirs:
        # As the run was told, but for what is told now.
        told = {name: values[name].value for name in OF_TRACKERS if values[name].present}
        settings = dataclasses.replace(load_settings(train_dir), **{**told, "track": tuple(values.track)})
        with locked(train_dir):
            run = read_run(train_dir)
            report.write_report(train_dir)
            upload(settings, FINISHED if run.result is not None and not run.has_gone_on else KILLED)


def _printable(rows: list[list[str]]) -> list[list[str]]:
    return [list(map(printable, row)) for row in rows]


def _with_long_ends(header: list[str], rows: list[list[str]]) -> str:
    """A table whose last column is as long as it is, and so not in a column."""
    *header, last = header
    lines = text_table(header, [row[:-1] for row in _printable(rows)], left=1).splitlines()
    ends = [last, "-" * len(last), *(printable(row[-1]) for row in rows)]
    return "\n".join(f"{line}  {end}".rstrip() for line, end in zip(lines, ends))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, write, DESCRIPTION, positional="TRAIN_DIR...")
