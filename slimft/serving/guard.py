"""What stands before the application: which requests may come in from a browser, and what goes with each answer."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slimft.serving.metrics import Metrics

# What is called so is this machine, whatever a name server says.
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    # The page has its own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def is_loopback(address: str) -> bool:
    """Whether an IP address can be reached from this machine alone."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def trusted_hosts(address: str) -> Sequence[str]:
    """What the Host header of a request may be, for Starlette's TrustedHostMiddleware.

    At a loopback address it has to be one of its names: a web page whose name is made to lead there has another.
    """
    return (*_LOOPBACK_HOSTS, f"[{address}]" if ":" in address else address) if is_loopback(address) else ("*",)


class Guard:
    """Gives each answer its security headers, counts it, and refuses what a page of another origin sends."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if _is_foreign(Headers(scope=scope)):
                answer = JSONResponse({"error": "a page of another origin may not use this server"}, 403)
                answer.headers["Connection"] = "close"
                await answer(scope, receive, send_on)
            else:
                await self._app(scope, receive, send_on)
        finally:
            self._metrics.request(scope["path"], status, time.perf_counter() - began)


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that the request is of a page that came from elsewhere."""
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True
