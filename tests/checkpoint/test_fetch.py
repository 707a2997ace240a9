"""Fetching official releases from a server in this process that behaves well and badly."""

import gzip
import io
import os
import pathlib
import shutil
import socket
import tarfile
import threading
import time

import numpy as np
import pytest

from slimft import CheckpointError, download, open_checkpoint
from slimft.checkpoint import fetch as fetching
from slimft.checkpoint import official
from slimft.checkpoint.fetch import fetch
from slimft.compat import tf

VALUES = {
    "net/fc8/weights": np.random.default_rng(0).normal(size=[1, 1, 64, 32]).astype(np.float32),
    "net/fc8/biases": np.arange(32, dtype=np.float32),
    "net/mean_rgb": np.ones(3, np.float32),
    "global_step": np.array(7, np.int64),
}
SHAPES = {name: value.shape for name, value in VALUES.items() if name.startswith("net/fc8")}
FILES = {
    "V1": {"small.ckpt"},
    "V2": {"small.ckpt.index", "small.ckpt.data-00000-of-00001"},
}
NOTE = "small.ckpt.sha256"
FETCHED = {version: files | {NOTE} for version, files in FILES.items()}


def save(folder, values, version):
    """Files, by name, of a checkpoint TensorFlow writes."""
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=getattr(tf.train.SaverDef, version))
        saver.save(session, str(folder / "small.ckpt"), write_meta_graph=False, write_state=False)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """`saved(version, values)` are the files of such a checkpoint."""
    return lambda version, values=VALUES: save(tmp_path_factory.mktemp("saved"), values, version)


@pytest.fixture(scope="module")
def good(saved):
    """The files of a good checkpoint, by version."""
    return {version: saved(version) for version in FILES}


def archive_of(files, *special):
    """A .tar.gz of `files` and of other entries, with some that a release has besides its checkpoint."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(directory := tarfile.TarInfo("./"))
        directory.type = tarfile.DIRTYPE
        for name, data in {**files, "small_frozen.pb": bytes(100_000), "small.ckpt.meta": b"graph"}.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, kind, target in special:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    return out.getvalue()


@pytest.fixture
def publish(monkeypatch, serve):
    """Makes `small` the only official release, at the URL of a server that answers so."""

    def publish(answer, kind="tensorflow_v1", **facts):
        url = answer if isinstance(answer, str) else serve(answer, "small_2016.tar.gz")
        release = official.Release("small", "net", url, "small.ckpt", kind, SHAPES, **facts)
        monkeypatch.setattr(official, "_read", lambda: {"small": release})
        return url

    return publish


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


def names(folder):
    return {path.name for path in folder.iterdir()}


def refusal(folder, *words):
    """The message of the CheckpointError that fetching raises; no checkpoint gets its name."""
    with pytest.raises(CheckpointError) as raised:
        fetch("small", folder)
    message = str(raised.value)
    assert "\n" not in message and ".fetch-" not in message
    for word in words:
        assert word in message
    assert not folder.is_dir() or not names(folder) & (FILES["V1"] | FILES["V2"])
    return message


@pytest.mark.parametrize("version", FILES)
def test_a_good_release_is_fetched_once(publish, ranged_file, good, folder, monkeypatch, capfd, version):
    server = ranged_file(archive_of(good[version]))
    publish(server)
    unpacked, install = [], fetching._install

    def note(files, target):
        unpacked.extend(names(files[0].parent))
        install(files, target)

    monkeypatch.setattr(fetching, "_install", note)
    for _ in range(2):
        path = fetch("small")
        assert path == folder / "small.ckpt"
        assert names(folder) == FETCHED[version]
    assert set(unpacked) == FILES[version]
    assert len(server.requests) == 1
    checkpoint = open_checkpoint(path)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(checkpoint[name], value)
    captured = capfd.readouterr()
    assert "small_2016.tar.gz: 100%" in captured.err and "is here already" in captured.err
    assert not captured.out


def test_opening_an_official_name_fetches_it(publish, ranged_file, good, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = ranged_file(archive_of(good["V2"]))
    publish(server)
    monkeypatch.setitem(official.ALIASES, "tiny", "small")
    for name in ("small", "small", "tiny"):
        np.testing.assert_array_equal(open_checkpoint(name)["net/fc8/biases"], VALUES["net/fc8/biases"])
    assert len(server.requests) == 1
    shutil.rmtree(folder)
    publish("http://127.0.0.1:1/small_2016.tar.gz")
    with pytest.raises(CheckpointError, match="127.0.0.1:1/small_2016.tar.gz.*refused.*small.ckpt.*into"):
        open_checkpoint("small")


def test_a_cut_download_is_continued_by_the_next_call(publish, ranged_file, good, folder, monkeypatch):
    monkeypatch.setattr(download, "_TRIES", 1)
    data = archive_of(good["V1"])
    server = ranged_file(data, cuts=[len(data) // 3])
    url = publish(server)
    message = refusal(folder, url, "run the same command again to continue", "small.ckpt", str(folder))
    assert f"stopped at {len(data) // 3} of {len(data)} bytes" in message
    fetch("small", folder)
    assert names(folder) == FETCHED["V1"]
    assert server.requests[1][0] == f"bytes={len(data) // 3}-"


def test_a_server_that_stalls(publish, folder, monkeypatch):
    monkeypatch.setattr(download, "_TRIES", 2)
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.1)
    done = threading.Event()
    url = publish(lambda handler: done.wait(20))
    refusal(folder, url, "timed out")
    done.set()


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_does_not_have_it(publish, folder, status):
    url = publish(lambda handler: handler.send_error(status))
    reason = "Not Found" if status == 404 else "HTTP 500"
    refusal(folder, url, reason, f"put small.ckpt, or the archive, into {folder}")
    assert not names(folder)


def test_without_a_network_it_says_what_to_do(publish, folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = publish(f"http://127.0.0.1:{unused.getsockname()[1]}/small_2016.tar.gz")
        refusal(folder, url, "refused", f"put small.ckpt, or the archive, into {folder}")


def flip(data, position):
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def without(name):
    return {other: value for other, value in VALUES.items() if other != name}


def bad_archives(good, saved):
    """Archives that are not the release, with words of the reason."""
    v1, v2 = good["V1"], good["V2"]
    weights = VALUES["net/fc8/weights"].tobytes()
    at = v1["small.ckpt"].index(weights[:64]) + 1000
    yield archive_of({"small.ckpt": flip(v1["small.ckpt"], at)}), "checksum"
    name = "small.ckpt.data-00000-of-00001"
    yield archive_of({**v2, name: flip(v2[name], v2[name].index(weights[:64]) + 1000)}), "checksum"
    yield archive_of({**v2, name: v2[name][:-50]}), "small.ckpt"
    yield archive_of({"small.ckpt.index": v2["small.ckpt.index"]}), "small.ckpt"
    yield archive_of({name: v2[name]}), "holds no small.ckpt"
    yield archive_of({"small.ckpt": v1["small.ckpt"][:-100]}), "small.ckpt"
    yield archive_of({"small.ckpt": b""}), "small.ckpt is empty"
    yield archive_of({}), "small_2016.tar.gz holds no small.ckpt"
    yield archive_of({"other.ckpt": v1["small.ckpt"]}), "holds no small.ckpt"
    whole = archive_of(v1)
    yield flip(whole, len(whole) - 6), "not a good .tar.gz archive"
    yield flip(whole, len(whole) // 2), "not a good .tar.gz archive"
    yield gzip.compress(b"<html>"), "not a good .tar.gz archive"
    for special in (
        ("../escaped", tarfile.REGTYPE, ""),
        ("/escaped", tarfile.REGTYPE, ""),
        ("../small.ckpt", tarfile.DIRTYPE, ""),
        ("small.ckpt.index", tarfile.SYMTYPE, "/etc/passwd"),
        ("small.ckpt.index", tarfile.LNKTYPE, "../../mine"),
        ("small.ckpt.index", tarfile.FIFOTYPE, ""),
    ):
        yield archive_of(v1, special), f"not safe to unpack: it holds '{special[0]}'"
    for version in FILES:
        less = saved(version, without("net/fc8/biases"))
        yield archive_of(less), "it lacks net/fc8/biases"
        other = saved(version, {**VALUES, "net/fc8/biases": np.zeros(10, np.float32)})
        yield archive_of(other), "net/fc8/biases is [10], not [32]"
    yield archive_of(saved("V1", {"global_step": VALUES["global_step"]})), "weights and 1 other variable"


def test_what_is_not_the_release_is_refused_and_nothing_is_kept(publish, ranged_file, good, saved, tmp_path):
    server = ranged_file(b"")
    url = publish(server)
    count = 0
    for count, (server.data, reason) in enumerate(bad_archives(good, saved), start=1):
        folder = tmp_path / str(count) / "checkpoints"
        refusal(folder, url, reason, "try again")
        assert not names(folder) and names(folder.parent) == {"checkpoints"}
        assert names(tmp_path) == {str(number) for number in range(1, count + 1)}
        good_again = archive_of(good["V1"])
        if count % 5 == 0:
            server.data = good_again
            fetch("small", folder)
            assert names(folder) == FETCHED["V1"]
    assert count == 23


def test_an_archive_that_lies_there_is_used(publish, good, folder):
    publish("http://127.0.0.1:1/small_2016.tar.gz")
    folder.mkdir()
    (folder / "small_2016.tar.gz").write_bytes(b"bad")
    refusal(folder, f"{folder}/small_2016.tar.gz", "not a good", "delete it")
    assert names(folder) == {"small_2016.tar.gz"}
    (folder / "small_2016.tar.gz").write_bytes(archive_of(good["V2"]))
    fetch("small", folder)
    assert names(folder) == FETCHED["V2"]


def test_a_file_of_another_name_in_the_archive(publish, good, ranged_file, folder):
    """Of two checkpoints there, the one that is meant."""
    files = {f"net/ema/model-5{name.removeprefix('small.ckpt')}": data for name, data in good["V2"].items()}
    others = {f"net/pristine/model.ckpt-5{name.removeprefix('small.ckpt')}": b"" for name in good["V2"]}
    publish(ranged_file(archive_of({**files, **others})), kind="tensorflow_v2", archived="model-5")
    open_checkpoint(fetch("small", folder))
    assert names(folder) == FETCHED["V2"]
    publish(ranged_file(archive_of(good["V2"])), kind="tensorflow_v2", archived="model-5")
    refusal(folder / "again", "small_2016.tar.gz holds no model-5")


def test_a_file_that_lies_there_is_checked_by_name_and_shape(publish, good, saved, folder, capfd):
    publish("http://127.0.0.1:1/small_2016.tar.gz")
    folder.mkdir()
    file = folder / "small.ckpt"
    file.write_bytes(saved("V1", without("net/fc8/biases"))["small.ckpt"])
    with pytest.raises(CheckpointError, match="lacks net/fc8/biases; move it away"):
        fetch("small", folder)
    assert file.exists()
    file.write_bytes(good["V1"]["small.ckpt"])
    assert fetch("small", folder) == file
    assert "not verified: no .sha256 beside it" in capfd.readouterr().err
    open_checkpoint("small")
    assert f"small: {file}: not verified: no .sha256 beside it" in capfd.readouterr().err
    assert names(folder) == {"small.ckpt"}


def test_interrupted_while_it_gets_its_name(publish, ranged_file, good, folder, monkeypatch):
    server = ranged_file(archive_of(good["V2"]))
    publish(server, "tensorflow_v2")
    replace = os.replace

    def interrupted(source, target):
        if str(target).endswith(".index"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("small", folder)
    assert names(folder) == {"small.ckpt.data-00000-of-00001", NOTE, "small_2016.tar.gz"}
    monkeypatch.setattr(os, "replace", replace)
    (folder / ".slimft-0123abcd").mkdir()
    fetch("small", folder)
    assert names(folder) == FETCHED["V2"]
    assert len(server.requests) == 1


def test_two_at_once_download_once(publish, ranged_file, good, folder, capfd):
    server = ranged_file(archive_of(good["V1"]))

    def slowly(handler):
        time.sleep(0.3)
        server(handler)

    publish(slowly)
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch("small", folder))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [folder / "small.ckpt"] * 3
    assert len(server.requests) == 1
    assert "waiting for another process" in capfd.readouterr().err


def test_a_folder_that_cannot_be_written(publish, ranged_file, good, tmp_path):
    publish(ranged_file(archive_of(good["V1"])))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="Not a directory; name another.*SLIMFT_CHECKPOINTS") as raised:
        fetch("small", tmp_path / "file" / "folder")
    assert str(tmp_path / "file" / "folder") in str(raised.value)


def test_an_unknown_name(folder):
    with pytest.raises(CheckpointError, match="no official release 'vgg16'; did you mean 'vgg_16'"):
        fetch("vgg16", folder)
    with pytest.raises(CheckpointError, match="no official release 'zebra'; they are vgg_16, vgg_19"):
        fetch("zebra", folder)
    assert not pathlib.Path(folder).exists()
