"""tf.contrib.training: queues that put sequences of about the same length into one batch, and placement by load.

Source: tensorflow/contrib/training/python/training/{bucket_ops,device_setter}.py of TensorFlow 1.15. What tf-slim
has of this package is found after what is here.
"""

from __future__ import annotations

import hashlib

import numpy as np
from tensorflow.python.training import input as input_ops

from slimft.compat.v1 import tf

__all__ = [
    "GreedyLoadBalancingStrategy",
    "RandomStrategy",
    "bucket",
    "bucket_by_sequence_length",
    "byte_size_load_fn",
]


def bucket(
    tensors,
    which_bucket,
    batch_size,
    num_buckets,
    num_threads=1,
    capacity=32,
    bucket_capacities=None,
    shapes=None,
    dynamic_pad=False,
    allow_smaller_final_batch=False,
    keep_input=True,
    shared_name=None,
    name=None,
):
    """Batches of elements that go into the same bucket, by queues and their runners.

    Args:
        tensors: an element, as a list or dict of tensors, dense or sparse.
        which_bucket: a scalar, the element's bucket, in [0, num_buckets).
        batch_size: elements of a batch, or a list with that of each bucket.
        num_threads: how many threads take elements.
        capacity: batches that wait at most, and elements of each bucket, unless `bucket_capacities` says how many.
        shapes: of an element's tensors; by default their own.
        dynamic_pad: whether sizes that are not known are filled with 0 up to the largest of the batch.
        allow_smaller_final_batch: whether what is left at the end is a batch too.
        keep_input: a scalar bool; where it is False, the element is dropped.
        shared_name, name: of the queues, of the ops.

    Returns:
        The bucket's number, int32, and the batch, of the same kind as `tensors`.

    Raises:
        ValueError: there are no tensors; shapes are not known; a list does not have `num_buckets` parts.
    """
    sizes = list(batch_size) if isinstance(batch_size, (list, tuple)) else [batch_size] * num_buckets
    capacities = list(bucket_capacities or [capacity] * num_buckets)
    for what, values in (("batch_size", sizes), ("bucket_capacities", capacities)):
        if len(values) != num_buckets:
            raise ValueError(f"bucket: {what} has {len(values)} parts, but there are {num_buckets} buckets")
    elements = input_ops._as_tensor_list(tensors)
    if not elements:
        raise ValueError("bucket: there are no tensors")
    with tf.name_scope(name, "bucket", elements):
        keep = input_ops._validate_keep_input(keep_input, enqueue_many=False)
        stored, sparse = input_ops._store_sparse_tensors(elements, enqueue_many=False, keep_input=keep)
        types = input_ops._dtypes([stored])
        which = tf.convert_to_tensor(which_bucket, tf.int32, name="which_bucket")
        create = input_ops._which_queue(dynamic_pad)
        shapes = input_ops._shapes([stored], shapes, enqueue_many=False)
        queues = [
            create(room, types, shapes, shared_name=shared_name and f"{shared_name}_{i}", name=f"bucket_queue_{i}")
            for i, room in enumerate(capacities)
        ]
        fixed = None
        if not allow_smaller_final_batch and not isinstance(batch_size, (list, tuple)):
            fixed = tf.get_static_value(tf.convert_to_tensor(batch_size, tf.int32, name="batch_size"))
        batches = [tf.TensorShape([fixed]).concatenate(shape) for shape in queues[0].shapes]
        top = tf.PaddingFIFOQueue(
            capacity, [tf.int32, *types], [tf.TensorShape([]), *batches], shared_name=shared_name, name="top_queue"
        )
        _fill(queues, stored, which, keep, num_threads, top)
        _pass_on(queues, sizes, top, allow_smaller_final_batch)
        for queue in queues:
            tf.summary.scalar(f"bucket/{queue.name}/size", tf.cast(top.size(), tf.float32))
        tf.summary.scalar(
            f"bucket/{top.name}/fraction_of_{capacity}_full", tf.cast(top.size(), tf.float32) / capacity
        )
        number, *batch = top.dequeue(name="dequeue_top")
        batch = input_ops._restore_sparse_tensors(batch[0] if len(batch) == 1 else batch, sparse)
        return number, input_ops._as_original_type(tensors, batch)


def _fill(queues, element, which, keep, num_threads, top):
    """The runner that puts elements into the buckets."""

    def put():
        return tf.group(
            *(tf.cond(tf.equal(which, i), lambda q=queue: q.enqueue(element), tf.no_op)
              for i, queue in enumerate(queues)),
            name="group_enqueues",
        )  # fmt: skip

    known = tf.get_static_value(keep)
    if known is None:
        enqueue = tf.cond(keep, put, tf.no_op)
    else:
        enqueue = put() if known else tf.no_op()
    close = tf.group(*(queue.close() for queue in queues))
    cancel = tf.group(*(queue.close(cancel_pending_enqueues=True) for queue in queues))
    _add_runner(top, [enqueue] * num_threads, close, cancel)


def _pass_on(queues, sizes, top, smaller):
    """The runner that takes batches of the buckets to the queue of all."""
    moves = []
    for i, (queue, size) in enumerate(zip(queues, sizes, strict=True)):
        batch = (queue.dequeue_up_to if smaller else queue.dequeue_many)(size, name=f"read_bucket_{i}")
        batch = batch if isinstance(batch, (list, tuple)) else [batch]
        moves.append(top.enqueue([tf.constant(i), *batch], name=f"enqueue_from_bucket_{i}"))
    _add_runner(queues[0], moves, top.close(), top.close(cancel_pending_enqueues=True))


def _add_runner(queue, ops, close, cancel):
    tf.train.add_queue_runner(
        tf.train.QueueRunner(
            queue,
            ops,
            close_op=close,
            cancel_op=cancel,
            queue_closed_exception_types=(tf.errors.OutOfRangeError, tf.errors.CancelledError),
        )
    )


def bucket_by_sequence_length(
    input_length,
    tensors,
    batch_size,
    bucket_boundaries,
    num_threads=1,
    capacity=32,
    bucket_capacities=None,
    shapes=None,
    dynamic_pad=False,
    allow_smaller_final_batch=False,
    keep_input=True,
    shared_name=None,
    name=None,
):
    """`bucket` by lengths: below the first boundary, from each up to below the next, and from the last on.

    Args:
        input_length: a scalar, the element's length.
        bucket_boundaries: ints that rise; there is one bucket more than these.

    Returns:
        The elements' lengths, int32 of [batch], and the batch, of the same kind as `tensors`.

    Raises:
        TypeError: the boundaries are no list of ints.
        ValueError: there are none, or they do not rise; and what `bucket` raises.
    """
    if not isinstance(bucket_boundaries, (list, tuple)):
        raise TypeError(f"bucket_boundaries: a list of ints is needed, not {bucket_boundaries!r}")
    if not bucket_boundaries:
        raise ValueError("bucket_boundaries: there are none")
    if not all(isinstance(bound, (int, np.integer)) for bound in bucket_boundaries):
        raise TypeError(f"bucket_boundaries: ints are needed, not {bucket_boundaries!r}")
    if any(low >= high for low, high in zip(bucket_boundaries, bucket_boundaries[1:])):
        raise ValueError(f"bucket_boundaries: {bucket_boundaries!r} do not rise")
    elements = input_ops._as_tensor_list(tensors)
    with tf.name_scope(name, "bucket_by_sequence_length", [input_length, *elements]):
        length = tf.convert_to_tensor(input_length, tf.int32, name="input_length")
        which = tf.reduce_sum(tf.cast(tf.less_equal(tf.constant(bucket_boundaries, tf.int32), length), tf.int32))
        _, (lengths, *batch) = bucket(
            [length, *elements],
            which,
            batch_size,
            len(bucket_boundaries) + 1,
            num_threads=num_threads,
            capacity=capacity,
            bucket_capacities=bucket_capacities,
            shapes=None if shapes is None else [tf.TensorShape([]), *shapes],
            dynamic_pad=dynamic_pad,
            allow_smaller_final_batch=allow_smaller_final_batch,
            keep_input=keep_input,
            shared_name=shared_name,
        )
        # Of a single tensor, TensorFlow gives the tensor, also where it was a list.
        return lengths, input_ops._as_original_type(tensors, batch)


def byte_size_load_fn(op) -> int:
    """Bytes of the first output of `op`, whose shape is known; else ValueError."""
    elements = op.outputs[0].get_shape().num_elements()
    if elements is None:
        raise ValueError(f"byte_size_load_fn: the shape of {op.outputs[0].name} is not known")
    return op.outputs[0].dtype.size * elements


class GreedyLoadBalancingStrategy:
    """Gives an op the task that has the least load so far: a `ps_strategy` of tf.train.replica_device_setter.

    Args:
        num_tasks: how many tasks there are.
        load_fn: gives the load of an op, such as `byte_size_load_fn`.
    """

    def __init__(self, num_tasks, load_fn):
        self._load_fn = load_fn
        self._loads = np.zeros(num_tasks)

    def __call__(self, op) -> int:
        task = int(np.argmin(self._loads))
        self._loads[task] += self._load_fn(op)
        return task


class RandomStrategy:
    """Gives an op a task by its name: a `ps_strategy` of tf.train.replica_device_setter.

    Args:
        num_ps_tasks: how many tasks there are.
        seed: another one gives other tasks.
    """

    def __init__(self, num_ps_tasks, seed=0):
        self._num_tasks = num_ps_tasks
        self._seed = seed

    def __call__(self, op) -> int:
        key = f"{op.name}_{self._seed}".encode()
        return int(hashlib.md5(key, usedforsecurity=False).hexdigest(), 16) % self._num_tasks
