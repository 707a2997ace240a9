"""Masks out of MATLAB 5 files: written by SciPy, by hand in the other byte order, and damaged."""

import contextlib
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft import DataError
from slimft.data import matlab
from slimft.data.matlab import read_struct_mask

MASK = np.arange(35, dtype=np.uint8).reshape(5, 7)
COLUMNS = MASK.tobytes(order="F")


def write(file, mask=MASK, compressed=True, **more):
    """A file like those of SBD: a struct whose other fields are a cell of sparse matrices, and numbers."""
    boundaries = np.empty((3, 1), object)
    for i in range(3):
        boundaries[i, 0] = scipy.sparse.csc_matrix(np.eye(5, 7) > 0)
    struct_ = {"Boundaries": boundaries, "Segmentation": mask, "CategoriesPresent": np.array([[3.0]])}
    scipy.io.savemat(file, {"other": np.ones(3), "GTcls": struct_, **more}, do_compression=compressed)
    return file


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 3), (4, 1), (375, 500)])
def test_a_mask_is_as_scipy_reads_it(tmp_path, compressed, shape):
    mask = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    file = write(tmp_path / "a.mat", mask, compressed)
    read = read_struct_mask(file, "GTcls", "Segmentation")
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, mask)
    np.testing.assert_array_equal(read, scipy.io.loadmat(file)["GTcls"][0]["Segmentation"][0])


def element(kind, contents):
    return struct.pack(">II", kind, len(contents)) + contents + bytes(-len(contents) % 8)


def array(kind, shape, name, *parts):
    flags, dimensions = struct.pack(">II", kind, 0), struct.pack(f">{len(shape)}i", *shape)
    return element(14, element(6, flags) + element(5, dimensions) + element(1, name) + b"".join(parts))


def big_endian(*elements):
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI" + b"".join(elements)


def struct_of(mask_array, name=b"GTcls", shape=(1, 1)):
    length = struct.pack(">HHi", 4, 5, 32)  # A small element.
    return array(2, shape, name, length, element(1, b"Segmentation".ljust(32, b"\0")), mask_array)


def bytes_of(shape=(5, 7), values=COLUMNS, kind=9, stored=2):
    return array(kind, shape, b"", element(stored, values))


def test_the_other_byte_order(tmp_path):
    file = tmp_path / "a.mat"
    file.write_bytes(big_endian(struct_of(bytes_of())))
    np.testing.assert_array_equal(scipy.io.loadmat(file)["GTcls"][0]["Segmentation"][0], MASK)
    np.testing.assert_array_equal(read_struct_mask(file, "GTcls", "Segmentation"), MASK)


REFUSED = {
    "empty": (b"", "does not begin"),
    "text": (b"a mask\n" * 100, "does not begin"),
    "nothing in it": (big_endian(), "no variable GTcls"),
    "another variable": (big_endian(struct_of(bytes_of(), name=b"GTinst")), "no variable"),
    "several structs": (big_endian(struct_of(bytes_of(), shape=(1, 2))), "no single struct"),
    "a matrix": (big_endian(array(9, (5, 7), b"GTcls", element(2, MASK.tobytes()))), "no single struct"),
    "doubles": (big_endian(struct_of(bytes_of(kind=6, stored=9, values=bytes(280)))), "no matrix of bytes"),
    "too few values": (big_endian(struct_of(bytes_of(values=bytes(34)))), "34 bytes"),
    "a huge shape": (big_endian(struct_of(bytes_of(shape=(1 << 30, 1 << 30)))), "35 bytes"),
    "no pixels": (big_endian(struct_of(bytes_of(shape=(0, 7), values=b""))), "no matrix"),
    "negative": (big_endian(struct_of(bytes_of(shape=(-5, -7)))), "no matrix"),
    "three dimensions": (big_endian(struct_of(bytes_of(shape=(5, 7, 1)))), "no matrix"),
    "endless dimensions": (big_endian(struct_of(bytes_of(shape=(1,) * 1000))), "over 32 dimensions"),
    "an endless element": (big_endian(struct.pack(">II", 14, 0xFFFFFFF0)), "4294967280 bytes"),
    "a cut tag": (big_endian(b"\0\0\0"), "within a tag"),
    "a large small element": (big_endian(struct.pack(">HHi", 5, 1, 0)), "small element"),
    "no deflate": (big_endian(element(15, b"x" * 64)), "header"),
    "half a deflate": (big_endian(struct.pack(">II", 15, 20) + zlib.compress(bytes(range(256)))[:20]), "cut off"),
}


@pytest.mark.parametrize("contents, reason", REFUSED.values(), ids=REFUSED)
def test_what_is_no_mask(tmp_path, contents, reason):
    (tmp_path / "a.mat").write_bytes(contents)
    with pytest.raises(DataError, match=reason) as raised:
        read_struct_mask(tmp_path / "a.mat", "GTcls", "Segmentation")
    assert "a.mat" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("parts", [1, 80], ids=["one", "many"])
def test_what_unpacks_to_too_much_takes_little_memory(tmp_path, monkeypatch, parts):
    monkeypatch.setattr(matlab, "MOST_UNPACKED_BYTES", 1 << 20)
    size = (40 << 20) // parts
    bomb = zlib.compress(array(9, (size, 1), b"x", element(2, bytes(size))))
    (tmp_path / "a.mat").write_bytes(big_endian(*[struct.pack(">II", 15, len(bomb)) + bomb] * parts))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="unpacks to more than 1,048,576 bytes"):
            read_struct_mask(tmp_path / "a.mat", "GTcls", "Segmentation")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "MOST_FILE_BYTES", 1000)
    (tmp_path / "a.mat").write_bytes(bytes(1001))
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        read_struct_mask(tmp_path / "a.mat", "GTcls", "Segmentation")


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "damaged.mat"
    contents = bytearray(write(file, compressed=data.draw(st.booleans())).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(120, len(contents) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(contents[: data.draw(st.integers(0, len(contents)))] if data.draw(st.booleans()) else contents)
    with contextlib.suppress(DataError):
        mask = read_struct_mask(file, "GTcls", "Segmentation")
        assert mask.dtype == np.uint8 and mask.ndim == 2 and mask.size
