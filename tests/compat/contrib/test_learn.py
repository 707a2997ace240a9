"""tf.contrib.learn on tf.estimator: settings, Experiment, Estimator, classifiers, metrics, exports."""

import functools
from importlib.util import find_spec

import numpy as np
import pytest

import slimft.compat
from slimft.compat import slim, tf
from slimft.errors import UsageError

if not (find_spec("tensorflow_estimator") and find_spec("tf_keras")):
    pytest.skip("needs pip install 'slimft[estimator]'", allow_module_level=True)

learn = tf.contrib.learn

IMAGES = np.random.RandomState(0).randn(60, 4)
LABELS = (IMAGES[:, 0] > 0).astype(np.int64)


def model_fn(features, targets, mode, params):
    """In the way of 2016: predictions, loss and train_op; and what it calls its labels."""
    logits = slim.fully_connected(features, 2, activation_fn=None, scope="logits")
    predictions = {"class": tf.argmax(logits, 1), "probabilities": tf.nn.softmax(logits)}
    if mode == learn.ModeKeys.INFER:
        return predictions, None, None
    loss = tf.losses.sparse_softmax_cross_entropy(targets, logits)
    optimizer = tf.train.GradientDescentOptimizer(params["rate"])
    return predictions, loss, optimizer.minimize(loss, tf.train.get_global_step())


def input_fn():
    return tf.constant(IMAGES, tf.float32), tf.constant(LABELS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = learn.RunConfig(tf_random_seed=1, save_checkpoints_steps=50)
    estimator = learn.Estimator(model_fn, str(tmp_path_factory.mktemp("run")), config, {"rate": 0.5})
    return estimator.fit(IMAGES, LABELS, batch_size=20, steps=60)


def test_estimator_of_arrays(trained):
    accuracy = learn.MetricSpec(tf.metrics.accuracy, prediction_key="class")
    metrics = {"accuracy": accuracy, ("by_pair", "class"): tf.metrics.accuracy}
    result = trained.evaluate(IMAGES, LABELS, batch_size=7, metrics=metrics)
    weights, biases = (trained.get_variable_value(f"logits/{name}") for name in ("weights", "biases"))
    logits = IMAGES.astype(np.float32) @ weights + biases
    assert result["accuracy"] == result["by_pair"] == pytest.approx((logits.argmax(1) == LABELS).mean())
    assert result["global_step"] == 60
    rows = list(trained.predict(IMAGES))
    assert [row["class"] for row in rows] == logits.argmax(1).tolist()
    whole = trained.predict(IMAGES, batch_size=7, outputs=["class"], as_iterable=False)
    assert (list(whole), whole["class"].tolist()) == (["class"], logits.argmax(1).tolist())
    assert trained.evaluate(input_fn=input_fn, steps=1)["loss"] == pytest.approx(
        (np.log(np.exp(logits).sum(1)) - logits[np.arange(60), LABELS]).mean(), rel=1e-4
    )
    with pytest.raises(ValueError, match="either x or input_fn"):
        trained.evaluate()
    with pytest.raises(UsageError, match="feed_fn"):
        trained.evaluate(IMAGES, LABELS, feed_fn=dict)


def test_sk_compat(trained):
    compat = learn.SKCompat(trained)
    assert compat.fit(IMAGES, LABELS, batch_size=30, max_steps=60) is compat
    assert compat.score(IMAGES, LABELS)["global_step"] == 60
    assert compat.predict(IMAGES, batch_size=25)["probabilities"].shape == (60, 2)


def test_validation_monitor_stops_early(tmp_path):
    config = learn.RunConfig(save_checkpoints_steps=5, tf_random_seed=1)
    estimator = learn.Estimator(model_fn, str(tmp_path), config, {"rate": 0.0})
    monitor = learn.monitors.ValidationMonitor(
        IMAGES, LABELS, every_n_steps=10, early_stopping_rounds=20, name="validation"
    )
    estimator.fit(IMAGES, LABELS, steps=200, monitors=[monitor])
    assert monitor.early_stopped
    assert monitor.best_step == 10
    assert estimator.get_variable_value("global_step") == 30
    assert (
        monitor.best_metrics["loss"]
        == monitor.best_value
        == pytest.approx(estimator.evaluate(IMAGES, LABELS)["loss"])
    )
    assert tf.gfile.Glob(str(tmp_path / "eval_validation" / "events*"))
    monitor = learn.monitors.ValidationMonitor(IMAGES, LABELS)
    with pytest.raises(UsageError, match="needs fit of an Estimator"):
        estimator.train(input_fn, [monitor], steps=1)


def test_run_config():
    config = learn.RunConfig(num_cores=2, gpu_memory_fraction=0.5, model_dir="here", save_checkpoints_secs=7)
    assert isinstance(config, tf.estimator.RunConfig)
    assert config.session_config.intra_op_parallelism_threads == 2
    assert config.session_config.gpu_options.per_process_gpu_memory_fraction == 0.5
    assert config.session_config.allow_soft_placement
    assert (config.save_checkpoints_secs, config.save_checkpoints_steps) == (7, None)
    assert learn.RunConfig().save_checkpoints_secs == 600
    assert learn.RunConfig(save_checkpoints_steps=5).save_checkpoints_secs is None
    assert config.replace(tf_random_seed=3).tf_random_seed == 3
    assert "model_dir" in config.uid()
    config.save_checkpoints_secs = 9
    assert config.save_checkpoints_secs == 9
    assert (config.environment, config.is_chief) == ("local", True)


def test_experiment(tmp_path):
    """Evaluates each checkpoint after the first and at the end, and exports."""
    evaluated = []

    class Recorder(tf.train.SessionRunHook):
        def end(self, session):
            evaluated.append(int(session.run(tf.train.get_global_step())))

    def serving_input_fn():
        features = tf.placeholder(tf.float32, [None, 4])
        return learn.utils.input_fn_utils.InputFnOps(features, None, {"x": features})

    def experiment_fn(run_config, hparams):
        return learn.Experiment(
            learn.Estimator(model_fn, config=run_config, params=hparams),
            input_fn,
            input_fn,
            train_steps=8,
            eval_steps=1,
            eval_hooks=[Recorder()],
            eval_metrics={"accuracy": learn.MetricSpec(tf.metrics.accuracy, "class")},
            min_eval_frequency=4,
            export_strategies=learn.utils.make_export_strategy(serving_input_fn, exports_to_keep=1),
        )

    config = learn.RunConfig(model_dir=str(tmp_path), save_checkpoints_steps=2, tf_random_seed=1)
    result, exports = learn.learn_runner.run(experiment_fn, run_config=config, hparams={"rate": 0.1})
    assert evaluated == [4, 8, 8]
    assert 0 < result["accuracy"] <= 1
    assert result["global_step"] == 8
    with tf.Graph().as_default(), tf.Session() as session:
        meta = tf.saved_model.load(session, ["serve"], tf.compat.as_str(exports[0]))
        assert set(meta.signature_def["serving_default"].inputs) == {"x"}
    assert learn.utils.get_most_recent_export(str(tmp_path / "export" / "Servo")) == tf.compat.as_str(exports[0])


def test_experiment_of_tf_estimator_by_output_dir(tmp_path):
    def core_fn(features, labels, mode):
        predictions, loss, train_op = model_fn(features, labels, mode, {"rate": 0.1})
        return tf.estimator.EstimatorSpec(mode, predictions, loss, train_op)

    def experiment_fn(output_dir):
        estimator = tf.estimator.Estimator(core_fn, output_dir)
        return learn.Experiment(
            estimator, input_fn, input_fn, train_steps=4, eval_steps=1, train_steps_per_iteration=3
        )

    assert learn.learn_runner.run(experiment_fn, str(tmp_path), "train") is not None
    assert experiment_fn(str(tmp_path)).evaluate(delay_secs=0)["global_step"] == 4
    steps = []
    other = str(tmp_path / "other")
    result, _ = experiment_fn(other).continuous_train_and_eval(
        lambda r: steps.append(r and r["global_step"]) or True
    )
    assert (steps, result["global_step"]) == ([None, 3, 4], 4)
    for arguments, error in (
        ((experiment_fn,), ValueError),
        ((lambda output_dir: 1, "x"), TypeError),
        ((experiment_fn, str(tmp_path), "no_such"), ValueError),
    ):
        with pytest.raises(error):
            learn.learn_runner.run(*arguments)
    with pytest.raises(ValueError, match="estimator"):
        learn.Experiment(None, input_fn, input_fn)


@pytest.mark.parametrize("kind", ["DNNClassifier", "LinearClassifier", "DNNLinearCombinedClassifier"])
def test_classifiers(kind, tmp_path):
    """As in the tutorial on Iris: x and y as arrays, a column without a name, classes as numbers."""
    columns = learn.infer_real_valued_columns_from_input(IMAGES)
    assert [(column.key, column.shape) for column in columns] == [("", (4,))]
    arguments = {
        "DNNClassifier": {"feature_columns": columns, "hidden_units": [8], "gradient_clip_norm": 5.0},
        "LinearClassifier": {"feature_columns": columns},
        "DNNLinearCombinedClassifier": {"dnn_feature_columns": columns, "dnn_hidden_units": [8]},
    }[kind]
    config = learn.RunConfig(tf_random_seed=2)
    classifier = getattr(learn, kind)(n_classes=3, model_dir=str(tmp_path), config=config, **arguments)
    labels = LABELS + (IMAGES[:, 1] > 1)
    classifier.fit(IMAGES, labels, steps=200)
    classes = list(classifier.predict(IMAGES))
    key = learn.PredictionKey.CLASSES
    metrics = {"again": learn.MetricSpec(tf.metrics.accuracy, prediction_key=key)}
    result = classifier.evaluate(IMAGES, labels, metrics=metrics)
    assert result["accuracy"] == result["again"] == pytest.approx(np.mean(classes == labels))
    assert result["accuracy"] > 0.7
    assert learn.SKCompat(classifier).predict(IMAGES)["classes"].tolist() == classes
    probabilities = classifier.predict_proba(IMAGES, as_iterable=False)
    np.testing.assert_array_equal(probabilities.argmax(1), classes)
    assert result["loss"] == pytest.approx(-np.log(probabilities[np.arange(60), labels]).mean(), rel=1e-3)


def test_regressors_and_arguments_that_are_gone(tmp_path):
    columns = learn.infer_real_valued_columns_from_input_fn(input_fn)
    regressor = learn.LinearRegressor(columns, str(tmp_path), gradient_clip_norm=5.0)
    targets = IMAGES @ [1.0, -2, 0, 0.5]
    regressor.fit(IMAGES, targets, steps=300)
    scores = np.array(list(regressor.predict_scores(IMAGES)))
    assert np.mean((scores - targets) ** 2) < 0.2
    metrics = {"rmse": learn.MetricSpec(tf.metrics.root_mean_squared_error)}
    result = regressor.evaluate(IMAGES, targets, metrics=metrics)
    assert result["rmse"] == pytest.approx(np.sqrt(np.mean((scores - targets) ** 2)), rel=1e-3)
    with pytest.raises(UsageError, match="LinearRegressor: enable_centered_bias is gone"):
        learn.LinearRegressor(columns, enable_centered_bias=True)


def test_metric_spec_finds_the_arguments():
    def by_name(labels, predictions, weights=None):
        return "by_name", labels, predictions, weights

    def old(prediction, target, weight=None):
        return "old", prediction, target, weight

    def in_order(first, labels):
        return "in_order", first, labels

    def labels_first(labels, second):
        return "labels_first", labels, second

    spec = learn.MetricSpec
    features = {"w": 9}
    assert spec(by_name).create_metric_ops({}, 1, 2) == ("by_name", 1, 2, None)
    assert spec(old, "p", "l", "w").create_metric_ops(features, {"l": 1, "m": 0}, {"p": 2}) == ("old", 2, 1, 9)
    assert spec(in_order).create_metric_ops({}, 1, 2) == ("in_order", 2, 1)
    assert spec(labels_first).create_metric_ops({}, 1, {"only": 2}) == ("labels_first", 1, 2)
    assert spec(functools.partial(by_name, weights=5)).create_metric_ops({}, 1, 2) == ("by_name", 1, 2, 5)
    assert spec(by_name).metric_fn(labels=1, predictions=2)[1:3] == (1, 2)
    with pytest.raises(ValueError, match="no argument weights"):
        spec(in_order, weight_key="w")
    with pytest.raises(ValueError, match="prediction_key"):
        spec(by_name).create_metric_ops({}, 1, {"a": 1, "b": 2})
    with pytest.raises(KeyError, match="no prediction 'c'; there are a"):
        spec(by_name, "c").create_metric_ops({}, 1, {"a": 1})


def test_model_fn_ops():
    with tf.Graph().as_default():
        scores, loss = tf.constant([[0.2, 0.8]]), tf.constant([1.0])
        alternatives = {
            "a": (learn.ProblemType.CLASSIFICATION, {"probabilities": scores}),
            "b": (learn.ProblemType.LINEAR_REGRESSION, {"scores": scores}),
        }
        ops = learn.ModelFnOps(learn.ModeKeys.INFER, {"p": scores}, loss, output_alternatives=alternatives)
        outputs = ops.estimator_spec("b").export_outputs
        export = tf.estimator.export
        kinds = [export.ClassificationOutput, export.RegressionOutput, export.RegressionOutput]
        assert [type(outputs[name]) for name in ("a", "b", "serving_default")] == kinds
        with pytest.raises(ValueError, match="default output alternative None: there are a, b"):
            ops.estimator_spec()
        with pytest.raises(ValueError, match="missing train_op"):
            learn.ModelFnOps(learn.ModeKeys.TRAIN, loss=loss)


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, True]})
    frame["b"] = frame["b"].astype(float)
    assert learn.extract_pandas_data(frame).tolist() == [[1, 0.5], [2, 1]]
    assert learn.extract_pandas_labels(frame[["a"]]).tolist() == [[1], [2]]
    assert learn.extract_pandas_data("else") == "else"
    with pytest.raises(ValueError, match="c "):
        learn.extract_pandas_data(frame.assign(c=["x", "y"]))
    with pytest.raises(ValueError, match="one column"):
        learn.extract_pandas_labels(frame)


def test_every_name_is_there_or_says_what_to_do_instead():
    for name in dir(learn):
        if not name.startswith("_"):
            assert getattr(learn, name) is not None
    for use, words in (
        (lambda: learn.monitors.ExportMonitor(1, "x"), "LatestExporter"),
        (lambda: learn.monitors.EveryN(), "SessionRunHook"),
        (lambda: learn.SVM("id"), "LinearSVC"),
        (lambda: learn.read_batch_examples("x"), "tf.data"),
        (lambda: learn.train(None, "x"), "slim.learning.train"),
        (lambda: learn.learn_runner.tune(None, None), "learn_runner.run"),
    ):
        with pytest.raises(UsageError, match=words):
            use()


def test_paths_that_scripts_import():
    slimft.compat.install()
    try:
        names = {}
        lines = (
            "from tensorflow.contrib.learn import ModeKeys",
            "from tensorflow.contrib.learn.python.learn import learn_runner",
            "from tensorflow.contrib.learn.python.learn.estimators import run_config",
            "from tensorflow.contrib.learn.python.learn.estimators import model_fn as model_fn_lib",
            "from tensorflow.contrib.learn.python.learn.metric_spec import MetricSpec",
            "from tensorflow.contrib.learn.python.learn.datasets import base",
            "from tensorflow.contrib.learn.python.learn.datasets.mnist import read_data_sets",
            "from tensorflow.contrib.learn.python.learn.utils import saved_model_export_utils",
            "import tensorflow.contrib.learn as learn",
            "import tensorflow as tf",
        )
        exec("\n".join(lines), names)
        star = {}
        exec("from tensorflow.contrib.learn import *", star)
        assert star["Estimator"] is learn.Estimator
        assert {"learn_runner", "preprocessing", "read_data_sets"} <= set(star)
        assert "importlib" not in star
        assert names["model_fn_lib"].ModelFnOps is learn.ModelFnOps
        assert names["run_config"].RunConfig is learn.RunConfig
        assert names["base"].load_csv_with_header is learn.datasets.base.load_csv_with_header
        assert names["saved_model_export_utils"].make_export_strategy is learn.utils.make_export_strategy
        assert names["learn_runner"].run is learn.learn_runner.run
        assert names["tf"].contrib.learn.preprocessing is names["learn"].preprocessing
    finally:
        slimft.compat.uninstall()


def test_a_subclass_of_experiment_reads_the_names_of_1_15(tmp_path):
    class Own(learn.Experiment):
        def twice(self):
            for _ in range(2):
                self._estimator.fit(input_fn=self._train_input_fn, steps=self._train_steps)
            result = self._estimator.evaluate(
                input_fn=self._eval_input_fn,
                steps=self._eval_steps,
                metrics=self._eval_metrics,
                hooks=self._eval_hooks,
            )
            return result["global_step"], self._maybe_export(result), self._min_eval_frequency

    def experiment_fn(output_dir):
        estimator = learn.Estimator(model_fn, output_dir, params={"rate": 0.1})
        return Own(estimator, input_fn, input_fn, train_steps=3, eval_steps=1)

    assert learn.learn_runner.run(experiment_fn, str(tmp_path), "twice") == (6, [], 1)
