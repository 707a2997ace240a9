"""Small messages between the processes of a group, as sums of whole numbers: each adds a row of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimft.compat import tf
from slimft.training.cluster.collective import PROCESSES, all_reduce

# Numbers of four bytes in a row: most messages fit a short one, and several long ones carry the rest.
_SHORT, _LONG = 64, 1 << 14
_KEYS = {"flags": 1, "short": 2, "long": 3}
# What nobody sends.
_MOST_BYTES = 1 << 30


class Exchange:
    """Sums over the processes of a group, each of which asks for the same at the same places.

    The CPU stands for a process here, whatever it trains on.

    Args:
        number: of processes.
        index: of this one.
        target, config: of a session.
        most_flags: how many flags are told at once, at most.
    """

    def __init__(self, number: int, index: int, target: str, config: tf.ConfigProto, most_flags: int = 4):
        self._number, self._index = number, index
        sizes = {"flags": (most_flags,), "short": (number, _SHORT), "long": (number, _LONG)}
        self._sums: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
        with tf.Graph().as_default(), tf.device("/cpu:0"):
            for name, shape in sizes.items():
                own = tf.placeholder(tf.int32, shape, name)
                self._sums[name] = own, all_reduce(own, number, _KEYS[name], group=PROCESSES)
            self.session = tf.Session(target, config=config)

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Whether each of some flags is true in any process."""
        own = np.zeros(self._sums["flags"][0].shape.as_list(), np.int32)
        own[: len(flags)] = flags
        return [bool(total) for total in self._sum("flags", own)[: len(flags)]]

    def gather(self, message: bytes) -> list[bytes]:
        """What each process sends, in their order."""
        if len(message) > _MOST_BYTES:
            raise ValueError(f"a message of {len(message)} bytes is too long")
        words = np.frombuffer(message + bytes(-len(message) % 4), np.int32)
        row = np.zeros(_SHORT, np.int32)
        row[0], first = len(message), words[: _SHORT - 1]
        row[1 : 1 + len(first)] = first
        rows = self._rows("short", row)
        lengths, parts = rows[:, 0], [[own] for own in rows[:, 1:]]
        for start in range(_SHORT - 1, -(-int(lengths.max()) // 4), _LONG):
            row = np.zeros(_LONG, np.int32)
            part = words[start : start + _LONG]
            row[: len(part)] = part
            for own, received in zip(parts, self._rows("long", row)):
                own.append(received)
        return [np.concatenate(own).tobytes()[:length] for own, length in zip(parts, lengths)]

    def _rows(self, name: str, row: np.ndarray) -> np.ndarray:
        own = np.zeros((self._number, len(row)), np.int32)
        own[self._index] = row
        return self._sum(name, own)

    def _sum(self, name: str, own: np.ndarray) -> np.ndarray:
        placeholder, total = self._sums[name]
        return self.session.run(total, {placeholder: own})
