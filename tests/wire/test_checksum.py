"""CRC-32C in parts and in parallel, against google-crc32c's own function and RFC 3720's examples."""

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft.wire import checksum
from slimft.wire.binary_file import BinaryFile

RANDOM = np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"", 0)],
)
def test_the_rfcs_examples(data, wanted):
    assert checksum.crc32c(data) == wanted


@settings(deadline=None, max_examples=200)
@given(size=st.integers(0, RANDOM.size), stride=st.integers(1, 1 << 19), so_far=st.integers(0, 2**32 - 1))
def test_strides_combine_to_the_whole(size, stride, so_far):
    stride = max(stride, size // 50 + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checksum, "STRIDE", stride)
        assert checksum.crc32c(RANDOM[:size], so_far) == google_crc32c.extend(so_far, bytes(RANDOM[:size]))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_read_in_strides(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(checksum, "STRIDE", 100_000)
    monkeypatch.setattr(checksum.system, "processors", lambda: threads)
    (tmp_path / "file").write_bytes(RANDOM)
    file = BinaryFile(str(tmp_path / "file"))
    buffer = np.zeros(RANDOM.size - 12_345, np.uint8)
    wanted = google_crc32c.value(bytes(RANDOM[12_345:]))
    assert file.read_into(buffer, 12_345, checked=True) == wanted == file.crc32c(12_345, buffer.size)
    np.testing.assert_array_equal(buffer, RANDOM[12_345:])
    assert file.read_into(buffer, 0) is None
    np.testing.assert_array_equal(buffer, RANDOM[: buffer.size])


def test_without_the_c_library(monkeypatch):
    def missing(path):
        raise OSError("no such library")

    monkeypatch.setattr(checksum.ctypes, "CDLL", missing)
    extend = checksum._find_extend()
    assert extend is google_crc32c.extend
    assert extend(7, RANDOM) == checksum.extend(7, RANDOM)


def test_masked_is_tensorflows():
    # tensorflow/core/lib/hash/crc32c.h: rotated right by 15 bits plus a constant.
    assert checksum.masked(0) == 0xA282EAD8
    assert checksum.masked(0x8000) == 0xA282EAD9
    assert checksum.masked(1) == (0x20000 + 0xA282EAD8)
