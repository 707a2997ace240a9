"""What a graph of ops tells."""

from __future__ import annotations

from collections.abc import Iterable

from tensorflow.compat import v1 as tf


def ancestors(ops: Iterable[tf.Operation], control_inputs: bool = True) -> set[tf.Operation]:
    """`ops` and all that runs before them.

    Args:
        ops: the ops to begin with.
        control_inputs: False follows only the tensors that an op is computed from.
    """
    found, ahead = set(), list(ops)
    while ahead:
        op = ahead.pop()
        if op not in found:
            found.add(op)
            ahead += [tensor.op for tensor in op.inputs]
            ahead += op.control_inputs if control_inputs else ()
    return found


def replace_by_placeholder(tensor: tf.Tensor, consumers: Iterable[tf.Operation] | None = None) -> tf.Tensor:
    """Lets ops take a placeholder, which has to be fed, in the place of `tensor`; returns the placeholder.

    TensorFlow lets any tensor be fed. But where it makes a constant of a fed tensor's shape, the op that makes the
    tensor runs all the same; not so with a placeholder.

    Args:
        tensor: what is to be fed.
        consumers: which of the ops that take it; None for all. No session may have run any of them yet.
    """
    consumers = list(tensor.consumers() if consumers is None else consumers)
    with tensor.graph.as_default(), tf.name_scope(None):
        placeholder = tf.placeholder(tensor.dtype, tensor.shape, "fed")
    for op in consumers:
        for index, taken in enumerate(op.inputs):
            if taken is tensor:
                op._update_input(index, placeholder)
    return placeholder


def descendants(ops: Iterable[tf.Operation]) -> set[tf.Operation]:
    """`ops` and all that is computed from them."""
    found, ahead = set(), list(ops)
    while ahead:
        op = ahead.pop()
        if op not in found:
            found.add(op)
            ahead += [reader for tensor in op.outputs for reader in tensor.consumers()]
    return found


# What stands between a network's last layer with weights and its logits.
_BEHIND_THE_LAST_LAYER = ("BiasAdd", "AddV2", "Add", "Cast", "Identity", "Mean", "AvgPool", "Reshape", "Squeeze")


def last_features(logits: tf.Tensor) -> tf.Tensor | None:
    """What the last layer with weights gets, as rows.

    Args:
        logits: ``[batch, classes]``.

    Returns:
        float32 ``[batch, features]``, means over the rows and columns that there are left; None where the graph
        does not end in such a layer.
    """
    op = logits.op
    while op.type in _BEHIND_THE_LAST_LAYER:
        op = op.inputs[0].op
    if op.type not in ("MatMul", "Conv2D"):
        return None
    features = tf.cast(op.inputs[0], tf.float32)
    return tf.reduce_mean(features, [1, 2]) if features.shape.ndims == 4 else features


def with_folded_batch_norm(definition: tf.GraphDef) -> tf.GraphDef:
    """A frozen graph in which batch normalization behind a convolution is part of its weights and a bias.

    Args:
        definition: the graph, without variables; it stays as it is.
    """
    from tensorflow.python.tools import optimize_for_inference_lib

    copy = tf.GraphDef()
    copy.CopyFrom(definition)
    return optimize_for_inference_lib.fold_batch_norms(copy)
