"""tf.keras after slimft.compat.install: Keras 2, in the session's graph, however it is imported."""

import sys

import numpy as np
import pytest

import slimft.compat
from slimft.compat import keras_2, tf

keras = pytest.importorskip("tf_keras.api._v1.keras")


@pytest.fixture
def legacy_tf():
    slimft.compat.install()
    with tf.Graph().as_default():
        yield sys.modules["tensorflow"]
    slimft.compat.uninstall()
    assert (
        "tensorflow.keras.layers" not in sys.modules
        or "tf_keras" not in sys.modules["tensorflow.keras.layers"].__name__
    )


def executed(lines):
    names = {}
    exec(lines, names)
    return names


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import tensorflow as tf; found = tf.keras.layers.Dense", keras.layers.Dense),
        ("import tensorflow.keras.layers as layers; found = layers.Dense", keras.layers.Dense),
        ("from tensorflow import keras; found = keras.models.Sequential", keras.models.Sequential),
        ("from tensorflow.keras.models import Sequential as found", keras.models.Sequential),
        ("import tensorflow.keras.backend as K; found = K.get_session", keras.backend.get_session),
        ("from tensorflow.keras.layers.core import Flatten as found", keras.layers.Flatten),
        ("import tensorflow.compat.v1 as tf; found = tf.keras.layers.Dense", keras.layers.Dense),
        ("from tensorflow.compat import v1; found = v1.keras.optimizers.SGD", keras.optimizers.SGD),
        ("import tensorflow as tf; found = tf.contrib.keras.layers.Dense", keras.layers.Dense),
        ("from tensorflow.contrib.keras.python.keras.layers import Dense as found", keras.layers.Dense),
        ("from tensorflow.python.keras._impl.keras.layers import Dense as found", keras.layers.Dense),
        ("from tensorflow.python.keras.preprocessing.image import img_to_array as found",
         keras.preprocessing.image.img_to_array),
        ("from tensorflow.keras.engine.topology import Layer as found", keras.layers.Layer),
        ("from tensorflow.keras.utils import np_utils; found = np_utils.normalize", keras.utils.normalize),
        ("import tensorflow as tf; found = tf.keras.utils.np_utils.to_categorical", keras.utils.to_categorical),
        ("from tensorflow.keras.applications import vgg16; found = vgg16.VGG16", keras.applications.VGG16),
    ],
)  # fmt: skip
def test_every_way_to_import_it(legacy_tf, line, expected):
    assert executed(line)["found"] is expected


def test_a_model_trains_in_the_session_beside_tf1_code(legacy_tf):
    K = legacy_tf.keras.backend  # noqa: N806 - as everyone calls it
    x = legacy_tf.placeholder(legacy_tf.float32, [None, 3])
    hidden = legacy_tf.keras.layers.Dense(4, activation="relu", kernel_initializer="ones", name="hidden")(x)
    loss = legacy_tf.reduce_mean(legacy_tf.square(legacy_tf.layers.dense(hidden, 1, name="out")))
    step = legacy_tf.train.GradientDescentOptimizer(0.001).minimize(loss)
    assert [v.op.name for v in legacy_tf.trainable_variables()][:2] == ["hidden/kernel", "hidden/bias"]
    with legacy_tf.Session() as session:
        K.set_session(session)
        session.run(legacy_tf.global_variables_initializer())
        first = session.run(loss, {x: np.ones((2, 3))})
        session.run(step, {x: np.ones((2, 3))})
        assert session.run(loss, {x: np.ones((2, 3))}) < first
        model = legacy_tf.keras.models.Sequential(
            [legacy_tf.keras.layers.Dense(3, input_shape=(3,)), legacy_tf.keras.layers.BatchNormalization()]
        )
        model.compile("sgd", "mse")
        history = model.fit(np.eye(3), np.eye(3), epochs=3, verbose=0).history["loss"]
        assert history[-1] < history[0] and K.get_session() is session
        assert model.predict_classes(np.eye(3)).shape == (3,) and model.predict_proba(np.eye(3)).shape == (3, 3)
        assert K.image_dim_ordering() == "tf" and legacy_tf.keras.__version__.startswith("2.")


def test_without_tf_keras_the_first_use_says_so(legacy_tf, monkeypatch, capsys):
    monkeypatch.setattr(keras_2, "is_installed", lambda: False)
    assert legacy_tf.keras.layers and legacy_tf.keras.models
    said = capsys.readouterr().err
    assert said.count("pip install 'slimft[keras2]'") == 1 and "tf.keras.layers: this is Keras 3" in said


def test_what_is_not_there_is_an_import_error(legacy_tf):
    with pytest.raises(ModuleNotFoundError, match=r"tensorflow\.keras\.no_such"):
        executed("import tensorflow.keras.no_such")
    with pytest.raises(ImportError, match="NoSuch"):
        executed("from tensorflow.keras.layers.core import NoSuch")
