"""Replicas: what computes the gradients of a step together.

The graph knows the seam, `Replicas`, and nothing of devices and processes. `OneProcess` is a run on one device, and
adds nothing to its graph. `Towers` are several devices in one graph: each computes its share of a batch, with the
same variables. `slimft.training.cluster.workers.Workers` are the devices of several processes, each of which has
the variables. `slimft.training.replica_choice` chooses. What the processes decide together is of another seam,
`slimft.training.cluster.group.Group`.

A mean over a batch is the average, over the replicas, of the means over their shares, each times the `scale` of its
share. That is 1 where all shares are of a size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from slimft.compat import BatchNormMove, batch_norm_of_replica, tf
from slimft.data.rows import Rows
from slimft.runs.settings import Settings
from slimft.training.cluster.buckets import fused
from slimft.training.cluster.collective import all_reduce

# Keys of collective ops: so many are a graph's; those of synchronised layers, two a layer, begin in their middle.
_KEYS_OF_A_GRAPH = 1 << 21
_FIRST_OF_LAYERS = 1 << 20
# Devices whose sizes are all told.
_MOST_SIZES = 8
# A graph's number: of several processes, all make the same ones in the same order.
_GRAPHS = itertools.count(1)
_MOST_GRAPHS = 1000


@dataclasses.dataclass(frozen=True)
class Share:
    """What of a batch one replica computes.

    Attributes:
        number: which replica it is of, from 0.
        rows: its examples, of those of the batch.
        of: how many examples the batch has.
        scale: what a mean over its examples is multiplied by in the average over replicas.
        device: where it is computed; None for wherever TensorFlow places it.
        read: the examples that its process reads; None for all.
    """

    number: int
    rows: slice
    of: int
    scale: float = 1.0
    device: str | None = None
    read: Rows | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the batch."""
        return self.size == self.of

    @property
    def size(self) -> int:
        """How many examples it has."""
        return self.rows.stop - self.rows.start

    def take(self, tensor: tf.Tensor) -> tf.Tensor:
        """Its part of a tensor that has what is read of the batch as its first axis."""
        first, size = (0, self.of) if self.read is None else (self.read.start, self.read.size)
        return tensor if size == self.size else tensor[self.rows.start - first : self.rows.stop - first]

    def placed(self) -> contextlib.AbstractContextManager:
        """A context in which ops are placed where it is computed."""
        return tf.device(self.device) if self.device else contextlib.nullcontext()


class Replicas(Protocol):
    """All replicas of a run, as one process sees them.

    Attributes:
        number: how many there are, in all processes.
        target: the target of the session.
        config: its configuration.
    """

    @property
    def number(self) -> int: ...

    @property
    def target(self) -> str: ...

    @property
    def config(self) -> tf.ConfigProto: ...

    def shares(self, batch_size: int) -> list[Share]:
        """The shares of a batch that are computed in this process."""

    def rows(self, batch_size: int) -> Rows | None:
        """The examples of a batch that this process reads; None for all."""

    def average(self, values: Sequence[Sequence[tf.Tensor]], gradients: bool = False) -> list[tf.Tensor]:
        """Adds the averages, over all replicas, to the graph: of gradients, and of whatever else is of a share.

        Args:
            values: float tensors, for each share of this process as many, and of the same shapes.
            gradients: whether they are gradients, which may go over the wire in fewer bits.
        """

    def ready(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor | None:
        """Adds what tells when this process has computed its gradients, and begins to wait for other processes.

        Returns:
            scalar float64, in seconds since 1970; None where there is no other process.
        """

    def spread(self, variables: Sequence[tf.Variable]) -> list[tf.Operation]:
        """Adds ops that give the chief's values to the other processes; to be run one after the other, by all."""

    def batch_norm(
        self, share: Share, synchronised: bool
    ) -> contextlib.AbstractContextManager[list[BatchNormMove]]:
        """A context in which the batch_norm layers of a share are built.

        Args:
            share: one of `shares`.
            synchronised: whether they normalize with the statistics of the whole batch.

        Yields:
            What the layers' moving averages are to move towards, by the share's statistics. For a whole batch it
            stays empty: the layers add update ops of their own.
        """

    def describe(self, settings: Settings, learning_rate: float) -> list[str]:
        """What is to be said of them before a run trains, a line each."""


class OneProcess:
    """One device; as `Replicas`.

    Args:
        config: the session's configuration.
        notes: what is to be said of it.
    """

    number, target = 1, ""

    def __init__(self, config: tf.ConfigProto, notes: Sequence[str] = ()):
        self.config, self._notes = config, list(notes)

    def shares(self, batch_size: int) -> list[Share]:
        return [Share(0, slice(0, batch_size), batch_size)]

    def rows(self, batch_size: int) -> Rows | None:
        del batch_size
        return None

    def average(self, values: Sequence[Sequence[tf.Tensor]], gradients: bool = False) -> list[tf.Tensor]:
        del gradients
        (own,) = values
        return list(own)

    def ready(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor | None:
        del gradients
        return None

    def spread(self, variables: Sequence[tf.Variable]) -> list[tf.Operation]:
        del variables
        return []

    @contextlib.contextmanager
    def batch_norm(self, share: Share, synchronised: bool) -> Iterator[list[BatchNormMove]]:
        del share, synchronised
        yield []

    def describe(self, settings: Settings, learning_rate: float) -> list[str]:
        del learning_rate
        idle = ["--sync_batch_norm does nothing here: there is one replica"] if settings.sync_batch_norm else []
        return [*self._notes, *idle, *_idle_here(settings)]


class Towers:
    """Several devices in one graph; as `Replicas`.

    Args:
        devices: where the towers are; the variables are where the first is.
        config: the session's configuration.
        collective: how gradients are averaged: by collective ops with this hint, such as ``nccl``; None to add them
            up on the first device.
        kind: what the devices are called.
    """

    target = ""

    def __init__(
        self, devices: Sequence[str], config: tf.ConfigProto, collective: str | None = None, kind: str = "devices"
    ):
        self.number, self.config = len(devices), config
        self._devices, self._collective, self._kind = tuple(devices), collective, kind
        self._first, self._wire = 0, tf.float32
        self._graphs: weakref.WeakKeyDictionary[tf.Graph, Iterator[int]] = weakref.WeakKeyDictionary()

    def shares(self, batch_size: int) -> list[Share]:
        ends = list(itertools.accumulate(self._sizes(batch_size)))
        read = self.rows(batch_size)
        return [
            Share(number, slice(end - size, end), batch_size, size * self.number / batch_size, device, read)
            for number, (size, end, device) in enumerate(
                zip(self._sizes(batch_size)[self._first :], ends[self._first :], self._devices), self._first
            )
        ]

    def _sizes(self, batch_size: int) -> list[int]:
        least, more = divmod(batch_size, self.number)
        return [least + (number < more) for number in range(self.number)]

    def rows(self, batch_size: int) -> Rows | None:
        del batch_size
        return None

    def average(self, values: Sequence[Sequence[tf.Tensor]], gradients: bool = False) -> list[tf.Tensor]:
        with tf.device(self._devices[0]):
            if self._collective is None:
                return [tf.add_n(list(of_all)) / self.number for of_all in zip(*values)]
            wire = self._wire if gradients else tf.float32
            return fused(values, lambda buffers: self._mean(buffers, wire))

    def _mean(self, buffers: Sequence[tf.Tensor], wire: tf.DType) -> tf.Tensor:
        if wire != tf.float32:  # Divided first: a sum may be more than such a float can be.
            return self._sum([tf.cast(buffer / self.number, wire) for buffer in buffers], tf.float32)
        return self._sum(buffers, tf.float32) / self.number

    def _sum(self, buffers: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
        """The sum over all replicas of one tensor for each device of this process."""
        sums, key = [], next(self._keys())
        for device, buffer in zip(self._devices, buffers):
            with tf.device(device):
                sums.append(all_reduce(buffer, self.number, key, self._collective))
        # All of them have to run, though one is taken.
        with tf.control_dependencies(sums):
            return tf.cast(sums[0], dtype) if sums[0].dtype != dtype else tf.identity(sums[0])

    def _keys(self) -> Iterator[int]:
        """The keys of the graph that is being built."""
        graph = tf.get_default_graph()
        if graph not in self._graphs:
            self._graphs[graph] = itertools.count(next(_GRAPHS) % _MOST_GRAPHS * _KEYS_OF_A_GRAPH)
        return self._graphs[graph]

    def ready(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor | None:
        del gradients
        return None

    def spread(self, variables: Sequence[tf.Variable]) -> list[tf.Operation]:
        del variables
        return []

    @contextlib.contextmanager
    def batch_norm(self, share: Share, synchronised: bool) -> Iterator[list[BatchNormMove]]:
        if share.is_whole:
            yield []
            return
        together = None
        if synchronised:
            # Replicas build the same layers in the same order, and so they have the same keys.
            first = next(self._keys()) // _KEYS_OF_A_GRAPH * _KEYS_OF_A_GRAPH + _FIRST_OF_LAYERS
            together = _mean_over_replicas(share, self.number, self._collective, first)
        with batch_norm_of_replica(share.of / share.size, together) as moves:
            yield moves

    def describe(self, settings: Settings, learning_rate: float) -> list[str]:
        sizes = self._sizes(settings.batch_size)
        each = f"{sizes[0]} images each"
        if len(set(sizes)) > 1:
            each = f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]} images"
            if len(sizes) > _MOST_SIZES:
                each = f"{sizes[-1]} or {sizes[0]} images each"
        statistics = "the whole batch" if settings.sync_batch_norm else "each replica's images"
        return [
            f"{self.number} replicas, on {self._kind}: a batch of {settings.batch_size} is {each}; the learning "
            f"rate of {learning_rate:g} is for the whole batch; batch_norm trains by the statistics of "
            f"{statistics}",
            *self._idle(settings),
        ]

    def _idle(self, settings: Settings) -> list[str]:
        """What is to be said of settings that do nothing here."""
        return _idle_here(settings)


def _idle_here(settings: Settings) -> list[str]:
    """What is to be said in a single process of what is for several."""
    given = {
        f"--wire_precision={settings.wire_precision}": settings.wire_precision != "float32",
        f"--min_workers={settings.min_workers}": settings.min_workers is not None,
    }
    return [f"{flag} does nothing here: there is one process" for flag, is_given in given.items() if is_given]


def _mean_over_replicas(
    share: Share, number: int, hint: str | None, first_key: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """What makes of a mean over a share that over the whole batch; its gradient is that of all replicas' losses."""
    keys, factor = itertools.count(first_key), share.scale / number

    def mean(value: tf.Tensor) -> tf.Tensor:
        key, key_of_gradient = next(keys), next(keys)

        @tf.custom_gradient
        def reduced(value):
            def gradient(of_mean):
                return all_reduce(of_mean, number, key_of_gradient, hint) * factor

            return all_reduce(value * factor, number, key, hint), gradient

        return reduced(value)

    return mean
