"""tf.contrib.training: buckets of sequences, and placement by load."""

import hashlib

import numpy as np
import pytest

from slimft.compat import tf

training = tf.contrib.training


def run(*fetched):
    """What a session gives with queue runners until there is no more."""
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        found = []
        try:
            while True:
                found.append(session.run(fetched))
        except tf.errors.OutOfRangeError:
            pass
        coordinator.request_stop()
        coordinator.join(threads, stop_grace_period_secs=10)
    return found


@pytest.mark.parametrize("smaller", [False, True])
def test_sequences_of_about_the_same_length_are_a_batch(smaller):
    with tf.Graph().as_default():
        length = tf.train.range_input_producer(8, num_epochs=1, shuffle=False).dequeue()
        lengths, batch = training.bucket_by_sequence_length(
            length,
            {"text": tf.fill([length], length), "number": length * 10},
            2,
            [3, 5],
            dynamic_pad=True,
            allow_smaller_final_batch=smaller,
        )
        assert batch["text"].shape.as_list() == [None if smaller else 2, None]
        found = sorted((some.tolist(), more["text"].tolist()) for some, more in run(lengths, batch))
    # Lengths 0 to 7 in buckets [0, 1, 2], [3, 4] and [5, 6, 7].
    assert [some for some, _ in found] == [[0, 1], *([[2]] if smaller else []), [3, 4], [5, 6],
                                           *([[7]] if smaller else [])]  # fmt: skip
    assert dict((some[0], text) for some, text in found)[3] == [[3, 3, 3, 0], [4, 4, 4, 4]]


def test_buckets_with_sizes_and_elements_dropped():
    with tf.Graph().as_default():
        number = tf.train.range_input_producer(9, num_epochs=1, shuffle=False).dequeue()
        which, batch = training.bucket([number], number % 2, [2, 3], 2, keep_input=number < 7)
        assert isinstance(batch, tf.Tensor)
        found = sorted((int(bucket), values.tolist()) for bucket, values in run(which, batch))
    assert found == [(0, [0, 2]), (0, [4, 6]), (1, [1, 3, 5])]


@pytest.mark.parametrize(
    ("bounds", "error"), [([], ValueError), ([3, 3], ValueError), ([1.5, 2.5], TypeError), (3, TypeError)]
)
def test_bounds_that_are_none(bounds, error):
    with tf.Graph().as_default(), pytest.raises(error, match="bucket_boundaries"):
        training.bucket_by_sequence_length(tf.constant(2), [tf.zeros([2])], 2, bounds)


def test_tasks_by_load_and_by_name():
    with tf.Graph().as_default():
        ops = [tf.zeros([size], name=f"v{size}").op for size in (100, 10, 20, 30, 200)]
        greedy = training.GreedyLoadBalancingStrategy(2, training.byte_size_load_fn)
        assert [greedy(op) for op in ops] == [0, 1, 1, 1, 1]
        by_name = training.RandomStrategy(5, seed=3)
        assert by_name(ops[0]) == int(hashlib.md5(b"v100_3").hexdigest(), 16) % 5
        assert training.byte_size_load_fn(ops[1]) == np.zeros(10, np.float32).nbytes
        with pytest.raises(ValueError, match="not fully defined"):
            training.byte_size_load_fn(tf.placeholder(tf.float32, [None]).op)
