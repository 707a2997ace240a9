"""What a request sends: its body, read within bounds, and the images in it.

Nothing is written to the disk, and no name of a file is looked at.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

# Beside its files, a form may have a few fields; and the head of each part a few short lines.
_MOST_FIELDS = 8
_MOST_HEAD_BYTES = 4096
_MOST_FIELD_BYTES = 256
_WHOLE = re.compile(r"[0-9]{1,9}")
HOW = (
    "send images as files of a form (multipart/form-data), one as the body itself (image/...), or JSON, "
    '{"images": ["base64", ...]}'
)


class Refused(Exception):
    """A request that is not answered with classes.

    Args:
        status: of HTTP.
        reason: one line.
        retry: seconds after which to try again, for a 503.
    """

    def __init__(self, status: int, reason: str, retry: int | None = None):
        super().__init__(reason)
        self.status, self.reason, self.retry = status, reason, retry


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a request, and all of them together, may take.

    Attributes:
        body_bytes: of one request's body.
        held_bytes: of the bodies of all requests.
        images: of one request.
        waiting: images of all requests.
        seconds: in which a request has to arrive.
    """

    body_bytes: int = 20 << 20
    held_bytes: int = 160 << 20
    images: int = 32
    waiting: int = 256
    seconds: float = 60.0


class Held:
    """How much is held of all requests; who would have more than `most` is refused."""

    def __init__(self, most: int):
        self.most, self.now = most, 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """A part of it, for the length of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.now -= share.amount


class Share:
    """A request's part of what is `held`."""

    def __init__(self, held: Held):
        self._held, self.amount = held, 0

    def add(self, amount: int) -> None:
        """Makes it larger; raises Refused if there is no room."""
        if self._held.now + amount > self._held.most:
            raise Refused(503, "too much is being classified; try again in a second", retry=1)
        self._held.now += amount
        self.amount += amount


@dataclasses.dataclass(frozen=True)
class Upload:
    """What a request asks for.

    Attributes:
        images: encoded.
        top: how many classes of each, if it is told.
    """

    images: list[bytes]
    top: int | None = None


async def read_body(request: Request, limits: Limits, share: Share) -> bytearray:
    """The body of a request.

    Raises:
        Refused: it is too large, too slow, or there is no room for it.
        starlette.requests.ClientDisconnect: the client is gone.
    """
    too_large = f"the request has more than {limits.body_bytes / (1 << 20):g} MB (--max_upload_mb)"
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limits.body_bytes):
        raise Refused(413, too_large)
    if declared.isdecimal():  # At once, so that of many the first come through, and not all half.
        share.add(int(declared))
    body = bytearray()

    async def read() -> None:
        async for chunk in request.stream():
            if len(body) + len(chunk) > limits.body_bytes:
                raise Refused(413, too_large)
            body.extend(chunk)
            share.add(max(len(body) - share.amount, 0))

    try:
        await asyncio.wait_for(read(), limits.seconds)
    except asyncio.TimeoutError:
        raise Refused(408, f"the request took more than {limits.seconds:g} seconds to arrive (--timeout)") from None
    return body


def top_of(text: str) -> int:
    """A number of classes, written; raises Refused."""
    if not _WHOLE.fullmatch(text) or not int(text):
        raise Refused(400, "top has to be a whole number above 0")
    return int(text)


def images_in(content_type: str, body: bytearray, limits: Limits) -> Upload:
    """The images in a body; takes up to about twice its memory beside it, JSON six times.

    Raises:
        Refused: it is of another kind, damaged, or has no image or too many.
    """
    kind, options = parse_options_header(content_type)
    if kind.startswith(b"image/"):
        upload = Upload([bytes(body)] if body else [])
    elif kind == b"multipart/form-data":
        upload = _in_form(options.get(b"boundary", b""), body, limits)
    elif kind == b"application/json":
        upload = _in_json(body, limits)
    else:
        raise Refused(415, f"the Content-Type is none that is taken: {HOW}")
    if not upload.images:
        raise Refused(400, f"the request has no image: {HOW}")
    return upload


class _Part:
    """A part of a form: the head and what is in it."""

    def __init__(self) -> None:
        self.head_bytes, self.header, self.value = 0, b"", b""
        self.options: dict[bytes, bytes] = {}
        self.data = bytearray()


def _in_form(boundary: bytes, body: bytearray, limits: Limits) -> Upload:
    parts: list[_Part] = []
    ended = []
    if not boundary:
        raise Refused(400, "the form's Content-Type tells no boundary")

    def begin() -> None:
        if len(parts) >= limits.images + _MOST_FIELDS:
            raise _too_many(limits)
        parts.append(_Part())

    def add_to_head(part: _Part, name: str, data: bytes) -> None:
        part.head_bytes += len(data) + 1  # An empty one counts too.
        if part.head_bytes > _MOST_HEAD_BYTES:
            raise Refused(400, "a part of the form has a head that is too long")
        setattr(part, name, getattr(part, name) + data)

    def end_header() -> None:
        part = parts[-1]
        if part.header.lower() == b"content-disposition":
            _, part.options = parse_options_header(part.value)
        part.header, part.value = b"", b""

    callbacks: Any = {
        "on_part_begin": begin,
        "on_header_field": lambda data, start, end: add_to_head(parts[-1], "header", data[start:end]),
        "on_header_value": lambda data, start, end: add_to_head(parts[-1], "value", data[start:end]),
        "on_header_end": end_header,
        "on_part_data": lambda data, start, end: parts[-1].data.extend(memoryview(data)[start:end]),
        "on_end": lambda: ended.append(True),
    }
    try:
        parser = python_multipart.MultipartParser(boundary, callbacks)
        parser.write(bytes(body))
    except FormParserError:
        ended = []
    if not ended:
        raise Refused(400, "the form is damaged, or cut off")
    images, top = [], None
    for part in parts:
        if b"filename" in part.options:
            if part.data or part.options[b"filename"]:  # A browser sends an empty one where none was chosen.
                images.append(bytes(part.data))
        elif part.options.get(b"name") == b"top":
            top = top_of(bytes(part.data[:_MOST_FIELD_BYTES]).decode("latin-1"))
        else:
            raise Refused(400, "the form has a field that is neither a file nor top")
    if len(images) > limits.images:
        raise _too_many(limits)
    return Upload(images, top)


def _in_json(body: bytearray, limits: Limits) -> Upload:
    # A list takes eight bytes of memory for each of the text, an empty object in it 64; base64 has none of these.
    if sum(body.count(mark) for mark in b",:[{") > limits.images + 8:
        raise _too_many(limits)
    try:
        # What is not ASCII would take four times the memory.
        found = json.loads(body.decode("ascii"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(400, 'the body is no JSON in ASCII, {"images": ["base64", ...]}') from None
    if not isinstance(found, dict) or not isinstance(found.get("images"), list) or found.keys() - {"images", "top"}:
        raise Refused(400, 'the JSON has to be {"images": ["base64", ...]}, with "top" if need be')
    top = found.get("top")
    if top is not None and (not isinstance(top, int) or isinstance(top, bool) or not 0 < top < 10**9):
        raise Refused(400, "top has to be a whole number above 0")
    if len(found["images"]) > limits.images:
        raise _too_many(limits)
    return Upload([_of_base64(one, number) for number, one in enumerate(found["images"])], top)


def _of_base64(text: object, number: int) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise Refused(400, f"images[{number}] is no base64")


def _no_number(text: str) -> None:
    raise ValueError(text)


def _too_many(limits: Limits) -> Refused:
    return Refused(413, f"the request has more than {limits.images} images (--max_images)")
