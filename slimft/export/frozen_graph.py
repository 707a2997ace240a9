"""Frozen graphs: a GraphDef whose variables are constants, with TF-Slim's ops and their names.

It takes images as research/slim's scripts give them to a network, preprocessed, in a placeholder called ``input``.
OpenCV's ``dnn`` and code of TensorFlow 1 load such files.
"""

from __future__ import annotations

import pathlib

from slimft.compat import tf
from slimft.compat.graphs import with_folded_batch_norm
from slimft.compat.old_graphs import leave_out_later_defaults
from slimft.export.graph import inference_graph
from slimft.export.signatures import Signature
from slimft.inference import Network

INPUT = "input"


def write(network: Network, file: pathlib.Path, fold_batch_norm: bool = False) -> tuple[Signature, list[str]]:
    """Writes a network as a frozen graph.

    Args:
        network: the network, sized.
        file: where to.
        fold_batch_norm: whether the layers of batch normalization become part of the convolutions before them.

    Returns:
        What it takes and gives, and lines on what was not folded.
    """
    with inference_graph(network, INPUT, batch=None, slims=True) as built:
        last = built.probabilities
        if network.task.targets.is_map:
            last = tf.argmax(built.logits, axis=3, output_type=tf.int32, name="classes")
        outputs = {tensor.op.name: tensor for tensor in (built.logits, last)}
        definition = built.session.graph.as_graph_def()
        frozen = tf.graph_util.convert_variables_to_constants(built.session, definition, list(outputs))
        signature = Signature.of({INPUT: built.images}, outputs)
    frozen = tf.graph_util.remove_training_nodes(frozen, list(outputs))
    notes = []
    if fold_batch_norm:
        before = _batch_norms(frozen)
        frozen = with_folded_batch_norm(frozen)
        after = _batch_norms(frozen)
        notes.append(f"frozen_graph: {before - after} of {before} layers of batch normalization are folded")
        if after:
            notes[-1] += f"; {after} do not follow a convolution"
    file.write_bytes(leave_out_later_defaults(frozen).SerializeToString())
    return signature, notes


def _batch_norms(definition: tf.GraphDef) -> int:
    return sum(node.op.startswith("FusedBatchNorm") for node in definition.node)
