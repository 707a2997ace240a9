"""Replicas: what computes the gradients of a step together.

The graph and the loop know the seam, `Replicas`, and nothing of devices. `OneProcess` is a run on one device, and
adds nothing to its graph. `Towers` are several devices in one graph: each computes its share of a batch, with the
same variables. `replicas_of` chooses.

A mean over a batch is the average, over the replicas, of the means over their shares, each times the `scale` of its
share. That is 1 where all shares are of a size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from slimft.compat import BatchNormMove, batch_norm_of_replica, tf
from slimft.errors import UsageError
from slimft.runs.settings import Settings
from slimft.session import session_config

# How many devices a machine without GPUs shows as, to try towers out.
CPU_DEVICES = "SLIMFT_CPU_DEVICES"
_MOST_CPU_DEVICES = 64
# Keys of collective ops: those of synchronised layers begin here, two a layer.
_GROUP, _FIRST_OF_LAYERS = 1, 1 << 20


@dataclasses.dataclass(frozen=True)
class Share:
    """What of a batch one replica computes.

    Attributes:
        number: which replica it is of, from 0.
        rows: its examples, of those of the batch.
        of: how many examples the batch has.
        scale: what a mean over its examples is multiplied by in the average over replicas.
        device: where it is computed; None for wherever TensorFlow places it.
    """

    number: int
    rows: slice
    of: int
    scale: float = 1.0
    device: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the batch."""
        return self.size == self.of

    @property
    def size(self) -> int:
        """How many examples it has."""
        return self.rows.stop - self.rows.start

    def take(self, tensor: tf.Tensor) -> tf.Tensor:
        """Its part of a tensor that has the batch as its first axis."""
        return tensor if self.is_whole else tensor[self.rows]

    def placed(self) -> contextlib.AbstractContextManager:
        """A context in which ops are placed where it is computed."""
        return tf.device(self.device) if self.device else contextlib.nullcontext()


class Replicas(Protocol):
    """All replicas of a run, as one process sees them.

    Attributes:
        number: how many there are, in all processes.
        index: which of the processes this is, from 0.
        is_chief: whether this process is the one that writes.
        target: the target of the session.
        config: its configuration.
    """

    @property
    def number(self) -> int: ...

    @property
    def index(self) -> int: ...

    @property
    def is_chief(self) -> bool: ...

    @property
    def target(self) -> str: ...

    @property
    def config(self) -> tf.ConfigProto: ...

    def shares(self, batch_size: int) -> list[Share]:
        """The shares of a batch that are computed in this process; to be asked once for each graph."""

    def average(self, values: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
        """Adds the averages, over all replicas, to the graph: of gradients, and of whatever else is of a share.

        Args:
            values: float tensors, for each share of this process as many, and of the same shapes.
        """

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

    def any(self, stop: bool) -> bool:
        """Whether `stop` is true in any process. All ask at the same places of the loop."""

    def broadcast(self, value: Any) -> Any:
        """The chief's value, in each process. All ask at the same places of the loop."""

    def describe(self, settings: Settings, learning_rate: float) -> list[str]:
        """What is to be said of them before a run trains, a line each."""


class OneProcess:
    """One device; as `Replicas`.

    Args:
        config: the session's configuration.
        notes: what is to be said of it.
    """

    number, index, is_chief, target = 1, 0, True, ""

    def __init__(self, config: tf.ConfigProto, notes: Sequence[str] = ()):
        self.config, self._notes = config, list(notes)

    def shares(self, batch_size: int) -> list[Share]:
        return [Share(0, slice(0, batch_size), batch_size)]

    def average(self, values: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
        (own,) = values
        return list(own)

    @contextlib.contextmanager
    def batch_norm(self, share: Share, synchronised: bool) -> Iterator[list[BatchNormMove]]:
        del share, synchronised
        yield []

    def any(self, stop: bool) -> bool:
        return stop

    def broadcast(self, value: Any) -> Any:
        return value

    def describe(self, settings: Settings, learning_rate: float) -> list[str]:
        del learning_rate
        idle = ["--sync_batch_norm does nothing here: there is one replica"] if settings.sync_batch_norm else []
        return [*self._notes, *idle]


class Towers:
    """Several devices in one graph; as `Replicas`.

    Args:
        devices: where the towers are; the variables are where the first is.
        config: the session's configuration.
        collective: how gradients are averaged: by collective ops with this hint, such as ``nccl``; None to add them
            up on the first device.
        kind: what the devices are called.
    """

    index, is_chief, target = 0, True, ""

    def __init__(
        self, devices: Sequence[str], config: tf.ConfigProto, collective: str | None = None, kind: str = "devices"
    ):
        self.number, self.config = len(devices), config
        self._devices, self._collective, self._kind = tuple(devices), collective, kind
        self._keys = itertools.count()

    def shares(self, batch_size: int) -> list[Share]:
        self._keys = itertools.count()
        least, more = divmod(batch_size, self.number)
        sizes = [least + (tower < more) for tower in range(self.number)]
        ends = list(itertools.accumulate(sizes))
        return [
            Share(tower, slice(end - size, end), batch_size, size * self.number / batch_size, device)
            for tower, (size, end, device) in enumerate(zip(sizes, ends, self._devices))
        ]

    def average(self, values: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
        add = self._add if self._collective is None else self._all_reduce
        with tf.device(self._devices[0]):
            return [add(of_all) / self.number for of_all in zip(*values)]

    def _add(self, values: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.add_n(list(values))

    def _all_reduce(self, values: Sequence[tf.Tensor]) -> tf.Tensor:
        sums, key = [], next(self._keys)
        for device, value in zip(self._devices, values):
            with tf.device(device):
                sums.append(all_reduce(value, self.number, key, self._collective))
        # All of them have to run, though one is taken.
        with tf.control_dependencies(sums):
            return tf.identity(sums[0])

    @contextlib.contextmanager
    def batch_norm(self, share: Share, synchronised: bool) -> Iterator[list[BatchNormMove]]:
        if share.is_whole:
            yield []
            return
        together = _mean_over_replicas(share, self.number, self._collective) if synchronised else None
        with batch_norm_of_replica(share.of / share.size, together) as moves:
            yield moves

    def any(self, stop: bool) -> bool:
        return stop

    def broadcast(self, value: Any) -> Any:
        return value

    def describe(self, settings: Settings, learning_rate: float) -> list[str]:
        sizes = [share.size for share in self.shares(settings.batch_size)]
        each = f"{sizes[0]} images each"
        if len(set(sizes)) > 1:
            each = f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]} images"
        statistics = "the whole batch" if settings.sync_batch_norm else "each replica's images"
        return [
            f"{self.number} replicas, on {self._kind}: a batch of {settings.batch_size} is {each}; the learning "
            f"rate of {learning_rate:g} is for the whole batch; batch_norm trains by the statistics of {statistics}"
        ]


def all_reduce(value: tf.Tensor, number: int, key: int, hint: str | None) -> tf.Tensor:
    """The sum of a tensor over all replicas, which have to run this alike.

    Args:
        value: this replica's.
        number: of replicas.
        key: the same for what is summed up, and for nothing else of the graph.
        hint: how: ``ring``, ``nccl`` or ``auto``.
    """
    return tf.raw_ops.CollectiveReduceV2(
        input=value,
        group_size=number,
        group_key=_GROUP,
        instance_key=key,
        ordering_token=[],
        merge_op="Add",
        final_op="Id",
        communication_hint=hint or "ring",
    )


def _mean_over_replicas(share: Share, number: int, hint: str | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """What makes of a mean over a share that over the whole batch; its gradient is that of all replicas' losses."""
    # Replicas build the same layers in the same order.
    keys, factor = itertools.count(_FIRST_OF_LAYERS), share.scale / number

    def mean(value: tf.Tensor) -> tf.Tensor:
        key, key_of_gradient = next(keys), next(keys)

        @tf.custom_gradient
        def reduced(value):
            def gradient(of_mean):
                return all_reduce(of_mean, number, key_of_gradient, hint) * factor

            return all_reduce(value * factor, number, key, hint), gradient

        return reduced(value)

    return mean


def replicas_of(settings: Settings) -> Replicas:
    """The replicas that ``--num_replicas`` asks for.

    Raises:
        UsageError: there are not so many devices.
    """
    gpus, config = len(tf.config.list_physical_devices("GPU")), session_config(settings.xla)
    number, notes = settings.num_replicas, []
    if number is None:
        reason = _reason_for_one(settings)
        number = 1 if reason else max(1, min(gpus, settings.batch_size))
        if reason and gpus > 1:
            notes = [f"one of {gpus} GPUs trains: {reason}"]
    if number == 1:
        return OneProcess(config, notes)
    if gpus:
        if number > gpus:
            raise UsageError(f"--num_replicas={number}: this machine has {_counted(gpus, 'GPU')}; choose no more")
        return Towers([f"/gpu:{gpu}" for gpu in range(number)], config, "nccl", f"{number} GPUs")
    cpus = _cpu_devices()
    if number > cpus:
        has = f"{CPU_DEVICES}={cpus}" if cpus > 1 else "there is no GPU"
        raise UsageError(
            f"--num_replicas={number}: {has}; to try replicas out on the CPU, which makes nothing faster, set "
            f"{CPU_DEVICES}={number} in the environment"
        )
    config.device_count["CPU"] = number
    return Towers([f"/cpu:{cpu}" for cpu in range(number)], config, None, f"{number} virtual devices of the CPU")


def _reason_for_one(settings: Settings) -> str | None:
    """Why several replicas would do worse, or not at all; None where they would not."""
    frozen = bool(settings.trainable) and "all" not in settings.trainable
    keeps = settings.cache != "off" and frozen and settings.augment == "none"
    reasons = {
        "what frozen layers make of images is kept, and of whole batches": keeps or bool(settings.cache_views),
        "--xla compiles the graph of one device": settings.xla,
        "--sync_batch_norm and --remat do not go together": settings.sync_batch_norm and settings.remat,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _cpu_devices() -> int:
    text = os.environ.get(CPU_DEVICES, "1")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_CPU_DEVICES):
        raise UsageError(f"{CPU_DEVICES}={text!r:.40} in the environment must be a number from 1 to 64")
    return int(text)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
