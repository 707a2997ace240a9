"""What `tf.contrib.mixed_precision` was: losses scaled up so that gradients of float16 do not vanish.

Source of names, variables and steps: TensorFlow 1.15's tensorflow/contrib/mixed_precision.
"""

from __future__ import annotations

import abc

from slimft.compat.v1 import tf

__all__ = [
    "ExponentialUpdateLossScaleManager", "FixedLossScaleManager", "LossScaleManager", "LossScaleOptimizer",
]  # fmt: skip


class LossScaleManager(abc.ABC):
    """By what a loss is multiplied."""

    @abc.abstractmethod
    def get_loss_scale(self):
        """The scale, a float32 scalar."""

    @abc.abstractmethod
    def update_loss_scale(self, finite_grads):
        """The operation that follows a step whose gradients were finite or not, a bool scalar."""


class FixedLossScaleManager(LossScaleManager):
    """One scale throughout: `loss_scale`, a number; ValueError if it is below 1."""

    def __init__(self, loss_scale):
        if loss_scale < 1:
            raise ValueError(f"the loss scale has to be at least 1, not {loss_scale}")
        self._loss_scale = tf.convert_to_tensor(loss_scale, dtype=tf.float32)

    def get_loss_scale(self):
        return self._loss_scale

    def update_loss_scale(self, finite_grads):
        return tf.no_op()


class ExponentialUpdateLossScaleManager(LossScaleManager):
    """A scale that grows until gradients are not finite.

    Variables ``loss_scale``, ``good_steps`` and ``bad_steps``.

    Args:
        init_loss_scale: to begin with.
        incr_every_n_steps: after so many good steps it is multiplied with `incr_ratio`.
        decr_every_n_nan_or_inf: after so many bad ones with `decr_ratio`; 1 is the least.
        incr_ratio: see there.
        decr_ratio: see there.
    """

    def __init__(
        self, init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf=2, incr_ratio=2, decr_ratio=0.8
    ):
        self._incr_every_n_steps = incr_every_n_steps
        self._decr_every_n_nan_or_inf = decr_every_n_nan_or_inf
        self._incr_ratio = incr_ratio
        self._decr_ratio = decr_ratio
        self._loss_scale = tf.Variable(
            tf.convert_to_tensor(init_loss_scale, tf.float32), name="loss_scale", dtype=tf.float32, trainable=False
        )
        self._num_good_steps, self._num_bad_steps = (
            tf.Variable(0, name=f"{kind}_steps", dtype=tf.int32, trainable=False) for kind in ("good", "bad")
        )

    def get_loss_scale(self):
        return self._loss_scale

    def update_loss_scale(self, finite_grads):
        return tf.cond(finite_grads, self._after_good, self._after_bad)

    def _after_good(self):
        def grow():
            larger = self._loss_scale * self._incr_ratio
            return self._scaled(tf.where(tf.is_finite(larger), larger, tf.identity(self._loss_scale)))

        is_due = self._num_good_steps + 1 >= self._incr_every_n_steps
        return tf.cond(is_due, grow, lambda: tf.group(self._num_good_steps.assign_add(1)))

    def _after_bad(self):
        def shrink():
            return self._scaled(tf.maximum(1.0, self._loss_scale * self._decr_ratio))

        def count():
            return tf.group(self._num_bad_steps.assign_add(1), self._num_good_steps.assign(0))

        return tf.cond(self._num_bad_steps + 1 >= self._decr_every_n_nan_or_inf, shrink, count)

    def _scaled(self, scale):
        steps = (self._num_good_steps, self._num_bad_steps)
        return tf.group(self._loss_scale.assign(scale), *(count.assign(0) for count in steps))


class LossScaleOptimizer(tf.train.Optimizer):
    """Computes gradients of a scaled loss, and passes over steps in which they are not finite.

    Args:
        opt: the optimizer that takes the steps.
        loss_scale_manager: what says the scale.
    """

    def __init__(self, opt, loss_scale_manager):
        self._opt = opt
        self._loss_scale_manager = loss_scale_manager

    def compute_gradients(
        self,
        loss,
        var_list=None,
        gate_gradients=tf.train.Optimizer.GATE_OP,
        aggregation_method=None,
        colocate_gradients_with_ops=False,
        grad_loss=None,
    ):
        """`tf.train.Optimizer.compute_gradients`; the gradients are of the loss without the scale."""
        scale = self._loss_scale_manager.get_loss_scale()
        loss = loss() if callable(loss) else loss
        found = self._opt.compute_gradients(
            loss * tf.cast(scale, loss.dtype.base_dtype), var_list=var_list, gate_gradients=gate_gradients,
            aggregation_method=aggregation_method, colocate_gradients_with_ops=colocate_gradients_with_ops,
            grad_loss=grad_loss,
        )  # fmt: skip
        inverse = tf.reciprocal(scale)
        return [(grad if grad is None else _times(grad, inverse), var) for grad, var in found]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        """`tf.train.Optimizer.apply_gradients`, if all of the gradients are finite."""
        grads_and_vars = list(grads_and_vars)
        finite = [
            tf.reduce_all(tf.is_finite(grad.values if isinstance(grad, tf.IndexedSlices) else grad))
            for grad, _ in grads_and_vars
            if grad is not None
        ]
        is_finite = tf.reduce_all(finite)
        step = tf.cond(
            is_finite, lambda: tf.group(self._opt.apply_gradients(grads_and_vars, global_step, name)), tf.no_op
        )
        return tf.group(step, self._loss_scale_manager.update_loss_scale(is_finite))


def _times(grad, number):
    if isinstance(grad, tf.IndexedSlices):
        return tf.IndexedSlices(_times(grad.values, number), grad.indices, grad.dense_shape)
    return grad * tf.cast(number, grad.dtype.base_dtype)
