"""HTTP for downloads: answers of bounded size, a least rate, and redirections that are said or refused."""

from __future__ import annotations

import http.client
import io
import time
import urllib.error
import urllib.parse
import urllib.request

from slimft.messages import say

# Of the status line and the headers, with what comes before them ("100 Continue"). http.client bounds each line
# and their number, but not how many answers there are that announce another one.
_MOST_HEADER_BYTES = 1 << 20
# A server that is slower than this, on the average of the time spent waiting for it, is not waited for.
_LEAST_BYTES_PER_SECOND = 1000
_WINDOW_SECONDS = 30.0
_MOST_SHOWN = 200


class TooSlow(TimeoutError):
    """The server has sent too little in `_WINDOW_SECONDS`."""


class TooMuch(Exception):
    """The server sends more than an answer may have."""


class _Paced(io.RawIOBase):
    """What a server sends, as long as it is fast enough and not too much.

    A timeout of the socket is for one silence; this is for a server that says a little before each one ends. Only
    the time spent waiting for the server counts, not what the reader does in between.
    """

    def __init__(self, raw: io.RawIOBase):
        self._raw, self._left = raw, _MOST_HEADER_BYTES
        self._waited, self._came = 0.0, 0

    def allow(self, size: int) -> None:
        """From here on, `size` bytes more may come."""
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        started = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - started
        self._came += count or 0
        self._left -= count or 0
        if self._left < 0:
            raise TooMuch
        if count and self._waited >= _WINDOW_SECONDS:
            if self._came < _LEAST_BYTES_PER_SECOND * self._waited:
                raise TooSlow(f"the server is too slow: {self._came} bytes came in {self._waited:.0f} seconds")
            self._waited, self._came = 0.0, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that is read through `_Paced`."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self._paced = _Paced(self.fp.detach())
        self.fp = io.BufferedReader(self._paced)

    def allow_body(self, size: int) -> None:
        """Lets the body take up to `size` bytes on the wire; until then it shares the bound of the headers."""
        self._paced.allow(size)


class _Connection(http.client.HTTPConnection):
    response_class = _Response


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _Response


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(_Connection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(_SecureConnection, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to other web servers, which it says, but to no file and from no https to http."""

    def redirect_request(self, request, answer, code, message, headers, new_url):
        old, new = urllib.parse.urlsplit(request.full_url), urllib.parse.urlsplit(new_url)
        if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
            reason = f"its redirection to {new_url[:_MOST_SHOWN]} is not allowed"
            raise urllib.error.HTTPError(request.full_url, code, reason, headers, answer)
        # urllib reads what comes along to its end, which it may not have.
        answer.close()
        if new.netloc != old.netloc:
            there = f"{new.scheme}://{new.netloc}"[:_MOST_SHOWN]
            say(f"{old.scheme}://{old.netloc} redirects to {there}")
        redirected = super().redirect_request(request, answer, code, message, headers, new_url)
        if (old.scheme, old.netloc) == (new.scheme, new.netloc):
            redirected.unredirected_hdrs.update(request.unredirected_hdrs)  # A token is for this server alone.
        return redirected


def opener() -> urllib.request.OpenerDirector:
    """Like urllib's own, proxies included, but with the bounds of this module and no file:, ftp: and data:.

    What it opens raises `TooSlow` and `TooMuch` where it is read, and when it is opened.
    """
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        _Http,
        _Https,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _Redirects,
    ):
        director.add_handler(handler())
    return director
