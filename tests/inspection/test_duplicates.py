"""Groups of the same pictures: as all pairs, compared one by one, make them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft.inspection import duplicates
from slimft.inspection.duplicates import find_groups, steps
from slimft.inspection.likeness import correlations


def by_brute_force(digests, hashes, small, compared, near):
    """The groups of all pairs: for each picture, the first of its group."""
    of = list(range(len(digests)))

    def root(one):
        while of[one] != one:
            one = of[one]
        return one

    for second in range(len(digests)):
        for first in range(second):
            same = digests[first] == digests[second]
            if near >= 0 and compared[first] and compared[second]:
                bits = bin(int(hashes[first]) ^ int(hashes[second])).count("1")
                close = correlations(small[[first]], small[[second]])[0] >= 0.9
                same |= bits <= near // 2 or (bits <= near and close)
            if same:
                low, high = sorted((root(first), root(second)))
                of[high] = low
    return [root(one) for one in range(len(of))]


@st.composite
def pictures(draw):
    """Some pictures: copies, hashes that differ in a few bits, and some that are not compared."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, bases, most = draw(st.integers(1, 40)), draw(st.integers(1, 5)), draw(st.integers(0, 20))
    centres = rng.integers(0, 2**64 - 1, bases, np.uint64)
    hashes = centres[rng.integers(0, bases, count)]
    for index in range(count):
        for bit in rng.choice(64, rng.integers(0, most + 1), replace=False):
            hashes[index] ^= np.uint64(1 << int(bit))
    views = rng.integers(0, 256, (3, 192))
    small = views[rng.integers(0, 3, count)] + rng.integers(-60, 61, (count, 192))
    digests = rng.integers(0, max(2, 3 * count), count).astype(np.uint64)
    # Copies have the same hash.
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    first = first[inverse.reshape(-1)]
    compared = (rng.random(count) < 0.9)[first]
    return digests, hashes[first], small.clip(0, 255).astype(np.uint8)[first], compared


@settings(deadline=None, max_examples=150)
@given(pictures(), st.integers(-1, 16), st.integers(1, 50))
def test_groups_are_those_of_all_pairs(found, near, at_a_time):
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_PAIRS_AT_A_TIME", at_a_time)
        groups = find_groups(*found, near, lambda: calls.append(1))
    assert groups.of.tolist() == by_brute_force(*found, near)
    assert groups.copy_of.tolist() == by_brute_force(*found, -1)
    assert groups.complete and len(calls) == steps(near)
    members = [part.tolist() for part in groups.members()]
    assert sorted(map(len, members)) == sorted(n for n in np.bincount(groups.of) if n > 1)
    assert all(len(set(groups.of[part])) == 1 for part in members)


@pytest.mark.parametrize("near", [0, 5, 8, 12])
def test_every_place_of_the_bits_is_found(near):
    """Pairs that differ in exactly as many bits as they may, wherever these are."""
    rng = np.random.default_rng(near)
    hashes = rng.integers(0, 2**64 - 1, 600, np.uint64)
    for index in range(300):
        start = rng.integers(0, 65 - near)
        spread = rng.choice(64, near, replace=False) if index % 2 else np.arange(start, start + near)
        hashes[300 + index] = hashes[index] ^ np.uint64(sum(1 << int(bit) for bit in spread))
    small = np.tile(rng.integers(0, 256, 192).astype(np.uint8), (600, 1))
    groups = find_groups(np.arange(600, dtype=np.uint64), hashes, small, np.ones(600, bool), near)
    assert groups.of.tolist() == [*range(300), *range(300)]


def test_few_pairs_are_compared_of_many_pictures(monkeypatch):
    rng = np.random.default_rng(0)
    count, compared = 20_000, []
    distances = duplicates.distances
    monkeypatch.setattr(
        duplicates, "distances", lambda one, other: compared.append(len(one)) or distances(one, other)
    )
    hashes = rng.integers(0, 2**64 - 1, count, np.uint64)
    small = np.zeros((count, 192), np.uint8)
    find_groups(np.arange(count, dtype=np.uint64), hashes, small, np.ones(count, bool))
    assert 0 < sum(compared) < 0.012 * count * (count - 1) / 2


def test_a_search_without_end_ends(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 1000)
    count = 200
    small = np.random.default_rng(0).integers(0, 256, (count, 192), np.uint8)
    hashes = np.arange(count, dtype=np.uint64) << np.uint64(40)
    groups = find_groups(np.arange(count, dtype=np.uint64), hashes, small, np.ones(count, bool))
    assert not groups.complete and len(groups.of) == count


def test_nothing_to_compare():
    groups = find_groups(
        *(np.zeros(0, np.uint64) for _ in range(2)), np.zeros((0, 192), np.uint8), np.zeros(0, bool)
    )
    assert list(groups.members()) == [] and groups.complete
