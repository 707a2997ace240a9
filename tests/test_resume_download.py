"""Downloads that are cut, stalled and killed, and go on; on servers that do and do not know how to."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from slimft import DataError, download, transport

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = random.Random(0).randbytes(50_000)
OTHER = random.Random(1).randbytes(40_000)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


def names(file):
    return sorted(path.name for path in file.parent.iterdir())


def refusal(url, file):
    with pytest.raises(DataError) as raised:
        download.download(url, file)
    message = str(raised.value)
    assert "\n" not in message and url in message
    assert not file.exists()
    return message


@pytest.fixture
def one_try(monkeypatch):
    monkeypatch.setattr(download, "_TRIES", 1)


@pytest.mark.parametrize("cut", [1, 1234, len(DATA) - 1])
def test_a_later_call_goes_on_where_a_cut_download_stopped(serve, ranged_file, file, one_try, cut, capfd):
    server = ranged_file(DATA, cuts=[cut])
    url = serve(server)
    message = refusal(url, file)
    assert f"stopped at {cut} of {len(DATA)} bytes" in message and "run the same command again" in message
    assert names(file) == ["file.part", "file.part.json"]
    download.download(url, file)
    assert file.read_bytes() == DATA
    assert names(file) == ["file"]
    assert server.requests == [(None, None), (f"bytes={cut}-", '"1"')]
    assert "file: 100%" in capfd.readouterr().err


def test_one_call_tries_again(serve, ranged_file, file, capfd):
    server = ranged_file(DATA, cuts=[1000, 2000, 0, 3000])
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert [wanted for wanted, _ in server.requests] == [
        None,
        "bytes=1000-",
        "bytes=3000-",
        "bytes=3000-",
        "bytes=6000-",
    ]
    assert capfd.readouterr().err.count("trying again") == 4


def test_as_long_as_there_is_progress_there_are_more_tries(serve, ranged_file, file, monkeypatch):
    monkeypatch.setattr(download, "_CHUNK", 1000)
    server = ranged_file(DATA, cuts=[2000] * 20)
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert len(server.requests) == 21


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_always_cuts_is_given_up(serve, ranged_file, file, monkeypatch, ranges):
    monkeypatch.setattr(download, "_CHUNK", 1000)
    server = ranged_file(DATA, ranges=ranges, cuts=[10 if ranges else 30_000] * 100)
    refusal(serve(server), file)
    # Where every try starts over, the first alone got further than any before it.
    assert len(server.requests) <= 1 + download._TRIES


def test_the_waits_between_tries_grow(serve, ranged_file, file, monkeypatch):
    waits = []
    monkeypatch.setattr(download, "_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(time, "sleep", waits.append)
    refusal(serve(ranged_file(DATA, cuts=[0] * 9)), file)
    assert waits == [1, 2, 4, 8]


def test_a_server_that_ignores_ranges_is_read_from_the_start(serve, ranged_file, file):
    server = ranged_file(DATA, ranges=False, cuts=[30_000])
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert server.requests[1] == ("bytes=30000-", '"1"')


def test_a_file_that_changed_on_the_server_is_read_from_the_start(serve, ranged_file, file, one_try):
    server = ranged_file(DATA, cuts=[30_000])
    url = serve(server)
    refusal(url, file)
    server.data, server.etag = OTHER, '"2"'
    download.download(url, file)
    assert file.read_bytes() == OTHER


def test_a_changed_file_on_a_server_that_ignores_if_range(serve, ranged_file, file):
    server = ranged_file(DATA, cuts=[30_000])

    def answer(handler):
        if server.requests:
            server.data, server.etag = OTHER, '"2"'
            if handler.headers.get("If-Range"):
                handler.headers.replace_header("If-Range", '"2"')
        server(handler)

    download.download(serve(answer), file)
    assert file.read_bytes() == OTHER
    assert [wanted for wanted, _ in server.requests] == [None, "bytes=30000-", None]


def test_without_a_version_it_starts_over(serve, ranged_file, file):
    server = ranged_file(DATA, etag=None, cuts=[30_000])
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert server.requests == [(None, None), (None, None)]


def headed(*headers, body=b"", status=200):
    def answer(handler):
        handler.send_response(status)
        for header in headers:
            handler.send_header(*header)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def in_turn(*answers):
    """Answers the first request with the first, and so on; `.seen` are the requests' headers."""
    seen = []

    def answer(handler):
        seen.append(handler.headers)
        answers[len(seen) - 1](handler)

    answer.seen = seen
    return answer


LENGTH, DATE = ("Content-Length", str(len(DATA))), ("Last-Modified", "Sun, 28 Aug 2016 10:00:00 GMT")
FIRST_100 = headed(LENGTH, ("ETag", '"1"'), body=DATA[:100])


def part_of(span, body, tag='"1"'):
    headers = ("ETag", tag), ("Content-Range", f"bytes {span}"), ("Content-Length", str(len(body)))
    return headed(*headers, body=body, status=206)


def test_a_weak_tag_does_not_identify_bytes_but_a_date_does(serve, file):
    weak = "ETag", 'W/"1"'
    rest = headed(weak, DATE, ("Content-Range", f"bytes 100-49999/{len(DATA)}"), body=DATA[100:], status=206)
    server = in_turn(headed(LENGTH, weak, DATE, body=DATA[:100]), rest)
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert server.seen[1]["If-Range"] == DATE[1]


@pytest.mark.parametrize(
    "wrong",
    [
        part_of("0-49999/50000", DATA),
        part_of("99-49999/50000", DATA[99:]),
        part_of("101-49999/50000", DATA[101:]),
        part_of("100-39999/40000", OTHER[100:]),
        part_of("100-49999/50000", DATA[:-100], tag='"2"'),
        part_of("nonsense", DATA[100:]),
        headed(("ETag", '"1"'), LENGTH, body=DATA, status=206),
    ],
    ids=["all of it", "an earlier start", "a later start", "another total", "another tag", "nonsense", "no range"],
)
def test_a_part_nobody_asked_for_is_not_used(serve, file, wrong):
    server = in_turn(FIRST_100, wrong, headed(LENGTH, body=DATA))
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert server.seen[2]["Range"] is None


def test_too_much_is_not_used(serve, file):
    long = headed(("ETag", '"1"'), ("Content-Range", "bytes 100-49999/50000"), body=DATA[100:] + b"x", status=206)
    server = in_turn(FIRST_100, long, headed(LENGTH, body=DATA))
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert server.seen[2]["Range"] is None


def interrupted(file, url, data):
    """Leaves what a download that was killed leaves."""
    file.with_name("file.part").write_bytes(data)
    note = {"url": url, "validator": '"1"', "total": len(DATA)}
    file.with_name("file.part.json").write_text(json.dumps(note))


def test_a_part_that_was_complete_gets_its_name(serve, ranged_file, file):
    server = ranged_file(DATA)
    url = serve(server)
    interrupted(file, url, DATA)
    download.download(url, file)
    assert file.read_bytes() == DATA and names(file) == ["file"]
    assert server.requests == [(f"bytes={len(DATA)}-", '"1"')]


def test_a_part_longer_than_the_file_is_thrown_away(serve, ranged_file, file):
    url = serve(ranged_file(OTHER))
    interrupted(file, url, DATA)
    download.download(url, file)
    assert file.read_bytes() == OTHER


@pytest.mark.parametrize("note", ["", "{", "[]", "null", '{"url": 1}'])
def test_a_note_that_is_damaged_starts_over(serve, ranged_file, file, note):
    file.with_name("file.part").write_bytes(OTHER)
    file.with_name("file.part.json").write_text(note)
    server = ranged_file(DATA)
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert server.requests == [(None, None)]


def test_a_part_of_another_url_is_not_used(serve, ranged_file, file):
    interrupted(file, "http://127.0.0.1/other", OTHER[:100])
    server = ranged_file(DATA)
    download.download(serve(server), file)
    assert file.read_bytes() == DATA
    assert server.requests == [(None, None)]


def test_a_stall_keeps_what_came_before_it(serve, ranged_file, file, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.2)
    done, rest = threading.Event(), ranged_file(DATA)

    def stall(handler):
        headed(LENGTH, ("ETag", '"1"'), body=DATA[:12_345])(handler)
        done.wait(20)

    started = time.monotonic()
    download.download(serve(in_turn(stall, rest)), file)
    done.set()
    assert file.read_bytes() == DATA
    assert rest.requests == [("bytes=12345-", '"1"')]
    assert time.monotonic() - started < 5


def test_a_killed_process_is_continued(serve, ranged_file, file):
    done, rest = threading.Event(), ranged_file(DATA)

    def stall(handler):
        headed(LENGTH, ("ETag", '"1"'), body=DATA[:40_000])(handler)
        done.wait(20)

    url = serve(in_turn(stall, rest))
    code = (
        "import pathlib, sys; from slimft.download import download;download(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, url, str(file)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        part = file.with_name("file.part")
        until = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    kept = part.stat().st_size
    assert kept and not file.exists()
    download.download(url, file)
    done.set()
    assert file.read_bytes() == DATA
    assert rest.requests == [(f"bytes={kept}-", '"1"')]


def test_a_passing_fault_of_the_server_is_waited_for(serve, ranged_file, file):
    busy = headed(("Content-Length", "0"), status=503)
    download.download(serve(in_turn(busy, busy, ranged_file(DATA))), file)
    assert file.read_bytes() == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_waiting_cannot_help_fails_at_once(serve, file, status):
    server = in_turn(headed(("Content-Length", "0"), status=status))
    refusal(serve(server), file)
    assert len(server.seen) == 1 and not names(file)


def test_without_a_server_it_fails_at_once(file, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(time, "sleep", None)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "refused" in refusal(f"http://127.0.0.1:{unused.getsockname()[1]}/file", file)


def test_a_server_that_goes_away_in_between_is_waited_for(serve, ranged_file, file, monkeypatch):
    calls, opened = [], urllib.request.OpenerDirector.open

    def refused_the_second_time(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) == 2:
            raise urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))
        return opened(*arguments, **keywords)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refused_the_second_time)
    download.download(serve(ranged_file(DATA, cuts=[100])), file)
    assert file.read_bytes() == DATA and len(calls) == 3


@pytest.mark.parametrize("length", [True, False])
def test_more_than_is_allowed(serve, file, monkeypatch, length):
    monkeypatch.setattr(download, "_MOST_BYTES", len(DATA) - 1)
    message = refusal(serve(headed(*([LENGTH] if length else []), body=DATA)), file)
    assert f"over {len(DATA) - 1} bytes" in message
    assert not names(file)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x", "/etc/passwd"])
def test_other_kinds_of_url(file, url):
    assert "neither http nor https" in refusal(url, file)


def test_redirects_are_followed_but_not_from_https_to_http(serve, ranged_file, file):
    there = serve(ranged_file(DATA))
    download.download(serve(headed(("Location", there), ("Content-Length", "0"), status=302)), file)
    assert file.read_bytes() == DATA
    request = urllib.request.Request("https://127.0.0.1/file")
    with pytest.raises(urllib.error.HTTPError, match="not allowed"):
        transport._Redirects().redirect_request(request, None, 302, "Found", {}, "http://127.0.0.1/file")


def test_a_proxy_is_used(serve, ranged_file, file, monkeypatch):
    asked, proxy = [], ranged_file(DATA)

    def answer(handler):
        asked.append(handler.path)
        proxy(handler)

    monkeypatch.setenv("http_proxy", serve(answer).rsplit("/", 1)[0])
    monkeypatch.delenv("no_proxy")
    download.download("http://models.invalid/file", file)
    assert file.read_bytes() == DATA and asked == ["http://models.invalid/file"]


def test_a_full_disk_is_no_cut(serve, ranged_file, file, monkeypatch):
    def full(part, stream, chunk):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download._Part, "write", full)
    server = ranged_file(DATA)
    with pytest.raises(OSError, match="No space left"):
        download.download(serve(server), file)
    assert len(server.requests) == 1 and not file.exists()
