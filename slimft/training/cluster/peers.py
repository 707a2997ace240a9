"""Whether the other processes of a group are there: TensorFlow's servers are asked, every second.

Each `tf.train.Server` answers ``GetStatus`` of its worker service (tensorflow/core/protobuf/worker.proto) with its
devices. A device has a random number, its incarnation, which a process that was started anew has otherwise.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import grpc

from slimft.training.cluster.members import Cluster
from slimft.wire import protobuf
from slimft.wire.binary_file import Malformed

_METHOD = "/tensorflow.WorkerService/GetStatus"
# The fields of GetStatusResponse and DeviceAttributes.
_DEVICE, _INCARNATION = 1, 6
_SECONDS_BETWEEN, _SECONDS_TO_ANSWER = 1.0, 2.0
# Without an answer for so long, or with so many refused connections in a row, a process is lost.
_SECONDS_WITHOUT, _MOST_REFUSED = 6.0, 2
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 300),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of asking a process whether it is there.

    Attributes:
        incarnation: the number of this start of it; None where it did not answer.
        refused: whether its machine says that there is no such process.
    """

    incarnation: int | None
    refused: bool = False


class Line:
    """The connection to a process, to ask whether it is there.

    Args:
        address: its ``host:port``.
    """

    def __init__(self, address: str):
        self._address = address
        self._connect()

    def _connect(self) -> None:
        self._channel = grpc.insecure_channel(self._address, _OPTIONS)
        self._call = self._channel.unary_unary(
            _METHOD, request_serializer=bytes, response_deserializer=_incarnation
        )

    def renew(self) -> None:
        """Connects anew: after packets were lost for long, an old connection waits as long again."""
        self._channel.close()
        self._connect()

    def ask(self, timeout: float = _SECONDS_TO_ANSWER) -> Callable[[], Answer]:
        """Asks; the result waits for the answer, `timeout` seconds at most."""
        future = self._call.future(b"", timeout=timeout)

        def answer() -> Answer:
            try:
                return Answer(future.result())
            except grpc.FutureCancelledError:
                return Answer(None)
            except grpc.RpcError as error:
                return Answer(None, "refused" in (error.details() or "").lower())

        return answer

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


def _incarnation(response: bytes) -> int | None:
    """The incarnation of the first device of a ``GetStatusResponse``."""
    try:
        for number, kind, device in protobuf.fields(response):
            if number == _DEVICE and kind == protobuf.LENGTH:
                for inner, its_kind, value in protobuf.fields(protobuf.expect_bytes(device)):
                    if inner == _INCARNATION and its_kind == protobuf.FIXED64 and isinstance(value, bytes):
                        return int.from_bytes(value, "little")
    except Malformed:
        pass
    return None


class Peers:
    """Watches the other processes of a group, in a thread of its own.

    Args:
        cluster: all processes.
        incarnations: of each other member, by its index, the number of the start that it joined with.
        on_loss: called once, in the thread, when one is lost.
    """

    def __init__(self, cluster: Cluster, incarnations: Mapping[int, int], on_loss: Callable[[], None]):
        self._cluster, self._incarnations, self._on_loss = cluster, dict(incarnations), on_loss
        self._lines = {index: Line(cluster.addresses[index]) for index in self._incarnations}
        now = time.monotonic()
        self._heard = dict.fromkeys(self._lines, now)
        self._refused = dict.fromkeys(self._lines, 0)
        self._lost: str | None = None
        self._asking = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="slimft-peers", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> str | None:
        """Which process is lost and how, for a message; None while all are there."""
        return self._lost

    def find(self, seconds: float) -> str | None:
        """As `lost`, after asking for up to that many seconds, where something has already gone wrong."""
        until = time.monotonic() + seconds
        while not self._lost and not self._ended.is_set():
            self._ask_all()
            if time.monotonic() >= until:
                break
            time.sleep(_SECONDS_BETWEEN / 4)
        return self._lost

    def end(self) -> None:
        """Stops watching."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2 * _SECONDS_TO_ANSWER)
        for line in self._lines.values():
            line.close()

    def _watch(self) -> None:
        next_time = time.monotonic()
        while not self._lost and not self._ended.wait(next_time - time.monotonic()):
            next_time = time.monotonic() + _SECONDS_BETWEEN
            self._ask_all()
        if self._lost and not self._ended.is_set():
            self._on_loss()

    def _ask_all(self) -> None:
        with self._asking:
            if self._ended.is_set():
                return
            answers = {index: line.ask() for index, line in self._lines.items()}
            for index, answer in answers.items():
                self._note(index, answer())

    def _note(self, index: int, answer: Answer) -> None:
        now = time.monotonic()
        if answer.incarnation == self._incarnations[index]:
            self._heard[index], self._refused[index] = now, 0
            return
        self._refused[index] = self._refused[index] + 1 if answer.refused else 0
        if answer.incarnation is None and not answer.refused:
            self._lines[index].renew()
        how = None
        if answer.incarnation is not None:
            how = "was started anew"
        elif self._refused[index] >= _MOST_REFUSED:
            how = "has ended"
        elif now - self._heard[index] > _SECONDS_WITHOUT:
            how = f"has not answered for {now - self._heard[index]:.0f} seconds"
        if how and not self._lost:
            self._lost = f"{self._cluster.name(index)} {how}"


def ask_all(lines: Sequence[Line], timeout: float = _SECONDS_TO_ANSWER) -> list[Answer]:
    """What several processes answer, asked at once."""
    return [answer() for answer in [line.ask(timeout) for line in lines]]
