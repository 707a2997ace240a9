"""What scripts import from TensorFlow's own modules, ``tensorflow.python``, and is gone there: `put_in`.

Which there were: TensorFlow 0.5 to 1.15's tensorflow/python (github.com/tensorflow/tensorflow).
"""

from __future__ import annotations

import functools
import operator
import sys

from absl import flags
from tensorflow.python import client as client_package
from tensorflow.python import ops as ops_package
from tensorflow.python import pywrap_tensorflow
from tensorflow.python import training as training_package
from tensorflow.python.client import _pywrap_events_writer
from tensorflow.python.eager import context
from tensorflow.python.framework import common_shapes, constant_op, graph_util, graph_util_impl, ops, tensor_shape
from tensorflow.python.layers import base
from tensorflow.python.ops import gen_training_ops, rnn
from tensorflow.python.platform import flags as tf_flags
from tensorflow.python.util import compat, nest

from slimft.compat.patches import Patches
from slimft.compat.v1 import tf

# Names that tf.compat.v1 has.
_PUBLIC = (
    (pywrap_tensorflow, "NewCheckpointReader", "train.NewCheckpointReader"),
    (rnn, "bidirectional_rnn", "nn.static_bidirectional_rnn"),
    (rnn, "rnn", "nn.static_rnn"),
    *(
        (module, name, f"graph_util.{name}")
        for module in (graph_util, graph_util_impl)
        for name in ("convert_variables_to_constants", "extract_sub_graph", "must_run_on_cpu",
                     "remove_training_nodes", "tensor_shape_from_node_def_name")
    ),
)  # fmt: skip


class _EventsWriter(_pywrap_events_writer.EventsWriter):
    """`pywrap_tensorflow.EventsWriter`, also of a path in bytes."""

    def __init__(self, file_prefix):
        super().__init__(compat.as_str(file_prefix))


class _RegisterShape:
    """`ops.RegisterShape`, which does nothing: an op's shape comes from its kernel."""

    def __init__(self, op_type):
        self.op_type = op_type

    def __call__(self, function):
        return function


# Names that are nowhere else.
_WRITTEN = (
    (base, "_Layer", base.Layer),
    (client_package, "graph_util", graph_util),  # Of 0.x.
    (common_shapes, "scalar_shape", lambda op: [tensor_shape.TensorShape([])]),
    (common_shapes, "unchanged_shape", lambda op: [op.inputs[0].get_shape()]),
    (common_shapes, "unknown_shape", lambda op: [tensor_shape.unknown_shape() for _ in op.outputs]),
    (context, "in_eager_mode", context.executing_eagerly),
    (context, "in_graph_mode", lambda: not context.executing_eagerly()),
    (nest, "is_sequence", nest.is_nested),
    (ops, "RegisterShape", _RegisterShape),
    (ops_package, "constant_op", constant_op),
    (pywrap_tensorflow, "EventsWriter", _EventsWriter),
    (tensor_shape, "matrix", lambda rows, columns: tensor_shape.TensorShape([rows, columns])),
    (tensor_shape, "scalar", lambda: tensor_shape.TensorShape([])),
    (tensor_shape, "vector", lambda length: tensor_shape.TensorShape([length])),
    (tf_flags, "FlagsError", flags.Error),
    # tensorflow/python/training/training_ops.py had nothing but these.
    (training_package, "training_ops", gen_training_ops),
)


def put_in(patches: Patches) -> None:
    """Adds the names that are not there, until the patches are undone."""
    for module, name, new in _PUBLIC:
        _add(patches, module, name, operator.attrgetter(new)(tf))
    for module, name, value in _WRITTEN:
        _add(patches, module, name, value)
    # Until 1.5, functions of ops that were not TensorFlow's interface began with an underscore.
    for name, module in list(sys.modules.items()):
        if name.startswith("tensorflow.python.ops.gen_") and name.endswith("_ops"):
            patches.set(module, "__getattr__", functools.partial(_without_underscore, module))


def _add(patches, module, name, value):
    if not hasattr(module, name):
        patches.set(module, name, value)


def _without_underscore(module, name):
    found = vars(module).get(name[1:]) if name.startswith("_") and not name.startswith("__") else None
    if not callable(found):
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
    return found
