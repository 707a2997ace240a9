"""Shapes that TensorFlow 1 knew when a graph was built, and today's does not: `put_in`."""

from __future__ import annotations

import functools

from tensorflow.python.framework import tensor_util

from slimft.compat.patches import Patches
from slimft.compat.v1 import tf


def put_in(patches: Patches) -> None:
    """Makes these known again, until the patches are undone."""
    for name in ("conv2d_transpose", "conv3d_transpose"):
        patches.set(tf.nn, name, _of_output_shape(getattr(tf.nn, name)))


def _of_output_shape(function):
    """A transposed convolution that has the batch size of its `output_shape`, not only that of its inputs."""

    @functools.wraps(function)
    def transposed(*args, **kwargs):
        result = function(*args, **kwargs)
        if result.op.type.endswith(("BackpropInput", "BackpropInputV2")):
            given = tensor_util.constant_value_as_shape(result.op.inputs[0])
            if result.shape.is_compatible_with(given):
                result.set_shape(given)
        return result

    return transposed
