"""What `tf.contrib.memory_stats` was: how much memory of a GPU TensorFlow uses.

Source of names: TensorFlow 1.15's tensorflow/contrib/memory_stats. Its ops are gone; these ask TensorFlow when they
run. They are of the GPU of the enclosing `tf.device`, or of the first one. As in 1.15 they need a GPU;
tf.errors.NotFoundError says that there is none, here as soon as they are made.
"""

from __future__ import annotations

import numpy as np
from tensorflow import config
from tensorflow.python.client import device_lib

from slimft.compat.v1 import tf

__all__ = ["BytesInUse", "BytesLimit", "MaxBytesInUse"]


def BytesInUse():  # noqa: N802
    """The bytes that are in use, an int64 scalar."""
    return _measured("BytesInUse", lambda gpu: config.experimental.get_memory_info(gpu)["current"])


def MaxBytesInUse():  # noqa: N802
    """The most bytes that were in use, an int64 scalar."""
    return _measured("MaxBytesInUse", lambda gpu: config.experimental.get_memory_info(gpu)["peak"])


def BytesLimit():  # noqa: N802
    """The most bytes that TensorFlow would use, an int64 scalar."""

    def limit(gpu):
        devices = device_lib.list_local_devices()
        return next(device.memory_limit for device in devices if device.name.endswith(f"device:{gpu}"))

    return _measured("BytesLimit", limit)


def _measured(name, measure):
    gpus = len(config.list_physical_devices("GPU"))
    if not gpus:
        raise tf.errors.NotFoundError(None, None, f"tf.contrib.memory_stats.{name} needs a GPU, and there is none")
    with tf.name_scope(name):
        here = tf.DeviceSpec.from_string(tf.no_op().device or "")
    gpu = f"GPU:{here.device_index or 0}"
    with tf.device("/cpu:0"):
        result = tf.py_func(lambda: np.int64(measure(gpu)), [], tf.int64, stateful=True, name=name)
    result.set_shape([])
    return result
