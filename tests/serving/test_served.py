"""What is served, against bin/predict on the same files: a run, and a SavedModel as bin/export writes it."""

import concurrent.futures
import json

import numpy as np
import pytest
from PIL import Image

from slimft import CheckpointError, DataError, UsageError, open_checkpoint, write_checkpoint
from slimft.cli import finetune, predict
from slimft.compat import tf
from slimft.inference import find_network
from slimft.prediction import Classifier
from slimft.serving.served import ServedExport, ServedNetwork, check

RNG = np.random.default_rng(5)


@pytest.fixture
def run(tiny, tmp_path, plain_charts, capsys):
    """A run of two steps on digits at 16x16."""
    flags = ["--model=tiny", "--dataset=digits", "--steps=2", "--batch_size=64", "--image_size=16"]
    assert finetune.main(["finetune", *flags, f"--train_dir={tmp_path / 'run'}"]) == 0
    capsys.readouterr()
    return tmp_path / "run"


@pytest.fixture
def photos(tmp_path):
    """Image files of several formats and sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(24):
        size = (20 + 11 * number, 90 - 2 * number, 3)
        suffix = ("png", "jpg", "webp", "tiff")[number % 4]
        Image.fromarray(RNG.integers(0, 256, size, np.uint8)).save(folder / f"{number:02}.{suffix}")
    return folder


def predicted(capsys, *arguments):
    """What bin/predict prints of each image: the probabilities by class."""
    assert predict.main(["predict", "--json", "--top=99", *map(str, arguments)]) == 0
    return [by_class(json.loads(line)) for line in capsys.readouterr().out.splitlines()]


def by_class(result):
    return [one["probability"] for one in sorted(result["predictions"], key=lambda one: one["class"])]


@pytest.mark.parametrize("crop", [1.0, 0.5])
def test_concurrent_requests_have_the_probabilities_of_bin_predict(run, photos, start, kit, capsys, crop):
    expected = predicted(capsys, f"--train_dir={run}", f"--crop={crop}", photos)
    paths = sorted(photos.iterdir())
    client = start(ServedNetwork(find_network(train_dir=run)), batch_size=7, top=10, crop=crop)
    assert client.get("/health")["name"] == "run" and str(run.parent) not in json.dumps(client.get("/health"))
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        singly = [threads.submit(client.classify, path.read_bytes()) for path in paths]
        together = threads.submit(client.classify, *kit.files(*(path.read_bytes() for path in paths)))
        in_json = threads.submit(client.classify, *kit.in_json(*(path.read_bytes() for path in paths)))
    found = [one.result()[1]["results"][0] for one in singly]
    for results in (found, together.result()[1]["results"], in_json.result()[1]["results"]):
        np.testing.assert_allclose([by_class(one) for one in results], expected, atol=1e-6, rtol=0)


def test_all_probabilities_are_those_of_the_likeliest(run):
    images = RNG.integers(0, 256, (5, 16, 16, 3), np.uint8)
    with Classifier(train_dir=run, top=10) as classifier:
        shares = classifier.probabilities(images)
        told = classifier.classify(images)
    assert shares.shape == (5, 10) and shares.dtype == np.float32
    np.testing.assert_array_equal([[share for _, share in sorted(one)] for one in told], shares)


def test_weights_that_are_not_finite(tiny, run, tmp_path):
    values = {**open_checkpoint(run)}
    values["tiny/logits/biases"] = np.full(10, np.nan, np.float32)
    write_checkpoint(tmp_path / "nan.ckpt", values)
    with pytest.raises(CheckpointError, match="not finite"):
        check(ServedNetwork(find_network(tiny, tmp_path / "nan.ckpt", image_size=16)))


def test_a_network_for_segmentation(tiny, make_voc, tmp_path, plain_charts):
    voc = make_voc(tmp_path / "voc")
    flags = ["--model=tiny_fcn", "--dataset=voc", f"--data_dir={voc}", "--steps=1", "--batch_size=2"]
    assert finetune.main(["finetune", *flags, "--image_size=16", f"--train_dir={tmp_path / 'run'}"]) == 0
    with pytest.raises(UsageError, match="tiny_fcn says the class of each pixel.*bin/predict"):
        ServedNetwork(find_network(train_dir=tmp_path / "run"))


@pytest.fixture
def export(run, tmp_path):
    """Writes what bin/export does of `run`; takes what else is in the card."""

    def write(folder="export", scale=1.0, inputs="images", outputs="probabilities", **card):
        network = find_network(train_dir=run)
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, 16, 16, 3])
            probabilities = scale * tf.nn.softmax(network.architecture.outputs(images))
            with network.session() as session:
                tf.saved_model.simple_save(
                    session,
                    str(tmp_path / folder / "saved_model"),
                    inputs={inputs: images},
                    outputs={outputs: probabilities},
                )
        card = {"network": "tiny", "image_size": 16, "classes": None, "task": "classification", **card}
        (tmp_path / folder / "model_card.json").write_text(json.dumps(card))
        return tmp_path / folder

    return write


def test_an_export_has_the_probabilities_of_bin_predict(run, export, photos, start, kit, capsys):
    expected = predicted(capsys, f"--train_dir={run}", photos)
    served = ServedExport(export(classes=[f"digit {number}" for number in range(10)]))
    check(served)
    client = start(served, top=10)
    status, answer = client.classify(*kit.files(*(path.read_bytes() for path in sorted(photos.iterdir()))))
    assert status == 200
    np.testing.assert_allclose([by_class(one) for one in answer["results"]], expected, atol=1e-6, rtol=0)
    assert {one["name"] for one in answer["results"][0]["predictions"]} == {
        f"digit {number}" for number in range(10)
    }
    assert client.get("/health") | {"network": "tiny", "name": "export", "classes": 10} == client.get("/health")


def test_the_names_of_an_exports_classes(export):
    folder = export()
    assert ServedExport(folder).classes.names is None
    (folder / "labels.txt").write_text("".join(f"{number}:{'abcdefghij'[number]}\n" for number in range(10)))
    assert ServedExport(folder).classes.names == tuple("abcdefghij")
    (folder / "labels.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="labels.txt has 2 names, and the SavedModel 10 classes"):
        ServedExport(folder)


def test_an_export_tells_how_its_grey_images_are_read(export):
    assert ServedExport(export("unknown")).grey_bits is None
    assert ServedExport(export("known", grey_bits=12)).grey_bits == 12
    with pytest.raises(DataError, match="grey_bits"):
        ServedExport(export("wrong", grey_bits=17))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"task": "segmentation"}, UsageError, "for segmentation"),
        ({"image_size": 0}, DataError, "image_size"),
        ({"image_size": "16"}, DataError, "image_size"),
        ({"image_size": 10**9}, DataError, "image_size"),
        ({"classes": ["a"]}, DataError, "1 names, and the SavedModel 10"),
        ({"classes": {"a": 1}}, DataError, "classes"),
        ({"network": 3}, DataError, "network"),
        ({"outputs": "logits"}, CheckpointError, "no signature serving_default with input images"),
        ({"inputs": "x"}, CheckpointError, "no signature"),
        ({"scale": float("nan")}, CheckpointError, "not finite"),
        ({"image_size": 8}, CheckpointError, "does not run"),
    ],
)
def test_an_export_that_cannot_be_served(export, change, error, words):
    with pytest.raises(error, match=words) as raised:
        check(ServedExport(export(**change)))
    assert "\n" not in str(raised.value)


def test_an_export_without_its_saved_model(export, tmp_path):
    (tmp_path / "model_card.json").write_text('{"network": "tiny", "image_size": 16}')
    with pytest.raises(CheckpointError, match="saved_model cannot be loaded"):
        ServedExport(tmp_path)
    (tmp_path / "model_card.json").write_text("{")
    with pytest.raises(DataError, match="model_card.json is no JSON"):
        ServedExport(tmp_path)
