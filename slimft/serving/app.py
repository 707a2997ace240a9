"""The application: the page, POST /classify, GET /health and GET /metrics."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import importlib.resources
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from slimft.data.class_names import ClassNames
from slimft.errors import DataError
from slimft.serving.batching import Batches
from slimft.serving.guard import Guard
from slimft.serving.metrics import Metrics
from slimft.serving.uploads import Held, Limits, Refused, images_in, read_body, top_of

if TYPE_CHECKING:
    from slimft.serving.served import Served

# How long a client that is refused may go on sending what is thrown away, so that it comes to reading the answer.
_LINGER_SECONDS = 3.0


class Application:
    """Answers requests with what `served` makes of the images in them; `asgi` is what a server runs.

    Args:
        served: what classifies.
        limits: what requests may take.
        hosts: what the Host header may be.
        top: classes of each image, where the request does not tell.
        batch_size: images at a time, at most.
        batch_wait: seconds that an image waits for others.
        crop, grey_bits: as of `slimft.data.images.read_square`.
    """

    def __init__(
        self,
        served: Served,
        limits: Limits,
        hosts: Sequence[str],
        *,
        top: int = 5,
        batch_size: int = 32,
        batch_wait: float = 0.005,
        crop: float = 1.0,
        grey_bits: int | None = None,
    ):
        self._served, self._limits, self._top = served, limits, top
        self._metrics = Metrics()
        grey_bits = grey_bits or served.grey_bits
        self._batches = Batches(
            served.probabilities, served.image_size, batch_size, batch_wait, crop, grey_bits, self._metrics.batch
        )
        self._held, self._waiting = Held(limits.held_bytes), 0
        self._metrics.watch("images_waiting", "Images that wait for their classes.", lambda: self._waiting)
        self._metrics.watch("held_bytes", "Bytes of requests in memory.", lambda: self._held.now)
        self._page = _page()
        routes = [
            Route("/", self._show_page),
            Route("/classify", self._classify, methods=["POST"]),
            Route("/health", self._health),
            Route("/metrics", self._tell_metrics),
        ]
        app = Starlette(
            routes=routes,
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
            exception_handlers={Refused: _refuse, HTTPException: _tell, Exception: _fail},
            lifespan=self._lifespan,
        )
        app.router.redirect_slashes = False  # It would repeat the Host header.
        self.asgi: ASGIApp = Guard(app, self._metrics)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        # JSON takes several times its size while it is read: one at a time.
        self._json = asyncio.Lock()
        async with self._batches:
            yield

    async def _show_page(self, request: Request) -> Response:
        return self._page

    async def _health(self, request: Request) -> Response:
        served, limits = self._served, self._limits
        return JSONResponse(
            {
                "status": "ok",
                "network": served.network,
                "name": served.name,
                "classes": served.classes.num_classes,
                "image_size": served.image_size,
                "max_upload_bytes": limits.body_bytes,
                "max_images": limits.images,
            }
        )

    async def _tell_metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=self._metrics.content_type)

    async def _classify(self, request: Request) -> Response:
        asked = request.query_params.get("top")
        top = None if asked is None else top_of(asked)
        if self._waiting >= self._limits.waiting:
            raise _busy()
        with self._held.share() as share:
            try:
                body = await read_body(request, self._limits, share)
            except ClientDisconnect:
                return Response(status_code=400)  # Nobody reads it.
            request.state.is_read = True
            content_type = request.headers.get("content-type", "")
            in_turn = self._json if "json" in content_type.lower() else contextlib.nullcontext()
            async with in_turn:
                upload = await self._batches.in_thread(images_in, content_type, body, self._limits)
            del body
            rows = await self._rows(upload.images)
        top = top or upload.top or self._top
        unreadable = sum(isinstance(row, DataError) for row in rows)
        self._metrics.images(len(rows) - unreadable, unreadable)
        results = [_result(row, top, self._served.classes) for row in rows]
        return JSONResponse({"results": results}, 422 if unreadable == len(rows) else 200)

    async def _rows(self, images: list[bytes]) -> list[np.ndarray | DataError]:
        """The probabilities of each image, or why it cannot be read."""
        if self._waiting + len(images) > max(self._limits.waiting, self._limits.images):
            raise _busy()
        self._waiting += len(images)
        try:
            return await asyncio.gather(*map(self._batches.row, images))
        finally:
            self._waiting -= len(images)


def _result(row: np.ndarray | DataError, top: int, classes: ClassNames) -> dict[str, Any]:
    """What is told of one image."""
    if isinstance(row, DataError):
        return {"error": str(row)}
    likeliest = np.argsort(-row, kind="stable")[:top].tolist()
    return {"predictions": [{**classes.describe(one), "probability": float(row[one])} for one in likeliest]}


def _busy() -> Refused:
    return Refused(503, "too many images wait for their classes; try again in a second", retry=1)


class _EarlyAnswer(JSONResponse):
    """An answer before the request's body has been read, after which the connection ends.

    A client that does not read before it has sent everything would miss the answer if the connection was closed at
    once: what it sends is read for a moment, and thrown away.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})

        async def discard() -> None:
            end = time.monotonic() + _LINGER_SECONDS
            while time.monotonic() < end:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(discard(), _LINGER_SECONDS)
        await send({"type": "http.response.body", "body": b""})


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {} if error.retry is None else {"Retry-After": str(error.retry)}
    if getattr(request.state, "is_read", False):
        return JSONResponse({"error": error.reason}, error.status, headers)
    return _EarlyAnswer({"error": error.reason}, error.status, {**headers, "Connection": "close"})


async def _tell(request: Request, error: Exception) -> Response:
    """What Starlette refuses: a path that is not there, or a method."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    """A fault, which the server's log tells of."""
    return JSONResponse({"error": "the server has failed; its log tells how"}, 500)


def _page() -> Response:
    """The page, with a policy that lets nothing run but its own script."""
    text = importlib.resources.files("slimft.serving").joinpath("page.html").read_text(encoding="utf-8")

    def digest(element: str) -> str:
        [inner] = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()}'"

    policy = (
        f"default-src 'none'; script-src {digest('script')}; style-src {digest('style')}; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})
