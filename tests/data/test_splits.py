"""Splits: that they depend on each example alone, what every one of them has to be, and whether shares come out."""

import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft.data.splits import describe_splits, draw, few, subset, unit

seeds = st.integers(0, 2**31 - 1)
quick = settings(deadline=None, max_examples=150)
shares = st.floats(0.01, 0.9)
names = st.text(st.characters(), min_size=1, max_size=8)
# Name to label.
data = st.dictionaries(names, st.integers(0, 4), min_size=1, max_size=60)
# Group to the labels of its examples: of several classes, too.
groups = st.dictionaries(names, st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=25)
ways = st.one_of(
    st.fixed_dictionaries({"validation_share": shares, "test_share": st.one_of(st.just(0.0), shares)}),
    st.builds(
        lambda share, folds, fold: {"validation_share": share, "folds": folds, "fold": fold % folds},
        shares,
        st.integers(2, 7),
        st.integers(0, 6),
    ),
)


def drawn(examples, seed=0, **way):
    """Name to split, of a mapping of names to labels."""
    order = list(examples)
    parts = draw(np.array([examples[name] for name in order], np.int64), order, seed=seed, **way)
    assert list(parts) == ["train", "validation", "test"]
    assert all((np.diff(part) > 0).all() for part in parts.values())
    together = np.concatenate(list(parts.values()))
    assert sorted(together) == list(range(len(order)))
    return {order[index]: split for split, part in parts.items() for index in part}


def by_hash(name, seed, validation_share, test_share=0.0, folds=None, fold=0):
    if (unit(name, seed, "test") < test_share) if folds is None else int(unit(name, seed, "fold") * folds) == fold:
        return "test"
    return "validation" if unit(name, seed, "validation") < validation_share else "train"


def of_class(examples, label):
    return [name for name, of in examples.items() if of == label]


@given(names, seeds, st.sampled_from(["test", "validation"]))
def test_the_hash(name, seed, purpose):
    assert 0 <= unit(name, seed, purpose) < 1
    assert unit(name, seed, purpose) == unit(name, seed, purpose)


def test_the_hash_stays_what_it_was():
    # Written down once: a result can be had again years later, on any machine.
    assert unit("cat/1.jpg", 0, "test") == 0.6056577216975296


@quick
@given(data, seeds, ways, st.randoms())
def test_a_draw_is_determined_whatever_the_order(examples, seed, way, random):
    shuffled = list(examples)
    random.shuffle(shuffled)
    assert drawn(examples, seed, **way) == drawn({name: examples[name] for name in shuffled}, seed, **way)


@quick
@given(data, seeds, ways)
def test_what_every_draw_has(examples, seed, way):
    found = drawn(examples, seed, **way)
    for label in set(examples.values()):
        splits = [found[name] for name in of_class(examples, label)]
        assert "train" in splits
        if len(splits) >= 3:
            assert "validation" in splits or splits.count("test") == len(splits) - 1
            if "folds" in way:
                assert "test" in splits or len(splits) < way["folds"]
        if len(splits) >= 3 and "folds" not in way:
            assert "validation" in splits and ("test" in splits) == (way["test_share"] > 0)


@quick
@given(data, seeds, ways)
def test_the_hash_decides_but_where_it_leaves_a_split_empty(examples, seed, way):
    """So nothing moves where examples are added or removed, but in such classes; and there, one for each split."""
    found = drawn(examples, seed, **way)
    for label in set(examples.values()):
        members = of_class(examples, label)
        expected = {name: by_hash(name, seed, **way) for name in members}
        differ = [name for name in members if found[name] != expected[name]]
        wanted = {"train", "validation"} | ({"test"} if way.get("test_share") or "folds" in way else set())
        counts = {split: list(expected.values()).count(split) for split in wanted}
        folds = way.get("folds", 1)
        full = len({int(unit(name, seed, "fold") * folds) for name in members}) == folds
        if min(counts.values()) >= 2 and full:
            assert not differ
        if "folds" not in way:
            assert len(differ) <= 3


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(60, 150), st.integers(1, 20), ways, st.data())
def test_adding_and_removing_moves_nothing(seed, count, changed, way, choose):
    examples = {f"{label}/{i}.jpg": label for label in range(3) for i in range(count)}
    way = {**way, "validation_share": max(way["validation_share"], 0.15)}
    if way.get("test_share"):
        way["test_share"] = min(max(way["test_share"], 0.1), 0.7)
    way["validation_share"] = min(way["validation_share"], 0.7)
    before = drawn(examples, seed, **way)
    for index in choose.draw(st.lists(st.integers(0, count - 1), min_size=changed, max_size=changed)):
        examples.pop(f"0/{index}.jpg", None)
    examples |= {f"{label}/new{i}.jpg": label for label in (1, 4) for i in range(changed)}
    after = drawn(examples, seed, **way)
    assert [name for name in before if name in after and before[name] != after[name]] == []


@quick
@given(data, seeds, st.integers(2, 7), shares)
def test_folds_are_disjoint_and_cover(examples, seed, folds, share):
    parts = [drawn(examples, seed, validation_share=share, folds=folds, fold=fold) for fold in range(folds)]
    tested = [name for part in parts for name, split in part.items() if split == "test"]
    alone = {name for name, label in examples.items() if len(of_class(examples, label)) == 1}
    assert sorted(tested) == sorted(set(examples) - alone)
    for label in set(examples.values()):
        members = of_class(examples, label)
        in_part = [[part[name] for name in members].count("test") for part in parts]
        assert max(in_part) < max(2, len(members))
        assert len(members) < folds or len(members) < 2 or min(in_part) >= 1
    if len(examples) - len(alone) >= folds:
        assert all("test" in part.values() for part in parts)


def flat(groups):
    pairs = [(name, label) for name, labels in groups.items() for label in labels]
    return np.array([label for _, label in pairs]), [name for name, _ in pairs]


@quick
@given(groups, seeds, ways)
def test_groups_stay_whole_and_every_class_trains(groups, seed, way):
    labels, of = flat(groups)
    parts = draw(labels, of, seed=seed, **way)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    where = {}
    for split, part in parts.items():
        for index in part:
            assert where.setdefault(of[index], split) == split
    assert set(labels[parts["train"]]) == set(labels)


@quick
@given(groups, seeds, st.integers(2, 5))
def test_folds_of_groups(groups, seed, folds):
    labels, of = flat(groups)
    tested = []
    for fold in range(folds):
        parts = draw(labels, of, 0.2, folds=folds, fold=fold, seed=seed)
        assert set(labels[parts["train"]]) == set(labels)
        tested += {of[index] for index in parts["test"]}
    assert len(tested) == len(set(tested))
    if all(len(set(labels)) == 1 for labels in groups.values()):
        sole = [name for name in groups if [set(one) for one in groups.values()].count(set(groups[name])) == 1]
        assert set(tested) == set(groups) - set(sole)


@pytest.mark.parametrize("seed", range(5))
def test_shares_come_out(seed):
    """Each within four standard deviations of the binomial distribution, of all and of each class."""
    counts = (8000, 1500, 500)
    examples = {f"{label}/{i}.jpg": label for label, count in enumerate(counts) for i in range(count)}
    found = drawn(examples, seed, validation_share=0.1, test_share=0.2)
    for label, count in enumerate(counts):
        splits = [found[name] for name in of_class(examples, label)]
        for split, share in (("test", 0.2), ("validation", 0.08)):
            assert abs(splits.count(split) - count * share) < 4 * (count * share * (1 - share)) ** 0.5
    for fold in range(5):
        tested = list(drawn(examples, seed, validation_share=0.1, folds=5, fold=fold).values()).count("test")
        assert abs(tested - 2000) < 4 * 40


def test_hashes_are_even_and_independent():
    placed = np.array([[unit(f"{i}.jpg", 7, purpose) for purpose in ("test", "validation")] for i in range(20_000)])
    cells, _, _ = np.histogram2d(*placed.T, bins=10, range=[[0, 1], [0, 1]])
    # Chi-squared with 99 degrees of freedom: 99 +- 14.
    assert ((cells - 200) ** 2 / 200).sum() < 99 + 5 * 14


def test_another_seed_draws_others():
    examples = {f"{i}.jpg": i % 2 for i in range(100)}
    for way in ({"test_share": 0.5}, {"folds": 2}):
        assert len({str(drawn(examples, seed, validation_share=0.1, **way)) for seed in range(10)}) == 10
    labels = np.arange(100) % 2
    assert len({tuple(subset(labels, list(examples), 50, seed)) for seed in range(10)}) == 10


def test_many_folds_are_quick():
    examples = {f"{i}.jpg": i % 2 for i in range(4000)}
    found = drawn(examples, validation_share=0.1, folds=4000, fold=17)
    assert list(found.values()).count("test") == 1


@quick
@given(data, seeds, st.data())
def test_a_subset(examples, seed, choose):
    order, labels = list(examples), np.array(list(examples.values()))
    counts = np.bincount(labels)
    count = choose.draw(st.integers(np.count_nonzero(counts), len(labels)))
    found = subset(labels, order, count, seed)
    assert (np.diff(found) > 0).all() and len(found) == count
    taken = np.bincount(labels[found], minlength=len(counts))
    assert (taken[counts > 0] >= 1).all()
    # A class that is larger than another gets as many at least; and no class above one more than its share of all.
    by_size = np.argsort(counts, kind="stable")
    assert (np.diff(taken[by_size])[np.diff(counts[by_size]) > 0] >= 0).all()
    assert (taken <= np.maximum(1, np.ceil(counts * count / len(labels)))).all()
    # Of each class those of the smallest hash, so that one more example takes the place of one at most.
    for label in np.flatnonzero(counts):
        inside = [unit(order[i], seed, "train_examples") for i in found if labels[i] == label]
        others = np.setdiff1d(np.flatnonzero(labels == label), found)
        outside = [unit(order[i], seed, "train_examples") for i in others]
        assert not outside or max(inside) <= min(outside)


def test_larger_subsets_hold_smaller_ones():
    labels, order = np.repeat([0, 1, 2], [600, 300, 100]), [str(i) for i in range(1000)]
    assert set(subset(labels, order, 50, 3)) <= set(subset(labels, order, 500, 3))


def split(counts, names, notes=()):
    return types.SimpleNamespace(class_names=names, counts=np.array(counts), notes=notes, task="classification")


def test_a_table_of_the_splits():
    names = ("Basophil", "Neutrophil")
    notes = ("passed over: 2 hidden files",)
    splits = {"train": split([2, 150], names, notes), "validation": split([0, 16], names, notes)}
    assert describe_splits(splits).splitlines() == [
        "class          train  validation",
        "Basophil           2           0",
        "Neutrophil       150          16",
        "all 2 classes    152          16",
        "note: no validation examples of Basophil",
        "note: passed over: 2 hidden files",
    ]


def test_a_table_of_many_classes_is_short():
    names = tuple(f"class{i}" for i in range(1000))
    table = describe_splits({"train": split(range(1, 1001), names), "test": split([0] * 7 + [1] * 993, names)})
    assert table.splitlines()[1:4] == [
        "fewest of a class       1     0",
        "most of a class      1000     1",
        "all 1000 classes   500500   993",
    ]
    assert table.splitlines()[4:] == ["note: no test examples of class0, class1, class2, class3, class4 and 2 more"]


def test_the_first_of_some_names():
    assert few(["a"]) == "a" and few(list("abcde")) == "a, b, c, d, e"
    assert few(list("abcdefg")) == "a, b, c, d, e and 2 more"
