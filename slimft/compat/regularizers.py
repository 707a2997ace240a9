"""TF-Slim's L2 regularizer, also for weights that are computed with in half precision."""

from __future__ import annotations

import tf_slim as slim
from tensorflow.compat import v1 as tf

_slims_l2_regularizer = slim.l2_regularizer


def l2_regularizer(scale, scope=None):
    """`tf_slim.l2_regularizer`; of weights that are float32 and only cast to half precision, it takes the former.

    Args:
        scale: a scalar multiplier, 0 or more; with 0 there is no loss.
        scope: name scope of the ops.

    Returns:
        A function that takes weights and returns ``scale * sum(weights**2) / 2``, a scalar, or None.
    """
    of_weights = _slims_l2_regularizer(scale, scope)

    def l2(weights):
        is_cast = tf.is_tensor(weights) and weights.dtype in (tf.bfloat16, tf.float16) and weights.op.type == "Cast"
        return of_weights(weights.op.inputs[0] if is_cast else weights)

    return l2
