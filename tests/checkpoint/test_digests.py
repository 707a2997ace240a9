"""Releases compared with the SHA-256 that is published, or with the one of the first download."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimft import CheckpointError, download, open_checkpoint
from slimft.checkpoint import digests, official
from slimft.checkpoint.fetch import fetch
from slimft.cli import fetch_checkpoint

ARCHIVE, NOTE = "small_2016.tar.gz", "small.ckpt.sha256"
VALUES = {"net/fc8/weights": np.ones([1, 1, 4, 2], np.float32), "net/fc8/biases": np.zeros(2, np.float32)}
SHAPES = {name: value.shape for name, value in VALUES.items()}


ROOT = pathlib.Path(__file__).resolve().parents[2]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """`archive(scale)` is a release's archive with values that are that many times as large."""
    from slimft import write_checkpoint

    def make(scale):
        source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
        write_checkpoint(str(source / "small.ckpt"), {name: value * scale for name, value in VALUES.items()})
        return shutil.make_archive(str(target / "small"), "gztar", source)

    def cached(scale, archives={}):  # noqa: B006
        if scale not in archives:
            archives[scale] = open(make(scale), "rb").read()
        return archives[scale]

    return cached


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


@pytest.fixture
def publish(monkeypatch):
    """Makes `small` the only official release."""

    def publish(url, sha256=None, http_url=None):
        facts = {"sha256": sha256, "sha256_from": ["example.org/pins"], "http_url": http_url}
        release = official.Release("small", "net", url, "small.ckpt", "tensorflow_v2", SHAPES, **facts)
        monkeypatch.setattr(official, "_read", lambda: {"small": release})

    return publish


def names(folder):
    return {path.name for path in folder.iterdir()}


def refusal(*words):
    """The message that both fetching and opening by name give; it is one line."""
    with pytest.raises(CheckpointError) as raised:
        fetch("small")
    with pytest.raises(CheckpointError) as again:
        open_checkpoint("small")
    message = str(raised.value)
    assert str(again.value) == message and "\n" not in message
    for word in words:
        assert word in message
    return message


def test_the_published_one(serve, ranged_file, archive, folder, publish, capfd):
    data = archive(1)
    publish(serve(ranged_file(data), ARCHIVE), sha256(data))
    fetch("small")
    said = capfd.readouterr().err
    assert f"small: verified: its archive has the published SHA-256, {sha256(data)}\n" in said
    fetch("small")
    assert "is here already; verified: it came in the archive with the published" in capfd.readouterr().err
    open_checkpoint("small")
    assert not capfd.readouterr().err


def test_another_one_than_the_published_is_refused(serve, ranged_file, archive, folder, publish):
    server = ranged_file(archive(2))
    publish(serve(server, ARCHIVE), sha256(archive(1)))
    refusal(sha256(archive(1)), sha256(archive(2)), "the published one", "nothing of it was kept")
    assert not names(folder)
    server.data = archive(1)
    fetch("small")


def test_a_continued_download_is_compared_as_a_whole(serve, ranged_file, archive, folder, publish, monkeypatch):
    monkeypatch.setattr(download, "_TRIES", 1)
    data = archive(1)
    changed = bytes([data[0] ^ 1]) + data[1:]
    server = ranged_file(changed, cuts=[100])
    publish(serve(server, ARCHIVE), sha256(data))
    with pytest.raises(CheckpointError, match="stopped at 100 of"):
        fetch("small")
    server.data = data  # With the same tag: the rest is asked for, and comes.
    with pytest.raises(CheckpointError, match=f"{sha256(changed[:100] + data[100:])}, not {sha256(data)}"):
        fetch("small")
    assert server.requests[1][0] == "bytes=100-" and not names(folder)
    fetch("small")


def test_without_a_published_one_the_first_download_is_compared_with(
    serve, ranged_file, archive, folder, publish, capfd
):
    server = ranged_file(archive(1))
    publish(serve(server, ARCHIVE))
    fetch("small")
    said = capfd.readouterr().err
    assert f"small: not verified: no SHA-256 of its archive is published; this one, {sha256(archive(1))}" in said
    assert "is noted in small.ckpt.sha256" in said and "plain http" in said
    fetch("small")
    assert "it has not changed since the first download" in capfd.readouterr().err
    for name in names(folder) - {NOTE}:
        (folder / name).unlink()
    server.data = archive(2)
    refusal(sha256(archive(1)), sha256(archive(2)), f"of the first download; delete {folder / NOTE}")
    assert names(folder) == {NOTE}
    (folder / NOTE).unlink()
    assert open_checkpoint(str(fetch("small")))["net/fc8/weights"].max() == 2


def test_the_note_is_one_of_sha256sum(serve, ranged_file, archive, folder, publish):
    data = archive(1)
    publish(serve(ranged_file(data), ARCHIVE))
    fetch("small")
    assert (folder / NOTE).read_text().startswith(f"{sha256(data)}  {ARCHIVE}\n")
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum here")
    (folder / ARCHIVE).write_bytes(data)
    done = subprocess.run(["sha256sum", "--strict", "-c", NOTE], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(line.split(":")[0] for line in done.stdout.splitlines()) == sorted(names(folder) - {NOTE})


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_file_that_changed_on_the_disk(serve, ranged_file, archive, folder, publish, published, suffix):
    publish(serve(ranged_file(archive(1)), ARCHIVE), sha256(archive(1)) if published else None)
    fetch("small")
    file = folder / f"small.ckpt{suffix}"
    good = file.read_bytes()
    file.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    refusal(str(file), sha256(file.read_bytes()), sha256(good), "delete small.ckpt.sha256")
    file.write_bytes(good)
    (folder / "small.ckpt.data-00001-of-00002").write_bytes(b"more")
    refusal("small.ckpt.data-00001-of-00002 has SHA-256", "there was no such file")
    (folder / "small.ckpt.data-00001-of-00002").unlink()
    fetch("small")


def test_a_file_that_is_gone(serve, ranged_file, archive, folder, publish):
    publish(serve(ranged_file(archive(1)), ARCHIVE))
    fetch("small")
    (folder / "small.ckpt.data-00000-of-00001").unlink()
    refusal("small.ckpt.data-00000-of-00001 is missing")


def test_what_was_fetched_before_another_one_was_published(serve, ranged_file, archive, folder, publish):
    url = serve(ranged_file(archive(1)), ARCHIVE)
    publish(url)
    fetch("small")
    publish(url, sha256(archive(2)))
    refusal(sha256(archive(1)), sha256(archive(2)), "the published one")
    publish(url, sha256(archive(1)))
    fetch("small")


@pytest.mark.parametrize("published", [True, False])
def test_an_archive_that_was_put_there(archive, folder, publish, capfd, published):
    publish("http://127.0.0.1:1/" + ARCHIVE, sha256(archive(1)) if published else None)
    folder.mkdir()
    if published:
        (folder / ARCHIVE).write_bytes(archive(2))
        refusal(str(folder / ARCHIVE), sha256(archive(1)), sha256(archive(2)), "delete it or move it away")
        assert names(folder) == {ARCHIVE}
    (folder / ARCHIVE).write_bytes(archive(1))
    fetch("small")
    said = capfd.readouterr().err
    assert ("small: verified: " if published else "small: not verified: ") in said and "plain http" not in said
    assert ARCHIVE not in names(folder)


@pytest.mark.parametrize(
    "text",
    [b"", b"nonsense\n", b"\xff\n", b"0" * 64 + b"  ../small.ckpt\n", b"0" * 63 + b"  small.ckpt\n", b"0" * 70_000],
)
def test_a_note_that_is_damaged(serve, ranged_file, archive, folder, publish, capsys, text):
    publish(serve(ranged_file(archive(1)), ARCHIVE))
    fetch("small")
    (folder / NOTE).write_bytes(text)
    refusal(str(folder / NOTE))
    capsys.readouterr()
    assert fetch_checkpoint.main(["fetch_checkpoint", "--list", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["compared_with"] == "nothing" and NOTE in captured.err


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.lists(st.from_regex(rb"[0-9a-f]{62,65} [ *].{0,9}")).map(b"\n".join)))
def test_any_note_is_read_or_refused(tmp_path, text):
    release = official.Release("small", "net", "http://x/" + ARCHIVE, "small.ckpt", "tensorflow_v2", SHAPES)
    (tmp_path / NOTE).write_bytes(text)
    try:
        noted = digests.read_note(release, tmp_path)
    except CheckpointError as error:
        assert str(tmp_path / NOTE) in str(error) and "\n" not in str(error)
    else:
        assert noted and all(len(digest) == 64 and "/" not in name for name, digest in noted.items())


def test_a_link_that_leads_nowhere(serve, ranged_file, archive, folder, publish):
    publish(serve(ranged_file(archive(1)), ARCHIVE))
    fetch("small")
    data = folder / "small.ckpt.data-00000-of-00001"
    data.unlink()
    data.symlink_to(data.name)
    refusal("small.ckpt.data-00000-of-00001 is missing")


@pytest.fixture
def no_https(serve):
    """A URL of https where there is none."""
    return serve(lambda handler: None, ARCHIVE).replace("http:", "https:")


def test_http_is_the_last_resort_where_the_sha256_is_known(
    serve, ranged_file, archive, folder, publish, no_https, capfd
):
    server = ranged_file(archive(2))
    http = serve(server, ARCHIVE)
    publish(no_https, sha256(archive(1)), http)
    refusal(sha256(archive(2)), sha256(archive(1)))
    server.data = archive(1)
    fetch("small")
    said = capfd.readouterr().err
    assert f"cannot download {no_https}" in said and f"small: trying {http}" in said


def test_http_is_not_used_where_the_sha256_is_unknown(serve, ranged_file, archive, folder, publish, no_https):
    server = ranged_file(archive(1))
    publish(no_https, None, serve(server, ARCHIVE))
    refusal(f"cannot download {no_https}", "put small.ckpt, or the archive, into")
    assert not server.requests


def test_https_that_was_cut_is_not_replaced(serve, ranged_file, archive, folder, publish, monkeypatch):
    monkeypatch.setattr(download, "_TRIES", 1)
    data, other = archive(1), ranged_file(archive(1))
    publish(serve(ranged_file(data, cuts=[100]), ARCHIVE), sha256(data), serve(other, ARCHIVE))
    with pytest.raises(CheckpointError, match="stopped at 100"):
        fetch("small")
    assert not other.requests


def test_json(serve, ranged_file, archive, folder, publish, capsys):
    data = archive(1)
    publish(serve(ranged_file(data), ARCHIVE), sha256(data))
    listed = []
    for arguments in (["--list", "--json"], ["small", "--json"], ["--list", "--json"]):
        assert fetch_checkpoint.main(["fetch_checkpoint", *arguments]) == 0
        listed.append(json.loads(capsys.readouterr().out))
    before, fetched, after = listed
    assert fetched == after and not before[0]["here"] and after[0]["here"]
    assert after[0]["compared_with"] == before[0]["compared_with"] == "published SHA-256"
    assert after[0]["sha256"] == sha256(data) and after[0]["sha256_from"] == ["example.org/pins"]
    (folder / NOTE).unlink()
    fetch_checkpoint.main(["fetch_checkpoint", "--list"])
    assert capsys.readouterr().out.splitlines()[2].split() == [
        "small",
        "net",
        "tensorflow_v2",
        "yes",
        "nothing",
        "2",
        "10",
    ]


def test_a_program_sees_the_status(archive, folder, tmp_path):
    """bin/fetch_checkpoint on a real release's file that was put there by hand and is not the release."""
    release = official.OFFICIAL["vgg_16"]
    folder.mkdir()
    (folder / release.archive).write_bytes(archive(1))
    command = [sys.executable, str(ROOT / "bin" / "fetch_checkpoint"), "vgg_16"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert sha256(archive(1)) in done.stderr and release.sha256 in done.stderr
