"""What a Dataset accepts, and finding one by name."""

import dataclasses

import numpy as np
import pytest

from slimft import DataError, UsageError
from slimft.data import SPLITS, Dataset, dataset_names, load_dataset


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


def test_every_name_is_a_dataset_with_three_splits(tmp_path):
    assert dataset_names() == ["cifar10", "digits"]
    assert SPLITS == ("train", "validation", "test")
    pytest.importorskip("sklearn", reason="needs scikit-learn (pip install scikit-learn)")
    assert tuple(load_dataset("digits")) == SPLITS


@pytest.mark.parametrize(
    "name, hint",
    [
        ("cifar-10", "did you mean cifar10?"),
        ("CIFAR10", "choose one of cifar10, digits"),
        ("digit", "did you mean digits?"),
        ("imagenet", "choose one of cifar10, digits"),
        ("", "choose one of cifar10, digits"),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name, hint):
    with pytest.raises(UsageError) as raised:
        load_dataset(name)
    assert str(raised.value) == f"--dataset={name}: there is no such dataset; {hint}"


def test_datasets_need_no_tensorflow(run_python):
    code = "import sys, slimft.data, slimft.data.cifar10, slimft.data.digits; print('tensorflow' in sys.modules)"
    assert run_python(code).strip() == "False"
