"""What `tf.contrib.batching` was: calls of many threads gathered into batches.

Source of names: TensorFlow 1.15's tensorflow/contrib/batching.
"""

from tensorflow import raw_ops

from slimft.compat.v1 import tf

batch_function = tf.nondifferentiable_batch_function

__all__ = ["batch", "batch_function"]


def batch(
    in_tensors, num_batch_threads, max_batch_size, batch_timeout_micros, grad_timeout_micros,
    max_enqueued_batches=10, allowed_batch_sizes=(), container="", shared_name="", batching_queue="", name=None,
):  # fmt: skip
    """TensorFlow's op Batch, which scripts find in ``tensorflow.contrib.batching.ops.gen_batch_ops``."""
    return raw_ops.Batch(**locals())
