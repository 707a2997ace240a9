"""The functions of `tf.contrib.quantize`.

Source of names, arguments and conventions: TensorFlow 1.15's tensorflow/contrib/quantize/python/quantize_graph.py.
"""

from __future__ import annotations

import re

from slimft.compat.contrib.quantize.fold_batch_norms import FoldBatchNorms
from slimft.compat.contrib.quantize.quantize import Quantize
from slimft.compat.v1 import tf

# The ops of optimizers.
_TRAINING = re.compile(
    "(Resource)?(Sparse)?Apply(Adadelta|Adagrad|AdagradDA|AdagradV2|AdaMax|Adam|AddSign|CenteredRMSProp|Ftrl|FtrlV2|"
    "GradientDescent|Momentum|KerasMomentum|PowerSign|ProximalAdagrad|ProximalGradientDescent|RMSProp)"
)


def create_training_graph(input_graph=None, quant_delay=0):
    """Rewrites a graph in place so that it trains as if it computed with 8 bits.

    Batch normalization is folded into the weights of the layer before it. Weights get a fake quantization by their
    range, activations by moving averages of theirs, which a step of training moves by itself. The variables of the
    ranges are global variables, with TensorFlow 1.15's names. Tensors that were held before may no longer be what
    the network computes.

    Call it once the loss is there, and before the gradients are.

    Args:
        input_graph: a `tf.Graph`; None for the default graph.
        quant_delay: the number of steps that are taken before anything is quantized; the ranges are learned from
            the first step on. 0 suits a network that is trained already.

    Raises:
        ValueError: the graph has an optimizer's ops, or a batch normalization that cannot be folded.
    """
    _rewrite(input_graph, True, quant_delay=quant_delay)


def create_eval_graph(input_graph=None):
    """Rewrites a graph in place so that it evaluates with the ranges of a trained graph's checkpoint.

    Args:
        input_graph: a `tf.Graph`, whose batch normalization is in evaluation; None for the default graph.

    Raises:
        ValueError: as in `create_training_graph`.
    """
    _rewrite(input_graph, False)


def experimental_create_training_graph(
    input_graph=None,
    weight_bits=8,
    activation_bits=8,
    symmetric=False,
    quant_delay=0,
    freeze_bn_delay=None,
    scope=None,
):
    """Is `create_training_graph` with more to choose.

    Args:
        input_graph: a `tf.Graph`; None for the default graph.
        weight_bits, activation_bits: of the quantized values, 2 to 16.
        symmetric: whether ranges are symmetric about 0.
        quant_delay: as in `create_training_graph`.
        freeze_bn_delay: the number of steps after which batch normalization no longer takes the batch's statistics,
            but its moving averages, and no longer moves these; None for never.
        scope: the name scope in which layers are quantized; None for all.

    Raises:
        ValueError: as in `create_training_graph`.
    """
    _rewrite(input_graph, True, weight_bits, activation_bits, symmetric, quant_delay, freeze_bn_delay, scope)


def experimental_create_eval_graph(
    input_graph=None, weight_bits=8, activation_bits=8, symmetric=False, quant_delay=None, scope=None
):
    """Is `create_eval_graph` with more to choose, which `experimental_create_training_graph` explains."""
    _rewrite(input_graph, False, weight_bits, activation_bits, symmetric, quant_delay, None, scope)


def _rewrite(
    graph,
    is_training,
    weight_bits=8,
    activation_bits=8,
    symmetric=False,
    quant_delay=None,
    freeze_bn_delay=None,
    scope=None,
):
    graph = tf.get_default_graph() if graph is None else graph
    found = sorted({op.type for op in graph.get_operations() if _TRAINING.fullmatch(op.type)})
    if found:
        raise ValueError(
            f"Training op found in graph, exiting {set(found)}: quantize it before the optimizer's step is made"
        )
    with graph.as_default():
        FoldBatchNorms(graph, is_training, freeze_bn_delay)
        Quantize(
            graph,
            is_training,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            symmetric=symmetric,
            quant_delay=quant_delay,
            scope=scope,
        )
