"""The search for duplicates among pictures that were looked at, with a bar."""

from __future__ import annotations

import dataclasses

import numpy as np

from slimft.inspection.data import Data
from slimft.inspection.duplicates import MOST_PAIRS, Groups, find_groups, steps
from slimft.inspection.looks import BLANK, Looks

# A smaller side has too little that a hash could tell: of 8 x 8 pixels all fives look alike.
LEAST_SIDE = 16


@dataclasses.dataclass(frozen=True)
class Searched:
    """What was found, and what is to be said of the search, a line each."""

    groups: Groups
    notes: tuple[str, ...]


def search(data: Data, looks: Looks, near: int) -> Searched:
    """Finds which pictures are the same; `near` is as of `find_groups`. What cannot be read is like no other."""
    from slimft.progress_bar import PassBar

    table = looks.table
    digests = table["digest"].copy()
    unread = digests == 0
    # Those of a file that could not even be opened are not one another's copies: numbers that no digest has.
    digests[unread] = _unused(digests, int(unread.sum()))
    large = table["sides"].min(axis=1) >= LEAST_SIDE
    compared = table["read"] & large & ((table["odd"] & BLANK) == 0)
    with PassBar("comparing images", steps(near), unit=" steps") as bar:
        groups = find_groups(digests, table["hash"], table["small"], compared, near, bar.update)
    notes = []
    small = int((table["read"] & ~large).sum())
    if small and near >= 0:
        have = "image has" if small == 1 else "images have"
        notes.append(
            f"{small:,} {have} a side of less than {LEAST_SIDE} pixels: of these, only copies were looked for"
        )
    if not groups.complete:
        notes.append(f"so many images are alike that the search ended after {MOST_PAIRS:,} pairs; lower --near")
    return Searched(groups, tuple(notes))


def _unused(digests: np.ndarray, number: int) -> np.ndarray:
    """So many numbers that are no digests."""
    free = np.setdiff1d(np.arange(1, number + len(digests) + 1, dtype=np.uint64), digests)
    return free[:number]
