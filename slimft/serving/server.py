"""The process' side of a server: its socket, what a connection may take of time, signals, and what is logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from slimft.errors import UsageError
from slimft.messages import one_line, say

# Connections at a time; more are closed at once.
_MOST_CONNECTIONS = 512
_HEAD_BYTES = 32768
# In which a request's head has to arrive, and in which a client has to take its answer.
HEAD_SECONDS = 15.0
_ANSWER_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 15
# After a signal, in which requests in flight have to be answered.
_SHUTDOWN_SECONDS = 30


class Connection(H11Protocol):
    """A connection with limits of time, which uvicorn has for what is between requests only."""

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.abort()
        else:
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end("_head_timer")
        self._end("_answer_timer")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def _watch_head(self) -> None:
        """Starts the time in which a request's head has to arrive; ends it when that has."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._end("_head_timer")
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_head)

    def _end_head(self) -> None:
        self._head_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def on_response_complete(self) -> None:
        self._end("_head_timer")
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._answer_timer = self._answer_timer or self.loop.call_later(_ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end("_answer_timer")

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # It may wait for a client to take the rest of an answer.
        self._answer_timer = self._answer_timer or self.loop.call_later(_ANSWER_SECONDS, self.transport.abort)

    def _end(self, name: str) -> None:
        """Ends a timer, if it runs."""
        timer = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)


class Server(uvicorn.Server):
    """A server that says when it listens, and keeps to itself which signal ended it.

    Args:
        asgi: the application.
        when_started: is called when it listens.

    Attributes:
        received: the signal, or None.
    """

    def __init__(self, asgi: ASGIApp, when_started: Callable[[], None]):
        config = uvicorn.Config(
            asgi,
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        super().__init__(config)
        self._when_started = when_started
        self.received: signal.Signals | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_started()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self.received = self.received or signal.Signals(sig)

    def serve_at(self, bound: socket.socket) -> None:
        """Serves until SIGINT or SIGTERM comes and what is in flight is answered; a second one ends it at once.

        Args:
            bound: where; it is closed.

        Raises:
            OSError: someone else listens there.
        """
        with _logged(), bound:
            asyncio.run(self.serve(sockets=[bound]))


class _Log(logging.Handler):
    """Says what a library logs, in one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        what = f"{type(error).__name__}: {error}" if error else record.getMessage()
        say(f"serve: {one_line(what)[:1000]}")


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address, at which nobody listens yet.

    Args:
        host: a name or an address; of several addresses of a name, the first of IPv4 is taken if there is one.
        port: 0 for any that is free.

    Raises:
        UsageError: there is no such address here, or it is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: of a name that can be none.
        raise UsageError(
            f"--host={host}: {getattr(error, 'strerror', None) or 'it is no name of a host'}"
        ) from None
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # Elsewhere it would let two listen at the same port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise UsageError(
            f"--host={host} --port={port}: {error.strerror}; choose another, or --port=0 for any that is free"
        ) from None
    return bound


def address_of(bound: socket.socket) -> str:
    """The address of a socket, as in a browser."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Says what goes wrong in the server; not what clients get wrong, of which there may be any amount.

    The latter is what uvicorn, python-multipart and Pillow log as warnings, which Python would write.
    """
    handler = _Log(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
