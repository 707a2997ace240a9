"""Evaluation: every example once, moving averages in place of variables, which split and which classes."""

import numpy as np
import pytest

from slimft import CheckpointError, DataError, UsageError, write_checkpoint
from slimft.compat import slim, tf
from slimft.data import load_dataset
from slimft.evaluation import build_evaluator, evaluate, evaluate_in_full
from slimft.nets import get_network


def random_values(head="linear", seed=0):
    """Values for the variables of `tiny` with ten classes."""
    with tf.Graph().as_default():
        get_network("tiny").build(tf.zeros([1, 32, 32, 3]), 10, is_training=False, head=head)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    rng = np.random.default_rng(seed)
    return {
        name: (rng.uniform(0.5, 2, shape) if "variance" in name else rng.normal(0, 0.3, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def with_averages(values, averages):
    return {**values, **{f"{name}/ExponentialMovingAverage": value for name, value in averages.items()}}


@pytest.fixture
def digits():
    return load_dataset("digits")["test"]


def predictions_of(values, data, head="linear", batch_size=50):
    """What a graph that holds nothing but the network and `values` predicts."""
    with tf.Graph().as_default(), tf.Session() as session:
        evaluator = build_evaluator(get_network("tiny"), (8, 8, 3), 32, 10, batch_size, head=head)
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        return evaluator.run(session, data)


def same(one, other, exactly=True):
    for name in ("labels", "predicted", "confidence", "losses"):
        tolerance = 0 if exactly else 1e-5
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("batch_size", [1000, 7, 360])
def test_every_example_once_and_in_order(tiny, digits, batch_size):
    values = random_values()
    found = predictions_of(values, digits, batch_size=batch_size)
    np.testing.assert_array_equal(found.labels, digits.labels)
    assert (found.labels.dtype, found.predicted.dtype) == (np.int32, np.int32)
    assert (found.confidence.dtype, found.losses.dtype) == (np.float32, np.float32)
    assert found.num_classes == 10
    same(found, predictions_of(values, digits), exactly=False)


def test_against_the_networks_own_logits(tiny, digits):
    """NumPy's softmax and cross entropy of the logits, for images that TensorFlow resizes."""
    values = random_values()
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.image.resize_bilinear(tf.constant(digits.images), [32, 32], half_pixel_centers=True)
        images -= [123.68, 116.78, 103.94]
        logits, _ = get_network(tiny).build(images, 10, is_training=False)
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        logits = session.run(logits).astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    found = predictions_of(values, digits)
    np.testing.assert_array_equal(found.predicted, logits.argmax(1))
    np.testing.assert_allclose(found.confidence, shares.max(1), rtol=1e-4)
    np.testing.assert_allclose(found.losses, -np.log(shares[range(360), digits.labels]), rtol=1e-3, atol=1e-3)


def test_stops_where_interrupted(tiny, digits):
    asked = []

    def interrupted():
        asked.append(True)
        return len(asked) > 3

    with tf.Graph().as_default(), tf.Session() as session:
        evaluator = build_evaluator(get_network(tiny), (8, 8, 3), 32, 10, 50)
        session.run(tf.global_variables_initializer())
        assert evaluator.run(session, digits, interrupted) is None
        assert len(asked) == 4
        assert len(evaluator.run(session, digits).labels) == 360


@pytest.mark.parametrize("resources", [False, True])
@pytest.mark.parametrize("head", ["linear", "bn_mlp"])
def test_moving_averages_are_read_in_place_of_variables(tiny, digits, resources, head):
    """Those of weights and of moving_mean alike; where there is none, the variable."""
    first, second = random_values(head, 1), random_values(head, 2)
    alone = ("tiny/conv1/weights", "tiny/conv2/BatchNorm/moving_variance")  # Have no average.
    collections = (
        tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES, tf.GraphKeys.TRAINABLE_VARIABLES,
        tf.GraphKeys.REGULARIZATION_LOSSES, tf.GraphKeys.UPDATE_OPS,
    )  # fmt: skip
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.get_variable_scope().set_use_resource(resources)
        get_network(tiny).build(tf.zeros([4, 32, 32, 3]), 10, is_training=True, head=head)
        variables = slim.get_model_variables()
        averages = tf.train.ExponentialMovingAverage(0.9)
        averages.apply([variable for variable in variables if variable.op.name not in alone])
        before = [graph.get_collection(name) for name in collections]
        evaluator = build_evaluator(
            get_network(tiny), (8, 8, 3), 32, 10, 50, reuse=True, head=head, averages=averages.average
        )
        assert [graph.get_collection(name) for name in collections] == before
        assert {variable.op.name for variable in variables} == set(first)
        session.run(tf.global_variables_initializer())
        for variable in variables:
            name = variable.op.name
            variable.load(first[name], session)
            if name not in alone:
                averages.average(variable).load(second[name], session)
        found = evaluator.run(session, digits)
        graph.finalize()
    same(found, predictions_of({**second, **{name: first[name] for name in alone}}, digits, head))


def test_a_checkpoints_averages(tiny, tmp_path, digits):
    values, averages = random_values(seed=1), random_values(seed=2)
    write_checkpoint(tmp_path / "both.npz", with_averages({**values, "global_step": np.int64(7)}, averages))
    plain = evaluate_in_full(tiny, "digits", str(tmp_path / "both.npz"))
    same(plain.predictions, predictions_of(values, digits), exactly=False)
    averaged = evaluate_in_full(tiny, "digits", str(tmp_path / "both.npz"), averages=True)
    same(averaged.predictions, predictions_of(averages, digits), exactly=False)
    assert averaged.result["step"] == plain.result["step"] == 7
    write_checkpoint(tmp_path / "none.npz", values)
    with pytest.raises(CheckpointError, match="none.npz has no moving averages"):
        evaluate(tiny, "digits", str(tmp_path / "none.npz"), averages=True)


def test_another_head(tiny, tmp_path, digits):
    values = random_values("mlp")
    write_checkpoint(tmp_path / "mlp.npz", values)
    found = evaluate_in_full(tiny, "digits", str(tmp_path / "mlp.npz"), head="mlp")
    same(found.predictions, predictions_of(values, digits, "mlp"), exactly=False)
    assert found.result["accuracy"] == np.mean(found.predictions.predicted == digits.labels)


def test_the_result(tiny, tmp_path):
    values = random_values()
    write_checkpoint(tmp_path / "tiny.npz", values)
    found = evaluate_in_full(tiny, "digits", str(tmp_path / "tiny.npz"))
    assert list(found.result) == [
        "model", "dataset", "split", "examples", "accuracy", "balanced_accuracy", "macro_f1", "loss", "step",
        "checkpoint",
    ]  # fmt: skip
    assert found.result["step"] is None and found.result["split"] == found.dataset.split == "test"
    assert evaluate(tiny, "digits", str(tmp_path / "tiny.npz"), split="train")["examples"] == 1293
    values["tiny/logits/biases"][3] = np.nan
    write_checkpoint(tmp_path / "nan.npz", values)
    with pytest.raises(CheckpointError, match="nan.npz: the loss is nan"):
        evaluate(tiny, "digits", str(tmp_path / "nan.npz"))


def test_the_split_is_test_or_else_validation(tiny, tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "tiny.npz", random_values())
    splits = load_dataset("digits")
    assert evaluate(tiny, "digits", str(tmp_path / "tiny.npz"))["split"] == "test"
    del splits["test"]
    monkeypatch.setattr("slimft.evaluation.load_dataset", lambda *_: splits)
    assert evaluate(tiny, "digits", str(tmp_path / "tiny.npz"))["split"] == "validation"
    with pytest.raises(UsageError, match="--split=test.*only train and validation"):
        evaluate(tiny, "digits", str(tmp_path / "tiny.npz"), split="test")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([str(n) for n in range(9)], "has 10 classes, the run was trained on 9 .not in both: '9'"),
        (["0", "1", "2", "3", "5", "4", "6", "7", "8", "9"], "has '4' for class 4, the run was trained with '5'"),
    ],
)
def test_other_classes(tiny, tmp_path, names, words):
    write_checkpoint(tmp_path / "tiny.npz", random_values())
    with pytest.raises(DataError, match=words):
        evaluate(tiny, "digits", str(tmp_path / "tiny.npz"), class_names=names)
    same_names = load_dataset("digits")["test"].class_names
    assert evaluate(tiny, "digits", str(tmp_path / "tiny.npz"), class_names=list(same_names))["examples"] == 360
