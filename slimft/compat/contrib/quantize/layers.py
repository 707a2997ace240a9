"""Finds the layers of a graph whose weights and activations are to be quantized.

A layer is, with [] around what there need not be:

    weights -> convolution or product -> [BatchToSpaceND] -> [correction of batch norm] -> [biases] -> [bypass]
    -> activation -> [bypass]

Weights are a variable, or what folding made of one. A bypass is an addition of something else.
"""

from __future__ import annotations

import dataclasses

from slimft.compat.contrib.quantize.common import LAYER_TYPES
from slimft.compat.contrib.quantize.graph_matcher import GraphMatcher, OneofPattern, OpTypePattern
from slimft.compat.v1 import tf

_ADD = "Add|AddV2"
_BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer that was found; None for what it has not.

    Attributes:
        op: the convolution or product.
        weights: the tensor of its weights.
        activation: the op whose output is quantized as the layer's.
        biases: the op that adds the biases; only where there is a bypass it matters.
        bypass: the op that adds something before the activation.
        late_bypass: the op that adds something after it.
    """

    op: tf.Operation
    weights: tf.Tensor | None
    activation: tf.Operation
    biases: tf.Operation | None = None
    bypass: tf.Operation | None = None
    late_bypass: tf.Operation | None = None


def _either_order(op_type, *inputs):
    return OpTypePattern(op_type, inputs=inputs, ordered_inputs=False)


_VARIABLE = OpTypePattern("Variable|VariableV2")
_PART = OpTypePattern("Identity", inputs=[_VARIABLE])
_PARTS = OpTypePattern("ConcatV2", inputs=[_PART, "*", "*"])
_READ = OpTypePattern("Identity", inputs=[OneofPattern([_PART, _PARTS, _VARIABLE])])
_READ_RESOURCE = OpTypePattern("ReadVariableOp")
_FOLDED = OpTypePattern("Mul")
_WEIGHTS = (_READ, _READ_RESOURCE, _FOLDED)

_LAYER = _either_order("|".join(LAYER_TYPES), "*", OneofPattern(_WEIGHTS))
_LAYER_OUTPUT = OneofPattern([OpTypePattern("BatchToSpaceND", inputs=[_LAYER, "*", "*"]), _LAYER])
_CORRECTED = _either_order(_ADD, _either_order("Mul", "*", _LAYER_OUTPUT), "*")
_FOLDED_BIASES = _either_order(_ADD, _CORRECTED, "*")
_BIASES = _either_order(f"{_ADD}|BiasAdd", _LAYER_OUTPUT, "*")
# Batch norm that updates its averages in place ends with an Identity.
_FOLDED_IDENTITY = OpTypePattern("Identity", inputs=[_FOLDED_BIASES])
_BYPASS = _either_order(_ADD, OneofPattern([_BIASES, _FOLDED_BIASES, _FOLDED_IDENTITY]), "*")
_ACTIVATION = OpTypePattern(
    "Relu|Relu6|Identity", inputs=[OneofPattern([_BIASES, _FOLDED_BIASES, _FOLDED_IDENTITY, _BYPASS, _LAYER])]
)
_LATE_BYPASS = _either_order(_ADD, "*", _ACTIVATION)
_LAST = OneofPattern([_BIASES, _FOLDED_BIASES])
_SEPARABLE = _either_order("|".join(LAYER_TYPES), _LAYER_OUTPUT, "*")


def find_layers(graph: tf.Graph) -> list[Layer]:
    """The layers of a graph whose batch normalization is folded, each once.

    Those with a late bypass come first, then those that end with an activation, those that end with their biases,
    and the depthwise halves of separable convolutions; each kind in the order of the graph. The names of variables
    go by this order where scopes have the same name.
    """
    found: dict[tf.Operation, Layer] = {}

    def note(pattern, activation, biases=(), bypass=None, late_bypass=None, weights=_WEIGHTS):
        for match in GraphMatcher(pattern).match_graph(graph):

            def first(patterns, get):
                return next((get(one) for one in patterns if get(one) is not None), None)  # noqa: B023 - used here

            layer = Layer(
                match.get_op(_LAYER),
                first(weights, match.get_tensor),
                first(activation, match.get_op),
                first(biases, match.get_op),
                match.get_op(bypass) if bypass else None,
                match.get_op(late_bypass) if late_bypass else None,
            )
            if layer.op not in found and (late_bypass or not _feeds_batch_norm(layer.activation)):
                found[layer.op] = layer

    ends = (_BIASES, _FOLDED_BIASES)
    note(_LATE_BYPASS, (_ACTIVATION,), ends, _BYPASS, _LATE_BYPASS)
    note(_ACTIVATION, (_ACTIVATION,), ends, _BYPASS)
    note(_LAST, ends)
    note(_SEPARABLE, (_LAYER,), weights=(_READ, _READ_RESOURCE))
    return list(found.values())


def weighted_ops(graph: tf.Graph) -> list[tf.Operation]:
    """The convolutions and products of the graph that take a variable."""
    return [match.get_op(_LAYER) for match in GraphMatcher(_LAYER).match_graph(graph)]


def _feeds_batch_norm(activation):
    """Whether this is an Identity before batch normalization, which folding leaves for the batch's statistics."""
    consumers = activation.outputs[0].consumers()
    return activation.type == "Identity" and len(consumers) == 1 and consumers[0].type in _BATCH_NORMS
