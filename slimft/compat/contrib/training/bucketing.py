"""Batches of examples of like lengths, by queues.

Source of names, arguments and defaults: TensorFlow 1.15's
tensorflow/contrib/training/python/training/bucket_ops.py.
"""

from __future__ import annotations

import functools

from tensorflow.python.framework.smart_cond import smart_cond
from tensorflow.python.training import input as inputs

from slimft.compat.v1 import tf

_CLOSED = (tf.errors.OutOfRangeError, tf.errors.CancelledError)


def bucket(
    tensors, which_bucket, batch_size, num_buckets, num_threads=1, capacity=32, bucket_capacities=None, shapes=None,
    dynamic_pad=False, allow_smaller_final_batch=False, keep_input=True, shared_name=None, name=None,
):  # fmt: skip
    """Batches of examples that are of one bucket.

    Args:
        tensors: one example: a list or a dictionary of tensors.
        which_bucket: an int32 below `num_buckets`: the example's.
        batch_size: how many make a batch, or a list of these for each bucket.
        num_buckets: how many buckets there are.
        num_threads: how many threads fill them.
        capacity: how many examples a bucket holds, and how many batches wait.
        bucket_capacities: a list of these for each bucket.
        shapes: of the tensors; by default their own.
        dynamic_pad: whether a batch is padded with 0 to its longest example.
        allow_smaller_final_batch: whether what is left in the end makes batches.
        keep_input: a bool: whether the example is taken.
        shared_name: of the queues, across sessions.
        name: of the ops.

    Returns:
        The batch's bucket, an int32, and the batch, in the form of `tensors`.

    Raises:
        ValueError: there are no tensors, or a list is not as long as there are buckets.
    """
    sizes = list(batch_size) if isinstance(batch_size, (list, tuple)) else [batch_size] * num_buckets
    capacities = bucket_capacities or [capacity] * num_buckets
    if not len(sizes) == len(capacities) == num_buckets:
        raise ValueError(f"batch_size and bucket_capacities must have num_buckets ({num_buckets}) elements")
    entries = inputs._as_tensor_list(tensors)
    with tf.name_scope(name, "bucket", entries):
        entries = [tf.convert_to_tensor_or_sparse_tensor(entry) for entry in entries]
        if not entries:
            raise ValueError("tensors is empty")
        keep_input = inputs._validate_keep_input(keep_input, enqueue_many=False)
        entries, sparse = inputs._store_sparse_tensors(entries, enqueue_many=False, keep_input=keep_input)
        types = inputs._dtypes([entries])
        shapes = inputs._shapes([entries], shapes, enqueue_many=False)
        which_bucket = tf.convert_to_tensor(which_bucket, tf.int32, name="which_bucket")
        make = inputs._which_queue(dynamic_pad)
        queues = [
            make(
                capacity=size, dtypes=types, shapes=shapes, name=f"bucket_queue_{i}",
                shared_name=None if shared_name is None else f"{shared_name}_{i}",
            )
            for i, size in enumerate(capacities)
        ]  # fmt: skip
        static = [size if isinstance(size, int) else tf.get_static_value(size) for size in sizes]
        known = None if allow_smaller_final_batch or isinstance(batch_size, (list, tuple)) else static[-1]
        batched = [tf.TensorShape([known]).concatenate(shape) for shape in queues[0].shapes]
        top = tf.PaddingFIFOQueue(
            capacity, [tf.int32, *types], [tf.TensorShape([]), *batched], shared_name=shared_name, name="top_queue"
        )
        fill = smart_cond(keep_input, lambda: _into_its_queue(queues, which_bucket, entries), tf.no_op)
        _add_queue_runners(queues, top, sizes, fill, num_threads, allow_smaller_final_batch)
        for queue in queues:
            tf.summary.scalar(f"bucket/{queue.name}/size", tf.cast(top.size(), tf.float32))
        full = tf.cast(top.size(), tf.float32) * (1.0 / capacity)
        tf.summary.scalar(f"bucket/{top.name}/fraction_of_{capacity}_full", full)
        chosen, *batch = top.dequeue(name="dequeue_top")
        batch = inputs._restore_sparse_tensors(batch if len(batch) > 1 else batch[0], sparse)
        return chosen, inputs._as_original_type(tensors, batch)


def _into_its_queue(queues, which, entries):
    return tf.group(
        *(
            tf.cond(tf.equal(which, i), functools.partial(queue.enqueue, entries), tf.no_op)
            for i, queue in enumerate(queues)
        )
    )


def _add_queue_runners(queues, top, sizes, fill, num_threads, is_smaller_allowed):
    """The threads that fill the buckets, and those that make batches of what is in them."""
    batches = []
    for i, (queue, size) in enumerate(zip(queues, sizes)):
        batch = (queue.dequeue_up_to if is_smaller_allowed else queue.dequeue_many)(size, name=f"read_bucket_{i}")
        batch = batch if isinstance(batch, (list, tuple)) else [batch]
        batches.append(top.enqueue([tf.constant(i), *batch], name=f"enqueue_from_bucket_{i}"))
    tf.train.add_queue_runner(
        tf.train.QueueRunner(
            queues[0], batches, top.close(), top.close(cancel_pending_enqueues=True),
            queue_closed_exception_types=_CLOSED,
        )
    )  # fmt: skip
    tf.train.add_queue_runner(
        tf.train.QueueRunner(
            top, [fill] * num_threads, tf.group(*(queue.close() for queue in queues)),
            tf.group(*(queue.close(cancel_pending_enqueues=True) for queue in queues)),
            queue_closed_exception_types=_CLOSED,
        )
    )  # fmt: skip


def bucket_by_sequence_length(
    input_length, tensors, batch_size, bucket_boundaries, num_threads=1, capacity=32, bucket_capacities=None,
    shapes=None, dynamic_pad=False, allow_smaller_final_batch=False, keep_input=True, shared_name=None, name=None,
):  # fmt: skip
    """As `bucket`, by an example's length and increasing boundaries, of which each begins a bucket.

    Returns:
        The lengths of the batch, int32, and the batch, in the form of `tensors`.

    Raises:
        TypeError: `bucket_boundaries` are no list of ints.
        ValueError: there are none, or they do not increase.
    """
    if not isinstance(bucket_boundaries, (list, tuple)):
        raise TypeError(f"bucket_boundaries is {bucket_boundaries!r}, and has to be a list of ints")
    if not bucket_boundaries:
        raise ValueError("bucket_boundaries is empty: one bucket needs no bounds, use tf.train.batch")
    if not all(isinstance(boundary, int) for boundary in bucket_boundaries):
        raise TypeError(f"bucket_boundaries are ints, and {bucket_boundaries} has others")
    if any(a >= b for a, b in zip(bucket_boundaries, bucket_boundaries[1:])):
        raise ValueError(f"bucket_boundaries have to increase, and {bucket_boundaries} do not")
    entries = inputs._as_tensor_list(tensors)
    with tf.name_scope(name, "bucket_by_sequence_length", [input_length, *entries]):
        input_length = tf.convert_to_tensor(input_length, tf.int32, name="input_length")
        which = tf.reduce_sum(tf.cast(input_length >= tf.constant(list(bucket_boundaries)), tf.int32))
        _, (lengths, *batch) = bucket(
            [input_length, *entries], which, batch_size, len(bucket_boundaries) + 1, num_threads, capacity,
            bucket_capacities, None if shapes is None else [tf.TensorShape([]), *shapes], dynamic_pad,
            allow_smaller_final_batch, keep_input, shared_name,
        )  # fmt: skip
        return lengths, inputs._as_original_type(tensors, batch)
