"""tf.contrib.training: buckets, sampling by chance, placement. Placements are those of TensorFlow 1.15.5's code."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import training
from slimft.compat.legacy_names import resolve

LENGTHS = [1, 5, 3, 9, 2, 4, 7, 8, 1, 2]


def run(session, fetches, times=None):
    """What comes out of queues, `times` times, or until they are empty."""
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    coordinator = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(session, coordinator)
    results = []
    try:
        while times is None or len(results) < times:
            results.append(session.run(fetches))
    except tf.errors.OutOfRangeError:
        pass
    coordinator.request_stop()
    coordinator.join(threads, stop_grace_period_secs=5, ignore_live_threads=True)
    return results


def test_bucket_by_sequence_length():
    with tf.Graph().as_default(), tf.Session() as session:
        length = tf.train.input_producer(LENGTHS, shuffle=False, num_epochs=2).dequeue()
        features = {"steps": tf.range(length), "sparse": tf.SparseTensor([[0]], [length], [1])}
        lengths, batch = training.bucket_by_sequence_length(
            length, features, 2, [3, 6], dynamic_pad=True, allow_smaller_final_batch=True
        )
        names = [runner.name for runner in tf.get_collection(tf.GraphKeys.QUEUE_RUNNERS)]
        batches = run(session, [lengths, batch])
    assert names[1:] == [f"bucket_by_sequence_length/bucket/{name}" for name in ("bucket_queue_0", "top_queue")]
    assert sorted(int(length) for lengths, _ in batches for length in lengths) == sorted(LENGTHS * 2)
    for lengths, batch in batches:
        assert len({(length >= 3) + (length >= 6) for length in lengths.astype(int)}) == 1
        assert batch["sparse"].values.tolist() == lengths.tolist()
        for row, length in zip(batch["steps"], lengths):
            assert row.tolist() == [*range(length), *[0] * (max(lengths) - length)]


def test_bucket_with_sizes_of_its_own():
    with tf.Graph().as_default(), tf.Session() as session:
        length = tf.train.input_producer(LENGTHS, shuffle=False, num_epochs=3).dequeue()
        which, batch = training.bucket([length], length % 2, [2, 3], 2)
        batches = run(session, [which, batch])
    assert batches
    for which, numbers in batches:
        assert len(numbers) == 2 + which
        assert set(numbers % 2) == {which}
    with tf.Graph().as_default(), pytest.raises(ValueError, match="num_buckets"):
        training.bucket([tf.constant(1)], 0, [2], 2)
    with tf.Graph().as_default(), pytest.raises(ValueError, match="have to increase"):
        training.bucket_by_sequence_length(3, [tf.constant(1)], 2, [4, 3])


def test_stratified_and_rejection_sample():
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        labels = tf.cast(tf.random_uniform([20]) > 0.8, tf.int32)
        doubled, counted = training.stratified_sample([labels * 2], labels, [0.5, 0.5], 40, enqueue_many=True)
        _, known = training.stratified_sample([labels], labels, [0.5, 0.5], 40, [0.8, 0.2], enqueue_many=True)
        numbers = tf.random_uniform([10])
        accepted = training.rejection_sample([numbers], lambda x: x[0], 50, enqueue_many=True)
        names = [variable.op.name for variable in tf.global_variables()]
        results = run(session, [doubled[0], counted, known, accepted[0]], 10)
    assert names == ["stratified_sample/class_count"]
    assert all((doubled == 2 * counted).all() for doubled, counted, _, _ in results)
    assert np.mean([known for _, _, known, _ in results]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([counted for _, counted, _, _ in results]) == pytest.approx(0.5, abs=0.12)
    # Taken with a probability that is the number itself: the mean of the density 2x.
    assert np.mean([accepted for _, _, _, accepted in results]) == pytest.approx(2 / 3, abs=0.05)


def test_resample():
    with tf.Graph().as_default(), tf.Session() as session:
        first, second = training.resample_at_rate([tf.range(4), tf.range(4) * 2], [100.0, 0.0, 50.0, 10.0], seed=1)
        (rows,), rates = training.weighted_resample([tf.range(3)], tf.constant([1.0, 2.0, 5.0]), 50.0, seed=1)
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        first, second, rows, rates = session.run([first, second, rows, rates])
    assert second.tolist() == (first * 2).tolist()
    counts = np.bincount(first)
    assert (70 < counts[0] < 130, counts[1], 25 < counts[2] < 80) == (True, 0, True)
    np.testing.assert_allclose(rates, np.array([1, 2, 5])[rows] * 50 / (8 / 3), rtol=1e-3)


def test_placement():
    with tf.Graph().as_default():
        greedy = training.GreedyLoadBalancingStrategy(2, training.byte_size_load_fn)
        with tf.device(tf.train.replica_device_setter(ps_tasks=2, ps_strategy=greedy)):
            placed = [tf.get_variable(f"v{i}", [size]).device[-1] for i, size in enumerate([100, 10, 10, 90, 5])]
        with tf.device(tf.train.replica_device_setter(ps_tasks=3, ps_strategy=training.RandomStrategy(3))):
            by_name = [tf.get_variable(f"w{i}", [2]).device[-1] for i in range(5)]
    assert (placed, by_name) == (list("01110"), list("00021"))
    module = resolve("tensorflow.contrib.training.python.training.device_setter")
    assert module.RandomStrategy is training.RandomStrategy
    assert resolve("tensorflow.contrib.training").HParams is tf.contrib.training.HParams
