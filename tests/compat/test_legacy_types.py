"""slimft.compat.install: what TF1 code asks of tensors themselves."""

import copy
import sys

import numpy as np
import pytest

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
    copies = copy.deepcopy({"keep": keep, "op": keep.op})
    assert copies == {"keep": keep, "op": keep.op}
    with legacy_tf.variable_scope("copy"):
        outputs, _ = legacy_tf.nn.static_rnn(copied, [legacy_tf.ones([2, 4])], dtype=legacy_tf.float32)
    assert outputs[0].shape == (2, 3)
    with legacy_tf.Session() as session:
        session.run(legacy_tf.global_variables_initializer())
        whole = session.run(outputs[0], {keep: 1.0})
        assert np.all((whole != 0) & (np.abs(whole) < 1))


def test_training_ops_are_where_they_were(legacy_tf):
    names = {}
    exec("from tensorflow.python.training import training_ops", names)
    variable = tf.Variable([1.0, 2.0], use_resource=False)
    update = names["training_ops"].apply_gradient_descent(variable._ref(), 0.5, [2.0, 2.0], use_locking=False)
    with legacy_tf.Session() as session:
        session.run(variable.initializer)
        np.testing.assert_array_equal(session.run(update), [0.0, 1.0])


def test_uninstall_puts_all_back():
    from tensorflow.python import training
    from tensorflow.python.framework import ops

    slimft.compat.install()
    slimft.compat.uninstall()
    assert not hasattr(training, "training_ops")
    assert "__deepcopy__" not in vars(getattr(ops, "SymbolicTensor", ops.Tensor))
