"""tqtg/hierarchical-attention-networks 0b36b64115137bebbb66760fe9e543a1298bc158

Documents, its model with GRU cells and attention.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from model import Model

stages.reached("imported")
random = np.random.RandomState(0)
net = Model(4, 4, 20, 5, 3, 0.5, random.rand(20, 5))
loss = tf.losses.sparse_softmax_cross_entropy(net.labels, net.logits)
documents = [[[1, 2, 3], [4, 5]], [[6, 7, 8, 9]]]
stages.train(loss, net.get_feed_dict(documents, [0, 2], training=True), optimizer=tf.train.RMSPropOptimizer(0.01))
