"""TFRecords as other programs call, compress and fill them: TensorFlow writes the files."""

import io
import os
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft.compat import tf
from slimft.data import DataOptions, deflate, load_dataset, load_for_evaluation
from slimft.data.tfrecord_files import find_files
from slimft.errors import DataError, UsageError

RNG = np.random.default_rng(0)
SIDE = 6
PIXELS = RNG.integers(0, 256, (60, SIDE, SIDE, 3), np.uint8)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def feature(value):
    if isinstance(value, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def example(**features):
    told = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=told)).SerializeToString()


def slims(indices, offset=0, classes=3, **more):
    return [
        example(image__encoded=png(PIXELS[i]), image__class__label=i % classes + offset, **more) for i in indices
    ]


def write(path, records, compression=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions(compression) if compression else None
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)
    return path


def load(folder, **options):
    return load_dataset("tfrecord", folder, DataOptions(cache="off", **options))


def sizes(splits):
    return {split: data.num_examples for split, data in splits.items()}


def refusal(folder, kind=DataError, **options):
    with pytest.raises(kind) as caught:
        load(folder, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    return str(caught.value)


@pytest.mark.parametrize(
    "train, validation",
    [
        # research/slim's download_and_convert_flowers.py, and the tutorials that copy it.
        (
            ["flowers_train_00000-of-00002.tfrecord", "flowers_train_00001-of-00002.tfrecord"],
            ["flowers_validation_00000-of-00001.tfrecord"],
        ),
        (["train.record-00000-of-00002", "train.record-00001-of-00002"], ["val.record-00000-of-00001"]),
        (["cats-train.tfrecord-00000-of-00001"], ["cats-validation.tfrecord-00000-of-00001"]),  # TFDS.
        (["train-00000-of-00001"], ["validation-00000-of-00001"]),  # ImageNet's.
        (["train.tfrecords"], ["valid.tfrecords"]),
        (["train_1.tfrec", "train_2.tfrec"], ["val_1.tfrec"]),
        (["train00.record", "train01.record"], ["dev00.record"]),
        (["train/00-224x224-30.tfrec", "train/01-224x224-30.tfrec"], ["val/00-224x224-20.tfrec"]),  # Kaggle's.
        (["train/a/x", "train/b/x"], ["validation/x.bin"]),
        (["cells.train.1.tfr"], ["cells.eval.1.tfr"]),
        (["my_train_data.tfrecord.gz"], ["my_val_data.tfrecord.gz"]),
        (["train-00001-of-00002.tfrecord", "train-00002-of-00002.tfrecord"], ["val.tfrecord"]),
    ],
)
def test_names_with_splits(tmp_path, train, validation):
    for names, indices in ((train, range(40)), (validation, range(40, 60))):
        for number, name in enumerate(names):
            packed = "GZIP" if name.endswith("gz") else None
            write(tmp_path / name, slims([i for i in indices if i % len(names) == number]), packed)
    (tmp_path / "README").write_text("flowers")
    splits = load(tmp_path)
    assert sizes(splits) == {"train": 40, "validation": 20}
    assert splits["train"].notes == ("passed over: 1 file that is no TFRecord (README)",)


@pytest.mark.parametrize("names", [["data.tfrecord"], ["cats.tfrec", "dogs.tfrec"], ["a/1", "b/1"], ["x-0-of-1.z"]])
def test_names_without_splits_are_data_without_splits(tmp_path, names):
    for number, name in enumerate(names):
        write(tmp_path / name, slims(range(number, 60, len(names))))
    splits = load(tmp_path)
    assert list(splits) == ["train", "validation", "test"] and sum(sizes(splits).values()) == 60
    assert sizes(load_for_evaluation("tfrecord", tmp_path)) == {"all": 60}


def test_a_single_file(tmp_path):
    file = write(tmp_path / "everything.dat", slims(range(60)), "ZLIB")
    (tmp_path / "labels.txt").write_text("0:ant\n1:bee\n2:cat\n")
    write(tmp_path / "train.tfrecord", slims(range(5)))
    splits = load(file)
    assert sum(sizes(splits).values()) == 60 and splits["train"].class_names == ("ant", "bee", "cat")
    test = write(tmp_path / "x_test.tfrecord", slims(range(7)))
    assert sizes(load_for_evaluation("tfrecord", test)) == {"test": 7}


def test_sets_of_files_that_contradict(tmp_path):
    def told(*names):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name in names:
            write(folder / name, slims(range(3)))
        return refusal(folder)

    assert "same split in several sets of files" in told("train.tfrecord", "train.tfrecord.gz", "val.tfrecord")
    assert "same split in several sets of files" in told("1.0.0/a-train.tfrec", "1.0.1/a-train.tfrec")
    assert "has TFRecords of 2 datasets, cifar10, mnist" in told("cifar10_train.tfrec", "mnist_val.tfrec")
    assert "lacks 99998 of the 99999 files of train, such as the one of number" in told("train-00003-of-99999")
    assert "lacks 999999998 of the 999999999 files" in told("train-000000003-of-999999999")


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
@pytest.mark.parametrize("most_places", [1, 3, 1024])
def test_compressed_records_at_any_place(tmp_path, compression, most_places, monkeypatch):
    from slimft.data import tfrecord

    monkeypatch.setattr(tfrecord, "_MOST_PLACES", 2 * most_places)
    monkeypatch.setattr(deflate, "_SPACING", 700)
    for name, indices in (("train.tfrecord", range(40)), ("val.tfrecord", range(40, 60))):
        write(tmp_path / name, slims(indices), compression)
    splits = load(tmp_path)
    for split, start in (("train", 0), ("validation", 40)):
        order = RNG.permutation(splits[split].num_examples)
        for indices in (order, np.sort(order), order[:1]):
            read = splits[split].read(indices, (SIDE, SIDE, 3))
            np.testing.assert_array_equal(read, PIXELS[start + indices])


def test_what_was_compressed_in_parts(tmp_path):
    one, other = (
        write(tmp_path / name, slims(part), "GZIP") for name, part in (("1", range(30)), ("2", range(30, 60)))
    )
    joined = tmp_path / "joined" / "all.tfrecord"
    joined.parent.mkdir()
    joined.write_bytes(one.read_bytes() + other.read_bytes() + b"\0" * 512)
    data = load_for_evaluation("tfrecord", joined.parent)["all"]
    np.testing.assert_array_equal(data.read(np.arange(60), (SIDE, SIDE, 3)), PIXELS)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), compression=st.sampled_from(["GZIP", "ZLIB"]))
def test_damage_to_a_compressed_file_is_one_line(tmp_path_factory, data, compression):
    path = write(tmp_path_factory.mktemp("damage") / "train.tfrecord", slims(range(9)), compression)
    content = bytearray(path.read_bytes())
    # Of the last byte before the checksum, some bits say nothing.
    if data.draw(st.booleans()):
        content[data.draw(st.integers(12, len(content) - 10))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(20, len(content) - 1)) :]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^\S*train.tfrecord record [0-9]: [^\n]*$"):
        load(path)


def test_a_file_that_unpacks_to_absurdly_much(tmp_path, monkeypatch):
    monkeypatch.setattr(deflate, "ALLOWANCE", 1 << 16)
    flat = b"\x89PNG" + b"\0" * 2_000_000
    write(tmp_path / "train.tfrecord", [example(image__encoded=flat, image__class__label=0)] * 3, "GZIP")
    assert "record 0: it unpacks to more than 200 times its size; if it is yours, unpack it" in refusal(tmp_path)


def test_labels_counted_from_one(tmp_path):
    write(tmp_path / "train.tfrecord", slims(range(40), offset=1))
    write(tmp_path / "val.tfrecord", slims(range(40, 60), offset=1))
    assert load(tmp_path)["train"].class_names == ("0", "1", "2", "3")
    assert load(tmp_path)["train"].notes == (
        "no example has the label 0: if labels are counted from 1, give --labels_offset=1",
    )
    assert load(tmp_path, labels_offset=1)["train"].class_names == ("0", "1", "2")
    assert "its image/class/label is 1, and --labels_offset=2" in refusal(tmp_path, labels_offset=2)

    def named(text, offset):
        (tmp_path / "labels.txt").write_text(text)
        train = load(tmp_path, labels_offset=offset)["train"]
        assert train.labels.tolist() == [i % 3 for i in range(40)]
        return train.class_names, train.notes

    three, first = ("ant", "bee", "cat"), "labels are counted from 1: 1 is ant"
    assert named("ant\nbee\ncat\n", 1) == (three, (first,))
    assert named("0:ant\n1:bee\n2:cat\n", 1) == (three, (first,))
    assert named("1:ant\n2:bee\n3:cat\n", 0) == (three, (first,))  # The file says it.
    # As slim has it: ImageNet's first name is that of the background.
    assert named("0:background\n1:ant\n2:bee\n3:cat\n", 1) == (three, (f"{first}, background left out",))
    (tmp_path / "labels.txt").write_text("ant\nbee\ncat\n")
    message = refusal(tmp_path)
    assert "record 2: its image/class/label is 3, which is not in 0..2; labels run from 1 to 3, and" in message
    assert message.endswith("has 3 names: if they are counted from 1, give --labels_offset=1")


def test_names_in_the_records(tmp_path):
    """build_imagenet_data.py writes image/class/text beside the label."""
    names = (b"tench", b"goldfish", b"shark")
    records = [
        example(image__encoded=png(PIXELS[i]), image__class__label=i % 3 + 1, image__class__text=names[i % 3])
        for i in range(60)
    ]
    write(tmp_path / "train-00000-of-00001", records)
    train = load(tmp_path, labels_offset=1)["train"]
    assert train.class_names == ("tench", "goldfish", "shark") and train.notes == ()
    records[7] = example(image__encoded=png(PIXELS[7]), image__class__label=1, image__class__text=b"whale")
    write(tmp_path / "train-00000-of-00001", records)
    train = load(tmp_path, labels_offset=1)["train"]
    assert train.class_names == ("0", "1", "2")
    assert train.notes == ("image/class/text does not name the classes: label 1 is tench and whale",)


def test_labels_that_are_names(tmp_path):
    texts = ["dog", "cät", "ant"]
    records = [example(image=png(PIXELS[i]), label=texts[i % 3].encode(), id=i, area=0.5) for i in range(60)]
    write(tmp_path / "pets.tfrec", records)
    message = refusal(tmp_path)
    assert "it has no image/encoded; it has area (float), id (int64), image (bytes), label (bytes)" in message
    assert message.endswith("say with --image_key=image which is the image")
    assert refusal(tmp_path, image_key="image").endswith("say with --label_key=label which is the label")
    splits = load(tmp_path, image_key="image", label_key="label")
    assert splits["train"].class_names == ("ant", "cät", "dog") and sum(sizes(splits).values()) == 60
    whole = load_for_evaluation("tfrecord", tmp_path, DataOptions(image_key="image", label_key="label"))["all"]
    assert [whole.class_names[label] for label in whole.labels] == [texts[i % 3] for i in range(60)]
    np.testing.assert_array_equal(whole.read(np.arange(60), (SIDE, SIDE, 3)), PIXELS)
    assert "the labels (label) are names" in refusal(
        tmp_path, UsageError, image_key="image", label_key="label", labels_offset=1
    )
    by_id = load_for_evaluation("tfrecord", tmp_path, DataOptions(image_key="image", label_key="id"))["all"]
    assert by_id.labels.tolist() == list(range(60))
    # As TensorFlow Datasets names the classes.
    (tmp_path / "label.labels.txt").write_text("cät\ndog\nant\nemu\n")
    known = load(tmp_path, image_key="image", label_key="label")["train"]
    assert known.class_names == ("cät", "dog", "ant", "emu")
    (tmp_path / "label.labels.txt").write_text("cät\ndog\n")
    message = refusal(tmp_path, image_key="image", label_key="label")
    assert "record 2: its label 'ant' is not among the names in" in message


def test_only_the_text_is_there(tmp_path):
    texts = [b"a", b"b"]
    records = [example(image__encoded=png(PIXELS[i]), image__class__text=texts[i % 2]) for i in range(60)]
    write(tmp_path / "x.tfrecord", records)
    assert load(tmp_path)["train"].class_names == ("a", "b")
    write(tmp_path / "x.tfrecord", [*records, *slims([0])])
    assert "record 60: its label is the number 0, and those before are names" in refusal(tmp_path)


def test_records_of_another_kind(tmp_path):
    def told(**features):
        write(tmp_path / "x.tfrecord", [example(**features)])
        return refusal(tmp_path)

    image = png(PIXELS[0])
    several = told(image__encoded=image, image__class__label=[0, 1, 0])
    assert "it has 3 image/class/label; there has to be one; an image of several labels, or a one-hot" in several
    floats = told(image__encoded=image, image__class__label=1.0)
    assert "its image/class/label is float, which is no label" in floats
    detection = told(image__encoded=image, image__object__class__label=[1, 2], image__filename=b"a.png")
    assert "it has image/encoded (bytes), image/filename (bytes), image/object/class/label (2 int64)" in detection
    many = told(**{f"feature_{i}": i for i in range(500)})
    assert " and more; say with --image_key=KEY which is the image" in many
    write(tmp_path / "x.tfrecord", [b""])
    assert "record 0: it has no image/encoded; it has no features at all" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content, what",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a pointer of Git LFS; run git"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, perhaps an error page in the place of a download"),
        (b"PK\x03\x04" + b"\0" * 99, "a ZIP archive"),
    ],
)
def test_what_has_the_name_of_records_only(tmp_path, content, what):
    (tmp_path / "train.tfrecord").write_bytes(content)
    assert f"train.tfrecord record 0: this is no TFRecord file, but {what}" in refusal(tmp_path)


def test_a_compressed_file_that_changes(tmp_path):
    path = write(tmp_path / "train.tfrecord", slims(range(40)), "GZIP")
    write(tmp_path / "val.tfrecord", slims(range(40, 60)), "GZIP")
    train = load(tmp_path)["train"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(DataError, match="record 3[0-9]: .*; the file has changed since it was first read"):
        train.read(np.arange(30, 40), (SIDE, SIDE, 3))
    os.truncate(path, 40)
    with pytest.raises(DataError, match="record 39: .*; the file has changed since it was first read"):
        train.read([39], (SIDE, SIDE, 3))


def test_options_of_records_are_for_records(tmp_path):
    for option, value in (("labels_offset", 1), ("image_key", "x"), ("label_key", "x")):
        for name in ("csv", "digits"):
            with pytest.raises(UsageError, match=f"^--{option}={value}: it is for TFRecords only, and this"):
                load_dataset(name, tmp_path, DataOptions(**{option: value}))
            with pytest.raises(UsageError, match=f"^--{option}={value}: it is for TFRecords only"):
                load_for_evaluation(name, tmp_path, DataOptions(**{option: value}))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(st.sampled_from("tran_-.0159xf/"), min_size=1, max_size=30), min_size=1, max_size=4))
def test_any_names(tmp_path_factory, names):
    """Whatever files are called, all of them are read, or a line says why not."""
    folder = tmp_path_factory.mktemp("names")
    written = []
    for name in names:
        if name.startswith("/") or ".." in name:  # It is not to leave the folder.
            continue
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name, [example(image__encoded=b"x", image__class__label=0)])
            written.append(pathlib.Path(folder, os.path.normpath(name)))
        except (OSError, tf.errors.OpError):
            continue
    try:
        found, notes = find_files(folder)
    except DataError as error:
        assert "\n" not in str(error)
        return
    hidden = {path for path in written if any(part.startswith(".") for part in path.relative_to(folder).parts)}
    assert {file.path for file in found} == set(written) - hidden or notes
