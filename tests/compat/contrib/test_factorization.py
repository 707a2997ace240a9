"""tf.contrib.factorization and feature_column: k-means, and columns of sequences by 1.15's names."""

import numpy as np
import pytest

from slimft.compat import tf


def test_kmeans_finds_two_clusters():
    points = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [None, 2])
        model = tf.contrib.factorization.KMeans(fed, 2, initial_clusters=points[[0, 2]].astype(np.float32))
        _, indices, _, _, initialize, train = model.training_graph()
        session.run(tf.global_variables_initializer())
        session.run(initialize, {fed: points})
        for _ in range(3):
            session.run(train, {fed: points})
        found = session.run(indices, {fed: points})[0]
        (centers,) = [v for v in tf.global_variables() if v.op.name == "clusters"]
        np.testing.assert_allclose(session.run(centers), [[0.95, 0.05], [0.05, 0.95]], atol=1e-6)
    assert found.tolist() == [0, 0, 1, 1]


def test_what_is_gone_says_so():
    with pytest.raises(AttributeError, match="no tf.contrib.factorization.WALSModel"):
        tf.contrib.factorization.WALSModel  # noqa: B018


def test_columns_of_sequences():
    """Names of the variable and of the results as TensorFlow 1.15.5 gives them."""
    pytest.importorskip("tf_keras")
    columns = tf.contrib.feature_column
    with tf.Graph().as_default(), tf.Session() as session:
        column = columns.sequence_categorical_column_with_identity("a", 5)
        embedded = tf.feature_column.embedding_column(column, 3)
        features = {"a": tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 2, 3], [2, 2])}
        inputs, lengths = columns.sequence_input_layer(features, [embedded])
        (weights,) = tf.trainable_variables()
        session.run(tf.global_variables_initializer())
        found, count, table = session.run([inputs, lengths, weights])
    assert weights.op.name == "sequence_input_layer/a_embedding/embedding_weights"
    assert inputs.op.name == "sequence_input_layer/concat/concat"
    assert count.tolist() == [2, 1]
    np.testing.assert_array_equal(found, [table[[1, 2]], [table[3], np.zeros(3)]])
