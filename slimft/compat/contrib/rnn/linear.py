"""`_linear` and `_Linear`: private in TensorFlow, and imported by many; source: 1.15's rnn_cell_impl.py."""

from __future__ import annotations

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import RNNCell, assert_like_rnncell

from slimft.compat.v1 import tf


class _Linear:
    """A layer over several inputs side by side: the variables ``kernel`` and ``bias`` of the scope it is made in.

    Args:
        args: a tensor [batch, size], or a list of them.
        output_size: int.
        build_bias: whether there is a bias.
        bias_initializer: 0 by default.
        kernel_initializer: the scope's by default.

    Raises:
        ValueError: an input is not of rank 2, or its size is not known.
    """

    def __init__(self, args, output_size, build_bias, bias_initializer=None, kernel_initializer=None):
        inputs = _list(args)
        if any(tensor.shape.rank != 2 or tensor.shape.as_list()[1] is None for tensor in inputs):
            shapes = ", ".join(str(tensor.shape) for tensor in inputs)
            raise ValueError(f"linear: inputs have to be [batch, size] with a known size; they are {shapes}")
        dtype = inputs[0].dtype
        size = sum(tensor.shape.as_list()[1] for tensor in inputs)
        self._kernel = tf.get_variable("kernel", [size, int(output_size)], dtype, kernel_initializer)
        self._bias = None
        if build_bias:
            with tf.variable_scope(tf.get_variable_scope()) as scope:
                scope.set_partitioner(None)
                zeros = bias_initializer or tf.zeros_initializer()
                self._bias = tf.get_variable("bias", [int(output_size)], dtype, zeros)

    def __call__(self, args):
        inputs = _list(args)
        outputs = tf.matmul(inputs[0] if len(inputs) == 1 else tf.concat(inputs, 1), self._kernel)
        return outputs if self._bias is None else tf.nn.bias_add(outputs, self._bias)


def _list(args):
    """The inputs as a list."""
    inputs = list(args) if isinstance(args, (list, tuple)) else [args]
    if args is None or not inputs:
        raise ValueError("linear: there are no inputs")
    return inputs


def _linear(args, output_size, bias, bias_initializer=None, kernel_initializer=None, scope=None):
    """What `_Linear` gives, in one call.

    Args:
        args, output_size, kernel_initializer: see `_Linear`.
        bias: whether there is a bias.
        bias_initializer: its initializer, or the number it begins with (TensorFlow 1.0's `bias_start`).
        scope: a variable scope (TensorFlow 0.x); none by default.
    """
    if isinstance(bias_initializer, (int, float)):
        bias_initializer = tf.constant_initializer(float(bias_initializer))
    with tf.variable_scope(scope or tf.get_variable_scope()):
        return _Linear(args, output_size, bias, bias_initializer, kernel_initializer)(args)


def _like_rnncell(cell):
    """Whether an object has what a cell has."""
    sized = hasattr(cell, "output_size") and hasattr(cell, "state_size")
    return isinstance(cell, RNNCell) or (callable(cell) and sized and hasattr(cell, "zero_state"))


__all__ = ["_Linear", "_like_rnncell", "_linear", "assert_like_rnncell"]
