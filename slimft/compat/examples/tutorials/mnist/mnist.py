"""tensorflow.examples.tutorials.mnist.mnist: a network of two hidden layers, its loss, training and evaluation."""

import math

from slimft.compat.v1 import tf

NUM_CLASSES = 10
IMAGE_SIZE = 28
IMAGE_PIXELS = IMAGE_SIZE * IMAGE_SIZE


def inference(images, hidden1_units: int, hidden2_units: int):
    """Logits [batch, 10] of images [batch, 784], by variables hidden1/weights, hidden1/biases and so on."""
    hidden1 = tf.nn.relu(_dense(images, "hidden1", IMAGE_PIXELS, hidden1_units))
    hidden2 = tf.nn.relu(_dense(hidden1, "hidden2", hidden1_units, hidden2_units))
    return _dense(hidden2, "softmax_linear", hidden2_units, NUM_CLASSES)


def _dense(inputs, name, units_in, units):
    with tf.name_scope(name):
        start = tf.truncated_normal([units_in, units], stddev=1 / math.sqrt(units_in))
        weights = tf.Variable(start, name="weights")
        biases = tf.Variable(tf.zeros([units]), name="biases")
        return tf.matmul(inputs, weights) + biases


def loss(logits, labels):
    """The mean cross-entropy of logits [batch, 10] and labels [batch]."""
    return tf.losses.sparse_softmax_cross_entropy(labels=tf.cast(labels, tf.int64), logits=logits)


def training(loss, learning_rate):
    """An op that takes a step of gradient descent and counts it in a variable global_step; summarizes the loss."""
    tf.summary.scalar("loss", loss)
    global_step = tf.Variable(0, name="global_step", trainable=False)
    return tf.train.GradientDescentOptimizer(learning_rate).minimize(loss, global_step=global_step)


def evaluation(logits, labels):
    """How many of the batch have their label's logit as the largest: int32."""
    return tf.reduce_sum(tf.cast(tf.nn.in_top_k(logits, labels, 1), tf.int32))
