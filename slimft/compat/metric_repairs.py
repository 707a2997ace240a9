"""Two functions of tf-slim 1.1.0's metrics whose numbers were wrong; its public repository repaired both."""

from tensorflow.compat import v1 as tf
from tensorflow.python.ops import metrics_impl, weights_broadcast_ops


def next_array_size(required_size, growth_factor=1.5):
    """The smallest power of `growth_factor`, rounded up, that is at least `required_size`, as int32.

    slim's computed in float32 and came out too small from some millions on.

    Args:
        required_size, growth_factor: numbers or scalar tensors, above 0 and above 1.
    """
    size, growth = tf.cast(required_size, tf.float64), tf.cast(growth_factor, tf.float64)
    exponent = tf.ceil(tf.log(size) / tf.log(growth))
    return tf.cast(tf.ceil(growth**exponent), tf.int32)


def streaming_covariance(
    predictions,
    labels,
    weights=None,
    metrics_collections=None,
    updates_collections=None,
    name=None,
):
    """The unbiased covariance of `predictions` and `labels` over many batches.

    slim's is NaN for ever once the first batch's weights are all 0; this one is not.

    Args:
        predictions: float32 tensor of any shape.
        labels: float32 tensor of the same shape.
        weights: how often each example counts, broadcast to `labels`.
        metrics_collections, updates_collections: collections for the two results.
        name: variable scope; ``covariance`` by default.

    Returns:
        The covariance so far, NaN while at most one example has counted, and an op that adds this batch
        and returns the new one.

    Raises:
        ValueError: the shapes do not agree.
    """
    with tf.variable_scope(name, "covariance", (predictions, labels, weights)):
        predictions, labels, weights = metrics_impl._remove_squeezable_dimensions(predictions, labels, weights)
        predictions.shape.assert_is_compatible_with(labels.shape)
        count, mean_prediction, mean_label, comoment = (
            metrics_impl.metric_variable([], tf.float32, name=variable)
            for variable in ("count", "mean_prediction", "mean_label", "comoment")
        )
        if weights is None:
            weights = tf.ones_like(labels)
        weights = weights_broadcast_ops.broadcast_weights(tf.cast(weights, tf.float32), labels)
        # The batch's own statistics, and how far they lie from those of all batches before it.
        added = tf.reduce_sum(weights)
        prediction = tf.div_no_nan(tf.reduce_sum(predictions * weights), added)
        label = tf.div_no_nan(tf.reduce_sum(labels * weights), added)
        batch_comoment = tf.reduce_sum((predictions - prediction) * (labels - label) * weights)
        total = count + added
        share = tf.div_no_nan(added, total)
        off_prediction, off_label = prediction - mean_prediction, label - mean_label
        moves = (
            added,
            off_prediction * share,
            off_label * share,
            batch_comoment + off_prediction * off_label * count * share,
        )
        moves = [tf.identity(move) for move in moves]
        with tf.control_dependencies(moves):  # All are computed before any variable changes.
            new_count, _, _, new_comoment = updates = [
                tf.assign_add(variable, move)
                for variable, move in zip((count, mean_prediction, mean_label, comoment), moves)
            ]

        def covariance_of(comoment, count, name):
            return tf.where(tf.less_equal(count, 1.0), float("nan"), comoment / (count - 1), name=name)

        covariance = covariance_of(comoment, count, "covariance")
        with tf.control_dependencies(updates):
            update_op = covariance_of(tf.identity(new_comoment), tf.identity(new_count), "update_op")
    if metrics_collections:
        tf.add_to_collections(metrics_collections, covariance)
    if updates_collections:
        tf.add_to_collections(updates_collections, update_op)
    return covariance, update_op
