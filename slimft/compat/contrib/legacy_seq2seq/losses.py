"""Losses of lists of logits, and models of several lengths; source: see the package."""

from __future__ import annotations

import inspect

from slimft.compat.v1 import tf


def sequence_loss_by_example(
    logits, targets, weights, average_across_timesteps=True, softmax_loss_function=None, name=None
):
    """Weighted cross entropy of each sequence.

    Args:
        logits: list of [batch, symbols].
        targets: list of int [batch].
        weights: list of floats [batch].
        average_across_timesteps: divide by the sum of the weights.
        softmax_loss_function: called with `labels` and `logits`; sparse cross entropy by default.
        name: of the ops.

    Returns:
        [batch].
    """
    if not len(logits) == len(targets) == len(weights):
        raise ValueError(f"sequence_loss: {len(logits)} logits, {len(targets)} targets and {len(weights)} weights")
    with tf.name_scope(name, "sequence_loss_by_example", [*logits, *targets, *weights]):
        losses = []
        for logit, target, weight in zip(logits, targets, weights):
            if softmax_loss_function is None:
                flat = tf.reshape(target, [-1])
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=flat, logits=logit)
            else:
                loss = _call(softmax_loss_function, target, logit)
            losses.append(loss * weight)
        total = tf.add_n(losses)
        return total / (tf.add_n(weights) + 1e-12) if average_across_timesteps else total


def _call(function, labels, logits):
    """`function` of labels and logits; functions of TensorFlow 1.0 and 1.1 call these (labels, inputs)."""
    try:
        names = inspect.signature(function).parameters
    except ValueError:
        names = {}
    return function(labels, logits) if "inputs" in names else function(labels=labels, logits=logits)


def sequence_loss(
    logits,
    targets,
    weights,
    average_across_timesteps=True,
    average_across_batch=True,
    softmax_loss_function=None,
    name=None,
):
    """The sum of `sequence_loss_by_example`, or its mean with `average_across_batch`: a scalar."""
    with tf.name_scope(name, "sequence_loss", [*logits, *targets, *weights]):
        losses = sequence_loss_by_example(logits, targets, weights, average_across_timesteps, softmax_loss_function)
        cost = tf.reduce_sum(losses)
        return cost / tf.cast(tf.shape(targets[0])[0], cost.dtype) if average_across_batch else cost


def model_with_buckets(
    encoder_inputs,
    decoder_inputs,
    targets,
    weights,
    buckets,
    seq2seq,
    softmax_loss_function=None,
    per_example_loss=False,
    name=None,
):
    """A model for each of several lengths, with the same variables.

    Args:
        encoder_inputs, decoder_inputs, targets, weights: lists of as many steps as the last bucket needs.
        buckets: list of (length of inputs, length of outputs).
        seq2seq: from encoder inputs and decoder inputs to (outputs, state).
        softmax_loss_function: see `sequence_loss`.
        per_example_loss: losses are [batch] instead of scalars.
        name: of the ops.

    Returns:
        (list of outputs, list of losses), one for each bucket.
    """
    for called, steps, needed in (
        ("encoder_inputs", encoder_inputs, buckets[-1][0]),
        ("targets", targets, buckets[-1][1]),
        ("weights", weights, buckets[-1][1]),
    ):
        if len(steps) < needed:
            raise ValueError(f"model_with_buckets: {len(steps)} {called}, and the last bucket needs {needed}")
    loss_function = sequence_loss_by_example if per_example_loss else sequence_loss
    losses, outputs = [], []
    with tf.name_scope(name, "model_with_buckets", [*encoder_inputs, *decoder_inputs, *targets, *weights]):
        for i, (source, target) in enumerate(buckets):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True if i else None):
                made, _ = seq2seq(encoder_inputs[:source], decoder_inputs[:target])
            outputs.append(made)
            losses.append(
                loss_function(made, targets[:target], weights[:target], softmax_loss_function=softmax_loss_function)
            )
    return outputs, losses
