"""Parts and unions of splits: a sample of each class, groups that stay known, all splits as one."""

import numpy as np
import pytest
from PIL import Image

from slimft.data import load_dataset
from slimft.data.dataset import DataOptions
from slimft.data.loading import some_examples
from slimft.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("cat", 30), ("dog", 12)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number % 6}_{number}.png")
    return tmp_path / "images"


def names(data):
    return [data.describe(index) for index in range(data.num_examples)]


def test_a_sample_has_its_share_of_each_class(folder):
    train = load_dataset("image_folder", folder, DataOptions(test_share=0, validation_share=0.1))["train"]
    some = some_examples(train, 10, 0, "examples")
    assert (some.num_examples, some.drawn_from) == (10, train.num_examples)
    np.testing.assert_allclose(some.counts, train.counts * 10 / train.num_examples, atol=1)
    assert set(names(some)) < set(names(train)) and names(some) == sorted(names(some), key=names(train).index)
    assert names(some_examples(train, 10, 0, "examples")) == names(some)
    assert names(some_examples(train, 10, 1, "examples")) != names(some)
    # As many of what was drawn are all of it, of as many as before.
    assert some_examples(some, 10, 0, "examples") is some
    assert some_examples(train, None, 0, "examples") is some_examples(train, 999, 0, "examples") is train
    smaller = some_examples(some, 5, 0, "examples")
    assert smaller.drawn_from == train.num_examples and set(names(smaller)) < set(names(some))
    with pytest.raises(UsageError, match="^--test_examples=1: image_folder has 2 classes, and each needs one$"):
        some_examples(train, 1, 0, "test_examples")


def test_what_belongs_together_has_a_number(folder):
    assert load_dataset("image_folder", folder)["train"].groups is None
    splits = load_dataset("image_folder", folder, DataOptions(group=r"/(\d)_", test_share=0.3))
    seen = {}
    for data in splits.values():
        for name, group in zip(names(data), data.groups):
            assert seen.setdefault(name.rsplit("/", 1)[1][0], group) == group
    assert len(set(seen.values())) == len(seen) == 6
    train = splits["train"]
    part = train.select(np.array([3, 1]))
    np.testing.assert_array_equal(part.groups, train.groups[[3, 1]])
    assert load_dataset("image_folder", folder, DataOptions(group=""))["train"].groups is None


def test_splits_as_one(folder):
    splits = load_dataset("image_folder", folder)
    whole = splits["train"].joined([splits["validation"], splits["test"]])
    assert whole.split == "all" and names(whole) == [name for data in splits.values() for name in names(data)]
    np.testing.assert_array_equal(whole.labels, np.concatenate([data.labels for data in splits.values()]))
    last = whole.num_examples - 1
    expected = splits["test"].read(np.array([splits["test"].num_examples - 1]), (9, 9, 3))
    np.testing.assert_array_equal(whole.read(np.array([last]), (9, 9, 3)), expected)
    digits = load_dataset("digits")
    assert digits["test"].joined([digits["validation"]]).images.shape == (360 + 144, 8, 8, 3)
