"""Puts fake quantization into a graph whose batch normalization is folded.

Source of names and conventions: TensorFlow 1.15's tensorflow/contrib/quantize/python/quantize.py.
"""

from __future__ import annotations

import dataclasses
import re

from slimft.compat.contrib.quantize import quant_ops
from slimft.compat.contrib.quantize.common import (
    CreateOrGetQuantizationStep,
    RerouteTensor,
    consumers_of,
    scope_of,
)
from slimft.compat.contrib.quantize.layers import find_layers, weighted_ops
from slimft.compat.v1 import tf

_FAKE_QUANTIZATION = (
    "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
)  # fmt: skip
_ADD_OR_MUL = ("Add", "AddV2", "Mul")
_RELUS = ("Relu", "Relu6")
_DELAYED = "delayed_quant"
_PLUS = re.compile(r"add(_\d+)?")
# What hands the same values on.
_PASSING = ("BatchToSpaceND", "Identity", "Max", "MaxPool", "Reshape", "SpaceToBatchND")


def Quantize(  # noqa: N802 - the name of 1.15
    graph,
    is_training,
    weight_bits=8,
    activation_bits=8,
    symmetric=False,
    ema_decay=0.999,
    quant_delay=None,
    vars_collection=tf.GraphKeys.GLOBAL_VARIABLES,
    scope=None,
):
    """Quantizes weights and activations of the layers of a graph, and the sums and products of what is quantized.

    Args:
        graph: the graph, which has to be the default one.
        is_training: whether the ranges are learned.
        weight_bits, activation_bits, symmetric, quant_delay, scope: as in `experimental_create_training_graph`.
        ema_decay: of the moving averages of the activations' ranges.
        vars_collection: collection for the variables of the ranges.
    """
    scope = f"{scope.rstrip('/')}/" if scope else ""
    insert = _Inserter(is_training, activation_bits, symmetric, ema_decay, quant_delay, vars_collection)
    layers = find_layers(graph)
    done = set()
    for layer in layers:
        context = scope_of(layer.op.name)
        # What a bypass joins is named by the scope around.
        outer = scope_of(context) if layer.bypass is not None else context
        if layer.weights is not None:
            insert(context, "weights_quant", layer.weights.op, consumer_scope=scope, weight_bits=weight_bits)
        insert(outer, "act_quant", layer.activation, producer_scope=scope, init_min=0.0)
        done.add(layer.activation)
        if layer.bypass is not None:
            insert(context, "conv_quant", layer.biases, producer_scope=scope, consumer_scope=scope)
            done.add(layer.biases)
            # An activation after it becomes one op with it in tf.lite.
            if not _is_followed_by(layer.bypass, (*_RELUS, "Identity")):
                insert(outer, "add_quant", layer.bypass, producer_scope=scope, consumer_scope=scope)
                done.add(layer.bypass)
        if layer.late_bypass is not None and not _is_followed_by(layer.late_bypass, _RELUS):
            around = scope_of(layer.late_bypass.name)
            insert(around, "post_activation_bypass_quant", layer.late_bypass, producer_scope=scope)
            done.add(layer.late_bypass)
    insert.symmetric = False
    for op in graph.get_operations():
        if _joins_quantized(op, done):
            insert(op.name, f"activation_{_old_type(op)}_quant", op, producer_scope=scope)
    _tell_what_is_left(graph, {layer.op for layer in layers}, scope)


@dataclasses.dataclass
class _Inserter:
    """Puts fake quantization between an op and those that take its output; attributes as `Quantize`'s arguments."""

    is_training: bool
    activation_bits: int
    symmetric: bool
    ema_decay: float
    quant_delay: int | None
    vars_collection: str

    def __call__(
        self, context, name, producer, producer_scope="", consumer_scope="", weight_bits=None, init_min=-6.0
    ):
        """Inserts it, unless it is there or ops are out of scope.

        Args:
            context: the scope of the variables is this, and below it `name`.
            name: as said.
            producer: the op whose output is quantized.
            producer_scope: with what the producer's name has to begin.
            consumer_scope: with what the names of all that take its output have to begin.
            weight_bits: bits, if these are weights; None for activations.
            init_min: what the range begins with.
        """
        values, consumers = producer.outputs[0], consumers_of(producer)
        in_scope = producer.name.startswith(producer_scope) and all(
            consumer.name.startswith(consumer_scope) for consumer in consumers
        )
        if not in_scope or is_quantized(values):
            return
        path = f"{context}/{name}" if context else name
        if surrounding := tf.get_default_graph().get_name_scope():
            path = path.removeprefix(f"{surrounding}/")
        quantized = self._quantize(values, path, weight_bits, init_min)
        if self.quant_delay and self.quant_delay > 0:
            active = tf.greater_equal(
                CreateOrGetQuantizationStep(),
                tf.constant(self.quant_delay, tf.int64),
                name=f"{path}/activate_quant",
            )
            quantized = tf.cond(active, lambda: quantized, lambda: values, name=f"{path}/{_DELAYED}")
        RerouteTensor(quantized, values, can_modify=consumers)

    def _quantize(self, values, path, weight_bits, init_min):
        given = {
            "init_min": init_min, "init_max": 6.0, "is_training": self.is_training, "symmetric": self.symmetric,
            "vars_collection": self.vars_collection, "name_prefix": path,
        }  # fmt: skip
        if weight_bits is not None:
            return quant_ops.LastValueQuantize(values, num_bits=weight_bits, narrow_range=True, **given)
        return quant_ops.MovingAvgQuantize(values, num_bits=self.activation_bits, ema_decay=self.ema_decay, **given)


def is_quantized(tensor):
    """Whether fake quantization takes a tensor, at once or after what does not change its values."""
    ahead = list(tensor.consumers())
    while ahead:
        op = ahead.pop()
        if op.type in _FAKE_QUANTIZATION:
            return True
        if op.type in ("Reshape", "Identity"):
            ahead += [consumer for output in op.outputs for consumer in output.consumers()]
    return False


def _is_followed_by(op, types):
    return any(consumer.type in types for consumer in consumers_of(op))


def _joins_quantized(op, done):
    """Whether this is a sum or product of what is quantized, also by way of other sums and products."""
    ahead, seen = [op], set()
    while ahead:
        op = ahead.pop()
        if op in seen or op in done or op.type not in _ADD_OR_MUL:
            continue
        seen.add(op)
        consumers = op.outputs[0].consumers()
        if len(consumers) == 1 and consumers[0].type in _RELUS:
            continue
        for tensor in op.inputs:
            source = tensor.op
            while source.type in _PASSING:
                source = source.inputs[0].op
            if source.type == "FakeQuantWithMinMaxVars" or f"{_DELAYED}/Merge" in source.name:
                return True
            if source.type in _ADD_OR_MUL:
                ahead += [taken.op for taken in source.inputs]
    return False


def _old_type(op):
    """The type that 1.15 gave an op, which names its variables: of sums, only those of ``+`` were AddV2."""
    if op.type != "AddV2" or _PLUS.fullmatch(op.name.rpartition("/")[2]):
        return op.type
    return "Add"


def _tell_what_is_left(graph, found, scope):
    """Says which layers are computed from weights that are not quantized."""
    names = {op.name for op in graph.get_operations()}
    left = [
        op.name
        for op in weighted_ops(graph)
        if op not in found and op.name.startswith(scope) and f"{op.name}_Fold" not in names
    ]
    if left:
        tf.logging.warning("tf.contrib.quantize leaves %d layers as they are: %s", len(left), ", ".join(left))
