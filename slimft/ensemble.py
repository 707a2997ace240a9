"""The networks that predict together: those of several runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.errors import UsageError
from slimft.inference import Network, find_network

TrainDirs = str | os.PathLike | Sequence[str | os.PathLike] | None


def find_networks(
    model: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    *,
    train_dir: TrainDirs = None,
    **arguments,
) -> list[Network]:
    """As `find_network`, of each of several runs.

    Args:
        model, checkpoint, arguments: as of `find_network`.
        train_dir: the directory of a run; or of several, in a list or with commas between them.

    Raises:
        UsageError: also where there are several runs and a `checkpoint`.
    """
    train_dirs = _split(train_dir)
    if len(train_dirs) > 1 and checkpoint is not None:
        raise UsageError(
            f"--checkpoint={getattr(checkpoint, 'path', checkpoint)}: of several runs, each is used with what it "
            "ended with; for another checkpoint of one, name its folder, such as DIR/best"
        )
    return [find_network(model, checkpoint, train_dir=one, **arguments) for one in train_dirs]


def _split(train_dir: TrainDirs) -> list[str | os.PathLike | None]:
    if isinstance(train_dir, (list, tuple)):
        return list(train_dir)
    if not isinstance(train_dir, str) or "," not in train_dir or os.path.lexists(os.path.expanduser(train_dir)):
        return [train_dir]
    return [one.strip() for one in train_dir.split(",")]


def class_orders(networks: Sequence[Network]) -> list[np.ndarray | None]:
    """Where in each network's classes those of the first are; None where they are the same.

    Raises:
        UsageError: a network is for segmentation, or has other classes.
    """
    for network in networks:
        if network.task.targets.is_map:
            several = "; an ensemble classifies" if len(networks) > 1 else ""
            raise UsageError(
                f"{network.spec.name} says the class of each pixel, not of an image; use a Segmenter{several}"
            )
    first, orders = networks[0], []
    for network in networks:
        ours, theirs = first.classes.names, network.classes.names
        if network.num_classes != first.num_classes or (ours is None) != (theirs is None):
            other = f"{network.num_classes} classes" + ("" if theirs else ", without names")
            raise UsageError(
                f"{network.checkpoint.path} has {other}, and {first.checkpoint.path} {first.num_classes}"
                f"{'' if ours else ', without names'}; an ensemble's networks have the same classes"
            )
        if ours == theirs:
            orders.append(None)
            continue
        unknown = sorted(set(theirs) ^ set(ours))
        if unknown or len(set(ours)) < len(ours):
            odd = unknown[0] if unknown else next(name for name in ours if ours.count(name) > 1)
            raise UsageError(
                f"{network.checkpoint.path} and {first.checkpoint.path} have different classes, such as {odd!r}; "
                "an ensemble's networks have the same"
            )
        orders.append(np.array([theirs.index(name) for name in ours]))
    return orders
