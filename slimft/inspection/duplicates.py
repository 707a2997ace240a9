"""Groups of pictures that are the same: copies of a file, and near duplicates by `slimft.inspection.likeness`.

Not all pairs are compared: two hashes that differ in at most `near` bits, cut into more than ``near / 2`` pieces,
have a piece that differs in one bit at most (the pigeonhole principle; Norouzi et al., arXiv:1307.2982). So each is
compared with those that have the same piece, or one with one bit turned: about 1 % of all pairs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from slimft.inspection.likeness import correlations, distances

# Bits that may differ: see docs/look_at_data.md for what that finds, and how much of it is wrong.
NEAR_BITS = 8
MOST_NEAR_BITS = 16
# Where more than half of these differ, small pictures have to correlate so much.
_LEAST_CORRELATION = 0.9
_HASH_BITS = 64
# Of a piece no more than 16 bits count as its number, of which there is a table.
_LEAST_PIECES = 4
_PAIRS_AT_A_TIME = 1 << 21
# Some minutes of work. Of a million pictures about half as many are compared; of fewer that are all alike, more.
MOST_PAIRS = 10_000_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """Which pictures are the same.

    Attributes:
        of: int64 ``[pictures]``, a number for each group; of a picture that is in none, its own.
        copy_of: the same of copies of a file alone.
        complete: False where the search ended at `MOST_PAIRS`.
    """

    of: np.ndarray
    copy_of: np.ndarray
    complete: bool = True

    def members(self) -> Iterator[np.ndarray]:
        """Yields the pictures of each group of two or more: int64, in order."""
        order = np.argsort(self.of, kind="stable")
        edges = np.flatnonzero(np.diff(self.of[order])) + 1
        return (part for part in np.split(order, edges) if len(part) > 1)


def find_groups(
    digests: np.ndarray,
    hashes: np.ndarray,
    small: np.ndarray,
    compared: np.ndarray,
    near: int = NEAR_BITS,
    step: Callable[[], object] = lambda: None,
) -> Groups:
    """Finds the groups: what is the same as one of a group is in it.

    Two are near duplicates if their hashes differ in at most half of `near` bits; or in at most `near`, and the
    correlation of their small pictures is 0.9 or more.

    Args:
        digests: uint64 ``[pictures]``, of what the files hold.
        hashes: uint64 ``[pictures]``.
        small: uint8 ``[pictures, 192]``.
        compared: bool ``[pictures]``, which have a hash that tells something.
        near: how many bits, 0 to 16; -1 for copies alone.
        step: called again and again; altogether `steps` times, unless the search ends early.
    """
    copy_of = _first_of(digests)
    if near < 0:
        return Groups(copy_of, copy_of)
    union = _Union(copy_of.copy())
    nodes = np.flatnonzero(compared & (copy_of == np.arange(len(copy_of))))
    hashes = hashes[nodes]
    pairs = 0
    for first, second in _candidates(hashes, near, step):
        pairs += len(first)
        if pairs > MOST_PAIRS:
            return Groups(union.of, copy_of, complete=False)
        bits = distances(hashes[first], hashes[second])
        close = bits <= near
        first, second, bits = nodes[first[close]], nodes[second[close]], bits[close]
        apart = union.of[first] != union.of[second]
        first, second, bits = first[apart], second[apart], bits[apart]
        same = bits <= near // 2
        unsure = np.flatnonzero(~same)
        same[unsure] = correlations(small[first[unsure]], small[second[unsure]]) >= _LEAST_CORRELATION
        union.join(first[same], second[same])
    return Groups(union.of, copy_of)


def steps(near: int) -> int:
    """How many steps a search takes."""
    return sum(width + 1 for width, _ in _pieces(near)) if near >= 0 else 0


def _first_of(values: np.ndarray) -> np.ndarray:
    """For each value the index of the first that is equal."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int64)


def _pieces(near: int) -> list[tuple[int, int]]:
    """Of each piece of a hash its bits, and where it begins."""
    count = max(_LEAST_PIECES, near // 2 + 1)
    edges = [_HASH_BITS * piece // count for piece in range(count + 1)]
    return [(end - start, start) for start, end in zip(edges, edges[1:])]


def _candidates(
    hashes: np.ndarray, near: int, step: Callable[[], object]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields pairs of hashes, among them all that differ in at most `near` bits, some of them several times."""
    for width, start in _pieces(near):
        piece = ((hashes >> np.uint64(start)) & np.uint64((1 << width) - 1)).astype(np.int64)
        order = np.argsort(piece, kind="stable")
        piece = piece[order]
        counts = np.bincount(piece, minlength=1 << width)
        ends = np.cumsum(counts)
        for turned in (0, *(1 << bit for bit in range(width))):
            other = piece ^ turned
            # Each pair once: with those behind it in the same list, or with all in that of a larger number.
            begin = ends[other] - counts[other] if turned else np.arange(1, len(piece) + 1)
            lengths = np.where(other >= piece, ends[other] - begin, 0)
            yield from _pairs(order, begin, lengths)
            step()


def _pairs(order: np.ndarray, begin: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each of `order` with so many of it from `begin` on, a bounded number of pairs at a time."""
    which = np.flatnonzero(lengths)
    total = np.cumsum(lengths[which])
    at = 0
    while at < len(which):
        before = total[at - 1] if at else 0
        stop = max(at + 1, int(np.searchsorted(total, before + _PAIRS_AT_A_TIME, side="right")))
        part = which[at:stop]
        count = lengths[part]
        places = np.arange(count.sum()) + np.repeat(begin[part] - (np.cumsum(count) - count), count)
        yield order[np.repeat(part, count)], order[places]
        at = stop


class _Union:
    """Sets that are joined.

    Args:
        of: the number of the set that each is in, that of a member; it is changed.
    """

    def __init__(self, of: np.ndarray):
        self.of = of

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        """Joins the sets of each of `first` with that of its `second`."""
        pairs = np.unique(np.stack([self.of[first], self.of[second]], axis=1), axis=0)
        parents: dict[int, int] = {}

        def root(one: int) -> int:
            while (parent := parents.get(one, one)) != one:
                parents[one] = one = parents.get(parent, parent)
            return one

        for one, other in pairs.tolist():
            low, high = sorted((root(one), root(other)))
            parents[high] = low
        if parents:
            changed = np.array(sorted(parents), np.int64)
            table = np.array([root(one) for one in changed.tolist()], np.int64)
            places = np.searchsorted(changed, self.of).clip(max=len(changed) - 1)
            self.of = np.where(changed[places] == self.of, table[places], self.of)
