"""Weight decay inside the optimizer, against the loss that it is the gradient of."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.runs.settings import Settings
from slimft.training import optimizers
from slimft.training.weight_decay import l2_losses, weight_decay


def network(precision=tf.float32):
    images = tf.cast(tf.constant(np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)), precision)
    with tf.variable_scope("net", use_resource=True):
        net = slim.fully_connected(images, 4, weights_regularizer=slim.l2_regularizer(0.02), scope="decays")
        net = slim.fully_connected(net, 4, weights_regularizer=slim.l1_regularizer(0.03), scope="other")
        return slim.fully_connected(net, 2, activation_fn=None, scope="none")


def test_factors_are_found_and_other_losses_stay():
    with tf.Graph().as_default():
        network()
        variables = tf.trainable_variables()
        factors, others = weight_decay(variables)
        assert factors == {"net/decays/weights": pytest.approx(0.02)}
        assert [loss.op.name for loss in others] == ["net/other/kernel/Regularizer/l1_regularizer"]
        frozen = [variable for variable in variables if "decays" not in variable.op.name]
        assert weight_decay(frozen)[0] == {}


@pytest.mark.parametrize("momentum", [0.9, 0.3])
def test_ten_steps_are_those_of_the_loss(momentum):
    """Momentum on the loss with its L2 part, by TensorFlow, against the optimizer that decays by itself."""
    ends = []
    for by_itself in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(3)
            loss = tf.reduce_mean(tf.square(network()))
            variables = tf.trainable_variables()
            factors, _ = weight_decay(variables)
            settings = Settings(model="tiny", optimizer="momentum", momentum=momentum)
            assert optimizers.decays_by_itself(settings)
            if by_itself:
                gradients = tf.gradients(loss, variables)
                op, _ = optimizers.apply_gradients(settings, 0.1, gradients, variables, [1.0] * 6, factors)
            else:
                gradients = tf.gradients(tf.add_n([loss, *l2_losses(factors, variables)]), variables)
                op = tf.train.MomentumOptimizer(0.1, momentum).apply_gradients(zip(gradients, variables))
            session.run(tf.global_variables_initializer())
            for _ in range(10):
                session.run(op)
            ends.append(session.run(variables))
    for ours, theirs in zip(*ends):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("settings", [{"optimizer": "adam"}, {"momentum": 0.0}, {"clip_norm": 1.0}])
def test_where_the_loss_has_it(settings):
    assert not optimizers.decays_by_itself(Settings(**{"model": "tiny", "optimizer": "momentum", **settings}))
