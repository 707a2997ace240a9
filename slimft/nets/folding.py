"""Batch normalization that does not train as a part of the convolution before it.

In float32 it costs little: TensorFlow makes it and the activation one op. In bfloat16 and float16 it does not, and
each map is read and written once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from slimft.compat import tf

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")


@contextlib.contextmanager
def folded_batch_norm(precision: str) -> Iterator[None]:
    """Folds what is added to the current graph in the block, unless that is computed in float32.

    Of a network in training, that is what is frozen.
    """
    graph = tf.get_default_graph()
    before = len(graph.get_operations())
    yield
    if precision != "float32":
        fold_batch_norm(graph.get_operations()[before:])


def fold_batch_norm(ops: Iterable[tf.Operation]) -> int:
    """Lets what takes a normalized convolution take one whose kernel is scaled, with a bias, in its place.

    With gamma, beta, mean and variance of the normalization, the kernel is multiplied by ``gamma / sqrt(variance +
    epsilon)``, and the bias is ``beta`` less that much of the mean. Both are computed in float32 from the variables
    at each step, so that they may be restored or changed later.

    Args:
        ops: of one graph, of which no session has run any yet: a network in inference mode. Only normalizations
            whose statistics are given are folded, behind a convolution that nothing else takes.

    Returns:
        How many were folded.
    """
    return sum(map(_fold, list(ops)))


def _fold(op: tf.Operation) -> bool:
    """Folds one normalization, if it is one to be folded."""
    if op.type != "FusedBatchNormV3" or op.get_attr("is_training"):
        return False
    convolution, output = op.inputs[0].op, op.outputs[0]
    if convolution.type not in _CONVOLUTIONS or len(op.inputs[0].consumers()) > 1:
        return False
    takers = list(output.consumers())
    with op.graph.as_default(), tf.device(op.device), tf.name_scope(f"{op.name}/folded/"):
        folded = _convolved(convolution, op)
    for taker in takers:
        for place, taken in enumerate(taker.inputs):
            if taken is output:
                taker._update_input(place, folded)
    return True


def _convolved(convolution: tf.Operation, normalization: tf.Operation) -> tf.Tensor:
    """What `normalization` makes of what `convolution` makes, by one convolution and a bias."""
    images, kernel = convolution.inputs
    gamma, beta, mean, variance = normalization.inputs[1:]
    scale = gamma * tf.rsqrt(variance + normalization.get_attr("epsilon"))
    # A filter is the last dimension of a kernel; of a depthwise one the last two.
    factors = scale if convolution.type == "Conv2D" else tf.reshape(scale, kernel.shape.as_list()[2:])
    scaled = tf.cast(tf.cast(kernel, tf.float32) * factors, kernel.dtype)
    layout = convolution.get_attr("data_format").decode()
    arguments = {
        "strides": convolution.get_attr("strides"),
        "padding": convolution.get_attr("padding").decode(),
        "explicit_paddings": convolution.get_attr("explicit_paddings"),
        "data_format": layout,
        "dilations": convolution.get_attr("dilations"),
    }
    made = getattr(tf.raw_ops, convolution.type)(input=images, filter=scaled, **arguments)
    bias = tf.cast(beta - mean * scale, made.dtype)
    return tf.cast(tf.nn.bias_add(made, bias, data_format=layout), normalization.outputs[0].dtype)
