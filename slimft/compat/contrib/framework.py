"""tf.contrib.framework: what tf-slim lacks of it (TF 1.15: contrib/framework/__init__.py)."""

from __future__ import annotations

import numpy as np
from tensorflow.python.framework.ops import get_name_scope, prepend_name_scope, strip_name_scope
from tensorflow.python.framework.smart_cond import smart_case, smart_cond, smart_constant_value
from tensorflow.python.framework.tensor_spec import BoundedTensorSpec
from tensorflow.python.framework.tensor_util import constant_value
from tensorflow.python.ops import init_ops
from tensorflow.python.ops.check_ops import assert_same_float_dtype
from tensorflow.python.ops.critical_section_ops import CriticalSection
from tensorflow.python.ops.data_flow_ops import RecordInput
from tensorflow.python.training.checkpoint_ops import (
    _load_and_remap_matrix_initializer as load_and_remap_matrix_initializer,
)
from tensorflow.python.training.checkpoint_ops import _load_embedding_initializer as load_embedding_initializer
from tensorflow.python.util import nest as _nest
from tensorflow.python.util.deprecation import deprecated, deprecated_arg_values, deprecated_args

from slimft.compat import tf
from slimft.imports import module_of

argsort, sort, broadcast_to, py_func = tf.argsort, tf.sort, tf.broadcast_to, tf.py_func
TensorSpec = tf.TensorSpec
assert_scalar = tf.assert_scalar
convert_to_tensor_or_sparse_tensor = tf.convert_to_tensor_or_sparse_tensor
convolutional_delta_orthogonal = init_ops.ConvolutionDeltaOrthogonal
convolutional_orthogonal_1d = init_ops.ConvolutionOrthogonal1D
convolutional_orthogonal_2d = init_ops.ConvolutionOrthogonal2D
convolutional_orthogonal_3d = init_ops.ConvolutionOrthogonal3D
is_tensor = tf.is_tensor
# As it is now, and with a name that it has lost.
nest = module_of("nest", **{**vars(_nest), "is_sequence": _nest.is_nested})

__all__ = [
    "BoundedTensorSpec", "CriticalSection", "RecordInput", "TensorSpec", "argsort", "assert_same_float_dtype",
    "assert_scalar", "assert_scalar_int", "broadcast_to", "constant_value", "convert_to_tensor_or_sparse_tensor",
    "convolutional_delta_orthogonal", "convolutional_orthogonal_1d", "convolutional_orthogonal_2d",
    "convolutional_orthogonal_3d", "deprecated", "deprecated_arg_values", "deprecated_args", "get_name_scope",
    "get_placeholders", "is_tensor", "load_and_remap_matrix_initializer", "load_embedding_initializer",
    "load_linear_multiclass_bias_initializer", "nest", "prepend_name_scope", "print_op", "py_func", "reduce_sum_n",
    "remove_squeezable_dimensions", "smart_case", "smart_cond", "smart_constant_value", "sort", "strip_name_scope",
    "with_same_shape", "with_shape", "zero_initializer",
]  # fmt: skip


def assert_scalar_int(tensor, name=None):
    """The tensor, if it is a scalar of int32 or int64; a ValueError otherwise."""
    with tf.name_scope(name, "assert_scalar_int", [tensor]) as scope:
        tensor = tf.convert_to_tensor(tensor)
        if not tensor.dtype.base_dtype.is_integer:
            raise ValueError(f"{tensor.name} is of {tensor.dtype.name}, which is no integer type")
        return tf.assert_scalar(tensor, name=scope)


def get_placeholders(graph):
    """All placeholders of a graph, as tensors."""
    if not isinstance(graph, tf.Graph):
        raise TypeError(f"{graph} is no tf.Graph")
    return [op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"]


def load_linear_multiclass_bias_initializer(
    ckpt_path, bias_tensor_name, new_class_vocab_size, old_class_vocab_file, new_class_vocab_file,
    num_class_oov_buckets=0, initializer=None, max_rows_in_memory=-1,
):  # fmt: skip
    """An initializer of biases ``[new_class_vocab_size, 1]`` from a checkpoint that has them in another order."""
    return load_and_remap_matrix_initializer(
        ckpt_path, bias_tensor_name, new_class_vocab_size, 1, old_class_vocab_file, new_class_vocab_file, None,
        None, num_class_oov_buckets, 0, initializer or tf.zeros_initializer(), max_rows_in_memory,
    )  # fmt: skip


def print_op(input_, data=None, message=None, first_n=None, summarize=20, print_tensor_name=True,
             print_tensor_type=True, print_shape=True, summarize_indicator_vector=True, name=None):  # fmt: skip
    """`tf.Print` of `data`, which is `input_` by default, with names and shapes."""
    described = []
    for tensor in [input_] if data is None else data:
        described += [tensor.name] if print_tensor_name else []
        described += [tensor.dtype.name] if print_tensor_type else []
        described += [tf.shape(tensor)] if print_shape else []
        described.append(tensor)
    return tf.Print(input_, described, message, first_n, summarize, name)


def reduce_sum_n(tensors, name=None):
    """The sum of all numbers in a list of tensors."""
    if not tensors:
        raise ValueError("tensors is empty")
    with tf.name_scope(name, "reduce_sum_n", tensors) as scope:
        sums = [tf.reduce_sum(tensor, name=f"{tensor.op.name}/sum") for tensor in tensors]
        return sums[0] if len(sums) == 1 else tf.add_n(sums, name=scope)


def remove_squeezable_dimensions(predictions, labels, name=None):
    """Both, with the last dimension of that taken away which has one more."""
    from tensorflow.python.ops.confusion_matrix import remove_squeezable_dimensions as squeeze

    return squeeze(labels, predictions, name=name or "remove_squeezable_dimensions")[::-1]


def with_same_shape(expected_tensor, tensor):
    """`tensor`, once it is known or, in a session, checked that it has the shape of `expected_tensor`."""
    shape = expected_tensor.shape
    return with_shape(shape.as_list() if shape.is_fully_defined() else tf.shape(expected_tensor), tensor)


def with_shape(expected_shape, tensor):
    """`tensor`, once it is known or, in a session, checked that it has a shape: a list of ints or an int32 tensor.

    Raises:
        ValueError: it has another, it is sparse, or `expected_shape` is no shape.
    """
    if isinstance(tensor, tf.SparseTensor):
        raise ValueError("tensor is sparse, and has no shape to be checked")
    if tf.is_tensor(expected_shape):
        if expected_shape.dtype.base_dtype != tf.int32:
            raise ValueError(f"{tensor.name}: expected_shape is of {expected_shape.dtype.name}, and not of int32")
        with tf.control_dependencies([tf.assert_equal(tf.shape(tensor), expected_shape)]):
            return tf.identity(tensor)
    sides = np.asarray(expected_shape)
    if sides.ndim > 1 or (sides.size and sides.dtype.kind != "i"):
        raise ValueError(f"{tensor.name}: expected_shape {expected_shape} is no shape")
    if not sides.size and tensor.shape.is_compatible_with([1]):
        return tf.reshape(tensor, [])
    if not tensor.shape.is_compatible_with(sides.tolist()):
        raise ValueError(f"Invalid shape of {tensor.name}: {tensor.shape}, and not {expected_shape}")
    if tensor.shape.is_fully_defined():
        return tensor
    with tf.control_dependencies([tf.assert_equal(tf.shape(tensor), sides.astype(np.int32))]):
        result = tf.identity(tensor)
    result.set_shape(sides.tolist())
    return result


def zero_initializer(ref, use_locking=True, name="zero_initializer"):
    """An op that gives a variable zeros, and its value; it has no need to be uninitialized, as 1.15 had it."""
    del use_locking
    return tf.assign(ref, tf.zeros(ref.shape, ref.dtype.base_dtype), name=name)
