"""What a Dataset accepts and gives, and finding one by name."""

import dataclasses

import numpy as np
import pytest

from slimft import DataError, UsageError
from slimft.data import SPLITS, DataOptions, Dataset, dataset_names, load_dataset, load_for_evaluation


def dataset(labels, examples=None):
    images = np.zeros((len(labels) if examples is None else examples, 4, 4, 3), np.uint8)
    return Dataset(
        "shapes", "train", images, np.array(labels, np.int32), ("disc", "square"), 32, flip=True, max_shift=0.1
    )


def test_a_good_dataset():
    good = dataset([0, 1, 1])
    assert (good.num_examples, good.num_classes) == (3, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        good.labels = None


def test_images_in_memory():
    images = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)
    data = Dataset("shapes", "test", images, np.array([2, 0, 2]), ("a", "b", "c"), 32, flip=True, max_shift=0.1)
    assert data.min_area == 1.0 and data.in_memory
    assert data.counts.tolist() == [1, 0, 2] and data.counts.dtype == np.int64
    assert data.image_shape(224) == (4, 5, 3)
    np.testing.assert_array_equal(data.read(np.array([2, 0]), data.image_shape(224)), images[[2, 0]])
    assert data.describe(2) == "test example 2"
    some = data.select(np.array([2, 1]))
    np.testing.assert_array_equal(some.images, images[[2, 1]])
    assert some.labels.tolist() == [2, 0] and some.counts.tolist() == [1, 0, 1]
    assert (some.name, some.split, some.class_names) == (data.name, data.split, data.class_names)


@pytest.mark.parametrize(
    "labels, examples, reason",
    [
        ([0, 1, 2, 7], None, "example 2 has label 2, which is not in 0..1"),
        ([0, -1], None, "example 1 has label -1"),
        ([0, 1], 3, "3 images, 2 labels"),
        ([0, 1], 0, "0 images, 2 labels"),
        ([], None, "holds no examples"),
    ],
)
def test_a_bad_dataset_is_refused(labels, examples, reason):
    with pytest.raises(DataError, match=f"^shapes train:? .*{reason}"):
        dataset(labels, examples)


def test_every_name_is_a_dataset(tmp_path):
    assert dataset_names() == ["cifar10", "digits", "image_folder", "csv", "tfrecord", "voc", "voc2012", "voc2007"]
    assert SPLITS == ("train", "validation", "test")
    (tmp_path / "empty").mkdir()
    for name in dataset_names()[2:-2]:  # The others are downloaded.
        with pytest.raises(DataError, match=str(tmp_path / "empty")):
            load_dataset(name, tmp_path / "empty")


@pytest.fixture
def digits():
    pytest.importorskip("sklearn", reason="needs scikit-learn (pip install scikit-learn)")
    return load_dataset("digits")


def test_a_part_of_the_training_split(digits):
    assert tuple(digits) == SPLITS
    some = load_dataset("digits", options=DataOptions(train_examples=100))
    assert some["train"].num_examples == 100 and abs(some["train"].counts - 10).max() <= 1
    whole = {image.tobytes(): label for image, label in zip(digits["train"].images, digits["train"].labels)}
    drawn = {image.tobytes(): label for image, label in zip(some["train"].images, some["train"].labels)}
    assert len(drawn) == 100 and drawn.items() <= whole.items()
    for split in ("validation", "test"):
        np.testing.assert_array_equal(some[split].images, digits[split].images)
    other = load_dataset("digits", options=DataOptions(train_examples=100, split_seed=1))
    assert {image.tobytes() for image in other["train"].images} != set(drawn)


@pytest.mark.parametrize("name", ["cifar10", "digits"])
@pytest.mark.parametrize(
    "options, reason",
    [
        ({"folds": 5}, "--folds=5: {} has splits of its own (train, validation, test)"),
        ({"test_share": 0.3}, "--test_share=0.3: {} has splits of its own (train, validation, test)"),
        ({"validation_share": 0.3}, "--validation_share=0.3: {} has a validation split"),
        ({"fold": 2}, "--fold=2 needs --folds"),
    ],
)
def test_fixed_splits_stay(tmp_path, name, options, reason):
    with pytest.raises(UsageError) as raised:
        load_dataset(name, tmp_path, DataOptions(**options))
    assert str(raised.value) == reason.format(name)


@pytest.mark.parametrize(
    "count, reason", [(9, "digits has 10 classes"), (1294, "digits has only 1293 to train on")]
)
def test_a_part_that_is_too_small_or_large(digits, count, reason):
    with pytest.raises(UsageError, match=f"^--train_examples={count}: {reason}"):
        load_dataset("digits", options=DataOptions(train_examples=count))


@pytest.mark.parametrize(
    "name, hint",
    [
        ("cifar-10", "did you mean cifar10?"),
        ("CIFAR10", "choose one of cifar10, digits, image_folder, csv, tfrecord, voc, voc2012, voc2007"),
        ("digit", "did you mean digits?"),
        ("image-folder", "did you mean image_folder?"),
        ("mnist", "--dataset=tfrecord reads the files that slim's download_and_convert_data.py makes of it"),
        ("", "choose one of cifar10, digits, image_folder, csv, tfrecord, voc, voc2012, voc2007"),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name, hint):
    with pytest.raises(UsageError) as raised:
        load_dataset(name)
    assert str(raised.value) == f"--dataset={name}: there is no such dataset; {hint}"


def test_datasets_need_no_tensorflow(run_python):
    modules = "cifar10 digits image_folder csv_manifest tfrecord file_dataset splits fingerprint".split()
    code = f"import sys, {', '.join(f'slimft.data.{name}' for name in modules)}; print('tensorflow' in sys.modules)"
    assert run_python(code).strip() == "False"


def test_fixed_splits_to_evaluate(digits):
    splits = load_for_evaluation("digits")
    assert tuple(splits) == SPLITS
    named = load_for_evaluation("digits", class_names=("ten", *"9876543210"))
    np.testing.assert_array_equal(named["test"].labels, 10 - splits["test"].labels)
    with pytest.raises(DataError, match="has classes that the run was not trained on: 8, 9; see its labels.txt"):
        load_for_evaluation("digits", class_names=tuple("01234567"))
    with pytest.raises(DataError, match="has classes that the run has twice: 0; see"):
        load_for_evaluation("digits", class_names=tuple("00123456789"))
    with pytest.raises(UsageError, match="^--group=x: digits has splits of its own"):
        load_dataset("digits", options=DataOptions(group="x"))
