"""What a person sees of a run: a progress bar on standard error and TensorBoard events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from slimft.compat import tf
from slimft.messages import is_redrawn, stream_for_bars
from slimft.progress_bar import ProgressBar
from slimft.runs.history import History, Sums

# On a terminal and in a notebook, the bar is redrawn twice a second; a log file gets a line now and then.
_REDRAWN_SECONDS = 0.5
_LOG_SECONDS = 15.0


class Measured(NamedTuple):
    """What a step of training measured.

    Attributes:
        values: the means over its batches, by the names of `slimft.tasks.Task.measured`.
        learning_rate: its learning rate.
        own_seconds: what this process computed before it had to wait for others; None where there are none.
    """

    values: dict[str, float]
    learning_rate: float
    own_seconds: float | None = None


class Progress(ProgressBar):
    """The progress bar of a run: images done, images per second, time left, and what is measured.

    Args:
        step: the step training starts at.
        total_steps: the step it ends at.
        batch_size: images per step.
    """

    def __init__(self, step: int, total_steps: int, batch_size: int):
        redrawn = is_redrawn(stream_for_bars())
        super().__init__(
            total=total_steps * batch_size,
            initial=step * batch_size,
            unit=" images",
            unit_scale=True,
            ascii=not redrawn,
            bar_format=None if redrawn else "{l_bar}{r_bar}\n",
            mininterval=_REDRAWN_SECONDS if redrawn else _LOG_SECONDS,
            smoothing=0.1,
            leave=True,
        )
        self._batch_size = batch_size

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Notes that training step `step` is done, with what was measured: the loss first."""
        told = (f"{name} {value:.{3 if name == 'loss' else 2}f}" for name, value in values.items())
        self.set_postfix_str(", ".join([f"step {step}", *told]), refresh=False)
        self.update(self._batch_size)


class Events:
    """Writes scalars as TensorBoard events into a directory.

    Args:
        directory: the run's directory; None to write nothing.
        step: the step the run starts at; TensorBoard forgets what an earlier run wrote from there on.

    Attributes:
        writer: the `tf.summary.FileWriter`; None where nothing is written.
    """

    def __init__(self, directory: str | None, step: int):
        self.writer = None if directory is None else tf.summary.FileWriter(directory)
        if self.writer:
            self.writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.writer:
            self.writer.close()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Adds one value for each tag in `values`."""
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()])
        if self.writer:
            self.writer.add_summary(summary, step)

    def flush(self) -> None:
        """Makes what was written visible to others."""
        if self.writer:
            self.writer.flush()


class Meter:
    """The learning curves of training: a point of the means every few steps.

    Args:
        history: gets the points.
        events: gets them, too.
        images_per_step: how many images make a step.
        log_steps: steps between two points.
    """

    def __init__(self, history: History, events: Events, images_per_step: int, log_steps: int):
        self._history, self._events = history, events
        self._images_per_step, self._log_steps = images_per_step, log_steps
        self._steps, self._seconds, self._rate = 0, 0.0, 0.0
        self._has_begun = False

    @property
    def images_per_second(self) -> float | None:
        """Of all steps but the first, which also optimizes the graph; None if there were none."""
        return self._steps * self._images_per_step / self._seconds if self._seconds else None

    def step(self, step: int, seconds: float, measured: Measured) -> None:
        """Notes that step `step` is done, how long it took and what was measured."""
        if self._has_begun:
            self._seconds += seconds
            self._steps += 1
        self._has_begun = True
        self._rate = measured.learning_rate
        self._history.sums.add(step, seconds, measured.values)
        if step % self._log_steps == 0:
            self.finish_point()

    def finish_point(self) -> None:
        """Ends a point of the curves, if there was a step since the last."""
        sums = self._history.sums
        if not sums.steps:
            return
        means = {name: total / sums.steps for name, total in sums.totals.items()}
        values = {**means, "learning_rate": self._rate}
        self._events.write(sums.step, {f"train/{name}": value for name, value in values.items()})
        seconds = self._history.seconds
        speed = sums.steps * self._images_per_step / sums.seconds
        self._history.sums = Sums(sums.step)
        self._history.train.append({"step": sums.step, **values, "seconds": seconds, "images_per_second": speed})


def device_name() -> str:
    """What the session runs on, such as ``1 GPU`` or ``the CPU``."""
    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU" if gpus else "the CPU"
