"""Pixels in flight: never more than the budget, whoever asks; and what hostile pictures take of memory."""

import struct
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft.data.pixel_budget import PixelBudget


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=20), st.integers(1, 6))
def test_never_more_than_the_budget_but_one_alone(wanted, threads):
    budget, lock, now, wrong = PixelBudget(100), threading.Lock(), [], []
    wanted = list(wanted)

    def work():
        while True:
            with lock:
                if not wanted:
                    return
                pixels = wanted.pop()
            with budget.hold(pixels):
                with lock:
                    now.append(pixels)
                    if sum(now) > 100 and len(now) > 1:
                        wrong.append(list(now))
                with lock:
                    now.remove(pixels)

    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(20)
    assert not any(thread.is_alive() for thread in started) and wrong == [] and wanted == []


def test_small_ones_do_not_keep_a_large_one_waiting():
    budget, order = PixelBudget(100), []
    first = budget.hold(60)
    first.__enter__()

    def ask(pixels):
        with budget.hold(pixels):
            order.append(pixels)

    threads = []
    for pixels in (500, 10, 20):
        threads.append(threading.Thread(target=ask, args=[pixels]))
        threads[-1].start()
        while len(budget._waiting) < len(threads):
            pass
    assert order == []
    first.__exit__(None, None, None)
    for thread in threads:
        thread.join(20)
    assert order[0] == 500


def test_a_failure_gives_back_what_it_had():
    budget = PixelBudget(100)
    for _ in range(3):
        with pytest.raises(ValueError), budget.hold(100):
            raise ValueError
    with budget.hold(100):
        pass


def test_a_fork_has_the_whole_budget(run_python):
    code = """
import os, threading
from slimft.data.pixel_budget import PixelBudget
budget = PixelBudget(10)
with budget.hold(10):
    child = os.fork()
    if not child:
        with budget.hold(10):
            os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(code).strip() == "7"


def rgba_png(path, width, height):
    """A PNG of that many half transparent pixels, in a few hundred kilobytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer, row = zlib.compressobj(1), b"\0" + b"\x0a\x14\x1e\x80" * width
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


MEASURE = """
import re, sys
from slimft.data.image_files import FileSource, ImageFiles, read_in_order
# Not ru_maxrss, which begins with what the process that started this one had.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10
before = peak()
paths = sys.argv[1:] * 4
files = ImageFiles([FileSource(path) for path in paths], "off")
pixels = files.read(range(4), 32)
assert [len(square) for _, square in read_in_order(map(FileSource, paths), [(32, None)], 1.0, 4)] == [32] * 4
print(peak() - before, *pixels[0, 0, 0], *pixels[3, 31, 31])
"""


def test_copies_of_a_large_picture_take_the_memory_of_one(tmp_path, run_python):
    """Of 99,990,000 pixels; 4 bytes for each are 381 MiB."""
    rgba_png(tmp_path / "large.png", 9999, 10_000)
    most, *pixels = map(int, run_python(MEASURE, str(tmp_path / "large.png")).split())
    assert pixels == [132, 137, 142] * 2
    assert 300 < most < 600


def test_copies_of_a_large_webp_take_the_memory_of_one(shared, run_python):
    file = shared / "cases" / "hostile" / "webp_rgba.webp"
    if not file.exists():
        pytest.skip(f"needs {file}")
    most, *pixels = map(int, run_python(MEASURE, str(file)).split())
    assert pixels == [254] * 6
    assert 300 < most < 700
