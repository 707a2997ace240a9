"""Weight decay, found among the losses that TF-Slim's regularizers leave."""

from __future__ import annotations

from collections.abc import Sequence

from slimft.compat import tf
from slimft.compat.graphs import ancestors

# What an op's input may pass through on the way from its variable.
_READS = ("ReadVariableOp", "Identity")


def weight_decay(variables: Sequence[tf.Variable]) -> tuple[dict[str, float], list[tf.Tensor]]:
    """The weight decay of `variables`, by the regularization losses of the graph.

    Args:
        variables: resource variables, those that are trained; losses of others are constants, dear to compute.

    Returns:
        By a variable's name, the factor of its L2 loss ``sum(variable**2) / 2``; and the losses of other kinds.
    """
    names = {variable.handle.op: variable.op.name for variable in variables}
    factors: dict[str, float] = {}
    others = []
    for loss in tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES):
        if names.keys().isdisjoint(ancestors([loss.op], control_inputs=False)):
            continue
        variable, factor = _l2(loss)
        if variable in names:
            factors[names[variable]] = factors.get(names[variable], 0.0) + factor
        else:
            others.append(loss)
    return factors, others


def l2_losses(factors: dict[str, float], variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
    """The L2 losses of the `variables` that have a factor."""
    return [factors[v.op.name] * tf.nn.l2_loss(v) for v in variables if v.op.name in factors]


def _l2(loss: tf.Tensor) -> tuple[tf.Operation | None, float]:
    """The variable's op and the factor, if a loss is as slim's L2 regularizer makes it; else None and 0."""
    if loss.op.type != "Mul":
        return None, 0.0
    factor, of_variable = tf.get_static_value(loss.op.inputs[0]), loss.op.inputs[1]
    if factor is None or of_variable.op.type != "L2Loss":
        return None, 0.0
    source = of_variable.op.inputs[0].op
    while source.type in _READS:
        source = source.inputs[0].op
    return source, float(factor)
