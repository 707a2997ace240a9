"""A CSV manifest of data that was looked at, for --dataset=csv: no split divides what is the same."""

from __future__ import annotations

import csv
import io
import os
import pathlib

import numpy as np

from slimft.errors import UsageError
from slimft.files import atomic_file
from slimft.inspection.data import Data
from slimft.inspection.duplicates import Groups
from slimft.inspection.looks import Looks


def write_manifest(file: pathlib.Path, data: Data, looks: Looks, groups: Groups, drawn: bool) -> tuple[int, int]:
    """Writes the images that can be read: path, from the folder of `file`; label; and a group for those in one.

    Args:
        file: where to.
        data: an image folder.
        looks: what was seen of it.
        groups: which are the same.
        drawn: whether its splits were drawn, and are to be drawn anew; else they are written too.

    Returns:
        How many images were written, and how many are in a group.

    Raises:
        UsageError: a class's name, or a path, is none that a manifest can have.
        OSError: it cannot be written.
    """
    names = data.first.class_names
    if len({name.strip() for name in names}) < len(names):
        raise UsageError(
            "--manifest: classes differ in spaces at the ends of their names only; rename their folders"
        )
    counts = np.bincount(groups.of[looks.table["read"]], minlength=len(data))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "group"] if drawn else ["path", "label", "group", "split"])
    folder, grouped = os.path.abspath(file.parent), 0
    for index in np.flatnonzero(looks.table["read"]).tolist():
        path = os.path.relpath(os.path.abspath(data.path(index) or ""), folder)
        if path != path.strip() or any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in path):
            raise UsageError(f"--manifest: {path!r} is no path that a manifest can have; rename it")
        of = groups.of[index]
        same = counts[of] > 1
        grouped += same
        row = [path, names[data.labels[index]], f"same as {data.key(int(of))}" if same else ""]
        writer.writerow(row if drawn else [*row, data.names[data.split_of[index]]])
    with atomic_file(file) as stream:
        stream.write(text.getvalue().encode("utf-8"))
    return int(looks.table["read"].sum()), int(grouped)
