"""Manifests: what a CSV file says is read back, and what is wrong with one is told with its line."""

import csv
import os
import pathlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft import DataError, UsageError
from slimft.data import DataOptions, load_dataset, load_for_evaluation
from slimft.data.csv_manifest import Entry, key_of, read_manifest

many = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

# What a file or a class may be called: no control characters, and no blanks around.
words = (
    st.text(st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters="/"), min_size=1, max_size=12)
    .filter(lambda text: text == text.strip() and text not in (".", ".."))
    .filter(lambda text: not text.startswith("\ufeff"))
)


def write(folder, text, name="images.csv"):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)


def lines(folder, header, rows):
    """A manifest and the images it lists."""
    make(folder, *(row.split(",")[0] for row in rows))
    return write(folder, "\n".join([header, *rows, ""]))


def load(data_dir, **options):
    return load_dataset("csv", data_dir, DataOptions(**options))


def examples(dataset, folder):
    """Path to class name."""
    names = [os.path.relpath(dataset.describe(i), folder) for i in range(dataset.num_examples)]
    return dict(zip(names, (dataset.class_names[label] for label in dataset.labels)))


def refusal(data_dir, kind=DataError):
    with pytest.raises(kind) as raised:
        load(data_dir)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@many
@given(
    entries=st.dictionaries(words, st.tuples(words, st.sampled_from(["train", "validation", "test"])), min_size=1),
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
    columns=st.permutations(["path", "label", "split", "unused"]),
)
def test_what_is_written_is_read(tmp_path, entries, delimiter, quoting, line_end, encoding, columns):
    file = tmp_path / "images.csv"
    with open(file, "w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
        writer.writeheader()
        for name, (label, split) in entries.items():
            writer.writerow({"path": name, "label": label, "split": split, "unused": "a"})
    expected = [Entry(i + 2, f"{tmp_path}/{name}", key_of(name), *entries[name]) for i, name in enumerate(entries)]
    assert read_manifest(file).entries == sorted(expected, key=lambda entry: entry.path)


@many
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: f"path,label\n{text}".encode(errors="replace")),
        st.text('a",;\n\r\t\\\0 ', max_size=60).map(lambda text: f"path,label\n{text}".encode()),
    )
)
def test_any_bytes_are_read_or_refused(tmp_path, data):
    file = write(tmp_path, data)
    try:
        entries = read_manifest(file).entries
    except DataError as error:
        assert str(file) in str(error) and len(str(error).splitlines()) == 1
    else:
        assert all(entry.label and entry.split is None for entry in entries)
        assert len({entry.path for entry in entries}) == len(entries) > 0


@pytest.mark.parametrize("path", ["path", "Image", "filename", " file "])
@pytest.mark.parametrize("label", ["label", "CLASS"])
def test_columns_have_several_names(tmp_path, path, label):
    rows = [f"cats/{i}.png,cat" for i in range(5)] + [f"dogs/{i}.png,dog" for i in range(5)]
    file = lines(tmp_path, f"{path},{label}", rows)
    splits = load(file)
    assert list(splits) == ["train", "validation", "test"]
    found = {name: label for dataset in splits.values() for name, label in examples(dataset, tmp_path).items()}
    assert found == dict(row.split(",") for row in rows)
    assert splits["train"].class_names == ("cat", "dog") and splits["train"].name == "csv"


def test_the_split_column(tmp_path):
    rows = ["a.png,cat,train", "b.png,dog,Train", "c.png,cat,VAL", "d.png,dog,valid", "e.png,cat,test"]
    splits = load(lines(tmp_path, "path,label,split", rows))
    assert {split: examples(dataset, tmp_path) for split, dataset in splits.items()} == {
        "train": {"a.png": "cat", "b.png": "dog"},
        "validation": {"c.png": "cat", "d.png": "dog"},
        "test": {"e.png": "cat"},
    }


def test_labels_that_are_numbers_are_in_their_order(tmp_path):
    rows = [f"{label}/{i}.png,{label}" for label in (10, 9, -1) for i in range(4)]
    assert load(lines(tmp_path, "path,label", rows))["train"].class_names == ("-1", "9", "10")
    rows.append("10/5.png,no")
    assert load(lines(tmp_path, "path,label", rows))["train"].class_names == ("-1", "10", "9", "no")


def test_the_split_does_not_depend_on_the_order_of_the_lines(tmp_path):
    rows = [f"{label}/{i}.png,{label}" for label in ("cat", "dog") for i in range(20)]
    before = load(lines(tmp_path, "path,label", rows))
    after = load(lines(tmp_path, "path,label", rows[::-1]))
    for split, dataset in before.items():
        assert examples(dataset, tmp_path) == examples(after[split], tmp_path)


def test_a_line_twice_is_one_example(tmp_path):
    rows = [f"{label}/{i}.png,{label}" for label in ("cat", "dog") for i in range(5)]
    splits = load(lines(tmp_path, "path,label", [*rows, rows[0], "cat/../cat/1.png,cat"]))
    assert sum(dataset.num_examples for dataset in splits.values()) == 10


def test_paths_are_absolute_or_relative_to_the_manifest(tmp_path, monkeypatch):
    make(tmp_path, *(f"images/{i}.png" for i in range(8)))
    (tmp_path / "lists").mkdir()
    rows = [f"../images/{i}.png,cat" for i in range(4)]
    rows += [f"{tmp_path}/images/{i}.png,dog" for i in range(4, 8)]
    write(tmp_path / "lists", "\n".join(["path,label", *rows]))
    for data_dir in (tmp_path / "lists", tmp_path / "lists" / "images.csv"):
        splits = load(data_dir)
        found = sorted(dataset.describe(i) for dataset in splits.values() for i in range(dataset.num_examples))
        assert found == [f"{tmp_path}/images/{i}.png" for i in range(8)]
    monkeypatch.chdir(tmp_path)
    train = load("lists/images.csv")["train"]
    assert train.read(range(train.num_examples), (4, 4, 3)).shape == (train.num_examples, 4, 4, 3)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/lists")["train"].num_examples == train.num_examples


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "line 1 has no column path (it has nothing); it has to name the columns: path,label or"),
        ("name,label\na.png,cat\n", "line 1 has no column path"),
        ("path\tname\na.png\tcat\n", "line 1 has no column label"),
        ("a.png,cat\n", "has no header: line 1 is of data already (a.png); put a line above it that names the"),
        ("path,label,path\n", "line 1 has two columns called path; rename one"),
        ("path,label\n", "lists no images"),
        ("path,label\n\n\n", "lists no images"),
        ("path,label\na.png,cat\n\na.png,\n", "line 4: the label is empty"),
        ("path,label\na.png,' '\n ,cat\n", "line 3: the path is empty"),
        ("path,label,split\na.png,cat,train\nb.png,cat,x\n", "line 3: the split is 'x', not train, validation"),
        ("path,label,split\na.png,cat,\n", "line 2: the split is empty"),
        ("path,label\na.png\n", "line 2 has 1 columns, and line 1 2"),
        ("path,label\na,b.png,cat\n", "line 2 has 3 columns, and line 1 2"),
        ('path,label\n"a.png,cat\nb.png,cat\n', "line 2: unexpected end of data"),
        ('path,label\n"a"b.png,cat\n', "line 2: ',' expected after '\"'"),
        ('path,label\n"a\n.png",cat\nb.png,\n', "line 2: the path, 'a\\n.png', has a character that cannot be"),
        ("path,label\na.png,c\0t\n", "line 2"),
        (
            "path,label\na.png,cat\nb.png,c\xe4t\n".encode("latin-1"),
            "line 3 is not text in UTF-8; in Windows-1252 (Latin-1) it would read 'b.png,c\xe4t': save the file as",
        ),
        ("path,label\na.png,cat\n".encode("utf-16"), "is text in UTF-16, as Excel's Unicode Text is; save it"),
        ("path,label\na.png,%s\n" % ("x" * 200_000), "line 2: field larger than field limit (131072)"),
        ("path,label\na.png,%s\n" % (",x" * 600_000), "line 2 is longer than 1048576 letters; is it a CSV file?"),
        ("path,label\na.png,cat\nb.png,cat\n./a.png,dog\n", "line 4: the label of {}/a.png is dog, in line 2 cat"),
        (
            "path,label,split\na.png,cat,test\na.png,cat,train\n",
            "line 3: the split of {}/a.png is train, in line 2 test",
        ),
        (
            "path,label\na.png,cat\ngone.png,cat\nlost.png,dog\n",
            "2 images are missing, the first in line 3: {}/gone.png",
        ),
        ("path,label\na.png,cat\n.,cat\n", "1 image is missing, the first in line 3: {}"),
        ("path,label\na.png,cat\nb.png,cat\n", "has images of one class only, cat; two is the least"),
        (
            "path,label,split\na.png,cat,test\nb.png,cat,val\n",
            "has images of one class only, cat; two is the least",
        ),
        ("path,label,split\na.png,cat,test\nb.png,dog,val\n", "has no training examples, only validation and test"),
        (
            "path,label,split\na.png,cat,train\nb.png,dog,test\n",
            "test has classes that the training split lacks: dog",
        ),
    ],
)
def test_a_manifest_that_is_refused(tmp_path, text, reason):
    make(tmp_path, "a.png", "b.png")
    file = write(tmp_path, text)
    message = refusal(file)
    assert message.startswith(str(file)) and reason.format(tmp_path) in message


def test_a_data_dir_that_is_none(tmp_path):
    assert refusal(None, UsageError).startswith("--dataset=csv needs --data_dir")
    assert refusal(tmp_path / "gone.csv") == f"--data_dir={tmp_path / 'gone.csv'}: there is no such file"
    folders = "of images in folders of their classes, --dataset=image_folder"
    assert refusal(tmp_path) == f"--data_dir={tmp_path} holds no CSV files; name the one to use; {folders}"
    for name in ("a.csv", "B.CSV"):
        write(tmp_path, "x", name)
    assert refusal(tmp_path) == f"--data_dir={tmp_path} holds 2 CSV files; name the one to use"


@pytest.mark.parametrize("method", ["open", "iterdir"])
def test_a_manifest_that_may_not_be_read(tmp_path, monkeypatch, method):
    file = write(tmp_path, "path,label\n")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    if method == "open":
        monkeypatch.setattr("builtins.open", refuse)
        assert refusal(file) == f"{file} cannot be read: Permission denied"
    else:
        monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
        assert refusal(tmp_path) == f"--data_dir={tmp_path} cannot be read: Permission denied"


@pytest.mark.parametrize("column", ["split", "Set", "subset", " partition "])
@pytest.mark.parametrize("train, validation, test", [("training", "dev", "testing"), ("TRAIN", "eval", "my-test")])
def test_how_splits_are_called(tmp_path, column, train, validation, test):
    rows = [f"a.png,cat,{train}", f"b.png,dog,{train}", f"c.png,cat,{validation}", f"d.png,dog,{test}"]
    splits = load(lines(tmp_path, f"path,label,{column}", rows))
    assert {split: [*examples(dataset, tmp_path)] for split, dataset in splits.items()} == {
        "train": ["a.png", "b.png"],
        "validation": ["c.png"],
        "test": ["d.png"],
    }


def test_a_set_that_is_none_of_the_data(tmp_path):
    rows = [f"{label}/{i}.png,{label},{i % 3}" for label in ("cat", "dog") for i in range(9)]
    splits = load(lines(tmp_path, "path,label,set", rows))
    assert splits["train"].notes == ("passed over: 1 column of images.csv (set)",)
    assert len(splits) == 3
    file = lines(tmp_path, "path,label,set", [*rows, "e.png,cat,train"])
    assert refusal(file) == f"{file} line 2: the set is '0', not train, validation or test"


def test_what_is_passed_over_is_told(tmp_path):
    rows = [f"{label}/{i}.png,{label},x,y" for label in ("cat", "dog") for i in range(9)]
    splits = load(lines(tmp_path, "path,label,photographer,camera", [*rows, rows[0], rows[1]]))
    assert splits["test"].notes == (
        "passed over: 2 columns of images.csv (photographer, camera)",
        "2 lines list images of another line again",
    )


def patients(count=30):
    return [f"{label}/{i}.png,{label},p{i // 3}" for label in ("cat", "dog") for i in range(3 * count)]


def test_groups_stay_in_one_split(tmp_path):
    rows = patients() + ["cat/x.png,cat,", "dog/x.png,dog, "]
    file = lines(tmp_path, "path,label,group", rows)
    group_of = {row.split(",")[0]: row.split(",")[2].strip() for row in rows}
    where = {}
    splits = load(file)
    for split, dataset in splits.items():
        for path in examples(dataset, tmp_path):
            if group_of[path]:
                assert where.setdefault(group_of[path], split) == split
    assert set(where.values()) == {"train", "validation", "test"}
    assert splits["train"].notes == (
        "180 images are in 30 groups (the column group), none of which is divided; 2 are in none and stand alone",
    )
    assert load(file, group="")["train"].notes == ("the column group is not used (--group=)",)
    with pytest.raises(UsageError, match=f"^--group=x: {file} has a column group; leave out one of them$"):
        load(file, group="x")


def test_groups_that_the_splits_divide(tmp_path):
    rows = [f"{row},{'train' if i % 2 else 'test'}" for i, row in enumerate(patients(4))]
    splits = load(lines(tmp_path, "path,label,group,split", rows))
    told = splits["train"].notes[1]
    assert told.startswith("4 groups are divided by the data's own splits, such as p0 in ")
    assert told.endswith(" and test")
    file = lines(tmp_path, "path,label,group", ["a.png,cat,1", "a.png,cat,2"])
    assert refusal(file).endswith("line 3: the group of " + str(tmp_path / "a.png") + " is 2, in line 2 1")


def test_keys_are_the_paths_as_they_are_written(tmp_path):
    """So that a manifest of absolute paths splits alike wherever it is put."""
    make(tmp_path, *(f"images/{i}.png" for i in range(8)))
    rows = [f"../images/./{i}.png,cat" for i in range(4)] + [f"{tmp_path}/images/{i}.png,dog" for i in range(4, 8)]
    (tmp_path / "lists").mkdir()
    splits = load(write(tmp_path / "lists", "\n".join(["path,label", *rows])))
    keys = sum((dataset.keys() for dataset in splits.values()), [])
    written = [f"../images/{i}.png" for i in range(4)] + [f"{tmp_path}/images/{i}.png" for i in range(4, 8)]
    assert sorted(keys) == written
    twice = load(write(tmp_path / "lists", "\n".join(["path,label", *rows, f"{tmp_path}/images/0.png,cat"])))
    assert sum(dataset.num_examples for dataset in twice.values()) == 8


def test_a_column_has_the_keys_in_place_of_the_paths(tmp_path):
    make(tmp_path, *(f"{letter}{i}.png" for i in range(20) for letter in "ab"))
    keys = [f"k{i}" for i in range(20)]
    found = []
    for letter in "ab":
        rows = [f"{letter}{i}.png,{'cat' if i % 2 else 'dog'},{key}" for i, key in enumerate(keys)]
        splits = load(lines(tmp_path, "path,label,split_key", rows), group="k[0-9]")
        found.append({split: sorted(dataset.keys()) for split, dataset in splits.items()})
    assert found[0] == found[1] and sorted(sum(found[0].values(), [])) == sorted(keys)
    message = refusal(lines(tmp_path, "path,label,split_key", ["a0.png,cat,x", "a1.png,dog,"]))
    assert message.endswith("line 3: the split_key is empty")
    message = refusal(lines(tmp_path, "path,label,split_key", ["a0.png,cat,x", "a0.png,cat,y"]))
    assert "the split_key of" in message and message.endswith("is y, in line 2 x")


def test_a_line_more_moves_no_other_image(tmp_path):
    rows = [f"{label}/{i}.png,{label}" for label in ("cat", "dog") for i in range(150)]
    before = load(lines(tmp_path, "path,label", rows))
    after = load(lines(tmp_path, "path,label", ["ant/0.png,ant", *rows, "cat/0a.png,cat"]))
    for split, dataset in before.items():
        assert examples(dataset, tmp_path).items() <= examples(after[split], tmp_path).items()


def test_data_to_evaluate(tmp_path):
    def evaluated(header, rows):
        splits = load_for_evaluation("csv", lines(tmp_path, header, rows), None, ("ant", "cat", "dog"))
        return {split: dataset.counts.tolist() for split, dataset in splits.items()}

    assert evaluated("path,label", ["a.png,cat", "b.png,cat"]) == {"all": [0, 2, 0]}
    assert evaluated("path,label,split", ["a.png,cat,test", "b.png,dog,test"]) == {"test": [0, 1, 1]}
    assert evaluated("path,label,split", ["a.png,dog,train", "b.png,dog,train"]) == {"all": [0, 0, 2]}
    with pytest.raises(DataError, match="has classes that the run was not trained on: emu; see its labels.txt$"):
        evaluated("path,label", ["a.png,cat", "b.png,emu"])
