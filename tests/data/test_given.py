"""Images that a program hands over: what they become, and what is refused."""

import csv
import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from slimft.data import DataOptions, load_dataset
from slimft.data.given import image_sources, write_manifest
from slimft.errors import UsageError

RANDOM = np.random.default_rng(0)


def images(number=6, *shape):
    return RANDOM.integers(0, 256, (number, *(shape or (5, 7, 3))), np.uint8)


def rows_of(file):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@settings(max_examples=30)
@given(st.data())
def test_arrays_come_back_as_they_are(data):
    shape = data.draw(st.sampled_from([(3,), (1,), (4,), ()])).__add__(())
    size = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    pixels = data.draw(arrays(np.uint8, (*size, *shape)))
    [source] = image_sources([pixels])
    back = np.asarray(Image.open(io.BytesIO(source.open())))
    np.testing.assert_array_equal(back, pixels[..., 0] if shape == (1,) else pixels)


def test_the_file_of_an_array_is_the_same_bytes_everywhere():
    """A run knows by them what it trained on; Pillow's own depend on its version."""
    pixels = (np.arange(300 * 260 * 3) % 251).astype(np.uint8).reshape(300, 260, 3)  # Several blocks.
    [source] = image_sources([pixels])
    found = hashlib.sha256(source.open()).hexdigest()
    assert found == "3d859d55667f218e0a8ccac934f0ac2a6ae326f04b292d46a75f16db42f3960b"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(source.open()))), pixels)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float16, np.uint16])
def test_other_types_of_whole_numbers_are_the_same(dtype):
    pixels = images()
    for one, other in zip(image_sources(pixels.astype(dtype)), image_sources(pixels)):
        assert one.open() == other.open()


@pytest.mark.parametrize(
    "given, said",
    [
        (images().astype(np.float32) / 255, "no whole numbers in 0..255; multiply by 255 and round"),
        ((images() > 99).astype(np.float32), "of which the largest is 1; multiply by 255"),
        (images() - 128.0, "values from -"),
        (np.full([2, 4, 4, 3], np.nan), "nan"),
        (images(6, 3, 8, 8), "its channels come first: transpose it"),
        (images(6, 8, 8, 2), r"the shape \[8, 8, 2\]"),
        (np.zeros([5], np.uint8), r"the shape \[5\]"),
        ("photos", "a list of paths, not str"),
        ([1, 2], "image 0 is neither an array nor a path, but a int"),
        (np.zeros([2, 4, 4, 3], complex), "values of complex128"),
    ],
)
def test_what_is_no_image(given, said):
    with pytest.raises(UsageError, match=said):
        image_sources(given)


def test_a_manifest_of_arrays_is_read_as_they_are(tmp_path):
    pixels, labels = images(40, 8, 8, 3), np.arange(40) % 4
    manifest = write_manifest({"train": (pixels[:32], labels[:32]), "test": (pixels[32:], labels[32:])}, tmp_path)
    splits = load_dataset("csv", manifest, DataOptions())
    test = splits["test"]
    np.testing.assert_array_equal(test.read(np.arange(8), (8, 8, 3)), pixels[32:])
    assert test.labels.tolist() == labels[32:].tolist() and test.class_names == ("0", "1", "2", "3")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()}
    write_manifest({"train": (pixels[:32], labels[:32]), "test": (pixels[32:], labels[32:])}, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()} == written


def test_paths_are_absolute_and_labels_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [one, two] = rows_of(write_manifest((["a.png", tmp_path / "b.png"], ["cat", "dog, brown"]), tmp_path / "data"))
    assert (one["path"], one["label"]) == (str(tmp_path / "a.png"), "cat")
    assert (two["path"], two["label"]) == (str(tmp_path / "b.png"), "dog, brown")
    assert not (tmp_path / "data" / "images").exists()


def test_data_frames(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"Image": ["a.png", "b.png"], "class": [3, 1], "patient": ["x", "y"], "group": [1.0, None], "age": [5, 6]}
    )
    rows = rows_of(write_manifest(frame, tmp_path))
    assert [(row["label"], row["group"]) for row in rows] == [("3", "1"), ("1", "")] and len(rows[0]) == 4
    assert [row["split_key"] for row in rows] == ["a.png", "b.png"]
    missing = frame.assign(group=pandas.array(["x", pandas.NA], dtype="string"), age=np.inf)
    assert [row["group"] for row in rows_of(write_manifest(missing, tmp_path))] == ["x", ""]
    endless = frame.assign(group=[np.inf, 2.5])
    assert [row["group"] for row in rows_of(write_manifest(endless, tmp_path))] == ["inf", "2.5"]
    named = frame.assign(Split_Key=["one", "two"], path=["c.png", "d.png"])
    assert [row["split_key"] for row in rows_of(write_manifest(named, tmp_path))] == ["one", "two"]
    with pytest.raises(UsageError, match="no column label, only image, patient"):
        write_manifest(frame.drop(columns="class"), tmp_path)


@pytest.mark.parametrize(
    "given, said",
    [
        ((images(), [1, 2]), "6 images and 2 labels"),
        ((images(3), np.eye(3)), "one-hot rows, give labels.argmax"),
        ({"training": (images(), range(6))}, "'training' is no split; they are train, validation, test"),
        (images(), r"data is \(images, labels\)"),
        (([], []), "there are no images"),
    ],
)
def test_what_is_no_data(given, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        write_manifest(given, tmp_path)


def test_labels_in_a_column_of_their_own_as_keras_has_them(tmp_path):
    rows = rows_of(write_manifest((images(3), np.array([[2], [0], [1]])), tmp_path))
    assert [row["label"] for row in rows] == ["2", "0", "1"]
