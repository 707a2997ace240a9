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


def descendants(ops: Iterable[tf.Operation]) -> set[tf.Operation]:
    """`ops` and all that is computed from them."""
    found, ahead = set(), list(ops)
    while ahead:
        op = ahead.pop()
        if op not in found:
            found.add(op)
            ahead += [reader for tensor in op.outputs for reader in tensor.consumers()]
    return found
