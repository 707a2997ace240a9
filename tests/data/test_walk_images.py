"""The images in folders, in order, a folder at a time."""

import os

import pytest

from slimft.data.image_formats import find_images, walk_images
from slimft.errors import DataError


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a/2.PNG", "a/1.png", "a/deep/x.webp", "a.jpg", ".hidden/z.png", "a/.z.png", "note.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    return tmp_path


def test_the_order_is_that_of_sorted_paths(tree):
    images, others = find_images(tree)
    assert [os.path.relpath(path, tree) for path in images] == [
        "a/1.png",
        "a/2.PNG",
        "a/deep/x.webp",
        "a.jpg",
        "b.jpg",
    ]
    assert others == [str(tree / "note.txt")]


def test_only_its_own(tree):
    found = [os.path.relpath(path, tree) for path, is_image in walk_images(tree, recursive=False) if is_image]
    assert found == ["a.jpg", "b.jpg"]


def test_it_walks_as_it_is_asked(tree, monkeypatch):
    asked = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: asked.append(str(folder)) or scandir(folder))
    walk = walk_images(tree)
    assert next(walk) == (str(tree / "a" / "1.png"), True)
    assert asked == [str(tree), str(tree / "a")]


def test_the_current_folder_is_not_in_the_paths(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert find_images(".")[0][-1] == "b.jpg"


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(DataError, match="gone cannot be read: No such file"):
        list(walk_images(tmp_path / "gone"))
    wrong = []
    assert list(walk_images(tmp_path / "gone", wrong.append)) == [] and len(wrong) == 1
