"""Requests that mean harm, and clients that never end: what they get, and what others get meanwhile."""

import concurrent.futures
import contextlib
import json
import os
import socket
import struct
import sys
import time
import zlib

import pytest

from slimft.serving import app, server
from slimft.serving.uploads import Limits

HEAD = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def answer_of(sock):
    """All that comes, until the server closes the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(65536):
            got += part
    return got


def error_of(answer):
    """The status and the JSON of an answer, which says that the connection ends."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]


def is_well(client, kit):
    assert client.get("/health")["status"] == "ok"
    assert client.classify(kit.picture())[0] == 200
    assert client.metrics()["slimft_held_bytes",] == 0


def test_two_gigabytes_are_refused_before_they_are_sent(start, kit):
    client = start()
    for length in (2 << 30, 10**18, (20 << 20) + 1):
        with client.connect() as sock:
            sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % length)
            status, error = error_of(answer_of(sock))
        assert status == 413 and "20 MB" in error and "--max_upload_mb" in error
    # Who waits to be told to go on is told not to.
    with client.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (2 << 30))
        assert answer_of(sock).startswith(b"HTTP/1.1 413")
    is_well(client, kit)


@pytest.fixture(autouse=True)
def _short_linger(monkeypatch):
    """A client that keeps on sending, or waits for the end, is not waited for."""
    monkeypatch.setattr(app, "_LINGER_SECONDS", 0.5)


def test_who_sends_first_and_reads_later_still_gets_the_answer(start, kit):
    client = start(limits=Limits(body_bytes=1000))
    status, headers, body = client.ask("POST", "/classify", bytes(3 << 20), {"Content-Type": "image/png"})
    assert status == 413 and "error" in json.loads(body)
    is_well(client, kit)


def test_a_body_without_an_end_is_cut_off(start, kit):
    client = start(limits=Limits(body_bytes=1 << 20))
    with client.connect() as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            while sent < 1 << 30:
                sock.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        assert sent < 1 << 30
        assert error_of(answer_of(sock))[0] == 413
    is_well(client, kit)


def test_a_body_that_does_not_come(start, kit):
    client = start(limits=Limits(seconds=0.3))
    with client.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\nab")
        status, error = error_of(answer_of(sock))
    assert status == 408 and "--timeout" in error
    is_well(client, kit)


@pytest.mark.parametrize("sent", [b"", b"POST /classify HTTP/1.1\r\nHost: loc"])
def test_a_head_that_does_not_come(start, kit, monkeypatch, sent):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    client = start()
    with client.connect() as sock:
        sock.sendall(sent)
        assert answer_of(sock) == b""
    # Nor after a request that was good.
    with client.connect() as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        sock.sendall(b"GET /hea")
        assert b"HTTP" not in answer_of(sock)
    is_well(client, kit)


def test_the_time_of_a_head_does_not_count_for_the_answer(start, kit, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    colours = kit.Colours()
    client = start(colours)
    colours.go.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.classify, kit.picture())
        assert colours.began.wait(60)
        time.sleep(0.5)
        colours.go.set()
        assert asked.result()[0] == 200


def test_an_answer_that_nobody_takes(monkeypatch):
    """The connection ends, though the client is there."""
    monkeypatch.setattr(server, "_ANSWER_SECONDS", 0.2)
    ended = []

    async def asgi(scope, receive, send):
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        ended.append((await receive())["type"])
        one.should_exit = True

    bound = server.bind("127.0.0.1", 0)
    one = server.Server(asgi, lambda: None)
    with concurrent.futures.ThreadPoolExecutor(1) as threads, socket.socket() as sock:
        bound.listen()
        serving = threads.submit(one.serve_at, bound)
        sock.connect(bound.getsockname())
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        serving.result(timeout=60)
    assert ended == ["http.disconnect"]


def test_more_connections_than_there_may_be(start, kit, monkeypatch):
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 4)
    client = start()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(client.connect()) for _ in range(4)]
        for sock in held:  # So that they are there.
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
        with stack.enter_context(client.connect()) as sock:
            assert answer_of(sock) == b""
    while True:
        with contextlib.suppress(OSError, EOFError):
            is_well(client, kit)
            return


def test_a_full_queue_says_when_to_come_again(start, kit):
    colours = kit.Colours()
    client = start(colours, limits=Limits(waiting=3, images=2))
    colours.go.clear()
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(client.classify, *kit.files(kit.picture())) for _ in range(3)]
        while client.metrics()["slimft_images_waiting",] < 3:
            time.sleep(0.01)
        status, headers, body = client.ask("POST", "/classify", *kit.files(kit.picture()))
        assert status == 503 and headers["Retry-After"] == "1" and "try again" in json.loads(body)["error"]
        assert client.get("/health")["status"] == "ok"
        colours.go.set()
        assert [one.result()[0] for one in waiting] == [200] * 3
    is_well(client, kit)


def test_the_bodies_of_all_requests_together_are_bounded(start, kit):
    client = start(limits=Limits(body_bytes=1 << 20, held_bytes=3 << 20))
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(client.connect())
            sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 20) + bytes((1 << 20) - 1))
        while client.metrics()["slimft_held_bytes",] < (3 << 20) - 3:
            time.sleep(0.01)
        status, headers, _ = client.ask("POST", "/classify", bytes(1000), {"Content-Type": "image/png"})
        assert status == 503 and headers["Retry-After"] == "1"
        # One of unknown length is let in while there is room.
        with client.connect() as sock:
            sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000\r\n" + bytes(65536) + b"\r\n")
            assert error_of(answer_of(sock))[0] == 503
    # Those clients are gone, and so is what they sent.
    while client.metrics()["slimft_held_bytes",]:
        time.sleep(0.01)
    is_well(client, kit)


def test_many_clients_at_once_all_get_an_answer(start, kit):
    client = start(limits=Limits(waiting=8))
    with concurrent.futures.ThreadPoolExecutor(64) as threads:
        asked = [threads.submit(client.classify, *kit.files(kit.picture())) for _ in range(400)]
        statuses = [one.result()[0] for one in asked]
    assert set(statuses) <= {200, 503} and statuses.count(200) >= 8
    is_well(client, kit)


HOSTILE_NAMES = (
    "../../etc/passwd",
    "..\\\\..\\\\windows\\\\win.ini",
    "/etc/cron.d/x",
    "\x1b[2J\x07.png",
    "<script>alert(1)</script>.png",
    "a" * 4000,
    "nul\x00.png",
    "\u202egnp.exe",
    "",
)
_written, _is_watching = [], []


def _watch(event, arguments):
    """Notes what is opened for writing, made, moved or removed, while a test watches."""
    if not _is_watching:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _written.append((event, arguments))
    elif event in (
        "os.mkdir",
        "os.rename",
        "os.remove",
        "os.link",
        "os.symlink",
        "tempfile.mkstemp",
        "os.truncate",
    ):
        _written.append((event, arguments))


def test_names_of_files_are_not_looked_at_and_nothing_is_written(start, kit, tmp_path):
    sys.addaudithook(_watch)  # It stays, and does nothing.
    _is_watching.append(True)
    (tmp_path / "file").touch()
    _is_watching.clear()
    assert len(_written) == 1  # So it would be seen.
    _written.clear()
    client = start()
    noise = os.urandom(3 << 20)  # Larger than what is usually kept out of files.
    _is_watching.append(True)
    try:
        for name in HOSTILE_NAMES:
            # A quotation mark or a line end in a name is escaped by who sends it.
            escaped = name.replace('"', "%22")
            body, headers = kit.form((f'name="{escaped}"; filename="{escaped}"', kit.picture()))
            status, _, answer = client.ask("POST", "/classify", body, headers)
            assert status == 200 or (status == 400 and len(name) == 4000)
            assert not name or name.encode() not in answer
        assert client.classify(*kit.files(noise))[0] == 422
        assert client.classify(noise)[0] == 422
        assert client.classify(*kit.in_json(noise))[0] == 422
    finally:
        _is_watching.clear()
    assert _written == []


def png_of(width, height):
    """The head of a PNG of any size, with a pixel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(8))) + chunk(b"IEND", b"")
    )


def test_pictures_that_are_too_large_or_damaged(start, kit):
    client = start()
    good = kit.picture(size=(300, 300), kind="JPEG")
    corrupt = good[: len(good) // 2] + b"\xff\xd9\xff\xc4" * 50
    images = [png_of(60000, 60000), png_of(2**31 - 1, 1), png_of(9000, 9000), corrupt, good[:200], b"\xff\xd8\xff"]
    status, answer = client.classify(*kit.files(*images, good))
    assert status == 200
    *bad, last = answer["results"]
    assert all("error" in one for one in (bad[0], bad[1], bad[2], *bad[4:])) and "predictions" in last
    assert "too many pixels" in bad[0]["error"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"images": ' + b"[" * 100_000,
        b'{"images": [' + b"[" * 30 + b"]" * 30 + b"]}",
        b'{"images": [' + b'{"a":' * 1_000_000,
        b'{"images": [' + b'"",' * 5000 + b'""]}',
        b'{"images": ["' + b"A" * 10_000_001 + b'"]}',
    ],
)
def test_json_that_is_deep_or_long(start, kit, body):
    client = start()
    status, _, answer = client.ask("POST", "/classify", body, {"Content-Type": "application/json"})
    assert status in (400, 413) and "error" in json.loads(answer)
    is_well(client, kit)


def test_forms_of_too_many_or_too_long_parts(start, kit):
    client = start()
    image = ('name="a"; filename="a"', kit.picture())
    for parts, status in (
        ([image] * 33, 413),
        ([('name="top"', b"1")] * 5000, 413),
        ([(f'name="{"x" * 100_000}"', b"")], 400),
        ([('name="top"', b"1" * 1_000_000), image], 400),
        ([('name="a"; filename="a"' + "\r\nX: y" * 3000, b"")], 400),
    ):
        found, answer = client.classify(*kit.form(*parts))
        assert found == status and "error" in answer
    is_well(client, kit)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:1234", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("evil.example#localhost", 400),
        ("192.168.1.7", 400),
        ("", 400),
    ],
)
def test_at_a_loopback_address_only_its_names_are_answered(start, host, status):
    """Else a web page whose name is made to lead here could read the answers."""
    assert start().ask("GET", "/health", headers={"Host": host})[0] == status


def test_at_another_address_any_name_is_answered(start):
    from slimft.serving.guard import trusted_hosts

    client = start(hosts=trusted_hosts("192.168.1.7"))
    assert client.ask("GET", "/health", headers={"Host": "box.example"})[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://localhost", "null", "http://[", "http://localhost:1"]
)
def test_pages_of_other_origins_may_not_ask(start, kit, origin):
    client = start()
    headers = {"Content-Type": "image/png", "Origin": origin, "Host": f"localhost:{client.port}"}
    status, found, _ = client.ask("POST", "/classify", kit.picture(), headers)
    assert status == 403 and "Access-Control-Allow-Origin" not in found
    headers["Origin"] = f"http://localhost:{client.port}"
    assert client.ask("POST", "/classify", kit.picture(), headers)[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    ],
)
def test_what_is_no_http(start, kit, capsys, sent):
    client = start()
    with client.connect() as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        assert answer_of(sock)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 501")
    is_well(client, kit)
    client.stop()
    assert capsys.readouterr().err == ""  # Such clients could fill a log.


def test_every_answer_has_the_headers_that_browsers_go_by(start, kit):
    colours = kit.Colours()
    client = start(colours)
    colours.fault = RuntimeError("fault")
    asked = [("GET", "/"), ("GET", "/health"), ("GET", "/nowhere"), ("GET", "/classify"), ("POST", "/classify")]
    answers = [client.ask(method, path, kit.picture(), {"Content-Type": "image/png"}) for method, path in asked]
    answers.append(client.ask("GET", "/", headers={"Host": "evil.example"}))
    assert [status for status, _, _ in answers] == [200, 200, 404, 405, 500, 400]
    for _, headers, _ in answers:
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "Server" not in headers
