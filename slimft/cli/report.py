"""bin/report: a web page of a run, or of several side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from slimft import report
from slimft.cli import common
from slimft.cli.text_table import text_table
from slimft.errors import UsageError
from slimft.messages import printable

DESCRIPTION = (
    "Compares runs of bin/finetune: prints a table of them, and writes a page with their figures, curves and "
    "recall class by class. Runs that differ in nothing but --seed, --fold or --split_seed are repetitions, of "
    "which there is the mean and the standard deviation too. With one directory, writes that run's report.html "
    "again. Needs nothing but the JSON files in the directories."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "output", None, "Where to write the comparison; by default comparison.html.", flag_values=values
    )


def write(values: flags.FlagValues, train_dirs: list[str]) -> None:
    """Runs the command on parsed flags and directories."""
    if not train_dirs:
        raise UsageError("name the --train_dir of a run of bin/finetune, or of several to compare")
    if len(train_dirs) == 1:
        if values.output is not None:
            raise UsageError("--output is for a comparison; the report of one run is report.html in its directory")
        print(printable(str(report.write_report(train_dirs[0]))), flush=True)
        return
    output = values.output or "comparison.html"
    header, rows = report.compare(train_dirs, output).text_rows()
    *header, last = header
    lines = text_table(header, [row[:-1] for row in rows], left=1).splitlines()
    # As long as it is, and so not in a column.
    ends = [last, "-" * len(last), *(printable(row[-1]) for row in rows)]
    print("\n".join(f"{line}  {end}".rstrip() for line, end in zip(lines, ends)))
    print(f"\n{printable(output)}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, write, DESCRIPTION, positional="TRAIN_DIR...")
