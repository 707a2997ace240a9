"""Folders of splits and of classes, told apart; what stays where images come and go; and folders to evaluate on."""

import os

import pytest
from PIL import Image

from slimft import DataError, UsageError
from slimft.data import DataOptions, load_dataset, load_for_evaluation


def make(folder, *files):
    """Image files of 8x8 pixels; a name with a ``*3`` stands for three of them."""
    for file in files:
        name, _, count = file.partition("*")
        for i in range(int(count or 1)):
            path = folder / (name if not count else name.replace(".", f"_{i:04}."))
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (i % 256, 0, 0)).save(path)


def load(folder, **options):
    return load_dataset("image_folder", folder, DataOptions(**options))


def paths(dataset, folder):
    return [os.path.relpath(dataset.describe(i), folder) for i in range(dataset.num_examples)]


def sizes(splits):
    return {split: dataset.counts.tolist() for split, dataset in splits.items()}


def refusal(folder, kind=DataError, **options):
    with pytest.raises(kind) as raised:
        load(folder, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "train, validation, test",
    [
        ("training", "dev", "testing"),
        ("Training", "evaluation", "TESTING"),
        ("train_images", "my-val", "images_test"),
        ("cells-Train", "devel", "test-2024"),
    ],
)
def test_what_split_folders_are_called(tmp_path, train, validation, test):
    make(tmp_path, f"{train}/cat/a.png*3", f"{train}/dog/a.png*4", f"{validation}/cat/a.png*2", f"{test}/dog/a.png")
    assert sizes(load(tmp_path)) == {"train": [3, 4], "validation": [2, 0], "test": [0, 1]}


def test_the_folders_of_the_issue(tmp_path):
    make(tmp_path, "training/a/1.png*5", "training/b/1.png*5", "testing/a/2.png*2", "testing/b/2.png*2")
    splits = load(tmp_path)
    assert splits["train"].class_names == ("a", "b")
    assert splits["test"].counts.tolist() == [2, 2]


def test_classes_that_are_called_like_splits(tmp_path):
    make(tmp_path, "test_tube/1.png*5", "train/1.png*5", "bus/1.png*5")
    assert load(tmp_path)["train"].class_names == ("bus", "test_tube", "train")


@pytest.mark.parametrize(
    "files, reason",
    [
        (["first/a/1.png*5", "first/b/1.png*5", "second/a/1.png", "second/b/1.png"], "{} has folders, first and s"),
        (["2019/a/1.png", "2019/b/1.png", "2019/c/1.png", "2020/a/1.png", "2020/b/1.png"], "{} has folders, 2019 "),
        (["train/x/a/1.png", "train/x/b/1.png", "train/y/a/1.png", "train/y/b/1.png"], "{}/train has folders, x a"),
        (["train/a/1.png*5", "train/b/1.png*5", "holdout/a/1.png", "holdout/b/1.png"], "{} has folders of splits "),
        (["train/bus/x/1.png*5", "train/car/1.png*5", "bus/1.png*5"], "{} has folders of splits (train) beside ot"),
        (["images/a/1.png*5", "images/b/1.png*5"], "{0} has one folder only, images; is --data_dir={0}/images mea"),
        (["images/train/a/1.png*5", "images/test/b/1.png*5"], "{0} has one folder only, images; is --data_dir={0}"),
        (["train/images/a/1.png*5", "train/images/b/1.png"], "{}/train has one folder only, images; move the fold"),
        (["train/a/1.png*5", "train/b/1.png", "training/a/1.png"], "{} has two folders for train, train and train"),
        (["train/a/1.png*5", "train/b/1.png", "my_train/a/1.png"], "{} has two folders for train, my_train and tr"),
        (["train-test/a/1.png*5", "train-test/b/1.png", "val/a/1.png"], "{} has folders of splits (val) beside ot"),
    ],
)
def test_folders_that_are_hardly_classes(tmp_path, files, reason):
    make(tmp_path, *files)
    assert refusal(tmp_path).startswith(reason.format(tmp_path))


def test_folders_within_classes(tmp_path):
    """The same in each class: refused, unless told what they are; of one class, or others in each: understood."""
    make(tmp_path / "same", *(f"{kind}/patient{i}/a.png*2" for kind in ("a", "b") for i in range(6)))
    assert "hold no images but the same folders (patient0, patient1, " in refusal(tmp_path / "same")
    splits = load(tmp_path / "same", group="patient[0-9]+")
    assert splits["train"].class_names == ("a", "b")
    where = {}
    for split, dataset in splits.items():
        for path in paths(dataset, tmp_path / "same"):
            assert where.setdefault(path.split("/")[1], split) == split
    assert sum(load(tmp_path / "same", group="")["train"].counts) > 10
    make(tmp_path / "others", "a/x/1.png*5", "a/y/1.png*5", "b/z/1.png*5", "b/1.png*5")
    splits = load(tmp_path / "others")
    assert splits["train"].class_names == ("a", "b")
    note = "15 images are in folders within the classes' folders, and count as of these classes"
    assert splits["train"].notes == (note,)


def test_an_empty_split_folder(tmp_path):
    make(tmp_path, "train/cat/a.png*9", "train/emu/a.png*9")
    (tmp_path / "test").mkdir()
    assert refusal(tmp_path).startswith(f"{tmp_path / 'test'} holds no images (.jpg .jpeg .png")


def test_what_is_passed_over_is_told(tmp_path):
    make(tmp_path, "train/cat/a.png*9", "train/emu/a.png*9", "test/cat/1.png", "cover.png", "train/cat/.b.png")
    make(tmp_path, "__MACOSX/train/1.png", ".cache/1.png", "elsewhere/1.png")
    (tmp_path / "test" / "emu").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("x")
    (tmp_path / "train" / "emu" / "raw").mkdir()
    for name in ("readme.txt", "train/cat/a.heic", "train/emu/b.heic"):
        (tmp_path / name).write_text("x")
    (tmp_path / "train" / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "1.png").rename(tmp_path / "docs" / "1")
    (tmp_path / "elsewhere").rmdir()
    (tmp_path / "train" / "cat" / "more").unlink()
    (tmp_path / "train" / "cat" / "more").symlink_to(tmp_path / "test")
    splits = load(tmp_path)
    note, pictures = splits["train"].notes
    assert note.startswith("passed over: ") and splits["test"].notes == (note, pictures)
    assert pictures == "of these, pictures that cannot be read (2 .heic): convert them to JPEG or PNG"
    assert set(note.removeprefix("passed over: ").split(", ")) == {
        "1 image outside of classes' folders (cover.png)",
        "2 folders without images (such as docs)",
        "1 class's folder without images (test/emu)",
        "3 files without an image's suffix (such as readme.txt)",
        "3 hidden files or folders (such as .cache)",
        "1 link to a folder (train/cat/more)",
    }
    make(tmp_path / "plain", "cat/a.png*9", "emu/a.png*9")
    assert load(tmp_path / "plain")["train"].notes == ()


def split_of(splits, folder):
    return {path: split for split, dataset in splits.items() for path in paths(dataset, folder)}


def test_an_image_more_or_less_moves_no_other(tmp_path):
    make(tmp_path, *(f"{name}/a.png*150" for name in ("cat", "dog")))
    before = split_of(load(tmp_path), tmp_path)
    folds = [split_of(load(tmp_path, folds=5, fold=fold), tmp_path) for fold in range(5)]
    make(tmp_path, "cat/0.png", "cat/zz.png", "dog/a_0000b.png", "ant/1.png*9")
    (tmp_path / "cat" / "a_0070.png").unlink()
    after = split_of(load(tmp_path), tmp_path)
    assert {path: after[path] for path in before if path in after} == {
        path: split for path, split in before.items() if path != "cat/a_0070.png"
    }
    for fold, then in enumerate(folds):
        now = split_of(load(tmp_path, folds=5, fold=fold), tmp_path)
        assert [path for path in then if now.get(path, then[path]) != then[path]] == []


def test_the_split_does_not_depend_on_where_the_folder_is(tmp_path, monkeypatch):
    make(tmp_path / "one", "cat/a.png*12", "d\u00e9j\u00e0/a.png*8")
    make(tmp_path / "two" / "deeper", "cat/a.png*12", "de\u0301ja\u0300/a.png*8")  # As macOS may write it.
    one, two = load(tmp_path / "one"), load(f"{tmp_path}/two/../two/deeper/")
    monkeypatch.chdir(tmp_path / "one")
    for split, dataset in load(".").items():
        assert dataset.keys() == one[split].keys() == two[split].keys()
        assert dataset.describe(0) == dataset.keys()[0]
    assert "d\u00e9j\u00e0/a_0001.png" in sum((dataset.keys() for dataset in one.values()), [])


def test_groups_by_a_pattern(tmp_path):
    make(tmp_path, *(f"{kind}/p{i:02}-{j}.png" for kind in ("a", "b") for i in range(30) for j in range(3)))
    make(tmp_path, "a/other.png*4")
    splits = load(tmp_path, group="(p[0-9]+)-")
    where = {}
    for path, split in split_of(splits, tmp_path).items():
        if "other" not in path:
            assert where.setdefault(path.split("/")[1].split("-")[0], split) == split
    assert set(where.values()) == {"train", "validation", "test"}
    assert splits["test"].notes == (
        "180 images are in 30 groups (--group=(p[0-9]+)-), none of which is divided; 4 are in none and stand alone",
    )
    tested = []
    for fold in range(3):
        tested += split_of({"test": load(tmp_path, group="p[0-9]+", folds=3, fold=fold)["test"]}, tmp_path)
    assert len(tested) == len(set(tested)) == 184


@pytest.mark.parametrize(
    "group, kind, reason",
    [
        ("(", UsageError, "--group=( is no regular expression: "),
        ("q[0-9]", UsageError, "--group=q[0-9] matches none of the 20 images' paths in {}, such as cat/a_0000.png"),
        ("(x)?", UsageError, "--group=(x)? matches none of the 20 images' paths"),
        ("a_", DataError, "{} has too few groups of examples (1) to draw some that test; add more"),
        ("cat|dog", DataError, "{} has too few groups of examples (2) to draw some that test; add more"),
    ],
)
def test_groups_that_will_not_do(tmp_path, group, kind, reason):
    make(tmp_path, "cat/a.png*10", "dog/a.png*10")
    assert refusal(tmp_path, kind, group=group).startswith(reason.format(tmp_path))


def test_groups_where_there_are_splits(tmp_path):
    make(tmp_path, *(f"{split}/{kind}/p{i}.png" for split in ("train", "val") for kind in "ab" for i in range(5)))
    assert refusal(tmp_path, UsageError, group="p[0-9]") == (
        f"--group=p[0-9]: {tmp_path} has splits of its own (train, validation)"
    )
    (tmp_path / "val").rename(tmp_path / "test")
    splits = load(tmp_path, group="p[0-9]")
    note = "5 groups are divided by the data's own splits, such as p0 in validation and test"
    assert splits["train"].notes[1] == note


def evaluated(folder, class_names=None, **options):
    splits = load_for_evaluation("image_folder", folder, DataOptions(**options), class_names)
    return {split: dataset.counts.tolist() for split, dataset in splits.items()}


def test_data_to_evaluate(tmp_path):
    names = ("ant", "cat", "dog")
    make(tmp_path / "unsplit", "cat/a.png*11", "dog/a.png*7")
    assert evaluated(tmp_path / "unsplit") == {"all": [11, 7]}
    assert evaluated(tmp_path / "unsplit", names) == {"all": [0, 11, 7]}
    make(tmp_path / "train", "train/cat/a.png*11", "train/dog/a.png*7")
    assert evaluated(tmp_path / "train", names) == {"all": [0, 11, 7]}
    make(tmp_path / "test", "test/cat/a.png*2", "test/dog/a.png*3")
    assert evaluated(tmp_path / "test", names[::-1]) == {"test": [3, 2, 0]}
    make(tmp_path / "other", "train/cat/a.png*2", "val/dog/a.png*3")
    assert evaluated(tmp_path / "other", names) == {"train": [0, 2, 0], "validation": [0, 0, 3]}
    make(tmp_path / "single", "dog/below/a.png*3")
    (tmp_path / "single" / "cat").mkdir()
    assert evaluated(tmp_path / "single", names) == {"all": [0, 0, 3]}
    make(tmp_path / "like_a_split", "train/x/a.png*3", "train/y/a.png*3")
    assert evaluated(tmp_path / "like_a_split", ("bus", "train")) == {"all": [0, 6]}
    data = load_for_evaluation("image_folder", tmp_path / "unsplit", None, names)["all"]
    assert data.split == "all" and data.class_names == names
    assert [names[label] for label in data.labels] == [key.split("/")[0] for key in data.keys()]


def test_data_to_evaluate_of_other_classes(tmp_path):
    make(tmp_path, "cat/a.png*2", "emu/a.png*2")
    with pytest.raises(DataError, match="^the data .* has classes that the run was not trained on: emu; see"):
        evaluated(tmp_path, ("cat", "dog"))
    make(tmp_path / "images", "x/a.png", "y/a.png")
    with pytest.raises(DataError, match=f"is --data_dir={tmp_path}/only/images meant"):
        make(tmp_path / "only", "images/x/a.png", "images/y/a.png")
        evaluated(tmp_path / "only", ("x", "y"))
    accents = ("de\u0301ja\u0300", "cat")
    make(tmp_path / "accents", "d\u00e9j\u00e0/a.png*2")
    assert evaluated(tmp_path / "accents", accents) == {"all": [2, 0]}
