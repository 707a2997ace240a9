"""All images of all splits are looked at before training: what is bad is named at once."""

import os
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from slimft.data import DataOptions, load_dataset
from slimft.data.image_checks import check_images
from slimft.data.images import read_image
from slimft.errors import DataError

RNG = np.random.default_rng(0)
KINDS = ["jpg", "png", "webp", "gif", "bmp", "tif", "ppm"]


def noise(path, side=60):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"compression": "tiff_lzw"} if path.suffix == ".tif" and path.stem[-1] in "02468" else {}
    Image.fromarray(RNG.integers(0, 256, (side, side, 3), np.uint8)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 5), ("val", 2), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                noise(tmp_path / split / name / f"{number}.jpg")
    return tmp_path


def load(folder):
    return load_dataset("image_folder", folder, DataOptions(cache="off"))


def test_good_images_are_none_of_its_business(folder):
    assert check_images(load(folder)) == ()
    assert check_images(load_dataset("digits")) == ()


def test_all_that_is_bad_in_any_split_is_named_at_once(folder):
    splits = load(folder)
    (folder / "test/cat/0.jpg").write_bytes(b"")
    (folder / "test/dog/1.jpg").unlink()
    (folder / "train/dog/3.jpg").write_text("no image")
    os.truncate(folder / "val/cat/1.jpg", 3000)
    with pytest.raises(DataError) as caught:
        check_images(splits)
    message = str(caught.value)
    assert message.startswith("4 images cannot be read: ") and "and 1 more; replace or remove them" in message
    assert f"{folder}/test/cat/0.jpg is empty" in message
    assert f"{folder}/test/dog/1.jpg cannot be read: No such file" in message and "\n" not in message


@pytest.mark.parametrize("side", [20, 90])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_off(tmp_path, kind, side):
    for number in range(12):
        noise(tmp_path / "ab"[number % 2] / f"{number}.{kind}", side)
    splits = load(tmp_path)
    assert check_images(splits) == ()
    for number in (2, 5):
        path = tmp_path / "ab"[number % 2] / f"{number}.{kind}"
        os.truncate(path, path.stat().st_size * 9 // 10)
        with pytest.raises(DataError):
            read_image(path)
    with pytest.raises(DataError, match="^2 images cannot be read: "):
        check_images(splits)


def test_too_many_pixels(folder):
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "test/cat/1.jpg").write_bytes(content + struct.pack(">I", 0) + b"IDAT")
    with pytest.raises(DataError, match="test/cat/1.jpg cannot be read: it has too many pixels"):
        check_images(load(folder))


def test_a_jpeg_with_something_after_its_end(folder):
    """Some cameras and programs append data; Pillow decodes it all the same."""
    path = folder / "test/cat/1.jpg"
    path.write_bytes(path.read_bytes() + b"more" * 3000)
    assert check_images(load(folder)) == ()


def test_records_are_looked_at_too(tmp_path):
    from slimft.compat import tf

    image = noise(tmp_path / "a.png").read_bytes()
    for split, images in (("train", [image] * 4), ("test", [image, image[:-40], b"no image", image])):
        with tf.io.TFRecordWriter(str(tmp_path / f"{split}.tfrecord"), tf.io.TFRecordOptions("GZIP")) as writer:
            for number, encoded in enumerate(images):
                values = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString())
    splits = load_dataset("tfrecord", tmp_path, DataOptions(cache="off"))
    with pytest.raises(DataError, match="^2 images cannot be read: .*tfrecord record 1 .*tfrecord record 2 is no"):
        check_images(splits)


def test_many_images_take_little_time(tmp_path):
    image = noise(tmp_path / "image.jpg", 300)
    for number in range(2000):
        path = tmp_path / "all" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(image, path)
    splits = load(tmp_path / "all")
    start = time.monotonic()
    check_images(splits)
    looked = time.monotonic() - start
    start = time.monotonic()
    for _ in range(100):
        read_image(image)
    assert looked < (time.monotonic() - start) * 20 / 2
