"""Folds batch normalization into the weights of the layer before it.

In evaluation, ``gamma / sqrt(moving variance + epsilon)`` multiplies the weights, and what is left is a bias. In
training the layer runs twice: as it was, for the batch's statistics, and with folded weights. These are scaled by
the moving variance, so that their quantization does not jump with each batch, and the output is scaled back to
what the batch's variance gives.

Source of names and conventions: TensorFlow 1.15's tensorflow/contrib/quantize/python/fold_batch_norms.py. Unlike
there, unfused batch normalization is found by its ops and not by its names, and a folded layer right after another
takes the other's folded output; 1.15 gave it the unfolded one, and no gradient.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from tensorflow.core.framework import attr_value_pb2

from slimft.compat.contrib.quantize.common import (
    LAYER_TYPES,
    SKIPPED_PREFIXES,
    CreateOrGetQuantizationStep,
    RerouteTensor,
    clone,
    scope_of,
)
from slimft.compat.v1 import tf

_FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
# The last op of slim's unfused batch normalization; that of tf.layers was never folded.
_UNFUSED = re.compile(r"(|.*/)BatchNorm/batchnorm(_\d+)?/add_1")
_GRADIENT = "FoldFusedBatchNormGrad"


@dataclasses.dataclass
class _Statistics:
    """What the batch's normalization is computed from, all of shape [channels]."""

    gamma: tf.Tensor | float
    mean: tf.Tensor
    variance: tf.Tensor
    moving_mean: tf.Tensor
    moving_variance: tf.Tensor
    epsilon: tf.Tensor | float
    # The ops that compute the updates of the moving averages, by which freezing stops these.
    updates: list[tf.Operation]


@dataclasses.dataclass
class _BatchNorm:
    """Batch normalization after a layer.

    Attributes:
        op: what normalizes.
        layer: the convolution or product.
        output: the normalized tensor.
        terms: makes the factor of the weights and what is added in the end, of shape [channels].
        statistics: makes what a batch's statistics need, or is None where the moving averages normalize.
        batch_to_space: the op after a dilated convolution, or None.
    """

    op: tf.Operation
    layer: tf.Operation
    output: tf.Tensor
    terms: Callable[[], tuple[tf.Tensor, tf.Tensor]]
    statistics: Callable[[], _Statistics] | None
    batch_to_space: tf.Operation | None


def FoldBatchNorms(graph, is_training, freeze_batch_norm_delay=None):  # noqa: N802 - the name of 1.15
    """Folds the batch normalization of all convolutions and products of a graph.

    Args:
        graph: the graph, which has to be the default one.
        is_training: whether unfused batch normalization is corrected for a batch's statistics; of the fused one
            its op tells it.
        freeze_batch_norm_delay: as in `experimental_create_training_graph`.

    Raises:
        ValueError: channels are not the last axis, weights are transposed, or a batch's normalization has no
            moving averages.
    """
    folded, left = set(), []
    for kind in (_fused, _unfused):
        for op in graph.get_operations():
            found = kind(op, is_training)
            if found is None or not found.output.consumers() or found.layer in folded:
                continue
            folded.add(found.layer)
            _fold(found, freeze_batch_norm_delay)
    for op in graph.get_operations():
        if op.type in _FUSED and op.outputs[0].consumers() and _layer_before(op.inputs[0], through_branch=True):
            left.append(op.name)
    if left:
        tf.logging.warning(
            "tf.contrib.quantize does not fold batch normalization whose is_training is a tensor: %s",
            ", ".join(left),
        )


def _fold(found, freeze_delay):
    layer = found.layer
    weights = layer.inputs[1]
    if layer.type == "MatMul" and (layer.get_attr("transpose_a") or layer.get_attr("transpose_b")):
        raise ValueError(f"batch normalization cannot be folded into the transposed product {layer.name}")
    if layer.type != "MatMul" and layer.get_attr("data_format") != b"NHWC":
        raise ValueError(f"batch normalization can be folded with data_format NHWC only, unlike {layer.name}")
    scope = f"{scope_of(layer.name)}/" if "/" in layer.name else None
    with tf.name_scope(scope), tf.device(layer.device):
        with tf.name_scope(f"{scope or ''}BatchNorm_Fold/"):
            factor, shift = found.terms()
            correction = None
            if found.statistics is not None:
                correction = _correction(found.statistics(), freeze_delay)
        if correction is not None:
            scale, recip, offset = correction
            weights = tf.multiply(_for_weights(scale, layer), weights, name="correction_mult")
        weights = tf.multiply(weights, _for_weights(factor, layer), name="mul_fold")
        output = clone(layer, [layer.inputs[0], weights])
        if found.batch_to_space is not None:
            output = clone(found.batch_to_space, [output, *found.batch_to_space.inputs[1:]])
        if correction is not None:
            output = tf.multiply(recip, output, name="post_conv_mul")
            output = tf.add(output, offset, name="correction_add")
        output = tf.add(output, shift, name="add_fold")
    RerouteTensor(output, found.output)


def _for_weights(vector, layer):
    """A vector of [channels] in a shape that multiplies the weights of the layer."""
    if layer.type != "DepthwiseConv2dNative":
        return vector
    return tf.reshape(vector, layer.inputs[1].shape[2:], name="scale_reshape")


def _correction(batch, freeze_delay):
    """The factor of the weights, and the factor and the addend of what they give.

    Until batch normalization is frozen, the second factor takes the first one back, and the addend is 0. Afterwards
    the factor is 1, and the addend puts the moving mean in the batch's place.
    """
    with tf.name_scope("batch_norm_correction"):
        moving_recip = tf.rsqrt(batch.moving_variance + batch.epsilon)
        batch_recip = tf.rsqrt(batch.variance + batch.epsilon)
        scale = tf.divide(moving_recip, batch_recip, name="scale_compute")
        recip = tf.reciprocal(scale, name="reciprocal_compute")
        if freeze_delay is None:
            return scale, recip, tf.zeros(scale.shape)
        offset = tf.multiply(
            batch.gamma, batch.mean * batch_recip - batch.moving_mean * moving_recip, name="offset_compute"
        )
        frozen = tf.greater_equal(
            CreateOrGetQuantizationStep(), tf.constant(freeze_delay, tf.int64), name="use_moving_average"
        )
        for update in batch.updates:
            decay = update.inputs[1]
            kept = tf.cond(frozen, lambda: 0.0, lambda: decay, name="freeze_moving_average")  # noqa: B023 - at once
            RerouteTensor(kept, decay, can_modify=[update])
        recip = tf.cond(frozen, lambda: tf.ones(scale.shape), lambda: recip, name="correction_recip")
        offset = tf.cond(frozen, lambda: offset, lambda: tf.zeros(offset.shape), name="correction_offset")
        return scale, recip, offset


def _layer_before(tensor, through_branch=False):
    """The layer that makes a tensor and the BatchToSpaceND after it, as a pair, or None.

    Args:
        tensor: a convolution or product, perhaps reshaped and handed on.
        through_branch: whether the way may go into a branch of `tf.cond`.
    """
    op, batch_to_space = tensor.op, None
    if through_branch:
        if op.type != "Switch":
            return None
        op = op.inputs[0].op
    if op.type == "Reshape":
        op = op.inputs[0].op
    if op.type == "Identity":
        op = op.inputs[0].op
    if op.type == "BatchToSpaceND":
        batch_to_space, op = op, op.inputs[0].op
    return (op, batch_to_space) if op.type in LAYER_TYPES else None


def _fused(op, is_training):
    """The `_BatchNorm` of a fused op, or None."""
    before = _layer_before(op.inputs[0]) if op.type in _FUSED else None
    if before is None:
        return None
    layer, batch_to_space = before
    output = op.outputs[0]
    if layer.type == "MatMul":
        output = next((to.outputs[0] for to in output.consumers() if to.type == "Reshape"), None)
        if output is None:
            return None
    _, gamma, beta, mean, variance = op.inputs[:5]
    training, epsilon = op.get_attr("is_training"), op.get_attr("epsilon")
    of_batch = []

    def batch_statistics():
        """The batch's mean and biased variance; the fused op gives the unbiased one."""
        if not of_batch:
            count = tf.cast(tf.size(layer.outputs[0]) / tf.size(op.outputs[1]), tf.float32)
            variance = tf.multiply(op.outputs[2], (count - 1) / count, name="Undo_Bessel_Correction")
            of_batch.extend((op.outputs[1], variance))
        return of_batch

    def terms():
        if training:
            # The kernel's gradient knows only of the normalized output.
            op._set_attr("_gradient_op_type", attr_value_pb2.AttrValue(s=_GRADIENT.encode()))
        now_mean, now_variance = batch_statistics() if training else (mean, variance)
        factor = gamma * tf.rsqrt(now_variance + epsilon)
        return factor, tf.subtract(beta, now_mean * factor, name="bias")

    def statistics():
        moving = _moving_averages(op, op.outputs[1], op.outputs[2])
        return _Statistics(gamma, *batch_statistics(), *moving[:2], epsilon, moving[2])

    return _BatchNorm(op, layer, output, terms, statistics if training else None, batch_to_space)


def _unfused(op, is_training):
    """The `_BatchNorm` of ``values * factor + (beta - mean * factor)``, given its sum, or None."""
    if op.type not in ("Add", "AddV2") or not _UNFUSED.fullmatch(op.name) or op.name.startswith(SKIPPED_PREFIXES):
        return None
    scaled, shift = op.inputs
    before = _layer_before(scaled.op.inputs[0]) if scaled.op.type == "Mul" else None
    if before is None:
        return None
    layer, batch_to_space = before
    factor = scaled.op.inputs[1]
    root, gamma = (factor.op, 1.0) if factor.op.type == "Rsqrt" else (factor.op.inputs[0].op, factor.op.inputs[1])
    variance, epsilon = root.inputs[0].op.inputs
    # Without beta, it is the product of -mean and the factor.
    product = shift.op.inputs[1].op if shift.op.type == "Sub" else shift.op
    mean = product.inputs[0].op.inputs[0] if product.inputs[0].op.type == "Neg" else product.inputs[0]
    of_batch = is_training and mean.op.type == "Squeeze"

    def statistics():
        moving = _moving_averages(op, mean, variance)
        return _Statistics(gamma, mean, variance, *moving[:2], epsilon, moving[2])

    return _BatchNorm(
        op, layer, op.outputs[0], lambda: (factor, shift), statistics if of_batch else None, batch_to_space
    )


def _moving_averages(op, *values):
    """The moving averages of a batch's mean and variance, and the ops ``(average - value) * share``.

    Raises:
        ValueError: nothing moves averages by these values.
    """
    averages, updates = [], []
    for value in values:
        differences = [to for to in value.consumers() if to.type == "Sub" and to.inputs[1] is value]
        products = [
            (difference, to)
            for difference in differences
            for to in difference.outputs[0].consumers()
            if to.type == "Mul" and to.inputs[0] is difference.outputs[0]
        ]
        if not products:
            raise ValueError(
                f"{op.name} cannot be folded: it takes the batch's statistics, but updates no moving averages"
            )
        averages.append(products[0][0].inputs[0])
        updates.append(products[0][1])
    return (*averages, updates)


@tf.RegisterGradient(_GRADIENT)
def _gradient_of_statistics(op, grad_values, grad_mean, grad_variance, *reserved):
    """The gradient of the batch's mean and unbiased variance; the normalized values are not used after folding."""
    values = op.inputs[0]
    count = tf.cast(tf.size(values) / tf.size(grad_mean), tf.float32)
    from_mean = grad_mean / count
    from_variance = 2 * grad_variance * (values - op.outputs[1]) / (count - 1)
    return from_mean + from_variance, None, None, None, None
