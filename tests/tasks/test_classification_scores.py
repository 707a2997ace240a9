"""Metrics, against scikit-learn's and, for the calibration error, against a plain loop over its definition."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft.tasks.classification_scores import Predictions


@st.composite
def predictions(draw):
    """Predictions with scores behind them, so that labels, confidences and losses belong together."""
    num_classes, examples = draw(st.integers(2, 7)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    used = draw(st.integers(1, num_classes))  # Labels may leave classes out.
    return of_scores(rng.normal(0, 2, (examples, num_classes)), rng.integers(0, used, examples))


def of_scores(scores, labels):
    """`Predictions` of scores, and their probabilities."""
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    rows = np.arange(len(labels))
    found = Predictions(
        labels=labels.astype(np.int32),
        predicted=probabilities.argmax(1).astype(np.int32),
        confidence=probabilities.max(1).astype(np.float32),
        losses=-np.log(probabilities[rows, labels]).astype(np.float32),
        num_classes=scores.shape[1],
    )
    return found, probabilities


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_as_scikit_learn_has_them(made):
    found, probabilities = made
    classes, labels, predicted = np.arange(found.num_classes), found.labels, found.predicted
    matrix = found.confusion_matrix()
    np.testing.assert_array_equal(matrix, sklearn.metrics.confusion_matrix(labels, predicted, labels=classes))

    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    table = found.per_class([f"class {label}" for label in classes])
    assert [row["class"] for row in table] == [f"class {label}" for label in classes]
    assert [row["examples"] for row in table] == support.tolist()
    for label, row in enumerate(table):
        assert (row["precision"] is None) == (label not in predicted)
        assert (row["recall"] is None) == (row["f1"] is None) == (support[label] == 0)
        for expected, value in ((precision, row["precision"]), (recall, row["recall"]), (f1, row["f1"])):
            assert value is None or value == pytest.approx(expected[label])

    occurring = np.unique(labels)
    assert found.summary() == {
        "examples": len(labels),
        "accuracy": pytest.approx(sklearn.metrics.accuracy_score(labels, predicted)),
        "balanced_accuracy": pytest.approx(
            sklearn.metrics.recall_score(labels, predicted, labels=occurring, average="macro", zero_division=0)
        ),
        "macro_f1": pytest.approx(
            sklearn.metrics.f1_score(labels, predicted, labels=occurring, average="macro", zero_division=0)
        ),
        "loss": pytest.approx(sklearn.metrics.log_loss(labels, probabilities, labels=classes), rel=1e-5),
    }


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@settings(max_examples=30, deadline=None)
@given(predictions())
def test_balanced_accuracy_score(made):
    found, _ = made
    expected = sklearn.metrics.balanced_accuracy_score(found.labels, found.predicted)
    assert found.summary()["balanced_accuracy"] == pytest.approx(expected)


def expected_calibration_error(found, bins):
    """Equation 3 of arXiv:1706.04599, bin by bin."""
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [i for i, share in enumerate(found.confidence.tolist()) if low < share <= high]
        if inside:
            accuracy = sum(found.labels[i] == found.predicted[i] for i in inside) / len(inside)
            confidence = sum(float(found.confidence[i]) for i in inside) / len(inside)
            error += len(inside) / len(found.labels) * abs(accuracy - confidence)
    return error


@settings(max_examples=60, deadline=None)
@given(predictions(), st.integers(1, 20))
def test_calibration(made, bins):
    found, _ = made
    calibration = found.calibration(bins)
    assert calibration["ece"] == pytest.approx(expected_calibration_error(found, bins))
    assert len(calibration["bins"]) == bins
    assert sum(part["examples"] for part in calibration["bins"]) == len(found.labels)
    shares = found.confidence.astype(np.float64)
    for part in calibration["bins"]:
        inside = (part["low"] < shares) & (shares <= part["high"])
        assert part["examples"] == inside.sum()
        if part["examples"]:
            assert part["low"] < part["confidence"] <= part["high"]
            assert part["accuracy"] == pytest.approx((found.labels == found.predicted)[inside].mean())
        else:
            assert part["confidence"] is part["accuracy"] is None


def test_confidences_at_the_bins_borders():
    confidence = np.array([0.0, 0.2, 0.5, 1.0, np.nextafter(np.float32(1), np.float32(2))], np.float32)
    labels = np.zeros(5, np.int32)
    parts = Predictions(labels, labels, confidence, confidence, 2).calibration(bins=2)["bins"]
    assert [part["examples"] for part in parts] == [3, 2]


def test_sure_and_right_is_perfectly_calibrated_and_sure_and_wrong_is_not():
    labels, ones = np.array([0, 1, 1], np.int32), np.ones(3, np.float32)
    assert Predictions(labels, labels, ones, 0 * ones, 2).calibration()["ece"] == 0
    assert Predictions(labels, 1 - labels, ones, 9 * ones, 2).calibration()["ece"] == 1


def test_the_most_confident_mistakes_come_first():
    found = Predictions(
        labels=np.array([0, 0, 1, 1, 2, 2], np.int32),
        predicted=np.array([0, 1, 0, 1, 0, 0], np.int32),
        confidence=np.array([0.99, 0.5, 0.8, 0.9, 0.6, 0.8], np.float32),
        losses=np.zeros(6, np.float32),
        num_classes=3,
    )
    assert found.most_confident_mistakes(9).tolist() == [2, 5, 4, 1]
    assert found.most_confident_mistakes(2).tolist() == [2, 5]
    assert found.most_confident_mistakes(0).tolist() == []


def test_losses_are_added_in_double_precision():
    losses = np.full(3_000_000, 0.1, np.float32)
    zeros = np.zeros(len(losses), np.int32)
    found = Predictions(zeros, zeros, losses, losses, 2)
    assert found.summary()["loss"] == pytest.approx(float(np.float32(0.1)), rel=1e-9)


def test_what_does_not_belong_together():
    zeros = np.zeros(2, np.int32)
    with pytest.raises(ValueError, match="as many"):
        Predictions(zeros, zeros[:1], zeros, zeros, 2)
    with pytest.raises(ValueError, match="as many"):
        Predictions(zeros[:0], zeros[:0], zeros[:0], zeros[:0], 2)
