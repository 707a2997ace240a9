"""tf.estimator on tensorflow-estimator as slimft.compat repairs it: training, evaluation, export, imports."""

import importlib
import json
import re
from importlib.util import find_spec

import numpy as np
import pytest

import slimft
import slimft.compat
from slimft.compat import estimator_repairs, legacy_names, slim, tf
from slimft.errors import UsageError
from slimft.nets import mobilenet_v1

if not (find_spec("tensorflow_estimator") and find_spec("tf_keras")):
    pytest.skip("needs pip install 'slimft[estimator]'", allow_module_level=True)

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randn(60, 4).astype(np.float32)
LABELS = (IMAGES[:, 0] > 0).astype(np.int64)


def model_fn(features, labels, mode, params):
    """A linear classifier behind slim.batch_norm, in the way of 2018."""
    training = mode == tf.estimator.ModeKeys.TRAIN
    net = slim.batch_norm(features["x"], is_training=training, decay=0.5)
    logits = slim.fully_connected(net, 2, activation_fn=None, scope="logits")
    predictions = {"class": tf.argmax(logits, 1), "probabilities": tf.nn.softmax(logits)}
    if mode == tf.estimator.ModeKeys.PREDICT:
        outputs = {"serving_default": tf.estimator.export.PredictOutput(predictions)}
        return tf.estimator.EstimatorSpec(mode, predictions=predictions, export_outputs=outputs)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    accuracy = tf.metrics.accuracy(labels, predictions["class"])
    tf.summary.scalar("plain_loss", loss)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.get_or_create_global_step()
        train_op = tf.train.GradientDescentOptimizer(params["rate"]).minimize(loss, step)
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops={"accuracy": accuracy})


def numpy_input(epochs=None, shuffle=True, batch_size=20):
    return tf.estimator.inputs.numpy_input_fn({"x": IMAGES}, LABELS, batch_size, epochs, shuffle)


def new_estimator(model_dir, **config):
    config = tf.estimator.RunConfig(tf_random_seed=1, save_summary_steps=2, log_step_count_steps=5, **config)
    return tf.estimator.Estimator(model_fn, str(model_dir), config, params={"rate": 0.5})


def raw_receiver():
    return tf.estimator.export.build_raw_serving_input_receiver_fn({"x": tf.placeholder(tf.float32, [None, 4])})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An estimator that has taken 30 steps in two goes."""
    model_dir = tmp_path_factory.mktemp("run")
    new_estimator(model_dir).train(numpy_input(), steps=20)
    estimator = new_estimator(model_dir)
    estimator.train(numpy_input(), max_steps=30)
    return estimator


def test_training_goes_on_and_slimft_reads_its_checkpoint(trained):
    names = set(slimft.open_checkpoint(trained.model_dir))
    mean = trained.get_variable_value("BatchNorm/moving_mean")
    assert trained.latest_checkpoint().endswith("model.ckpt-30")
    assert names == set(trained.get_variable_names()) >= {"global_step", "logits/weights", "BatchNorm/beta"}
    assert trained.get_variable_value("global_step") == 30
    # UPDATE_OPS have run.
    np.testing.assert_allclose(mean, IMAGES.mean(0), atol=0.6)
    assert np.abs(mean).max() > 0


def test_summaries_are_written(trained):
    tags = set()
    for file in tf.gfile.Glob(f"{trained.model_dir}/events.out.tfevents.*"):
        for event in tf.train.summary_iterator(file):
            tags.update(value.tag for value in event.summary.value)
    assert {"plain_loss", "loss"} <= tags


def test_evaluation_is_that_of_numpy(trained):
    result = trained.evaluate(numpy_input(1, shuffle=False), name="whole")
    values = {name: trained.get_variable_value(name) for name in trained.get_variable_names()}
    variance = values["BatchNorm/moving_variance"]
    net = (IMAGES - values["BatchNorm/moving_mean"]) / np.sqrt(variance + 0.001) + values["BatchNorm/beta"]
    logits = net @ values["logits/weights"] + values["logits/biases"]
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(60), LABELS]
    assert result["global_step"] == 30
    assert result["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert result["accuracy"] == pytest.approx((logits.argmax(1) == LABELS).mean())
    assert tf.gfile.Glob(f"{trained.model_dir}/eval_whole/events*")
    predictions = list(trained.predict(numpy_input(1, shuffle=False)))
    assert [p["class"] for p in predictions] == list(logits.argmax(1))


def test_inputs_of_numpy_and_pandas():
    """Each example once in an epoch, in order without shuffle, the rest of the epoch as a smaller batch."""

    def batches(input_fn):
        with tf.Graph().as_default():
            features, _ = input_fn()
            with tf.train.MonitoredSession() as session:
                while not session.should_stop():
                    yield session.run(features["x"])

    ordered = list(batches(numpy_input(1, False, 25)))
    assert [len(batch) for batch in ordered] == [25, 25, 10]
    np.testing.assert_array_equal(np.concatenate(ordered), IMAGES)
    shuffled = np.concatenate(list(batches(numpy_input(2, True, 25))))
    np.testing.assert_array_equal(np.sort(shuffled[:, 0]), np.sort(np.tile(IMAGES[:, 0], 2)))
    assert not np.array_equal(shuffled[:60], IMAGES)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": IMAGES[:, 0]})
    read = batches(
        tf.estimator.inputs.pandas_input_fn(frame, pandas.Series(LABELS), 25, num_epochs=1, shuffle=False)
    )
    np.testing.assert_array_equal(np.concatenate(list(read)), IMAGES[:, 0])


def test_export_is_read_by_others(trained, tmp_path):
    for export in (trained.export_savedmodel, trained.export_saved_model):
        folder = export(str(tmp_path / export.__name__), raw_receiver()).decode()
        with tf.Graph().as_default(), tf.Session() as session:
            meta = tf.saved_model.loader.load(session, ["serve"], folder)
            signature = meta.signature_def["serving_default"]
            feed = {signature.inputs["x"].name: IMAGES}
            classes = session.run(signature.outputs["class"].name, feed)
    expected = [p["class"] for p in trained.predict(numpy_input(1, shuffle=False))]
    assert list(classes) == expected


def test_train_and_evaluate(tmp_path):
    """Evaluates each checkpoint; with a throttle the first and the last, and exports at the end."""
    evaluated = []

    class Recorder(tf.train.SessionRunHook):
        def end(self, session):
            evaluated.append(int(session.run(tf.train.get_global_step())))

    def run(name, throttle_secs):
        estimator = new_estimator(tmp_path / name, save_checkpoints_steps=4)
        exporters = [
            tf.estimator.FinalExporter("final", raw_receiver()),
            tf.estimator.BestExporter("best", raw_receiver()),
            tf.estimator.LatestExporter("latest", raw_receiver(), exports_to_keep=1),
        ]
        spec = tf.estimator.EvalSpec(
            numpy_input(1), steps=None, throttle_secs=throttle_secs, start_delay_secs=0, hooks=[Recorder()],
            exporters=exporters if throttle_secs else None,
        )  # fmt: skip
        return tf.estimator.train_and_evaluate(estimator, tf.estimator.TrainSpec(numpy_input(), max_steps=12), spec)

    result, _ = run("often", 0)
    assert evaluated == [4, 8, 12]
    assert result["global_step"] == 12
    evaluated.clear()
    _, exports = run("throttled", 600)
    assert evaluated == [4, 12]
    assert len(exports) == 3
    assert all(tf.saved_model.contains_saved_model(export.decode()) for export in exports)


def test_stopping_early(tmp_path):
    estimator = new_estimator(tmp_path, save_checkpoints_steps=2)
    hook = tf.estimator.experimental.stop_if_no_decrease_hook(
        estimator, "loss", max_steps_without_decrease=3, run_every_secs=None, run_every_steps=1
    )
    assert tf.contrib.estimator.stop_if_no_decrease_hook is tf.estimator.experimental.stop_if_no_decrease_hook
    estimator = tf.estimator.Estimator(model_fn, str(tmp_path), estimator.config, params={"rate": 0.0})

    def eval_input():
        return {"x": tf.constant(IMAGES)}, tf.constant(LABELS)

    tf.estimator.train_and_evaluate(
        estimator,
        tf.estimator.TrainSpec(numpy_input(), max_steps=100, hooks=[hook]),
        tf.estimator.EvalSpec(eval_input, steps=1, throttle_secs=0, start_delay_secs=0),
    )
    assert 4 <= estimator.get_variable_value("global_step") < 100


def test_warm_start_from_a_network_of_slim(tmp_path):
    """A network of slimft in a model_fn, all but its logits: by init_fn and by warm_start_from."""

    def network(images, classes):
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=False)):
            return mobilenet_v1.mobilenet_v1_025(images, classes, is_training=False)[0]

    official = str(tmp_path / "mobilenet.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        network(tf.zeros([1, 32, 32, 3]), 1001)
        session.run(tf.global_variables_initializer())
        tf.train.Saver(tf.global_variables()).save(session, official, write_meta_graph=False)
        name = "MobilenetV1/Conv2d_0/weights"
        expected = session.run(tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES, name)[0])

    def network_fn(features, labels, mode, params):
        loss = tf.reduce_mean(network(features, 5)) * 0
        scaffold = None
        if params["scaffold"]:
            exclude = ["MobilenetV1/Logits"]
            scaffold = tf.train.Scaffold(init_fn=slimft.init_fn(official, exclude=exclude))
        train_op = tf.assign_add(tf.train.get_global_step(), 1)
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, scaffold=scaffold)

    settings = tf.estimator.WarmStartSettings(official, vars_to_warm_start="MobilenetV1/Conv2d.*")
    for way, warm_start in (("scaffold", None), ("settings", settings)):
        estimator = tf.estimator.Estimator(
            network_fn, str(tmp_path / way), params={"scaffold": way == "scaffold"}, warm_start_from=warm_start
        )
        estimator.train(lambda: (tf.zeros([1, 32, 32, 3]), None), steps=1)
        np.testing.assert_array_equal(estimator.get_variable_value(name), expected)


def test_canned_classifier_learns_with_names_of_tensorflow_1(tmp_path):
    column = tf.feature_column.numeric_column("x", shape=[4])
    config = tf.estimator.RunConfig(tf_random_seed=1)
    estimator = tf.estimator.DNNClassifier([8], [column], str(tmp_path), batch_norm=True, config=config)
    estimator.train(numpy_input(shuffle=False), steps=150)
    assert estimator.evaluate(numpy_input(1))["accuracy"] > 0.8
    # As tensorflow-estimator 2.15 names them on TensorFlow 2.15.
    assert {
        "dnn/hiddenlayer_0/kernel",
        "dnn/hiddenlayer_0/kernel/t_0/Adagrad",
        "dnn/hiddenlayer_0/batchnorm_0/moving_mean",
        "dnn/logits/bias",
    } <= set(estimator.get_variable_names())


def test_clusters(monkeypatch):
    cluster = {"cluster": {"chief": ["localhost:1"], "ps": ["localhost:2"]}, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    config = tf.estimator.RunConfig()
    assert (config.task_type, config.num_ps_replicas, config.is_chief) == ("chief", 1, True)
    with pytest.raises(UsageError, match="strategy across the machines of TF_CONFIG"):
        tf.estimator.RunConfig(train_distribute=tf.distribute.OneDeviceStrategy("/cpu:0"))
    monkeypatch.delenv("TF_CONFIG")
    assert tf.estimator.RunConfig().is_chief


def test_paths_that_scripts_import():
    slimft.compat.install()
    try:
        names = {}
        lines = (
            "import tensorflow as tf",
            "from tensorflow.estimator import Estimator, ModeKeys",
            "from tensorflow.estimator.inputs import numpy_input_fn",
            "from tensorflow.python.estimator.model_fn import EstimatorSpec",
            "from tensorflow.python.estimator.canned import dnn",
            "from tensorflow.python.estimator.canned.head import _Head",
            "from tensorflow.python.estimator.inputs.queues import feeding_functions",
            "import tensorflow.python.estimator.run_config as run_config",
            "from tensorflow_estimator.python.estimator import estimator",
            "from tensorflow.contrib.estimator import add_metrics",
            "from tensorflow.contrib.estimator.python.estimator import early_stopping",
        )
        exec("\n".join(lines), names)
        assert names["Estimator"] is tf.estimator.Estimator is names["estimator"].Estimator
        assert names["EstimatorSpec"] is names["tf"].estimator.EstimatorSpec
        assert names["dnn"].DNNClassifier is tf.estimator.DNNClassifier
        assert names["run_config"].RunConfig is tf.estimator.RunConfig
        assert names["numpy_input_fn"] is tf.estimator.inputs.numpy_input_fn
        with pytest.raises(AttributeError, match=r"no tf\.estimator\.BoostedTreesClassifier: .*decision_forests"):
            tf.estimator.BoostedTreesClassifier  # noqa: B018
    finally:
        slimft.compat.uninstall()


def test_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(estimator_repairs, "_NEEDED", {"no_such_package": "no-such-package"})
    for use in (
        lambda: tf.estimator.Estimator,
        lambda: legacy_names.resolve("tensorflow.python.estimator.nothing"),
    ):
        with pytest.raises(ImportError, match=re.escape("pip install 'slimft[estimator]'")):
            use()


def test_tpu_only_parts_say_so():
    embedding = importlib.import_module("tensorflow.python.tpu.tpu_embedding")
    with pytest.raises(UsageError, match="use_tpu=False"):
        embedding.TPUEmbedding()
