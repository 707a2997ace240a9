"""The loss of a classifier: cross entropy, by class weights and with a focus on what is hard."""

from __future__ import annotations

from typing import Any

from slimft.compat import tf

# The smallest float32 step below 1.
_SMALLEST = 2.0**-24


def classification_loss(logits: Any, targets: Any, class_weights: Any = None, focal_gamma: float = 0.0) -> Any:
    """The mean loss of a batch: the sum over classes c of ``-w_c t_c (1 - p_c)**gamma log(p_c)``.

    Args:
        logits: float ``[batch, classes]``; the p_c are their softmax.
        targets: float ``[batch, classes]``, the t_c: not negative, 1 in sum for each example.
        class_weights: float ``[classes]``, the w_c, such as those of `slimft.data.sampling.class_weights`; None for
            ones. The mean is over examples, not over weights.
        focal_gamma: gamma of the focal loss (Lin et al. 2017, arXiv:1708.02002), 0 or more; 0 is cross entropy.

    Returns:
        scalar float32, in nats; finite, with a finite gradient, for logits up to 1e30.
    """
    with tf.name_scope("classification_loss"):
        logits, targets = tf.cast(logits, tf.float32), tf.cast(targets, tf.float32)
        if class_weights is None and not focal_gamma:
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(tf.stop_gradient(targets), logits))
        log_p = tf.nn.log_softmax(logits)
        losses = -targets * log_p
        if class_weights is not None:
            losses *= tf.cast(class_weights, tf.float32)
        if focal_gamma:
            losses *= focus(log_p, focal_gamma)
        return tf.reduce_mean(tf.reduce_sum(losses, axis=1))


def focus(log_p: Any, gamma: float) -> Any:
    """The focal loss's factor ``(1 - p)**gamma``, of the logarithms of probabilities; of their shape."""
    # The power of 0 has no derivative for gamma below 1.
    return tf.pow(tf.maximum(-tf.math.expm1(log_p), _SMALLEST), gamma)
