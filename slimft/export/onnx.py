"""ONNX files, by tf2onnx (extra ``onnx``): RGB in 0..255, with the preprocessing inside; probabilities out."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import pathlib

from slimft.compat import tf
from slimft.errors import UsageError
from slimft.export.graph import inference_graph
from slimft.export.signatures import Signature
from slimft.inference import Network

INPUT, OUTPUT, MASK = "images", "probabilities", "classes"
# Of ONNX's operators: what ONNX Runtime has had since 2022.
_OPSET = 17


def check_installed() -> None:
    """Raises UsageError where what writes or checks ONNX is missing."""
    for name in ("tf2onnx", "onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"--format=onnx needs {name}: pip install 'slimft[onnx]'")


def write(network: Network, file: pathlib.Path) -> Signature:
    """Writes a network as an ONNX file; arguments and result as of `slimft.export.frozen_graph.write`."""
    import tf2onnx.convert

    with inference_graph(network, INPUT, batch=None) as built:
        if network.task.targets.is_map:
            outputs = {MASK: tf.argmax(built.logits, axis=3, output_type=tf.int32, name=MASK)}
        else:
            outputs = {OUTPUT: tf.identity(built.probabilities, OUTPUT)}
        names = {name: tensor.name for name, tensor in outputs.items()}
        definition = tf.graph_util.convert_variables_to_constants(
            built.session, built.session.graph.as_graph_def(), [tensor.op.name for tensor in outputs.values()]
        )
        signature = Signature.of({INPUT: built.images}, outputs)
        given = built.images.name
    with _quiet("tf2onnx"), _quiet("tensorflow"):
        model, _ = tf2onnx.convert.from_graph_def(
            definition, input_names=[given], output_names=list(names.values()), opset=_OPSET
        )
    _rename(model.graph, {given: INPUT, **{tensor: name for name, tensor in names.items()}})
    file.write_bytes(model.SerializeToString())
    return signature


def _rename(graph, names: dict[str, str]) -> None:
    """Gives the values of an ONNX graph other names."""
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]


@contextlib.contextmanager
def _quiet(name: str):
    """Keeps a library's notes back, which would be taken for the command's."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
