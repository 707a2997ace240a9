"""The loss against scikit-learn's, TensorFlow's and a NumPy one in float64; its gradient against differences."""

import numpy as np
import pytest
import sklearn.metrics

from slimft.compat import tf
from slimft.tasks.classification_loss import classification_loss

WEIGHTS = np.array([0.2, 3.0, 1.0, 0.0, 0.8])


def value_and_gradient(logits, targets, loss=classification_loss, **options):
    with tf.Graph().as_default(), tf.Session() as session:
        logits = tf.constant(logits, tf.float32)
        value = loss(logits, tf.constant(targets, tf.float32), **options)
        return session.run([value, tf.gradients(value, logits)[0]])


def reference(logits, targets, class_weights=1.0, focal_gamma=0.0):
    """The loss in float64."""
    exact = np.asarray(logits, np.float64)
    shifted = exact - exact.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses = -np.asarray(class_weights) * targets * (1 - np.exp(log_p)) ** focal_gamma * log_p
    return losses.sum(axis=1).mean()


def reference_gradient(logits, targets, **options):
    """Central differences of `reference`."""
    gradient = np.zeros(logits.shape)
    for index in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[index] = 1e-5
        above, below = (reference(logits + sign * step, targets, **options) for sign in (1, -1))
        gradient[index] = (above - below) / 2e-5
    return gradient


@pytest.fixture
def batch():
    """Logits and soft targets of 12 examples."""
    rng = np.random.default_rng(0)
    return rng.normal(scale=3, size=(12, 5)), rng.dirichlet([0.3] * 5, size=12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"class_weights": WEIGHTS},
        {"focal_gamma": 2.0},
        {"focal_gamma": 0.5},
        {"class_weights": WEIGHTS, "focal_gamma": 1.0},
        {"class_weights": WEIGHTS, "focal_gamma": 0.3},
    ],
)
def test_value_and_gradient_are_those_of_the_formula(batch, options):
    value, gradient = value_and_gradient(*batch, **options)
    assert value.dtype == np.float32 and value == pytest.approx(reference(*batch, **options), rel=1e-5)
    np.testing.assert_allclose(gradient, reference_gradient(*batch, **options), rtol=1e-3, atol=1e-6)


def test_without_weights_and_focus_it_is_tensorflows_cross_entropy(batch):
    def tensorflows(logits, targets):
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(targets, logits))

    # Weights of one take the general way.
    for options in ({}, {"class_weights": np.ones(5)}):
        value, gradient = value_and_gradient(*batch, **options)
        expected, expected_gradient = value_and_gradient(*batch, loss=tensorflows)
        assert value == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-8)


def test_class_weights_are_scikit_learns_sample_weights(batch):
    logits, _ = batch
    labels = np.arange(12) % 5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total = sklearn.metrics.log_loss(
        labels, probabilities, normalize=False, sample_weight=WEIGHTS[labels], labels=range(5)
    )
    value, gradient = value_and_gradient(logits, np.eye(5)[labels], class_weights=WEIGHTS)
    assert value == pytest.approx(total / 12, rel=1e-5)
    assert not gradient[labels == 3].any() and gradient[labels != 3].any(axis=1).all()


def test_the_focal_loss_fades_what_is_easy():
    for level in (-4.0, 0.0, 4.0):
        example = [[0.0, level]], [[0.0, 1.0]]
        ratio = value_and_gradient(*example, focal_gamma=2.0)[0] / value_and_gradient(*example)[0]
        assert ratio == pytest.approx((1 / (1 + np.exp(level))) ** 2, rel=1e-4)


@pytest.mark.parametrize("focal_gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_of_an_easy_example_is_small_but_right(focal_gamma):
    logits, targets = np.array([[8.0, 0.0]]), np.array([[1.0, 0.0]])
    value, gradient = value_and_gradient(logits, targets, focal_gamma=focal_gamma)
    assert value == pytest.approx(reference(logits, targets, focal_gamma=focal_gamma), rel=0.01)
    np.testing.assert_allclose(gradient, reference_gradient(logits, targets, focal_gamma=focal_gamma), rtol=0.01)


@pytest.mark.parametrize("focal_gamma", [0.0, 0.1, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
@pytest.mark.parametrize("largest", [20.0, 100.0, 1e4, 1e30])
def test_large_logits_have_a_finite_loss_and_gradient(largest, class_weights, focal_gamma):
    signs = np.array([[1, -1, -1, -1, -1], [-1, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    smooth = np.eye(5)[[0, 0, 1, 2]] * 0.9 + 0.02
    for targets in (np.eye(5)[[0, 0, 1, 2]], np.eye(5)[[1, 0, 4, 3]], smooth):
        value, gradient = value_and_gradient(
            largest * signs, targets, class_weights=class_weights, focal_gamma=focal_gamma
        )
        assert np.isfinite(value) and value >= 0 and np.isfinite(gradient).all()
        # The certain, right example no longer pulls.
        right, pull = value_and_gradient([[largest, 0, 0, 0, 0]], [[1.0, 0, 0, 0, 0]], focal_gamma=focal_gamma)
        assert 0 <= right < 1e-6 and np.abs(pull).max() < 1e-6


def test_a_wrong_example_of_large_logits_costs_their_difference():
    for options in ({}, {"class_weights": np.ones(2)}, {"focal_gamma": 2.0}):
        value, gradient = value_and_gradient([[1e4, -1e4]], [[0.0, 1.0]], **options)
        assert value == pytest.approx(2e4)
        np.testing.assert_allclose(gradient, [[1, -1]], rtol=1e-6)


def test_logits_of_half_precision_are_computed_in_float32(batch):
    logits, targets = batch
    with tf.Graph().as_default(), tf.Session() as session:
        half = tf.constant(logits, tf.bfloat16)
        value, exact = session.run([classification_loss(half, targets), tf.cast(half, tf.float64)])
    assert value.dtype == np.float32 and value == pytest.approx(reference(exact, targets), rel=1e-5)
