"""Fingerprints: which files hold the same, and what changed between two times."""

import hashlib
import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft.data import SPLITS, DataOptions, Dataset, load_dataset, load_for_evaluation
from slimft.data.digest import digest, file_digest
from slimft.data.fingerprint import Changes, Fingerprint, as_recorded, changes, duplicates, leave_out
from slimft.errors import DataError, SlimftError

RNG = np.random.default_rng(0)


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (6, 6, 3), np.uint8)).save(folder / name)


@pytest.fixture
def folder(tmp_path):
    make(tmp_path, *(f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(30)))
    return tmp_path


def load(folder):
    return load_dataset("image_folder", folder, DataOptions(cache="off"))


def path_in(folder, split, number=0):
    return load(folder)[split].describe(number)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_small_file_counts_whole(tmp_path_factory, data):
    content = data.draw(st.binary(max_size=300))
    file = tmp_path_factory.mktemp("files") / "a"
    file.write_bytes(content)
    assert file_digest(file) == digest(content) == hashlib.blake2b(content, digest_size=8).hexdigest()


@pytest.mark.parametrize("size", [65_536, 65_537, 300_000, 3_000_000])
@pytest.mark.parametrize("head", [b"\xff\xd8\xff", b"BM", b"II*\0"])
def test_a_large_file(tmp_path, size, head):
    content = head + RNG.bytes(size - len(head))
    file = tmp_path / "a"
    file.write_bytes(content)
    first = file_digest(file)
    assert digest(content) == first and len(first) == 16
    whole = size <= 65_536 or head != b"\xff\xd8\xff"
    for place in (5, 4095, size - 1, size // 2 if whole else size - 4096):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert file_digest(file) != first
    file.write_bytes(content + b"x")
    assert file_digest(file) != first


def test_a_dataset_has_keys_and_digests(folder):
    splits = load(folder)
    for dataset in splits.values():
        paths = [dataset.describe(i) for i in range(dataset.num_examples)]
        assert dataset.keys() == [os.path.relpath(path, folder) for path in paths]
        assert dataset.digests() == [digest(open(path, "rb").read()) for path in paths]
    some = splits["train"].select(np.array([3, 1]))
    assert some.digests() == [splits["train"].digests()[i] for i in (3, 1)]
    digits = Dataset("a", "train", np.zeros((1, 2, 2, 3), np.uint8), np.array([0]), ("a",), 2, True, 0.0)
    assert digits.keys() is None and digits.digests() is None
    assert Fingerprint.of({"train": digits}) is None and duplicates({"train": digits}) is None
    assert leave_out(digits, {"0" * 16}) == (digits, 0, [])


def test_a_file_that_cannot_be_read_is_named(folder):
    splits = load(folder)
    os.remove(splits["test"].describe(1))
    with pytest.raises(DataError, match=f"^{splits['test'].describe(1)} cannot be read: No such file"):
        splits["test"].digests()


texts = st.text(st.characters(), max_size=6)
images = st.lists(st.tuples(texts, st.integers(0, 9).map("{:016x}".format)), max_size=12).map(tuple)
fingerprints = st.builds(
    Fingerprint,
    st.dictionaries(st.sampled_from(SPLITS), images),
    st.frozensets(st.integers(0, 99).map("{:016x}".format), max_size=4),
)


@given(fingerprints)
def test_a_fingerprint_is_read_as_it_was_written(fingerprint):
    assert Fingerprint.from_json(json.loads(json.dumps(fingerprint.to_json())), "data.json") == fingerprint


@given(fingerprints, fingerprints)
def test_changes_add_up(old, new):
    before, now = (sum(map(len, one.splits.values())) for one in (old, new))
    found = changes(old, new)
    assert now - before == found.added - found.removed
    assert found.removed + found.changed + found.renamed <= before
    assert not changes(old, old) and str(changes(old, old)) == ""
    same = all(sorted(old.splits.get(split, ())) == sorted(new.splits.get(split, ())) for split in SPLITS)
    assert bool(found) != same


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: [],
        lambda saved: {**saved, "version": 2},
        lambda saved: {**saved, "splits": None},
        lambda saved: {**saved, "trained_before": ["x"]},
        lambda saved: {**saved, "splits": {"train": {"keys": ["a"], "digests": []}}},
        lambda saved: {**saved, "splits": {"train": {"keys": [1], "digests": ["0" * 16]}}},
        lambda saved: {**saved, "splits": {"train": {"keys": ["a"], "digests": ["0" * 15 + "\n"]}}},
        lambda saved: {**saved, "splits": {"train": 7}},
    ],
)
def test_a_damaged_fingerprint_is_refused(folder, damage):
    saved = Fingerprint.of(load(folder)).to_json()
    with pytest.raises(SlimftError, match="^data.json cannot be read: [^\n]*$"):
        Fingerprint.from_json(damage(saved), "data.json")


def test_what_changed(folder):
    before = Fingerprint.of(load(folder))
    assert not changes(before, Fingerprint.of(load(folder)))
    make(folder, "cat/new.png", "dog/new.png", "dog/new2.png")
    os.remove(folder / "cat" / "3.png")
    make(folder, "cat/4.png")
    (folder / "dog" / "7.png").rename(folder / "dog" / "seven.png")
    found = changes(before, Fingerprint.of(load(folder)))
    assert (found.added, found.removed, found.changed, found.renamed) == (3, 1, 1, 1)
    assert str(found).startswith("3 images were added, 1 was removed, 1 has other content, 1 has another name")
    assert str(Changes(removed=1, moved=2)) == "1 image was removed, 2 are in other splits"


def test_what_trained_is_left_out_whatever_it_is_called(folder, tmp_path_factory):
    splits = load(folder)
    print_of_run = Fingerprint.of(splits)
    other = tmp_path_factory.mktemp("other")
    make(other, "cat/1.png", "dog/1.png")
    for number in range(2):
        shutil.copy(splits["train"].describe(number), other / "cat" / f"copy{number}.png")
    shutil.copy(splits["test"].describe(0), other / "dog" / "tested.png")
    data = load_for_evaluation("image_folder", other, DataOptions(cache="off"))["all"]
    left, count, names = leave_out(data, print_of_run.trained)
    assert count == 2 and names == [str(other / "cat" / f"copy{i}.png") for i in range(2)]
    assert sorted(left.keys()) == ["cat/1.png", "dog/1.png", "dog/tested.png"]
    assert leave_out(left, print_of_run.trained)[1] == 0
    with pytest.raises(DataError, match=r"^image_folder train: the network was trained on all \d+ of its images"):
        leave_out(splits["train"], print_of_run.trained)


def test_what_trained_once_counts_on(folder):
    first = Fingerprint.of(load(folder))
    moved = path_in(folder, "train")
    os.rename(moved, moved.replace(".png", "b.png"))
    gone = path_in(folder, "train")
    content = digest(open(gone, "rb").read())
    os.remove(gone)
    second = Fingerprint.of(load(folder), before=first)
    assert first.trained <= second.trained and content in second.trained_before
    third = Fingerprint.of(load(folder), before=Fingerprint.from_json(second.to_json(), "data.json"))
    assert first.trained <= third.trained


def test_copies_are_told(folder):
    assert duplicates(load(folder)) is None
    for split, names in load(folder).items():
        if split == "train":
            shutil.copy(names.describe(0), folder / "cat" / "again.png")
    told = duplicates(load(folder))
    assert told.startswith("of the images, 1 is a copy of an image in ") and "again.png (" in told
    assert "\n" not in told
    make(folder / "split", *(f"{split}/{kind}/a.png" for split in ("train", "val", "test") for kind in ("x", "y")))
    for copy in ("val/x/b.png", "test/y/c.png", "train/x/d.png"):
        shutil.copy(folder / "split" / "train" / "x" / "a.png", folder / "split" / copy)
    place = folder / "split"
    assert duplicates(load(place)) == (
        f"of the images, 2 are copies of an image in another split, such as {place}/train/x/a.png (train) and "
        f"{place}/val/x/b.png (validation); 1 is a copy of an image in the same split, such as "
        f"{place}/train/x/a.png (train) and {place}/train/x/d.png (train)"
    )


def test_many_files_are_quick(tmp_path):
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for i in range(5000):
            (tmp_path / kind / f"{i}.png").write_bytes(b"%s %d" % (kind.encode(), i) * 300)
    splits = load(tmp_path)
    began = time.monotonic()
    found = Fingerprint.of(splits)
    assert duplicates(splits) is None and len(found.trained) == splits["train"].num_examples
    assert time.monotonic() - began < 10


def test_a_pipe_in_the_place_of_an_image_has_no_digest_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    signal.alarm(30)
    try:
        with pytest.raises(OSError, match="it is no regular file"):
            file_digest(tmp_path / "a.jpg")
    finally:
        signal.alarm(0)


def places(splits):
    """Digest to the splits it is in."""
    return {
        digest: {split for split, data in splits.items() if digest in data.digests()}
        for data in splits.values()
        for digest in data.digests()
    }


def whole(folder, name="image_folder"):
    return load_for_evaluation(name, folder, DataOptions(cache="off"))


def test_images_are_where_they_were_recorded_whatever_they_are_called_now(folder):
    before = load(folder)
    record, known = Fingerprint.of(before), places(before)
    found, new = as_recorded(whole(folder), record, SPLITS)
    assert places(found) == known and not new
    for file in sorted(folder.glob("*/*.png")):
        file.rename(file.with_name(f"renamed_{file.name}"))
    make(folder, "cat/new.png", "dog/new.png")
    (folder / "cat" / "renamed_3.png").write_bytes((folder / "dog" / "new.png").read_bytes())  # Edited, renamed.
    now = load(folder)
    assert changes(record, Fingerprint.of(now)).moved > 5  # Of 60, which the hash draws anew.
    found, new = as_recorded(whole(folder), record, SPLITS)
    assert list(found) == list(before) and all(data.split == split for split, data in found.items())
    assert len(new) == 3 and places(found).items() <= known.items() and len(places(found)) == 59
    labels = {data.describe(i): int(data.labels[i]) for data in now.values() for i in range(data.num_examples)}
    for data in found.values():
        assert [labels[data.describe(i)] for i in range(data.num_examples)] == data.labels.tolist()


def test_an_edited_image_stays_in_its_split(folder):
    before = load(folder)
    record, name = Fingerprint.of(before), path_in(folder, "test")
    make(folder, os.path.relpath(name, folder))
    found, new = as_recorded(whole(folder), record, SPLITS)
    assert not new and name in [found["test"].describe(i) for i in range(found["test"].num_examples)]
    assert str(changes(record, Fingerprint.of(found))) == "1 image has other content"


def test_copies_in_several_splits_stay_as_many_in_each(folder):
    names = [path_in(folder, split) for split in ("validation", "test")]
    shutil.copy(*names)
    before = load(folder)
    record = Fingerprint.of(before)
    for name in names:
        os.rename(name, f"{os.path.dirname(name)}/{'y' if name == names[0] else 'z'}.png")
    found, new = as_recorded(whole(folder), record, SPLITS)
    assert not new and {split: data.num_examples for split, data in found.items()} == {
        split: data.num_examples for split, data in before.items()
    }
    # One more than there was is new; of a split of which nothing is left there is none.
    shutil.copy(f"{os.path.dirname(names[0])}/y.png", folder / "cat" / "again.png")
    assert len(as_recorded(whole(folder), record, SPLITS)[1]) == 1
    os.remove(folder / "cat" / "again.png")
    for name in [found["test"].describe(i) for i in range(found["test"].num_examples)]:
        os.remove(name)
    assert "test" not in as_recorded(whole(folder), record, SPLITS)[0]


def test_splits_of_the_data_itself_stay(tmp_path):
    make(tmp_path, *(f"{split}/{kind}/{i}.png" for split in ("train", "test") for kind in "ab" for i in range(20)))
    before = load(tmp_path)
    record = Fingerprint.of(before)
    for file in sorted(tmp_path.glob("*/*/*.png")):
        file.rename(file.with_name(f"renamed_{file.name}"))
    (tmp_path / "test" / "a" / "renamed_0.png").rename(tmp_path / "train" / "a" / "from_test.png")
    found, new = as_recorded(whole(tmp_path), record, ("train", "validation"))
    assert places({"validation": found["validation"]}) == places({"validation": before["validation"]})
    assert found["test"].num_examples == 39 and len(new) == 1 and "from_test" in new[0][0]


def test_other_labels_are_counted(folder):
    record = Fingerprint.of(load(folder))
    kept = Fingerprint.from_json(json.loads(json.dumps(record.to_json())), "x")
    assert kept == record and kept.labels["test"] == tuple(
        os.path.basename(os.path.dirname(key)) for key, _ in record.splits["test"]
    )
    (folder / "cat" / "0.png").rename(folder / "dog" / "was_a_cat.png")
    found, new = as_recorded(whole(folder), record, SPLITS)
    told = changes(record, Fingerprint.of(found))
    assert (told.renamed, told.labels, new) == (1, 1, ())
    assert str(told) == "1 image has another name, 1 has another label"
    # The folders change places.
    (folder / "dog" / "was_a_cat.png").rename(folder / "cat" / "0.png")
    for old, name in (("cat", "x"), ("dog", "cat"), ("x", "dog")):
        (folder / old).rename(folder / name)
    assert changes(record, Fingerprint.of(load(folder))).labels == 60
    for wrong in ([0], ["a"] * 60, [7] * 60, [True] * 60):
        saved = record.to_json()
        saved["splits"]["train"]["labels"] = wrong
        with pytest.raises(SlimftError, match="the labels of its train split are damaged"):
            Fingerprint.from_json(saved, "x")
