"""openai/baselines ea25b9e8b234e6ee1bca43083f8f3cf974143998

Reinforcement learning, deep Q-learning and A2C's model on made-up spaces.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
import tensorflow.contrib.layers as layers
from baselines import deepq
from baselines.common import tf_util
from baselines.deepq.utils import ObservationInput
from gym import spaces

stages.reached("imported")
space = spaces.Box(-1, 1, (4,), np.float32)


def network(observed, actions, scope, reuse=False):
    """Values of actions."""
    with tf.variable_scope(scope, reuse=reuse):
        return layers.fully_connected(layers.fully_connected(observed, 8, tf.nn.tanh), actions, activation_fn=None)


with tf_util.make_session(num_cpu=1) as session:
    act, train, update_target, _ = deepq.build_train(
        make_obs_ph=lambda name: ObservationInput(space, name=name), q_func=network, num_actions=2,
        optimizer=tf.train.AdamOptimizer(5e-4), grad_norm_clipping=10,
    )  # fmt: skip
    tf_util.initialize()
    stages.reached("graph")
    update_target()
    random = np.random.RandomState(0)
    assert act(random.rand(1, 4)).shape == (1,)
    before = session.run(tf.trainable_variables())
    train(random.rand(3, 4), [0, 1, 0], [1.0, 0.0, 1.0], random.rand(3, 4), [0.0, 0.0, 1.0], np.ones(3))
    assert any((old != new).any() for old, new in zip(before, session.run(tf.trainable_variables())))
    stages.reached("step")
    tf_util.save_variables("saved/variables")
    tf_util.load_variables("saved/variables")
    stages.save_and_restore(session)
