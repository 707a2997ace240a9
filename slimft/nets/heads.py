"""What can stand at a network's end in place of its own logits layer, as in tutorials of transfer learning.

- ``mlp``: the network's features, averaged over all positions; a dense layer of 256 with ReLU; dropout that keeps
  half of it; logits.
- ``bn_mlp``: the same, with batch normalization of the features first, so that features of any scale do.

Their variables are beside the network's scope: ``head/BatchNorm``, ``head/hidden``, ``head/logits``.
"""

from __future__ import annotations

from slimft.compat import scoped_argument, slim, tf
from slimft.nets.registry import HEAD_SCOPE

HIDDEN = 256
KEEP_PROB = 0.5


def build_head(features, num_classes: int, kind: str, is_training: bool):
    """Adds a head; its weight decay is that of convolutions in the enclosing arg_scope.

    Weights begin with the variance of He et al. (arXiv:1502.01852), 2 / inputs, but drawn from a truncated normal
    distribution, as slim's initializer does it.

    Args:
        features: float tensor ``[batch, rows, columns, channels]``, what a network returns without `num_classes`.
        num_classes: number of classes.
        kind: ``mlp`` or ``bn_mlp``.
        is_training: whether dropout is active and batch_norm uses the batch's statistics.

    Returns:
        The logits ``[batch, num_classes]``.

    Raises:
        ValueError: there is no such head.
    """
    if kind not in ("mlp", "bn_mlp"):
        raise ValueError(f"there is no head {kind!r}")
    with (
        tf.variable_scope(HEAD_SCOPE),
        slim.arg_scope(
            [slim.fully_connected],
            normalizer_fn=None,
            weights_initializer=slim.variance_scaling_initializer(),
            weights_regularizer=scoped_argument(slim.conv2d, "weights_regularizer", None),
            biases_initializer=tf.zeros_initializer(),
        ),
    ):
        net = tf.reduce_mean(features, [1, 2], keepdims=True, name="features")
        if kind == "bn_mlp":
            # Of rank 4, because slim has a slower implementation of its own for rank 2.
            net = slim.batch_norm(net, scale=True, is_training=is_training, activation_fn=None, scope="BatchNorm")
        net = tf.squeeze(net, [1, 2])
        net = slim.fully_connected(net, HIDDEN, activation_fn=tf.nn.relu, scope="hidden")
        net = slim.dropout(net, keep_prob=KEEP_PROB, is_training=is_training, scope="dropout")
        return slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")
