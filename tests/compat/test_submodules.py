"""After slimft.compat.install, every way to import a part of TensorFlow gives TensorFlow 1's."""

import importlib
import sys
import types

import pytest

import slimft.compat
from slimft.compat import tf

# What else than tf.compat.v1 has its names, and what is TensorFlow's own way of loading Keras.
OTHERS = ("compat", "contrib", "estimator", "keras", "lite")
PARTS = [
    name for name in dir(tf)
    if name not in OTHERS and not name.startswith("_") and isinstance(getattr(tf, name), types.ModuleType)
]  # fmt: skip


@pytest.fixture
def installed():
    slimft.compat.install()
    yield
    slimft.compat.uninstall()


def executed(line):
    names = {}
    exec(line, names)
    return names


def test_there_are_parts():
    assert {"image", "layers", "losses", "nn", "train"} <= set(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_each_part_is_tensorflow_1s(installed, name):
    part = getattr(tf, name)
    script_tf = executed("import tensorflow")["tensorflow"]
    assert executed(f"import tensorflow.{name}")["tensorflow"] is script_tf
    assert executed(f"import tensorflow.{name} as part")["part"] is part
    assert executed(f"from tensorflow import {name} as part")["part"] is part
    assert importlib.import_module(f"tensorflow.{name}") is part
    assert getattr(script_tf, name) is part
    assert getattr(tf, name) is part


@pytest.mark.parametrize(
    "name",
    ["image.ResizeMethod", "layers.dense", "losses.softmax_cross_entropy", "nn.rnn_cell.LSTMCell", "train.Saver",
     "train.queue_runner.QueueRunner", "gfile.GFile"],
)  # fmt: skip
def test_what_is_in_a_part_is_tensorflow_1s(installed, name):
    module, _, name = name.rpartition(".")
    found = executed(f"from tensorflow.{module} import {name} as found")["found"]
    expected = tf
    for part in (*module.split("."), name):
        expected = getattr(expected, part)
    assert found is expected


def test_other_libraries_imports_change_nothing(installed, tmp_path, monkeypatch):
    (tmp_path / "a_library.py").write_text("import tensorflow.image\nfrom tensorflow.train import Checkpoint\n")
    monkeypatch.syspath_prepend(tmp_path)
    script_tf = executed("import tensorflow")["tensorflow"]
    executed("import a_library")
    assert script_tf.image.resize_images is tf.image.resize_images
    assert script_tf.train.Saver is tf.train.Saver


def test_what_was_imported_before_is_back_afterwards(run_warm_python):
    run_warm_python(
        "import sys, tensorflow.image as before\n"
        "import slimft.compat\n"
        "real = sys.modules['tensorflow']\n"
        "slimft.compat.install()\n"
        "import tensorflow.image as ours, tensorflow.losses\n"
        "assert ours is slimft.compat.tf.image is not before\n"
        "slimft.compat.uninstall()\n"
        "import tensorflow.image as after, tensorflow\n"
        "assert after is before and tensorflow is real and tensorflow.image is before\n"
        "assert 'tensorflow.losses' not in sys.modules"
    )


def test_uninstall_leaves_no_part_behind(installed):
    executed("import tensorflow.train, tensorflow.layers, tensorflow.nn.rnn_cell")
    slimft.compat.uninstall()
    assert sys.modules["tensorflow"].train is not tf.train
    assert sys.modules.get("tensorflow.train") is not tf.train


def test_tensorflow_1_15s_other_name(installed):
    from slimft.compat.contrib import rnn

    assert executed("import tensorflow_core as tf")["tf"] is executed("import tensorflow as tf")["tf"]
    assert executed("from tensorflow_core.contrib.rnn import LSTMCell")["LSTMCell"] is rnn.LSTMCell
    assert executed("from tensorflow_core.python.framework import ops")["ops"].Graph is tf.Graph


def test_keras_2s_networks_and_data_sets_by_their_private_paths(installed):
    keras = pytest.importorskip("tf_keras")
    vgg16 = executed("from tensorflow.python.keras.applications.vgg16 import VGG16 as found")["found"]
    assert vgg16 is keras.applications.VGG16
    assert executed("from tensorflow.python.keras.datasets import mnist as found")["found"].load_data
