"""What `tf.contrib.nn` was: variants of functions in tf.nn.

Source of names: TensorFlow 1.15's tensorflow/contrib/nn.
"""

from __future__ import annotations

import numbers

from tensorflow.python.ops import nn_impl, nn_ops

from slimft.compat.v1 import tf

conv1d_transpose = nn_ops.conv1d_transpose
nth_element = nn_ops.nth_element

__all__ = [
    "alpha_dropout", "conv1d_transpose", "deprecated_flipped_sigmoid_cross_entropy_with_logits",
    "deprecated_flipped_softmax_cross_entropy_with_logits",
    "deprecated_flipped_sparse_softmax_cross_entropy_with_logits", "nth_element",
    "rank_sampled_softmax_loss", "sampled_sparse_softmax_loss", "scaled_softplus",
]  # fmt: skip

# What selu goes to for inputs far below 0.
_SELU_FLOOR = -1.7580993408473766


def alpha_dropout(x, keep_prob, noise_shape=None, seed=None, name=None):
    """Dropout that keeps the mean and the variance of activations of selu (Klambauer et al. 2017).

    Args:
        x: activations.
        keep_prob: how probably a value stays: above 0 and not above 1, or a scalar tensor.
        noise_shape: shape of the draws; by default that of `x`.
        seed: of the draws.
        name: of the operations.

    Raises:
        ValueError: `keep_prob` is out of range.
    """
    with tf.name_scope(name, "alpha_dropout", [x]):
        x = tf.convert_to_tensor(x, name="x")
        if isinstance(keep_prob, numbers.Real) and not 0 < keep_prob <= 1:
            raise ValueError(f"keep_prob has to be above 0 and not above 1, not {keep_prob}")
        keep_prob = tf.convert_to_tensor(keep_prob, dtype=x.dtype, name="keep_prob")
        keep_prob.get_shape().assert_has_rank(0)
        if tf.get_static_value(keep_prob) == 1:
            return x
        draws = tf.random_uniform(tf.shape(x) if noise_shape is None else noise_shape, seed=seed, dtype=x.dtype)
        kept = tf.cast(draws >= 1 - keep_prob, x.dtype)
        scale = (keep_prob + keep_prob * (1 - keep_prob) * _SELU_FLOOR**2) ** -0.5
        offset = -scale * _SELU_FLOOR * (1 - keep_prob)
        return scale * (x * kept + _SELU_FLOOR * (1 - kept)) + offset


def scaled_softplus(x, alpha, clip=None, name=None):
    """alpha * log(exp(x / alpha) + 1), at most `clip` if that is given."""
    with tf.name_scope(name, "scaled_softplus", [x, alpha, clip]):
        x = tf.convert_to_tensor(x, name="x")
        alpha = tf.convert_to_tensor(alpha, dtype=x.dtype, name="alpha")
        y = alpha * tf.nn.softplus(x / alpha)
        return y if clip is None else tf.minimum(y, tf.convert_to_tensor(clip, dtype=x.dtype, name="clip"))


def deprecated_flipped_softmax_cross_entropy_with_logits(logits, labels, dim=-1, name=None):
    """`tf.nn.softmax_cross_entropy_with_logits` with the logits first."""
    return tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits, dim=dim, name=name)


def deprecated_flipped_sparse_softmax_cross_entropy_with_logits(logits, labels, name=None):
    """`tf.nn.sparse_softmax_cross_entropy_with_logits` with the logits first."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name=name)


def deprecated_flipped_sigmoid_cross_entropy_with_logits(logits, targets, name=None):
    """`tf.nn.sigmoid_cross_entropy_with_logits` with the logits first."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits, name=name)


def sampled_sparse_softmax_loss(
    weights, biases, labels, inputs, num_sampled, num_classes, sampled_values=None, remove_accidental_hits=True,
    partition_strategy="mod", name="sampled_sparse_softmax_loss",
):  # fmt: skip
    """`tf.nn.sampled_softmax_loss` of one true class for each example, int64 [batch, 1]; the losses [batch]."""
    logits, _ = nn_impl._compute_sampled_logits(
        weights=weights, biases=biases, labels=labels, inputs=inputs, num_sampled=num_sampled,
        num_classes=num_classes, num_true=1, sampled_values=sampled_values, subtract_log_q=True,
        remove_accidental_hits=remove_accidental_hits, partition_strategy=partition_strategy, name=name,
    )  # fmt: skip
    first = tf.zeros([tf.shape(logits)[0]], tf.int64)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=first, logits=logits)


def rank_sampled_softmax_loss(
    weights, biases, labels, inputs, num_sampled, num_resampled, num_classes, num_true, sampled_values,
    resampling_temperature, remove_accidental_hits, partition_strategy, name=None,
):  # fmt: skip
    """`tf.nn.sampled_softmax_loss` on those of the sampled classes that the model finds most probable.

    Args:
        weights, biases, labels, inputs, num_classes, num_true, sampled_values, remove_accidental_hits,
            partition_strategy, name: as there; without `sampled_values`, learned_unigram_candidate_sampler draws.
        num_sampled: how many are drawn.
        num_resampled: how many of these are left.
        resampling_temperature: divides the logits by which they are chosen.

    Returns:
        The losses [batch].

    Raises:
        ValueError: `num_sampled` is above `num_classes` or not above `num_resampled`, or the strategy is neither
            div nor mod.
    """
    if num_sampled > num_classes:
        raise ValueError(f"num_sampled, {num_sampled}, cannot be above num_classes, {num_classes}")
    if num_sampled <= num_resampled:
        raise ValueError(f"num_resampled, {num_resampled}, has to be below num_sampled, {num_sampled}")
    if partition_strategy not in ("div", "mod"):
        raise ValueError(f"partition_strategy has to be div or mod, not {partition_strategy}")
    values = [weights, biases, labels, inputs, resampling_temperature]
    with tf.name_scope(name, "rank_sampled_softmax_loss", values) as scope:
        if not sampled_values:
            sampled_values = tf.nn.learned_unigram_candidate_sampler(
                true_classes=labels, num_true=num_true, num_sampled=num_sampled, unique=True, range_max=num_classes
            )
        sampled, true_count, sampled_count = map(tf.stop_gradient, sampled_values)
        sampled = tf.cast(sampled, tf.int64)
        rows = tf.nn.embedding_lookup(weights, sampled, partition_strategy)
        scores = tf.reduce_logsumexp(tf.matmul(rows, inputs / resampling_temperature, transpose_b=True), axis=1)
        offsets = tf.reshape(tf.nn.embedding_lookup(biases, sampled, partition_strategy), [-1])
        best = tf.nn.top_k(scores + offsets / resampling_temperature, k=num_resampled, sorted=False).indices
        return tf.nn.sampled_softmax_loss(
            weights=weights, biases=biases, labels=labels, inputs=inputs, num_sampled=num_resampled,
            num_classes=num_classes, num_true=num_true,
            sampled_values=(tf.gather(sampled, best), true_count, tf.gather(sampled_count, best)),
            remove_accidental_hits=remove_accidental_hits, partition_strategy=partition_strategy, name=scope,
        )  # fmt: skip
