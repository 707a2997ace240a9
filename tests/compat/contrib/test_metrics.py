"""tf.contrib.metrics: that scripts find all of it; figures measured with TensorFlow 1.15.5."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.legacy_names import resolve

metrics = resolve("tensorflow.contrib.metrics")


def results():
    """Metrics of made-up labels and scores after two updates, by name, with what 1.15.5 gives."""
    random = np.random.RandomState(0)
    labels = tf.constant(random.randint(0, 2, 20))
    scores = tf.constant(random.uniform(size=20).astype("f"))
    guesses = tf.cast(scores > 0.5, tf.int64)
    weights = tf.constant(random.uniform(size=20).astype("f"))
    classes, others = tf.constant(random.randint(0, 3, 20)), tf.constant(random.randint(0, 3, 20))
    pairs = tf.constant(random.randint(0, 5, (6, 2)))
    logits = tf.constant(random.uniform(size=(6, 5)).astype("f"))
    x, y = (tf.constant(random.normal(size=20).astype("f")) for _ in range(2))
    return {
        "f1": (metrics.f1_score(labels, scores), 0.7096774),
        "kappa": (metrics.cohen_kappa(classes, others, 3), 0.037037037),
        "count": (metrics.count(x, weights), 18.92929),
        "accuracy": (metrics.streaming_accuracy(others, classes, weights), 0.31805617),
        "auc": (metrics.streaming_auc(scores, labels), 0.4343434),
        "auc of PR": (metrics.streaming_auc(scores, labels, curve="PR"), 0.5544662),
        "dynamic auc": (metrics.streaming_dynamic_auc(labels, scores), 0.43434343),
        "covariance": (metrics.streaming_covariance(x, y, weights), 0.02791931),
        "false negatives": (metrics.streaming_false_negatives_at_thresholds(scores, labels, [0.2, 0.5]), [6, 8]),
        "mean iou": (metrics.streaming_mean_iou(others, classes, 3), 0.21025641),
        "pearson": (metrics.streaming_pearson_correlation(x, y), 0.15113227),
        "precision": (metrics.streaming_precision(guesses, labels), 0.53846157),
        "recall at precision": (metrics.recall_at_precision(labels, scores, 0.6), 0.27272728),
        "precision at recall": (metrics.precision_at_recall(labels, scores, 0.6), 0.5833333),
        "average precision": (metrics.streaming_sparse_average_precision_at_k(logits, pairs, 3), 0.29166667),
        "sparse recall": (metrics.streaming_sparse_recall_at_k(logits, pairs, 3), 0.45454545),
    }


def test_figures_are_those_of_1_15():
    with tf.Graph().as_default(), tf.Session() as session:
        graph = results()
        session.run([tf.local_variables_initializer(), tf.global_variables_initializer()])
        for _ in range(2):
            session.run([update for (_, update), _ in graph.values()])
        for name, ((value, _), expected) in graph.items():
            np.testing.assert_allclose(session.run(value), expected, rtol=1e-5, err_msg=name)


def test_sets_and_the_confusion_matrix():
    sets = resolve("tensorflow.contrib.metrics.python.ops.set_ops")
    with tf.Graph().as_default(), tf.Session() as session:
        a, b = tf.constant([[1, 2], [3, 3]]), tf.constant([[2, 5], [4, 6]])
        both, union, only = sets.set_intersection(a, b), sets.set_union(a, b), sets.set_difference(a, b)
        found = session.run([both.values, union.values, only.values, metrics.set_size(union)])
        matrix = session.run(metrics.confusion_matrix([0, 1, 1], [1, 1, 0], 3))
    assert [values.tolist() for values in found] == [[2], [1, 2, 5, 3, 4, 6], [1, 3], [3, 3]]
    assert matrix.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert metrics.accuracy is not None
    with pytest.raises(AttributeError, match=r"no tf\.contrib\.metrics\.nothing"):
        print(metrics.nothing)
