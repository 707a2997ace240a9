"""What the tests of conversions share: files of Keras Applications with their logits, and files made by hand."""

import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

KERAS_FILES = pathlib.Path(__file__).with_name("keras_files.py")


def made_images(size):
    """Two images as photos are: smooth, of different brightness in each channel, with some noise."""
    rng = np.random.default_rng(8)
    rows, columns = np.mgrid[:size, :size][..., None] / size
    phases, waves = rng.random([2, 1, 1, 3]), rng.integers(1, 5, [2, 1, 1, 3])
    smooth = np.sin(2 * np.pi * (waves * rows + phases)) * np.cos(2 * np.pi * (waves * columns + phases))
    pixels = np.array([170, 120, 60]) + 70 * smooth + rng.normal(0, 8, [2, size, size, 3])
    return pixels.round().clip(0, 255).astype(np.float32)


@pytest.fixture(scope="session")
def images():
    """Two images of 224x224 pixels."""
    return made_images(224)


@pytest.fixture(scope="session")
def large_images():
    """Two images of 300x300 pixels."""
    return made_images(300)


@pytest.fixture(scope="session")
def run_keras(images):
    """Runs keras_files.py, which writes into a folder."""

    def run(folder, *arguments):
        np.save(folder / "images.npy", images)
        command = [sys.executable, KERAS_FILES, folder, folder / "images.npy", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture(scope="session")
def run_network(images):
    """The logits for `images` of a network here with a checkpoint's variables, and the restore plan."""
    import slimft
    from slimft.compat import tf
    from slimft.data.preprocessing import PREPROCESSING
    from slimft.nets import get_network

    def run(name, checkpoint, size, num_classes=7, pixels=images):
        spec = get_network(name)
        with tf.Graph().as_default(), tf.Session() as session:
            inputs = PREPROCESSING[spec.preprocessing](tf.constant(pixels[:, :size, :size]))
            logits, end_points = spec.build(inputs, num_classes, is_training=False)
            plan = slimft.plan_restore(checkpoint)
            plan.apply(session)
            return types.SimpleNamespace(logits=session.run(logits), plan=plan)

    return run


@pytest.fixture(scope="session")
def assert_close():
    """Asserts that arrays differ by less than `within` of the second one's largest magnitude."""

    def assert_close(values, expected, within):
        assert values.shape == expected.shape
        difference = np.max(np.abs(values - expected)) / np.max(np.abs(expected))
        print(f"{difference:.1e} of the largest magnitude")
        assert difference < within

    return assert_close


@pytest.fixture
def write_h5(tmp_path):
    """Writes a file in Keras' legacy layout: for each layer its weights, or only their shapes, by name."""
    import h5py

    def write(layers, name="weights.h5", top=""):
        with h5py.File(tmp_path / name, "w") as file:
            for layer, weights in layers.items():
                group = file.create_group(f"{top}{layer}")
                group.attrs["weight_names"] = list(weights)
                for weight, value in weights.items():
                    if isinstance(value, np.ndarray):
                        group[weight] = value
                    else:
                        group.create_dataset(weight, value, np.float32)
        return tmp_path / name

    return write
