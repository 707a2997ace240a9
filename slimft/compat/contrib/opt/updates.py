"""Updates of variables, whether they are resources or, as most were then, references."""

from __future__ import annotations

from tensorflow import raw_ops

from slimft.compat.v1 import tf


class EitherSparse:
    """Comes before an optimizer among the bases of a class that has `_sparse(grad, var, indices)`.

    That returns the operation that updates `var` by the gradient of its rows at `indices`, each of which is there
    once.
    """

    def _apply_sparse(self, grad, var):
        return self._sparse(grad.values, var, grad.indices)

    def _resource_apply_sparse(self, grad, var, indices):
        return self._sparse(grad, var, indices)


class EitherKind(EitherSparse):
    """`EitherSparse` for a class that has `_dense(grad, var)` too, for a gradient of the variable's shape."""

    def _apply_dense(self, grad, var):
        return self._dense(grad, var)

    def _resource_apply_dense(self, grad, var):
        return self._dense(grad, var)


def rows_after(updated, var, indices):
    """The rows of a variable once an update of it is done."""
    with tf.control_dependencies([updated]):
        return tf.gather(var, indices)


def cast(var, *values):
    """The values as tensors of the dtype of `var`."""
    return [tf.cast(value, var.dtype.base_dtype) for value in values]


def apply(op_name, var, slots, **arguments):
    """TensorFlow's own op for an update.

    Args:
        op_name: such as ApplyAdam.
        var: the variable.
        slots: dictionary from names of arguments to slots.
        **arguments: the other ones.

    Returns:
        The operation.
    """
    if hasattr(var, "handle"):
        handles = {name: slot.handle for name, slot in slots.items()}
        return getattr(raw_ops, f"Resource{op_name}")(var=var.handle, **handles, **arguments)
    return getattr(raw_ops, op_name)(var=var, **slots, **arguments).op
