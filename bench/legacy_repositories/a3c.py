"""miyosuda/async_deep_reinforce 169f52fb15c2ac31745c5dcf8fd2cf35b31b892b

Reinforcement learning, A3C's feed-forward network with its RMSProp applier.

Its network with an LSTM looks for variables by names that TensorFlow 1.2 changed.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from game_ac_network import GameACFFNetwork
from rmsprop_applier import RMSPropApplier

stages.reached("imported")
random = np.random.RandomState(0)
shared, local = GameACFFNetwork(3, -1), GameACFFNetwork(3, 0)
local.prepare_loss(0.01)
gradients = tf.gradients(local.total_loss, [variable._ref() for variable in local.get_vars()])
rate = tf.placeholder("float")
applier = RMSPropApplier(learning_rate=rate, decay=0.99, momentum=0.0, epsilon=0.1, clip_norm=40.0)
train_op = applier.apply_gradients(shared.get_vars(), gradients)
feed = {local.s: random.rand(2, 84, 84, 4), local.a: np.eye(3)[:2], local.td: [0.5, -1], local.r: [1, 2], rate: 0.1}
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    stages.step(session, train_op, feed)
    session.run(local.sync_from(shared))
    stages.save_and_restore(session)
