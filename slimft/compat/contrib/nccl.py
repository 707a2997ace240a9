"""What `tf.contrib.nccl` was: sums and others over tensors of several devices.

Source of names: TensorFlow 1.8 to 1.15, tensorflow/contrib/nccl and tensorflow/python/ops/nccl_ops.py. These are
plain ops on the devices of the tensors, so that they run on a CPU and have gradients; without NCCL's speed.
"""

from __future__ import annotations

import functools

from slimft.compat.v1 import tf

__all__ = ["all_max", "all_min", "all_prod", "all_sum", "broadcast", "reduce_sum"]


def all_sum(tensors):
    """The sum of tensors, as a list of one for each, on its device."""
    return _on_all(tf.add_n, tensors)


def all_prod(tensors):
    """The product, as `all_sum` gives the sum."""
    return _on_all(lambda given: functools.reduce(tf.multiply, given), tensors)


def all_min(tensors):
    """The least of each element, as `all_sum` gives the sum."""
    return _on_all(lambda given: functools.reduce(tf.minimum, given), tensors)


def all_max(tensors):
    """The greatest of each element, as `all_sum` gives the sum."""
    return _on_all(lambda given: functools.reduce(tf.maximum, given), tensors)


def reduce_sum(tensors, dst_device=None):
    """The sum of tensors, on a device; by default on that of the enclosing `tf.device`."""
    with tf.device(dst_device):
        return tf.add_n(_given(tensors))


def broadcast(tensor, dst_devices=None):
    """A copy of a tensor, or with `dst_devices`, as TensorFlow had it before 1.9, a list of one on each."""
    if dst_devices is None:
        return tf.identity(tensor)
    copies = []
    for device in dst_devices:
        with tf.device(device):
            copies.append(tf.identity(tensor))
    return copies


def _given(tensors):
    if not tensors:
        raise ValueError("there have to be tensors to reduce")
    return list(tensors)


def _on_all(reduce, tensors):
    tensors = _given(tensors)
    results = []
    for tensor in tensors:
        with tf.device(tensor.device):
            results.append(tf.identity(reduce(tensors)))
    return results
