"""What `with` blocks say of the batch_norm layers built inside: frozen, of another decay, of one replica.

`slimft.compat.batch_normalization` builds the layers.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator

from tensorflow.compat import v1 as tf

# What the enclosing `with` blocks of this thread say, the outermost first.
freezes_here: contextvars.ContextVar[tuple[Callable[[str], bool], ...]]
freezes_here = contextvars.ContextVar("frozen_batch_norm", default=())
decays_here: contextvars.ContextVar[tuple[Callable[[float], tf.Tensor], ...]]
decays_here = contextvars.ContextVar("batch_norm_decay", default=())


@dataclasses.dataclass(frozen=True)
class BatchNormMove:
    """What a moving average is to move towards, by the statistics of one replica.

    Attributes:
        average: the variable.
        value: the replica's own mean or variance or, where layers are synchronised, that of the whole batch.
        share: by how much of the way it moves.
    """

    average: tf.Variable
    value: tf.Tensor
    share: tf.Tensor

    def update(self, value: tf.Tensor) -> tf.Operation:
        """The op that moves it towards `value` instead, which is that of all replicas."""
        return move(self.average, value, self.share).op


@dataclasses.dataclass(frozen=True)
class Replica:
    """What `batch_norm_of_replica` says; its arguments."""

    moves: list[BatchNormMove]
    ratio: float
    together: Callable[[tf.Tensor], tf.Tensor] | None


replica_here: contextvars.ContextVar[Replica | None] = contextvars.ContextVar("batch_norm_of_replica", default=None)


@contextlib.contextmanager
def batch_norm_of_replica(
    ratio: float, together: Callable[[tf.Tensor], tf.Tensor] | None = None
) -> Iterator[list[BatchNormMove]]:
    """Builds the batch_norm layers of one of several replicas, without update ops of their own.

    Args:
        ratio: how many times the replica's examples the whole batch has.
        together: makes of a mean over the replica's examples that over the whole batch, which then normalizes; None
            to normalize by the replica's own statistics.

    Yields:
        What the layers' moving averages are to move towards; it grows while layers are built.
    """
    moves: list[BatchNormMove] = []
    token = replica_here.set(Replica(moves, ratio, together))
    try:
        yield moves
    finally:
        replica_here.reset(token)


@contextlib.contextmanager
def frozen_batch_norm(freezes: Callable[[str], bool]) -> Iterator[None]:
    """Builds some batch_norm layers in inference mode, whatever their `is_training`.

    Such a layer normalizes with its stored moving averages and does not update them. Other threads, which build
    other graphs, do not see it.

    Args:
        freezes: takes the variable scope of a layer (``resnet_v1_50/conv1/BatchNorm``) and tells
            whether to freeze it.
    """
    with _pushed(freezes_here, freezes):
        yield


@contextlib.contextmanager
def batch_norm_decay(decay_of: Callable[[float], tf.Tensor]) -> Iterator[None]:
    """Builds batch_norm layers with another decay of their moving averages, in this thread.

    Args:
        decay_of: takes the decay that a layer was given and returns the one to use, a scalar.
    """
    with _pushed(decays_here, decay_of):
        yield


@contextlib.contextmanager
def _pushed(stack: contextvars.ContextVar[tuple], item) -> Iterator[None]:
    token = stack.set((*stack.get(), item))
    try:
        yield
    finally:
        stack.reset(token)


def move(average: tf.Variable, value: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Moves the variable `average` towards `value` by `share`; returns the assignment's result."""
    share = tf.cast(share, average.dtype.base_dtype)
    return tf.assign_sub(average, (average - value) * share, name="AssignMovingAvg")
