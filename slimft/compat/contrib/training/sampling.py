"""Examples taken by chance.

Source of names, arguments and defaults: TensorFlow 1.15's
tensorflow/contrib/training/python/training/{sampling_ops,resample}.py.
"""

from __future__ import annotations

from tensorflow.python.training.moving_averages import assign_moving_average

from slimft.compat.v1 import tf

_SMOOTHING = 10


def _one_by_one(tensors, threads, capacity):
    batched = tf.train.batch(tensors, 1, threads, capacity, enqueue_many=True)
    return [tf.squeeze(tensor, [0]) for tensor in (batched if isinstance(batched, list) else [batched])]


def rejection_sample(
    tensors, accept_prob_fn, batch_size, queue_threads=1, enqueue_many=False, prebatch_capacity=16,
    prebatch_threads=1, runtime_checks=False, name=None,
):  # fmt: skip
    """Batches of examples, each taken with the probability that `accept_prob_fn` gives it.

    Args:
        tensors: a list: one example, or a batch of them.
        accept_prob_fn: a function of the list of one example's tensors.
        batch_size: how many make a batch.
        queue_threads: how many threads fill the batches.
        enqueue_many: whether `tensors` is a batch.
        prebatch_capacity: how many single examples wait then.
        prebatch_threads: how many threads take them from batches.
        runtime_checks: whether it is checked that probabilities are in [0, 1].
        name: of the ops.

    Returns:
        A list of tensors ``[batch_size, ...]``.
    """
    with tf.variable_scope(name, "rejection_sample", tensors):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        if enqueue_many:
            for tensor in tensors:
                tensor.shape[:1].assert_is_compatible_with(tensors[0].shape[:1])
            tensors = _one_by_one(tensors, prebatch_threads, prebatch_capacity)
        probability = accept_prob_fn(tensors)
        if runtime_checks:
            checks = [tf.assert_less_equal(0.0, probability), tf.assert_less_equal(probability, 1.0)]
            with tf.control_dependencies(checks):
                probability = tf.identity(probability, name="prob_with_checks")
        batch = tf.train.maybe_batch(tensors, tf.random_uniform([]) < probability, batch_size, queue_threads)
        return batch if isinstance(batch, list) else [batch]


def stratified_sample(
    tensors, labels, target_probs, batch_size, init_probs=None, enqueue_many=False, queue_capacity=16,
    threads_per_queue=1, name=None,
):  # fmt: skip
    """Batches in which classes have the proportions `target_probs`, by passing over some of the others.

    Args:
        tensors: a list: one example, or a batch of them.
        labels: its class, or their classes.
        target_probs: ``[classes]``.
        batch_size: how many make a batch.
        init_probs: the classes' proportions in the data; None for counting them, in a variable ``class_count``.
        enqueue_many: whether `tensors` and `labels` are a batch.
        queue_capacity: how many single examples wait.
        threads_per_queue: how many threads fill each queue.
        name: of the ops.

    Returns:
        A list of tensors ``[batch_size, ...]``, and labels ``[batch_size]``.

    Raises:
        ValueError: numbers of classes, or ranks, do not fit each other.
    """
    with tf.name_scope(name, "stratified_sample", [*tensors, labels]):
        tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
        labels, targets = tf.convert_to_tensor(labels), tf.convert_to_tensor(target_probs, tf.float32)
        if not enqueue_many:
            tensors, labels = [tensor[None] for tensor in tensors], labels[None]
        classes = targets.shape.with_rank(1)[0]
        if init_probs is None:
            initial = _counted(labels, int(classes))
        else:
            initial = tf.convert_to_tensor(init_probs, tf.float32)
        if classes is None or initial.shape.with_rank(1)[0] != classes:
            raise ValueError("init_probs and target_probs are not of one length")
        for tensor in tensors:
            tensor.shape[:1].assert_is_compatible_with(labels.shape.with_rank(1))
        checks = [tf.assert_non_negative(labels), tf.assert_less(labels, tf.cast(int(classes), labels.dtype))]
        for probabilities in (initial, targets):
            checks.append(tf.assert_non_negative(probabilities))
            checks.append(tf.assert_less(tf.abs(tf.reduce_sum(probabilities) - 1), 1e-6))
        fits = tf.reduce_all((initial > 0) | tf.equal(targets, 0))
        message = "a class that never comes is wanted: "
        checks.append(tf.Assert(fits, [message, initial, targets]))
        with tf.control_dependencies(checks):
            ratios = tf.where(tf.equal(targets, 0), tf.zeros_like(targets), targets / initial)
            labels = tf.identity(labels)
        accepted = ratios / tf.reduce_max(ratios)
        *values, label = _one_by_one([*tensors, labels], threads_per_queue, queue_capacity)
        keep = tf.random_uniform([]) < tf.gather(accepted, label)
        *batch, classes = tf.train.maybe_batch([*values, label], keep, batch_size, threads_per_queue)
        return batch, classes


def _counted(labels, classes):
    """The proportions of classes seen so far, each of which begins with a count of 10."""
    # A resource, read once: one state of it, whatever other threads add meanwhile.
    counts = tf.Variable(
        [_SMOOTHING] * classes, trainable=False, name="class_count", dtype=tf.int64, use_resource=True
    )
    added = tf.reduce_sum(tf.one_hot(labels, classes, dtype=tf.int64), 0)
    seen = tf.identity(tf.assign_add(counts, added))
    return tf.cast(tf.truediv(seen, tf.reduce_sum(seen)), tf.float32)


def resample_at_rate(inputs, rates, scope=None, seed=None, back_prop=False):
    """Each row of tensors ``[batch, ...]`` as often as chance says, at `rates` ``[batch]`` on average."""
    with tf.name_scope(scope, "resample_at_rate", [*inputs, rates]):
        rates = tf.convert_to_tensor(rates, name="rates")
        counts = tf.cast(tf.random_poisson(rates, (), rates.dtype, seed=seed), tf.int32)
        rows = tf.repeat(tf.range(tf.size(counts)), counts)
        rows = rows if back_prop else tf.stop_gradient(rows)
        return [tf.gather(tensor, rows) for tensor in inputs]


def weighted_resample(inputs, weights, overall_rate, scope=None, mean_decay=0.999, seed=None):
    """As `resample_at_rate`, at rates like `weights` ``[batch]``, which are `overall_rate` on average.

    Returns:
        The rows of `inputs`, and the rate of each.
    """
    with tf.name_scope(scope, "weighted_resample", inputs):
        weights = tf.convert_to_tensor(weights)
        with tf.variable_scope(scope, "estimate_mean", inputs):
            initial = tf.constant(0, weights.dtype)
            estimate = tf.get_local_variable("estimated_mean", initializer=initial, dtype=weights.dtype)
            mean = assign_moving_average(estimate, tf.reduce_mean(weights), mean_decay)
        rates = weights * overall_rate / mean
        chosen_rates, *chosen = resample_at_rate([rates, *inputs], rates, seed=seed)
        return chosen, chosen_rates
