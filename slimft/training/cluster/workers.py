"""The replicas of several processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimft.compat import tf
from slimft.data.rows import Rows
from slimft.runs.settings import Settings
from slimft.training.cluster.buckets import bucketed, fused, wire_type
from slimft.training.cluster.group import Processes
from slimft.training.replicas import Towers


class Workers(Towers):
    """The devices of several processes, each of which has the variables; as `Replicas`.

    Args:
        group: the processes.
        devices: those of this one; all have as many.
        config: the session's configuration.
        collective: how gradients are averaged: a hint for collective ops.
        kind: what all the devices are called.
        wire: the floats in which gradients go over the wire.
    """

    def __init__(
        self,
        group: Processes,
        devices: Sequence[str],
        config: tf.ConfigProto,
        collective: str,
        kind: str,
        wire: tf.DType,
    ):
        super().__init__(devices, config, collective, kind)
        self.number, self._first = group.number * len(devices), group.index * len(devices)
        self.target, self._wire, self._is_chief = group.target, wire, group.is_chief
        self._note = group.note

    def ready(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        with tf.control_dependencies(gradients):
            return tf.numpy_function(lambda: np.float64(self._note()), [], tf.float64)

    def rows(self, batch_size: int) -> Rows | None:
        sizes = self._sizes(batch_size)
        first, end = self._first, self._first + len(self._devices)
        return Rows(sum(sizes[:first]), sum(sizes[:end]), batch_size)

    def _idle(self, settings: Settings) -> list[str]:
        del settings
        return []

    def spread(self, variables: Sequence[tf.Variable]) -> list[tf.Operation]:
        ops = []

        def sums(buffers: Sequence[tf.Tensor]) -> tf.Tensor:
            own = buffers[0] if self._is_chief else tf.zeros_like(buffers[0])
            others = [tf.zeros_like(own) for _ in self._devices[1:]]
            return self._sum([own, *others], own.dtype)

        with tf.device(self._devices[0]):
            for group in ([variables[index] for index in bucket] for bucket in bucketed(variables)):
                values = [
                    tf.cast(variable.read_value(), wire_type(variable.dtype.base_dtype)) for variable in group
                ]
                received = fused([values], sums)
                ops.append(
                    tf.group(*(v.assign(tf.cast(one, v.dtype.base_dtype)) for v, one in zip(group, received)))
                )
        return ops
