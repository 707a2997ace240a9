"""Manifests as people and programs write them: read, or refused in one line that says what to do."""

import csv
import gzip
import os

import pytest
from PIL import Image

from slimft import DataError, UsageError
from slimft.data import DataOptions, load_dataset, load_for_evaluation
from slimft.data.csv_manifest import read_manifest

LABELS = ("ant", "bee")


@pytest.fixture
def images(tmp_path):
    """A folder images/ with 0.png to 29.png, and the rows of a manifest."""
    (tmp_path / "images").mkdir()
    for number in range(30):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path, [{"path": f"images/{i}.png", "label": LABELS[i % 2]} for i in range(30)]


def write(folder, rows, encoding="utf-8", name="images.csv", header=True, **options):
    with open(folder / name, "w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), **options)
        if header:
            writer.writeheader()
        writer.writerows(rows)
    return folder / name


def load(file, **options):
    return load_dataset("csv", file, DataOptions(cache="off", **options))


def refusal(file, kind=DataError, **options):
    with pytest.raises(kind) as raised:
        load(file, **options)
    message = str(raised.value)
    assert "\n" not in message and len(message.replace(str(file.parent), "")) < 320
    return message.removeprefix(f"{file}")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends(images, line_end):
    folder, rows = images
    file = write(folder, rows, lineterminator=line_end)
    assert load_for_evaluation("csv", file)["all"].num_examples == 30
    # The line is still told.
    rows[4]["label"] = ""
    assert refusal(write(folder, rows, lineterminator=line_end)) == " line 6: the label is empty"


def test_line_ends_in_quotes_and_mixed(images):
    folder, _ = images
    text = 'path,label,note\rimages/0.png,ant,"a\rb"\nimages/1.png,bee,x\r\n'
    (folder / "images.csv").write_bytes(text.encode())
    assert [entry.line for entry in read_manifest(folder / "images.csv").entries] == [2, 4]


@pytest.mark.parametrize(
    "header", [("Image Path", "Class Name"), ("file-name", "category"), ("FILEPATH", "Target"), ("img", "class")]
)
def test_names_of_columns(images, header):
    folder, rows = images
    file = write(folder, [dict(zip(header, row.values())) for row in rows])
    assert load(file)["train"].class_names == LABELS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_excel_writes_first(images, separator):
    folder, rows = images
    file = write(folder, rows, delimiter=separator)
    file.write_text(f"sep={separator}\n" + file.read_text(), encoding="utf-8-sig")
    assert load_for_evaluation("csv", file)["all"].num_examples == 30
    file.write_text(file.read_text(encoding="utf-8-sig") + f"images/0.png{separator}\n")
    assert refusal(file) == " line 33: the label is empty"


@pytest.mark.parametrize("column", ["split", "set", "subset", "partition", "phase", "usage", "fold", "Dataset"])
def test_columns_of_splits(images, column):
    folder, rows = images
    for number, row in enumerate(rows):
        row[column] = ("training", "val", "Test")[number % 3]
    splits = load(write(folder, rows))
    sizes = {split: len(data.labels) for split, data in splits.items()}
    assert sizes == {"train": 10, "validation": 10, "test": 10}
    if column != "split":
        for row in rows:
            row[column] = "anything"
        assert sum(data.num_examples for data in load(write(folder, rows)).values()) == 30


def test_a_column_fold_is_the_parts_of_a_cross_validation(images):
    folder, rows = images
    for number, row in enumerate(rows):
        row["fold"] = number * 5 // 30 + 1
    file = write(folder, rows)
    for fold in range(5):
        splits = load(file, folds=5, fold=fold)
        tested = {os.path.relpath(splits["test"].describe(i), folder) for i in range(6)}
        assert tested == {row["path"] for row in rows if row["fold"] == fold + 1}
        assert sum(data.num_examples for data in splits.values()) == 30 and len(splits) == 3
        note = f"--fold={fold} tests the 6 examples of which the column fold is {fold + 1}"
        assert note in splits["train"].notes
    assert "the column fold, which has 5 parts, is not used; --folds=5 --fold=0 would" in load(file)["train"].notes
    message = refusal(file, UsageError, folds=4, fold=0)
    assert message.startswith("--folds=4: the column fold of ") and message.endswith(
        "has 5 parts (1, 2, 3, 4, 5); give --folds=5, or rename the column"
    )
    rows[3]["fold"] = ""
    assert refusal(write(folder, rows)) == " line 5: the fold is empty"


def test_encodings(images):
    folder, rows = images
    for row in rows[1::2]:
        row["label"] = "Küken"
    for encoding in ("utf-8", "utf-8-sig"):
        assert load(write(folder, rows, encoding))["train"].class_names == ("Küken", "ant")
    told = refusal(write(folder, rows, "latin-1"))
    shown = "in Windows-1252 (Latin-1) it would read 'images/1.png,Küken'"
    assert told.startswith(f" line 3 is not text in UTF-8; {shown}")
    assert "CSV UTF-8" in told and "iconv -f WINDOWS-1252" in told
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        assert "is text in UTF-16, as Excel's Unicode Text is; save it as CSV UTF-8" in refusal(
            write(folder, rows, encoding)
        )


def test_files_that_are_no_csv(images):
    folder, rows = images
    with gzip.open(folder / "images.csv.gz", "wb") as stream:
        stream.write(write(folder, rows).read_bytes())
    assert "is no CSV file, but a gzip file; unpack it" in refusal(folder / "images.csv.gz")
    for content, what in (
        (b"PK\x03\x04" + bytes(99), "a ZIP archive, or a file of an office program"),
        (b"\xd0\xcf\x11\xe0" + bytes(99), "a file of an old office program"),
        (b"PAR1" + bytes(99), "a Parquet file; write it as CSV"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS; run git lfs pull"),
        (b"<!doctype html><title>Sign in", "a web page"),
    ):
        (folder / "images.csv").write_bytes(content)
        assert f"is no CSV file, but {what}" in refusal(folder / "images.csv")


def test_what_pandas_writes(images):
    folder, rows = images
    """DataFrame.to_csv writes the index as a first column, which has no name."""
    train = load(write(folder, [{"": number, **row} for number, row in enumerate(rows)]).parent)["train"]
    assert train.class_names == LABELS and train.notes[0].startswith("passed over: 1 column of images.csv (")


def test_a_header_that_is_missing(images):
    folder, rows = images
    told = refusal(write(folder, rows, header=False))
    assert told == (
        " has no header: line 1 is of data already (images/0.png); put a line above it that names the columns, "
        "such as path,label"
    )
    (folder / "images" / "plain").write_bytes((folder / "images" / "0.png").read_bytes())
    assert "has no header" in refusal(write(folder, [{"a": "images/plain", "b": "ant"}], header=False))
    # A list as Caffe has it.
    (folder / "list.txt").write_text("".join(f"{row['path']} 0\n" for row in rows))
    assert "has no header, and spaces between its columns; separate them by commas" in refusal(folder / "list.txt")


def test_several_labels(images):
    folder, rows = images
    one_hot = [{"image": row["path"], **{name: float(name == row["label"]) for name in LABELS}} for row in rows]
    assert refusal(write(folder, one_hot)) == (
        " line 1 has no column label, but columns of 0 and 1 (ant, bee), a label each (one-hot); make one column "
        "label of them: an image of several labels is not supported"
    )
    for label in ("ant|bee", "ant;bee", "bee|cow", "ant, bee", "['ant', 'bee']"):
        several = [dict(row) for row in rows]
        several[7]["label"] = label
        told = refusal(write(folder, several))
        assert told.startswith(f" line 9: the label {label!r} looks like several; an image of several labels is ")
    twice = [*rows, {"path": "images/0.png", "label": "bee"}]
    assert refusal(write(folder, twice)).endswith("in line 2 ant; an image of several labels is not supported")
    # WordNet's names have commas, and a name may have a bar.
    for row in rows:
        row["label"] = {"ant": "ant, emmet, pismire", "bee": "bee|honey"}[row["label"]]
    assert load(write(folder, rows))["train"].class_names == ("ant, emmet, pismire", "bee|honey")


def test_labels_that_differ_in_case_or_spaces(images):
    folder, rows = images
    for row in rows[:9:2]:
        row["label"] = "Ant"
    for row in rows[1:9:2]:
        row["label"] = "be e"
    (note,) = load(write(folder, rows))["train"].notes
    assert note == (
        "classes that differ only in case or spaces are different classes: 'Ant' and 'ant', 'be e' and 'bee'"
    )


def test_addresses_for_paths(images):
    folder, rows = images
    for scheme in ("https://example.org/", "gs://bucket/", "s3://bucket/", "file:///"):
        away = [dict(row, path=f"{scheme}{row['path']}") for row in rows]
        assert refusal(write(folder, away)) == (
            f": 30 paths are addresses (URLs), the first in line 2: {scheme}images/0.png; download the images, and "
            "list where they are on the disk"
        )


def test_where_missing_images_may_be(images):
    folder, rows = images

    def told(change):
        return refusal(write(folder, [dict(row, path=change(row["path"])) for row in rows]))

    assert told(lambda path: path.replace("/", "\\")).endswith("; write its path with / instead of \\")
    bare = told(lambda path: path.removesuffix(".png"))
    assert bare.endswith("; 0.png is there: list the images with their suffix")
    there = f"; {folder}/images/0.png is there: paths are absolute, or from the manifest's folder on"
    assert told(os.path.basename).endswith(there)
    assert told(lambda path: f"C:\\Users\\me\\{os.path.basename(path)}").endswith(there)
    assert told(lambda path: f"/kaggle/input/{os.path.basename(path)}").endswith(there)
    assert told(lambda path: f"gone-{os.path.basename(path)}").endswith("gone-0.png")
