"""TFRecords: files that TensorFlow writes are read as TensorFlow reads them; damage is named by file and record."""

import io
import pathlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft.compat import tf
from slimft.data import DataOptions, image_files, load_dataset, load_for_evaluation, tfrecord
from slimft.data.digest import file_digest
from slimft.data.fingerprint import duplicates
from slimft.errors import DataError, UsageError
from slimft.wire.binary_file import Malformed

RNG = np.random.default_rng(0)
TENSORFLOWS = ("flowers_train-00000-of-00002.tfrecord", "flowers_train-00001-of-00002.tfrecord")


def encoded(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def features(image, label, image_format=b"png"):
    """The features that research/slim's image_to_tfexample gives, with TensorFlow's own classes."""

    def numbers(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def octets(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    return {
        "image/encoded": octets(image),
        "image/format": octets(image_format),
        "image/class/label": numbers(label),
        "image/height": numbers(5),
        "image/width": numbers(7),
    }


def serialized(feature):
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def flowers(tmp_path):
    """A folder as slim's download_and_convert_data leaves it: 2 files to train and one to validate; the pixels."""
    pixels = {
        name: RNG.integers(0, 256, (6, 9, 9, 3), np.uint8)
        for name in (*TENSORFLOWS, "flowers_validation-00000-of-00001.tfrecord")
    }
    for name, images in pixels.items():
        write(tmp_path / name, [serialized(features(encoded(image), i % 3)) for i, image in enumerate(images)])
    (tmp_path / "labels.txt").write_text("0:daisy\n1:rose\n2:tulip\n")
    (tmp_path / "notes.txt").write_text("not a record")
    return tmp_path, pixels


def load(folder, **options):
    return load_dataset("tfrecord", folder, DataOptions(cache="off", **options))


def test_a_folder_of_slims(flowers):
    folder, pixels = flowers
    splits = load(folder)
    assert list(splits) == ["train", "validation"]
    train, validation = splits["train"], splits["validation"]
    assert train.class_names == ("daisy", "rose", "tulip") and train.image_size is None and train.flip
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2] * 2 and validation.labels.tolist() == [0, 1, 2] * 2
    expected = np.concatenate([pixels[name] for name in TENSORFLOWS])
    np.testing.assert_array_equal(train.read(np.arange(12), train.image_shape(9)), expected)
    np.testing.assert_array_equal(validation.read([5], (9, 9, 3)), [[*pixels.values()][2][5]])
    assert train.describe(7) == f"{folder}/flowers_train-00001-of-00002.tfrecord record 1"


def test_records_are_those_that_tensorflow_reads(flowers):
    folder, _ = flowers
    for name in TENSORFLOWS:
        expected = list(tf.io.tf_record_iterator(str(folder / name)))
        content = (folder / name).read_bytes()
        actual = [
            (bytes(record), content[offset : offset + len(record)])
            for offset, record in tfrecord.read_records(io.BytesIO(content), len(content))
        ]
        assert actual == [(record, record) for record in expected]


@settings(deadline=None, max_examples=40)
@given(records=st.lists(st.binary(max_size=200), max_size=6))
def test_any_records(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "a.tfrecord"
    write(path, records)
    stream = io.BytesIO(path.read_bytes())
    found = [bytes(record) for _, record in tfrecord.read_records(stream, path.stat().st_size)]
    assert found == records


@settings(deadline=None)
@given(
    image=st.binary(min_size=1, max_size=300),
    label=st.integers(-(2**63), 2**63 - 1),
    others=st.dictionaries(st.text(max_size=5), st.lists(st.floats(width=32)), max_size=3),
)
def test_any_example(image, label, others):
    feature = features(image, label)
    feature.update({name: tf.train.Feature(float_list=tf.train.FloatList(value=v)) for name, v in others.items()})
    found = tfrecord.parse_example(memoryview(serialized(feature)))
    assert (bytes(found.encoded), found.format, found.label, found.text) == (image, b"png", label, None)


def test_numbers_that_are_not_packed():
    """As proto2 writes them: field 1 of the Int64List as a varint by itself."""

    def sized(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    def entry(key, feature):
        return sized(1, sized(1, key) + sized(2, feature))

    image, seven = sized(1, sized(1, b"abc")), sized(3, bytes([8, 7]))
    message = sized(1, entry(b"image/encoded", image) + entry(b"image/class/label", seven))
    assert tf.train.Example.FromString(message).features.feature["image/class/label"].int64_list.value == [7]
    found = tfrecord.parse_example(memoryview(message))
    assert (bytes(found.encoded), found.format, found.label) == (b"abc", b"", 7)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=120), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
def test_any_damage_to_an_example_is_an_error_or_an_example(start, changes):
    content = bytearray(serialized(features(b"pixels", 3)))
    for place, value in changes:
        content[place % len(content)] = value
    for message in (bytes(content), start):
        try:
            image, kind, label, _ = tfrecord.parse_example(memoryview(message))
        except Malformed as error:
            assert "\n" not in str(error)
        else:
            assert isinstance(label, (int, str)) and isinstance(kind, bytes) and len(image) <= len(message)


@pytest.mark.parametrize("name", ["train-00000-of-00001", "mnist_train.tfrecord", "a-b_c_train.tfrecords"])
def test_other_names_of_files_and_no_names_of_classes(tmp_path, name):
    image = encoded(RNG.integers(0, 256, (4, 4, 3), np.uint8))
    write(tmp_path / name, [serialized(features(image, label)) for label in (0, 2) * 10])
    splits = load(tmp_path)
    assert splits["train"].class_names == ("0", "1", "2")
    assert {split: data.num_examples for split, data in splits.items()}.keys() == {"train", "validation", "test"}
    assert sum(data.num_examples for data in splits.values()) == 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_whatever_pillow_reads(tmp_path, kind):
    flat = np.full((8, 8, 3), (200, 40, 90), np.uint8)
    write(tmp_path / "a_train.tfrecord", [serialized(features(encoded(flat, kind), i % 2)) for i in range(8)])
    train = load(tmp_path)["train"]
    np.testing.assert_allclose(train.read([0], (8, 8, 3)), [flat], atol=6)


def one_bad(tmp_path, feature, labels=None):
    good = features(encoded(np.zeros((4, 4, 3), np.uint8)), 1)
    write(tmp_path / "a_train.tfrecord", [serialized(good), serialized(feature)])
    if labels:
        (tmp_path / "labels.txt").write_text(labels)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/a_train.tfrecord record 1: ") and "\n" not in message
    return message


def test_records_that_are_no_labelled_images(tmp_path):
    def without(name):
        return {key: value for key, value in features(b"x", 0).items() if key != name}

    two = tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2]))
    assert "has no image/encoded" in one_bad(tmp_path, without("image/encoded"))
    assert "has no image/class/label" in one_bad(tmp_path, without("image/class/label"))
    assert "has 2 image/class/label" in one_bad(tmp_path, {**features(b"x", 0), "image/class/label": two})
    assert "raw format" in one_bad(tmp_path, features(b"x", 0, b"RAW"))
    assert "image/encoded is empty" in one_bad(tmp_path, features(b"", 0))
    assert "label is -1, which is not in 0.." in one_bad(tmp_path, features(b"x", -1))
    assert "label is 1000000000000, which" in one_bad(tmp_path, features(b"x", 10**12))
    assert "label is 3, which is not in 0..2" in one_bad(tmp_path, features(b"x", 3), "0:a\n1:b\n2:c\n")


def test_a_corrupt_image_names_its_record(tmp_path):
    image = encoded(RNG.integers(0, 256, (20, 20, 3), np.uint8))
    records = [serialized(features(part, i % 2)) for i, part in enumerate([image, image[:-300], image, image] * 3)]
    write(tmp_path / "a_train.tfrecord", records)
    write(tmp_path / "a_test.tfrecord", records[:1])
    data = load(tmp_path)["train"]
    with pytest.raises(DataError, match=r"a_train.tfrecord record (1|5|9) cannot be read: "):
        data.read(np.arange(data.num_examples), (8, 8, 3))


def test_a_file_that_changes_after_it_was_indexed(flowers):
    folder, _ = flowers
    train = load(folder)["train"]
    path = folder / TENSORFLOWS[0]
    content = bytearray(path.read_bytes())
    content[40] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="-of-00002.tfrecord record 0: its checksum is wrong; the file has changed"):
        train.read([0], (9, 9, 3))
    path.write_bytes(content[:-3])
    with pytest.raises(DataError, match="record 5: it is cut off; the file has changed"):
        train.read([5], (9, 9, 3))
    path.unlink()
    with pytest.raises(DataError, match="record 3 cannot be read: No such file"):
        train.read([3], (9, 9, 3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write(folder / "a_train.tfrecord", [serialized(features(b"image %d" % i, i % 2)) for i in range(4)])
    return folder / "a_train.tfrecord", (folder / "a_train.tfrecord").read_bytes()


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_every_flipped_bit_and_every_cut_is_found(whole, data):
    path, content = whole
    damaged = bytearray(content)
    if data.draw(st.booleans()):
        damaged[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        size = len(content) // 4
        del damaged[data.draw(st.integers(1, len(content) - 1).filter(lambda cut: cut % size)) :]
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"^\S*a_train.tfrecord record [0-3]: [^\n]*$"):
        tfrecord.Records([path])


def test_a_length_that_nobody_should_believe(tmp_path):
    from slimft.wire.checksum import crc32c, masked

    for length, reason in ((2**62, "more than"), (10**6, "cut off")):
        head = struct.pack("<Q", length)
        (tmp_path / "a_train.tfrecord").write_bytes(head + struct.pack("<I", masked(crc32c(head))) + b"x" * 50)
        with pytest.raises(DataError, match=f"a_train.tfrecord record 0: it .*{reason}"):
            load(tmp_path)


def test_folders_that_will_not_do(tmp_path):
    def wrong(*names, remove=True):
        for name in names:
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        for name in names:
            (tmp_path / name).unlink()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "has no TFRecords, by what is in its files; expected" in wrong("train.txt", "train")
    assert "holds no examples" in wrong("a_other.tfrecord")
    assert "lacks 2 of the 3 files of a_train, such as the one of number 00000" in wrong("a_train-00001-of-00003")
    assert "TFRecords of 2 datasets, a, b;" in wrong("a_train.tfrecord", "b_test.tfrecord")
    assert "same split in several" in wrong("a_train.tfrecord", "a_train-00000-of-00001.tfrecord")
    assert "holds no examples" in wrong("a_train.tfrecord")
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="needs --data_dir=FOLDER"):
        load_dataset("tfrecord")


def test_the_index_of_many_records_is_small(tmp_path):
    record = serialized(features(b"x", 1))
    write(tmp_path / "a_train.tfrecord", [record] * 3000)
    records = tfrecord.Records([pathlib.Path(tmp_path / "a_train.tfrecord")])
    arrays = [value for value in vars(records).values() if isinstance(value, np.ndarray)]
    assert len(records) == 3000 and sum(array.nbytes for array in arrays) < 33 * 3000
    assert records[2999].name.endswith("record 2999") and bytes(records[2999].open()) == b"x"
    assert len({record.key for record in records}) == 3000


def test_records_that_are_added_moved_or_relabelled_decode_only_what_is_new(tmp_path, monkeypatch):
    decoded, read = [], image_files.read_source
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def noted(source, side, **options):
        decoded.append(source.name)
        return read(source, side, **options)

    monkeypatch.setattr(image_files, "read_source", noted)
    images = [encoded(RNG.integers(0, 256, (5, 5, 3), np.uint8)) for _ in range(24)]

    def prepared(folder, images, shift=0):
        folder.mkdir(exist_ok=True)
        examples = [serialized(features(image, (i + shift) % 2)) for i, image in enumerate(images)]
        write(folder / "a_train.tfrecord", examples)
        train = load_dataset("tfrecord", folder, DataOptions(cache="on", test_share=0))["train"]
        everything = train.images._all
        decoded.clear()
        whole = image_files.ImageFiles(everything, "on")
        whole.prepare(5, several_passes=True)
        expected = [np.asarray(Image.open(io.BytesIO(source.open()))) for source in everything]
        np.testing.assert_array_equal(whole.read(range(len(everything)), 5), expected)
        return len(decoded)

    assert prepared(tmp_path / "one", images[:20]) == 20
    assert prepared(tmp_path / "one", images[:20], shift=1) == 0
    assert prepared(tmp_path / "two", images[5:20]) == 0
    assert prepared(tmp_path / "two", [images[22], *images[:10], images[23], *images[10:20]]) == 2


def test_a_record_that_has_another_image_by_now(tmp_path):
    images = [encoded(np.full((5, 5, 3), value, np.uint8)) for value in (7, 8)]
    assert len(images[0]) == len(images[1])
    path = tmp_path / "a_train.tfrecord"
    write(path, [serialized(features(images[0], 0)), serialized(features(images[0], 1))])
    found = tfrecord.Records([path])
    write(path, [serialized(features(images[0], 0)), serialized(features(images[1], 1))])
    assert found[0].open() == images[0]
    with pytest.raises(DataError, match="a_train.tfrecord record 1: it has another image; the file has changed"):
        found[1].open()


def records(count, classes=2):
    return [
        serialized(features(encoded(RNG.integers(0, 256, (5, 5, 3), np.uint8)), i % classes)) for i in range(count)
    ]


@pytest.mark.parametrize(
    "train, validation, test",
    [
        ("training.tfrecord", "dev.tfrecord", "Testing.TFRECORD"),
        ("train-cells.tfrecord", "val-cells.tfrecord", "cells_test.tfrecord"),
        ("cells-train-00000-of-00001.tfrecord", "cells_eval-00000-of-00001", "test_cells.tfrecords"),
        ("test_cells_train.tfrecord", "test_cells_validation.tfrecord", "test_cells_test.tfrecord"),
    ],
)
def test_how_splits_are_called(tmp_path, train, validation, test):
    for name, count in ((train, 6), (validation, 4), (test, 2)):
        write(tmp_path / name, records(count))
    assert {split: data.num_examples for split, data in load(tmp_path).items()} == {
        "train": 6,
        "validation": 4,
        "test": 2,
    }


def test_what_is_passed_over_is_told(flowers):
    folder, _ = flowers
    write(folder / "flowers_more.tfrecord", records(2))
    assert load(folder)["train"].notes == (
        "passed over: 1 file that is no TFRecord (notes.txt), "
        "1 TFRecord that names no split (flowers_more.tfrecord)",
    )


def test_a_record_more_moves_no_other(tmp_path):
    made = records(300)
    write(tmp_path / "a_train.tfrecord", made)
    before = load(tmp_path)
    write(tmp_path / "a_train.tfrecord", records(7) + made[::-1])
    after = load(tmp_path)
    for split, data in before.items():
        assert set(data.keys()) <= set(after[split].keys())
    with pytest.raises(UsageError, match="^--group=x: TFRecords have no paths"):
        load(tmp_path, group="x")


def test_keys_and_digests_are_those_of_the_images(tmp_path):
    image = encoded(RNG.integers(0, 256, (5, 5, 3), np.uint8))
    (tmp_path / "a.png").write_bytes(image)
    others = records(20)
    write(tmp_path / "a_train.tfrecord", [serialized(features(image, 0))] * 3 + others)
    splits = load(tmp_path)
    content = file_digest(tmp_path / "a.png")
    keys = sum((data.keys() for data in splits.values()), [])
    assert len(set(keys)) == 23 and {content, f"{content}-1", f"{content}-2"} <= set(keys)
    assert sum((data.digests() for data in splits.values()), []).count(content) == 3
    assert duplicates(splits).startswith("of the images, ")


def test_data_to_evaluate(flowers):
    folder, _ = flowers
    classes = ("tulip", "oak", "daisy", "rose")

    def evaluated(classes):
        splits = load_for_evaluation("tfrecord", folder, DataOptions(cache="off"), classes)
        return {split: data.counts.tolist() for split, data in splits.items()}

    assert evaluated(classes) == {"train": [4, 0, 4, 4], "validation": [2, 0, 2, 2]}
    for name in TENSORFLOWS:
        (folder / name).unlink()
    assert evaluated(classes) == {"validation": [2, 0, 2, 2]}
    with pytest.raises(DataError, match="has classes that the run was not trained on: daisy; see its labels.txt"):
        evaluated(("tulip", "rose"))
    (folder / "labels.txt").unlink()
    assert evaluated(classes) == {"validation": [2, 2, 2, 0]}
    with pytest.raises(DataError, match="has the label 2, which the run was not trained on: .* the classes 0 to 1"):
        evaluated(("tulip", "rose"))
