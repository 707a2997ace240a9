"""Learning-rate schedules, optimizers and moving averages, as tensors and ops of a TF1 graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimft.compat import tf
from slimft.runs.settings import Settings


def learning_rate(settings: Settings, initial: float, step, total_steps: int, steps_per_epoch: float):
    """The learning rate at `step`, a float32 scalar.

    In the first `warmup_epochs` it rises linearly to the initial rate (Goyal et al., arXiv:1706.02677). Then
    ``cosine`` falls to zero over the other steps (Loshchilov and Hutter, arXiv:1608.03983), ``exponential`` is
    multiplied by `decay_factor` every `decay_epochs`, ``fixed`` stays, ``poly`` is multiplied by the power
    `poly_power` of the share of the steps that is left (Liu et al., arXiv:1506.04579). The number of steps in
    between is rounded to the nearest; research/slim/train_image_classifier.py rounds it down.

    Args:
        settings: the run's settings.
        initial: the initial rate.
        step: int scalar tensor, 0 at the start.
        total_steps: the steps the schedule is for.
        steps_per_epoch: how many make an epoch.
    """
    warmup_steps = min(round(settings.warmup_epochs * steps_per_epoch), total_steps - 1)
    rate = _schedule(
        settings, tf.constant(initial, tf.float32), step - warmup_steps, total_steps - warmup_steps, steps_per_epoch
    )
    if not warmup_steps:
        return rate
    rising = initial * tf.cast(step + 1, tf.float32) / warmup_steps
    return tf.where(step < warmup_steps, rising, rate)


def _schedule(settings: Settings, initial, step, total_steps: int, steps_per_epoch: float):
    if settings.schedule == "fixed":
        return initial
    if settings.schedule == "poly":
        left = 1 - tf.cast(step, tf.float32) / total_steps
        return initial * tf.pow(tf.clip_by_value(left, 0.0, 1.0), settings.poly_power)
    if settings.schedule == "cosine":
        return tf.train.cosine_decay(initial, step, total_steps)
    decay_steps = max(1, round(steps_per_epoch * settings.decay_epochs))
    return tf.train.exponential_decay(initial, step, decay_steps, settings.decay_factor, staircase=True)


class _DecayingMomentum(tf.train.MomentumOptimizer):
    """Momentum that adds L2 weight decay by itself.

    ``v = m * v + (g + decay * w)`` is computed as ``v = m * (v + decay / m * w) + g``, in place: no gradient of
    the decay, and no sum of the two, is in memory beside the weights, or has to be written and read.

    Args:
        decays: factors by the name of a resource variable.
    """

    def __init__(self, rate, momentum: float, decays: Mapping[str, float]):
        super().__init__(rate, momentum)
        self._decay_shares = {name: decay / momentum for name, decay in decays.items()}

    def _resource_apply_dense(self, gradient, variable):
        share = self._decay_shares.get(variable.op.name)
        if share is None:
            return super()._resource_apply_dense(gradient, variable)
        with tf.control_dependencies([gradient]):
            decayed = tf.raw_ops.ResourceApplyGradientDescent(
                var=self.get_slot(variable, "momentum").handle,
                alpha=tf.constant(-share, variable.dtype.base_dtype),
                delta=variable.read_value(),
            )
        with tf.control_dependencies([decayed]):
            return super()._resource_apply_dense(gradient, variable)


def decays_by_itself(settings: Settings) -> bool:
    """Whether the optimizer adds weight decay, so that the loss need not; not where gradients are clipped."""
    return settings.optimizer == "momentum" and settings.momentum > 0 and settings.clip_norm is None


def optimizer(settings: Settings, rate, decays: Mapping[str, float] | None = None) -> tf.train.Optimizer:
    """The optimizer of the settings; `decays` has the weight decay by a variable's name, if it `decays_by_itself`.

    RMSProp's decay of 0.9 and epsilon of 1 are those of research/slim/train_image_classifier.py. Adam's betas of
    0.9 and 0.999 and its epsilon of 1e-8 are TensorFlow's. That script gives Adam the epsilon 1, which outweighs
    the usual gradients: a step is then proportional to them, and the script's learning rates do not carry over.
    """
    if decays and decays_by_itself(settings):
        return _DecayingMomentum(rate, settings.momentum, decays)
    if settings.optimizer == "momentum":
        return tf.train.MomentumOptimizer(rate, settings.momentum)
    if settings.optimizer == "adam":
        return tf.train.AdamOptimizer(rate)
    if settings.optimizer == "rmsprop":
        return tf.train.RMSPropOptimizer(rate, decay=0.9, momentum=settings.momentum, epsilon=1.0)
    return tf.train.GradientDescentOptimizer(rate)


def apply_gradients(
    settings: Settings,
    rate,
    gradients: Sequence,
    variables: Sequence,
    factors: Sequence[float],
    decays: Mapping[str, float] | None = None,
):
    """Clips the gradients and lets the optimizer apply them.

    Args:
        settings: the run's settings.
        rate: the learning rate.
        gradients: a tensor for each variable.
        variables: what they are the gradients of.
        factors: what each variable's learning rate is multiplied by. Each has an optimizer: a gradient that is
            multiplied instead would be what Adam and RMSProp divide by again.
        decays: as of `optimizer`.

    Returns:
        The op, and the optimizers' own variables.
    """
    if settings.clip_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, settings.clip_norm)
    groups: dict[float, list] = {}
    for gradient, variable, factor in zip(gradients, variables, factors):
        groups.setdefault(factor, []).append((gradient, variable))
    ops, own_variables = [], []
    for factor, pairs in sorted(groups.items()):
        one = optimizer(settings, rate if factor == 1 else rate * factor, decays)
        ops.append(one.apply_gradients(pairs))
        own_variables += one.variables()
    return tf.group(*ops), own_variables


def sum_up(gradients: Sequence):
    """Sums gradients over several runs of the session, for a step of several batches.

    Returns:
        The op that adds this batch's, and the sums, which are variables to be set to zero after each step.
    """
    with tf.control_dependencies(None):  # What the op waits for, the variables' initializers do not.
        sums = [
            tf.Variable(
                tf.zeros(gradient.shape, gradient.dtype),
                trainable=False,
                use_resource=True,
                collections=[tf.GraphKeys.LOCAL_VARIABLES],
                name="gradient_sum",
            )
            for gradient in gradients
        ]
    return tf.group(*(total.assign_add(gradient) for total, gradient in zip(sums, gradients))), sums


class MovingAverages:
    """Moving averages of variables, under the names of `tf.train.ExponentialMovingAverage`.

    After update number n, from 0, an average is ``d * average + (1 - d) * variable`` with a d of
    ``min(decay, (1 + n) / (10 + n))``.

    Args:
        decay: the decay, below 1.
        variables: what to average.
    """

    def __init__(self, decay: float, variables: Sequence[tf.Variable]):
        self._decay = decay
        self.of = {
            variable.op.name: tf.get_variable(
                f"{variable.op.name}/ExponentialMovingAverage",
                variable.shape,
                variable.dtype.base_dtype,
                tf.zeros_initializer(),
                trainable=False,
            )
            for variable in variables
        }
        self.start = {
            average.op.name: tf.assign(average, variable.read_value())
            for variable, average in zip(variables, self.of.values())
        }
        self._variables = list(variables)

    def update(self, step):
        """The op of an update, number `step`; what it waits for has to be said around it."""
        step = tf.cast(step, tf.float32)
        share = 1 - tf.minimum(self._decay, (1 + step) / (10 + step))
        # read_value and not the variable: a variable's tensor may have been read before what this op waits for.
        pairs = [(variable, self.of[variable.op.name]) for variable in self._variables]
        return tf.group(
            *(tf.assign_sub(average, share * (average - variable.read_value())) for variable, average in pairs)
        )

    def average(self, variable: tf.Variable) -> tf.Variable | None:
        """The average of `variable`; None if there is none."""
        return self.of.get(variable.op.name)
