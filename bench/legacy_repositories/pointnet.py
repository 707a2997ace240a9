"""charlesq34/pointnet 2618f72bc1a0fd21b074096e748016960d44ef55

Clouds of points, its classifier and segmentation.
"""

import sys

import driver_stages as stages
import numpy as np
import tensorflow as tf

sys.path[:0] = ["models", "utils"]
import pointnet_cls  # noqa: E402
import pointnet_seg  # noqa: E402

stages.reached("imported")
random = np.random.RandomState(0)
for net, shape in ((pointnet_seg, (2, 32)), (pointnet_cls, (2,))):
    stages.begin(net.__name__)
    points, labels = net.placeholder_inputs(2, 32)
    training = tf.placeholder(tf.bool, [])
    step = tf.Variable(0)
    decay = tf.minimum(0.99, 1 - tf.train.exponential_decay(0.5, step * 2, 10.0, 0.5, staircase=True))
    scores, end_points = net.get_model(points, training, bn_decay=decay)
    loss = net.get_loss(scores, labels, end_points)
    feed = {points: random.rand(2, 32, 3), labels: random.randint(0, 3, shape), training: True}
    stages.train(train_op=tf.train.AdamOptimizer(0.001).minimize(loss, global_step=step), feed=feed)
