"""What TF1 code asks of tensors beside calling functions on them: their type, and to be copied along. `put_in`."""

from __future__ import annotations

from tensorflow.python.framework import ops

from slimft.compat.patches import Patches

# The tensors of graphs are of this subclass of tf.Tensor.
_GraphTensor = getattr(ops, "SymbolicTensor", ops.Tensor)


def put_in(patches: Patches, tensorflow) -> None:
    """Makes this work, until the patches are undone.

    Args:
        patches: where it is noted.
        tensorflow: the module that scripts import as tensorflow. Its `Tensor` is the class of which graphs' tensors
            are, as code asks whether ``type(x) is tf.Tensor``.
    """
    patches.set(tensorflow, "Tensor", _GraphTensor)
    # Code copies cells deeply, and the tensors that these hold, such as a fed keep_prob, are parts of the graph.
    for kind in (_GraphTensor, ops.Operation, ops.Graph):
        if not hasattr(kind, "__deepcopy__"):
            patches.set(kind, "__deepcopy__", _itself)
    # Code that rewrites graphs asks operations for the private list of their outputs.
    if not hasattr(ops.Operation, "_outputs"):
        patches.set(ops.Operation, "_outputs", property(lambda op: op.outputs))


def _itself(self, memo):
    return self
