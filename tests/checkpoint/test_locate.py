"""What files a path means: state files, suffixes, checkpoints of several files, and paths that mean nothing."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import write_checkpoint
from slimft.checkpoint.locate import latest_in_state, locate
from slimft.wire.protobuf import field

GOLDEN = pathlib.Path(__file__).parent / "golden"
NAMES = {"n", "p", "s", "w"}


@pytest.fixture
def folder(tmp_path):
    """A folder with the V1 checkpoint `one.ckpt`, the V2 checkpoint `two` and the V1 one of three files `three`."""
    shutil.copy(GOLDEN / "v1_tiny" / "model.ckpt", tmp_path / "one.ckpt")
    for file in (GOLDEN / "v2_tiny").glob("model.ckpt.*"):
        shutil.copy(file, tmp_path / file.name.replace("model.ckpt", "two"))
    for file in (GOLDEN / "v1_sharded").glob("model.ckpt-*"):
        shutil.copy(file, tmp_path / file.name.replace("model.ckpt", "three"))
    return tmp_path


def fails(path, *words):
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    for word in words:
        assert word in str(caught.value)


def state(folder, named):
    (folder / "checkpoint").write_bytes(b'model_checkpoint_path: "' + named.encode() + b'"\n')


def test_state_files_that_name_a_checkpoint(folder):
    (folder / "sub").mkdir()
    for named in ("one.ckpt", "two", "./two", "sub/../two", str(folder / "one.ckpt")):
        state(folder, named)
        assert set(open_checkpoint(folder)) == NAMES, named
    state(folder, "three-?????-of-00003")
    assert len(open_checkpoint(folder)) == 9
    # Relative to the folder, wherever it is.
    state(folder / "sub", "../two")
    assert set(open_checkpoint(folder / "sub")) == NAMES


def test_state_files_as_tensorflow_writes_them(folder):
    from tensorflow.python.checkpoint.checkpoint_management import update_checkpoint_state_internal

    from slimft.compat import tf

    for named in ("plain", "o\"dd 'name", "重み", "n\n\r\t", "back\\slash", "back\\n", "\x01\x7f"):
        path = folder / "ünï" / named
        path.parent.mkdir(exist_ok=True)
        for file in folder.glob("two.*"):
            shutil.copy(file, f"{path}{file.name.removeprefix('two')}")
        for relative in (True, False):
            update_checkpoint_state_internal(str(folder), str(path), [str(path)], save_relative_paths=relative)
            assert tf.train.get_checkpoint_state(str(folder)).model_checkpoint_path == str(path)
            checkpoint = open_checkpoint(folder)
            assert set(checkpoint) == NAMES and checkpoint.path == str(path)


def test_state_files_written_otherwise(folder):
    """As TensorFlow reads them: of any layout that such a text may have, and none where it is no such text."""
    from slimft.compat import tf

    path = b'model_checkpoint_path: "one.ckpt"\n'
    for octets in (
        path,
        b"# a note\n" + path,
        path.replace(b'"', b"'"),
        path.replace(b"\n", b";"),
        path + b"other: 1",
        b'model_checkpoint_path:"one" ".ckpt" # x',
        b'model_checkpoint_path: "two"\n' + path,
        path + b"\0",
        b"",
        b'all_model_checkpoint_paths: "two"\n' + path,
        b'model_checkpoint_path: "\\157ne\\x2eckpt"',
        b'model_checkpoint_path: "\\u006fne.ckpt"\nlast_preserved_timestamp: 1e9',
        b"# model_checkpoint_path",
        path + b'model_checkpoint_path: "',
        b'model_checkpoint_path: "\xff"',
        b"model_checkpoint_path: 1",
        path + b"x",
        path + b"last_preserved_timestamp: 'x'",
        path + b"last_preserved_timestamp: x",
        b'model_checkpoint_path: "o\ne.ckpt"',
        b'model_checkpoint_path: "\\x"',
        b'model_checkpoint_path: "o\\qne"',
    ):
        (folder / "checkpoint").write_bytes(octets)
        try:
            expected = tf.train.get_checkpoint_state(str(folder))
        except ValueError:
            expected = None
        assert latest_in_state(folder) == (expected.model_checkpoint_path or None if expected else None), octets


def test_a_state_file_that_is_too_large(folder):
    (folder / "checkpoint").write_bytes(b" " * (2 << 20))
    fails(folder, "checkpoint is not what it should be: it has more than 1,048,576 bytes")


@pytest.mark.parametrize("named", ["", ".", "..", "./", "sub", "sub/..", "/", "checkpoint"])
def test_state_files_that_name_a_folder_or_themselves(folder, named):
    (folder / "sub").mkdir()
    state(folder / "sub", "..")
    state(folder, named)
    fails(folder, str(folder))


def test_state_files_that_are_none(folder):
    for octets in (b"", b"\xff\0" * 99, b"model_checkpoint_path: two\n", b'model_checkpoint_path: "two\n'):
        (folder / "checkpoint").write_bytes(octets)
        fails(folder, "2 checkpoints", "name one of them")
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").mkdir()
    fails(folder, "2 checkpoints")


def test_suffixes(folder):
    for path in ("two", "two.index", "two.data-00000-of-00001", "two.meta", "one.ckpt", "one.ckpt.meta"):
        assert set(open_checkpoint(folder / path)) == NAMES
    for count in (40, 700, 2000):
        fails(f"{folder}/none{'.index' * count}")


def test_a_prefix_that_is_a_folder_too(folder):
    (folder / "two").mkdir()
    state(folder, "two")
    assert set(open_checkpoint(folder)) == NAMES
    assert set(open_checkpoint(folder / "two.index")) == NAMES


@pytest.mark.parametrize("path", ["x" * 300, "x" * 5000, "x/" * 3000, "nul\0", "new\nline", "\udcff"])
def test_paths_that_no_file_has(tmp_path, path):
    fails(path)
    fails(f"{tmp_path}/{path}")


def test_v1_checkpoints_of_several_files(folder):
    for path in ("three", "three-00001-of-00003", "three-?????-of-00003", "three-?????-of-?????"):
        assert len(open_checkpoint(folder / path)) == 9
    (folder / "three-00001-of-00003").rename(folder / "gone")
    for path in ("three", "three-00000-of-00003", "three-?????-of-00003"):
        fails(folder / path, "three-00001-of-00003 is missing")
    (folder / "gone").rename(folder / "three-00001-of-00003")
    shutil.copy(folder / "one.ckpt", folder / "three-00000-of-00001")
    assert len(open_checkpoint(folder / "three-00000-of-00003")) == 9
    assert set(open_checkpoint(folder / "three-00000-of-00001")) == NAMES
    fails(folder / "three", "several checkpoints")


def test_v1_files_of_a_checkpoint_of_none(folder):
    (folder / "one.ckpt").rename(folder / "none-00000-of-00000")
    fails(folder / "none")
    fails(folder / "none-00000-of-00000")


def test_v1_files_that_hold_the_same(folder):
    for shard in range(2):
        shutil.copy(folder / "one.ckpt", folder / f"twice-{shard:05d}-of-00002")
    checkpoint = open_checkpoint(folder / "twice")
    for name in NAMES:
        with pytest.raises(CheckpointError, match=f"cannot read {name}: its slices hold"):
            checkpoint[name]


def test_v2_files_of_another_count(folder):
    os.rename(folder / "two.data-00000-of-00001", folder / "two.data-00000-of-00002")
    checkpoint = open_checkpoint(folder / "two")
    with pytest.raises(CheckpointError, match="cannot read n: the file two.data-00000-of-00001 is missing"):
        checkpoint["n"]
    os.remove(folder / "two.data-00000-of-00002")
    fails(folder / "two", "no two.data-* file")


def test_names_of_formats_do_not_matter_where_files_tell(folder):
    (folder / "one.ckpt").rename(folder / "one.npz")
    assert open_checkpoint(folder / "one.npz").format == "tensorflow_v1"
    np.savez(folder / "x.npz", a=np.zeros(2))
    (folder / "x.npz").rename(folder / "x.safetensors")
    assert open_checkpoint(folder / "x.safetensors").format == "npz"
    write_checkpoint(folder / "y.ckpt.safetensors", {"a": np.zeros(2)})
    assert open_checkpoint(folder / "y.ckpt.safetensors").format == "safetensors"


@pytest.mark.parametrize(
    "named", ["/home/another/run/two", r"C:\\Users\\me\\run\\two", "runs/first/two", "//server/two", "../gone/two"]
)
def test_a_directory_that_was_moved(folder, named, capsys):
    """Its state file names the old place; what is of that name here is taken, and said once."""
    state(folder, named)
    for _ in range(2):
        checkpoint = open_checkpoint(folder)
        assert set(checkpoint) == NAMES and checkpoint.path == str(folder / "two")
        assert open_checkpoint(folder / "checkpoint").path == checkpoint.path
    lines = capsys.readouterr().err.splitlines()
    gone = named.replace("\\\\", "\\")
    assert lines == [f"note: {folder}/checkpoint names {gone}, which is not there; {folder}/two is taken"]


def test_what_is_there_is_not_taken_for_moved(folder, capsys):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    for file in folder.glob("two.*"):
        shutil.copy(file, elsewhere)
    state(folder, str(elsewhere / "two"))
    assert open_checkpoint(folder).path == str(elsewhere / "two")
    # Broken there, but there: nothing else is taken for it.
    (elsewhere / "two.data-00000-of-00001").unlink()
    fails(folder, "elsewhere/two.index has no two.data-*")
    state(folder, "/gone/three-?????-of-00003")
    assert len(open_checkpoint(folder)) == 9
    state(folder, "/gone/four")
    fails(folder, "'/gone/four', which is not there")
    for named in ("/gone/", "/gone/..", "/gone/checkpoint", r"C:\\"):
        state(folder, named)
        fails(folder, "checkpoint")
    assert "three-?????-of-00003 is taken" in capsys.readouterr().err


def test_files_of_one_byte_or_a_few(tmp_path):
    """Whatever they begin as, there is no more of it."""
    several = b"\xde\0", b"\xde\0\1", b"\x81\xa5", b"\x80\4", b"\x1f\x8b", b"BM"
    for octets in (*(bytes([byte]) for byte in range(256)), *several):
        (tmp_path / "some").write_bytes(octets)
        fails(tmp_path / "some", "some")


def test_a_graph_whose_first_op_is_a_number(tmp_path):
    node = field(1, b"a") + field(2, 7)
    (tmp_path / "x").write_bytes(field(1, node))
    fails(tmp_path / "x", "is of no kind that is known here")
    (tmp_path / "x.pb").write_bytes(field(1, node))
    fails(tmp_path / "x.pb", "x.pb")


def test_a_state_file_that_names_what_no_file_can_be_called(folder):
    state(folder, "x" * 5000)
    with pytest.raises(CheckpointError, match="names a checkpoint that cannot be read: File name too long"):
        latest_in_state(folder)
    fails(folder, "File name too long")


def test_a_folder_called_as_an_index(tmp_path):
    (tmp_path / "inner" / "model.index").mkdir(parents=True)
    fails(tmp_path / "inner", "there is no checkpoint in the directory")
    fails(tmp_path, "there is no checkpoint in the directory")
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    assert "there is one in" not in str(caught.value)
    write_checkpoint(tmp_path / "inner" / "only.npz", {"a": np.zeros(2)})
    assert list(open_checkpoint(tmp_path / "inner")) == ["a"]


def test_an_index_that_is_a_link_to_nothing(tmp_path):
    (tmp_path / "model.index").symlink_to("elsewhere.index")
    fails(tmp_path, "there is no checkpoint in", "model.index is no file")


@pytest.mark.parametrize("end", [".part", ".index.part", ".data-00000-of-00001.crdownload"])
def test_an_unfinished_download_is_of_its_own_name(tmp_path, end):
    """One of another name does not hide a release that this one is the beginning of."""
    (tmp_path / f"vgg_16.ckpt{end}").touch()
    assert locate(str(tmp_path / "vgg_16")) is None
    with pytest.raises(CheckpointError, match="an unfinished download"):
        locate(str(tmp_path / "vgg_16.ckpt"))


def test_another_checkpoint_whose_name_goes_on_is_no_part_of_it(tmp_path):
    # As mobilenet_v1_1.0_224.ckpt, beside which the release mobilenet_v1_1.0_224 is named.
    write_checkpoint(tmp_path / "net_224.ckpt", {"x": np.zeros(2, np.float32)})
    assert locate(str(tmp_path / "net_224")) is None
