"""Confident learning: an example computed by hand from the paper's definitions, and what cleanlab 2.9 found."""

import numpy as np
import pytest

from slimft.data.label_errors import confident_classes, confident_joint, find_label_errors

# Thresholds, the mean self-confidences: (0.9 + 0.7 + 0.2) / 3 = 0.6 of class 0, (0.8 + 0.6 + 0.1) / 3 = 0.5 of
# class 1, (0.9 + 0.5) / 2 = 0.7 of class 2.
LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2])
PROBABILITIES = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.7, 0.2, 0.1],
        [0.2, 0.8, 0.0],  # Confidently of class 1.
        [0.1, 0.8, 0.1],
        [0.4, 0.6, 0.0],
        [0.6, 0.1, 0.3],  # Confidently of class 0, just so.
        [0.0, 0.1, 0.9],
        [0.5, 0.0, 0.5],  # Of none: both are below their thresholds.
    ]
)


def test_by_hand():
    assert confident_classes(LABELS, PROBABILITIES).tolist() == [0, 0, 1, 1, 1, 0, 2, -1]
    assert confident_joint(LABELS, PROBABILITIES).tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 1]]
    found = find_label_errors(LABELS, PROBABILITIES)
    assert found.examples.tolist() == [2, 5] and found.suggested.tolist() == [1, 0]
    # (1 + 0.2 - 0.8) / 2 and (1 + 0.1 - 0.6) / 2.
    np.testing.assert_allclose(found.scores, [0.2, 0.25])


# What cleanlab finds of `drawn`.
CLEANLABS = [
    372, 383, 35, 103, 392, 373, 269, 165, 45, 19, 155, 356, 167, 40, 129, 384, 157, 133, 58,
]  # fmt: skip


def drawn(examples=400, classes=4, noise=0.1):
    """Labels of which some are wrong, the true ones, and probabilities that go by the truth."""
    rng = np.random.default_rng(11)
    true = rng.integers(0, classes, examples)
    labels = np.where(rng.random(examples) < noise, rng.integers(0, classes, examples), true)
    logits = rng.normal(0, 1, (examples, classes))
    logits[np.arange(examples), true] += 3
    powers = np.exp(logits)
    return labels, true, powers / powers.sum(axis=1, keepdims=True)


def test_as_the_definitions_say_example_by_example():
    """The paper's equations 1 and 2 as loops."""
    labels, _, probabilities = drawn()
    thresholds = [probabilities[labels == label, label].mean() for label in range(4)]
    expected = np.zeros((4, 4), int)
    for label, row in zip(labels, probabilities):
        confident = [one for one in range(4) if row[one] >= thresholds[one]]
        if confident:
            expected[label, max(confident, key=lambda one: row[one])] += 1
    assert confident_joint(labels, probabilities).tolist() == expected.tolist()


def test_most_of_what_is_wrong_is_found_and_comes_first():
    labels, true, probabilities = drawn()
    found = find_label_errors(labels, probabilities)
    wrong = np.flatnonzero(labels != true)
    assert len(np.intersect1d(found.examples, wrong)) >= 0.6 * len(wrong)
    assert np.isin(found.examples[: len(wrong) // 2], wrong).mean() > 0.9
    assert (np.diff(found.scores) >= 0).all() and (found.scores < 0.5).all()


def test_as_cleanlab_finds_them():
    """find_label_issues(filter_by="confident_learning", return_indices_ranked_by="normalized_margin"), of 2.9.0."""
    labels, _, probabilities = drawn()
    found = find_label_errors(labels, probabilities)
    assert found.examples.tolist() == CLEANLABS


def test_a_class_without_examples_is_suggested_to_none():
    probabilities = np.array([[0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])
    assert 2 not in confident_classes(np.array([0, 1, 0]), probabilities)


def test_a_class_the_network_never_says_is_not_suggested_for_what_it_calls_less_likely():
    """The third class is confident from 0.01 on, which is no reason to doubt a label of 0.4."""
    probabilities = np.array([[0.4, 0.58, 0.02], [0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.5, 0.49, 0.01]])
    labels = np.array([0, 0, 1, 2])
    assert confident_classes(labels, probabilities)[0] == 2
    assert 0 not in find_label_errors(labels, probabilities).examples


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_probabilities_are_no_errors(dtype):
    found = find_label_errors(np.arange(30) % 3, np.full((30, 3), 1 / 3, dtype))
    assert len(found) == 0
