"""The loss of sequences of logits; source: TensorFlow 1.15's tensorflow/contrib/seq2seq/python/ops/loss.py."""

from slimft.compat.contrib.legacy_seq2seq.calling import call_loss
from slimft.compat.v1 import tf


def sequence_loss(
    logits,
    targets,
    weights,
    average_across_timesteps=True,
    average_across_batch=True,
    sum_over_timesteps=False,
    sum_over_batch=False,
    softmax_loss_function=None,
    name=None,
):
    """Weighted cross entropy of sequences.

    Args:
        logits: float tensor [batch, time, classes].
        targets: int tensor [batch, time].
        weights: float tensor [batch, time].
        average_across_timesteps, average_across_batch: divide what is summed along this axis by its weights' sum.
        sum_over_timesteps, sum_over_batch: divide it by the number of weights that are not 0 instead.
        softmax_loss_function: called with `labels` [batch * time] and `logits` [batch * time, classes]; sparse
            cross entropy by default.
        name: of the ops.

    Returns:
        A scalar, or [batch], [time] or [batch, time] where an axis is neither averaged nor summed.

    Raises:
        ValueError: a tensor is of another rank, or an axis is to be both averaged and summed.
    """
    for tensor, rank, called in ((logits, 3, "logits"), (targets, 2, "targets"), (weights, 2, "weights")):
        if len(tensor.get_shape()) != rank:
            raise ValueError(f"sequence_loss: {called} have to be of rank {rank}, and have shape {tensor.shape}")
    averaged = average_across_timesteps, average_across_batch
    summed = sum_over_timesteps, sum_over_batch
    if any(a and s for a, s in zip(averaged, summed)):
        raise ValueError("sequence_loss: average_across_* and sum_over_* exclude each other on one axis")
    with tf.name_scope(name, "sequence_loss", [logits, targets, weights]):
        flat_logits = tf.reshape(logits, [-1, tf.shape(logits)[2]])
        flat_logits.set_shape([None, logits.shape.as_list()[2]])
        flat_targets = tf.reshape(targets, [-1])
        loss_function = softmax_loss_function or tf.nn.sparse_softmax_cross_entropy_with_logits
        losses = call_loss(loss_function, flat_targets, flat_logits) * tf.reshape(weights, [-1])
        if not (all(averaged) or all(summed)):
            losses = tf.reshape(losses, tf.shape(logits)[:2])
            losses.set_shape(targets.shape)
        if any(averaged) or any(summed):
            axes = averaged if any(averaged) else summed
            axis = None if all(axes) else [1] if axes[0] else [0]
            count = tf.reduce_sum if any(averaged) else tf.count_nonzero
            total = tf.cast(count(weights, axis=axis), losses.dtype)
            losses = tf.reduce_sum(losses, axis=None if axis is None else axis)
            losses = tf.math.divide_no_nan(losses, total)
        return losses
