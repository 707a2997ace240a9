"""Moving averages in place of variables, against tf.train.ExponentialMovingAverage's own mapping for a Saver."""

import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint.averages import averaged, has_averages
from slimft.checkpoint.view import ArraysInMemory
from slimft.compat import tf


@pytest.fixture
def saved(tmp_path):
    """A checkpoint with averages of two of three variables, and what they stand at."""
    with tf.Graph().as_default(), tf.Session() as session:
        one = tf.get_variable("net/conv/weights", initializer=tf.ones([2, 3]))
        two = tf.get_variable("net/conv/moving_mean", initializer=tf.zeros([3]), trainable=False)
        tf.get_variable("net/other", initializer=tf.constant([5.0]))
        tf.train.get_or_create_global_step()
        averages = tf.train.ExponentialMovingAverage(0.5)
        keep = averages.apply([one, two])
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run([one.assign_add(tf.ones([2, 3])), two.assign_sub([1.0, 2.0, 3.0])])
            session.run(keep)
        path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        # What TensorFlow restores into which variable.
        mapping = averages.variables_to_restore([one, two])
        return path, {variable.op.name: name for name, variable in mapping.items()}


def test_what_tensorflow_would_restore(saved):
    path, mapping = saved
    checkpoint = open_checkpoint(path)
    seen = averaged(checkpoint)
    assert has_averages(checkpoint) and not has_averages(seen)
    assert set(seen) == {"net/conv/weights", "net/conv/moving_mean", "net/other", "global_step"}
    reader = tf.train.load_checkpoint(path)
    for name in seen:
        assert seen[name].dtype == checkpoint[name].dtype
        np.testing.assert_array_equal(seen[name], reader.get_tensor(mapping.get(name, name)))
    assert not np.array_equal(seen["net/conv/weights"], checkpoint["net/conv/weights"])
    np.testing.assert_array_equal(seen["net/other"], [5.0])
    assert seen.path == checkpoint.path


def test_averages_without_their_variables():
    checkpoint = ArraysInMemory({"a/ExponentialMovingAverage": np.arange(3.0), "b": np.zeros(2)})
    seen = averaged(checkpoint)
    assert sorted(seen) == ["a", "b"]
    np.testing.assert_array_equal(seen["a"], [0, 1, 2])


def test_object_graphs_of_tensorflow_2(tmp_path):
    """There, the names are aliases of paths through objects."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable_scope().set_use_resource(True)
        variable = tf.get_variable("net/weights", initializer=tf.ones([2]))
        average = tf.get_variable("net/weights/ExponentialMovingAverage", initializer=tf.zeros([2]))
        session.run(tf.global_variables_initializer())
        path = tf.train.Checkpoint(first=variable, second=average).save(str(tmp_path / "model"), session)
    checkpoint = open_checkpoint(path)
    assert "net/weights" in checkpoint.aliases()
    np.testing.assert_array_equal(averaged(checkpoint)["net/weights"], [0, 0])


def test_none():
    arrays = {"net/weights": np.zeros(2), "net/ExponentialMovingAverage/biased": np.zeros(2)}
    checkpoint = ArraysInMemory(arrays, "x.npz")
    assert not has_averages(checkpoint)
    with pytest.raises(CheckpointError, match="x.npz has no moving averages"):
        averaged(checkpoint)
