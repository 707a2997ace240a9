"""The task of segmentation: figures as scikit-learn has them, a loss that leaves void out, logits in bands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from slimft.compat import tf
from slimft.tasks import get_task, metric_names
from slimft.tasks.segmentation_bands import in_bands
from slimft.tasks.segmentation_scores import image_scores

SEGMENTATION = get_task("segmentation")
VOID = 255


@pytest.fixture(scope="module")
def predict():
    """`predict(logits, masks)`: what the task's graph makes of arrays."""
    graphs = {}

    def run(logits, masks):
        classes = logits.shape[3]
        if classes not in graphs:
            with tf.Graph().as_default():
                fed = (
                    tf.placeholder(tf.float32, [None, None, None, classes]),
                    tf.placeholder(tf.uint8, [None, None, None]),
                )
                graphs[classes] = tf.Session(), fed, SEGMENTATION.predict(*fed)
        session, fed, made = graphs[classes]
        return session.run(made, dict(zip(fed, (logits, masks))))

    yield run
    for session, *_ in graphs.values():
        session.close()


@st.composite
def images(draw):
    classes, number = draw(st.sampled_from([2, 3, 7])), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    occur = draw(st.integers(1, classes))
    masks = random.integers(0, occur, (number, 9, 11)).astype(np.uint8)
    masks[random.random(masks.shape) < draw(st.sampled_from([0, 0.3]))] = VOID
    masks[0, 0, 0] = 0
    logits = random.normal(0, 1, (number, 9, 11, classes)).astype(np.float32)
    logits[..., draw(st.integers(0, classes - 1))] -= draw(st.sampled_from([0, 100]))  # A class never predicted.
    return logits, masks


def scores_of(made, parts, number, classes):
    scores = SEGMENTATION.scores(classes)
    for part in parts:
        scores.add({name: values[part] for name, values in made.items()}, np.arange(number)[part])
    return scores


def told(scores, classes):
    shown = [(index, what["mean_iou"], what["predicted"].tolist()) for index, what in scores.mistakes()]
    return scores.summary(), scores.findings([str(label) for label in range(classes)]), shown


@settings(max_examples=40, deadline=None)
@given(images())
def test_figures_are_scikit_learns(predict, drawn):
    logits, masks = drawn
    classes, counts = logits.shape[3], masks != VOID
    scores = scores_of(predict(logits, masks), [slice(None)], len(masks), classes)
    labels, predicted = masks[counts], logits.argmax(axis=3)[counts]
    summary = scores.summary()
    assert summary["examples"] == len(masks) and summary["pixels"] == len(labels)
    expected = {
        "mean_iou": metrics.jaccard_score(labels, predicted, average="macro", zero_division=0),
        "pixel_accuracy": metrics.accuracy_score(labels, predicted),
        "mean_accuracy": metrics.recall_score(
            labels, predicted, labels=np.unique(labels), average="macro", zero_division=0
        ),
        "frequency_weighted_iou": metrics.jaccard_score(labels, predicted, average="weighted", zero_division=0),
    }
    for name, value in expected.items():
        assert summary[name] == pytest.approx(value, rel=1e-12), name
    shifted = logits - logits.max(axis=3, keepdims=True)
    losses = (
        np.log(np.exp(shifted).sum(axis=3))
        - np.take_along_axis(shifted, np.where(counts, masks, 0)[..., None].astype(int), 3)[..., 0]
    )
    assert summary["loss"] == pytest.approx(losses[counts].mean(), rel=1e-4)
    of_all = metrics.confusion_matrix(labels, predicted, labels=range(classes))
    np.testing.assert_array_equal(scores.confusion, of_all)
    for row, recall, precision, iou in zip(
        scores.per_class(list(map(str, range(classes)))),
        metrics.recall_score(labels, predicted, labels=range(classes), average=None, zero_division=np.nan),
        metrics.precision_score(labels, predicted, labels=range(classes), average=None, zero_division=np.nan),
        metrics.jaccard_score(labels, predicted, labels=range(classes), average=None, zero_division=0),
    ):
        assert row["accuracy"] == (None if np.isnan(recall) else pytest.approx(recall))
        assert row["precision"] == (None if np.isnan(precision) else pytest.approx(precision))
        assert row["iou"] is None or row["iou"] == pytest.approx(iou)


@settings(max_examples=30, deadline=None)
@given(images(), st.randoms(use_true_random=False))
def test_batches_and_shards_make_no_difference(predict, drawn, random):
    logits, masks = drawn
    classes, number = logits.shape[3], len(masks)
    made = predict(logits, masks)
    whole = told(scores_of(made, [slice(None)], number, classes), classes)
    parts = [slice(place, place + 1) for place in range(number)]
    random.shuffle(parts)
    assert told(scores_of(made, parts, number, classes), classes) == whole
    shards = [scores_of(made, [part], number, classes) for part in parts]
    for other in shards[1:]:
        shards[0].merge(other)
    assert told(shards[0], classes) == whole


def test_memory_does_not_grow_with_the_images():
    scores, random = SEGMENTATION.scores(3), np.random.default_rng(0)
    for number in range(60):
        batch = {
            "confusion": random.integers(0, 9, (4, 3, 3)),
            "losses": np.ones(4, np.float32),
            "predicted": np.zeros((4, 900, 700), np.uint8),
        }
        scores.add(batch, 4 * number + np.arange(4))
    shown = scores.mistakes()
    assert scores.summary()["examples"] == 240 and len(shown) == 12
    assert all(what["predicted"].shape == (300, 234) and what["predicted"].base is None for _, what in shown)
    figures = [what["mean_iou"] for _, what in shown]
    assert figures[:6] == sorted(figures[:6]) and figures[6:] == sorted(figures[6:], reverse=True)


def test_an_image_that_is_all_void_has_no_figures():
    nothing, one = image_scores(np.array([np.zeros((2, 2)), [[3, 1], [0, 0]]], np.int64), np.array([4, 7]))
    assert (nothing.index, nothing.mean_iou, nothing.pixel_accuracy) == (4, None, None)
    assert (one.mean_iou, one.pixel_accuracy) == (3 / 8, 3 / 4)
    scores = SEGMENTATION.scores(2)
    with pytest.raises(ValueError, match="no predictions"):
        scores.summary()
    scores.add({"confusion": np.zeros((1, 2, 2)), "losses": np.zeros(1, np.float32)}, np.arange(1))
    with pytest.raises(ValueError, match="all pixels of the masks are void"):
        scores.summary()
    with pytest.raises(ValueError, match="as many"):
        scores.add({"confusion": np.zeros((1, 2, 2)), "losses": np.zeros(2, np.float32)}, np.arange(1))


@pytest.mark.parametrize("size", [(20, 31), (47, 61), (10, 9)])
def test_outputs_are_enlarged_to_the_masks_size_in_bands_or_at_once(size):
    random = np.random.default_rng(1)
    logits, masks = random.normal(0, 1, (2, 20, 31, 5)).astype(np.float32), random.integers(0, 5, (2, *size))
    with tf.Graph().as_default(), tf.Session() as session:
        expected = tf.compat.v2.image.resize(logits, size)
        made = SEGMENTATION.predict(tf.constant(logits), tf.constant(masks, tf.uint8))
        banded = in_bands(tf.constant(logits), size, most=5 * size[1] * 2 * 3)[0]
        expected, made, banded = session.run([expected, made, banded])
    np.testing.assert_array_equal(made["predicted"], expected.argmax(axis=3))
    np.testing.assert_array_equal(banded, expected.argmax(axis=3))
    assert made["confusion"].sum() == masks.size


def loss_and_gradient(logits, masks, **options):
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.constant(logits)
        loss = SEGMENTATION.loss(fed, tf.constant(masks), **options)
        return session.run([loss, *tf.gradients(loss, fed)])


def test_void_counts_for_nothing_in_the_loss():
    random = np.random.default_rng(2)
    logits, masks = random.normal(0, 2, (2, 4, 5, 3)).astype(np.float32), random.integers(0, 3, (2, 4, 5))
    masks[0, :, :2] = VOID
    weights = np.array([0.2, 1.0, 3.0], np.float32)
    counts = masks != VOID
    log_p = logits - np.log(np.exp(logits).sum(axis=3, keepdims=True))
    of_class = np.take_along_axis(log_p, np.where(counts, masks, 0)[..., None], 3)[..., 0][counts]
    for options, expected in (
        ({}, -of_class),
        ({"class_weights": weights}, -of_class * weights[masks[counts]]),
        ({"focal_gamma": 2.0}, -of_class * (1 - np.exp(of_class)) ** 2),
        ({"label_smoothing": 0.3}, -0.7 * of_class - 0.3 * log_p.mean(axis=3)[counts]),
    ):
        loss, gradient = loss_and_gradient(logits, masks, **options)
        assert loss == pytest.approx(expected.mean(), rel=1e-5), options
        assert not gradient[~counts].any() and gradient[counts].any()
        # Nor does what the network says of it.
        other = np.where(counts[..., None], logits, 1e4).astype(np.float32)
        assert loss_and_gradient(other, masks, **options)[0] == loss


def test_a_batch_that_is_all_void_has_a_loss_of_zero():
    loss, gradient = loss_and_gradient(np.ones((1, 2, 2, 3), np.float32), np.full((1, 2, 2), VOID))
    assert loss == 0 and not gradient.any()


def test_figures_that_can_choose():
    assert {"mean_iou", "pixel_accuracy", "mean_accuracy", "loss"} <= set(metric_names())
    assert SEGMENTATION.default_metric(True) == "mean_iou"
