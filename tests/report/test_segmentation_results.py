"""result.json of a segmentation, against scikit-learn and Pillow."""

import base64
import io
import json
import os

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from slimft.data.palette import voc_palette
from slimft.errors import DataError
from slimft.runs.checked_json import read_json
from slimft.runs.result import parse_result, write_result


def opened(url, kind):
    head, _, data = url.partition(",")
    assert head == f"data:image/{kind};base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def write(folder, scores, dataset):
    told = {"restore": "", "class_names": dataset.class_names, "class_counts": {"validation": dataset.counts}}
    write_result(folder, scores.summary() | {"split": "validation"}, scores=scores, dataset=dataset, **told)
    return json.loads((folder / "result.json").read_text())


def test_figures(pixel_data, make_pixel_scores, tmp_path):
    dataset = pixel_data()["validation"]
    scores, maps = make_pixel_scores(dataset)
    told = write(tmp_path, scores, dataset)
    masks = [dataset.masks.read(index) for index in range(dataset.num_examples)]
    truth = np.concatenate([mask[mask < 255] for mask in masks])
    predicted = np.concatenate([seen[mask < 255] for mask, seen in zip(masks, maps)])
    assert told["task"] == "segmentation" and told["result"]["pixels"] == len(truth)
    assert told["confusion_matrix"] == sk.confusion_matrix(truth, predicted).tolist()
    ious = sk.jaccard_score(truth, predicted, average=None)
    precisions, recalls, _, numbers = sk.precision_recall_fscore_support(truth, predicted)
    assert told["result"]["mean_iou"] == pytest.approx(ious.mean())
    for label, (one, name) in enumerate(zip(told["per_class"], dataset.class_names, strict=True)):
        assert (one["class"], one["pixels"]) == (name, numbers[label])
        figures = [one["iou"], one["accuracy"], one["precision"]]
        assert figures == pytest.approx([ious[label], recalls[label], precisions[label]])
    assert told["class_counts"] == {"validation": np.bincount(truth).tolist()}
    assert told["mistakes"] == [] and told["calibration"] is None


def test_pictures(pixel_data, make_pixel_scores, tmp_path):
    dataset = pixel_data()["validation"]
    scores, maps = make_pixel_scores(dataset)
    pictures = write(tmp_path, scores, dataset)["pictures"]
    shown = scores.mistakes()
    assert [one["name"] for one in pictures] == [dataset.describe(index) for index, _ in shown]
    assert [one["kind"] for one in pictures] == ["worst"] * 6 + ["best"] * 6
    ious = [one["mean_iou"] for one in pictures]
    assert ious == sorted(ious[:6]) + sorted(ious[6:], reverse=True) and ious[5] < ious[-1]
    sizes = set()
    for (index, _), one in zip(shown, pictures):
        mask = dataset.masks.read(index)
        image, truth, predicted = (
            opened(one[name], kind) for name, kind in (("image", "jpeg"), ("truth", "png"), ("predicted", "png"))
        )
        assert image.size == truth.size == predicted.size and (truth.mode, predicted.mode) == ("P", "P")
        sizes.add(image.size)
        assert truth.getpalette()[: 3 * 4] == voc_palette()[: 3 * 4]
        colours = np.asarray(truth.convert("RGB"))[np.asarray(truth) == 255]
        assert len(colours) and (colours == (224, 224, 192)).all()
        if max(mask.shape) <= 320:
            np.testing.assert_array_equal(truth, mask)
            np.testing.assert_array_equal(predicted, maps[index])
            assert abs(np.asarray(image, float).mean() - dataset.picture(index, 1024).mean()) < 3
        else:
            nearest = Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST)
            np.testing.assert_array_equal(truth, nearest)
            assert np.mean(np.asarray(predicted) != Image.fromarray(maps[index]).resize(image.size, 0)) < 0.1
    assert sizes == {(48, 40), (40, 48), (320, 240)}


def test_what_is_written_can_be_read(pixel_data, make_pixel_result, tmp_path):
    told = make_pixel_result(pixel_data())
    read = parse_result(read_json(tmp_path / "result.json"))
    assert (read.task, read.pictures, read.per_class) == ("segmentation", told["pictures"], told["per_class"])
    assert read.confusion_matrix == told["confusion_matrix"] and read.class_counts == told["class_counts"]
    assert (
        read.figure("mean_iou") == told["result"]["mean_iou"] and read.figure("pixels") == told["result"]["pixels"]
    )


def test_files_that_have_gone_are_not_shown(pixel_data, make_pixel_scores, tmp_path):
    dataset = pixel_data()["validation"]
    scores, _ = make_pixel_scores(dataset)
    (first, _), (second, _), (third, _), *_ = scores.mistakes()
    os.unlink(dataset.images.source(first).name)
    os.unlink(dataset.masks.sources[second].path)
    Image.fromarray(np.full((5, 4), 2, np.uint8)).save(dataset.masks.sources[third].path)
    pictures = write(tmp_path, scores, dataset)["pictures"]
    gone = [[one[name] is None for name in ("image", "truth", "predicted")] for one in pictures]
    assert gone[:3] == [[True, False, False], [False, True, False], [False, True, False]]
    assert not any(map(any, gone[3:]))


def test_a_file_that_does_not_tell_its_task_is_of_classification(make_run, make_result):
    told = make_result(("a", "b"))
    assert "task" not in told
    read = parse_result(read_json(make_run(result=told) / "result.json"))
    assert read.task == "classification" and read.per_class == told["per_class"] and not read.pictures


@pytest.mark.parametrize(
    ("place", "wrong", "words"),
    [
        (("task",), "detection", "task is a string where one of classification, segmentation should be"),
        (("task",), ["segmentation"], "task is a list where one of"),
        (("result", "pixels"), 1.5, "result.pixels is a number where a whole number"),
        (("result", "mean_iou"), "high", "result.mean_iou is a string where a number"),
        (("per_class", 1, "pixels"), None, "per_class[1].pixels is null where a whole number"),
        (("per_class", 0, "iou"), "high", "per_class[0].iou is a string where a number"),
        (("confusion_matrix", 2), [1, 2], "confusion_matrix[2] is a list where one of 4 elements"),
        (("class_counts", "train", 0), -1, "class_counts.train[0] is a number where a whole number"),
        (("pictures",), "none", "pictures is a string where a list"),
        (("pictures", 0), [], "pictures[0] is a list where an object"),
        (("pictures", 0, "kind"), "middling", "pictures[0].kind is a string where one of worst, best"),
        (("pictures", 0, "name"), 3, "pictures[0].name is a number where a string"),
        (("pictures", 3, "mean_iou"), "low", "pictures[3].mean_iou is a string where a number"),
        (("pictures", 3, "truth"), {}, "pictures[3].truth is an object where a string"),
    ],
)
def test_damaged_files(place, wrong, words, pixel_data, make_pixel_result, tmp_path):
    told = make_pixel_result(pixel_data())
    *path, last = place
    holder = told
    for key in path:
        holder = holder[key]
    holder[last] = wrong
    (tmp_path / "result.json").write_text(json.dumps(told))
    with pytest.raises(DataError) as caught:
        parse_result(read_json(tmp_path / "result.json"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere/x.png",
        "data:image/svg+xml,<svg onload=x>",
        "data:image/png;base64,\n",
        'data:image/png;base64,A"',
    ],
)
def test_other_urls_are_no_pictures(url, pixel_data, make_pixel_result, tmp_path):
    told = make_pixel_result(pixel_data())
    told["pictures"][0] |= {"image": url, "truth": url, "predicted": told["pictures"][0]["image"]}
    (tmp_path / "result.json").write_text(json.dumps(told))
    first = parse_result(read_json(tmp_path / "result.json")).pictures[0]
    assert [first[name] for name in ("image", "truth", "predicted")] == [None] * 3
