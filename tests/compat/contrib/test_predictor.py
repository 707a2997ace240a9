"""tf.contrib.predictor: what a SavedModel and an estimator predict, by names."""

from importlib.util import find_spec

import numpy as np
import pytest

from slimft.compat import tf

predictor = tf.contrib.predictor


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A SavedModel of y = w x with w = 3, and z = -x by another signature."""
    folder = str(tmp_path_factory.mktemp("model") / "export")
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None], name="input")
        y = tf.multiply(x, tf.get_variable("w", initializer=3.0), name="output")
        session.run(tf.global_variables_initializer())
        builder = tf.saved_model.Builder(folder)
        signature = tf.saved_model.predict_signature_def
        signatures = {"serving_default": signature({"x": x}, {"y": y}), "other": signature({"x": x}, {"z": -x})}
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    return folder


def test_saved_model(saved_model):
    predict = predictor.from_saved_model(saved_model)
    assert predict({"x": [1, 2]})["y"].tolist() == [3, 6]
    assert predict.feed_tensors["x"].name == "input:0"
    assert predict.graph is predict.session.graph is not tf.get_default_graph()
    assert predictor.from_saved_model(saved_model, "other")({"x": [1]})["z"].tolist() == [-1]
    assert predictor.saved_model_predictor.SavedModelPredictor(saved_model)({"x": [1]})["y"].tolist() == [3]
    by_tensor = predictor.from_saved_model(
        saved_model, input_names={"a": "input:0"}, output_names={"b": "output:0"}
    )
    assert by_tensor({"a": [2]})["b"].tolist() == [6]
    assert repr(by_tensor) == "Predictor of ['a'] that returns ['b']"
    with pytest.raises(ValueError, match="no input q; there are x"):
        predict({"q": [1]})
    with pytest.raises(ValueError, match="no signature no_such; it has .*other"):
        predictor.from_saved_model(saved_model, "no_such")
    with pytest.raises(ValueError, match="give one of"):
        predictor.from_saved_model(saved_model, "other", input_names={}, output_names={})


@pytest.mark.skipif(
    not (find_spec("tensorflow_estimator") and find_spec("tf_keras")),
    reason="needs pip install 'slimft[estimator]'",
)
def test_estimators(tmp_path):
    def model_fn(features, labels, mode):
        x = features["x"] if isinstance(features, dict) else features
        predictions = {"y": x * tf.get_variable("w", initializer=2.0)}
        step = tf.assign_add(tf.train.get_global_step(), 1)
        output = {"only": tf.estimator.export.PredictOutput(predictions)}
        loss = tf.reduce_sum(predictions["y"])
        return tf.estimator.EstimatorSpec(mode, predictions, loss, step, export_outputs=output)

    def input_fn():
        return {"x": tf.constant([1.0])}, tf.constant([1.0])

    receiver_fn = tf.estimator.export.build_raw_serving_input_receiver_fn({"x": tf.placeholder(tf.float32, [None])})
    core = tf.estimator.Estimator(model_fn, str(tmp_path))
    core.train(input_fn, steps=1)
    predict = predictor.from_estimator(core, receiver_fn)
    np.testing.assert_array_equal(predict({"x": [1, 5]})["y"], [2, 10])
    with pytest.raises(ValueError, match="no export output other; it has only"):
        predictor.from_estimator(core, receiver_fn, "other")

    def learn_input_fn():
        x = tf.placeholder(tf.float32, [None])
        return tf.contrib.learn.utils.InputFnOps(x, None, {"in": x})

    learned = tf.contrib.learn.Estimator(model_fn, str(tmp_path))
    predict = predictor.from_contrib_estimator(learned, learn_input_fn)
    assert predict({"in": [4]})["y"].tolist() == [8]
    folder = core.export_saved_model(str(tmp_path / "export"), receiver_fn)
    assert predictor.from_saved_model(folder, "only")({"x": [3]})["y"].tolist() == [6]
