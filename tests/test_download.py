"""Downloads from a server in this process that behaves well, badly and not at all."""

import contextlib
import gzip
import hashlib
import io
import pathlib
import shutil
import socket
import struct
import tarfile
import tempfile
import threading
import unittest.mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft import DataError, download
from slimft.download import download_and_unpack, download_checked, unpack

MOST_BYTES = 100_000


def tar(*entries, level=9):
    """A .tar.gz of (TarInfo or name, contents) pairs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=level, format=tarfile.GNU_FORMAT) as archive:
        for entry, data in entries:
            if isinstance(entry, str):
                entry = tarfile.TarInfo(entry)
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data) if data else None)
    return out.getvalue()


def special(name, kind, target=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


GOOD = tar(
    special("./", tarfile.DIRTYPE), ("data/a.txt", b"first"), ("data/deep/b.txt", b"second" * 1000), ("c.txt", b"")
)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def serve(serve, monkeypatch):
    """The fixture of all tests, with a limit that is quick to reach."""
    monkeypatch.setattr(download, "_MOST_BYTES", MOST_BYTES)
    return serve


def whole(data):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def raw(data):
    return lambda handler: handler.wfile.write(data)


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(url, checksum, folder):
    """The message of the DataError that downloading raises; the folder is as it was."""
    folder.mkdir()
    (folder / "mine").write_text("mine")
    with pytest.raises(DataError) as raised:
        download_and_unpack(url, checksum, folder)
    assert [path.name for path in folder.iterdir()] == ["mine"]
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_good_archive_is_unpacked_with_a_progress_bar(serve, tmp_path, capfd):
    folder = tmp_path / "new" / "folder"
    download_and_unpack(serve(whole(GOOD)), sha256(GOOD), folder)
    assert files_below(folder) == {"data/a.txt": b"first", "data/deep/b.txt": b"second" * 1000, "c.txt": b""}
    assert sorted(path.name for path in folder.iterdir()) == ["c.txt", "data"]
    printed = capfd.readouterr()
    assert "archive.tar.gz: 100%" in printed.err and not printed.out


def test_a_server_that_does_not_tell_the_length(serve, tmp_path):
    url = serve(raw(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD))
    download_and_unpack(url, sha256(GOOD), tmp_path)
    assert len(files_below(tmp_path)) == 3


def test_the_wrong_checksum(serve, tmp_path):
    message = refusal(serve(whole(GOOD)), "0" * 64, tmp_path / "folder")
    assert f"has SHA-256 {sha256(GOOD)}, not {'0' * 64}" in message


def test_an_md5_is_compared_where_that_is_given(serve, tmp_path):
    md5 = hashlib.md5(GOOD).hexdigest()
    download_and_unpack(serve(whole(GOOD)), md5, tmp_path / "good")
    assert len(files_below(tmp_path / "good")) == 3
    message = refusal(serve(whole(GOOD)), "0" * 32, tmp_path / "folder")
    assert f"has MD5 {md5}, not {'0' * 32}; try again" in message


def test_a_file_that_is_there_is_compared_only(serve, tmp_path):
    url, file = serve(lambda handler: pytest.fail("it was asked")), tmp_path / "archive.tar.gz"
    file.write_bytes(GOOD)
    download_checked(url, sha256(GOOD), file)
    with pytest.raises(DataError, match=f"archive.tar.gz has SHA-256 {sha256(GOOD)}, not 0+; remove it"):
        download_checked(url, "0" * 64, file)
    assert file.read_bytes() == GOOD


def cut_off(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD[:100])


def cut_off_in_a_chunk(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nabc")


def reset(handler):
    cut_off(handler)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def endless(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        handler.wfile.write(bytes(1 << 16))


@pytest.mark.parametrize(
    "answer, reason",
    [
        (lambda handler: handler.send_error(404), "Not Found"),
        (lambda handler: handler.send_error(503), "Service Unavailable"),
        (cut_off, f"stopped at 100 of {len(GOOD)} bytes"),
        (cut_off_in_a_chunk, "IncompleteRead"),
        (reset, "reset"),
        (endless, f"over {MOST_BYTES} bytes"),
        (lambda handler: None, "closed connection"),
        (raw(b"no HTTP at all\r\n\r\n"), "BadStatusLine"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n"), "HTTPException"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc"), "garbled"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc"), "stopped at"),
        (raw(b"HTTP/1.1 302 Found\r\nLocation: ftp://[x\r\n\r\n"), "cannot download"),
        (raw(b"HTTP/1.1 302 Found\r\nLocation: /archive.tar.gz\r\nContent-Length: 0\r\n\r\n"), "infinite loop"),
        (raw(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"), "not allowed"),
    ],
)
def test_a_server_that_misbehaves(serve, tmp_path, answer, reason):
    url = serve(answer)
    message = refusal(url, sha256(GOOD), tmp_path / "folder")
    assert url in message and reason in message


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"])
def test_a_server_that_stalls(serve, tmp_path, monkeypatch, sent):
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.2)
    done = threading.Event()

    def stall(handler):
        handler.wfile.write(sent)
        done.wait(20)

    url = serve(stall)
    message = refusal(url, sha256(GOOD), tmp_path / "folder")
    done.set()
    assert url in message and "timed out" in message


def test_a_server_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/archive.tar.gz"
        assert "refused" in refusal(url, sha256(GOOD), tmp_path / "folder")


def test_a_folder_that_cannot_be_made(serve, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=f"into {tmp_path / 'file' / 'folder'}: Not a directory"):
        download_and_unpack(serve(whole(GOOD)), sha256(GOOD), tmp_path / "file" / "folder")
    assert files_below(tmp_path) == {"file": b"mine"}


def negative_size():
    entry = tarfile.TarInfo("negative")
    entry.size = -1024
    return entry, b""


@pytest.mark.parametrize(
    "entry, reason",
    [
        (("../escaped", b"x"), "'../escaped'"),
        (("data/../../escaped", b"x"), "not safe"),
        (special("..", tarfile.DIRTYPE), "'..'"),
        (("FOLDER/escaped", b"x"), "not safe"),
        (special("FOLDER/escaped", tarfile.DIRTYPE), "not safe"),
        (special("link", tarfile.SYMTYPE, "/etc/passwd"), "'link'"),
        (special("link", tarfile.SYMTYPE, "data/a.txt"), "'link'"),
        (special("link", tarfile.LNKTYPE, "../../mine"), "'link'"),
        (special("null", tarfile.CHRTYPE), "'null'"),
        (special("disk", tarfile.BLKTYPE), "'disk'"),
        (special("pipe", tarfile.FIFOTYPE), "'pipe'"),
        (("large", bytes(MOST_BYTES)), f"over {MOST_BYTES} bytes"),
        (negative_size(), "not safe"),
        (("c.txt/d.txt", b"x"), "File exists"),
        (("data", b"x"), "Is a directory"),
    ],
)
def test_an_archive_with_a_dangerous_entry(serve, tmp_path, entry, reason):
    header, data = entry
    if "FOLDER" in str(header):
        header = special(f"{tmp_path}/escaped", tarfile.DIRTYPE)[0] if not data else f"{tmp_path}/escaped"
    archive = tar(("data/a.txt", b"x"), ("c.txt", b""), (header, data))
    message = refusal(serve(whole(archive)), sha256(archive), tmp_path / "folder")
    assert reason in message
    assert files_below(tmp_path) == {"folder/mine": b"mine"}


def test_the_contents_of_all_entries_count(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_MOST_BYTES", MOST_BYTES)
    for entries, fits in ((10, True), (11, False)):
        (tmp_path / "archive").write_bytes(tar(*((f"{i}", bytes(MOST_BYTES // 10)) for i in range(entries))))
        with contextlib.nullcontext() if fits else pytest.raises(DataError, match="not safe"):
            unpack(tmp_path / "archive", tmp_path / f"unpacked-{entries}")


def test_only_what_is_chosen_is_written(tmp_path):
    (tmp_path / "archive").write_bytes(GOOD)
    unpack(tmp_path / "archive", tmp_path / "to", choose=lambda path: "b" if path.name == "b.txt" else None)
    assert files_below(tmp_path / "to") == {"b": b"second" * 1000}
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["b"]


@pytest.mark.parametrize(
    "entry", [("../escaped", b"x"), special("link", tarfile.SYMTYPE, "/etc/passwd"), ("large", bytes(MOST_BYTES))]
)
def test_what_is_not_chosen_must_be_safe_too(tmp_path, monkeypatch, entry):
    monkeypatch.setattr(download, "_MOST_BYTES", MOST_BYTES)
    (tmp_path / "archive").write_bytes(tar(("a", b"x"), entry))
    with pytest.raises(DataError, match="not safe"):
        unpack(tmp_path / "archive", tmp_path / "to", choose=lambda path: None)


def header(kind, size):
    entry = tarfile.TarInfo("long")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


SPARSE = io.BytesIO()
with tarfile.open(fileobj=SPARSE, mode="w", format=tarfile.PAX_FORMAT) as sparse_tar:
    sparse_entry = tarfile.TarInfo("sparse")
    sparse_entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    sparse_tar.addfile(sparse_entry)


@pytest.mark.parametrize(
    "contents, reason",
    [
        (header(tarfile.GNUTYPE_LONGNAME, 1 << 40), f"a header of {1 << 40} bytes"),
        (header(tarfile.GNUTYPE_LONGLINK, 1 << 40), f"a header of {1 << 40} bytes"),
        (header(tarfile.XHDTYPE, 1 << 40), f"a header of {1 << 40} bytes"),
        (header(tarfile.XGLTYPE, 1 << 40), f"a header of {1 << 40} bytes"),
        (header(tarfile.GNUTYPE_SPARSE, 1 << 40), "sparse"),
        (SPARSE.getvalue(), "sparse"),
        (header(tarfile.XHDTYPE, 0) * 5000, "recursion"),
        (header(tarfile.REGTYPE, 0) * 101, "over"),
        (bytes(10 * MOST_BYTES), "over"),
    ],
    ids=["name", "link", "pax", "global pax", "sparse", "pax sparse", "pax of pax", "many", "padding"],
)
def test_an_archive_that_would_fill_the_memory_or_take_for_ever(tmp_path, monkeypatch, contents, reason):
    monkeypatch.setattr(download, "_MOST_BYTES", MOST_BYTES)
    monkeypatch.setattr(download, "_MOST_ENTRIES", 100)
    (tmp_path / "archive").write_bytes(gzip.compress(contents))
    with pytest.raises(DataError, match=reason) as raised:
        unpack(tmp_path / "archive", tmp_path / "to")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "contents",
    [
        (header(tarfile.GNUTYPE_LONGNAME, 1 << 16) + b"x" * (1 << 16) + header(tarfile.REGTYPE, 0)) * 20,
        (header(tarfile.XGLTYPE, 512) + b"512 a=".ljust(511, b"x") + b"\n" + header(tarfile.REGTYPE, 0)) * 50,
    ],
    ids=["names", "global paxes"],
)
def test_headers_of_which_each_is_small_enough(tmp_path, contents):
    (tmp_path / "archive").write_bytes(gzip.compress(contents))
    with pytest.raises(DataError, match="too much for all headers"):
        unpack(tmp_path / "archive", tmp_path / "to", choose=lambda path: None)


def test_an_endless_name_is_not_repeated(tmp_path):
    name = header(tarfile.GNUTYPE_LONGNAME, 1 << 16) + b"../x" * (1 << 14) + header(tarfile.REGTYPE, 0)
    (tmp_path / "archive").write_bytes(gzip.compress(name))
    with pytest.raises(DataError, match="not safe to unpack: it holds '../x") as raised:
        unpack(tmp_path / "archive", tmp_path / "to")
    assert len(str(raised.value)) < 400


GOOD_TAR = gzip.decompress(GOOD)
CORRUPT = {
    "empty": b"",
    "no archive": b"<html>moved</html>" * 100,
    "gzip of no archive": gzip.compress(b"<html>moved</html>" * 100),
    "plain tar": GOOD_TAR,
    "half": GOOD[: len(GOOD) // 2],
    "cut tar": gzip.compress(GOOD_TAR[:2500]),
    "damaged deflate stream": GOOD[:60] + bytes(byte ^ 0x55 for byte in GOOD[60:80]) + GOOD[80:],
    "damaged checksum": GOOD[:-6] + bytes([GOOD[-6] ^ 1]) + GOOD[-5:],
    "damaged header": gzip.compress(b"\xff" * 512 + GOOD_TAR[512:]),
}


@pytest.mark.parametrize("archive", CORRUPT.values(), ids=CORRUPT)
def test_an_archive_that_is_corrupt(serve, tmp_path, archive):
    message = refusal(serve(whole(archive)), sha256(archive), tmp_path / "folder")
    assert "not a good .tar.gz archive" in message


def test_an_archive_that_is_not_compressed(tmp_path):
    (tmp_path / "good.tar").write_bytes(GOOD_TAR)
    unpack(tmp_path / "good.tar", tmp_path / "to")
    assert files_below(tmp_path / "to") == {
        "data/a.txt": b"first",
        "data/deep/b.txt": b"second" * 1000,
        "c.txt": b"",
    }
    for name, contents in {"gzip": GOOD, "cut": GOOD_TAR[:2500], "damaged": b"\xff" * 512 + GOOD_TAR[512:]}.items():
        (tmp_path / f"{name}.tar").write_bytes(contents)
        with pytest.raises(DataError, match=f"{name}.tar is not a good .tar archive"):
            unpack(tmp_path / f"{name}.tar", tmp_path / name)


def test_how_many_entries_an_archive_may_have(tmp_path):
    (tmp_path / "archive").write_bytes(GOOD)
    with pytest.raises(DataError, match="over .* or 3 entries"):
        unpack(tmp_path / "archive", tmp_path / "to", most_entries=3)
    unpack(tmp_path / "archive", tmp_path / "to", most_entries=4)


def test_an_archive_of_nothing(serve, tmp_path):
    archive = tar()
    download_and_unpack(serve(whole(archive)), sha256(archive), tmp_path)
    assert not list(tmp_path.iterdir())


@settings(deadline=None, max_examples=100)
@given(
    at=st.lists(st.tuples(st.integers(0, len(GOOD_TAR) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    compressed_at=st.integers(0, len(GOOD) - 1),
)
def test_a_damaged_archive_is_unpacked_or_refused_and_nothing_escapes(at, compressed_at):
    contents, damaged = bytearray(GOOD_TAR), bytearray(GOOD)
    for position, byte in at:
        # Half of them in the first header.
        contents[position % 512 if position % 2 else position] = byte
    damaged[compressed_at] ^= at[0][1]
    copied = unittest.mock.patch.object(download, "download", lambda url, to, advice: shutil.copy(url, to))
    for archive in (gzip.compress(contents, 1), bytes(damaged)):
        with tempfile.TemporaryDirectory() as parent:
            file, folder = pathlib.Path(parent, "archive"), pathlib.Path(parent, "folder")
            file.write_bytes(archive)
            with copied, contextlib.suppress(DataError):
                download_and_unpack(str(file), sha256(archive), folder)
            assert sorted(path.name for path in pathlib.Path(parent).iterdir()) == ["archive", "folder"]
            assert not any(path.name.startswith(".download") for path in folder.iterdir())
