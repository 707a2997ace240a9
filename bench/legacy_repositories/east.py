"""argman/EAST dca414de39a3a4915a019c9a02c1832a31cdd0ca

Text in images, its model on ResNet with losses and averages.
"""

import driver_stages as stages
import model
import numpy as np
import tensorflow as tf

stages.reached("imported")
random = np.random.RandomState(0)
images = tf.constant(random.rand(1, 64, 64, 3).astype("float32") * 255)
scores, geometry = model.model(images, is_training=True)
truth = [tf.constant(random.rand(1, 16, 16, size).astype("float32")) for size in (1, 5, 1)]
loss = model.loss(truth[0], scores, truth[1], geometry, truth[2])
loss += tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
step = tf.get_variable("global_step", [], initializer=tf.constant_initializer(0), trainable=False)
gradients = tf.train.AdamOptimizer(1e-4).minimize(loss, global_step=step)
averages = tf.train.ExponentialMovingAverage(0.997, step).apply(tf.trainable_variables())
with tf.control_dependencies([averages, gradients, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)]):
    train_op = tf.no_op(name="train_op")
stages.train(train_op=train_op)
