"""`LARSOptimizer`, with a learning rate for each layer, and `RegAdagradOptimizer`."""

from __future__ import annotations

import contextlib

from slimft.compat.contrib.opt.updates import EitherKind, apply, cast
from slimft.compat.v1 import tf


class LARSOptimizer(EitherKind, tf.train.Optimizer):
    """Momentum whose learning rate is scaled by the norms of weights and gradient (You et al. 2017).

    Args:
        learning_rate: before scaling.
        momentum: slot ``momentum``.
        weight_decay: times the weights is added to the gradient.
        eeta: times norm(weights) / (norm(gradient) + weight_decay * norm(weights) + epsilon) is the scale.
        epsilon: see `eeta`.
        name: of the operations.
        skip_list: parts of names of variables that are not scaled and do not decay, or None.
        use_nesterov: whether the momentum is Nesterov's.

    Raises:
        ValueError: `momentum` or `weight_decay` is negative.
    """

    def __init__(
        self,
        learning_rate,
        momentum=0.9,
        weight_decay=0.0001,
        eeta=0.001,
        epsilon=0.0,
        name="LARSOptimizer",
        skip_list=None,
        use_nesterov=False,
    ):
        if momentum < 0:
            raise ValueError(f"momentum cannot be negative, as {momentum} is")
        if weight_decay < 0:
            raise ValueError(f"weight_decay cannot be negative, as {weight_decay} is")
        super().__init__(False, name)
        self._learning_rate = learning_rate
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._eeta = eeta
        self._epsilon = epsilon
        self._skip_list = skip_list
        self._use_nesterov = use_nesterov

    def _create_slots(self, var_list):
        for var in var_list:
            self._zeros_slot(var, "momentum", self._name)

    def compute_lr(self, grad, var):
        """(the scaled learning rate, the gradient with that of the decay) of a variable."""
        if self._skip_list is not None and any(part in var.name for part in self._skip_list):
            return self._learning_rate, grad
        weights, gradient = tf.norm(var, ord=2), tf.norm(grad, ord=2)
        ratio = self._eeta * weights / (gradient + self._weight_decay * weights + self._epsilon)
        scaled = tf.logical_and(weights > 0, gradient > 0)
        return self._learning_rate * tf.where(scaled, ratio, tf.ones_like(ratio)), grad + self._weight_decay * var

    def _dense(self, grad, var):
        scaled_lr, grad = self.compute_lr(grad, var)
        lr, momentum = cast(var, 1.0, self._momentum)
        return apply(
            "ApplyMomentum", var, {"accum": self.get_slot(var, "momentum")}, lr=lr, grad=grad * scaled_lr,
            momentum=momentum, use_nesterov=self._use_nesterov,
        )  # fmt: skip

    def _sparse(self, grad, var, indices):
        # Without scaling.
        lr, momentum = cast(var, self._learning_rate_tensor, self._momentum_tensor)
        return apply(
            "SparseApplyMomentum", var, {"accum": self.get_slot(var, "momentum")}, lr=lr, grad=grad,
            indices=indices, momentum=momentum, use_nesterov=self._use_nesterov,
        )  # fmt: skip

    def _prepare(self):
        self._learning_rate_tensor = tf.convert_to_tensor(
            self._call_if_callable(self._learning_rate), name="learning_rate"
        )
        self._momentum_tensor = tf.convert_to_tensor(self._call_if_callable(self._momentum), name="momentum")


class RegAdagradOptimizer(EitherKind, tf.train.AdagradOptimizer):
    """Adagrad that can take steps without adding to its sums: ``with optimizer.avoid_updating_slots():``.

    Arguments and slot of `tf.train.AdagradOptimizer`.
    """

    def __init__(self, learning_rate, initial_accumulator_value=0.1, use_locking=False, name="RegAdagrad"):
        super().__init__(learning_rate, initial_accumulator_value, use_locking, name)
        self._should_update_slots = True

    @contextlib.contextmanager
    def avoid_updating_slots(self):
        """Within it, what is made does not change the slots."""
        before, self._should_update_slots = self._should_update_slots, False
        try:
            yield
        finally:
            self._should_update_slots = before

    def _dense(self, grad, var):
        return self._updated("ApplyAdagrad", var, grad=grad)

    def _sparse(self, grad, var, indices):
        return self._updated("SparseApplyAdagrad", var, grad=grad, indices=indices)

    def _updated(self, op_name, var, **arguments):
        return apply(
            op_name, var, {"accum": self.get_slot(var, "accumulator")}, lr=cast(var, self._learning_rate_tensor)[0],
            use_locking=self._use_locking, update_slots=self._should_update_slots, **arguments,
        )  # fmt: skip
