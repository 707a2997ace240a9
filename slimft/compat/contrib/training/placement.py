"""Which parameter server gets a variable, for `tf.train.replica_device_setter`.

Source of names: TensorFlow 1.15's tensorflow/contrib/training/python/training/device_setter.py.
"""

from __future__ import annotations

import hashlib

import numpy as np


class RandomStrategy:
    """By a hash of the operation's name, the same in each run."""

    def __init__(self, num_ps_tasks, seed=0):
        self._num_tasks, self._seed = num_ps_tasks, seed

    def __call__(self, op):
        """The number of a server."""
        name = f"{op.name}_{self._seed}".encode()
        return int(hashlib.md5(name, usedforsecurity=False).hexdigest(), 16) % self._num_tasks


class GreedyLoadBalancingStrategy:
    """The one with the least load so far.

    Args:
        num_tasks: how many servers there are.
        load_fn: a function of an operation that returns its load, such as `byte_size_load_fn`.
    """

    def __init__(self, num_tasks, load_fn):
        self._loads, self._load_fn = np.zeros(num_tasks), load_fn

    def __call__(self, op):
        """The number of a server."""
        task = int(np.argmin(self._loads))
        self._loads[task] += self._load_fn(op)
        return task


def byte_size_load_fn(op):
    """The bytes of an operation's single output, or of the variable of which it is the handle."""
    if len(op.outputs) != 1:
        raise ValueError(f"{op.name} has {len(op.outputs)} outputs, and not one")
    (output,) = op.outputs
    shape, dtype = output.shape, output.dtype
    if op.type in ("VarHandleOp", "Variable", "VariableV2"):
        from slimft.compat.v1 import tf

        shape, dtype = tf.TensorShape(op.get_attr("shape")), tf.as_dtype(op.get_attr("dtype"))
    shape.assert_is_fully_defined()
    return shape.num_elements() * dtype.base_dtype.size
