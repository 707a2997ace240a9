"""scikit-learn's digits: the same images in a fixed split."""

import sys

import numpy as np
import pytest

from slimft import DataError
from slimft.data import load_dataset


@pytest.fixture(scope="module")
def original():
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn (pip install scikit-learn)")
    return datasets.load_digits()


@pytest.fixture(scope="module")
def splits(original):
    return load_dataset("digits")


def test_sizes_types_and_ranges(splits):
    assert {name: split.num_examples for name, split in splits.items()} == {
        "train": 1293,
        "validation": 144,
        "test": 360,
    }
    for name, split in splits.items():
        assert (split.name, split.split, split.image_size, split.flip) == ("digits", name, 32, False)
        assert split.max_shift == 1 / 16
        assert split.class_names == tuple("0123456789") and split.num_classes == 10
        assert split.images.shape == (split.num_examples, 8, 8, 3) and split.images.dtype == np.uint8
        assert split.labels.shape == (split.num_examples,) and split.labels.dtype == np.int32
        assert split.images.min() == 0 and split.images.max() == 255


def test_every_class_is_in_each_split(splits):
    for split in splits.values():
        counts = np.bincount(split.labels, minlength=10) / split.num_examples
        assert (0.05 < counts).all() and (counts < 0.15).all()


def test_the_splits_are_the_original_images_each_in_one_split(splits, original):
    # The original has no two equal images, so an image tells which example it is.
    number = {image.tobytes(): i for i, image in enumerate(original.images)}
    assert len(number) == 1797
    seen = []
    for split in splits.values():
        assert (split.images == split.images[..., :1]).all()
        for image, label in zip(split.images, split.labels):
            intensities = np.round(image[..., 0] / 255 * 16)
            seen.append(number[intensities.tobytes()])
            assert label == original.target[seen[-1]]
    assert sorted(seen) == list(range(1797))


def test_the_split_is_fixed(splits):
    again = load_dataset("digits", "a data_dir that is not used")
    for name, split in splits.items():
        np.testing.assert_array_equal(split.images, again[name].images)
        np.testing.assert_array_equal(split.labels, again[name].labels)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="--dataset=digits needs scikit-learn: pip install scikit-learn"):
        load_dataset("digits")
