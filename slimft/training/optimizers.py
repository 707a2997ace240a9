"""Learning-rate schedules and optimizers, as tensors and ops of a TF1 graph."""

from __future__ import annotations

from slimft.compat import tf
from slimft.training.settings import Settings


def learning_rate(settings: Settings, global_step, total_steps: int, steps_per_epoch: float):
    """The learning rate at `global_step`, a float32 scalar.

    ``cosine`` falls from the initial rate to zero over the run (Loshchilov and Hutter, arXiv:1608.03983),
    ``exponential`` is multiplied by `decay_factor` every `decay_epochs`, in steps as slim's
    train_image_classifier does it, ``fixed`` stays.
    """
    initial = tf.constant(settings.learning_rate, tf.float32)
    if settings.schedule == "fixed":
        return initial
    if settings.schedule == "cosine":
        return tf.train.cosine_decay(initial, global_step, total_steps)
    decay_steps = max(1, round(steps_per_epoch * settings.decay_epochs))
    return tf.train.exponential_decay(
        initial, global_step, decay_steps, settings.decay_factor, staircase=True
    )


def optimizer(settings: Settings, rate) -> tf.train.Optimizer:
    """The optimizer of the settings; what they do not say has the defaults of slim's train_image_classifier."""
    if settings.optimizer == "momentum":
        return tf.train.MomentumOptimizer(rate, settings.momentum)
    if settings.optimizer == "adam":
        return tf.train.AdamOptimizer(rate)
    if settings.optimizer == "rmsprop":
        return tf.train.RMSPropOptimizer(rate, decay=0.9, momentum=settings.momentum, epsilon=1.0)
    return tf.train.GradientDescentOptimizer(rate)
