"""Moving averages in a checkpoint, as `tf.train.ExponentialMovingAverage` names them, in place of the variables."""

from __future__ import annotations

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.view import CheckpointView
from slimft.errors import CheckpointError

# tf.train.ExponentialMovingAverage.average_name: the variable's name and, by default, the class' own.
_SUFFIX = "/ExponentialMovingAverage"


def has_averages(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint has the moving average of some variable."""
    return any(map(_is_average, _names(checkpoint)))


def averaged(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with each variable's moving average, where it has one, in place of the variable.

    Raises:
        CheckpointError: it has no moving averages.
    """
    names = _names(checkpoint)
    averages = {name.removesuffix(_SUFFIX): entry for name, entry in names.items() if _is_average(name)}
    if not averages:
        raise CheckpointError(
            f"{checkpoint.path} has no moving averages (no name ends with {_SUFFIX}); use the variables themselves"
        )
    others = {name: entry for name, entry in names.items() if not _is_average(name)}
    return CheckpointView(checkpoint, {**others, **averages})


def _is_average(name: str) -> bool:
    return name.endswith(_SUFFIX) and name != _SUFFIX


def _names(checkpoint: Checkpoint) -> dict[str, str]:
    """The names that variables go by in graphs, each with the checkpoint's own."""
    aliases = checkpoint.aliases()
    aliased = set(aliases.values())
    return {**{name: name for name in checkpoint if name not in aliased}, **aliases}
