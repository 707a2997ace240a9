"""What `tf.contrib.sparsemax` was: a softmax with zeros, and its loss (Martins and Astudillo 2016).

Source of names: TensorFlow 1.15's tensorflow/contrib/sparsemax.
"""

from __future__ import annotations

from slimft.compat.v1 import tf

__all__ = ["sparsemax", "sparsemax_loss"]


def sparsemax(logits, name=None):
    """The nearest point to the logits [batch, classes] among probabilities; rows with NaN or -inf only are NaN."""
    with tf.name_scope(name, "sparsemax", [logits]) as scope:
        logits = tf.convert_to_tensor(logits, name="logits")
        batch, classes = tf.unstack(tf.shape(logits))
        ordered = tf.nn.top_k(logits, k=classes).values
        sums = tf.cumsum(ordered, axis=1)
        ranks = tf.range(1, tf.cast(classes, logits.dtype) + 1, dtype=logits.dtype)
        support = tf.reduce_sum(tf.cast(1 + ranks * ordered > sums, tf.int32), axis=1)
        last = tf.stack([tf.range(batch), tf.maximum(support, 1) - 1], axis=1)
        threshold = (tf.gather_nd(sums, last) - 1) / tf.cast(support, logits.dtype)
        result = tf.maximum(tf.zeros([], logits.dtype), logits - threshold[:, None])
        undefined = tf.logical_or(tf.equal(support, 0), tf.is_nan(sums[:, -1]))
        return tf.where(
            undefined, tf.fill([batch, classes], tf.cast(float("nan"), logits.dtype)), result, name=scope
        )


def sparsemax_loss(logits, sparsemax, labels, name=None):
    """The losses [batch].

    Args:
        logits: [batch, classes].
        sparsemax: of the logits.
        labels: probabilities [batch, classes].
        name: of the operations.
    """
    with tf.name_scope(name, "sparsemax_loss", [logits, sparsemax, labels]) as scope:
        logits, found, labels = (tf.convert_to_tensor(given) for given in (logits, sparsemax, labels))
        zeros = tf.zeros_like(found)
        # Where the logits are -inf the sparsemax is 0, and their product is not to be NaN.
        counts = tf.logical_or(found > 0, tf.is_nan(found))
        own = tf.where(counts, found * (logits - 0.5 * found), zeros)
        absent = tf.logical_and(tf.equal(labels, 0), tf.is_inf(logits))
        target = tf.where(absent, zeros, labels * (0.5 * labels - logits))
        return tf.reduce_sum(own + target, axis=1, name=scope)
