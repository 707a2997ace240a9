"""Few large buffers in place of many tensors, for what is sent to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slimft.compat import tf

# A buffer is sent as soon as all that is in it is computed, while the rest is still being computed; small ones are
# more messages. Of PyTorch's and Horovod's buffers, 25 and 64 MB are the defaults.
_BUCKET_BYTES = 32 << 20


def bucketed(values: Sequence[tf.Tensor | tf.Variable], most_bytes: int = _BUCKET_BYTES) -> list[list[int]]:
    """Parts of a sequence, each of one dtype and, if it has several members, of at most so many bytes.

    Args:
        values: tensors or variables of known shapes.
        most_bytes: of a part.

    Returns:
        The indices of each part's members.
    """
    buckets: list[list[int]] = []
    unfinished: dict[tf.DType, tuple[list[int], int]] = {}
    for index, value in enumerate(values):
        dtype = value.dtype.base_dtype
        size = value.shape.num_elements() * dtype.size
        bucket, used = unfinished.get(dtype, ([], 0))
        if not bucket or used + size > most_bytes:
            bucket, used = [], 0
            buckets.append(bucket)
        bucket.append(index)
        unfinished[dtype] = bucket, used + size
    return buckets


def fused(
    values: Sequence[Sequence[tf.Tensor]], function: Callable[[list[tf.Tensor]], tf.Tensor]
) -> list[tf.Tensor]:
    """Applies a function to a few long vectors in place of many tensors.

    Gradients come in the order of the layers and are computed from the last one on; so are the vectors made.

    Args:
        values: for each device tensors of known shapes, for all devices the same shapes.
        function: takes a vector of each device and returns one of the same length.

    Returns:
        What it makes of each of the tensors.
    """
    from_the_last = [list(device)[::-1] for device in values]
    own = from_the_last[0]
    results: list[tf.Tensor | None] = [None] * len(own)
    for bucket in bucketed(own):
        result = function([_joined([device[index] for index in bucket]) for device in from_the_last])
        sizes = [own[index].shape.num_elements() for index in bucket]
        parts = tf.split(result, sizes) if len(sizes) > 1 else [result]
        for index, part in zip(bucket, parts):
            results[index] = tf.reshape(part, own[index].shape)
    return results[::-1]


def _joined(values: Sequence[tf.Tensor]) -> tf.Tensor:
    flat = [tf.reshape(value, [-1]) for value in values]
    return tf.concat(flat, axis=0) if len(flat) > 1 else flat[0]


def wire_type(dtype: tf.DType) -> tf.DType:
    """A dtype that collective ops sum and that holds all values of `dtype`."""
    if dtype.is_floating or dtype in (tf.int32, tf.int64):
        return dtype
    return tf.int32
