"""Who is waited for, where nothing happens for long although all processes are there.

Each process counts how often it has come to where all wait for each other. Its server has the count as a variable,
which the others read once they have waited for long: who has counted least is who they wait for.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping

from slimft.compat import tf
from slimft.messages import say
from slimft.session import session_config

_COUNT = "slimft_count"
_SECONDS_BETWEEN = 2.0
# From when on a wait is long; it is told of again after twice the time each time.
_SECONDS = 30.0
_TIMEOUT_MS = 3000
_SECONDS_TO_END = 3.0


class Stall:
    """Watches for long waits, in a thread of its own.

    Args:
        own: the index of this process.
        addresses: of all members, by their index.
        name: what a message calls one.
        seconds: from when on a wait is long.
    """

    def __init__(
        self, own: int, addresses: Mapping[int, str], name: Callable[[int], str], seconds: float = _SECONDS
    ):
        self._own, self._addresses, self._name, self._seconds = own, addresses, name, seconds
        self._count, self._since = 0, time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="slimft-stall", daemon=True)
        self._thread.start()

    def note(self) -> None:
        """Notes that this process has come to where it waits for the others."""
        self._count, self._since = self._count + 1, time.monotonic()

    def end(self) -> None:
        """Stops watching."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_SECONDS_TO_END)

    def _watch(self) -> None:
        with contextlib.suppress(tf.errors.OpError, RuntimeError), tf.Graph().as_default():
            variable, count = _variable(), tf.placeholder(tf.int64, [])
            assign = variable.assign(count).op
            with self._session(self._own) as session:
                self._publish(session, assign, count)

    def _publish(self, session: tf.Session, assign: tf.Operation, count: tf.Tensor) -> None:
        published, next_time = -1, self._seconds
        while not self._ended.wait(min(_SECONDS_BETWEEN, self._seconds / 4)):
            if published != self._count:
                published, next_time = self._count, self._seconds
                session.run(assign, {count: published})
                continue
            waited = time.monotonic() - self._since
            if waited >= next_time:
                next_time *= 2
                self._tell(waited)

    def _tell(self, waited: float) -> None:
        counts = {index: self._count_of(index) for index in self._addresses}
        counts[self._own] = own = self._count
        known = {index: count for index, count in counts.items() if count is not None}
        behind = [index for index, count in known.items() if count < own]
        # One of those who wait says it.
        if behind and self._own == min(index for index, count in known.items() if count == own):
            names = ", ".join(map(self._name, behind))
            say(f"waiting for {names} for {waited:.0f} seconds; it answers, but has not come as far", error=True)

    def _count_of(self, index: int) -> int | None:
        with contextlib.suppress(tf.errors.OpError, RuntimeError), tf.Graph().as_default():
            variable = _variable()
            with self._session(index) as session:
                return int(session.run(variable))
        return None

    def _session(self, index: int) -> tf.Session:
        """A session of one server, which has nothing to do with the others: to end, it would wait for them."""
        config = session_config()
        config.device_filters.append(f"/job:worker/task:{index}")
        config.operation_timeout_in_ms = _TIMEOUT_MS
        return tf.Session(f"grpc://{self._addresses[index]}", config=config)


def _variable() -> tf.Variable:
    with tf.device("/cpu:0"):
        return tf.get_variable(_COUNT, initializer=tf.constant(0, tf.int64), use_resource=True, trainable=False)
