"""slim.dropout inside `dropout_seed`: a pure function of the seed, the step and the scope."""

import numpy as np
import pytest

from slimft import compat
from slimft.compat import Part, dropout_seed, seeded_uniform, slim, tf


def run_dropout(seed, step, scope="drop", seeded=True, shape=(50, 40), is_training=True, **kwargs):
    """Builds and runs one dropout layer on ones; returns its outputs."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.ones(shape)
        if seeded:
            with dropout_seed([seed, step]):
                outputs = slim.dropout(inputs, scope=scope, is_training=is_training, **kwargs)
        else:
            outputs = slim.dropout(inputs, scope=scope, is_training=is_training, **kwargs)
        return session.run(outputs)


def test_same_seed_and_step_give_the_same_mask():
    np.testing.assert_array_equal(run_dropout(7, 3), run_dropout(7, 3))


@pytest.mark.parametrize("seed, step, scope", [(8, 3, "drop"), (7, 4, "drop"), (7, 3, "other")])
def test_another_seed_step_or_scope_gives_another_mask(seed, step, scope):
    agreement = np.mean(run_dropout(7, 3) == run_dropout(seed, step, scope))
    assert 0.4 < agreement < 0.6  # as of two independent masks


def test_each_run_draws_from_the_step_it_is_fed():
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        with dropout_seed(tf.stack([7, step])):
            outputs = slim.dropout(tf.ones([50, 40]), scope="drop")
        third, fourth, third_again = (session.run(outputs, {step: number}) for number in (3, 4, 3))
    np.testing.assert_array_equal(third, third_again)
    assert np.any(third != fourth)


def test_layers_of_one_network_drop_independently():
    with tf.Graph().as_default(), tf.Session() as session:
        with dropout_seed([7, 3]):
            masks = session.run([slim.dropout(tf.ones([50, 40])) for _ in range(6)])
    for index, mask in enumerate(masks):
        for other in masks[:index]:
            assert 0.4 < np.mean(mask == other) < 0.6


@pytest.mark.parametrize("keep_prob", [0.2, 0.5, 0.9])
def test_keep_prob_and_scaling(keep_prob):
    outputs = run_dropout(1, 2, shape=(200, 200), keep_prob=keep_prob)
    kept = outputs != 0
    assert abs(kept.mean() - keep_prob) < 0.01  # four standard deviations, of 40,000 elements
    np.testing.assert_allclose(outputs[kept], 1 / keep_prob, rtol=1e-6)


def test_noise_shape_is_broadcast():
    outputs = run_dropout(1, 2, noise_shape=[50, 1])
    assert 0 < np.mean(outputs != 0) < 1
    np.testing.assert_array_equal(outputs, np.broadcast_to(outputs[:, :1], outputs.shape))


def test_keep_prob_of_one_keeps_all():
    np.testing.assert_array_equal(run_dropout(1, 2, keep_prob=1.0), np.ones((50, 40)))


def test_inference_passes_inputs_through():
    np.testing.assert_array_equal(run_dropout(1, 2, is_training=False), np.ones((50, 40)))


def test_is_training_tensor():
    with tf.Graph().as_default(), tf.Session() as session:
        is_training = tf.placeholder(tf.bool, [])
        with dropout_seed([7, 3]):
            outputs = slim.dropout(tf.ones([50, 40]), is_training=is_training, scope="drop")
        training, inference = (session.run(outputs, {is_training: value}) for value in (True, False))
    np.testing.assert_array_equal(training, run_dropout(7, 3))
    np.testing.assert_array_equal(inference, np.ones((50, 40)))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_dtype_and_collections(dtype):
    with tf.Graph().as_default(), tf.Session() as session, dropout_seed([7, 3]):
        outputs = slim.dropout(tf.ones([4, 5], dtype), outputs_collections="outputs", scope="drop")
        assert tf.get_collection("outputs") == [outputs]
        assert outputs.dtype == dtype and outputs.shape == [4, 5]
        assert set(session.run(outputs).ravel().tolist()) <= {0.0, 2.0}


def test_outside_dropout_seed_it_is_slims_own():
    assert slim.dropout is slim.layers.dropout is compat.dropout
    with tf.Graph().as_default(), tf.Session() as session:
        with dropout_seed([7, 3]):
            pass
        outputs = slim.dropout(tf.ones([50, 40]), 0.5)
        assert any(op.type == "RandomUniform" for op in tf.get_default_graph().get_operations())
        first, second = session.run(outputs), session.run(outputs)
    assert np.any(first != second)  # slim's own keeps a state from one run to the next
    np.testing.assert_array_equal(run_dropout(7, 3, seeded=False, is_training=False), np.ones((50, 40)))


def test_arg_scope_applies():
    with slim.arg_scope([slim.dropout], keep_prob=0.1):
        assert np.mean(run_dropout(7, 3) != 0) < 0.2


@pytest.mark.parametrize("shape", [[6, 3, 4], [18, 5]])
def test_a_part_of_a_batch_draws_what_the_whole_batch_does(shape):
    """Also where each example has several rows, and where one draw is for all examples."""

    def layers(inputs, part):
        with dropout_seed([7, 3], part), tf.variable_scope(tf.get_variable_scope()):
            whole = [1] + [size.value for size in inputs.shape[1:]]
            return [
                slim.dropout(inputs, 0.7),
                slim.dropout(inputs, 0.7, noise_shape=[inputs.shape[0].value] + [1] * (len(shape) - 1)),
                slim.dropout(tf.cast(inputs, tf.bfloat16), 0.7, scope="half"),
                slim.dropout(inputs, 0.7, noise_shape=whole, scope="for_all"),
                seeded_uniform([tf.shape(inputs)[0], 1]),
            ]

    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.constant(np.arange(np.prod(shape)).reshape(shape) + 1, tf.float32)
        wanted, each = layers(inputs, None), shape[0] // 6
        found = [
            layers(inputs[each * first : each * (first + size)], Part(first, size, 6))
            for first, size in ((0, 4), (4, 2))
        ]
        for whole, *parts in zip(*session.run([wanted, *found])):
            np.testing.assert_array_equal(whole, np.concatenate(parts))
