"""Every kind of file that people bring is read, or named for what it is with the next step: see foreign.py."""

import importlib.util
import pathlib
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slimft
from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import write_checkpoint

_SPEC = importlib.util.spec_from_file_location("foreign", pathlib.Path(__file__).with_name("foreign.py"))
foreign = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(foreign)
# Of no kind by their content: then the suffix decides which reader says what is wrong.
BY_SUFFIX = ("zeros but for one byte", "noise")


@pytest.mark.parametrize("kind", foreign.FILES)
def test_a_file_is_what_its_content_says_under_any_suffix(tmp_path, kind, capsys):
    tool, write, expected = foreign.FILES[kind]
    pytest.importorskip(tool if tool in ("onnx", "joblib") else "slimft")
    write(tmp_path / "FILE")
    last = "FILE"
    for name in ("FILE", "FILE.ckpt", "FILE.npz", "FILE.h5", "FILE.PB", "FILE.part"):
        (tmp_path / last).rename(tmp_path / name)
        last = name
        found = foreign.outcome(tmp_path / name)
        if kind in BY_SUFFIX and name != "FILE" and not name.endswith("ckpt"):
            assert name in found
        elif kind == "zeros" and name.endswith("part"):
            assert "an unfinished download" in found
        elif expected[0].startswith("["):
            assert found.split() == [expected[0], *sorted(expected[1:])] or found.split() == expected
        else:
            assert all(word in found for word in expected), found
            assert name in found and found.isprintable() and len(found.replace(str(tmp_path), "")) < 340
    assert "Traceback" not in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_values_are_those_that_were_pickled(tmp_path):
    """Also long ones, which stay in the file; in both orders; and of NumPy's own reader."""
    rng = np.random.default_rng(0)
    kernel = rng.random((3, 3, 3, 64)).astype("f4")
    layers = {"conv1_1": [kernel, rng.random(64)], "n": {"s": np.float32(2), "k": 3}}
    layers["fortran"] = np.asfortranarray(rng.random((90, 80)))
    layers["big"] = np.arange(2000, dtype=">i4")
    np.save(tmp_path / "a.npy", layers, allow_pickle=True)
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(layers, 2))
    theirs = np.load(tmp_path / "a.npy", allow_pickle=True).item()
    for path in ("a.npy", "b.pkl"):
        checkpoint = open_checkpoint(tmp_path / path)
        assert set(checkpoint) == {"conv1_1/0", "conv1_1/1", "n/s", "n/k", "fortran", "big"}
        for name, expected in (
            ("conv1_1/0", theirs["conv1_1"][0]),
            ("conv1_1/1", theirs["conv1_1"][1]),
            ("n/s", np.float32(2)),
            ("n/k", np.int64(3)),
            ("fortran", theirs["fortran"]),
            ("big", layers["big"]),
        ):
            array = checkpoint[name]
            assert array.dtype == expected.dtype == checkpoint.dtype(name)
            np.testing.assert_array_equal(array, expected)
            array[...] = 0
            np.testing.assert_array_equal(checkpoint[name], expected)
        assert not list(checkpoint.verify())


def test_what_is_no_array_is_left_out_and_said(tmp_path, capsys):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": np.ones(2), "name": "vgg", "words": ["a", "b", "c"]}))
    assert list(open_checkpoint(tmp_path / "a.pkl")) == ["w"]
    assert "no arrays, and left out: name, words/0, words/1 and 1 more" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [10, 2000, 60_000])
def test_a_pickle_that_is_cut_off(tmp_path, cut):
    data = pickle.dumps({"w": np.ones(9000)}, 4)
    (tmp_path / "a.pkl").write_bytes(data[:cut])
    with pytest.raises(CheckpointError, match="a.pkl is not a good checkpoint .pickle.: its pickle is not read"):
        open_checkpoint(tmp_path / "a.pkl")


def test_pickles_that_hold_themselves_or_explode(tmp_path):
    loop = []
    loop.append(loop)
    bomb = [np.ones(1)]
    for _ in range(30):
        bomb = [bomb, bomb]
    for value in ({"a": loop}, {"a": bomb}):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(CheckpointError, match="absurdly"):
            open_checkpoint(tmp_path / "a.pkl")


def test_keras_files_with_a_bomb_or_without_weights(tmp_path):
    import zipfile

    for name, contents, reason in (
        ("bomb", bytes(200 << 20), "absurdly large"),
        ("none", b"not HDF5", "not a readable HDF5 file"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", contents)
        with pytest.raises(CheckpointError, match=reason):
            open_checkpoint(tmp_path / name)


def test_directories(tmp_path):
    """Of a SavedModel, of a module of TF-Hub, of one file, of none, and of one further down."""
    shutil.copytree(foreign.models() / "saved_model", tmp_path / "saved")
    for path in ("saved", "saved/saved_model.pb", "saved/variables", "saved/variables/variables"):
        assert open_checkpoint(tmp_path / path).path == str(tmp_path / "saved/variables/variables")
    hub = tmp_path / "hub"
    shutil.copytree(tmp_path / "saved", hub)
    (hub / "tfhub_module.pb").write_bytes(b"\x08\x03")
    assert "w/.ATTRIBUTES/VARIABLE_VALUE" in open_checkpoint(hub)
    one = tmp_path / "one"
    one.mkdir()
    fails(one, "there is no checkpoint in the directory")
    (one / "pytorch_model.bin").write_bytes(foreign.PYTORCH_OLD)
    (one / "README.md").write_text("a model")
    fails(one, "no checkpoint in the directory", "pytorch_model.bin is a PyTorch checkpoint")
    write_checkpoint(one / "model.safetensors", {"w": np.ones(2)})
    assert open_checkpoint(one).format == "safetensors"
    write_checkpoint(one / "other.npz", {"w": np.ones(2)})
    fails(one, "2 checkpoints (model.safetensors, other.npz)")
    write_checkpoint(one / "model.ckpt", {"w": np.ones(2)})
    assert open_checkpoint(one).format == "tensorflow_v2"
    outer = tmp_path / "outer"
    shutil.copytree(one, outer / "vgg_16_2016_08_28")
    fails(outer, "but there is one in", "vgg_16_2016_08_28")
    (tmp_path / "orbax").mkdir()
    (tmp_path / "orbax" / "manifest.ocdbt").write_bytes(b"x")
    fails(tmp_path / "orbax", "an Orbax checkpoint")


def test_hidden_files_and_links_that_lead_nowhere(tmp_path):
    """macOS leaves ._NAME beside each file that is copied to another system's disk."""
    write_checkpoint(tmp_path / "m.ckpt", {"w": np.ones(2)})
    for name in ("m.ckpt.index", "m.ckpt.data-00000-of-00001"):
        (tmp_path / f"._{name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(80))
    assert open_checkpoint(tmp_path).path == str(tmp_path / "m.ckpt")
    (tmp_path / "a.ckpt").symlink_to("/nowhere/a.ckpt")
    fails(tmp_path / "a.ckpt", "a.ckpt is a link to /nowhere/a.ckpt, which is not there")
    (tmp_path / "b.h5").symlink_to("../.git/annex/objects/b.h5")
    fails(tmp_path / "b.h5", "git annex get")


def fails(path, *words):
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    for word in words:
        assert word in str(caught.value)


def test_a_v2_checkpoint_of_which_files_are_something_else(tmp_path):
    write_checkpoint(tmp_path / "m.ckpt", {"w": np.ones(2)})
    for name in ("m.ckpt.index", "m.ckpt.data-00000-of-00001"):
        octets = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(foreign.LFS)
        fails(tmp_path / "m.ckpt", f"{name} is a Git LFS pointer", "git lfs pull")
        (tmp_path / name).write_bytes(octets)
    assert list(open_checkpoint(tmp_path / "m.ckpt")) == ["w"]


def test_a_v2_checkpoint_of_which_files_are_missing(tmp_path):
    write_checkpoint(tmp_path / "m.ckpt", {"w": np.ones(2)})
    (tmp_path / "m.ckpt.meta").write_bytes(b"")
    (tmp_path / "m.ckpt.index").rename(tmp_path / "kept")
    for path in ("m.ckpt", "m.ckpt.data-00000-of-00001", "m.ckpt.meta", "m.ckpt.index"):
        fails(tmp_path / path, "m.ckpt.index is missing, without which m.ckpt.data-00000-of-00001 cannot be read")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "m.ckpt"\n')
    fails(tmp_path, "m.ckpt.index is missing")
    (tmp_path / "m.ckpt.data-00000-of-00001").unlink()
    fails(tmp_path / "m.ckpt", "m.ckpt.meta is the graph only")
    (tmp_path / "m.ckpt.meta").rename(tmp_path / "m.ckpt.crdownload")
    fails(tmp_path / "m.ckpt", "m.ckpt.crdownload is, an unfinished download")


@pytest.mark.parametrize(
    "name",
    "w.npy w.NPY w.pth w.pt w.bin w.tflite w.onnx w.pkl w.caffemodel w.h5 w.hdf5 w.H5 w.keras w.pb w.pbtxt w.mat "
    "w.json w.weights w.mlmodel w.tar.gz w.pth.tar w.zip w.gguf w.msgpack w.params w.txt w.csv w.jpg".split(),
)
def test_no_checkpoint_is_written_under_the_suffix_of_another_format(tmp_path, name, capsys):
    from slimft.cli.convert_checkpoint import main

    write_checkpoint(tmp_path / "a.ckpt", {"w": np.ones(2)})
    before = sorted(tmp_path.iterdir())
    assert main(["convert_checkpoint", str(tmp_path / "a.ckpt"), str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert "not written; name an .npz" in said.err and not said.out and sorted(tmp_path.iterdir()) == before
    with pytest.raises(slimft.CheckpointError, match="not written"):
        write_checkpoint(tmp_path / name, {"w": np.ones(2)})


@pytest.mark.parametrize("name", ["model", "model.ckpt-100", "mobilenet_v1_1.0_224", "net.v2", "a.b.c"])
def test_prefixes_with_dots_are_no_suffixes(tmp_path, name):
    write_checkpoint(tmp_path / name, {"w": np.ones(2)})
    assert open_checkpoint(tmp_path / name).format == "tensorflow_v2"


def test_upper_case_suffixes_are_the_formats(tmp_path):
    for name, kind in (("W.NPZ", "npz"), ("W.SafeTensors", "safetensors")):
        write_checkpoint(tmp_path / name, {"w": np.ones(2)})
        assert open_checkpoint(tmp_path / name).format == kind


_HEADS = [
    b"", b"\x80\x04", b"\x80\x02}q\x00(", b"(dp0\n", b"PK\3\4", b"\x93NUMPY\1\0", b"\x0a\x10\x0a\4", b"\x08\1\x12",
    b"\x1f\x8b\x08", b"\0\0\x05\x08\1\x1a", b"{", b"<html", b"\xff\xfe", b"\x81\xa3", b"model_checkpoint_path: \"",
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(_HEADS), st.binary(max_size=300), st.sampled_from(["x", "x.pb", "x.npz", "x.safetensors"]))
def test_any_bytes_are_read_or_an_error_of_one_line(tmp_path_factory, head, tail, name):
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(head + tail)
    assert foreign.outcome(file).isprintable()


_TWO = {"a": [np.arange(700, dtype="f4"), np.ones(3)], "b": {"c": 2}}


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_pickles_are_read_or_an_error(tmp_path_factory, protocol, changes):
    file = tmp_path_factory.getbasetemp() / "changed.pkl"
    octets = bytearray(pickle.dumps(_TWO, protocol))
    for position, value in changes:
        octets[position % len(octets)] = value
    file.write_bytes(octets)
    try:
        dict(open_checkpoint(file))
    except CheckpointError as error:
        assert str(error).isprintable()
