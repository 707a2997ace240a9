"""Kin of Adam: `AdaMaxOptimizer`, `NadamOptimizer`, and lazy ones for embeddings."""

from __future__ import annotations

from slimft.compat.contrib.opt.updates import EitherKind, EitherSparse, apply, cast, rows_after
from slimft.compat.v1 import tf


class AdaMaxOptimizer(EitherKind, tf.train.AdamOptimizer):
    """Adam with the largest gradient of the past in the place of the mean square (Kingma and Ba, section 7.1).

    Slots ``m`` and ``v``, and the variable ``beta1_power``. Rows without a gradient keep theirs.
    """

    def __init__(self, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, use_locking=False, name="AdaMax"):
        super().__init__(learning_rate, beta1, beta2, epsilon, use_locking, name)

    def _get_beta_accumulators(self):
        return self._get_non_slot_variable("beta1_power", graph=tf.get_default_graph())

    def _create_slots(self, var_list):
        first = min(var_list, key=lambda var: var.name)
        self._create_non_slot_variable(initial_value=self._beta1, name="beta1_power", colocate_with=first)
        for var in var_list:
            self._zeros_slot(var, "m", self._name)
            self._zeros_slot(var, "v", self._name)

    def _dense(self, grad, var):
        power, lr, beta1, beta2, epsilon = self._numbers(var)
        return apply(
            "ApplyAdaMax", var, {"m": self.get_slot(var, "m"), "v": self.get_slot(var, "v")}, beta1_power=power,
            lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, grad=grad, use_locking=self._use_locking,
        )  # fmt: skip

    def _sparse(self, grad, var, indices):
        power, lr, beta1, beta2, epsilon = self._numbers(var)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m = tf.gather(m, indices) * beta1 + grad * (1 - beta1)
        new_v = tf.maximum(tf.gather(v, indices) * beta2, tf.abs(grad))
        step = lr / (1 - power) * (new_m / (new_v + epsilon))
        return tf.group(
            tf.scatter_sub(var, indices, step, use_locking=self._use_locking),
            tf.scatter_update(m, indices, new_m, use_locking=self._use_locking),
            tf.scatter_update(v, indices, new_v, use_locking=self._use_locking),
        )

    def _numbers(self, var):
        power = self._get_beta_accumulators()
        return cast(var, power, self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t)

    def _finish(self, update_ops, name_scope):
        power = self._get_beta_accumulators()
        with tf.control_dependencies(update_ops), tf.colocate_with(power):
            update = power.assign(power * self._beta1_t, use_locking=self._use_locking)
        return tf.group(*update_ops, update, name=name_scope)


def _numbers(optimizer, var):
    """(learning rate with the correction of the bias, beta1, beta2, epsilon) of an optimizer like Adam."""
    powers = optimizer._get_beta_accumulators()
    power1, power2, lr, beta1, beta2, epsilon = cast(
        var, *powers, optimizer._lr_t, optimizer._beta1_t, optimizer._beta2_t, optimizer._epsilon_t
    )
    return lr * tf.sqrt(1 - power2) / (1 - power1), beta1, beta2, epsilon


class NadamOptimizer(EitherKind, tf.train.AdamOptimizer):
    """Adam with Nesterov's momentum (Dozat 2015). Arguments and slots of `tf.train.AdamOptimizer`."""

    def _dense(self, grad, var):
        power1, power2, lr, beta1, beta2, epsilon = cast(
            var, *self._get_beta_accumulators(), self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t
        )
        return apply(
            "ApplyAdam", var, {"m": self.get_slot(var, "m"), "v": self.get_slot(var, "v")}, beta1_power=power1,
            beta2_power=power2, lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, grad=grad,
            use_locking=self._use_locking, use_nesterov=True,
        )  # fmt: skip

    def _sparse(self, grad, var, indices):
        lr, beta1, beta2, epsilon = _numbers(self, var)
        m, m_rows = self._decayed_slot(var, "m", beta1, indices, grad)
        v, v_rows = self._decayed_slot(var, "v", beta2, indices, grad * grad)
        step = lr * (grad * (1 - beta1) + beta1 * m_rows) / (tf.sqrt(v_rows) + epsilon)
        return tf.group(tf.scatter_sub(var, indices, step, use_locking=self._use_locking), m, v)

    def _decayed_slot(self, var, name, beta, indices, values):
        """All of a slot decays, and rows get `values`; returns (it, these rows)."""
        slot = self.get_slot(var, name)
        with tf.control_dependencies([tf.assign(slot, slot * beta, use_locking=self._use_locking)]):
            updated = tf.scatter_add(slot, indices, values * (1 - beta), use_locking=self._use_locking)
        return updated, rows_after(updated, slot, indices)


class _Lazy(EitherSparse):
    """Adam whose sparse gradients touch their rows only: of the variable, and of the slots."""

    def _sparse(self, grad, var, indices):
        lr, beta1, beta2, epsilon = _numbers(self, var)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m = beta1 * tf.gather(m, indices) + (1 - beta1) * grad
        new_v = beta2 * tf.gather(v, indices) + (1 - beta2) * tf.square(grad)
        step = lr * new_m / (tf.sqrt(new_v) + epsilon)
        return tf.group(
            tf.scatter_sub(var, indices, step, use_locking=self._use_locking),
            tf.scatter_update(m, indices, new_m, use_locking=self._use_locking),
            tf.scatter_update(v, indices, new_v, use_locking=self._use_locking),
        )


class LazyAdamOptimizer(_Lazy, tf.train.AdamOptimizer):
    """Adam for embeddings: rows without a gradient do not move. Arguments and slots of `tf.train.AdamOptimizer`."""


class AdamGSOptimizer(tf.train.AdamOptimizer):
    """Adam that corrects its bias by the global step, and so needs no variables for that.

    Args:
        global_step: the steps done so far, a variable.
        learning_rate, beta1, beta2, epsilon, use_locking, name: of `tf.train.AdamOptimizer`.
    """

    def __init__(
        self,
        global_step=0,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        use_locking=False,
        name="Adam",
    ):
        super().__init__(learning_rate, beta1, beta2, epsilon, use_locking, name)
        self._global_step = global_step
        self._global_step_on_worker = None

    def _get_beta_accumulators(self):
        step = self._global_step_on_worker
        return tf.pow(self._beta1_t, step), tf.pow(self._beta2_t, step)

    def _create_slots(self, var_list):
        for var in var_list:
            self._zeros_slot(var, "m", self._name)
            self._zeros_slot(var, "v", self._name)

    def _prepare(self):
        super()._prepare()
        self._global_step_on_worker = tf.cast(tf.identity(self._global_step) + 1, tf.float32)

    def _finish(self, update_ops, name_scope):
        return tf.group(*update_ops, name=name_scope)


class LazyAdamGSOptimizer(_Lazy, AdamGSOptimizer):
    """`LazyAdamOptimizer` with the arguments of `AdamGSOptimizer`."""
