"""tensorflow.tools.graph_transforms: `TransformGraph` for what can be done without TensorFlow 1's own C++.

Source: tensorflow/tools/graph_transforms/README.md of TensorFlow 1.15, whose names and parameters these are.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.framework import op_def_registry
from tensorflow.python.tools import optimize_for_inference_lib

from slimft.compat.v1 import tf
from slimft.errors import UsageError

__all__ = ["TransformGraph"]

_TRANSFORM = re.compile(r"""\s*(\w+)\s*(?:\(((?:"[^"]*"|[^"()])*)\))?\s*,?""")
_PARAMETER = re.compile(r"""\s*(\w+)\s*=\s*(?:"([^"]*)"|([^,"\s]*))\s*(?:,|$)""")
# Constants that computing ahead may make of smaller ones.
_LARGEST_CONSTANT = 10 * 2**20
# What does not give the same for the same inputs, or runs more than once, and is not stateful by its definition.
_NEVER_FOLDED = {"Enter", "Exit", "LoopCond", "Merge", "NextIteration", "RefEnter", "RefExit", "RefMerge",
                 "RefNextIteration", "RefSwitch", "Switch"}  # fmt: skip
# What made graphs faster, smaller or harder to read, and computed the same.
_PASSED_OVER = {"flatten_atrous_conv", "fuse_convolutions", "fuse_pad_and_conv", "fuse_resize_and_conv",
                "fuse_resize_pad_and_conv", "hoist_fake_quants", "obfuscate_names", "quantize_nodes",
                "sparsify_gather"}  # fmt: skip


class Request(NamedTuple):
    """What a transform is asked for.

    Attributes:
        inputs, outputs: names of nodes, without ``:0``.
        parameters: the values of each parameter, in their order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: dict[str, list[str]]

    def one(self, name: str, default: str = "") -> str:
        """The only or last value of a parameter."""
        return self.parameters.get(name, [default])[-1]


def TransformGraph(  # noqa: N802 - TensorFlow's name
    input_graph_def: graph_pb2.GraphDef, inputs: Sequence[str], outputs: Sequence[str], transforms: Sequence[str]
) -> graph_pb2.GraphDef:
    """A graph with transforms applied to it in turn.

    Args:
        input_graph_def: the graph; it stays as it is.
        inputs, outputs: names of its nodes.
        transforms: each ``name`` or ``name(parameter=value, ...)``; with ``ignore_errors=true``, one that fails is
            passed over, which is said.

    Raises:
        UsageError: an unknown transform, or one that needs TensorFlow 1's own code; a node that is not there. Of
            those that only made graphs faster, it is said that they are passed over.
    """
    graph = graph_pb2.GraphDef()
    graph.CopyFrom(input_graph_def)
    names = {node.name for node in graph.node}
    ends = [tuple(_node_of(name) for name in given) for given in (inputs, outputs)]
    for name in (*ends[0], *ends[1]):
        if name not in names:
            raise UsageError(f"TransformGraph: there is no node {name!r} in the graph of {len(names)}")
    for name, parameters in _parsed(" ".join(transforms)):
        request = Request(*ends, parameters)
        try:
            graph = _found(name)(graph, request)
        except (UsageError, ValueError, KeyError, tf.errors.OpError) as error:
            if request.one("ignore_errors") != "true":
                raise
            print(f"slimft: TransformGraph: {name} is passed over: {error}", file=sys.stderr)
    return graph


def _parsed(text):
    """The transforms of a line, with their parameters."""
    at, found = 0, []
    while at < len(text.rstrip()):
        match = _TRANSFORM.match(text, at)
        if not match:
            raise UsageError(
                f"TransformGraph: {text[at:].strip()!r} is no transform; write name(parameter=value, ...)"
            )
        parameters, rest = {}, (match[2] or "").strip()
        while rest:
            pair = _PARAMETER.match(rest)
            if not pair:
                raise UsageError(f"TransformGraph: {match[1]}({rest}) is not of the form parameter=value, ...")
            parameters.setdefault(pair[1], []).append(pair[3] if pair[2] is None else pair[2])
            rest = rest[pair.end() :].strip()
        found.append((match[1], parameters))
        at = match.end()
    return found


def _found(name):
    if name in _PASSED_OVER:
        print(f"slimft: TransformGraph: {name} is passed over: the graph is right without it", file=sys.stderr)
        return lambda graph, _: graph
    if name not in _TRANSFORMS:
        there_are = ", ".join(sorted(_TRANSFORMS))
        raise UsageError(f"TransformGraph: {name} was TensorFlow 1's own and is not here; there are {there_are}")
    return _TRANSFORMS[name]


def _node_of(tensor):
    return tensor.lstrip("^").split(":")[0]


def _with_nodes(graph, nodes):
    """The graph with these nodes in the place of its own."""
    made = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    made.node.extend(nodes)
    return made


def _reachable(graph, request):
    """The nodes that the outputs need, in the order of the graph; all if there are no outputs."""
    by_name = {node.name: node for node in graph.node}
    needed, waiting = set(), list(request.outputs or by_name)
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            waiting.extend(map(_node_of, by_name[name].input))
    return [node for node in graph.node if node.name in needed or node.name in request.inputs]


def _in_order(nodes):
    """The nodes, each after its inputs; what is in a loop comes as it stands."""
    by_name, done = {node.name: node for node in nodes}, {}
    for start in by_name:
        waiting = [(start, False)]
        while waiting:
            name, is_ready = waiting.pop()
            if is_ready:
                done[name] = by_name[name]
            elif name in by_name and name not in done:
                done.setdefault(name, None) if by_name[name].op in _NEVER_FOLDED else None
                waiting.append((name, True))
                waiting.extend((_node_of(each), False) for each in reversed(by_name[name].input))
    return list(done.values())


def _array_of(node):
    return tf.make_ndarray(node.attr["value"].tensor)


def _constant(name, array):
    node = graph_pb2.GraphDef().node.add(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array, dtype=array.dtype, shape=array.shape))
    return node


def _strip_unused_nodes(graph, request):
    types = dict(zip(request.parameters.get("name", ()), request.parameters.get("type_for_name", ())))
    shapes = dict(zip(request.parameters.get("name", ()), request.parameters.get("shape_for_name", ())))
    nodes = []
    for node in graph.node:
        if node.name in request.inputs and node.op != "Placeholder":
            made = graph_pb2.GraphDef().node.add(name=node.name, op="Placeholder")
            kind, shape = (
                types.get(node.name, request.one("type", "float")),
                shapes.get(node.name, request.one("shape")),
            )
            made.attr["dtype"].type = tf.as_dtype(kind).as_datatype_enum
            if shape:
                dims = [int(each) for each in shape.split(",")]
                made.attr["shape"].shape.CopyFrom(tf.TensorShape([d if d >= 0 else None for d in dims]).as_proto())
            node = made
        nodes.append(node)
    return _with_nodes(graph, _reachable(_with_nodes(graph, nodes), request))


def _remove_nodes(graph, request):
    ops, kept = set(request.parameters.get("op", ())), {*request.inputs, *request.outputs}
    gone = {node.name: node.input[0] for node in graph.node
            if node.op in ops and len(node.input) == 1 and node.name not in kept}  # fmt: skip

    def source(tensor):
        while _node_of(tensor) in gone:
            there = gone[_node_of(tensor)]
            tensor = f"^{_node_of(there)}" if tensor.startswith("^") else there
        return tensor

    nodes = [node for node in graph.node if node.name not in gone]
    for node in nodes:
        node.input[:] = [source(tensor) for tensor in node.input]
    return _with_nodes(graph, nodes)


def _fold_constants(graph, request):
    nodes, constant, wanted = _in_order(_reachable(graph, request)), {}, set()
    for node in nodes:
        definition = op_def_registry.get(node.op)
        is_pure = definition is not None and not definition.is_stateful and node.op not in _NEVER_FOLDED
        folds = is_pure and bool(node.input) and all(constant.get(_node_of(each)) for each in node.input)
        constant[node.name] = (folds or node.op == "Const") and node.name not in request.inputs
        if not constant[node.name]:
            wanted.update(each for each in node.input if constant.get(_node_of(each)) and not each.startswith("^"))
    wanted.update(name for name in request.outputs if constant.get(name))
    by_name = {node.name: node for node in nodes}
    wanted = sorted(each for each in wanted if by_name[_node_of(each)].op != "Const")
    needed = _reachable(graph, Request((), tuple(map(_node_of, wanted)), {})) if wanted else []
    arrays = dict(zip(wanted, _computed(_with_nodes(graph, needed), wanted)))
    renamed, made = {}, []
    for tensor, array in arrays.items():
        largest = max((_array_of(node).nbytes for node in needed if node.op == "Const"), default=0)
        if array.nbytes <= max(_LARGEST_CONSTANT, largest):
            name, _, index = tensor.partition(":")
            renamed[tensor] = name if index in ("", "0") else f"{name}/output_{index}"
            made.append(_constant(renamed[tensor], array))
    replaced = {node.name for node in made}
    for node in nodes:
        node.input[:] = [renamed.get(each, each) for each in node.input]
    nodes = [node for node in nodes if node.name not in replaced]
    result = _with_nodes(graph, [*made, *nodes])
    return _with_nodes(graph, _reachable(result, request))


def _computed(graph, tensors):
    """The values of tensors of a graph that takes nothing in."""
    if not tensors:
        return []
    off = rewriter_config_pb2.RewriterConfig(disable_meta_optimizer=True)
    config = config_pb2.ConfigProto(graph_options=config_pb2.GraphOptions(rewrite_options=off))
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        tf.import_graph_def(graph, name="")
        return [np.asarray(each) for each in session.run([f"{t}:0" if ":" not in t else t for t in tensors])]


def _fold_batch_norms(graph, request):
    graph = _fold_multiplications(graph, request)
    graph = optimize_for_inference_lib.fuse_decomposed_batch_norm(graph)
    return optimize_for_inference_lib.fold_batch_norms(graph)


def _fold_multiplications(graph, request):
    """Puts the constants that a layer's outputs are multiplied by into its weights."""
    by_name = {node.name: node for node in graph.node}
    users: dict[str, int] = {}
    for node in graph.node:
        for each in node.input:
            users[_node_of(each)] = users.get(_node_of(each), 0) + 1
    made, gone = {}, set()
    for node in graph.node:
        layer, factor = (by_name.get(each) for each in node.input) if node.op == "Mul" else (None, None)
        if layer is None or layer.op not in ("Conv2D", "MatMul", "DepthwiseConv2dNative"):
            layer, factor = factor, layer
        if layer is None or layer.op not in ("Conv2D", "MatMul", "DepthwiseConv2dNative") or factor is None:
            continue
        weights = by_name.get(layer.input[1])
        plain = layer.attr["data_format"].s in (b"", b"NHWC") and not layer.attr["transpose_b"].b
        alone = users[layer.name] == 1 and layer.name not in request.outputs
        if factor.op != "Const" or weights is None or weights.op != "Const" or not plain or not alone:
            continue
        array, by = _array_of(weights), _array_of(factor)
        channels = array.shape[-1] * (array.shape[-2] if layer.op == "DepthwiseConv2dNative" else 1)
        if by.size not in (1, channels) or by.shape[-1:] not in ((), (1,), (channels,)):
            continue
        scaled = array * (
            by.reshape(array.shape[-2:]) if channels != array.shape[-1] and by.size > 1 else by.ravel()
        )
        new = graph_pb2.GraphDef().node.add()
        new.CopyFrom(layer)
        new.name, new.input[1] = node.name, f"{node.name}/weights_scaled"
        made[node.name] = [_constant(new.input[1], scaled.astype(array.dtype)), new]
        gone.add(layer.name)
    nodes = [each for node in graph.node if node.name not in gone for each in made.get(node.name, [node])]
    return _with_nodes(graph, _reachable(_with_nodes(graph, nodes), request))


def _merge_duplicate_nodes(graph, request):
    first, same, nodes = {}, {}, []
    for node in _in_order(graph.node):
        node.input[:] = [_renamed(each, same) for each in node.input]
        definition = op_def_registry.get(node.op)
        named = graph_pb2.GraphDef().node.add()
        named.CopyFrom(node)
        named.name = ""
        key = named.SerializeToString(deterministic=True)
        merges = definition is not None and not definition.is_stateful and node.op != "Placeholder"
        if merges and node.name not in (*request.inputs, *request.outputs) and key in first:
            same[node.name] = first[key]
            continue
        first.setdefault(key, node.name)
        nodes.append(node)
    for node in nodes:  # Loops lead back.
        node.input[:] = [_renamed(each, same) for each in node.input]
    return _with_nodes(graph, nodes)


def _renamed(tensor, names):
    node = _node_of(tensor)
    return tensor.replace(node, names[node], 1) if node in names else tensor


def _for_each(change: Callable) -> Callable:
    """A transform that calls `change` with each node and the request."""

    @functools.wraps(change)
    def transform(graph, request):
        for node in graph.node:
            change(node, request)
        return graph

    return transform


@_for_each
def _set_device(node, request):
    if request.one("if_default") != "true" or not node.device:
        node.device = request.one("device")


@_for_each
def _remove_attribute(node, request):
    if request.one("op_name", "*") in ("*", node.op):
        node.attr.pop(request.one("attribute_name"), None)


@_for_each
def _rename_op(node, request):
    if node.op == request.one("old_op_name"):
        node.op = request.one("new_op_name")


@_for_each
def _rename_node(node, request):
    names = {request.one("old_node_name"): request.one("new_node_name")}
    node.name = names.get(node.name, node.name)
    node.input[:] = [_renamed(each, names) for each in node.input]


@_for_each
def _add_default_attributes(node, request):
    definition = op_def_registry.get(node.op)
    for attribute in () if definition is None else definition.attr:
        if attribute.HasField("default_value") and attribute.name not in node.attr:
            node.attr[attribute.name].CopyFrom(attribute.default_value)


def _weights(graph, least):
    """The nodes of float constants with at least so many values, and their values."""
    for node in graph.node:
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            array = _array_of(node)
            if array.size >= least:
                yield node, array


def _round_weights(graph, request):
    steps = int(request.one("num_steps", "256"))
    for node, array in _weights(graph, 16):
        low, high = np.float32(array.min()), np.float32(max(array.max(), 0))
        if not array.any():
            continue
        high = high if low < high else 2 * low
        width = (high - low) / np.float32(steps)
        rounded = low + width * (np.floor((array - low) / width) + np.float32(0.5))
        node.CopyFrom(_constant(node.name, rounded.astype(np.float32)))
    return graph


def _quantize_weights(graph, request):
    least, nodes, taken = int(request.one("minimum_size", "1024")), list(graph.node), {}
    for node, array in _weights(graph, least):
        low, high = np.float32(min(array.min(), 0)), np.float32(max(array.max(), 0))
        high = high if low < high else np.float32(1)
        scale = 255 / (float(high) - float(low))
        values = np.clip(np.rint(array * scale) - np.rint(float(low) * scale), 0, 255).astype(np.uint8)
        made = graph_pb2.GraphDef().node.add(name=node.name, op="Dequantize")
        parts = [_constant(f"{node.name}_quantized_{part}", value)
                 for part, value in (("const", values), ("min", low), ("max", high))]  # fmt: skip
        parts[0].attr["dtype"].type = parts[0].attr["value"].tensor.dtype = tf.quint8.as_datatype_enum
        made.input.extend(part.name for part in parts)
        made.attr["T"].type = tf.quint8.as_datatype_enum
        made.attr["mode"].s = b"MIN_FIRST"
        taken[node.name] = [*parts, made]
    return _with_nodes(graph, [each for node in nodes for each in taken.get(node.name, [node])])


_TRANSFORMS: dict[str, Callable[[graph_pb2.GraphDef, Request], graph_pb2.GraphDef]] = {
    "add_default_attributes": _add_default_attributes,
    "fold_batch_norms": _fold_batch_norms,
    "fold_constants": _fold_constants,
    "fold_old_batch_norms": _fold_batch_norms,
    "merge_duplicate_nodes": _merge_duplicate_nodes,
    "quantize_weights": _quantize_weights,
    "remove_attribute": _remove_attribute,
    "remove_device": _set_device,
    "remove_nodes": _remove_nodes,
    "rename_node": _rename_node,
    "rename_op": _rename_op,
    "round_weights": _round_weights,
    "set_device": _set_device,
    "sort_by_execution_order": lambda graph, _: _with_nodes(graph, _in_order(graph.node)),
    "strip_unused_nodes": _strip_unused_nodes,
}
