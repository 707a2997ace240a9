"""The cache of decoded images: the same pixels as without it, whatever happens to it, its folder or the images."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft import system
from slimft.data import image_files, record_cache, record_shard
from slimft.data.image_files import FileSource, ImageFiles
from slimft.errors import DataError
from slimft.progress_bar import PassBar

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
    names, read = [], image_files.read_source

    def noted(source, side, **options):
        names.append(source.name)
        return read(source, side, **options)

    monkeypatch.setattr(image_files, "read_source", noted)
    return names


def files_of(paths, cache="auto"):
    return ImageFiles([FileSource(path) for path in paths], cache)


def streamed(paths, side=SIDE):
    return files_of(paths, "off").read(range(len(paths)), side)


def cached(folder):
    return sorted(folder.glob("*")) if folder.exists() else []


def save(path, side=8):
    Image.fromarray(RNG.integers(0, 256, (side, 11, 3), np.uint8)).save(path)


def entries_of(file):
    """The entries of a file, by its documented layout."""
    content = file.read_bytes()
    places = int.from_bytes(content[24:28], "little")
    if len(content) < 64 + places * 24:  # It is being made.
        return [], b""
    entries = np.frombuffer(content, record_shard.ENTRY, places, 64)
    return entries[entries["filled"] == 1], content[-(-(64 + places * 24) // 4096) * 4096 :]


def prepared(paths, cache="auto"):
    files = files_of(paths, cache)
    assert files.prepare(SIDE, several_passes=True) is None
    return files


def check(paths, cache="auto"):
    """Prepared and read, they are the right pixels."""
    np.testing.assert_array_equal(prepared(paths, cache).read(range(len(paths)), SIDE), streamed(paths))


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
    assert file.stat().st_mode & 0o077 == 0
    entries, pixels = entries_of(file)
    images = np.frombuffer(pixels, np.uint8).reshape(12, -1)
    np.testing.assert_array_equal(np.sort(images, axis=0), np.sort(expected.reshape(12, -1), axis=0))
    for entry, image in zip(entries, images):
        seed = int.from_bytes(entry.tobytes()[:4], "little")
        assert google_crc32c.extend(seed, image.tobytes()) == entry["crc"]


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


@pytest.mark.parametrize(
    "cache, several, made",
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("on", True, True), ("off", True, False)],
)
def test_when_there_is_a_cache(paths, folder, cache, several, made):
    assert files_of(paths, cache).prepare(SIDE, several) is None
    assert len(cached(folder)) == made


def test_a_cache_that_would_be_too_large_is_not_made(paths, folder, monkeypatch):
    size = 12 * SIDE * SIDE * 3
    monkeypatch.setattr(image_files, "MOST_CACHED_BYTES", size - 1)
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
        monkeypatch.setattr(record_cache.shutil, "disk_usage", lambda path, usage=usage: usage)
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


@pytest.mark.parametrize("change", ["time", "size", "same size and time", "another", "added", "removed", "folder"])
def test_only_what_is_new_is_decoded(paths, tmp_path, folder, decoded, change):
    prepared(paths)
    expected = []
    if change in ("time", "size"):
        save(paths[0], 8 if change == "time" else 9)
        expected = [paths[0]]
    elif change == "same size and time":
        pixels = np.asarray(Image.open(paths[0]))
        Image.fromarray(pixels).save(tmp_path / "one.bmp")
        Image.fromarray(255 - pixels).save(tmp_path / "other.bmp")
        before = os.stat(tmp_path / "one.bmp").st_mtime_ns
        os.utime(tmp_path / "other.bmp", ns=(0, before))
        paths[0] = str(tmp_path / "one.bmp")
        prepared(paths)
        os.replace(tmp_path / "other.bmp", paths[0])
        assert os.stat(paths[0]).st_mtime_ns == before
        expected = [paths[0]]
    elif change == "another":
        paths = [paths[1], *paths[1:]]
    elif change == "added":
        paths = [str(tmp_path / "00.png"), *paths[:5], str(tmp_path / "555.png"), *paths[5:]]
        save(paths[0])
        save(paths[6])
        expected = [paths[0], paths[6]]
    elif change == "removed":
        paths = paths[1:6] + paths[8:]
    elif change == "folder":
        (tmp_path / "sub").mkdir()
        paths = [*paths, str(tmp_path / "sub" / "0.png")]
        shutil.copy2(paths[1], paths[-1])
        expected = [paths[-1]]
    decoded.clear()
    files = prepared(paths)
    assert sorted(decoded) == sorted(expected)
    np.testing.assert_array_equal(files.read(range(len(paths)), SIDE), streamed(paths))
    assert len(cached(folder)) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sets(st.integers(0, 11), min_size=1), min_size=1, max_size=6))
def test_whatever_collections_there_were_only_what_is_new_is_decoded(tmp_path_factory, collections):
    root = tmp_path_factory.mktemp("property")
    paths = [str(root / f"{number}.png") for number in range(12)]
    for path in paths:
        save(path)
    names, read = [], image_files.read_source
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setattr(image_files, "read_source", lambda *what, **how: names.append(what[0].name) or read(*what))
        seen = set()
        for collection in collections:
            chosen = [paths[number] for number in sorted(collection)]
            names.clear()
            files = prepared(chosen)
            assert sorted(names) == sorted(set(chosen) - seen)
            seen |= set(chosen)
            np.testing.assert_array_equal(files.read(range(len(chosen)), SIDE), streamed(chosen))
        # A collection that has nothing in common with those before gets a file of its own.
        assert 1 <= len(list((root / "cache/slimft/images").iterdir())) <= len(collections)


@pytest.mark.parametrize("size", [0, 10, 40, 100, "half", "less", "more"])
def test_a_file_that_was_cut_or_grew(paths, folder, size):
    prepared(paths)
    (file,) = cached(folder)
    whole = file.stat().st_size
    os.truncate(file, {"half": whole - 6 * SIDE * SIDE * 3, "less": whole - 1, "more": whole + 1}.get(size, size))
    check(paths)
    check(paths)


def test_a_file_that_is_cut_or_gone_meanwhile(paths, folder):
    files = prepared(paths)
    (file,) = cached(folder)
    os.truncate(file, file.stat().st_size - 5 * SIDE * SIDE * 3 - 7)
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))
    file.unlink()
    np.testing.assert_array_equal(files.read(range(12), SIDE), streamed(paths))
    check(paths)


@pytest.mark.parametrize("part", ["pixels", "entries"])
def test_changed_bytes_never_come_back_as_pixels(paths, folder, decoded, capfd, monkeypatch, part):
    monkeypatch.setattr(record_cache, "_damage_is_told", record_cache.threading.Event())
    prepared(paths)
    (file,) = cached(folder)
    content = bytearray(file.read_bytes())
    pixels_at = len(content) - 12 * SIDE * SIDE * 3
    start = pixels_at if part == "pixels" else 64
    size = SIDE * SIDE * 3 if part == "pixels" else 24
    for number in range(3, 12):  # A byte of each but three.
        content[start + number * size + number % size] ^= 1 << number % 8
    file.write_bytes(content)
    expected = streamed(paths)
    decoded.clear()
    files = prepared(paths)
    np.testing.assert_array_equal(files.read(range(12), SIDE), expected)
    assert len(decoded) == 9
    told = capfd.readouterr().err
    assert told.count("\n") == (part == "pixels") and (part == "entries" or f"{file} is damaged: " in told)
    # It is mended, and not told again.
    decoded.clear()
    np.testing.assert_array_equal(files.read(range(12), SIDE), expected)
    np.testing.assert_array_equal(prepared(paths).read(range(12), SIDE), expected)
    assert decoded == [] and capfd.readouterr().err == ""


def test_a_page_that_never_got_to_the_disk(paths, folder, capfd):
    """As a power failure leaves it: the entry is there, the pixels are zeros."""
    prepared(paths)
    (file,) = cached(folder)
    content = bytearray(file.read_bytes())
    content[-3 * SIDE * SIDE * 3 :] = bytes(3 * SIDE * SIDE * 3)
    file.write_bytes(content)
    check(paths)


def test_an_image_that_changes_while_it_is_decoded_is_not_kept(paths, monkeypatch):
    read = image_files.read_source

    def change(source, side, **options):
        image = read(source, side, **options)
        if source.name == paths[4]:
            save(paths[4])
        return image

    monkeypatch.setattr(image_files, "read_source", change)
    files_of(paths).prepare(SIDE, several_passes=True)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(record_cache.images(SIDE).path.parents[1]))
    check(paths)


def test_more_than_a_file_has_room_for(paths, folder, decoded, monkeypatch):
    monkeypatch.setattr(record_shard, "SHARD_BYTES", 5 * SIDE * SIDE * 3)
    check(paths)
    assert sorted(len(entries_of(file)[0]) for file in cached(folder)) == [2, 5, 5]
    decoded.clear()
    prepared(paths)
    assert decoded == []


def test_those_not_used_for_the_longest_time_make_room(paths, folder, monkeypatch):
    folder.mkdir(parents=True)
    for age, name in enumerate(("new", "middle", "old")):
        (folder / f"{name}.images").write_bytes(bytes(1 << 16))
        os.utime(folder / f"{name}.images", (10**9 - age,) * 2)
    (folder / "notes.txt").write_bytes(bytes(1 << 16))
    monkeypatch.setattr(record_cache, "MOST_BYTES_OF_IMAGES", 2 << 16)
    prepared(paths)
    left = [file.name for file in cached(folder)]
    assert "new.images" in left and "notes.txt" in left and len(left) == 3
    os.utime(folder / "new.images", (10**10,) * 2)
    prepared(paths)  # Nothing to write, so nothing has to go.
    assert [file.name for file in cached(folder)] == left
    # To be used is to be younger.
    (ours,) = (file for file in cached(folder) if file.name.endswith(f"-{SIDE}.images"))
    os.utime(ours, (5, 5))
    prepared(paths)
    assert time.time() - ours.stat().st_mtime < 60


def test_images_that_are_gone_do_not_pile_up(paths, folder, decoded, monkeypatch):
    """A data set that changes by and by, for ever, takes no more than the folder may have."""
    image = SIDE * SIDE * 3
    monkeypatch.setattr(record_shard, "SHARD_BYTES", 8 * image)
    file_bytes = 4096 + 4096  # Blocks of the disk: a head, and some images.
    monkeypatch.setattr(record_cache, "MOST_BYTES_OF_IMAGES", 4 * file_bytes)
    for number in range(60):
        save(paths[number % 12])
        check(paths)
        assert sum(file.stat().st_blocks * 512 for file in cached(folder)) <= 5 * file_bytes
    assert len(decoded) < 60 * 12 * 2


BUILD = """
import sys, time
from slimft.data import image_files
from slimft.data.image_files import FileSource, ImageFiles
read = image_files.read_source
decoded = []
def slowly(source, side, **options):
    decoded.append(source.name)
    time.sleep(0.02)
    return read(source, side, **options)
image_files.read_source = slowly
image_files._MOST_AT_A_TIME = 1
image_files.record_cache.LOOK_SECONDS = 0
print("begins", flush=True)
ImageFiles([FileSource(path) for path in sys.argv[1:]]).prepare(6, several_passes=True)
print(len(decoded))
"""


@pytest.fixture
def many(tmp_path):
    """Two hundred image files."""
    found = [str(tmp_path / f"many{number}.png") for number in range(200)]
    for path in found:
        save(path)
    return found


def test_several_processes_at_once_share_the_work(many, folder):
    processes = [subprocess.Popen([sys.executable, "-c", BUILD, *many], stdout=subprocess.PIPE) for _ in range(3)]
    outputs = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    decoded = [int(words[-1]) for words in outputs]
    assert 200 <= sum(decoded) < 600  # How much they share depends on what else runs.
    files = ImageFiles([FileSource(path) for path in many])
    files.prepare(SIDE, several_passes=False)
    assert files._collection.caches[SIDE].has(np.arange(200)).all()
    np.testing.assert_array_equal(files.read(range(200), SIDE), streamed(many))


@pytest.mark.parametrize("seconds", [0, 0.1, 0.3])
def test_a_process_that_is_killed(many, folder, decoded, seconds):
    """What it has decoded is there; the next goes on from there."""
    expected = streamed(many)
    process = subprocess.Popen([sys.executable, "-c", BUILD, *many], stdout=subprocess.PIPE)
    process.stdout.readline()
    while not cached(folder) or not len(entries_of(cached(folder)[0])[0]):
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (file,) = cached(folder)
    there = len(entries_of(file)[0])
    assert 0 < there < 200
    decoded.clear()
    files = prepared(many)
    assert len(decoded) == 200 - there and cached(folder) == [file]
    np.testing.assert_array_equal(files.read(range(200), SIDE), expected)


def test_where_files_cannot_be_locked_each_process_makes_its_own(paths, folder, monkeypatch):
    monkeypatch.setattr(system, "lock", lambda descriptor: False)
    prepared(paths[:6])
    check(paths)
    assert len(cached(folder)) == 2


def test_the_bar_is_shown_only_if_it_takes_long(paths, capfd, monkeypatch):
    files_of(paths).prepare(SIDE, several_passes=True)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(PassBar, "QUIET_SECONDS", 0)
    files_of(paths).prepare(4, several_passes=True, progress=False)
    assert capfd.readouterr().err == ""
    files_of(paths).prepare(5, several_passes=True)
    assert "decoding: 100%" in capfd.readouterr().err
