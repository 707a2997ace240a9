"""A run that the trackers of ``--track`` are told of."""

from __future__ import annotations

import contextlib

from slimft.runs.settings import Settings
from slimft.tracking.following import followed
from slimft.training.cluster.joining import WorkerLost
from slimft.training.failures import Interrupted


def follow(settings: Settings, *stops: type[BaseException]) -> contextlib.AbstractContextManager[None]:
    """A context in which a run trains, as of `slimft.training.loop.Follow`.

    Args:
        settings: the run's.
        stops: what else ends the command, and not the run.
    """
    return followed(settings, (Interrupted, WorkerLost, *stops))
