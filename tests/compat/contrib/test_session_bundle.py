"""tf.contrib.session_bundle and tf.contrib.lite: what scripts of 2016 to 2018 exported with, read by today's."""

import os

import numpy as np
import pytest

import slimft.compat
from slimft.compat import tf
from slimft.errors import UsageError


@pytest.fixture
def installed():
    slimft.compat.install()
    yield
    slimft.compat.uninstall()


@pytest.fixture
def session():
    """A session of y = softmax(x w) for x of three numbers."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 3], name="x")
        w = tf.get_variable("w", initializer=np.random.RandomState(0).randn(3, 2).astype(np.float32))
        tf.nn.softmax(tf.matmul(x, w), name="y")
        session.run(tf.global_variables_initializer())
        yield session


def ends(session):
    return [session.graph.get_tensor_by_name(name) for name in ("x:0", "y:0")]


def test_exports_are_saved_models(installed, session, tmp_path, capsys, run_warm_python):
    from tensorflow.contrib.session_bundle import exporter, gc

    x, y = ends(session)
    made = exporter.Exporter(tf.train.Saver(sharded=True))
    made.init(
        session.graph.as_graph_def(),
        default_graph_signature=exporter.classification_signature(input_tensor=x, scores_tensor=y),
        named_graph_signatures={
            "inputs": exporter.generic_signature({"images": x}),
            "outputs": exporter.generic_signature({"scores": y}),
        },
    )
    keep = gc.largest_export_versions(2)
    paths = [made.export(str(tmp_path), tf.constant(step), session, exports_to_keep=keep) for step in (1, 2, 3)]
    assert sorted(os.listdir(tmp_path)) == ["00000002", "00000003"] and paths[-1] == str(tmp_path / "00000003")
    assert "is a SavedModel" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="Overwriting exports"):
        made.export(str(tmp_path), tf.constant(3), session)
    printed = run_warm_python(  # Read by TensorFlow 2.
        "import sys, importlib, numpy as np\nimport tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "signatures = model.signatures\nprint(sorted(signatures))\n"
        "for name, x, y in (('serving_default', 'inputs', 'scores'), ('predict', 'images', 'scores')):\n"
        "    made = signatures[name]\n"
        "    print(made.structured_outputs.keys() == {y}, made.structured_input_signature[1].keys() == {x})",
        paths[-1],
    )  # fmt: skip
    assert printed.splitlines() == ["['predict', 'serving_default']", "True True", "True True"]
    from tensorflow.contrib.session_bundle import session_bundle

    loaded, _ = session_bundle.load_session_bundle_from_path(paths[-1])
    with loaded:
        feed = {"x:0": np.eye(3, dtype=np.float32)}
        np.testing.assert_array_equal(loaded.run("y:0", feed), session.run("y:0", feed))


def test_by_the_name_of_tensorflow_serving(installed):
    from tensorflow.contrib.session_bundle import exporter
    from tensorflow_serving.session_bundle import exporter as first

    assert first is exporter


def test_what_cannot_be_a_signature_is_said(installed, session, tmp_path, capsys):
    from tensorflow.contrib.session_bundle import exporter

    x, y = ends(session)
    made = exporter.Exporter(tf.train.Saver())
    made.init(named_graph_signatures={
        "alone": exporter.generic_signature({"x": x}), "values": exporter.regression_signature(x, y)
    })  # fmt: skip
    path = made.export(str(tmp_path), tf.constant(7), session)
    assert "generic signature 'alone' has no place" in capsys.readouterr().err
    with tf.Graph().as_default(), tf.Session() as again:
        signatures = tf.saved_model.loader.load(again, ["serve"], path).signature_def
    assert list(signatures) == ["values"] and signatures["values"].method_name.endswith("predict")


def test_bundles_of_tensorflow_1_are_refused(installed, tmp_path):
    from tensorflow.contrib.session_bundle import session_bundle

    with pytest.raises(UsageError, match=r"has no SavedModel \(saved_model.pb\)"):
        session_bundle.load_session_bundle_from_path(str(tmp_path))
    (tmp_path / "export.meta").touch()
    with pytest.raises(UsageError, match="session bundle of TensorFlow 1"):
        session_bundle.load_session_bundle_from_path(str(tmp_path))


@pytest.mark.parametrize("name", ["TFLiteConverter", "TocoConverter", "toco_convert"])
def test_contrib_lite(installed, session, tmp_path, name):
    from tensorflow.contrib import lite
    from tensorflow.contrib.lite.python import interpreter, lite_constants

    x, y = ends(session)
    frozen = tf.graph_util.convert_variables_to_constants(session, session.graph_def, ["y"])
    if name == "toco_convert":
        model = tf.contrib.lite.toco_convert(frozen, [x], [y])
    else:
        (tmp_path / "frozen.pb").write_bytes(frozen.SerializeToString())
        converter = getattr(lite, name).from_frozen_graph(str(tmp_path / "frozen.pb"), ["x"], ["y"], {"x": [1, 3]})
        converter.inference_type = lite_constants.FLOAT
        model = converter.convert()
    runs = interpreter.Interpreter(model_content=model)
    runs.allocate_tensors()
    row = np.array([[1, 2, 3]], np.float32)
    runs.set_tensor(runs.get_input_details()[0]["index"], row)
    runs.invoke()
    found = runs.get_tensor(runs.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, session.run(y, {x: row}), atol=1e-6)


def test_sound_is_read(installed):
    """As the speech commands of TensorFlow's examples read it."""
    from tensorflow.contrib.framework.python.ops import audio_ops

    with tf.Graph().as_default(), tf.Session() as session:
        wave = np.linspace(-0.5, 0.5, 8, dtype=np.float32)[:, None]
        decoded = audio_ops.decode_wav(audio_ops.encode_wav(wave, 16000), desired_channels=1)
        audio, rate = session.run([decoded.audio, decoded.sample_rate])
    assert rate == 16000
    np.testing.assert_allclose(audio, wave, atol=1e-4)
