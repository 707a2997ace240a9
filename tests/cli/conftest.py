"""What the tests of bin/evaluate share: folders of images, and runs as bin/finetune leaves them."""

import csv
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from slimft import write_checkpoint
from slimft.cli import evaluate
from slimft.compat import tf
from slimft.data import load_dataset
from slimft.data.class_names import write_labels
from slimft.data.fingerprint import Fingerprint
from slimft.nets import get_network
from slimft.runs.data_record import write_data_record
from slimft.runs.settings import Settings
from slimft.runs.settings_file import save_settings

CLASSES = ("cat, tabby", "dog", 'the "red" panda')


def write_images(folder, classes=CLASSES, each=5, suffix="png"):
    """A folder of images for each class: noise of various sizes, in the colour of its class; no two are alike."""
    rng = np.random.default_rng(zlib.crc32(folder.name.encode()))
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = rng.integers(0, 156, (*rng.integers(16, 60, 2), 3), np.uint8)
            pixels[..., label % 3] += 100
            Image.fromarray(pixels).save(folder / name / f"{number}.{suffix}")
    return folder


def random_values(num_classes, head, seed):
    """Random values for the variables of `tiny` at 16x16 pixels."""
    with tf.Graph().as_default():
        get_network("tiny").build(tf.zeros([1, 16, 16, 3]), num_classes, is_training=False, head=head)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    rng = np.random.default_rng(seed)
    return {
        name: (rng.uniform(0.5, 2, shape) if "variance" in name else rng.normal(0, 0.2, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture
def make_images():
    """The function `write_images`."""
    return write_images


@pytest.fixture
def make_values():
    """The function `random_values`."""
    return random_values


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images")


@pytest.fixture
def make_run(tiny, tmp_path, images):
    """Makes a directory as bin/finetune leaves it, with random weights; an earlier version left no record."""

    def make(name="run", classes=CLASSES, averages=False, record=True, **settings):
        run = tmp_path / name
        run.mkdir()
        given = {"dataset": "image_folder", "data_dir": str(images), "image_size": 16, "ema": 0.9 * averages}
        settings = Settings(model=tiny, train_dir=str(run), **{**given, **settings})
        save_settings(settings)
        write_labels(run, classes)
        splits = load_dataset(settings.dataset, settings.data_dir, settings.data_options())
        if record and Fingerprint.of(splits):
            write_data_record(run, Fingerprint.of(splits))
        values = random_values(len(classes), settings.head, seed=1)
        if averages:
            others = random_values(len(classes), settings.head, seed=2)
            values.update({f"{name}/ExponentialMovingAverage": value for name, value in others.items()})
        write_checkpoint(run / "model.ckpt-7", {**values, "global_step": np.int64(7)})
        return run

    return make


@pytest.fixture
def object_based(run_warm_python, tmp_path):
    """A checkpoint as TensorFlow 2 writes it, of one variable; in a process of its own, which has its behaviour."""
    return run_warm_python(
        "import sys, tensorflow as tf; tf.compat.v1.enable_v2_behavior(); model = tf.Module()\n"
        "model.w = tf.Variable([1., 2.], name='dense/kernel')\n"
        "print(tf.train.Checkpoint(model=model).write(sys.argv[1]))",
        str(tmp_path / "tf2"),
    ).strip()


@pytest.fixture
def evaluated(capsys, tmp_path):
    """Runs bin/evaluate; returns its result, the rows of --predictions and what it says on standard error."""

    def run(*flags):
        file = tmp_path / "predictions.csv"
        assert evaluate.main(["evaluate", f"--predictions={file}", *map(str, flags)]) == 0
        captured = capsys.readouterr()
        with open(file, newline="", encoding="utf-8") as stream:
            return json.loads(captured.out), list(csv.DictReader(stream)), captured.err

    return run


@pytest.fixture
def rejects(capsys):
    """bin/evaluate exits with 2 and says some words in one line, and nothing else."""

    def check(flags, *words):
        assert evaluate.main(["evaluate", *map(str, flags)]) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("evaluate: ")
        for word in words:
            assert word in captured.err

    return check
