"""Classifying image files, against what bin/evaluate's code makes of the same pixels."""

import csv
import threading

import numpy as np
import pytest
from PIL import Image

from slimft import CheckpointError, DataError, RestoreError, UsageError, open_checkpoint, write_checkpoint
from slimft.compat import tf
from slimft.data import load_dataset
from slimft.data.threads import count_threads
from slimft.evaluation import evaluate, evaluate_in_full
from slimft.nets import get_network
from slimft.prediction import Classifier


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """A checkpoint of `tiny` with ten classes and random values."""
    with tf.Graph().as_default(), tf.Session() as session:
        get_network(tiny).build(tf.zeros([1, 32, 32, 3]), 10, is_training=False)
        tf.set_random_seed(1)
        session.run(tf.global_variables_initializer())
        values = session.run({variable.op.name: variable for variable in tf.global_variables()})
    write_checkpoint(tmp_path / "tiny.ckpt", values)
    return str(tmp_path / "tiny.ckpt")


@pytest.fixture
def files(tmp_path):
    """The test digits as 8x8 PNG files."""
    digits = load_dataset("digits")["test"]
    paths = []
    for number, pixels in enumerate(digits.images):
        paths.append(str(tmp_path / f"{number:03}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def manifest(files, tmp_path):
    """A CSV file with `files` as the test split, and a few of the other digits to train on."""
    splits = load_dataset("digits")
    rows = [(path, label, "test") for path, label in zip(files, splits["test"].labels)]
    for number in range(60):
        path = tmp_path / f"train{number}.png"
        Image.fromarray(splits["train"].images[number]).save(path)
        rows.append((path, splits["train"].labels[number], "train"))
    with open(tmp_path / "digits.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "split"), *rows])
    return str(tmp_path / "digits.csv")


def probabilities(classified):
    """``[images, classes]`` by class, of predictions that hold every class."""
    return np.array([[share for _, share in sorted(found)] for _, found in classified])


@pytest.mark.parametrize("image_size", [32, 8, 29])
def test_files_get_what_evaluation_computes(tiny, checkpoint, files, manifest, image_size):
    if image_size != 32:  # The last layer is as large as what it gets.
        source = open_checkpoint(checkpoint)
        side = -(-image_size // 4)
        values = {**source, "tiny/logits/weights": np.resize(source["tiny/logits/weights"], (side, side, 16, 10))}
        checkpoint = checkpoint + "-resized"
        write_checkpoint(checkpoint, values)
    expected = evaluate(tiny, "csv", checkpoint, data_dir=manifest, image_size=image_size)
    labels = load_dataset("digits")["test"].labels
    with Classifier(tiny, checkpoint, image_size, top=10) as classifier:
        shares = probabilities(classifier.classify_files(files, batch_size=50))
    assert shares.shape == (360, 10)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    assert (shares.argmax(1) == labels).mean() == pytest.approx(expected["accuracy"])
    assert -np.log(shares[np.arange(360), labels]).mean() == pytest.approx(expected["loss"], rel=1e-5)


@pytest.mark.parametrize("batch_sizes", [(8, 8), (5, 16)])
def test_predict_and_evaluate_agree_to_the_last_bit(tiny, checkpoint, tmp_path, batch_sizes):
    """On photos of several kinds, sizes and shapes, and from the cache too.

    In batches of another size, some processors multiply matrices in another order: there, but for rounding.
    """
    rng, rows = np.random.default_rng(0), []
    for number in range(48):
        kind, split = ("jpg", "png", "webp", "tif")[number % 4], "test" if number < 24 else "train"
        height, width = rng.integers(20, 300, 2)
        small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
        small.resize((int(width), int(height))).save(tmp_path / f"{number}.{kind}")
        rows.append((f"{number}.{kind}", number % 10, split))
    with open(tmp_path / "photos.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "split"), *rows])
    place, (ours, theirs) = {"data_dir": str(tmp_path / "photos.csv")}, batch_sizes
    found = evaluate_in_full(tiny, "csv", checkpoint, **place, batch_size=theirs)
    found.dataset.images.prepare(32, several_passes=True)
    cached = evaluate_in_full(tiny, "csv", checkpoint, **place, batch_size=theirs)
    paths = [found.dataset.describe(index) for index in range(24)]
    with Classifier(tiny, checkpoint, top=1) as classifier:
        classified = [likeliest for _, [likeliest] in classifier.classify_files(paths, ours)]
    for evaluated in (found, cached):
        assert [number for number, _ in classified] == evaluated.predictions.predicted.tolist()
        confidence = np.array([share for _, share in classified], np.float32)
        within = 0 if ours == theirs else 1e-6
        np.testing.assert_allclose(confidence, evaluated.predictions.confidence, rtol=within, atol=0)


def test_the_likeliest_come_first_whatever_the_batches(tiny, checkpoint, files):
    files = files[:7]
    with Classifier(tiny, checkpoint, top=3) as classifier:
        assert classifier.image_size == 32
        by_two = list(classifier.classify_files(files, batch_size=2))
        at_once = list(classifier.classify_files(iter(files), batch_size=7))
        assert list(classifier.classify_files([], batch_size=2)) == []
    assert [path for path, _ in by_two] == files
    for (_, one), (_, other) in zip(by_two, at_once):
        assert [number for number, _ in one] == [number for number, _ in other] and len(one) == 3
        np.testing.assert_allclose([share for _, share in one], [share for _, share in other], atol=1e-6)
        assert one == sorted(one, key=lambda pair: -pair[1])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_what_cannot_be_read_is_told_in_its_place(tiny, checkpoint, files, tmp_path, batch_size):
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken, missing = str(tmp_path / "broken.png"), str(tmp_path / "missing.png")
    paths = [broken, files[0], missing, files[1], files[2], broken]
    with Classifier(tiny, checkpoint) as classifier:
        classified = list(classifier.classify_files(paths, batch_size))
        alone = list(classifier.classify_files([files[1]], batch_size))
    assert [path for path, _ in classified] == paths
    assert [isinstance(found, DataError) for _, found in classified] == [True, False, True, False, False, True]
    assert broken in str(classified[0][1]) and missing in str(classified[2][1])
    assert [number for number, _ in classified[3][1]] == [number for number, _ in alone[0][1]]
    with Classifier(tiny, checkpoint) as classifier:
        assert len(list(classifier.classify_files([broken] * 5, batch_size))) == 5


def test_what_is_classified_has_to_fit(tiny, checkpoint):
    with pytest.raises(UsageError, match="--model=tiiny.*did you mean tiny"):
        Classifier("tiiny", checkpoint)
    with pytest.raises(UsageError, match="too small"):
        Classifier(tiny, checkpoint, image_size=7)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        Classifier(tiny, "no.ckpt")
    with pytest.raises(CheckpointError, match="has no vgg_16/fc8.*it has tiny"):
        Classifier("vgg_16", checkpoint)
    values = dict(open_checkpoint(checkpoint))
    del values["tiny/conv1/weights"]
    write_checkpoint(checkpoint + "-less", values)
    with pytest.raises(RestoreError, match="tiny/conv1/weights is not in it; choose the model"):
        Classifier(tiny, checkpoint + "-less")


@pytest.mark.parametrize("head", ["mlp", "bn_mlp"])
def test_another_head_is_found_in_the_checkpoint(tiny, tmp_path, files, manifest, head):
    with tf.Graph().as_default(), tf.Session() as session:
        get_network(tiny).build(tf.zeros([1, 32, 32, 3]), 10, is_training=False, head=head)
        session.run(tf.global_variables_initializer())
        write_checkpoint(tmp_path / "head.ckpt", {v.op.name: session.run(v) for v in tf.global_variables()})
    path = str(tmp_path / "head.ckpt")
    with Classifier(tiny, path, top=10) as classifier:
        shares = probabilities(classifier.classify_files(files, batch_size=50))
    labels = load_dataset("digits")["test"].labels
    expected = evaluate(tiny, "csv", path, data_dir=manifest, head=head)
    assert -np.log(shares[np.arange(360), labels]).mean() == pytest.approx(expected["loss"], rel=1e-5)
    with pytest.raises(CheckpointError, match="tiny/logits"):
        Classifier(tiny, path, head="linear")


def test_moving_averages_in_place_of_the_weights(tiny, checkpoint, files):
    values = dict(open_checkpoint(checkpoint))
    others = {name: value * 0.5 + 0.1 for name, value in values.items()}
    averages = {f"{name}/ExponentialMovingAverage": value for name, value in others.items()}
    write_checkpoint(checkpoint + "-both", {**values, **averages})
    write_checkpoint(checkpoint + "-others", others)

    def classify(path, **arguments):
        with Classifier(tiny, path, top=10, **arguments) as classifier:
            return probabilities(classifier.classify_files(files[:20]))

    np.testing.assert_array_equal(classify(checkpoint + "-both", averages=False), classify(checkpoint))
    averaged = classify(checkpoint + "-both")
    np.testing.assert_array_equal(averaged, classify(checkpoint + "-both", averages=True))
    np.testing.assert_array_equal(averaged, classify(checkpoint + "-others"))
    assert np.abs(averaged - classify(checkpoint)).max() > 0.1
    with pytest.raises(CheckpointError, match="has no moving averages"):
        Classifier(tiny, checkpoint, averages=True)


def test_weights_that_are_not_finite(tiny, checkpoint, files):
    values = dict(open_checkpoint(checkpoint))
    values["tiny/logits/biases"] = np.full(10, np.nan, np.float32)
    write_checkpoint(checkpoint + "-nan", values)
    with Classifier(tiny, checkpoint + "-nan") as classifier, pytest.raises(CheckpointError, match="not finite"):
        list(classifier.classify_files(files[:1]))


def test_only_a_few_images_are_read_ahead(tiny, checkpoint, files):
    taken = []

    def paths():
        for path in files:
            taken.append(path)
            yield path

    with Classifier(tiny, checkpoint) as classifier:
        classified = classifier.classify_files(paths(), batch_size=5)
        for number, path in enumerate(files[:20]):
            assert next(classified)[0] == path
            assert number < len(taken) <= number // 5 * 5 + 5 + 5
        classified.close()
    assert len(taken) <= 25
    reading = [thread for thread in threading.enumerate() if thread.name.startswith("read-images")]
    assert 0 < len(reading) <= count_threads()


def test_a_crop_sees_less(tiny, checkpoint, tmp_path):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:48, 16:48] = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    Image.fromarray(pixels).save(tmp_path / "whole.png")
    Image.fromarray(pixels[16:48, 16:48]).save(tmp_path / "middle.png")
    with Classifier(tiny, checkpoint, top=10) as classifier:
        cropped = probabilities(classifier.classify_files([str(tmp_path / "whole.png")], crop=0.5))
        middle = probabilities(classifier.classify_files([str(tmp_path / "middle.png")]))
    np.testing.assert_array_equal(cropped, middle)
