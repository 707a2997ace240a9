"""Heads of dense layers, as in tutorials of transfer learning; `slimft.nets.heads` says what their arguments are.

- ``mlp``: the network's features, averaged over all positions; a dense layer of 256 with ReLU; dropout that keeps
  half of it; logits.
- ``bn_mlp``: the same, with batch normalization of the features first, so that features of any scale do.

Their variables: ``head/BatchNorm``, ``head/hidden``, ``head/logits``.
"""

from __future__ import annotations

from slimft.compat import scoped_argument, slim, tf

HIDDEN = 256
KEEP_PROB = 0.5


def mlp(features, end_points, num_classes, image_shape, is_training):
    """Returns the logits ``[batch, num_classes]``, by a hidden layer."""
    del end_points, image_shape
    return _mlp(features, num_classes, is_training, normalized=False)


def bn_mlp(features, end_points, num_classes, image_shape, is_training):
    """Returns the logits ``[batch, num_classes]``, by batch normalization and a hidden layer."""
    del end_points, image_shape
    return _mlp(features, num_classes, is_training, normalized=True)


def _mlp(features, num_classes, is_training, normalized):
    """Either head; its weight decay is that of convolutions in the enclosing arg_scope.

    Weights begin with the variance of He et al. (arXiv:1502.01852), 2 / inputs, but drawn from a truncated normal
    distribution, as slim's initializer does it.
    """
    with slim.arg_scope(
        [slim.fully_connected],
        normalizer_fn=None,
        weights_initializer=slim.variance_scaling_initializer(),
        weights_regularizer=scoped_argument(slim.conv2d, "weights_regularizer", None),
        biases_initializer=tf.zeros_initializer(),
    ):
        net = tf.reduce_mean(features, [1, 2], keepdims=True, name="features")
        if normalized:
            # Of rank 4, because slim has a slower implementation of its own for rank 2.
            net = slim.batch_norm(net, scale=True, is_training=is_training, activation_fn=None, scope="BatchNorm")
        net = tf.squeeze(net, [1, 2])
        net = slim.fully_connected(net, HIDDEN, activation_fn=tf.nn.relu, scope="hidden")
        net = slim.dropout(net, keep_prob=KEEP_PROB, is_training=is_training, scope="dropout")
        return slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")
