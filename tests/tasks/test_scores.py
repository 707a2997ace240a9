"""Scores that add up: in any batches, from any shards, in any order, the same figures to the last bit."""

import fractions

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft.tasks import all_figures, get_task, metric_names
from slimft.tasks.exact_sum import ExactSum

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
CLASSIFICATION = get_task("classification")


@st.composite
def examples(draw):
    """What a network makes of some examples, and where to cut them into batches."""
    num_classes, number = draw(st.integers(2, 300)), draw(st.integers(1, 80))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = {
        "targets": random.integers(0, num_classes, number, dtype=np.int32),
        "predicted": random.integers(0, num_classes, number, dtype=np.int32),
        "confidence": random.choice(np.float32([0.25, 0.5, 0.999, 1.0, 0.1]), number),
        "losses": random.exponential(1, number).astype(np.float32) ** 9,
    }
    cuts = sorted(draw(st.sets(st.integers(1, number), max_size=6)) - {number})
    return num_classes, made, [0, *cuts, number]


def scores_of(num_classes, made, parts):
    scores = CLASSIFICATION.scores(num_classes)
    for start, end in parts:
        scores.add({name: values[start:end] for name, values in made.items()}, np.arange(start, end))
    return scores


def told(scores, num_classes):
    return scores.summary(), scores.findings([str(label) for label in range(num_classes)]), scores.mistakes()


@settings(max_examples=60, deadline=None)
@given(examples(), st.randoms(use_true_random=False))
def test_batches_and_shards_make_no_difference(drawn, random):
    num_classes, made, cuts = drawn
    parts = list(zip(cuts, cuts[1:]))
    whole = told(scores_of(num_classes, made, [(0, cuts[-1])]), num_classes)
    assert told(scores_of(num_classes, made, parts), num_classes) == whole
    random.shuffle(parts)
    shards = [scores_of(num_classes, made, [part]) for part in parts]
    for other in shards[1:]:
        shards[0].merge(other)
    assert told(shards[0], num_classes) == whole


def test_memory_does_not_grow_with_the_examples():
    scores = CLASSIFICATION.scores(5)
    ones = np.ones(10_000, np.int32)
    batch = {"targets": ones, "predicted": 0 * ones, "confidence": ones / 2, "losses": ones / 3}
    for number in range(50):
        scores.add(batch, number * len(ones) + np.arange(len(ones)))
    assert scores.summary()["examples"] == 500_000
    assert [index for index, _ in scores.mistakes()] == list(range(24))


def test_no_examples_and_examples_that_do_not_belong_together():
    scores = CLASSIFICATION.scores(3)
    with pytest.raises(ValueError, match="no predictions"):
        scores.summary()
    zeros = np.zeros(2, np.int32)
    with pytest.raises(ValueError, match="as many"):
        scores.add({"targets": zeros, "predicted": zeros, "confidence": zeros, "losses": zeros[:1]}, zeros)


@settings(max_examples=200, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=30), st.integers(0, 30))
def test_a_sum_is_rounded_once(values, cut):
    total, rest = ExactSum(), ExactSum()
    total.add(np.array(values[:cut], np.float32))
    rest.add(np.array(values[cut:], np.float32))
    total.merge(rest)
    exact = sum(map(fractions.Fraction, values))
    assert total.mean(len(values)) == float(exact / len(values))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_sum_of_what_is_not_finite_is_not(value):
    total = ExactSum()
    total.add(np.array([1, value], np.float32))
    np.testing.assert_equal(total.mean(2), float(value))
    both = ExactSum()
    both.add(np.array([np.inf, -np.inf], np.float32))
    assert np.isnan(both.mean(2))


def test_every_task_lists_its_figures_once():
    names = [figure.name for figure in CLASSIFICATION.figures]
    assert len(set(names)) == len(names) and "loss" in names and "loss" == CLASSIFICATION.measured[0]
    assert CLASSIFICATION.headline in names and set(CLASSIFICATION.measured) <= set(names)
    for balanced in (False, True):
        assert CLASSIFICATION.default_metric(balanced) in metric_names()
        assert set(CLASSIFICATION.told(balanced)) <= set(names)
    assert {figure.name for figure in all_figures()} >= set(names)
    made = dict.fromkeys(("targets", "predicted", "confidence", "losses"), np.zeros(1, np.int32))
    assert set(scores_of(2, made, [(0, 1)]).summary()) == {"examples", *names}
