"""tf.contrib.framework: what tf-slim lacks of it (TF 1.15: contrib/framework/__init__.py)."""

from tensorflow.python.framework.ops import get_name_scope, prepend_name_scope, strip_name_scope
from tensorflow.python.framework.smart_cond import smart_case, smart_cond, smart_constant_value
from tensorflow.python.framework.tensor_util import constant_value
from tensorflow.python.ops.check_ops import assert_same_float_dtype
from tensorflow.python.ops.critical_section_ops import CriticalSection

from slimft.compat import tf

argsort, sort, broadcast_to, py_func = tf.argsort, tf.sort, tf.broadcast_to, tf.py_func
TensorSpec = tf.TensorSpec
assert_scalar = tf.assert_scalar
is_tensor, nest = tf.is_tensor, tf.nest

__all__ = [
    "CriticalSection", "TensorSpec", "argsort", "assert_same_float_dtype", "assert_scalar", "broadcast_to",
    "constant_value", "get_name_scope", "is_tensor", "nest", "prepend_name_scope", "py_func", "smart_case",
    "smart_cond", "smart_constant_value", "sort", "strip_name_scope",
]  # fmt: skip
