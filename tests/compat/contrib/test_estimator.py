"""tf.contrib.estimator: heads with their defaults of 1.15, clipping, forwarded features, names that moved."""

from importlib.util import find_spec

import numpy as np
import pytest

from slimft.compat import tf
from slimft.errors import UsageError

if not (find_spec("tensorflow_estimator") and find_spec("tf_keras")):
    pytest.skip("needs pip install 'slimft[estimator]'", allow_module_level=True)
contrib = tf.contrib.estimator

LOGITS = np.array([[1, 1, 1], [0, 0, 1]], np.float32)


def head_loss(head, logits, labels):
    with tf.Graph().as_default(), tf.Session() as session:
        spec = head().create_estimator_spec(
            {"x": tf.zeros([2, 1])}, tf.estimator.ModeKeys.TRAIN, tf.constant(logits), tf.constant(labels),
            train_op_fn=lambda loss: tf.no_op(),
        )  # fmt: skip
        return session.run(spec.loss)


def test_losses_of_heads_are_means():
    softmax = np.log(np.exp(LOGITS).sum(1)) - LOGITS[[0, 1], [0, 2]]
    labels = np.array([[0.0], [1]], np.float32)
    one = LOGITS[:, :1]
    sigmoid = np.log1p(np.exp(one)) - labels * one
    for head, logits, given, expected in (
        (lambda: contrib.multi_class_head(3), LOGITS, [[0], [2]], softmax),
        (lambda: contrib.binary_classification_head(), one, labels, sigmoid),
        (lambda: contrib.logistic_regression_head(), one, labels, sigmoid),
        (lambda: contrib.regression_head(label_dimension=3), LOGITS, np.zeros_like(LOGITS), LOGITS**2),
        (
            lambda: contrib.poisson_regression_head(compute_full_loss=False),
            one,
            labels,
            np.exp(one) - labels * one,
        ),
    ):
        assert head_loss(head, logits, given) == pytest.approx(expected.mean(), rel=1e-5)
    by_sum = head_loss(lambda: contrib.multi_class_head(3, loss_reduction="weighted_sum"), LOGITS, [[0], [2]])
    assert by_sum == pytest.approx(softmax.sum(), rel=1e-5)


def test_clipping_by_the_norm_of_each_gradient():
    with tf.Graph().as_default(), tf.Session() as session:
        a, b = tf.get_variable("a", initializer=[0.0, 0.0]), tf.get_variable("b", initializer=0.0)
        step = tf.train.create_global_step()
        loss = 3 * a[0] + 4 * a[1] + 0.5 * b
        momentum = tf.train.MomentumOptimizer(1.0, 0.9)
        optimizer = contrib.clip_gradients_by_norm(momentum, 1.0)
        train_op = optimizer.minimize(loss, step)
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        np.testing.assert_allclose(session.run(a), [-0.6, -0.8], rtol=1e-6)
        assert session.run([b, step]) == [-0.5, 1]
        assert optimizer.get_slot(a, "momentum").op.name == "a/Momentum"


def test_features_are_forwarded_to_predictions_and_export(tmp_path):
    def model_fn(features, labels, mode):
        predictions = {"y": features["x"] * tf.get_variable("w", initializer=2.0)}
        output = {"serving_default": tf.estimator.export.PredictOutput(predictions)}
        train_op = tf.assign_add(tf.train.get_global_step(), 1)
        loss = tf.reduce_mean(predictions["y"])
        return tf.estimator.EstimatorSpec(mode, predictions, loss, train_op, export_outputs=output)

    def input_fn():
        ids = tf.SparseTensor([[0, 0], [1, 1]], [7, 8], [2, 2])
        return tf.data.Dataset.from_tensors(
            ({"x": tf.constant([1.0, 2.0]), "id": tf.constant([5, 6]), "s": ids}, 0)
        )

    plain = tf.estimator.Estimator(model_fn, str(tmp_path / "run"))
    plain.train(input_fn, steps=1)
    forwarding = contrib.forward_features(plain, ["id", "s"], {"s": -1})
    first, second = forwarding.predict(input_fn)
    assert (first["y"], first["id"], list(first["s"])) == (2.0, 5, [7, -1])
    assert (second["id"], list(second["s"])) == (6, [-1, 8])
    for keys, message in (("no", "no such feature"), ("s", "is sparse")):
        with pytest.raises(ValueError, match=message):
            next(contrib.forward_features(plain, keys).predict(input_fn))
    receiver = tf.estimator.export.build_raw_serving_input_receiver_fn(
        {"x": tf.placeholder(tf.float32, [None]), "id": tf.placeholder(tf.int32, [None])}
    )
    folder = contrib.export_saved_model_for_mode(
        contrib.forward_features(plain, "id"), str(tmp_path / "export"), receiver
    ).decode()
    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.load(session, ["serve"], folder).signature_def["serving_default"]
        assert set(signature.outputs) == {"y", "id"}


def test_add_metrics_and_evaluation_in_memory(tmp_path):
    evaluated = []

    def model_fn(features, labels, mode):
        predictions = features * tf.get_variable("w", initializer=1.0)
        step = tf.train.get_global_step()
        loss = tf.losses.mean_squared_error(labels, predictions)
        train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, step)
        return tf.estimator.EstimatorSpec(mode, predictions, loss, train_op)

    def metric_fn(labels, predictions):
        return {"bias": tf.metrics.mean(predictions - labels)}

    class Recorder(tf.train.SessionRunHook):
        def end(self, session):
            evaluated.append(session.run(tf.train.get_global_step()))

    def input_fn():
        return tf.constant([1.0, 2.0]), tf.constant([2.0, 4.0])

    estimator = contrib.add_metrics(tf.estimator.Estimator(model_fn, str(tmp_path)), metric_fn)
    hook = contrib.InMemoryEvaluatorHook(estimator, input_fn, steps=1, hooks=[Recorder()], every_n_iter=2)
    estimator.train(input_fn, hooks=[hook], steps=4)
    # Before training, every two steps, at the end.
    assert evaluated[0] == 0
    assert evaluated[-1] == 4
    weight = estimator.get_variable_value("w")
    assert estimator.evaluate(input_fn, steps=1)["bias"] == pytest.approx(1.5 * weight - 3, rel=1e-4)


def test_names_that_moved_and_names_that_are_gone():
    assert contrib.DNNEstimator is tf.estimator.DNNEstimator
    assert contrib.stop_if_higher_hook is tf.estimator.experimental.stop_if_higher_hook
    assert {"multi_class_head", "InMemoryEvaluatorHook", "call_logit_fn"} <= set(dir(contrib))
    assert all(getattr(contrib, name) is not None for name in dir(contrib) if not name.startswith("_"))
    assert not {"tf", "inspect", "annotations"} & set(contrib.__all__)
    with pytest.raises(UsageError, match="TowerOptimizer: .*model_deploy"):
        contrib.TowerOptimizer(tf.train.AdamOptimizer())
