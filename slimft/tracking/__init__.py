"""Runs told to trackers of experiments, which are MLflow and Weights & Biases.

What a tracker has of a run comes from the files in the run's directory and from nothing else. So a run is tracked
while it trains (`following`), and afterwards, by the same code (`upload`), which works in a process of its own
(`follower`): what a tracker's package and its network do there neither ends nor slows a training.

A module a tracker, each with a `connect` that returns a `slimft.tracking.base.Tracker`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from slimft.errors import UsageError

# Tracker to the module that speaks to it.
TRACKERS = {"mlflow": "slimft.tracking.to_mlflow", "wandb": "slimft.tracking.to_wandb"}


def check_trackers(names: Sequence[str]) -> None:
    """Raises UsageError if there is no such tracker, or its package is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"--track={name}: the trackers are {' and '.join(TRACKERS)}")
        spec = importlib.util.find_spec(name)
        # Both leave a folder of their own name behind, which Python takes for a package without a file.
        if spec is None or spec.origin is None:
            raise UsageError(f"--track={name} needs the package {name}: pip install 'slimft[{name}]'")
