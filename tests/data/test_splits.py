"""Splits: what every one of them has to be, and how they compare with scikit-learn's."""

import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft.data.splits import describe_splits, few, fold, stratified, subset

labels_of_any_kind = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(np.array)
seeds = st.integers(0, 2**31 - 1)
quick = settings(deadline=None, max_examples=200)


def is_some_of(indices, labels):
    return (np.diff(indices) > 0).all() and set(indices) <= set(range(len(labels)))


@quick
@given(labels=labels_of_any_kind, share=st.floats(0.001, 0.999), seed=seeds)
def test_a_stratified_draw(labels, share, seed):
    drawn = stratified(labels, share, seed)
    assert is_some_of(drawn, labels)
    counts = np.bincount(labels)
    taken = np.bincount(labels[drawn], minlength=len(counts))
    assert (taken[counts > 0] < counts[counts > 0]).all()
    assert (taken[counts >= 3] > 0).all()
    assert len(drawn) or counts.max() < 2
    # A class has its share, but where it has to keep one or give one: off by less than 1 as it is rounded, and by
    # up to 0.5 as all of them together are.
    assert (np.abs(taken - np.clip(counts * share, counts >= 3, np.maximum(counts - 1, 0))) < 1.5).all()
    np.testing.assert_array_equal(drawn, stratified(labels, share, seed))


@quick
@given(labels=labels_of_any_kind, folds=st.integers(2, 12), seed=seeds)
def test_folds(labels, folds, seed):
    parts = [fold(labels, folds, i, seed) for i in range(folds)]
    together = np.concatenate(parts)
    counts = np.bincount(labels)
    np.testing.assert_array_equal(np.sort(together), np.flatnonzero(counts[labels] > 1))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    for label in np.flatnonzero(counts):
        of_class = [np.count_nonzero(labels[part] == label) for part in parts]
        assert max(of_class) - min(of_class) <= 1 and max(of_class) < max(2, counts[label])
        assert counts[label] - max(of_class) >= 1


@quick
@given(labels=labels_of_any_kind, seed=seeds, data=st.data())
def test_a_subset(labels, seed, data):
    counts = np.bincount(labels)
    count = data.draw(st.integers(np.count_nonzero(counts), len(labels)))
    drawn = subset(labels, count, seed)
    assert is_some_of(drawn, labels) and len(drawn) == count
    taken = np.bincount(labels[drawn], minlength=len(counts))
    assert (taken[counts > 0] >= 1).all()
    # A class that is larger than another gets as many at least; and no class above one more than its share of all.
    order = np.argsort(counts, kind="stable")
    assert (np.diff(taken[order])[np.diff(counts[order]) > 0] >= 0).all()
    assert (taken <= np.maximum(1, np.ceil(counts * count / len(labels)))).all()


def test_another_seed_draws_others():
    labels = np.repeat([0, 1], 50)
    for draw in (stratified, subset):
        assert len({tuple(draw(labels, 0.5 if draw is stratified else 50, seed)) for seed in range(10)}) == 10
    assert len({tuple(fold(labels, 2, 0, seed)) for seed in range(10)}) == 10


def test_three_examples_in_five_folds():
    labels = np.repeat([0, 1, 2], [3, 7, 5])
    parts = [labels[fold(labels, 5, i, seed=1)].tolist() for i in range(5)]
    assert [part.count(0) for part in parts] == [1, 1, 1, 0, 0]
    assert [part.count(1) for part in parts] == [1, 1, 1, 2, 2]
    assert [len(part) for part in parts] == [3] * 5


def test_the_draw_stays_what_it_was():
    # A result with --split_seed=0 can be had again years later.
    labels = np.arange(20) % 2
    assert stratified(labels, 0.3, 0).tolist() == [1, 8, 10, 17, 18, 19]
    assert fold(labels, 4, 1, 0).tolist() == [2, 8, 11, 12, 13]


def test_larger_subsets_hold_smaller_ones():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    assert set(subset(labels, 50, 3)) <= set(subset(labels, 500, 3))


@pytest.mark.parametrize("seed", range(5))
def test_as_scikit_learn_counts(seed):
    model_selection = pytest.importorskip("sklearn.model_selection", reason="needs scikit-learn")
    rng = np.random.default_rng(seed)
    labels = rng.choice(5, 400, p=[0.5, 0.25, 0.15, 0.07, 0.03])
    theirs = model_selection.StratifiedKFold(5).split(labels, labels)
    by_class = [np.bincount(labels[test], minlength=5) for _, test in theirs]
    ours = [np.bincount(labels[fold(labels, 5, i, seed)], minlength=5) for i in range(5)]
    np.testing.assert_array_equal(np.sort(by_class, axis=0), np.sort(ours, axis=0))
    _, test = model_selection.train_test_split(np.arange(400), test_size=0.2, stratify=labels, random_state=seed)
    drawn = stratified(labels, 0.2, seed)
    assert len(drawn) == len(test)
    assert np.abs(np.bincount(labels[drawn]) - np.bincount(labels[test])).max() <= 1


def split(counts, names):
    return types.SimpleNamespace(class_names=names, counts=np.array(counts))


def test_a_table_of_the_splits():
    names = ("Basophil", "Neutrophil")
    splits = {"train": split([2, 150], names), "validation": split([0, 16], names)}
    assert describe_splits(splits).splitlines() == [
        "class          train  validation",
        "Basophil           2           0",
        "Neutrophil       150          16",
        "all 2 classes    152          16",
        "note: no validation examples of Basophil",
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
