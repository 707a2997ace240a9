"""CIFAR-10: both layouts, the splits, and a DataError that names the file for whatever is wrong."""

import io
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimft import DataError, download
from slimft.data import cifar10, load_dataset

TRAIN = [f"data_batch_{i}" for i in range(1, 6)]
BATCHES = [*TRAIN, "test_batch"]

shared_fixtures = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    def fail(*arguments):
        raise AssertionError("must not download")

    monkeypatch.setattr(download, "download_and_unpack", fail)


@pytest.fixture
def binary_files(batches, binary_batch):
    """File name to contents."""
    return {f"{name}.bin": binary_batch(*batch) for name, batch in batches.items()}


@pytest.fixture
def python_files(batches, batch_dictionary, pickle_like_python_2):
    return {name: pickle_like_python_2(batch_dictionary(*batch)) for name, batch in batches.items()}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def assert_holds(splits, batches):
    """That the splits are the batches, in order."""
    images = np.concatenate([batches[name][0] for name in TRAIN])
    labels = np.concatenate([batches[name][1] for name in TRAIN])
    expected = {
        "train": (images[:-7], labels[:-7]),
        "validation": (images[-7:], labels[-7:]),
        "test": batches["test_batch"],
    }
    assert list(splits) == list(expected)
    for split, (images, labels) in expected.items():
        dataset = splits[split]
        assert (dataset.name, dataset.split, dataset.image_size, dataset.flip) == ("cifar10", split, 32, True)
        assert dataset.max_shift == 1 / 8
        assert dataset.images.dtype == np.uint8 and dataset.labels.dtype == np.int32
        np.testing.assert_array_equal(dataset.images, images)
        np.testing.assert_array_equal(dataset.labels, labels)


def refusal(data_dir):
    """The message of the DataError that loading raises."""
    with pytest.raises(DataError) as raised:
        load_dataset("cifar10", data_dir)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin", "cifar-10-batches-py"])
def test_the_binary_layout(tmp_path, small_batches, batches, binary_files, below):
    write(tmp_path / below, binary_files)
    assert_holds(load_dataset("cifar10", str(tmp_path)), batches)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
def test_the_python_layout(tmp_path, small_batches, batches, batch_dictionary, pickle_batch, below):
    write(tmp_path / below, {name: pickle_batch(batch_dictionary(*batch)) for name, batch in batches.items()})
    assert_holds(load_dataset("cifar10", tmp_path), batches)


def test_labels_may_be_an_array(tmp_path, small_batches, batches, batch_dictionary, pickle_batch):
    arrays = {name: (images, np.array(labels)) for name, (images, labels) in batches.items()}
    write(tmp_path, {name: pickle_batch(batch_dictionary(*batch)) for name, batch in arrays.items()})
    assert_holds(load_dataset("cifar10", tmp_path), batches)


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_the_splits_of_the_full_size(tmp_path, layout, binary_batch, batch_dictionary, pickle_like_python_2):
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (10_000, 32, 32, 3), np.uint8), rng.integers(0, 10, 10_000).tolist()
    first = tmp_path / ("data_batch_1.bin" if layout == "binary" else "data_batch_1")
    if layout == "binary":
        first.write_bytes(binary_batch(images, labels))
    else:
        first.write_bytes(pickle_like_python_2(batch_dictionary(images, labels)))
    for name in BATCHES[1:]:
        os.link(first, tmp_path / (name + first.suffix))
    splits = cifar10.load(tmp_path)
    sizes = {split: dataset.images.shape for split, dataset in splits.items()}
    assert sizes == {
        "train": (45_000, 32, 32, 3),
        "validation": (5_000, 32, 32, 3),
        "test": (10_000, 32, 32, 3),
    }
    np.testing.assert_array_equal(splits["train"].images[40_000:], images[:5_000])
    np.testing.assert_array_equal(splits["validation"].images, images[5_000:])
    np.testing.assert_array_equal(splits["validation"].labels, labels[5_000:])
    np.testing.assert_array_equal(splits["test"].images, images)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: b"", "truncated: 0 of"),
        (lambda data: data + b"\0", "more than"),
        (lambda data: data[:-3073] + b"\xc8" + data[-3072:], "record 9 has label 200"),
        (lambda data: b"\x0a" + data[1:], "record 0 has label 10"),
    ],
    ids=["short", "half", "empty", "long", "label 200", "label 10"],
)
@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_4.bin", "test_batch.bin"])
def test_a_bad_binary_batch_is_named(tmp_path, small_batches, binary_files, name, damage, reason):
    write(tmp_path, {**binary_files, name: damage(binary_files[name])})
    message = refusal(tmp_path)
    assert str(tmp_path / name) in message and reason in message


@pytest.mark.parametrize("layout", ["binary", "python"])
@pytest.mark.parametrize("missing", BATCHES)
def test_a_missing_batch_is_named(tmp_path, small_batches, binary_files, python_files, layout, missing):
    files = binary_files if layout == "binary" else python_files
    missing = missing + ".bin" if layout == "binary" else missing
    write(tmp_path, {name: data for name, data in files.items() if name != missing})
    assert f"{tmp_path / missing} is missing" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["data_batch_3.bin", "data_batch_3"])
def test_a_batch_that_is_a_folder_is_named(tmp_path, small_batches, binary_files, python_files, name):
    write(tmp_path, binary_files if name.endswith(".bin") else python_files)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert str(tmp_path / name) in refusal(tmp_path)


def nested(depth):
    """A list that np.asarray would spread out to 10 ** depth numbers."""
    item = 0
    for _ in range(depth):
        item = [item] * 10
    return item


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({b"labels": [0] * 9 + [-1]}, "record 9 has label -1"),
        ({b"labels": [10] + [0] * 9}, "record 0 has label 10"),
        ({b"labels": [2**40] * 10}, f"label {2**40}"),
        ({b"labels": [2**70] * 10}, "wrong types"),
        ({b"labels": [0] * 9}, "(9,) labels"),
        ({b"labels": []}, "wrong types"),
        ({b"labels": nested(9)}, "wrong types"),
        ({b"labels": [b"0"] * 10}, "wrong types"),
        ({b"labels": [True] * 10}, "wrong types"),
        ({b"labels": [0.0] * 10}, "wrong types"),
        ({b"labels": None}, "wrong types"),
        ({b"labels": np.zeros((10, 1), np.int64)}, "wrong types"),
        ({b"labels": np.zeros(10)}, "not of integers"),
        ({b"data": np.zeros((10, 3072), np.int8)}, "wrong types"),
        ({b"data": np.zeros((10, 3072), np.float16)}, "not of integers"),
        ({b"data": np.zeros((10, 3071), np.uint8)}, "(10, 3071) pixels"),
        ({b"data": np.zeros((11, 3072), np.uint8)}, "(11, 3072) pixels"),
        ({b"data": np.zeros(30720, np.uint8)}, "wrong types"),
        ({b"data": nested(9)}, "wrong types"),
    ],
)
def test_a_python_batch_with_wrong_values_is_named(
    tmp_path, small_batches, python_files, batches, batch_dictionary, changes, reason
):
    batch = {**batch_dictionary(*batches["data_batch_2"]), **changes}
    write(tmp_path, {**python_files, "data_batch_2": pickle.dumps(batch, 4)})
    message = refusal(tmp_path)
    assert str(tmp_path / "data_batch_2") in message and reason in message


@pytest.mark.parametrize("key", [b"data", b"labels"])
def test_a_python_batch_without_a_key_is_named(
    tmp_path, small_batches, python_files, batches, batch_dictionary, key
):
    batch = batch_dictionary(*batches["test_batch"])
    del batch[key]
    write(tmp_path, {**python_files, "test_batch": pickle.dumps(batch, 2)})
    message = refusal(tmp_path)
    assert str(tmp_path / "test_batch") in message and f"lacks '{key.decode()}'" in message


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 20, 100, 200, 0.5, 0.9, 0.999])
def test_a_truncated_python_batch_is_named(tmp_path, small_batches, python_files, kept):
    data = python_files["data_batch_5"]
    kept = kept if isinstance(kept, int) else int(kept * len(data))
    write(tmp_path, {**python_files, "data_batch_5": data[:kept]})
    assert str(tmp_path / "data_batch_5") in refusal(tmp_path)


def test_a_python_batch_far_too_large_is_not_read(tmp_path, small_batches, python_files):
    write(tmp_path, python_files)
    with open(tmp_path / "data_batch_1", "r+b") as stream:
        stream.truncate(1 << 40)
    assert "more than" in refusal(tmp_path)


@shared_fixtures
@given(junk=st.binary(max_size=300), layout=st.sampled_from(["binary", "python"]))
def test_random_bytes_are_refused(tmp_path, small_batches, junk, layout):
    name = "data_batch_1.bin" if layout == "binary" else "data_batch_1"
    write(tmp_path / layout, {name: junk})
    assert str(tmp_path / layout / name) in refusal(tmp_path / layout)


@shared_fixtures
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_pickle_is_read_or_refused(tmp_path, small_batches, python_files, at, byte):
    data = bytearray(python_files["data_batch_1"])
    # Most of the file is pixels; what matters is around them.
    at = at % len(data) if at % 2 else (at // 2 % 500) - 250
    data[at] = byte
    write(tmp_path, {**python_files, "data_batch_1": data})
    try:
        assert len(cifar10.load(tmp_path)["train"].labels) == 43
    except DataError as error:
        assert str(tmp_path / "data_batch_1") in str(error)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, small_batches, python_files):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch '{tmp_path / 'proof'}'",)

    for batch in (Evil(), {b"data": Evil(), b"labels": [0]}):
        for protocol in range(6):
            write(tmp_path, {**python_files, "data_batch_1": pickle.dumps(batch, protocol)})
            assert str(tmp_path / "data_batch_1") in refusal(tmp_path)
    assert not (tmp_path / "proof").exists()


def test_a_data_dir_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    assert f"--data_dir={tmp_path / 'file'} holds no CIFAR-10" in refusal(tmp_path / "file")


@pytest.mark.parametrize("name", ["notes.txt", "data_batch_7.bin", "cifar-10-batches-bin/readme.html"])
def test_a_data_dir_with_unrelated_files(tmp_path, name):
    write(tmp_path / pathlib.PurePath(name).parent, {})
    (tmp_path / name).write_text("x")
    assert f"--data_dir={tmp_path} holds no CIFAR-10" in refusal(tmp_path)


@pytest.mark.parametrize("method", ["is_file", "iterdir"])
def test_a_data_dir_that_may_not_be_read(tmp_path, monkeypatch, method):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, method, refuse)
    assert refusal(tmp_path) == f"--data_dir={tmp_path}: Permission denied"


def test_a_data_dir_whose_name_is_too_long(tmp_path):
    assert "--data_dir=" in refusal(tmp_path / ("x" * 300))


@pytest.mark.real
def test_the_real_images(shared, tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason="needs Pillow (pip install pillow)")
    subprocess.run([sys.executable, shared / "scripts" / "unpack_cifar10", tmp_path], check=True)
    splits = cifar10.load(tmp_path)
    counts = {split: np.bincount(dataset.labels).tolist() for split, dataset in splits.items()}
    assert counts["test"] == [1000] * 10
    assert np.add(counts["train"], counts["validation"]).tolist() == [5000] * 10
    assert sum(counts["validation"]) == 5000
    with np.load(shared / "data" / "cifar10_jpeg.npz") as archive:
        for split, key, start in [("train", "train", 0), ("validation", "train", 45_000), ("test", "test", 0)]:
            data, offsets = archive[f"{key}_bytes"], archive[f"{key}_offsets"]
            for i in range(3):
                jpeg = data[offsets[start + i] : offsets[start + i + 1]].tobytes()
                image = np.asarray(image_module.open(io.BytesIO(jpeg)).convert("RGB"))
                np.testing.assert_array_equal(splits[split].images[i], image)
