"""Weights of classes and the balanced order: against the paper's formula in exact arithmetic, and by counting."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from slimft.data.sampling import BalancedSampler, class_weights

some_counts = st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any)
betas = st.sampled_from([0.0, 0.5, 0.9, 0.999, 1.0])


def labels_of(counts, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int32)


@given(some_counts, st.sampled_from(["0", "0.5", "0.9", "0.999", "0.9999"]))
def test_weights_are_those_of_the_effective_number(counts, beta):
    exact = Fraction(beta)
    inverse = [(1 - exact) / (1 - exact**n) if n else Fraction(0) for n in counts]
    scale = sum(counts) / sum(n * weight for n, weight in zip(counts, inverse))
    expected = [float(scale * weight) for weight in inverse]
    np.testing.assert_allclose(class_weights(np.array(counts), float(beta)), expected, rtol=1e-9)


@given(some_counts)
def test_beta_1_is_balanced_and_beta_0_is_none(counts):
    labels = labels_of(counts)
    expected = np.zeros(len(counts))
    expected[np.unique(labels)] = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    np.testing.assert_allclose(class_weights(counts, 1.0), expected)
    np.testing.assert_array_equal(class_weights(counts, 0.0), np.array(counts) > 0)


def test_very_unequal_classes():
    weights = class_weights(np.array([1, 10**9]), 0.999999)
    assert np.isfinite(weights).all() and weights[0] / weights[1] == pytest.approx(1e6, rel=1e-3)


@settings(deadline=None)
@given(some_counts, betas, st.integers(0, 2**31 - 1))
def test_draws_are_shared_out_as_the_weights_say(counts, beta, seed):
    labels, counts = labels_of(counts), np.array(counts)
    sampler = BalancedSampler(labels, len(counts), beta, seed)
    found = labels[sampler(np.zeros(len(labels), np.int64), np.arange(len(labels)))]
    drawn = np.bincount(found, minlength=len(counts))
    np.testing.assert_array_equal(drawn, sampler.draws)
    shares = counts * class_weights(counts, beta)
    assert ((drawn > 0) == (counts > 0)).all()
    # Nearest whole numbers, but for what it takes to draw each class at least once.
    if (shares[counts > 0] >= 1).all():
        assert (np.abs(drawn - shares) < 1).all()
    if beta == 0:
        np.testing.assert_array_equal(drawn, counts)


@settings(deadline=None, max_examples=40)
@given(some_counts, betas, st.integers(0, 5))
def test_all_examples_of_a_class_come_equally_often(counts, beta, first_epoch):
    """Also over several epochs: the counts of any two examples of a class differ by 1 at most."""
    labels = labels_of(counts)
    sampler, size = BalancedSampler(labels, len(counts), beta, seed=3), len(labels)
    times = np.zeros(size, np.int64)
    for epoch in range(first_epoch, first_epoch + 4):
        examples = sampler(np.full(size, epoch), np.arange(size))
        times += np.bincount(examples, minlength=size)
        for label in np.unique(labels):
            of_class = times[labels == label]
            assert of_class.max() - of_class.min() <= 1


def test_it_depends_on_epoch_and_index_alone():
    labels = labels_of([3, 50, 9, 1])
    rng = np.random.default_rng(0)
    epochs, indices = rng.integers(0, 10**12, 500), rng.integers(0, len(labels), 500)
    whole = BalancedSampler(labels, 4, 1.0, seed=7)(epochs, indices)
    again = BalancedSampler(labels, 4, 1.0, seed=7)
    for place in rng.permutation(500)[:100]:
        assert again(epochs[[place]], indices[[place]]) == whole[place]
    assert (BalancedSampler(labels, 4, 1.0, seed=8)(epochs, indices) != whole).any()
    assert whole.dtype == np.int64 and whole.min() >= 0 and whole.max() < len(labels)


def test_no_number_is_too_large():
    labels = np.repeat([0, 1], [200_000, 3])
    sampler = BalancedSampler(labels, 2, 1.0, seed=0)
    examples = sampler(np.array([2**62, 2**62]), np.array([0, 200_002]))
    assert labels[examples].tolist() == [0, 1]


def test_a_million_draws():
    labels = labels_of([40_000, 200, 900_000, 1, 59_799])
    sampler = BalancedSampler(labels, 5, 0.999, seed=0)
    drawn = labels[sampler(np.zeros(len(labels), np.int64), np.arange(len(labels)))]
    np.testing.assert_array_equal(np.bincount(drawn), sampler.draws)
    assert sampler.draws.sum() == len(labels)
