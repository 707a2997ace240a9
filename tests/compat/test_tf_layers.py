"""tf.layers and tf.nn.rnn_cell beside Keras 3, against tf-keras' layer, TensorFlow's ops and NumPy."""

import importlib

import numpy as np
import pytest

from slimft.compat import tf

RANDOM = np.random.default_rng(3)
IMAGES = RANDOM.standard_normal((3, 4, 5, 2)).astype("float32")
ROWS = RANDOM.standard_normal((6, 3)).astype("float32")


@pytest.fixture
def keras_batch_normalization():
    """The function that `tf.layers.batch_normalization` was, kept by tf-keras."""
    pytest.importorskip("tf_keras", reason="compares with tf-keras' layer (pip install tf-keras)")
    return importlib.import_module("tf_keras.src.legacy_tf_layers.normalization").batch_normalization


def observe(batch_normalization, values, training, **arguments):
    """Trains two layers in a row for a step, then evaluates them; tells what there is to see."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.constant(values)
        is_training = tf.placeholder(tf.bool, []) if training == "tensor" else training
        feed = {is_training: True} if training == "tensor" else {}
        hidden = batch_normalization(inputs, training=is_training, name="named", **arguments)
        outputs = batch_normalization(hidden, training=is_training, **arguments)
        again = batch_normalization(inputs, training=False, name="named", reuse=True, **arguments)
        gradients = tf.gradients(tf.reduce_sum(outputs**3), [inputs, *tf.trainable_variables()])
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        session.run(tf.global_variables_initializer())
        numbers = session.run([outputs, *gradients], feed)
        session.run(updates, feed)
        numbers += session.run([again, *tf.global_variables()])
        names = [str(variable.to_proto()) for variable in tf.global_variables()]
        losses = len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
        return (names, len(updates), losses, len(tf.trainable_variables())), numbers


@pytest.mark.parametrize(
    ("values", "training", "arguments"),
    [
        (IMAGES, True, {}),
        (IMAGES, False, {"scale": False}),
        (IMAGES, "tensor", {"momentum": 0.9, "center": False}),
        (IMAGES, True, {"axis": 1, "fused": False}),
        (IMAGES, True, {"trainable": False}),
        (IMAGES, True, {"gamma_initializer": tf.constant_initializer(2.0), "beta_regularizer": tf.nn.l2_loss}),
        (IMAGES, True, {"renorm": True, "renorm_momentum": 0.8}),
        (ROWS, True, {}),
        (ROWS, "tensor", {"epsilon": 0.1}),
    ],
)
def test_batch_normalization_is_what_it_was(keras_batch_normalization, values, training, arguments):
    expected, expected_numbers = observe(keras_batch_normalization, values, training, **arguments)
    seen, numbers = observe(tf.layers.batch_normalization, values, training, **arguments)
    assert seen == expected
    for actual, number in zip(numbers, expected_numbers, strict=True):
        np.testing.assert_allclose(actual, number, rtol=1e-4, atol=1e-4)


def test_a_batch_normalization_layer_keeps_its_variables():
    with tf.Graph().as_default(), tf.Session() as session:
        layer = tf.layers.BatchNormalization(name="bn", momentum=0.5)
        trained, evaluated = layer(tf.constant(ROWS), training=True), layer(tf.constant(ROWS))
        names = ["bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"]
        assert [variable.op.name for variable in layer.variables] == names
        assert [variable.op.name for variable in layer.trainable_variables] == names[:2]
        assert layer.updates == tf.get_collection(tf.GraphKeys.UPDATE_OPS) and len(layer.updates) == 2
        session.run(tf.global_variables_initializer())
        mean, variance = ROWS.mean(0), ROWS.var(0)
        np.testing.assert_allclose(session.run(trained), (ROWS - mean) / np.sqrt(variance + 1e-3), atol=1e-5)
        session.run(layer.updates)
        expected = (ROWS - mean / 2) / np.sqrt((1 + variance) / 2 + 1e-3)
        np.testing.assert_allclose(session.run(evaluated), expected, atol=1e-5)
        with pytest.raises(ValueError, match="virtual_batch_size"):
            tf.layers.BatchNormalization(virtual_batch_size=2)


def test_the_other_layers():
    import tensorflow.compat.v1 as another_name

    assert another_name.layers.dense is tf.layers.dense
    with tf.Graph().as_default(), tf.Session() as session:
        net = tf.layers.conv2d(IMAGES, 3, 3, padding="same", use_bias=False, name="conv")
        pooled = tf.layers.max_pooling2d(net, 2, 2)
        logits = tf.layers.dense(tf.layers.flatten(pooled), 4, tf.nn.relu, name="fc")
        dropped = tf.layers.dropout(logits, 0.5, training=False)
        kernel, weights, bias = tf.trainable_variables()
        expected = tf.nn.max_pool2d(tf.nn.conv2d(IMAGES, kernel, 1, "SAME"), 2, 2, "VALID")
        expected = tf.nn.relu(tf.matmul(tf.reshape(expected, [3, -1]), weights) + bias)
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(*session.run([dropped, expected]), rtol=1e-5)
        assert [v.op.name for v in (kernel, weights, bias)] == ["conv/kernel", "fc/kernel", "fc/bias"]


def test_rnn_cells():
    sequence = RANDOM.standard_normal((2, 3, 4)).astype("float32")
    with tf.Graph().as_default(), tf.Session() as session:
        cells = [tf.nn.rnn_cell.BasicRNNCell(5), tf.nn.rnn_cell.BasicRNNCell(5)]
        outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.MultiRNNCell(cells), sequence, dtype=tf.float32)
        session.run(tf.global_variables_initializer())
        seen, (kernel1, bias1, kernel2, bias2) = session.run([outputs, tf.trainable_variables()])
    lower = upper = np.zeros((2, 5))
    for step in range(3):
        lower = np.tanh(np.hstack([sequence[:, step], lower]) @ kernel1 + bias1)
        upper = np.tanh(np.hstack([lower, upper]) @ kernel2 + bias2)
        np.testing.assert_allclose(seen[:, step], upper, rtol=1e-4, atol=1e-5)
