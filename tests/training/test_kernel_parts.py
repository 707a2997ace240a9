"""The reached parts of kernels: trained as the whole kernel would be, but for the taps that nothing reaches."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets.fully_connected import fully_connected_conv2d, parts_by
from slimft.runs.settings import Settings
from slimft.training import optimizers
from slimft.training.kernel_parts import KernelParts
from slimft.training.weight_decay import l2_losses, weight_decay

SETTINGS = Settings(model="tiny", optimizer="momentum", momentum=0.9)


def trained(side, has_parts, decay, steps=3):
    """The kernel of a 7x7 layer on maps of `side`, before and after some steps, and what is in the graph."""
    values = np.random.default_rng(0).normal(size=[4, side, side, 3]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(5)
        parts = KernelParts(lambda name: has_parts and name == "net/fc/weights")
        regularizer = slim.l2_regularizer(decay) if decay else None

        def outputs():
            with slim.arg_scope([slim.conv2d], weights_regularizer=regularizer):
                return fully_connected_conv2d(tf.constant(values), 6, 7, "SAME", scope="fc")

        with tf.variable_scope("net", use_resource=True) as scope, parts_by(parts):
            loss = tf.reduce_mean(tf.square(outputs()))
            scope.reuse_variables()
            again = outputs()
        kernel = tf.trainable_variables()[0]
        variables = parts.instead(tf.trainable_variables())
        factors, others = weight_decay(variables)
        assert not others and len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == bool(decay)
        total = tf.add_n([loss, *l2_losses(factors, variables)])
        op = tf.train.MomentumOptimizer(0.1, 0.9).apply_gradients(zip(tf.gradients(total, variables), variables))
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        parts.take(session)
        before = session.run(kernel)
        for _ in range(steps):
            session.run(op)
        parts.put_back(session)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        return before, session.run(kernel), session.run(again), shapes


@pytest.mark.parametrize("side, taps", [(1, slice(3, 4)), (2, slice(2, 5)), (3, slice(1, 6))])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_the_reached_taps_train_and_the_others_stay(side, taps, decay):
    before, after, outputs, shapes = trained(side, True, decay)
    whole_before, whole_after, whole_outputs, _ = trained(side, False, decay)
    np.testing.assert_array_equal(before, whole_before)
    np.testing.assert_allclose(after[taps, taps], whole_after[taps, taps], atol=1e-6)
    np.testing.assert_allclose(outputs, whole_outputs, atol=1e-5)
    assert not np.array_equal(after[taps, taps], before[taps, taps])
    beyond = np.ones([7, 7], bool)
    beyond[taps, taps] = False
    np.testing.assert_array_equal(after[beyond], before[beyond])
    if not decay:
        np.testing.assert_array_equal(whole_after[beyond], before[beyond])
    reached = taps.stop - taps.start
    assert shapes["net/fc/weights"] == [7, 7, 3, 6]
    assert shapes["net/fc/weights/reached/Momentum"] == [reached, reached, 3, 6]


def test_a_map_that_reaches_all_has_no_part():
    *_, shapes = trained(4, True, 0.0)
    assert shapes["net/fc/weights/Momentum"] == [7, 7, 3, 6]


def test_the_optimizer_decays_a_part(monkeypatch):
    assert optimizers.decays_by_itself(SETTINGS)
    with tf.Graph().as_default():
        parts = KernelParts(lambda name: True)
        with tf.variable_scope("net", use_resource=True), parts_by(parts):
            with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(0.5)):
                fully_connected_conv2d(tf.zeros([4, 1, 1, 3]), 6, 7, "SAME", scope="fc")
        factors, _ = weight_decay(parts.instead(tf.trainable_variables()))
        assert factors == {"net/fc/weights/reached": 0.5}
