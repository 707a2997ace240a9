"""Optimizers that go by whether gradient and momentum agree in sign (Bello et al. 2017), and decays for them."""

from __future__ import annotations

import math

from slimft.compat.contrib.opt.updates import EitherKind, apply, cast, rows_after
from slimft.compat.v1 import tf


class _SignOptimizer(EitherKind, tf.train.Optimizer):
    """What both have: the slot ``m``, and a decay of how much the agreement counts."""

    def __init__(self, learning_rate, beta, sign_decay_fn, use_locking, name):
        super().__init__(use_locking, name)
        self._lr = learning_rate
        self._beta = beta
        self._sign_decay_fn = sign_decay_fn
        self._lr_t = None
        self._beta_t = None

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        if self._sign_decay_fn is not None:
            self._sign_decay_t = tf.convert_to_tensor(self._sign_decay_fn(global_step), name="sign_decay")
        return super().apply_gradients(grads_and_vars, global_step=global_step, name=name)

    def _create_slots(self, var_list):
        for var in var_list:
            self._zeros_slot(var, "m", self._name)

    def _prepare(self):
        self._lr_t = tf.convert_to_tensor(self._lr, name="learning_rate")
        self._beta_t = tf.convert_to_tensor(self._beta, name="beta")
        if self._sign_decay_fn is None:
            self._sign_decay_t = tf.convert_to_tensor(1.0, name="sign_decay")

    def _sparse(self, grad, var, indices):
        # The momentum of all rows decays; those without a gradient do not move.
        lr, beta, sign_decay = cast(var, self._lr_t, self._beta_t, self._sign_decay_t)
        m = self.get_slot(var, "m")
        dense = tf.convert_to_tensor(tf.IndexedSlices(grad, indices, tf.shape(m)))
        updated = tf.assign(m, m * beta + dense * (1 - beta), use_locking=self._use_locking)
        agreement = sign_decay * tf.sign(rows_after(updated, m, indices)) * tf.sign(grad)
        step = lr * self._factor(var, agreement) * grad
        return tf.group(tf.scatter_sub(var, indices, step, use_locking=self._use_locking), updated)


class AddSignOptimizer(_SignOptimizer):
    """Steps of learning_rate * (alpha + decay * sign(gradient) * sign(momentum)) * gradient.

    Args:
        learning_rate: of steps.
        alpha: what is added.
        beta: decay of the momentum, slot ``m``.
        sign_decay_fn: of the global step; by default the decay is 1.
        use_locking: whether updates lock.
        name: of the operations.
    """

    def __init__(
        self, learning_rate=0.1, alpha=1.0, beta=0.9, sign_decay_fn=None, use_locking=False, name="AddSignOptimizer"
    ):
        super().__init__(learning_rate, beta, sign_decay_fn, use_locking, name)
        self._alpha = alpha
        self._alpha_t = None

    def _prepare(self):
        super()._prepare()
        self._alpha_t = tf.convert_to_tensor(self._alpha, name="alpha")

    def _dense(self, grad, var):
        lr, alpha, sign_decay, beta = cast(var, self._lr_t, self._alpha_t, self._sign_decay_t, self._beta_t)
        return apply(
            "ApplyAddSign", var, {"m": self.get_slot(var, "m")}, lr=lr, alpha=alpha, sign_decay=sign_decay,
            beta=beta, grad=grad, use_locking=self._use_locking,
        )  # fmt: skip

    def _factor(self, var, agreement):
        return tf.cast(self._alpha_t, var.dtype.base_dtype) + agreement


class PowerSignOptimizer(_SignOptimizer):
    """Steps of learning_rate * base ** (decay * sign(gradient) * sign(momentum)) * gradient.

    Args:
        learning_rate: of steps.
        base: of the power.
        beta, sign_decay_fn, use_locking, name: of `AddSignOptimizer`.
    """

    def __init__(
        self,
        learning_rate=0.1,
        base=math.e,
        beta=0.9,
        sign_decay_fn=None,
        use_locking=False,
        name="PowerSignOptimizer",
    ):
        super().__init__(learning_rate, beta, sign_decay_fn, use_locking, name)
        self._logbase = math.log(base)
        self._logbase_t = None

    def _prepare(self):
        super()._prepare()
        self._logbase_t = tf.convert_to_tensor(self._logbase, name="logbase")

    def _dense(self, grad, var):
        lr, logbase, sign_decay, beta = cast(var, self._lr_t, self._logbase_t, self._sign_decay_t, self._beta_t)
        return apply(
            "ApplyPowerSign", var, {"m": self.get_slot(var, "m")}, lr=lr, logbase=logbase, sign_decay=sign_decay,
            beta=beta, grad=grad, use_locking=self._use_locking,
        )  # fmt: skip

    def _factor(self, var, agreement):
        return tf.exp(tf.cast(self._logbase_t, var.dtype.base_dtype) * agreement)


def get_linear_decay_fn(decay_steps):
    """A function of the global step that goes from 1 to 0 within `decay_steps`."""

    def linear_decay_fn(global_step):
        left = tf.cast(decay_steps, tf.int32) - tf.cast(_step(global_step, decay_steps), tf.int32)
        return tf.maximum(0.0, tf.cast(left, tf.float32) / tf.cast(decay_steps, tf.float32))

    return linear_decay_fn


def get_cosine_decay_fn(decay_steps, num_periods=0.5, zero_after=None):
    """A function of the global step that is a cosine between 1 and 0.

    Args:
        decay_steps: beyond these it stays.
        num_periods: how many are within them; half of one goes to 0.
        zero_after: the number of periods after which it is 0, or None.
    """

    def cosine_decay_fn(global_step):
        done = tf.cast(_step(global_step, decay_steps), tf.float32) / tf.cast(decay_steps, tf.float32)
        fraction = 2.0 * num_periods * done
        return _cosine(fraction, None if zero_after is None else fraction >= 2 * zero_after)

    return cosine_decay_fn


def get_restart_decay_fn(decay_steps, num_periods=1, zero_after=None):
    """A function of the global step that goes from 1 to 0 on a cosine and starts again.

    Args:
        decay_steps: beyond these it stays.
        num_periods: how often within them.
        zero_after: the number of times after which it is 0, or None.
    """

    def restart_decay_fn(global_step):
        step = _step(global_step, decay_steps)
        steps = tf.cast(decay_steps, tf.float32)
        fraction = tf.mod(num_periods * tf.cast(step, tf.float32), steps) / steps
        if zero_after is None:
            return _cosine(fraction, None)
        return _cosine(fraction, tf.cast(num_periods * step, tf.float32) / steps >= zero_after)

    return restart_decay_fn


def _step(global_step, decay_steps):
    if global_step is None:
        raise ValueError("this decay needs a global_step")
    return tf.minimum(global_step, decay_steps)


def _cosine(fraction, is_zero):
    decayed = 0.5 * (1.0 + tf.cos(tf.constant(math.pi) * fraction))
    return decayed if is_zero is None else tf.where(is_zero, tf.zeros_like(decayed), decayed)
