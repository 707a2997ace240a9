"""The cache of decoded images: the same pixels as without it, whatever happens to it, its folder or the images."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from slimft.data import image_cache, image_files
from slimft.data.image_files import FileSource, ImageFiles
from slimft.errors import DataError

RNG = np.random.default_rng(0)
SIDE = 6


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the caches, in tmp_path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "slimft" / "images"


@pytest.fixture
def paths(tmp_path):
    """Twelve image files."""
    found = [str(tmp_path / f"{number}.png") for number in range(12)]
    for path in found:
        Image.fromarray(RNG.integers(0, 256, (8, 11, 3), np.uint8)).save(path)
    return found


@pytest.fixture
def decoded(monkeypatch):
    """The names of the images that were decoded."""
    names, square = [], image_files._square

    def noted(source, side):
        names.append(source.name)
        return square(source, side)

    monkeypatch.setattr(image_files, "_square", noted)
    return names


def files_of(paths, cache="auto"):
    return ImageFiles([FileSource(path) for path in paths], cache)


def streamed(paths, side=SIDE):
    return files_of(paths, "off").read(range(len(paths)), side)


def cached(folder):
    return sorted(folder.glob("*")) if folder.exists() else []


def test_a_single_pass_uses_what_is_there_and_makes_nothing(paths, folder, decoded):
    expected = streamed(paths)
    decoded.clear()
    files = files_of(paths)
    assert files.prepare(SIDE, several_passes=False) is None and not cached(folder)
    files.select([1, 2]).prepare(SIDE, several_passes=True)
    assert len(decoded) == 2
    again = files_of(paths)
    again.prepare(SIDE, several_passes=False)
    np.testing.assert_array_equal(again.read([1, 2], SIDE), expected[[1, 2]])
    assert len(decoded) == 2
    np.testing.assert_array_equal(again.read([0], SIDE), expected[[0]])
    assert len(decoded) == 3


def test_a_cache_gives_the_same_pixels_and_decodes_once(paths, folder, decoded):
    expected = streamed(paths)
    decoded.clear()
    files = files_of(paths)
    assert files.prepare(SIDE, several_passes=True) is None
    assert sorted(decoded) == sorted(paths)
    order = RNG.integers(0, 12, 40)
    np.testing.assert_array_equal(files.read(order, SIDE), expected[order])
    files.prepare(SIDE, several_passes=True)
    again = files_of(paths)
    again.prepare(SIDE, several_passes=True)
    np.testing.assert_array_equal(again.select([5, 3]).read([1, 0], SIDE), expected[[3, 5]])
    assert len(decoded) == 12
    (file,) = cached(folder)
    assert file.stat().st_size == 12 * (SIDE * SIDE * 3 + 1) and file.stat().st_mode & 0o077 == 0
    np.testing.assert_array_equal(np.fromfile(file, np.uint8, expected.size), expected.ravel())


def test_another_side_is_another_cache(paths, folder):
    files = files_of(paths)
    for side in (SIDE, 4):
        files.prepare(side, several_passes=True)
    assert len(cached(folder)) == 2
    for side in (4, SIDE, 5):
        np.testing.assert_array_equal(files.read(range(12), side), streamed(paths, side))


def test_selections_share_a_cache_and_decode_what_they_need(paths, folder, decoded):
    expected = streamed(paths)
    decoded.clear()
    files = files_of(paths)
    files.select([3, 1]).prepare(SIDE, several_passes=True)
    assert sorted(decoded) == sorted([paths[3], paths[1]])
    other = files_of(paths).select([1, 2, 3, 4])
    other.prepare(SIDE, several_passes=True)
    assert sorted(decoded[2:]) == sorted([paths[2], paths[4]])
    decoded.clear()
    np.testing.assert_array_equal(other.read([0, 1, 2, 3], SIDE), expected[1:5])
    assert decoded == [] and len(cached(folder)) == 1
    # What another object has cached since, or nobody has, is decoded.
    np.testing.assert_array_equal(files.read(range(12), SIDE), expected)


@pytest.mark.parametrize("cache, several, made", [
    ("auto", True, True), ("auto", False, False), ("on", False, True), ("on", True, True), ("off", True, False),
])  # fmt: skip
def test_when_there_is_a_cache(paths, folder, cache, several, made):
    assert files_of(paths, cache).prepare(SIDE, several) is None
    assert len(cached(folder)) == made


def test_a_cache_that_would_be_too_large_is_not_made(paths, folder, monkeypatch):
    size = 12 * SIDE * SIDE * 3
    monkeypatch.setattr(image_cache, "MOST_BYTES", size - 1)
    files = files_of(paths)
    note = files.prepare(SIDE, several_passes=True)
    assert "images are decoded anew in each epoch" in note and "--cache=on would keep them" in note
    assert cached(folder) == []
    assert files.select(range(11)).prepare(SIDE, several_passes=True) is None and len(cached(folder)) == 1
    assert files_of(paths).prepare(SIDE, several_passes=True) is not None  # The twelfth would be too much.
    assert files_of(paths, "on").prepare(SIDE, several_passes=False) is None and len(cached(folder)) == 1


def test_a_third_of_the_free_space_is_the_most(paths, folder, monkeypatch):
    size = 12 * SIDE * SIDE * 3
    for free, made in ((3 * size - 1, False), (3 * size + 3, True)):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path, usage=usage: usage)
        note = files_of(paths).prepare(SIDE, several_passes=True)
        assert (note is None, len(cached(folder)) == 1) == (made, made)
        assert made or note.endswith("MiB free")


def test_a_full_disk(paths, folder, monkeypatch):
    write, left = os.pwrite, [4]

    def full(descriptor, data, offset):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    files = files_of(paths)
    note = files.prepare(SIDE, several_passes=True)
    assert "No space left on device" in note and "\n" not in note
    assert cached(folder) == []
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))
    left[0] = 4
    with pytest.raises(DataError, match="--cache=on: .*No space left on device; make room for it, or choose"):
        files_of(paths, "on").prepare(SIDE, several_passes=True)
    assert cached(folder) == []


def test_a_folder_that_cannot_be_made(paths, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    files = files_of(paths)
    assert "Not a directory" in files.prepare(SIDE, several_passes=True)
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))
    with pytest.raises(DataError, match="^--cache=on: .*Not a directory"):
        files_of(paths, "on").prepare(SIDE, several_passes=True)


def test_all_corrupt_images_are_found_at_once(paths, folder, decoded):
    content = open(paths[7], "rb").read()
    for number in (9, 2, 7, 4, 5):
        with open(paths[number], "wb") as stream:
            stream.write(content[:60])
    os.unlink(paths[4])
    with pytest.raises(DataError) as caught:
        files_of(paths).prepare(SIDE, several_passes=True)
    message = str(caught.value)
    assert message.startswith("5 images cannot be read: ")
    assert message.endswith("; and 2 more; replace or remove them")
    assert 0 < message.find(paths[2]) < message.find(paths[4]) < message.find(paths[5])
    assert paths[7] not in message and "\n" not in message
    for number in (9, 2, 7, 4, 5):
        with open(paths[number], "wb") as stream:
            stream.write(content)
    files = files_of(paths)
    files.prepare(SIDE, several_passes=True)
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))


def test_one_corrupt_image(paths):
    open(paths[3], "wb").close()
    with pytest.raises(DataError, match=f"^{paths[3]} is empty; replace or remove it$"):
        files_of(paths).prepare(SIDE, several_passes=True)


@pytest.mark.parametrize("change", ["time", "size", "another"])
def test_a_changed_image_makes_another_cache(paths, folder, change):
    files_of(paths).prepare(SIDE, several_passes=True)
    Image.fromarray(RNG.integers(0, 256, (8, 11, 3), np.uint8)).save(paths[0])
    if change == "time":
        os.utime(paths[0], ns=(5, 5))
    elif change == "another":
        paths = [paths[0].replace("0.png", "1.png"), *paths[1:]]
    files = files_of(paths)
    files.prepare(SIDE, several_passes=True)
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))
    assert len(cached(folder)) == 2


@pytest.mark.parametrize("change", [-1, 1, None])
def test_a_file_of_a_wrong_size_is_made_again(paths, folder, change):
    files_of(paths).prepare(SIDE, several_passes=True)
    (file,) = cached(folder)
    size = file.stat().st_size
    os.truncate(file, 0 if change is None else size + change)
    files = files_of(paths)
    files.prepare(SIDE, several_passes=True)
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))
    assert cached(folder) == [file] and file.stat().st_size == size


def test_a_file_that_is_cut_or_gone_meanwhile(paths, folder):
    files = files_of(paths)
    files.prepare(SIDE, several_passes=True)
    (file,) = cached(folder)
    os.truncate(file, 5 * SIDE * SIDE * 3 + 7)
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))
    file.unlink()
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))


def test_those_not_used_for_the_longest_time_make_room(paths, folder, monkeypatch):
    folder.mkdir(parents=True)
    for age, name in enumerate(("new", "middle", "old")):
        (folder / f"{name}.images").write_bytes(bytes(1 << 16))
        os.utime(folder / f"{name}.images", (10**9 - age,) * 2)
    (folder / "notes.txt").write_bytes(bytes(1 << 16))
    monkeypatch.setattr(image_cache, "MOST_BYTES_IN_FOLDER", 2 << 16)
    files = files_of(paths)
    files.prepare(SIDE, several_passes=True)
    left = [file.name for file in cached(folder)]
    assert "new.images" in left and "notes.txt" in left and len(left) == 3
    os.utime(folder / "new.images", (10**10,) * 2)
    files_of(paths).prepare(SIDE, several_passes=True)  # Nothing to write, so nothing has to go.
    assert [file.name for file in cached(folder)] == left
    # To be used is to be younger.
    ours = next(file for file in cached(folder) if file.stem != "new" and file.suffix == ".images")
    assert time.time() - ours.stat().st_mtime < 60


BUILD = """
import sys, time
from slimft.data import image_files
from slimft.data.image_files import FileSource, ImageFiles
square = image_files._square
def slowly(source, side):
    time.sleep(0.02)
    return square(source, side)
image_files._square = slowly
image_files.image_cache._SYNC_SECONDS = 0
print("begins", flush=True)
ImageFiles([FileSource(path) for path in sys.argv[1:]]).prepare(6, several_passes=True)
"""


def test_two_processes_at_once(paths, folder, run_python):
    processes = [subprocess.Popen([sys.executable, "-c", BUILD, *paths]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    (file,) = cached(folder)
    content = np.fromfile(file, np.uint8)
    np.testing.assert_array_equal(content[:-12], streamed(paths).ravel())
    np.testing.assert_array_equal(content[-12:], 1)


def test_a_process_that_is_killed(paths, folder, decoded):
    """What it says is there, is; the next goes on from there."""
    expected = streamed(paths)
    process = subprocess.Popen([sys.executable, "-c", BUILD, *paths * 20], stdout=subprocess.PIPE)
    process.stdout.readline()
    while not cached(folder) or not np.fromfile(cached(folder)[0], np.uint8)[-240:].any():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (file,) = cached(folder)
    content = np.fromfile(file, np.uint8)
    there = content[-240:].astype(bool)
    assert 0 < there.sum() < 240
    images = content[:-240].reshape(240, SIDE, SIDE, 3)
    np.testing.assert_array_equal(images[there], np.tile(expected, (20, 1, 1, 1))[there])
    decoded.clear()
    files = files_of(paths * 20)
    files.prepare(SIDE, several_passes=True)
    assert len(decoded) == 240 - there.sum()
    np.testing.assert_array_equal(files.read(range(12), SIDE), expected)


def test_the_bar_is_shown_only_if_it_takes_long(paths, capfd, monkeypatch):
    files_of(paths).prepare(SIDE, several_passes=True)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(image_files, "_QUIET_SECONDS", 0)
    files_of(paths).prepare(4, several_passes=True, progress=False)
    assert capfd.readouterr().err == ""
    files_of(paths).prepare(5, several_passes=True)
    assert "decoding: 100%" in capfd.readouterr().err
