"""Editing of graphs that folding and quantizing have in common.

Source of names: TensorFlow 1.15's tensorflow/contrib/quantize/python/common.py.
"""

from __future__ import annotations

from slimft.compat.v1 import tf

# Ops that only gradients and summaries consist of.
SKIPPED_PREFIXES = ("gradients/", "RMSProp/", "Adagrad/", "Const_", "HistogramSummary", "ScalarSummary")
LAYER_TYPES = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
_STEP = "fake_quantization_step"


def CreateOrGetQuantizationStep():  # noqa: N802 - the name of 1.15
    """How often the graph ran with this tensor, an int64 scalar; it is counted in a variable of the graph."""
    graph = tf.get_default_graph()
    try:
        return graph.get_tensor_by_name(f"{_STEP}/Identity:0")
    except KeyError:
        pass
    with graph.name_scope(None):
        step = tf.get_variable(
            _STEP, [], tf.int64, tf.zeros_initializer(), trainable=False,
            collections=[tf.GraphKeys.GLOBAL_VARIABLES], aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )  # fmt: skip
        with graph.name_scope(f"{step.op.name}/"):
            return tf.identity(tf.assign_add(step, 1))


def RerouteTensor(t0, t1, can_modify=None):  # noqa: N802 - the name of 1.15
    """Gives `t0` to the ops that take `t1`, or to those of them in `can_modify`; returns the number of inputs."""
    changed = 0
    for op in t1.consumers():
        for index, taken in enumerate(op.inputs):
            if taken is t1 and (can_modify is None or op in can_modify):
                op._update_input(index, t0)
                changed += 1
    return changed


def consumers_of(op):
    """The set of ops that take something from `op`, without those of gradients and summaries."""
    found = {consumer for tensor in op.outputs for consumer in tensor.consumers()}
    return {consumer for consumer in found if not consumer.name.startswith(SKIPPED_PREFIXES)}


def scope_of(name):
    """The name scope of a name: up to the last slash, without it."""
    return name.rpartition("/")[0]


def clone(op, inputs):
    """A copy of `op` beside it, its name with ``_Fold`` at the end, that takes other inputs; returns its output."""
    attributes = {name: value for name, value in op.node_def.attr.items() if not name.startswith("_")}
    dtypes = [output.dtype for output in op.outputs]
    with op.graph.name_scope(None):
        return op.graph.create_op(op.type, inputs, dtypes, name=f"{op.name}_Fold", attrs=attributes).outputs[0]
