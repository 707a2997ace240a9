"""Thresholds by class: none of all that there could be is better, and what they reach is scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from slimft.errors import UsageError
from slimft.tasks.class_thresholds import NEVER, Wanted, choose, told_of, wanted_of
from slimft.tasks.decisions import UNSURE, decide

NAMES = ("cat", "dog: large", "cat, tabby", "cat")


@given(
    st.integers(1, 40), st.integers(0, 10**6), st.sampled_from(["recall", "precision"]), st.floats(0.05, 1),
    st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_the_threshold_is_the_best_of_all(examples, seed, figure, least, rounded):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, examples)
    scores = rng.random(examples).astype(np.float32)
    scores = scores.round(1) if rounded else scores
    found = choose(labels, scores, 1, Wanted(figure, least))
    truth = labels == 1
    if not truth.any():
        assert (found.reached, found.best) == (False, None)
        assert found.value == (NEVER if figure == "precision" else 0)
        return
    # All that differ: from each example's probability on.
    reach = {value: told_of(labels, scores, 1, value) for value in scores.tolist()}
    assert found.best == pytest.approx(max(one[figure] for one in reach.values()))
    good = [value for value, one in reach.items() if one[figure] >= least]
    assert found.reached == bool(good)
    if not good:
        assert found.value == NEVER
        return
    told = told_of(labels, scores, 1, found.value)
    assert told[figure] >= least
    best = max(good) if figure == "recall" else min(good)
    assert told == reach[best] and found.value <= best
    # In the middle of a gap, which other examples' probabilities need not hit.
    below = [value for value in scores.tolist() if value < best]
    assert found.value == (pytest.approx((max(below) + best) / 2, abs=1e-6) if below else 0)


def test_neighbouring_floats_are_told_apart():
    low = np.float32(0.7)
    scores = np.array([low, np.nextafter(low, np.float32(1))], np.float32)
    found = choose(np.array([0, 1]), scores, 1, Wanted("precision", 1.0))
    assert told_of(np.array([0, 1]), scores, 1, found.value)["said"] == 1
    assert np.float32(found.value) == found.value == scores[1]


@given(st.integers(1, 50), st.integers(0, 10**6), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_what_a_threshold_reaches_is_scikit_learns(examples, seed, threshold):
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 3, examples), rng.random(examples).astype(np.float32)
    found = told_of(labels, scores, 2, threshold)
    truth, said = labels == 2, scores >= np.float32(threshold)
    assert (found["examples"], found["said"]) == (truth.sum(), said.sum())
    for name, score in (("recall", metrics.recall_score), ("precision", metrics.precision_score)):
        expected = score(truth, said, zero_division=np.nan)
        assert found[name] == (None if np.isnan(expected) else pytest.approx(expected))


def test_what_is_wanted():
    one, other, third = Wanted("recall", 0.95), Wanted("precision", 0.5), Wanted("recall", 1.0)
    assert wanted_of(["recall:0.95"], NAMES) == [one] * 4
    told = ["precision:0.5:dog: large", "recall:0.95", "recall:1:cat, tabby"]
    assert wanted_of(told, NAMES) == [one, other, third, one]
    assert wanted_of(["precision:0.5:cat, tabby"], NAMES) == [None, None, other, None]
    assert str(one) == "recall:0.95"


@pytest.mark.parametrize(
    "told, message",
    [
        (["recall"], "--threshold_for=recall: it has to be recall:NUMBER or precision:NUMBER"),
        (["f1:0.9"], "it has to be"),
        (["recall:0"], "above 0"),
        (["recall:1.01"], "at most 1"),
        (["recall:nan"], "it has to be"),
        (["precision:much"], "it has to be"),
        (["recall:0.9:mouse"], "--threshold_for=recall:0.9:mouse: mouse is no class"),
        (["recall:0.9:"], "nothing is no class"),
        (["recall:0.9:cat"], "cat is the name of several classes"),
        (["recall:0.9", "precision:0.9"], "there is another for all classes"),
        (["recall:0.9:cat, tabby", "recall:0.8:cat, tabby"], "there is another for cat, tabby"),
    ],
)
def test_what_makes_no_sense(told, message):
    with pytest.raises(UsageError) as raised:
        wanted_of(told, NAMES)
    assert message in str(raised.value)


def test_a_class_that_is_never_said():
    scores = np.array([[0.6, 0.4], [0.99, 0.01]], np.float32)
    assert decide(scores, np.array([NEVER, 0.5])).tolist() == [UNSURE, UNSURE]
