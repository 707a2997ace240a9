"""The processes that train together, as one of them sees them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

from slimft.compat import tf
from slimft.errors import SlimftError
from slimft.messages import quiet, say
from slimft.session import session_config
from slimft.training.cluster.exchange import Exchange
from slimft.training.cluster.joining import LEADER, WorkerLost, join, start_server
from slimft.training.cluster.members import Cluster
from slimft.training.cluster.peers import Peers
from slimft.training.cluster.stall import Stall

# How long it may take to find out who is lost, and to leave what waits for it.
_SECONDS_TO_FIND, _SECONDS_TO_LEAVE = 9.0, 60.0
# How long one that has lost another still answers, so that nobody takes it for the one that is lost.
_SECONDS_TO_LINGER = 2.0


class Group(Protocol):
    """The processes of a run.

    Attributes:
        number: of processes.
        index: of this one, from 0.
        is_chief: whether it is the one that reads and writes the run's directory.
    """

    @property
    def number(self) -> int: ...

    @property
    def index(self) -> int: ...

    @property
    def is_chief(self) -> bool: ...

    def name(self, index: int) -> str:
        """What a message calls one of them."""

    def any(self, *flags: bool) -> list[bool]:
        """Whether each flag is true in any process. All ask at the same places."""

    def broadcast(self, value: Any = None) -> Any:
        """What the chief gives, of what JSON has, in each process. All ask at the same places."""

    def gather(self, message: bytes) -> list[bytes]:
        """What each gives, in their order. All ask at the same places."""

    def watch(self, session: tf.Session) -> None:
        """Lets a session end with an error when another process is lost, instead of waiting for it."""

    def failure(self, error: Exception) -> SlimftError | None:
        """What an error means if it is about another process; else None."""

    def finish(self) -> None:
        """As `leave`, of all together, at the end of a run: the chief has written all that was to be written.

        Raises:
            WorkerLost: some process is lost. If it is started anew, it needs the others to come to its end.
        """

    def leave(self, together: bool = True) -> None:
        """Ends what they have in common.

        Args:
            together: whether all do at the same place, and wait for each other; False after an error.
        """


class Alone:
    """One process; as `Group`."""

    number, index, is_chief = 1, 0, True

    def name(self, index: int) -> str:
        return f"worker {index}"

    def any(self, *flags: bool) -> list[bool]:
        return list(flags)

    def broadcast(self, value: Any = None) -> Any:
        return value

    def gather(self, message: bytes) -> list[bytes]:
        return [message]

    def watch(self, session: tf.Session) -> None:
        pass

    def failure(self, error: Exception) -> SlimftError | None:
        del error
        return None

    def finish(self) -> None:
        pass

    def leave(self, together: bool = True) -> None:
        pass


class Processes:
    """Several processes; as `Group`. One that has lost another is of no more use.

    Args:
        cluster: those that may be members.
        min_workers: how many are enough; None for all.
        timeout: how many seconds to wait for them.
        cpus: how many virtual devices this process's CPU has.

    Attributes:
        target: of sessions in which collective ops can run.

    Raises:
        UsageError: this process's server cannot start.
        WorkerLost: too few came.
    """

    def __init__(self, cluster: Cluster, min_workers: int | None, timeout: float, cpus: int = 1):
        self._cluster, self._cpus, self._left = cluster, cpus, False
        self._lost_at: float | None = None
        self._sessions: weakref.WeakSet[tf.Session] = weakref.WeakSet()
        self.target = _server(cluster, cpus).target
        members = join(cluster, min_workers, timeout)
        self._members = sorted(members)
        self.number, self.index = len(members), self._members.index(cluster.index)
        self.is_chief = self.index == 0
        quiet(not self.is_chief)
        # Python's end and a thread in the middle of a call of TensorFlow's do not go together.
        atexit.register(self.leave, together=False)
        others = {index: one for index, one in members.items() if index != cluster.index}
        self._peers = Peers(cluster, others, self._abandon)
        self._stall = Stall(cluster.index, {index: cluster.addresses[index] for index in members}, cluster.name)
        with self._errors():
            self._exchange = Exchange(self.number, self.index, self.target, self.config())
            self.watch(self._exchange.session)

    def config(self) -> tf.ConfigProto:
        """The configuration of a session in which collective ops can run."""
        config = session_config()
        config.device_count["CPU"] = self._cpus
        config.experimental.collective_group_leader = LEADER
        config.device_filters.append(f"/job:worker/task:{self._cluster.index}")
        config.isolate_session_state = True  # Each stage of a run has variables of its own.
        return config

    def name(self, index: int) -> str:
        return self._cluster.name(self._members[index])

    def any(self, *flags: bool) -> list[bool]:
        self.note()
        with self._errors():
            return self._exchange.any(flags)

    def broadcast(self, value: Any = None) -> Any:
        message = json.dumps(value).encode() if self.is_chief else b""
        return json.loads(self.gather(message)[0])

    def gather(self, message: bytes) -> list[bytes]:
        self.note()
        with self._errors():
            return self._exchange.gather(message)

    def watch(self, session: tf.Session) -> None:
        self._sessions.add(session)

    def note(self) -> float:
        """Notes that this process has come to where it waits for the others; returns the time, since 1970."""
        self._stall.note()
        return time.time()

    def failure(self, error: Exception) -> SlimftError | None:
        if isinstance(error, WorkerLost):
            return error
        # A session that the watch has closed makes a RuntimeError.
        is_collective = _is_of_collectives(error)
        if self._left or not (is_collective or (self._peers.lost and isinstance(error, RuntimeError))):
            return None
        lost = self._peers.find(_SECONDS_TO_FIND)
        if lost:
            self._lost_at = self._lost_at or time.monotonic()
            return WorkerLost(f"{lost}: all workers have to start anew, and go on from the last checkpoint")
        if "ollective" not in str(error):
            return None
        lines = str(error).strip().splitlines()
        said = next((line for line in lines if "aborted" in line), lines[0]).strip()
        return WorkerLost(f"the workers have lost each other ({said[:200]}); all have to start anew")

    def finish(self) -> None:
        self.any()
        # Who is through with the first sum may not be gone while another still receives its part of it.
        self.leave()

    def leave(self, together: bool = True) -> None:
        if self._left:
            return
        if together:
            # Whoever is lost now had nothing more to give.
            with contextlib.suppress(tf.errors.OpError, RuntimeError):
                self._exchange.any([True])
        self._left = True
        atexit.unregister(self.leave)
        if self._lost_at is not None and self.number > 2:  # Of two, nobody else is misled.
            time.sleep(max(0.0, self._lost_at + _SECONDS_TO_LINGER - time.monotonic()))
        self._peers.end()
        self._stall.end()
        quiet(False)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, RuntimeError) as error:
            raise self.failure(error) or error from None

    def _abandon(self) -> None:
        """Ends what waits for a process that is lost; called in the watching thread."""
        threading.Thread(target=self._end_if_stuck, daemon=True).start()
        for session in list(self._sessions):
            with contextlib.suppress(Exception):
                session.close()

    def _end_if_stuck(self) -> None:
        time.sleep(_SECONDS_TO_LEAVE)
        if not self._left:
            say(f"error: {self._peers.lost}, and this process does not end by itself: it is ended", error=True)
            os._exit(WorkerLost.exit_status)


def _is_of_collectives(error: Exception) -> bool:
    """Whether an error may be one of collective ops, or of a session that was closed while it ran."""
    kinds = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    return isinstance(error, kinds) or (isinstance(error, tf.errors.OpError) and "ollective" in str(error))


@functools.cache
def _server(cluster: Cluster, cpus: int) -> tf.train.Server:
    """The server of this process, which has one for good."""
    return start_server(cluster, cpus)
