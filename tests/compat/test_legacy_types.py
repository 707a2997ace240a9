"""slimft.compat.install: what TF1 code asks of the types of tensors."""

import sys

import pytest

import slimft.compat
from slimft.compat import tf


@pytest.fixture
def legacy_tf():
    slimft.compat.install()
    yield sys.modules["tensorflow"]
    slimft.compat.uninstall()


def test_graph_tensors_are_of_type_tensor(legacy_tf):
    with tf.Graph().as_default():
        placeholder = legacy_tf.placeholder(legacy_tf.float32, [2])
        variable = legacy_tf.get_variable("v", [2])
        for tensor in (placeholder, placeholder + 1.0, legacy_tf.constant(1), variable.value()):
            assert type(tensor) is legacy_tf.Tensor
            assert isinstance(tensor, legacy_tf.Tensor) and isinstance(tensor, tf.Tensor)
        for other in (variable, 1.0, legacy_tf.no_op(), legacy_tf.SparseTensor([[0]], [1.0], [2])):
            assert not isinstance(other, legacy_tf.Tensor)
