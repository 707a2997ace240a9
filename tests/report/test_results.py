"""result.json against scikit-learn and Pillow."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from slimft.errors import DataError
from slimft.runs.checked_json import read_json
from slimft.runs.result import parse_result, write_result
from slimft.tasks.classification_scores import Predictions


class Pictures:
    """What of a dataset the mistakes need: example i has the grey value i; one cannot be read."""

    def __init__(self, shape, broken=None):
        self.shape, self.broken = shape, broken

    def image_shape(self, side):
        return self.shape or (side, side, 3)

    def read(self, indices, image_shape):
        if self.broken in indices:
            raise DataError("gone")
        return np.stack([np.full(image_shape, index % 256, np.uint8) for index in indices])

    def describe(self, index):
        return f"example {index}"


def predictions(size, examples=500):
    random = np.random.default_rng(3)
    labels = random.integers(0, size, examples, dtype=np.int32)
    guesses = np.where(random.random(examples) < 0.7, labels, random.integers(0, size, examples)).astype(np.int32)
    confidence = random.random(examples).astype(np.float32)
    return Predictions(labels, guesses, confidence, confidence, size)


def write(folder, found, dataset=None, **changes):
    names = [f"c{i}" for i in range(found.num_classes)]
    counts = {"train": np.arange(len(names))}
    told = {"restore": "plan", "class_names": names, "class_counts": counts, "seconds": 3.5}
    result = {"accuracy": np.float32(0.5), "loss": float("nan"), "split": "test"}
    written = write_result(folder, result, scores=found.scores, dataset=dataset, **told | changes)
    return written, json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("size", [2, 9, 201])
def test_the_findings(size, tmp_path):
    found = predictions(size)
    _, told = write(tmp_path, found)
    matrix = sk.confusion_matrix(found.labels, found.predicted, labels=range(size))
    assert told["confusion_matrix"] == (matrix.tolist() if size <= 200 else None)
    wrong = matrix - np.diag(np.diag(matrix))
    assert len(told["confused_pairs"]) == min(40, np.count_nonzero(wrong))
    counts = [count for *_, count in told["confused_pairs"]]
    assert counts == sorted(wrong[wrong > 0].tolist(), reverse=True)[: len(counts)]
    assert all(wrong[label, predicted] == count for label, predicted, count in told["confused_pairs"])
    assert told["class_counts"] == {"train": list(range(size))} and told["seconds"] == 3.5
    assert told["result"] == {"accuracy": 0.5, "loss": None, "split": "test"}
    assert told["versions"]["NumPy"] == np.__version__


@pytest.mark.parametrize(("shape", "side"), [(None, 160), ((32, 24, 3), 32), ((400, 300, 3), 160)])
def test_mistakes(shape, side, tmp_path):
    found = predictions(5)
    worst = found.most_confident_mistakes(1000)
    _, told = write(tmp_path, found, Pictures(shape, broken=worst[1]))
    mistakes = told["mistakes"]
    assert [one["name"] for one in mistakes] == [f"example {index}" for index in worst[:24]]
    assert [one["confidence"] for one in mistakes] == sorted((one["confidence"] for one in mistakes), reverse=True)
    assert mistakes[1]["image"] is None
    for index, one in zip(worst, mistakes):
        assert (one["label"], one["predicted"]) == (found.labels[index], found.predicted[index])
        if one["image"]:
            picture = Image.open(io.BytesIO(base64.b64decode(one["image"].removeprefix("data:image/jpeg;base64,"))))
            assert picture.format == "JPEG" and max(picture.size) == side
            assert abs(int(np.asarray(picture).mean()) - index % 256) <= 2


def test_what_is_written_can_be_read(tmp_path):
    written, _ = write(tmp_path, predictions(4), Pictures((8, 8, 3)))
    read = parse_result(read_json(tmp_path / "result.json"))
    assert read.per_class == written.per_class and read.calibration == written.calibration
    assert read.mistakes == written.mistakes and read.ece == written.calibration["ece"]
    assert [list(pair) for pair in read.confused_pairs] == written.confused_pairs


def test_without_an_evaluation(tmp_path):
    write_result(tmp_path, {"step": 3}, restore="", class_names=["a"], class_counts={"train": [1]})
    read = parse_result(read_json(tmp_path / "result.json"))
    assert read.figure("step") == 3 and read.ece is None and not read.mistakes and read.confusion_matrix is None
