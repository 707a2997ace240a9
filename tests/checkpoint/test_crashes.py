"""Writers that are killed or find the disk full, at each system call: there is always a whole checkpoint."""

import errno
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import slimft
from slimft.checkpoint import write_checkpoint
from slimft.compat import tf

ROOT = pathlib.Path(__file__).resolve().parents[2]
OLD = {"net/a": np.arange(3000, dtype=np.float32), "net/b": np.full([7], 2, np.int32)}
NEW = {"net/a": np.ones([4000], np.float32), "net/b": np.full([7], 3, np.int32), "net/c": np.zeros([2, 2])}


def whole(path):
    """OLD or NEW, whichever the checkpoint at `path` is to its last bit."""
    found = slimft.open_checkpoint(path)
    for name, wanted in (("old", OLD), ("new", NEW)):
        if set(found) == set(wanted):
            for variable, value in wanted.items():
                np.testing.assert_array_equal(found[variable], value)
            return name
    raise AssertionError(set(found))


def tensorflow_reads(path, wanted):
    reader = tf.train.load_checkpoint(str(path))
    for name, value in wanted.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


FINAL = {
    "model.ckpt": ["model.ckpt.data-00000-of-00001", "model.ckpt.index", "new.npz"],
    "model.npz": ["model.npz", "new.npz"],
    "model.safetensors": ["model.safetensors", "new.npz"],
}


def prepared(folder, path):
    folder.mkdir()
    write_checkpoint(folder / "new.npz", NEW)
    write_checkpoint(folder / path, OLD)
    return folder


@pytest.mark.parametrize("path", FINAL)
def test_a_kill_at_any_call_leaves_the_old_checkpoint_or_the_new_one(crash_points, tmp_path, path):
    folder, seen, calls = prepared(tmp_path / "run", path), [], 0
    for calls, status, left in crash_points(folder, "kill", path):
        assert status == -9
        seen.append(whole(left / path))
        if path == "model.ckpt":
            tensorflow_reads(left / path, OLD if seen[-1] == "old" else NEW)
        # The next writer clears away what was left, and is itself whole.
        write_checkpoint(left / path, NEW)
        assert whole(left / path) == "new" and names(left) == FINAL[path], calls
    assert calls > 10 and seen == sorted(seen, reverse=True) and {"old", "new"} == set(seen)


@pytest.mark.parametrize("path", FINAL)
def test_a_full_disk_at_any_call_leaves_the_old_checkpoint_and_names_the_file(crash_points, tmp_path, path):
    folder, seen, calls = prepared(tmp_path / "run", path), [], 0
    old = {file.name: file.read_bytes() for file in folder.iterdir()}
    for calls, status, left in crash_points(folder, "full", path):
        seen.append(whole(left / path))
        assert not list(left.glob(".*")), calls
        if seen[-1] == "old":
            assert status == 2 and {file.name: file.read_bytes() for file in left.iterdir()} == old, calls
        if status == 2:
            message = left.with_name(f"{left.name}.error").read_text()
            assert message == f"cannot write {left / path}: No space left on device"
        write_checkpoint(left / path, NEW)
        assert whole(left / path) == "new" and names(left) == FINAL[path], calls
    # The new one: where a hard link cannot be had, bytes are copied.
    assert calls > 5 and seen[0] == "old" and (path != "model.ckpt" or "new" in seen)


@pytest.mark.parametrize("kind", ["kill", "full"])
def test_any_other_file_is_the_old_one_or_the_new_one(crash_points, tmp_path, kind):
    folder, seen = tmp_path / "run", set()
    folder.mkdir()
    (folder / "result.json").write_text("old")
    for _, status, left in crash_points(folder, kind, "text"):
        text = (left / "result.json").read_text()
        assert text in ("old", "new" * 5000)
        seen.add(text)
        if kind == "full":
            message = left.with_name(f"{left.name}.error").read_text()
            assert status == 2
            assert message == f"[Errno {errno.ENOSPC}] No space left on device: '{left / 'result.json'}'"
            assert names(left) == ["result.json"]
        slimft.files.write_atomically(left / "result.json", "newer")
        assert names(left) == ["result.json"]
    assert len(seen) == 2 or kind == "full"


def test_a_checkpoint_of_several_data_files_is_replaced(tmp_path):
    """TensorFlow's own, which a sharded Saver wrote; and one that a killed writer left under its interim name."""
    path = str(tmp_path / "model.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        for number, device in enumerate(["/cpu:0", "/cpu:1"]):
            with tf.device(device):
                tf.get_variable(f"net/{number}", initializer=tf.ones([3]))
        config = tf.ConfigProto(device_count={"CPU": 2})
        session.close()
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            tf.train.Saver(sharded=True).save(session, path, write_meta_graph=False, write_state=False)
    assert len(list(tmp_path.glob("*.data-*-of-00002"))) == 2
    write_checkpoint(path, NEW)
    assert names(tmp_path) == FINAL["model.ckpt"][:2]
    assert whole(path) == "new"
    tensorflow_reads(path, NEW)


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    code = (
        "import sys, numpy as np; from slimft.files import temporary_directory; import pathlib\n"
        "with temporary_directory(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'x').touch(); print(folder.name, flush=True); sys.stdin.read()\n"
    )
    command, pipe = [sys.executable, "-c", code, str(tmp_path)], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe) as process:
        name = process.stdout.readline().strip()
        write_checkpoint(tmp_path / "a.npz", NEW)
        assert names(tmp_path / name) == ["x"]
        process.kill()
    assert names(tmp_path / name) == ["x"]
    write_checkpoint(tmp_path / "b.npz", NEW)
    assert names(tmp_path) == ["a.npz", "b.npz"]


def test_where_there_are_no_hard_links_the_data_is_copied(tmp_path, monkeypatch):
    def no_links(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    write_checkpoint(tmp_path / "model.ckpt", OLD)
    write_checkpoint(tmp_path / "model.ckpt", NEW)
    assert whole(tmp_path / "model.ckpt") == "new" and names(tmp_path) == FINAL["model.ckpt"][:2]
