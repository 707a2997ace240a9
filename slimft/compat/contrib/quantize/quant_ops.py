"""Fake quantization that learns its range: variables ``min`` and ``max`` from the values that come by.

Source of names, arguments and conventions: TensorFlow 1.15's tensorflow/contrib/quantize/python/quant_ops.py.
"""

from __future__ import annotations

from tensorflow.python.training import moving_averages

from slimft.compat.v1 import tf


def FixedQuantize(inputs, init_min=-6.0, init_max=6.0, scope=None):  # noqa: N802 - the name of 1.15
    """Quantizes `inputs` to 8 bits from `init_min` to `init_max`."""
    with tf.name_scope(scope, "FixedQuantize", [inputs]):
        return tf.fake_quant_with_min_max_args(inputs, min=init_min, max=init_max)


def LastValueQuantize(  # noqa: N802 - the name of 1.15
    inputs,
    per_channel=False,
    init_min=-6.0,
    init_max=6.0,
    vars_collection=None,
    name_prefix="LastValueQuant",
    reuse=None,
    is_training=True,
    num_bits=8,
    narrow_range=False,
    symmetric=False,
):
    """Quantizes `inputs` by their own range in training, and by the last one otherwise.

    Args:
        inputs: float32; of rank 1, 2 or 4 with `per_channel`.
        per_channel: whether each index of the last axis has its range.
        init_min, init_max: what ``min`` and ``max`` begin with.
        vars_collection: a further collection for the variables.
        name_prefix: scope of ops and variables; made unique.
        reuse: whether to reuse the variables.
        is_training: False leaves the variables as they are.
        num_bits: 2 to 16.
        narrow_range: whether the lowest of the ``2 ** num_bits`` values is left out.
        symmetric: whether the range is symmetric about 0.

    Returns:
        A tensor of the shape of `inputs`.

    Raises:
        ValueError: the rank is none of these.
    """

    def assign(variable, value, name):
        return tf.assign(variable, value, name=f"Assign{name}Last")

    return _quantize(
        inputs, per_channel, init_min, init_max, vars_collection, name_prefix, reuse, is_training, num_bits,
        narrow_range, symmetric, assign,
    )  # fmt: skip


def MovingAvgQuantize(  # noqa: N802 - the name of 1.15
    inputs,
    per_channel=False,
    init_min=-6.0,
    init_max=6.0,
    ema_decay=0.999,
    vars_collection=tf.GraphKeys.MOVING_AVERAGE_VARIABLES,
    name_prefix="MovingAvgQuantize",
    reuse=None,
    is_training=True,
    num_bits=8,
    narrow_range=False,
    symmetric=False,
):
    """Quantizes `inputs` by a moving average of their range, which training moves whenever the result is computed.

    Args:
        ema_decay: of the average, which does not count what it begins with.
        inputs, per_channel, init_min, init_max, vars_collection, name_prefix, reuse, is_training, num_bits,
            narrow_range, symmetric: as in `LastValueQuantize`.

    Returns:
        A tensor of the shape of `inputs`.

    Raises:
        ValueError: as in `LastValueQuantize`.
    """

    def assign(variable, value, name):
        return moving_averages.assign_moving_average(variable, value, ema_decay, name=f"Assign{name}Ema")

    return _quantize(
        inputs, per_channel, init_min, init_max, vars_collection, name_prefix, reuse, is_training, num_bits,
        narrow_range, symmetric, assign,
    )  # fmt: skip


def _quantize(
    inputs, per_channel, init_min, init_max, collection, name_prefix, reuse, is_training, num_bits, narrow_range,
    symmetric, assign,
):  # fmt: skip
    """What both have in common; `assign` takes a variable, its new value and ``Min`` or ``Max``."""
    rank = inputs.shape.ndims
    if per_channel and rank not in (1, 2, 4):
        raise ValueError(f"{name_prefix}: quantization per channel is for rank 1, 2 and 4, not {rank}")
    with tf.variable_scope(None, name_prefix, [inputs], reuse=reuse) as scope:
        scope.set_partitioner(None)
        collections = {tf.GraphKeys.GLOBAL_VARIABLES, *([collection] if collection else [])}
        low, high = (
            tf.get_variable(
                name,
                inputs.shape[-1:] if per_channel else [],
                initializer=tf.constant_initializer(value),
                collections=sorted(collections),
                trainable=False,
                aggregation=tf.VariableAggregation.MEAN,
            )
            for name, value in (("min", init_min), ("max", init_max))
        )
        if is_training:
            new_low, new_high = _range(inputs, per_channel, num_bits, narrow_range, symmetric)
            low, high = assign(low, new_low, "Min"), assign(high, new_high, "Max")
        quantize = (
            tf.quantization.fake_quant_with_min_max_vars_per_channel
            if per_channel
            else tf.quantization.fake_quant_with_min_max_vars
        )
        return quantize(inputs, low, high, num_bits=num_bits, narrow_range=narrow_range)


def _range(inputs, per_channel, num_bits, narrow_range, symmetric):
    """The smallest and largest value, made to hold 0, as tf.lite demands."""
    if per_channel and inputs.shape.ndims == 1:
        low = high = inputs
    else:
        axes = list(range(inputs.shape.ndims - 1)) if per_channel else None
        low, high = (
            tf.reduce_min(inputs, axis=axes, name="BatchMin"),
            tf.reduce_max(inputs, axis=axes, name="BatchMax"),
        )
    if not symmetric:
        return tf.minimum(low, 0.0), tf.maximum(high, 0.0)
    # In two's complement there is one negative number more.
    ratio = -1.0 if narrow_range else -((1 << num_bits) - 2) / (1 << num_bits)
    return tf.minimum(low, high / ratio), tf.maximum(high, low * ratio)
