"""Weight decay apart from the gradient (Loshchilov and Hutter 2019), for any optimizer."""

from __future__ import annotations

import contextlib

from slimft.compat.contrib.opt.shampoo import ShampooOptimizer
from slimft.compat.v1 import tf


class DecoupledWeightDecayExtension:
    """Comes before an optimizer among the bases of a class: variables shrink before each step.

    They do so when their gradients are known; in TensorFlow 1.15 it could also be before these were computed.

    Args:
        weight_decay: the share that is taken off: a number, a tensor or a function that returns one.
        **kwargs: the optimizer's arguments.
    """

    def __init__(self, weight_decay, *args, **kwargs):
        self._decay_var_list = None
        self._weight_decay = weight_decay
        self._weight_decay_tensor = None
        super().__init__(*args, **kwargs)

    def minimize(
        self,
        loss,
        global_step=None,
        var_list=None,
        gate_gradients=tf.train.Optimizer.GATE_OP,
        aggregation_method=None,
        colocate_gradients_with_ops=False,
        name=None,
        grad_loss=None,
        decay_var_list=None,
    ):
        """`tf.train.Optimizer.minimize`.

        As in TensorFlow 1.15, `decay_var_list` is passed over here, and all variables decay; a line says so.
        `apply_gradients` goes by it.
        """
        if decay_var_list:
            tf.logging.warning("minimize passes decay_var_list over, as in TensorFlow 1.15: all variables decay")
        return super().minimize(
            loss, global_step=global_step, var_list=var_list, gate_gradients=gate_gradients,
            aggregation_method=aggregation_method, colocate_gradients_with_ops=colocate_gradients_with_ops,
            name=name, grad_loss=grad_loss,
        )  # fmt: skip

    def apply_gradients(self, grads_and_vars, global_step=None, name=None, decay_var_list=None):
        """`tf.train.Optimizer.apply_gradients`; only the variables of `decay_var_list` decay, by default all."""
        self._decay_var_list = set(decay_var_list) if decay_var_list else False
        return super().apply_gradients(grads_and_vars, global_step=global_step, name=name)

    def _prepare(self):
        weight_decay = self._weight_decay() if callable(self._weight_decay) else self._weight_decay
        self._weight_decay_tensor = tf.convert_to_tensor(weight_decay, name="weight_decay")
        super()._prepare()

    def _decays(self, var):
        return not self._decay_var_list or var in self._decay_var_list

    def _decay_weights_op(self, var):
        if not self._decays(var):
            return tf.no_op()
        weight_decay = tf.cast(self._weight_decay_tensor, var.dtype.base_dtype)
        return var.assign_sub(weight_decay * var, self._use_locking)

    def _decay_weights_sparse_op(self, var, indices):
        if not self._decays(var):
            return tf.no_op()
        weight_decay = tf.cast(self._weight_decay_tensor, var.dtype.base_dtype)
        return tf.scatter_sub(var, indices, weight_decay * tf.gather(var, indices), self._use_locking)

    @contextlib.contextmanager
    def _after_decay(self, grad, var, indices=None):
        """For the step, which comes after the decay, which comes after the gradient of the weights as they were."""
        with tf.control_dependencies([grad]):
            decay = self._decay_weights_op(var) if indices is None else self._decay_weights_sparse_op(var, indices)
        with tf.control_dependencies([decay]):
            yield

    def _apply_dense(self, grad, var):
        with self._after_decay(grad, var):
            return super()._apply_dense(grad, var)

    def _resource_apply_dense(self, grad, var):
        with self._after_decay(grad, var):
            return super()._resource_apply_dense(grad, var)

    def _apply_sparse(self, grad, var):
        with self._after_decay(grad, var, grad.indices):
            return super()._apply_sparse(grad, var)

    def _resource_apply_sparse(self, grad, var, indices):
        with self._after_decay(grad, var, indices):
            return super()._resource_apply_sparse(grad, var, indices)


def extend_with_decoupled_weight_decay(base_optimizer):
    """A class of `base_optimizer`'s kind whose first argument is `weight_decay`; see the extension."""

    class OptimizerWithDecoupledWeightDecay(DecoupledWeightDecayExtension, base_optimizer):
        """The optimizer with weight decay."""

    return OptimizerWithDecoupledWeightDecay


class MomentumWOptimizer(DecoupledWeightDecayExtension, tf.train.MomentumOptimizer):
    """`tf.train.MomentumOptimizer` with weight decay."""

    def __init__(
        self, weight_decay, learning_rate, momentum, use_locking=False, name="MomentumW", use_nesterov=False
    ):
        super().__init__(weight_decay, learning_rate, momentum, use_locking, name, use_nesterov)


class AdamWOptimizer(DecoupledWeightDecayExtension, tf.train.AdamOptimizer):
    """`tf.train.AdamOptimizer` with weight decay."""

    def __init__(
        self,
        weight_decay,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        use_locking=False,
        name="AdamW",
    ):
        super().__init__(weight_decay, learning_rate, beta1, beta2, epsilon, use_locking, name)


class ShampooWOptimizer(DecoupledWeightDecayExtension, ShampooOptimizer):
    """`ShampooOptimizer` with weight decay.

    As in TensorFlow 1.15, `mat_gbar_weight` is the decay of the matrices, and their weight is 1.
    """

    def __init__(
        self,
        weight_decay,
        global_step,
        max_matrix_size=768,
        gbar_decay=0.0,
        gbar_weight=1.0,
        mat_gbar_decay=1.0,
        mat_gbar_weight=1.0,
        learning_rate=1.0,
        svd_interval=1,
        precond_update_interval=1,
        epsilon=1e-4,
        alpha=0.5,
        use_iterative_root=False,
        use_locking=False,
        name="ShampooW",
    ):
        super().__init__(
            weight_decay, global_step=global_step, max_matrix_size=max_matrix_size, gbar_decay=gbar_decay,
            gbar_weight=gbar_weight, mat_gbar_decay=mat_gbar_weight, learning_rate=learning_rate,
            svd_interval=svd_interval, precond_update_interval=precond_update_interval, epsilon=epsilon,
            alpha=alpha, use_iterative_root=use_iterative_root, use_locking=use_locking, name=name,
        )  # fmt: skip
