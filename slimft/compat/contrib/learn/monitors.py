"""tf.contrib.learn.monitors: those that are a hook of tf.train today, and a line for the rest.

Source: tensorflow/contrib/learn/python/learn/monitors.py of TensorFlow 1.15.
"""

from __future__ import annotations

from slimft.compat.v1 import tf
from slimft.errors import UsageError

__all__ = [
    "BaseMonitor", "CaptureVariable", "CheckpointSaver", "EveryN", "ExportMonitor", "GraphDump", "LoggingTrainable",
    "NanLoss", "NanLossDuringTrainingError", "PrintTensor", "RunHookAdapterForMonitors", "StepCounter",
    "StopAtStep", "SummarySaver", "SummaryWriterCache", "ValidationMonitor", "get_default_monitors",
    "replace_monitors_with_hooks",
]  # fmt: skip

NanLossDuringTrainingError = tf.train.NanLossDuringTrainingError
SummaryWriterCache = tf.summary.FileWriterCache


def PrintTensor(tensor_names, every_n=100, first_n=1):
    """A tf.train.LoggingTensorHook of tensors by name, or by names of one's own."""
    return tf.train.LoggingTensorHook(tensor_names, every_n_iter=every_n)


def StopAtStep(num_steps=None, last_step=None):
    """A tf.train.StopAtStepHook."""
    return tf.train.StopAtStepHook(num_steps, last_step)


def NanLoss(loss_tensor, every_n_steps=100, fail_on_nan_loss=True):
    """A tf.train.NanTensorHook, which looks at each step."""
    return tf.train.NanTensorHook(loss_tensor, fail_on_nan_loss)


def StepCounter(every_n_steps=100, output_dir=None, summary_writer=None):
    """A tf.train.StepCounterHook."""
    return tf.train.StepCounterHook(every_n_steps, output_dir=output_dir, summary_writer=summary_writer)


def SummarySaver(summary_op, save_steps=100, output_dir=None, summary_writer=None, scaffold=None):
    """A tf.train.SummarySaverHook."""
    return tf.train.SummarySaverHook(
        save_steps, None, output_dir, summary_writer, scaffold=scaffold, summary_op=summary_op
    )


def CheckpointSaver(
    checkpoint_dir, save_secs=None, save_steps=None, saver=None, checkpoint_basename="model.ckpt", scaffold=None
):
    """A tf.train.CheckpointSaverHook."""
    return tf.train.CheckpointSaverHook(checkpoint_dir, save_secs, save_steps, saver, checkpoint_basename, scaffold)


def replace_monitors_with_hooks(monitors_or_hooks, estimator=None) -> list:
    """As they are: all are hooks."""
    return list(monitors_or_hooks or [])


class _Gone:
    """A monitor that can be named and not be made."""

    advice = "write a tf.train.SessionRunHook"

    def __init__(self, *_, **__):
        raise UsageError(f"no tf.contrib.learn.monitors.{type(self).__name__}: {self.advice}")


class BaseMonitor(_Gone):
    """The base of monitors."""


class EveryN(_Gone):
    """A monitor of each n-th step."""


class CaptureVariable(_Gone):
    """Keeps values of a variable."""


class GraphDump(_Gone):
    """Keeps values of all tensors."""


class LoggingTrainable(_Gone):
    """Logs trainable variables."""

    advice = "use tf.train.LoggingTensorHook"


class RunHookAdapterForMonitors(_Gone):
    """Monitors as a hook."""


class ValidationMonitor(_Gone):
    """Evaluates during training."""

    advice = (
        "use tf.estimator.train_and_evaluate, tf.contrib.learn.Experiment or "
        "tf.contrib.estimator.InMemoryEvaluatorHook; to stop early, tf.contrib.estimator.stop_if_no_decrease_hook"
    )


class ExportMonitor(_Gone):
    """Exports during training."""

    advice = "use tf.estimator.LatestExporter with tf.estimator.train_and_evaluate"


def get_default_monitors(*_, **__):
    """UsageError: tf.train.MonitoredTrainingSession brings them along."""
    raise UsageError("no tf.contrib.learn.monitors.get_default_monitors: use tf.train.MonitoredTrainingSession")
