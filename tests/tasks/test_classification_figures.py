"""Figures of all probabilities: scikit-learn's; intervals, SciPy's."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from slimft.tasks import classification_figures
from slimft.tasks.classification_figures import areas, intervals, ranks
from slimft.tasks.classification_scores import ClassificationScores


def drawn(examples, num_classes, seed=0, digits=None):
    """Labels and probabilities that know something of them; with few digits, many are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, examples).astype(np.int32)
    logits = rng.normal(size=(examples, num_classes))
    logits[np.arange(examples), labels] += 1
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, (shares if digits is None else shares.round(digits)).astype(np.float32)


@given(st.integers(1, 60), st.integers(2, 7), st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_top_k_accuracies_are_scikit_learns(examples, num_classes, seed):
    labels, shares = drawn(examples, num_classes, seed)
    found = ranks(labels, shares)
    assert (found == 0).mean() == pytest.approx(metrics.accuracy_score(labels, shares.argmax(axis=1)))
    for k in range(1, num_classes if num_classes > 2 else 0):
        expected = metrics.top_k_accuracy_score(labels, shares, k=k, labels=range(num_classes))
        assert (found < k).mean() == pytest.approx(expected)


def test_of_classes_that_are_as_likely_the_first_is_predicted():
    shares = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4]], np.float32)
    labels = np.array([0, 1, 2])
    assert ranks(labels, shares).tolist() == [0, 1, 1]
    assert ((ranks(labels, shares) == 0) == (shares.argmax(axis=1) == labels)).all()


@given(st.integers(2, 80), st.integers(2, 5), st.integers(0, 10**6), st.sampled_from([None, 1, 2]))
@settings(deadline=None, max_examples=80)
def test_areas_are_scikit_learns(examples, num_classes, seed, digits):
    """Of classes that all examples are of, or none, there are no areas, and the means are over the others."""
    labels, shares = drawn(examples, num_classes, seed, digits)
    found = areas(labels, shares)
    known = [c for c in range(num_classes) if 0 < (labels == c).sum() < examples]
    expected = [metrics.roc_auc_score(labels == c, shares[:, c]) for c in known]
    average = [metrics.average_precision_score(labels == c, shares[:, c]) for c in known]
    assert [found.roc_auc[c] for c in known] == pytest.approx(expected)
    assert [found.average_precision[c] for c in known] == pytest.approx(average)
    others = set(range(num_classes)) - set(known)
    assert all(found.roc_auc[c] is None and found.average_precision[c] is None for c in others)
    macro = found.macro()
    assert macro["classes_with_areas"] == len(known)
    if known:
        assert macro["roc_auc"] == pytest.approx(np.mean(expected))
        assert macro["average_precision"] == pytest.approx(np.mean(average))
    else:
        assert macro["roc_auc"] is macro["average_precision"] is None


def test_macro_areas_of_all_classes():
    labels, shares = drawn(300, 4)
    shares = shares.astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    assert areas(labels, shares).macro()["roc_auc"] == pytest.approx(
        metrics.roc_auc_score(labels, shares, multi_class="ovr", average="macro")
    )
    labels, shares = drawn(300, 2)  # Of two classes both areas are the same.
    assert areas(labels, shares).macro()["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, shares[:, 1]))


@given(st.integers(4, 60), st.integers(0, 10**6), st.sampled_from([None, 1]))
@settings(deadline=None, max_examples=60)
def test_areas_of_a_resample_are_those_of_examples_that_are_there_so_often(examples, seed, digits):
    labels, shares = drawn(examples, 2, seed, digits)
    truth, scores = labels == 1, shares[:, 1]
    if truth.all() or not truth.any():
        return
    weights = np.random.default_rng(seed).integers(0, 3, (examples, 4)).astype(np.float32)
    found = classification_figures._Curve(truth, scores).areas(weights)
    for (roc, average), column in zip(found.T, weights.T):
        if len(set(truth[column > 0])) < 2:
            assert np.isnan([roc, average]).all()
        else:
            repeated = np.repeat(np.arange(examples), column.astype(int))
            assert roc == pytest.approx(metrics.roc_auc_score(truth[repeated], scores[repeated]), rel=1e-5)
            expected = metrics.average_precision_score(truth[repeated], scores[repeated])
            assert average == pytest.approx(expected, rel=1e-5)


def test_figures_of_a_resample_are_those_of_its_examples(monkeypatch):
    """With the memory of few resamples at a time too; a resample may lack a class."""
    labels, shares = drawn(40, 5, seed=3)
    labels[labels == 4] = 3
    labels[:2] = 4
    predicted = shares.argmax(axis=1)
    monkeypatch.setattr(classification_figures, "_CELLS", 40 * 7)
    chunks = list(classification_figures._resamples(np.arange(40), 30, seed=1))
    assert [chunk.shape for chunk in chunks] == [(40, 7)] * 4 + [(40, 2)]
    weights = np.concatenate(chunks, axis=1)
    assert (weights.sum(axis=0) == 40).all() and (weights[:2].sum(axis=0) == 0).any()
    found = classification_figures._counted(labels, predicted, 5, weights)
    for number, column in enumerate(weights.T):
        repeated = np.repeat(np.arange(40), column.astype(int))
        scores = ClassificationScores(5)
        batch = {"targets": labels[repeated], "predicted": predicted[repeated]}
        scores.add(batch | {"confidence": np.ones(40), "losses": np.zeros(40)}, np.arange(40))
        expected = scores.summary()
        for name in ("accuracy", "balanced_accuracy", "macro_f1"):
            assert found[name][number] == pytest.approx(expected[name])


def test_intervals_are_scipys():
    """Percentiles of 1,000 resamples, each drawn otherwise."""
    labels, shares = drawn(120, 3, seed=2)
    predicted = shares.argmax(axis=1)
    found = intervals(labels, predicted, 3, ranks(labels, shares), (2,), shares, resamples=1000)
    assert (found.resamples, found.units, found.grouped) == (1000, 120, False)

    def by_scipy(figure):
        one = scipy.stats.bootstrap(
            (np.arange(120),), figure, method="percentile", n_resamples=1000, vectorized=False, rng=5
        )
        return [one.confidence_interval.low, one.confidence_interval.high]

    figures = {
        "accuracy": lambda i: metrics.accuracy_score(labels[i], predicted[i]),
        "balanced_accuracy": lambda i: metrics.recall_score(labels[i], predicted[i], average="macro"),
        "top_2_accuracy": lambda i: (ranks(labels[i], shares[i]) < 2).mean(),
        "roc_auc": lambda i: np.mean([metrics.roc_auc_score(labels[i] == c, shares[i, c]) for c in range(3)]),
    }
    assert figures.keys() | {"macro_f1", "average_precision"} == found.of.keys()
    for name, figure in figures.items():
        np.testing.assert_allclose(found.of[name], by_scipy(figure), atol=0.03)


def test_what_belongs_together_is_drawn_together():
    """Eight copies of each of 50 images tell no more than the images do."""
    labels, shares = drawn(50, 3, seed=4)
    predicted = shares.argmax(axis=1)
    few = intervals(labels, predicted, 3, resamples=3000).of["accuracy"]
    copied = np.repeat(labels, 8), np.repeat(predicted, 8)
    apart = intervals(*copied, 3, resamples=3000).of["accuracy"]
    together = intervals(*copied, 3, groups=np.repeat(np.arange(50), 8), resamples=3000)
    np.testing.assert_allclose(together.of["accuracy"], few, atol=0.02)
    assert (together.grouped, together.units) == (True, 50)
    assert np.ptp(apart) < 0.5 * np.ptp(few)


def test_intervals_do_not_depend_on_chance_or_take_long_unasked(monkeypatch):
    labels, shares = drawn(50, 3)
    arguments = labels, shares.argmax(axis=1), 3, ranks(labels, shares), (), shares
    assert intervals(*arguments) == intervals(*arguments, resamples=1000)
    assert intervals(*arguments, seed=1) != intervals(*arguments)
    monkeypatch.setattr(classification_figures, "_MOST_UNASKED", 149_999)
    found = intervals(*arguments)
    assert found.left_out == ("roc_auc", "average_precision") and "roc_auc" not in found.of
    assert "roc_auc" in intervals(*arguments, resamples=1000).of
    one = intervals(np.zeros(9, int), np.zeros(9, int), 3, probabilities=shares[:9])
    assert one.of == dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1"), (1, 1))
