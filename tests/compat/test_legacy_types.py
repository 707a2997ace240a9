"""slimft.compat.install: what TF1 code asks of tensors themselves."""

import copy
import sys

import numpy as np
import pytest
from tensorflow import config

import slimft.compat
from slimft.compat import tf


@pytest.fixture
def legacy_tf():
    slimft.compat.install()
    with tf.Graph().as_default():
        yield sys.modules["tensorflow"]
    slimft.compat.uninstall()


def test_graph_tensors_are_of_type_tensor(legacy_tf):
    placeholder = legacy_tf.placeholder(legacy_tf.float32, [2])
    variable = legacy_tf.get_variable("v", [2])
    for tensor in (placeholder, placeholder + 1.0, legacy_tf.constant(1), variable.value()):
        assert type(tensor) is legacy_tf.Tensor
        assert isinstance(tensor, legacy_tf.Tensor) and isinstance(tensor, tf.Tensor)
    for other in (variable, 1.0, legacy_tf.no_op(), legacy_tf.SparseTensor([[0]], [1.0], [2])):
        assert not isinstance(other, legacy_tf.Tensor)


def test_a_deep_copy_of_a_cell_keeps_its_tensors(legacy_tf):
    keep = legacy_tf.placeholder_with_default(0.5, [])
    cell = legacy_tf.nn.rnn_cell.DropoutWrapper(legacy_tf.nn.rnn_cell.GRUCell(3), output_keep_prob=keep)
    copied = copy.deepcopy(cell)
    assert copied is not cell
    parts = {"keep": keep, "op": keep.op, "graph": keep.graph}
    assert all(copied is parts[name] for name, copied in copy.deepcopy(parts).items())
    with legacy_tf.variable_scope("copy"):
        outputs, _ = legacy_tf.nn.static_rnn(copied, [legacy_tf.ones([2, 4])], dtype=legacy_tf.float32)
    assert outputs[0].shape == (2, 3)
    with legacy_tf.Session() as session:
        session.run(legacy_tf.global_variables_initializer())
        whole = session.run(outputs[0], {keep: 1.0})
        assert np.all((whole != 0) & (np.abs(whole) < 1))


def test_nest_knows_sequences(legacy_tf):
    from tensorflow.python.util import nest

    assert [nest.is_sequence(value) for value in ([1], (1,), {"a": 1}, "a", 1.0)] == [True] * 3 + [False] * 2


def test_training_ops_are_where_they_were(legacy_tf):
    names = {}
    exec("from tensorflow.python.training import training_ops", names)
    variable = tf.Variable([1.0, 2.0], use_resource=False)
    update = names["training_ops"].apply_gradient_descent(variable._ref(), 0.5, [2.0, 2.0], use_locking=False)
    with legacy_tf.Session() as session:
        session.run(variable.initializer)
        np.testing.assert_array_equal(session.run(update), [0.0, 1.0])


@pytest.mark.parametrize("sizes", [(3, 8, 8, 5), (3, 4, 8, 8, 5)])
def test_transposed_convolutions_know_the_batch_that_they_are_told(legacy_tf, sizes):
    convolve = legacy_tf.nn.conv2d_transpose if len(sizes) == 4 else legacy_tf.nn.conv3d_transpose
    inner, strides = [size // 2 for size in sizes[1:-1]], [1, *(2 for _ in sizes[2:]), 1]
    inputs = legacy_tf.placeholder(legacy_tf.float32, [None, *inner, 2])
    kernel = legacy_tf.ones([*(3 for _ in inner), 5, 2])
    outputs = convolve(inputs, kernel, output_shape=list(sizes), strides=strides)
    assert outputs.shape.as_list() == list(sizes)
    reshaped = legacy_tf.reshape(outputs, outputs.get_shape())
    unknown = convolve(inputs, kernel, [legacy_tf.shape(inputs)[0], *sizes[1:]], strides)
    assert unknown.shape.as_list() == [None, *sizes[1:]]
    with legacy_tf.Session() as session:
        ours, theirs = session.run([reshaped, unknown], {inputs: np.ones((3, *inner, 2))})
    np.testing.assert_array_equal(ours, theirs)


def test_uninstall_puts_all_back():
    from tensorflow.python import training
    from tensorflow.python.framework import ops

    slimft.compat.install()
    slimft.compat.uninstall()
    assert not hasattr(training, "training_ops")
    assert "__deepcopy__" not in vars(getattr(ops, "SymbolicTensor", ops.Tensor))


@pytest.mark.skipif(bool(config.list_physical_devices("GPU")), reason="a machine without a GPU")
@pytest.mark.parametrize("kind", ["Session", "InteractiveSession"])
def test_ops_pinned_to_a_gpu_run_where_there_is_none(legacy_tf, kind, capsys):
    with legacy_tf.device("/gpu:0"):
        pinned = legacy_tf.constant(3.0) * 2.0
    given = legacy_tf.ConfigProto(intra_op_parallelism_threads=1)
    session = getattr(legacy_tf, kind)(config=given)
    assert session.run(pinned) == 6.0 and not given.allow_soft_placement
    assert session.run(pinned) == 6.0
    session.close()
    said = capsys.readouterr().err
    assert said.count("pinned to /device:GPU:0") == 1 and "they run on the CPU" in said


def test_nothing_is_said_of_ops_that_are_not_pinned(legacy_tf, capsys):
    with legacy_tf.Session() as session:
        assert session.run(legacy_tf.constant(1)) == 1
    assert "pinned" not in capsys.readouterr().err


def test_sessions_are_tensorflows_own_afterwards(legacy_tf):
    slimft.compat.uninstall()
    with tf.device("/gpu:99"):
        pinned = tf.constant(1)
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="GPU:99"):
        session.run(pinned)
