"""The loss of a segmentation: cross entropy of the pixels, by class weights and with a focus on what is hard."""

from __future__ import annotations

from typing import Any

from slimft.compat import tf
from slimft.tasks.classification_loss import focus


def segmentation_loss(
    logits: Any,
    targets: Any,
    void: int,
    class_weights: Any = None,
    focal_gamma: float = 0.0,
    label_smoothing: float = 0.0,
) -> Any:
    """The mean loss of a batch's pixels: of a pixel of class c, ``-w_c (1 - p_c)**gamma log(p_c)``.

    Args:
        logits: float ``[batch, height, width, classes]``; the p are their softmax.
        targets: int ``[batch, height, width]``: each below the number of classes, or `void`.
        void: marks pixels that count for nothing, neither in the sum nor in what it is divided by.
        class_weights: float ``[classes]``, the w_c; None for ones. The mean is over pixels, not over weights.
        focal_gamma: gamma of the focal loss (Lin et al. 2017, arXiv:1708.02002), 0 or more; 0 is cross entropy.
        label_smoothing: share of each pixel's target that all classes get in equal parts, in [0, 1).

    Returns:
        scalar float32, in nats; 0 for a batch without any pixel of a class.
    """
    with tf.name_scope("segmentation_loss"):
        num_classes = logits.shape.as_list()[3]
        logits = tf.reshape(tf.cast(logits, tf.float32), [-1, num_classes])
        targets = tf.reshape(tf.cast(targets, tf.int32), [-1])
        counts = tf.cast(tf.not_equal(targets, void), tf.float32)
        labels = tf.where_v2(counts > 0, targets, 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        weights = counts
        if class_weights is not None:
            weights *= tf.gather(tf.cast(class_weights, tf.float32), labels)
        if focal_gamma:
            weights *= focus(-losses, focal_gamma)
        total = tf.reduce_sum(weights * losses)
        if label_smoothing:
            of_all = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
            total = (1 - label_smoothing) * total + label_smoothing * tf.reduce_sum(weights * of_all)
        return total / tf.maximum(tf.reduce_sum(counts), 1)
