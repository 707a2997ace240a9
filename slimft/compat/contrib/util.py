"""tf.contrib.util: all of it is elsewhere in TensorFlow now (TF 1.15: contrib/util/__init__.py)."""

from tensorflow.python.framework import load_library as loader
from tensorflow.python.framework.meta_graph import ops_used_by_graph_def, stripped_op_list_for_graph
from tensorflow.python.framework.tensor_util import constant_value

from slimft.compat import tf

make_ndarray = tf.make_ndarray
make_tensor_proto = tf.make_tensor_proto
load_op_library = loader.load_op_library

__all__ = [
    "constant_value", "load_op_library", "loader", "make_ndarray", "make_tensor_proto", "ops_used_by_graph_def",
    "stripped_op_list_for_graph",
]  # fmt: skip
