"""Where a run stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slimft.compat import tf
from slimft.runs.history import History
from slimft.training.features import Features
from slimft.training.progress import Events
from slimft.training.run import Run
from slimft.training.signals import StopSignals


@dataclasses.dataclass
class State:
    """Where a run stands in its session.

    Attributes:
        run: the run.
        session: its session.
        history: what it has measured.
        events: its TensorBoard events.
        stop: the signals that end it.
        step: the steps that are done.
        saved: the step of its newest checkpoint; None where there is none.
        features: what its frozen layers make of the examples, as far as that is kept.
        trial: of a trial of a search, what is given its validations; else None.
    """

    run: Run
    session: tf.Session
    history: History
    events: Events
    stop: StopSignals
    step: int
    saved: int | None
    features: Features
    trial: Callable[[Sequence[Mapping[str, Any]]], object] | None = None

    def is_to_stop(self) -> bool:
        """Whether a signal has come, to whichever process."""
        (stops,) = self.run.group.any(self.stop.received is not None)
        return stops
