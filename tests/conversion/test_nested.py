"""Networks that are layers of another model of Keras, or have another task's head: the base is converted."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import slimft
from slimft.conversion import converted

KINDS = ("sequential", "functional", "flat", "twice")
SUFFIXES = (".h5", ".keras", ".weights.h5")


@pytest.fixture(scope="module")
def files(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nested")
    np.save(folder / "images.npy", images)
    script = pathlib.Path(__file__).with_name("keras_nested.py")
    done = subprocess.run(
        [sys.executable, script, folder, folder / "images.npy"], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def features(images):
    """What the network here, restored from a checkpoint, gives before its pooling."""
    from slimft.compat import tf
    from slimft.nets import get_network

    def run(checkpoint):
        with tf.Graph().as_default(), tf.Session() as session:
            inputs = tf.constant(images[:, :64, :64] / 127.5 - 1)
            _, end_points = get_network("mobilenet_v1_025").build(inputs, 3, is_training=False)
            slimft.restore(session, checkpoint, exclude="MobilenetV1/Logits")
            return session.run(end_points["Conv2d_13_pointwise"])

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_computes_what_it_does_in_keras(files, features, assert_close, kind):
    expected = np.load(files / "features.npy")
    first = None
    for suffix in SUFFIXES:
        checkpoint = converted(slimft.open_checkpoint(files / f"{kind}{suffix}"), "mobilenet_v1_025")
        assert len(checkpoint) == 135
        assert any("left out" in note and "dense" in note for note in checkpoint.notes)
        if first is None:
            assert_close(features(checkpoint), expected, within=1e-5)
            first = checkpoint
        for name in first:
            np.testing.assert_array_equal(checkpoint[name], first[name])


def test_what_does_not_fit_is_named(files):
    for kind in KINDS:
        with pytest.raises(slimft.CheckpointError, match="does not hold .* they are those of mobilenet_v1_025"):
            converted(slimft.open_checkpoint(files / f"{kind}.keras"), "mobilenet_v1_050")


def test_the_command_says_what_is_left_out(files, tmp_path, capsys):
    from slimft.cli.convert_checkpoint import main

    arguments = ["convert_checkpoint", str(files / "functional.keras"), str(tmp_path / "a.ckpt")]
    assert main([*arguments, "--model=mobilenet_v1_025"]) == 0
    said = capsys.readouterr().err
    assert "dense" in said and "left out: around the model" in said
    assert len(slimft.open_checkpoint(tmp_path / "a.ckpt")) == 135
