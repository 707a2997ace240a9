"""Image files read in parallel: what Pillow and central_square give, in order, and errors that name the file."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from slimft.data.image_files import FileSource, ImageFiles
from slimft.data.images import central_square
from slimft.errors import DataError

RNG = np.random.default_rng(0)


def picture(height=12, width=17):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def expected(pixels, side):
    return np.round(central_square(pixels, side, 1.0))


@pytest.fixture
def photos(tmp_path):
    """Ten PNG files of several sizes, and their pixels."""
    pixels = [picture(10 + i, 25 - i) for i in range(10)]
    paths = [str(tmp_path / f"{i}.png") for i in range(10)]
    for path, array in zip(paths, pixels):
        Image.fromarray(array).save(path)
    return paths, pixels


def files_of(paths, cache="off"):
    return ImageFiles([FileSource(path) for path in paths], cache)


@pytest.mark.parametrize("side", [4, 8, 30])
def test_images_come_in_the_order_asked_for(photos, side):
    paths, pixels = photos
    files = files_of(paths)
    indices = [7, 0, 0, 9, 3, *range(10), *range(10), 5]
    actual = files.read(indices, side)
    assert actual.dtype == np.uint8 and actual.shape == (len(indices), side, side, 3)
    np.testing.assert_array_equal(actual, [expected(pixels[index], side) for index in indices])
    assert files.read([], side).shape == (0, side, side, 3)


def test_a_square_of_its_own_size_is_the_file_itself(tmp_path):
    pixels = picture(9, 9)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(files_of([str(tmp_path / "a.png")]).read([0], 9), [pixels])


def test_a_selection_of_a_selection(photos):
    paths, pixels = photos
    files = files_of(paths)
    some = files.select(np.array([2, 4, 6, 8])).select([3, 0])
    assert (len(files), len(some)) == (10, 2)
    assert [some.name(0), some.name(1)] == [paths[8], paths[2]] and files.name(9) == paths[9]
    np.testing.assert_array_equal(some.read([1, 0], 6), [expected(pixels[2], 6), expected(pixels[8], 6)])


def test_sources_may_give_bytes_or_streams(photos):
    paths, pixels = photos

    class InMemory:
        name, fingerprint = "x.tfrecord record 7", "x 7"

        def __init__(self, opened):
            self.open = lambda: opened

    with open(paths[0], "rb") as stream:
        content = stream.read()
    sources = [InMemory(content), InMemory(io.BytesIO(content)), InMemory(b""), InMemory(content[:-40])]
    files = ImageFiles(sources, "off")
    np.testing.assert_array_equal(files.read([0, 1], 5), [expected(pixels[0], 5)] * 2)
    with pytest.raises(DataError, match="^x.tfrecord record 7 is empty; replace or remove it$"):
        files.read([2], 5)
    with pytest.raises(DataError, match="^x.tfrecord record 7 cannot be read: "):
        files.read([3], 5)


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "gone", "folder"])
def test_an_image_that_cannot_be_read_is_named(photos, tmp_path, damage):
    paths, _ = photos
    bad = tmp_path / "3.png"
    content = bad.read_bytes()
    bad.unlink()
    if damage == "folder":
        bad.mkdir()
    elif damage != "gone":
        bad.write_bytes({"empty": b"", "truncated": content[:-50], "text": b"words " * 20}[damage])
    files = files_of(paths)
    with pytest.raises(DataError) as caught:
        files.read(range(10), 8)
    message = str(caught.value)
    assert message.startswith(f"{bad} ") and "\n" not in message
    assert files.read([0, 1, 2, 4], 8).shape == (4, 8, 8, 3)


def test_the_first_of_several_failures_is_named(photos, tmp_path):
    for name in ("8.png", "2.png"):
        (tmp_path / name).write_bytes(b"")
    for _ in range(20):
        with pytest.raises(DataError, match="2.png is empty"):
            files_of(photos[0]).read(range(10), 8)


def test_images_are_decoded_at_the_same_time(photos):
    """Each source waits for another one to be opened: one thread alone would wait for ever."""
    paths, _ = photos
    together = threading.Barrier(2, timeout=20)

    class Waiting(FileSource):
        __slots__ = ()

        def open(self):
            together.wait()
            return super().open()

    assert len(ImageFiles([Waiting(path) for path in paths[:4]], "off").read(range(4), 8)) == 4


def test_a_thread_may_read_while_another_does(photos):
    paths, pixels = photos
    files, found = files_of(paths), {}

    def read(start):
        found[start] = files.read([(start + i) % 10 for i in range(20)], 7)

    threads = [threading.Thread(target=read, args=[start]) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for start in range(6):
        np.testing.assert_array_equal(found[start], [expected(pixels[(start + i) % 10], 7) for i in range(20)])


def test_a_hundred_thousand_are_small(run_python):
    code = """
import re, sys
import numpy as np
from slimft.data.image_files import FileSource, ImageFiles
# Not ru_maxrss, which begins with what the process that started this one had.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
before = peak()
files = ImageFiles([FileSource(f"/somewhere/with/a/name/class_{i % 10}/image_{i:08}.jpg") for i in range(100_000)])
files.select(np.arange(0, 100_000, 2))
print(peak() - before)
"""
    assert 5e6 < int(run_python(code)) < 35e6


def test_a_fork_reads_too(run_python, photos):
    code = """
import os, sys
from slimft.data.image_files import FileSource, ImageFiles
files = ImageFiles([FileSource(path) for path in sys.argv[1:]], "off")
before = files.read(range(10), 8)
child = os.fork()
if not child:
    os._exit(7 if (files.read(range(10), 8) == before).all() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(code, *photos[0]).strip() == "7"
