"""Files that are replaced, changed, cut or removed while a checkpoint is open, and what is read from them.

The promises are those of docs/checkpoints.md: a replaced file goes on being read as it was; one that is changed in
place is an error; only a map of a file that is cut short in place is out of reach, and is no silent death.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import write_checkpoint
from slimft.wire.binary_file import BinaryFile

# "large" is mapped from a V2 checkpoint that has it at a multiple of 64 bytes; "small" is always read.
ARRAYS = {
    "large": np.arange(1 << 19, dtype=np.float32).reshape(512, 1024),
    "other": np.arange(1 << 18, dtype=np.int64),
    "small": np.arange(5, dtype=np.int16),
    "words": np.array([b"a", b"bc"], object),
}
OTHERS = {name: array[::-1].copy() for name, array in ARRAYS.items()}


def save_v1(path, arrays):
    from slimft.compat import tf

    with tf.Graph().as_default(), tf.Session() as session:
        names, placeholders = list(arrays), [tf.placeholder(_tf_dtype(a), a.shape) for a in arrays.values()]
        saved = tf.raw_ops.SaveSlices(
            filename=str(path), tensor_names=names, shapes_and_slices=[""] * len(names), data=placeholders
        )
        session.run(saved, dict(zip(placeholders, arrays.values())))


def _tf_dtype(array):
    return "string" if array.dtype.hasobject else array.dtype.name


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a checkpoint of each format, and `others` with ones of the same sizes."""
    folder = tmp_path_factory.mktemp("saved")
    for kind, arrays in {"ckpt": ARRAYS, "others": OTHERS}.items():
        (folder / kind).mkdir()
        save_v1(folder / kind / "v1", arrays)
        write_checkpoint(folder / kind / "v2", arrays)
        write_checkpoint(folder / kind / "file.safetensors", {n: a for n, a in arrays.items() if n != "words"})
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the checkpoints that may be destroyed."""
    return pathlib.Path(shutil.copytree(saved, tmp_path / "saved"))


def same(array, name, arrays=ARRAYS):
    return array.dtype == arrays[name].dtype and np.array_equal(array, arrays[name])


def replace(folder, name):
    """Puts the other checkpoint's file in the place of a file, as an atomic writer does."""
    os.replace(folder / "others" / name, folder / "ckpt" / name)


def overwrite(path, byte=0x55):
    """Changes the middle of a file in place, a tick of its clock later."""
    with open(path, "r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        stream.write(bytes([byte]) * 100)
    later = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(later, later))


DATA = {"v1": "v1", "v2": "v2.data-00000-of-00001", "file.safetensors": "file.safetensors"}


@pytest.mark.parametrize("change", [replace, lambda folder, name: (folder / "ckpt" / name).unlink()])
@pytest.mark.parametrize("name", DATA)
def test_a_replaced_or_removed_file_goes_on_being_read(folder, name, change):
    checkpoint = open_checkpoint(folder / "ckpt" / name)
    checkpoint["small"]  # V2 opens a data file when it reads from it first.
    change(folder, DATA[name])
    for variable in checkpoint:
        assert same(checkpoint[variable], variable)


def test_v2_data_replaced_before_its_first_use_is_an_error(folder):
    checkpoint = open_checkpoint(folder / "ckpt" / "v2")
    replace(folder, DATA["v2"])
    assert not open_checkpoint(folder / "ckpt" / "v2", verify=False)["small"][0] == 0
    for variable in checkpoint:
        with pytest.raises(CheckpointError, match=f"cannot read {variable}: its checksum does not match"):
            checkpoint[variable]


def test_a_v2_index_is_read_when_it_is_opened(folder):
    checkpoint = open_checkpoint(folder / "ckpt" / "v2")
    (folder / "ckpt" / "v2.index").write_bytes(b"nothing of the kind")
    for variable in checkpoint:
        assert same(checkpoint[variable], variable)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("change", [overwrite, lambda path: os.truncate(path, 3_000_000)])
@pytest.mark.parametrize("name", DATA)
def test_a_file_changed_or_cut_in_place_is_an_error(folder, name, change, verify):
    checkpoint = open_checkpoint(folder / "ckpt" / name, verify=verify)
    assert same(checkpoint["small"], "small")
    change(folder / "ckpt" / DATA[name])
    for variable in checkpoint:
        with pytest.raises(CheckpointError, match=f"cannot read {variable}: .*open it again"):
            checkpoint[variable]


@pytest.mark.parametrize("name", DATA)
def test_what_was_read_is_a_copy_unless_it_is_mapped(folder, name):
    checkpoint = open_checkpoint(folder / "ckpt" / name)
    arrays = {variable: checkpoint[variable] for variable in checkpoint}
    mapped = [variable for variable in arrays if checkpoint.is_mapped(variable)]
    assert mapped == (["large", "other"] if name == "v2" else [])
    overwritten = folder / "ckpt" / DATA[name]
    with open(overwritten, "r+b") as stream:
        stream.write(b"\x55" * overwritten.stat().st_size)
    for variable in arrays.keys() - mapped:
        assert same(arrays[variable], variable)


def test_without_memory_map_everything_is_a_copy(folder):
    checkpoint = open_checkpoint(folder / "ckpt" / "v2", memory_map=False)
    arrays = {variable: checkpoint[variable] for variable in checkpoint}
    assert not any(checkpoint.is_mapped(variable) for variable in checkpoint)
    os.truncate(folder / "ckpt" / DATA["v2"], 0)
    for variable in arrays:
        assert same(arrays[variable], variable)


@pytest.mark.parametrize("change", [replace, lambda folder, name: (folder / "ckpt" / name).unlink()])
def test_mapped_arrays_survive_replacement_and_removal(folder, change):
    checkpoint = open_checkpoint(folder / "ckpt" / "v2", verify=False)  # So that no page has been touched yet.
    array = checkpoint["large"]
    assert checkpoint.is_mapped("large")
    del checkpoint
    change(folder, DATA["v2"])
    assert same(array, "large")


@pytest.mark.parametrize(
    "name, variable", [(n, v) for n in DATA for v in ARRAYS if (n, v) != ("file.safetensors", "words")]
)
def test_writing_into_an_array_changes_neither_the_file_nor_the_next_read(folder, name, variable):
    path = folder / "ckpt" / DATA[name]
    before, checkpoint = path.read_bytes(), open_checkpoint(folder / "ckpt" / name)
    first, second = checkpoint[variable], checkpoint[variable]
    first[...] = first.reshape(-1)[-1]
    assert not np.shares_memory(first, second)
    assert same(second, variable) and same(checkpoint[variable], variable)
    assert path.read_bytes() == before
    assert same(open_checkpoint(folder / "ckpt" / name)[variable], variable)


def test_a_file_cut_just_before_it_is_mapped(folder, monkeypatch):
    checkpoint = open_checkpoint(folder / "ckpt" / "v2")
    assert same(checkpoint["small"], "small") and checkpoint.is_mapped("other")
    # In the moment after it was seen to be as before.
    monkeypatch.setattr(BinaryFile, "check_unchanged", lambda _: os.truncate(folder / "ckpt" / DATA["v2"], 100))
    with pytest.raises(CheckpointError, match="cannot read other: the file has changed"):
        checkpoint["other"]


def test_a_mapped_file_that_is_cut_short_is_no_silent_death(folder):
    code = (
        "import os, sys\n"
        "from slimft import open_checkpoint\n"
        "def touch_what_is_gone(array):\n"
        "    return array.sum()\n"
        "checkpoint = open_checkpoint(sys.argv[1], verify=False)\n"
        "array = checkpoint['large']\n"
        "assert checkpoint.is_mapped('large')\n"
        "os.truncate(sys.argv[1] + '.data-00000-of-00001', 4096)\n"
        "print('still alive', flush=True)\n"
        "touch_what_is_gone(array)\n"
        "print('unreachable', flush=True)\n"
    )
    root = pathlib.Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, str(folder / "ckpt" / "v2")],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "still alive\n"
    assert done.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in done.stderr and "in touch_what_is_gone" in done.stderr
