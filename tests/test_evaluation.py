"""Evaluation: every example once, moving averages in place of variables, which split and which classes."""

import numpy as np
import pytest

from slimft import CheckpointError, DataError, write_checkpoint
from slimft.compat import slim, tf
from slimft.data import Dataset, load_dataset
from slimft.evaluation import build_evaluator, evaluate, evaluate_in_full
from slimft.inference import Architecture
from slimft.metrics import Predictions
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
        evaluator = build_evaluator(Architecture(get_network("tiny"), 10, 32, head), (8, 8, 3), batch_size)
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        return all_of(evaluator, session, data)


def all_of(evaluator, session, data):
    """The predictions of all examples, whose scores are those that the evaluator returns."""
    kept = []
    scores = evaluator.run(session, data, keep=kept.append)
    predictions = Predictions.of(kept, evaluator.num_classes)
    assert scores.summary() == predictions.summary()
    return predictions


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
        evaluator = build_evaluator(Architecture(get_network(tiny), 10, 32), (8, 8, 3), 50)
        session.run(tf.global_variables_initializer())
        assert evaluator.run(session, digits, interrupted) is None
        assert len(asked) == 4
        assert evaluator.run(session, digits).examples == 360


def part_of(evaluator, session, data, part):
    """The scores of a process's part, the examples of its batches, and how many it had each time that it asked."""
    asked, seen = [], []
    scores = evaluator.run(session, data, lambda: asked.append(len(seen)), seen.append, part=part)
    return scores, [batch["examples"].tolist() for batch in seen], asked


def check_parts(evaluator, session, data, number, total):
    """Each process has its own batches, all ask as often, and together they have what one process has."""
    whole, batches, asked = part_of(evaluator, session, data, (0, 1))
    assert len(batches) == total and asked == list(range(total))
    parts = [part_of(evaluator, session, data, (index, number)) for index in range(number)]
    rounds = -(-total // number)
    for index, (scores, own, asked) in enumerate(parts):
        assert own == batches[index::number] and scores.examples == sum(map(len, own))
        assert asked == [min(turn, len(own)) for turn in range(rounds)]
    # One that is to stop in the last round has no scores, also without a batch in it.
    times = []
    stops = lambda: times.append(1) or len(times) == rounds  # noqa: E731
    assert evaluator.run(session, data, stops, part=(number - 1, number)) is None
    merged = parts[0][0]
    for other, _, _ in parts[1:]:
        merged.merge(merged.from_bytes(other.to_bytes()))
    names = data.class_names
    assert merged.summary() == whole.summary() and merged.findings(names) == whole.findings(names)
    assert str(merged.mistakes()) == str(whole.mistakes())


@pytest.mark.parametrize("number, batch_size", [(2, 50), (3, 50), (3, 400), (5, 7)])
def test_processes_share_the_batches(tiny, digits, number, batch_size):
    with tf.Graph().as_default(), tf.Session() as session:
        evaluator = build_evaluator(Architecture(get_network(tiny), 10, 32), (8, 8, 3), batch_size)
        session.run(tf.global_variables_initializer())
        check_parts(evaluator, session, digits, number, -(-360 // batch_size))


def test_processes_share_the_batches_of_images_with_masks(tiny, voc):
    data = load_dataset("voc", str(voc))["train"]
    with tf.Graph().as_default(), tf.Session() as session:
        evaluator = build_evaluator(Architecture(get_network("tiny_fcn"), 3, 32), (None, None, 3), 2)
        session.run(tf.global_variables_initializer())
        total = len(data.evaluation_batches(2))
        assert total % 3  # So that the last round is not of all.
        check_parts(evaluator, session, data, 3, total)


def test_a_process_reads_its_part_only(tiny, digits):
    read = []

    class Watched(Dataset):
        def read(self, indices, image_shape):
            read.extend(np.asarray(indices).tolist())
            return super().read(indices, image_shape)

    with tf.Graph().as_default(), tf.Session() as session:
        evaluator = build_evaluator(Architecture(get_network(tiny), 10, 32), (8, 8, 3), 100)
        session.run(tf.global_variables_initializer())
        assert evaluator.run(session, Watched(**vars(digits)), part=(1, 3)).examples == 100
        assert read == list(range(100, 200))
        # And nothing where there is no batch for it.
        assert evaluator.run(session, Watched(**vars(digits)), part=(4, 5)).examples == 0
        assert read == list(range(100, 200))


@pytest.mark.parametrize("resources", [False, True])
@pytest.mark.parametrize("head", ["linear", "bn_mlp"])
def test_moving_averages_are_read_in_place_of_variables(tiny, digits, resources, head):
    """Those of weights and of moving_mean alike; where there is none, the variable."""
    first, second = random_values(head, 1), random_values(head, 2)
    alone = ("tiny/conv1/weights", "tiny/conv2/BatchNorm/moving_variance")  # Have no average.
    collections = (
        tf.GraphKeys.GLOBAL_VARIABLES,
        tf.GraphKeys.MODEL_VARIABLES,
        tf.GraphKeys.TRAINABLE_VARIABLES,
        tf.GraphKeys.REGULARIZATION_LOSSES,
        tf.GraphKeys.UPDATE_OPS,
    )
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.get_variable_scope().set_use_resource(resources)
        get_network(tiny).build(tf.zeros([4, 32, 32, 3]), 10, is_training=True, head=head)
        variables = slim.get_model_variables()
        averages = tf.train.ExponentialMovingAverage(0.9)
        averages.apply([variable for variable in variables if variable.op.name not in alone])
        before = [graph.get_collection(name) for name in collections]
        evaluator = build_evaluator(
            Architecture(get_network(tiny), 10, 32, head), (8, 8, 3), 50, reuse=True, averages=averages.average
        )
        assert [graph.get_collection(name) for name in collections] == before
        assert {variable.op.name for variable in variables} == set(first)
        session.run(tf.global_variables_initializer())
        for variable in variables:
            name = variable.op.name
            variable.load(first[name], session)
            if name not in alone:
                averages.average(variable).load(second[name], session)
        found = all_of(evaluator, session, digits)
        graph.finalize()
    same(found, predictions_of({**second, **{name: first[name] for name in alone}}, digits, head))


def test_a_checkpoints_averages(tiny, tmp_path, digits):
    values, averages = random_values(seed=1), random_values(seed=2)
    write_checkpoint(tmp_path / "both.npz", with_averages({**values, "global_step": np.int64(7)}, averages))
    plain = evaluate_in_full(tiny, "digits", str(tmp_path / "both.npz"), averages=False)
    same(plain.predictions, predictions_of(values, digits), exactly=False)
    averaged = evaluate_in_full(tiny, "digits", str(tmp_path / "both.npz"))
    same(averaged.predictions, predictions_of(averages, digits), exactly=False)
    assert averaged.result["averages"] and not plain.result["averages"]
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


def test_the_result(tiny, tmp_path, capsys):
    values = random_values()
    write_checkpoint(tmp_path / "tiny.npz", values)
    found = evaluate_in_full(tiny, "digits", str(tmp_path / "tiny.npz"))
    assert list(found.result) == [
        "model", "dataset", "data_dir", "split", "examples", "examples_in_split", "left_out", "accuracy",
        "balanced_accuracy", "macro_f1", "loss", "step", "checkpoint", "image_size", "head", "averages",
        "precision", "train_dir", "tta",
    ]  # fmt: skip
    expected = {"split": "test", "left_out": 0, "step": None, "image_size": 32, "head": "linear", "train_dir": None}
    assert {name: found.result[name] for name in expected} == expected and found.dataset.split == "test"
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("tiny, image size 32 (the data's), head linear, 10 classes")
    assert said[1:] == ["data: digits, of no run, split test, 360 of 1797 examples"]
    assert evaluate(tiny, "digits", str(tmp_path / "tiny.npz"), split="train")["examples"] == 1293
    values["tiny/logits/biases"][3] = np.nan
    write_checkpoint(tmp_path / "nan.npz", values)
    with pytest.raises(CheckpointError, match="nan.npz: the loss is nan"):
        evaluate(tiny, "digits", str(tmp_path / "nan.npz"))


def test_classes_that_are_not_those_of_the_checkpoint(tiny, tmp_path):
    write_checkpoint(tmp_path / "tiny.npz", random_values())
    labels = tmp_path / "labels.txt"  # Beside the checkpoint.
    labels.write_text("".join(f"digit {number}\n" for number in range(10)))
    with pytest.raises(DataError, match="digits.* has classes that the run was not trained on: 0, 1, 2"):
        evaluate(tiny, "digits", tmp_path / "tiny.npz")
    labels.unlink()
    write_checkpoint(
        tmp_path / "nine.npz",
        {
            **random_values(),
            **{
                f"tiny/logits/{name}": random_values()[f"tiny/logits/{name}"][..., :9]
                for name in ("weights", "biases")
            },
        },
    )
    with pytest.raises(DataError, match="digits. has 10 classes, and .*nine.npz 9"):
        evaluate(tiny, "digits", tmp_path / "nine.npz")


def test_classes_in_another_order(tiny, tmp_path):
    """What counts is their names: labels are numbered as the network has them."""
    values, order = random_values(), np.random.default_rng(0).permutation(10)
    write_checkpoint(tmp_path / "tiny.npz", values)
    for name in ("weights", "biases"):
        values[f"tiny/logits/{name}"] = values[f"tiny/logits/{name}"][..., order]
    (tmp_path / "run").mkdir()
    write_checkpoint(tmp_path / "run" / "other.npz", values)
    (tmp_path / "run" / "labels.txt").write_text("".join(f"{number}\n" for number in order))
    expected = evaluate(tiny, "digits", tmp_path / "tiny.npz")
    found = evaluate(tiny, "digits", tmp_path / "run" / "other.npz")
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "loss"):
        assert found[name] == pytest.approx(expected[name], rel=1e-4)
