"""When a run validates, saves and notes a point of its curves."""

from __future__ import annotations

import time

from slimft.runs.settings import Settings

# Steps between two points of the curves: ten, or as many as make a thousand points.
_LOG_STEPS, _MOST_POINTS = 10, 1000


class Schedule:
    """When things are due in a run.

    Args:
        settings: the run's settings.
        num_examples: how many examples it trains on.
        total_steps: the step it ends at, unless it stops early.

    Attributes:
        images_per_step: how many images make a step.
        log_steps: steps between two points of the curves.
    """

    def __init__(self, settings: Settings, num_examples: int, total_steps: int):
        self.images_per_step = settings.batch_size * settings.accumulate
        self.log_steps = max(_LOG_STEPS, total_steps // _MOST_POINTS)
        self._eval_every, self._num_examples = settings.eval_every, num_examples
        self._save_secs, self._saved = settings.save_secs, time.monotonic()

    def validates(self, step: int) -> bool:
        """Whether `step` is one to validate at: every ``--eval_every`` steps, or where an epoch ends."""
        if step == 0:
            return False
        if self._eval_every is not None:
            return step % self._eval_every == 0
        return step * self.images_per_step % self._num_examples < self.images_per_step

    def saves(self) -> bool:
        """Whether the newest checkpoint is ``--save_secs`` old."""
        return time.monotonic() - self._saved >= self._save_secs

    def has_saved(self) -> None:
        """Notes that there is a new checkpoint."""
        self._saved = time.monotonic()
