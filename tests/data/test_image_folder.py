"""Folders of images: which images are of which class and split, and what is wrong with others."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from slimft import DataError, UsageError
from slimft.data import DataOptions, load_dataset


def make(folder, *files):
    """Image files of 8x8 pixels; a name with a ``*3`` stands for three of them."""
    for file in files:
        name, _, count = file.partition("*")
        for i in range(int(count or 1)):
            path = folder / (name if not count else name.replace(".", f"_{i:04}."))
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (i % 256, 0, 0)).save(path)


def load(folder, **options):
    return load_dataset("image_folder", folder, DataOptions(**options))


def paths(dataset, folder):
    return [os.path.relpath(dataset.describe(i), folder) for i in range(dataset.num_examples)]


def sizes(splits):
    return {split: dataset.counts.tolist() for split, dataset in splits.items()}


def refusal(folder, kind=DataError, **options):
    with pytest.raises(kind) as raised:
        load(folder, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_folder_for_each_class(tmp_path):
    make(tmp_path, "dog/a.jpg*20", "cat/a.png*10", "Bird/a.bmp*10")
    splits = load(tmp_path)
    assert sizes(splits) == {"train": [7, 7, 15], "validation": [1, 1, 1], "test": [2, 2, 4]}
    seen = sum((paths(dataset, tmp_path) for dataset in splits.values()), [])
    assert sorted(seen) == sorted(
        [f"dog/a_{i:04}.jpg" for i in range(20)]
        + [f"{name}_{i:04}.{kind}" for name, kind in (("cat/a", "png"), ("Bird/a", "bmp")) for i in range(10)]
    )
    for split, dataset in splits.items():
        assert (dataset.name, dataset.split, dataset.class_names) == ("image_folder", split, ("Bird", "cat", "dog"))
        assert (dataset.image_size, dataset.flip, dataset.max_shift, dataset.min_area) == (None, True, 0.0, 0.5)
        assert dataset.labels.dtype == np.int32
        folders = [path.split("/")[0] for path in paths(dataset, tmp_path)]
        assert folders == [dataset.class_names[label] for label in dataset.labels]


def test_what_is_an_image(tmp_path):
    make(
        tmp_path,
        "a/1.JPG",
        "a/below/it/2.jpeg",
        "a/3.tiff",
        "b/4.webp",
        "b/.hidden.jpg",
        "b/.hidden/5.jpg",
        "b/6.gif",
    )
    make(tmp_path, ".cache/7.png", "unused.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / "labels.csv").write_text("x")
    splits = load(tmp_path)
    assert sorted(sum((paths(dataset, tmp_path) for dataset in splits.values()), [])) == [
        "a/1.JPG",
        "a/3.tiff",
        "a/below/it/2.jpeg",
        "b/4.webp",
        "b/6.gif",
    ]


def test_a_class_folder_may_be_a_link(tmp_path):
    make(tmp_path / "elsewhere", "cats/a.png*3")
    make(tmp_path / "data", "dog/a.png*3")
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "data" / "cat" / "loop").symlink_to(tmp_path / "data")
    assert sizes(load(tmp_path / "data"))["test"] == [1, 1]


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
@pytest.mark.parametrize("train, test", [("train", "test"), ("Train", "TEST")])
def test_split_folders(tmp_path, train, validation, test):
    make(tmp_path, f"{train}/cat/a.png*3", f"{train}/dog/a.png*4", f"{validation}/cat/a.png*2", f"{test}/dog/a.png")
    splits = load(tmp_path)
    assert list(splits) == ["train", "validation", "test"]
    assert sizes(splits) == {"train": [3, 4], "validation": [2, 0], "test": [0, 1]}
    assert paths(splits["validation"], tmp_path) == [f"{validation}/cat/a_0000.png", f"{validation}/cat/a_0001.png"]


def test_missing_split_folders(tmp_path):
    make(tmp_path / "no_validation", "train/cat/a.png*20", "train/dog/a.png*20", "test/cat/a.png", "test/dog/a.png")
    found = sizes(load(tmp_path / "no_validation", validation_share=0.2))
    assert found["test"] == [1, 1] and np.add(found["train"], found["validation"]).tolist() == [20, 20]
    assert min(found["validation"]) >= 1 and sum(found["validation"]) < 20
    make(tmp_path / "no_test", "train/cat/a.png*5", "train/dog/a.png*5", "val/cat/a.png")
    assert sizes(load(tmp_path / "no_test")) == {"train": [5, 5], "validation": [1, 0]}
    make(tmp_path / "train_only", "train/cat/a.png*10", "train/dog/a.png*10")
    found = sizes(load(tmp_path / "train_only"))
    assert np.min(list(found.values())) >= 1 and np.sum(list(found.values()), axis=0).tolist() == [10, 10]


def test_without_a_test_split(tmp_path):
    make(tmp_path, "cat/a.png*10", "dog/a.png*10")
    found = sizes(load(tmp_path, test_share=0.0))
    assert list(found) == ["train", "validation"] and np.add(*found.values()).tolist() == [10, 10]


def test_folds_test_each_image_once(tmp_path):
    make(tmp_path, "cat/a.png*12", "dog/a.png*8", "emu/a.png")
    tested = []
    for fold in range(4):
        splits = load(tmp_path, folds=4, fold=fold)
        tested += paths(splits["test"], tmp_path)
        together = sum((paths(dataset, tmp_path) for dataset in splits.values()), [])
        assert len(set(together)) == len(together) == 21
        assert (splits["train"].counts > 0).all()
    assert len(tested) == len(set(tested)) == 20


def test_the_split_does_not_depend_on_the_order_of_the_file_system(tmp_path, monkeypatch):
    make(tmp_path, "cat/a.png*12", "cat/below/b.png*4", "dog/a.png*8")
    before = {split: paths(dataset, tmp_path) for split, dataset in load(tmp_path).items()}
    scandir = os.scandir

    class Reversed:
        def __init__(self, folder):
            self.entries = scandir(folder)

        def __iter__(self):
            return reversed(list(self.entries))

        def __next__(self):
            self.left = getattr(self, "left", None) or iter(self)
            return next(self.left)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.entries.close()

    monkeypatch.setattr(os, "scandir", Reversed)
    assert os.listdir(tmp_path) and [e.name for e in os.scandir(tmp_path)] != [e.name for e in scandir(tmp_path)]
    assert {split: paths(dataset, tmp_path) for split, dataset in load(tmp_path).items()} == before


@pytest.mark.parametrize(
    "files, reason",
    [
        ([], "{} has no folders; there has to be a folder for each class, with its images"),
        (["1.jpg", "2.jpg"], "{} has images (1.jpg, 2.jpg) but no folders; there has to be"),
        (["cat/a.png*4"], "{} has images of one class only, cat; two is the least"),
        (["wbc/cat/a.png", "wbc/dog/a.png"], "{0} has one folder only, wbc; is --data_dir={0}/wbc meant?"),
        (["train/cat/a.png", "cat/a.png", "dog/a.png"], "{} has folders of splits (train) beside others (cat,"),
        (["train/cat/a.png", "val/cat/a.png", "valid/cat/a.png"], "{} has two folders for validation, val and"),
        (["val/cat/a.png", "test/cat/a.png"], "{} has no folder train beside test, val"),
        (["train/cat/a.png*9", "train/dog/a.png*9", "test/1.png"], "{}/test has images (1.png) but no folders"),
        (
            ["train/cat/a.png*9", "train/dog/a.png*9", "test/emu/a.png"],
            "{}: test has classes that the training split lacks: emu",
        ),
        (
            ["train/cat/a.png*9", "train/dog/a.png*9", "val/Cat/a.png"],
            "{}: validation has classes that the training split lacks: Cat",
        ),
        (["cat/a.png", "dog/a.png"], "{} has too few examples (2) to draw some that test"),
        (["cat/a.png*2", "dog/a.png"], "{} has too few examples to train on (2) to draw some that validate"),
        (["cat/a.png*9", "d\x1bog/a.png*9"], "{}: the class name 'd\\x1bog' has a character"),
        (["cat/a.png*9", "d\nog/a.png*9"], "{}: the class name 'd\\nog' has a character"),
    ],
)
def test_another_arrangement_is_refused(tmp_path, files, reason):
    make(tmp_path, *files)
    assert refusal(tmp_path).startswith(reason.format(tmp_path))


@pytest.mark.parametrize("folder", ["dog", "train/dog"])
def test_an_empty_class_folder(tmp_path, folder):
    split = "train/" if "/" in folder else ""
    make(tmp_path, f"{split}cat/a.png*9", f"{split}emu/a.png*9")
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "a.txt").write_text("x")
    assert refusal(tmp_path).startswith(f"{tmp_path / folder} holds no images (.jpg .jpeg .png")


def test_a_data_dir_that_is_none(tmp_path):
    assert refusal(None, UsageError).startswith("--dataset=image_folder needs --data_dir")
    assert refusal(tmp_path / "gone") == f"--data_dir={tmp_path / 'gone'}: there is no such folder"
    assert refusal("~nobody-of-that-name/x") == "--data_dir=~nobody-of-that-name/x: there is no such folder"
    assert refusal(tmp_path / ("x" * 300)).endswith("cannot be read: File name too long")
    (tmp_path / "list.csv").write_text("x")
    assert refusal(tmp_path / "list.csv") == (
        f"--data_dir={tmp_path / 'list.csv'} is a file, not a folder; use --dataset=csv"
    )


@pytest.mark.parametrize("folder", ["", "cat", "cat/below"])
def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch, folder):
    make(tmp_path, "cat/a.png*9", "dog/a.png*9", "cat/below/b.png")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path) == str(tmp_path / folder):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert refusal(tmp_path) == f"{tmp_path / folder} cannot be read: Permission denied"


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"folds": 5, "fold": 5}, "--fold=5: with --folds=5 it is 0 to 4"),
        ({"fold": 1}, "--fold=1 needs --folds"),
        ({"folds": 1}, "--folds=1: two is the least"),
        ({"folds": 3, "test_share": 0.5}, "--test_share=0.5 and --folds=3: give one of them"),
        ({"test_share": 1.0}, "--test_share=1: it has to be 0 or more and below 1"),
        ({"validation_share": 0.0}, "--validation_share=0: it has to be above 0 and below 1"),
        ({"train_examples": 1}, "--train_examples=1: image_folder has 2 classes, and each needs one"),
        ({"train_examples": 15}, "--train_examples=15: image_folder has only 14 to train on"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, reason):
    make(tmp_path, "cat/a.png*10", "dog/a.png*10")
    assert refusal(tmp_path, UsageError, **options) == reason


@pytest.mark.parametrize(
    "others, options, reason",
    [
        (["test"], {"folds": 5}, "--folds=5: {} has splits of its own (train, test)"),
        (["val"], {"folds": 5}, "--folds=5: {} has splits of its own (train, validation)"),
        (["val"], {"test_share": 0.5}, "--test_share=0.5: {} has splits of its own (train, validation)"),
        (["val", "test"], {"validation_share": 0.5}, "--validation_share=0.5: {} has a validation split"),
    ],
)
def test_options_about_splits_that_are_there(tmp_path, others, options, reason):
    make(tmp_path, *(f"{split}/{name}/a.png*10" for split in ["train", *others] for name in ("cat", "dog")))
    assert refusal(tmp_path, UsageError, **options) == reason.format(tmp_path)


def test_fewer_examples_to_train_on(tmp_path):
    make(tmp_path, "cat/a.png*40", "dog/a.png*10", "emu/a.png*3")
    whole, some = load(tmp_path), load(tmp_path, train_examples=12)
    assert some["train"].counts.tolist() == [9, 2, 1]
    assert set(paths(some["train"], tmp_path)) < set(paths(whole["train"], tmp_path))
    for split in ("validation", "test"):
        assert paths(some[split], tmp_path) == paths(whole[split], tmp_path)


def test_the_images_are_read_as_they_are(tmp_path):
    for name, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        for i in range(10):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (30 + i, 20), colour).save(tmp_path / name / f"{i}.png")
    train = load(tmp_path)["train"]
    assert train.image_shape(16) == (16, 16, 3)
    indices = np.array([3, 0, train.num_examples - 1])
    expected = np.array([[0, 0, 255], [255, 0, 0]], np.uint8)[train.labels[indices]]
    images = train.read(indices, train.image_shape(16))
    np.testing.assert_array_equal(images, np.broadcast_to(expected[:, None, None], (3, 16, 16, 3)))
    damaged = train.describe(2)
    with open(damaged, "wb") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=re.escape(damaged)):
        train.read(np.array([1, 2]), (16, 16, 3))
    np.testing.assert_array_equal(train.select(indices).read(np.arange(3), (16, 16, 3)), images)


@pytest.mark.real
def test_white_blood_cells(shared):
    tested = []
    for fold in range(5):
        splits = load(shared / "data" / "wbc", folds=5, fold=fold)
        assert sum(dataset.counts for dataset in splits.values()).tolist() == [3, 88, 33, 20, 207]
        assert (splits["train"].counts > 0).all() and (splits["test"].counts[1:] > 0).all()
        assert 45 < splits["test"].num_examples < 95
        tested += paths(splits["test"], shared)
    assert len(set(tested)) == len(tested) == 351
