"""Servers that are slow on purpose, do not stop, or lead elsewhere; what they cost is bounded."""

import io
import json
import random
import time

import pytest

from slimft import DataError, download, transport

DATA = random.Random(0).randbytes(50_000)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


@pytest.fixture
def impatient(monkeypatch):
    """Half a second is enough to see that a server is slow."""
    monkeypatch.setattr(transport, "_WINDOW_SECONDS", 0.5)


def refusal(url, file):
    """The message of the DataError that downloading raises, which takes a few seconds at most."""
    started = time.monotonic()
    with pytest.raises(DataError) as raised:
        download.download(url, file)
    assert time.monotonic() - started < 10
    message = str(raised.value)
    assert "\n" not in message and url in message and not file.exists()
    return message


def drip(handler, data, pause=0.05):
    """Sends `data` at 20 bytes a second."""
    for byte in data:
        handler.wfile.write(bytes([byte]))
        time.sleep(pause)


def headed(*headers, status=200):
    lines = [f"HTTP/1.1 {status} so", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


LENGTH, TAG = f"Content-Length: {len(DATA)}", 'ETag: "1"'


@pytest.mark.parametrize(
    "at_once, slowly",
    [
        (b"", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 99),
        (b"", b"HTTP/1.1 200 OK" + b" " * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 1000),
        (headed(LENGTH), DATA),
        (headed(), DATA),
        (headed("Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 1000),
        (headed("Transfer-Encoding: chunked"), b"0" * 1000),
        (headed("Location: /elsewhere", status=302)[:-4], b"y" * 1000),
    ],
    ids=["headers", "status", "a header", "body", "no length", "chunks", "a chunk's size", "redirection"],
)
def test_a_server_that_drips_is_given_up_on(serve, file, impatient, at_once, slowly, capfd):
    requests = []

    def answer(handler):
        requests.append(handler.path)
        handler.wfile.write(at_once)
        drip(handler, slowly)

    message = refusal(serve(answer), file)
    assert "too slow" in message and "run the same command again" in message
    assert len(requests) == 2
    assert "too slow" in capfd.readouterr().err


def test_what_a_slow_server_sent_is_kept(serve, ranged_file, file, impatient):
    server, slow = ranged_file(DATA), [True]

    def answer(handler):
        if not slow:
            server(handler)
            return
        handler.wfile.write(headed(LENGTH, TAG) + DATA[:400] if "Range" not in handler.headers else b"HTTP/1.1")
        drip(handler, DATA[400:])

    url = serve(answer)
    refusal(url, file)
    kept = file.with_name("file.part").read_bytes()
    assert len(kept) > 400 and DATA.startswith(kept)
    slow.clear()
    download.download(url, file)
    assert file.read_bytes() == DATA
    assert server.requests == [(f"bytes={len(kept)}-", '"1"')]


def test_a_slow_stretch_of_a_good_connection_is_forgiven(serve, file, impatient, monkeypatch):
    monkeypatch.setattr(download, "_CHUNK", 10_000)
    tries = []

    def answer(handler):
        tries.append(handler.headers["Range"])
        start = int((tries[-1] or "bytes=0-")[6:-1])
        status = (206, f"Content-Range: bytes {start}-{len(DATA) - 1}/{len(DATA)}") if start else (200, LENGTH)
        handler.wfile.write(headed(status[1], TAG, status=status[0]) + DATA[start : start + 15_000])
        if start < len(DATA) - 15_000:
            drip(handler, DATA[start + 15_000 : start + 16_000])

    download.download(serve(answer), file)
    assert file.read_bytes() == DATA and len(tries) == 4


def test_only_the_time_of_waiting_counts(monkeypatch):
    monkeypatch.setattr(transport, "_WINDOW_SECONDS", 0.02)
    stream = transport._Paced(io.BytesIO(DATA))
    for _ in range(20):
        assert stream.read(1)
        time.sleep(0.005)


def test_a_silence_within_the_timeout_is_no_slowness(serve, file, monkeypatch):
    monkeypatch.setattr(transport, "_WINDOW_SECONDS", 1.0)

    def answer(handler):
        time.sleep(0.7)
        handler.wfile.write(headed(LENGTH) + DATA)

    download.download(serve(answer), file)
    assert file.read_bytes() == DATA


def endlessly(head, more):
    def answer(handler):
        handler.wfile.write(head)
        while True:
            handler.wfile.write(more)

    return answer


@pytest.mark.parametrize(
    "answer, reason",
    [
        (endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "does not end"),
        (endlessly(b"", b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n" * 1000), "does not end"),
        (endlessly(headed("Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n", b"x: y\r\n" * 1000), "does not end"),
        (endlessly(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1000), "LineTooLong"),
        (endlessly(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000), "HTTPException"),
        (endlessly(b"", b"HTTP/1.1 "), "LineTooLong"),
        (endlessly(headed("Transfer-Encoding: chunked"), b"1" * 1000), "LineTooLong"),
        (endlessly(headed("Transfer-Encoding: chunked"), b"1;" + b"y" * 50_000 + b"\r\nx\r\n"), "does not end"),
        (endlessly(headed(), DATA), "over 100000 bytes"),
        (endlessly(headed(status=404), DATA), "so"),
        (endlessly(headed(status=503), DATA), "HTTP 503"),
        (endlessly(headed("Location: file:///etc/passwd", status=302), DATA), "not allowed"),
        (endlessly(headed("Location: /here", status=302), DATA), "infinite loop"),
    ],
)
def test_a_server_that_does_not_stop(serve, file, monkeypatch, answer, reason):
    monkeypatch.setattr(download, "_MOST_BYTES", 100_000)
    monkeypatch.setattr(download, "_CHUNK", 50_000)
    assert reason in refusal(serve(answer), file)


def test_a_redirection_is_followed_without_its_body(serve, ranged_file, file):
    there = serve(ranged_file(DATA))
    download.download(serve(endlessly(headed(f"Location: {there}", status=302), DATA)), file)
    assert file.read_bytes() == DATA


def test_a_redirection_to_another_server_is_said(serve, ranged_file, file, capfd):
    there = serve(ranged_file(DATA))
    here = serve(lambda handler: handler.wfile.write(headed(f"Location: {there}", status=302)))
    download.download(here, file)
    assert f"{here.rsplit('/', 1)[0]} redirects to {there.rsplit('/', 1)[0]}\n" in capfd.readouterr().err


def test_a_redirection_on_the_same_server_needs_no_word(serve, ranged_file, file, capfd):
    server = ranged_file(DATA)

    def answer(handler):
        if handler.path == "/there":
            server(handler)
        else:
            handler.wfile.write(headed("Location: /there", status=301))

    download.download(serve(answer), file)
    assert file.read_bytes() == DATA and "redirects" not in capfd.readouterr().err


def test_more_than_it_says(serve, file):
    requests, part = [], headed(f"Content-Range: bytes 100-49999/{len(DATA)}", TAG, status=206)

    def answer(handler):
        requests.append(handler.headers["Range"])
        if len(requests) == 2:
            endlessly(part, DATA)(handler)
        handler.wfile.write(headed(LENGTH, TAG) + (DATA[:100] if len(requests) == 1 else DATA))

    started = time.monotonic()
    download.download(serve(answer), file)
    assert file.read_bytes() == DATA
    assert requests == [None, "bytes=100-", None] and time.monotonic() - started < 10


NOTE = {"url": "URL", "validator": '"1"', "total": len(DATA)}


@pytest.mark.parametrize(
    "note",
    [
        "[" * 30_000,
        json.dumps(NOTE) + " " * 70_000,
        json.dumps({**NOTE, "validator": '"1"\r\nX: y'}),
        json.dumps({**NOTE, "validator": 'ETag "\N{SNOWMAN}"'}),
        json.dumps({**NOTE, "validator": 1}),
        json.dumps({**NOTE, "validator": '"' + "1" * 5000 + '"'}),
        json.dumps({**NOTE, "total": "1"}),
        json.dumps({**NOTE, "total": [1]}),
        json.dumps({**NOTE, "total": True}),
        "\udc80",
    ],
    ids=["deep", "long", "line end", "no ASCII", "number", "long tag", "text", "list", "bool", "no UTF-8"],
)
def test_a_note_that_was_tampered_with_starts_over(serve, ranged_file, file, note):
    server = ranged_file(DATA)
    url = serve(server)
    file.with_name("file.part").write_bytes(b"other")
    file.with_name("file.part.json").write_bytes(note.replace("URL", url).encode(errors="surrogateescape"))
    download.download(url, file)
    assert file.read_bytes() == DATA and server.requests == [(None, None)]


@pytest.mark.parametrize("tag", ['"\xe9"', '"' + "1" * 5000 + '"', '"\x01"'])
def test_a_version_that_cannot_be_asked_for_again_is_not_kept(serve, ranged_file, file, tag):
    server = ranged_file(DATA, etag=tag, cuts=[100])
    download.download(serve(server), file)
    assert file.read_bytes() == DATA and server.requests == [(None, None)] * 2


def test_a_proxy_that_drips_is_given_up_on(serve, file, impatient, monkeypatch):
    url = serve(lambda handler: drip(handler, b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1000))
    monkeypatch.setenv("https_proxy", url.rsplit("/", 1)[0])
    monkeypatch.delenv("no_proxy")
    assert "too slow" in refusal("https://models.invalid/file", file)


def test_headers_of_a_request_stay_with_its_server(serve, ranged_file, file):
    tokens = []

    def there(handler):
        tokens.append(("there", handler.headers.get("Authorization")))
        ranged_file(DATA)(handler)

    elsewhere = serve(there)

    def here(handler):
        tokens.append((handler.path, handler.headers.get("Authorization")))
        handler.send_response(307)
        handler.send_header("Location", "/second" if handler.path == "/first" else elsewhere)
        handler.end_headers()

    download.download(serve(here, "first"), file, headers={"Authorization": "Bearer secret"})
    assert file.read_bytes() == DATA
    assert tokens == [("/first", "Bearer secret"), ("/second", "Bearer secret"), ("there", None)]
