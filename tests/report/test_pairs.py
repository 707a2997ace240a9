"""Two runs on the same test images, against SciPy and against formulas written out."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from slimft.errors import DataError
from slimft.report import compare, text_tables
from slimft.report.significance import compare_outcomes, mcnemar
from slimft.runs.outcomes import Outcomes, read_outcomes, write_outcomes
from slimft.runs.read import read_run

NAMES = ("cat", "dog", "owl")


def outcomes(labels, predicted, digests=None, step=400):
    labels, predicted = np.array(labels, np.int32), np.array(predicted, np.int32)
    digests = [f"{i:016x}" for i in range(len(labels))] if digests is None else digests
    confidence = np.full(len(labels), 0.5, np.float32)
    arrays = {"labels": labels, "predicted": predicted, "confidence": confidence}
    return Outcomes(np.array(digests, "S"), step, arrays)


def answers(seed, right, number=300):
    """Labels, and predictions of which about a share of `right` are."""
    labels = np.random.default_rng(0).integers(0, 3, number)
    random = np.random.default_rng(seed)
    return labels, np.where(random.random(number) < right, labels, (labels + 1) % 3)


@pytest.fixture
def tested_run(make_run, make_result):
    """Makes a run that was tested: `tested_run(name, outcomes, names=NAMES, **result)`; None leaves none."""

    def make(name, found, names=NAMES, **changes):
        result = make_result(names, mistakes=0)
        result["result"] |= {"examples": 300 if found is None else len(found.digests), **changes}
        folder = make_run(name, {"seed": len(name)}, result=result)
        if found is not None:
            write_outcomes(folder, found)
        return folder

    return make


@pytest.mark.parametrize("only_first, only_second", [(0, 0), (3, 12), (12, 3), (5, 5), (1, 0), (40, 61)])
def test_mcnemar(only_first, only_second):
    number = only_first + only_second
    tail = sum(math.comb(number, k) for k in range(min(only_first, only_second) + 1)) / 2**number
    assert mcnemar(only_first, only_second) == pytest.approx(min(1.0, 2 * tail))


def test_a_pair(tested_run):
    (labels, good), (_, bad) = answers(1, 0.92), answers(2, 0.8)
    folders = [tested_run("one", outcomes(labels, good)), tested_run("two", outcomes(labels, bad))]
    one, two = map(read_run, folders)
    first, second = (read_outcomes(folder, "classification", 3) for folder in folders)
    found = compare_outcomes(one, first, two, second)
    a, b = labels == good, labels == bad
    assert (found.examples, found.only_first, found.only_second) == (300, (a & ~b).sum(), (b & ~a).sum())
    assert found.p == mcnemar(found.only_first, found.only_second) < 0.01
    differences = a.astype(float) - b
    drawn = stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=20_000, random_state=3)
    accuracy = found.intervals["accuracy"]
    assert accuracy.difference == pytest.approx(differences.mean())
    np.testing.assert_allclose([accuracy.low, accuracy.high], drawn.confidence_interval, atol=0.004)

    def balanced(labels, a, b, axis=-1):
        with np.errstate(invalid="ignore"):
            recalls = [((a - b) * (labels == k)).sum(axis) / (labels == k).sum(axis) for k in range(3)]
        return np.mean(recalls, axis=0)

    samples = (labels, a.astype(float), b.astype(float))
    drawn = stats.bootstrap(
        samples, balanced, paired=True, vectorized=True, method="percentile", n_resamples=5000, random_state=3
    )
    told = found.intervals["balanced_accuracy"]
    assert told.difference == pytest.approx(balanced(*samples))
    np.testing.assert_allclose([told.low, told.high], drawn.confidence_interval, atol=0.006)
    # The other way round, only the signs differ.
    turned = compare_outcomes(two, second, one, first)
    assert (turned.p, turned.only_first) == (found.p, found.only_second)
    assert turned.intervals["accuracy"].difference == -accuracy.difference


def test_only_images_of_both_count(tested_run, tmp_path, parse_page):
    """Another order, other numbers for the classes, copies of one image, one with another label, and some more."""
    first = outcomes([0, 1, 2, 0, 0, 1], [0, 2, 2, 1, 0, 1], ["a", "b", "c", "d", "d", "e"])
    second = outcomes([1, 2, 2, 0, 0, 0], [1, 2, 0, 1, 0, 0], ["f", "d", "d", "b", "c", "e"])
    folders = [tested_run("one", first), tested_run("two", second, names=("dog", "owl", "cat"))]
    one, two = map(read_run, folders)
    found = compare_outcomes(one, first, two, second)
    # Not c (another label) and a, f (of one run). Of b both say owl; of the copies of d each has another one right.
    assert (found.examples, found.only_first, found.only_second) == (4, 1, 1)
    compare(folders, tmp_path / "page.html")
    text = parse_page(tmp_path / "page.html").text
    assert "two: 4 of its 6 test images are among one's 6." in text


def test_the_page_and_the_tables(tested_run, tmp_path, parse_page):
    labels, good = answers(1, 0.92)
    folders = [
        tested_run("best", outcomes(labels, good)),
        tested_run("other", outcomes(labels, answers(2, 0.8)[1])),
        tested_run("elsewhere", outcomes(labels, good, [f"x{i}" for i in range(300)])),
        tested_run("earlier", None),
        tested_run("stale", outcomes(labels, good, step=350)),
        tested_run("same", outcomes(labels, good)),
    ]
    comparison = compare(folders, tmp_path / "page.html")
    *_, (header, rows) = text_tables(comparison)
    assert header[:2] == ["against best", "images of both"] and [row[0] for row in rows] == ["other", "same"]
    assert rows[0][4] == f"{comparison.pairs.of_rows[0][1].p:.4f}"
    assert rows[1][2:6] == [
        "0",
        "0",
        "1.0000",
        "+0.0000 (+0.0000 to +0.0000)",
    ]
    page = parse_page(tmp_path / "page.html")
    for words in (
        "More than chance? Against best",
        "elsewhere: It has no test image in common with best",
        "earlier: No significance is told: predictions.npz is missing",
        "stale: No significance is told: predictions.npz is not of the result's step",
        "Of 2 comparisons the smallest p is small more often by chance: below 0.025",
        "McNemar's exact test",
    ):
        assert words in page.text
    # One pair needs no such warning; without any there is no table.
    assert "comparisons" not in " ".join(compare(folders[:2], tmp_path / "page.html").pairs.notes)
    assert len(text_tables(compare(folders[2:4], tmp_path / "page.html"))) == 2


def test_segmentations(make_run, make_pixel_result, pixel_data, tmp_path):
    """The difference of mean IoU is that of all pixels; the interval, that of images drawn one by one."""
    random = np.random.default_rng(0)
    splits = pixel_data()
    labels = random.integers(0, 50, (40, 4)).astype(np.int32)
    found = []
    for share in (0.9, 0.7):
        right = (labels * random.uniform(share - 0.2, share + 0.1, labels.shape)).astype(np.int32)
        predicted = right + random.integers(0, 10, labels.shape).astype(np.int32)
        arrays = {"right": right, "labels": labels, "predicted": predicted}
        found.append(Outcomes(np.array([f"{i}" for i in range(40)], "S"), 200, arrays))
    folders = []
    for name, one in zip(("a", "b"), found):
        result = make_pixel_result(splits, split="test", examples=40)
        folders.append(make_run(name, {"model": "fcn_8s", "dataset": "voc", "seed": len(folders)}, result=result))
        write_outcomes(folders[-1], one)
    (name, paired), *_ = compare(folders, tmp_path / "page.html").pairs.of_rows

    def mean_iou(one, rows):
        right, labels, predicted = (one.arrays[name][rows].sum(0) for name in ("right", "labels", "predicted"))
        return (right / (labels + predicted - right)).mean()

    one, other = (found[0], found[1]) if name == "a" else (found[1], found[0])
    told = paired.intervals["mean_iou"]
    assert paired.p is None
    assert told.difference == pytest.approx(mean_iou(one, slice(None)) - mean_iou(other, slice(None)))
    drawn = [mean_iou(one, rows) - mean_iou(other, rows) for rows in random.integers(0, 40, (4000, 40))]
    np.testing.assert_allclose([told.low, told.high], np.quantile(drawn, [0.025, 0.975]), atol=0.01)


def test_a_damaged_file(tested_run, tmp_path):
    folder = tested_run("run", outcomes([0, 1, 2], [0, 1, 1]))
    file = folder / "predictions.npz"
    good = file.read_bytes()
    with np.load(file) as saved:
        arrays = dict(saved)

    def written(**changes):
        kept = {name: one for name, one in (arrays | changes).items() if one is not None}
        np.savez(file, allow_pickle=True, **kept)
        return file.read_bytes()

    for damaged, words in [
        (b"", "zip"),
        (good[: len(good) // 2], "zip"),
        (written(labels=None), "it has no labels"),
        (written(labels=np.array([0, 1, 3], np.int32)), "labels are out of their range"),
        (written(predicted=np.array([0, -1, 2], np.int32)), "predicted are out of their range"),
        (written(labels=arrays["labels"][:2]), "another type or number"),
        (written(labels=arrays["labels"].astype(float)), "another type or number"),
        (written(digests=np.array([1, 2, {}], object)), "Python objects"),
        (written(step=np.array([1, 2])), "another type or number"),
    ]:
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"predictions\.npz is no file of a run: .*" + words):
            read_outcomes(folder, "classification", 3)
    file.unlink()
    assert read_outcomes(folder, "classification", 3) is None
    file.mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        read_outcomes(folder, "classification", 3)


def test_too_many_to_be_read_are_not_written(tmp_path, monkeypatch):
    from slimft.runs import outcomes as module

    assert write_outcomes(tmp_path, outcomes([0, 1], [0, 1]))
    monkeypatch.setattr(module, "_MOST_BYTES", 2000)
    assert not write_outcomes(tmp_path, outcomes([0, 1], [0, 1])) and not (tmp_path / "predictions.npz").exists()
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    arrays = {"labels": np.zeros(2), "predicted": np.zeros(2), "confidence": np.zeros(2), "examples": np.arange(2)}
    assert module.joined([module.packed([arrays], "classification")], "classification", 3) is None
    assert not write_outcomes(tmp_path, None)


def test_processes_join_what_they_have():
    from slimft.runs.outcomes import joined, packed

    def batch(*examples):
        numbers = np.array(examples)
        return {"labels": numbers % 3, "predicted": numbers % 2, "confidence": numbers / 10, "examples": numbers}

    messages = [packed(batches, "classification") for batches in ([batch(0, 1), batch(4)], [batch(2, 3)], [])]
    found = joined(messages, "classification", 3)
    assert found["labels"].tolist() == [0, 1, 2, 0, 1] and found["labels"].dtype == np.int32
    np.testing.assert_allclose(found["confidence"], np.arange(5) / 10)
    json.dumps(found["predicted"].tolist())
