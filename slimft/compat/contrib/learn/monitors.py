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


class ValidationMonitor(tf.train.SessionRunHook):
    """Evaluates the latest checkpoint during `Estimator.fit`, and stops when a metric gets no better.

    Args:
        x, y, input_fn, batch_size: the data, as `Estimator.evaluate`'s.
        eval_steps: batches of an evaluation; None for all.
        every_n_steps: how often; a checkpoint is evaluated once.
        metrics, hooks, name: as `Estimator.evaluate`'s.
        early_stopping_rounds: training ends if in so many steps the metric got no better; None for never.
        early_stopping_metric: which one.
        early_stopping_metric_minimize: whether smaller is better.
        check_interval_secs: not used.

    Attributes:
        early_stopped: whether it has ended the training.
        best_step, best_value, best_metrics: of the best evaluation; None before the first.
    """

    def __init__(
        self,
        x=None,
        y=None,
        input_fn=None,
        batch_size=None,
        eval_steps=None,
        every_n_steps=100,
        metrics=None,
        hooks=None,
        early_stopping_rounds=None,
        early_stopping_metric="loss",
        early_stopping_metric_minimize=True,
        name=None,
        check_interval_secs=5,
    ):
        self._evaluation = {
            **{"x": x, "y": y, "input_fn": input_fn, "batch_size": batch_size, "steps": eval_steps},
            **{"metrics": metrics, "hooks": hooks, "name": name},
        }
        self._every_n_steps, self._rounds = every_n_steps, early_stopping_rounds
        self._metric, self._sign = early_stopping_metric, 1 if early_stopping_metric_minimize else -1
        self._estimator = self._checkpoint = self._last_step = None
        self.early_stopped = False
        self.best_step = self.best_value = self.best_metrics = None

    def set_estimator(self, estimator) -> None:
        """Says whose training it is; `fit` does so."""
        self._estimator = estimator

    def begin(self):
        if self._estimator is None:
            raise UsageError("ValidationMonitor needs fit of an Estimator of tf.contrib.learn")
        self._last_step = None
        self._step = tf.train.get_global_step()

    def after_run(self, run_context, run_values):
        step = int(run_context.session.run(self._step))
        if self._last_step is None:
            self._last_step = step - 1
        checkpoint = tf.train.latest_checkpoint(self._estimator.model_dir)
        if step - self._last_step < self._every_n_steps or checkpoint in (None, self._checkpoint):
            return
        self._last_step, self._checkpoint = step, checkpoint
        result = self._estimator.evaluate(checkpoint_path=checkpoint, **self._evaluation)
        if self._rounds is None:
            return
        if self._metric not in result:
            raise UsageError(f"early_stopping_metric: there is no {self._metric}; there are {', '.join(result)}")
        value = result[self._metric]
        if self.best_value is None or self._sign * value < self._sign * self.best_value:
            self.best_step, self.best_value, self.best_metrics = step, value, result
        elif step - self.best_step >= self._rounds:
            tf.logging.info("Stopping at step %d: %s was best at step %d.", step, self._metric, self.best_step)
            self.early_stopped = True
            run_context.request_stop()


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


class ExportMonitor(_Gone):
    """Exports during training."""

    advice = "use tf.estimator.LatestExporter with tf.estimator.train_and_evaluate"


def get_default_monitors(*_, **__):
    """UsageError: tf.train.MonitoredTrainingSession brings them along."""
    raise UsageError("no tf.contrib.learn.monitors.get_default_monitors: use tf.train.MonitoredTrainingSession")
