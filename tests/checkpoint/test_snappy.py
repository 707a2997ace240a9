"""Tables compressed with Snappy, by cramjam (its implementation in Rust); TensorFlow reads them too."""

import pathlib
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint.snappy import decompress
from slimft.checkpoint.table import MAGIC, Table, build_table
from slimft.wire.binary_file import BinaryFile, Malformed
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import varint

snappy = pytest.importorskip("cramjam").snappy
GOLDEN = pathlib.Path(__file__).parent / "golden"
RESTARTS = b"\0\0\0\0\1\0\0\0"


def compressed(file):
    """The table in `file` with all blocks compressed, its index too."""
    octets, table = file.read_bytes(), Table(BinaryFile(str(file)), verify=True)
    out, entries = bytearray(), []

    def append(block):
        block = bytes(snappy.compress_raw(block))
        place = varint(len(out)) + varint(len(block))
        out.extend(block + b"\1" + masked(crc32c(block + b"\1")).to_bytes(4, "little"))
        return place

    for key, (offset, size) in zip(table._keys, table._blocks):
        place = append(octets[offset : offset + size])
        entries.append(varint(0) + varint(len(key)) + varint(len(place)) + key + place)
    places = append(RESTARTS) + append(b"".join(entries) + RESTARTS)
    return bytes(out) + places.ljust(40, b"\0") + MAGIC


def copy_compressed(case, folder):
    """A golden checkpoint in `folder`, its tables compressed; returns its path."""
    for file in (GOLDEN / case).glob("model.ckpt*"):
        if file.name.endswith(".index") or case.startswith("v1"):
            (folder / file.name).write_bytes(compressed(file))
        else:
            shutil.copy(file, folder)
    return folder / "model.ckpt"


def same(one, other):
    if other.dtype.hasobject:
        return one.shape == other.shape and one.tolist() == other.tolist()
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.mark.parametrize("case", ["v1", "v1_partitioned", "v1_sliced", "v1_tiny", "v2", "v2_objects", "v2_tiny"])
def test_compressed_checkpoints_are_what_they_were(tmp_path, case):
    from slimft.compat import tf

    path, plain = copy_compressed(case, tmp_path), open_checkpoint(GOLDEN / case / "model.ckpt")
    found, theirs = open_checkpoint(path), tf.train.load_checkpoint(str(path))
    assert list(found) == list(plain) and found.format == plain.format
    for name in plain:
        assert found.shape(name) == plain.shape(name)
        try:
            expected = plain[name]
        except CheckpointError:  # A variant.
            continue
        assert same(found[name], expected), name
        if "sliced" not in case and "part" not in case and expected.dtype in (np.float32, np.int64):
            np.testing.assert_array_equal(theirs.get_tensor(name), found[name])
    assert not list(found.verify())


def test_a_value_of_a_block_of_its_own_and_many_of_one(tmp_path):
    """By key, as V1 checkpoints are read, in whichever order."""
    rng = np.random.default_rng(0)
    items = {b"%04d" % number: rng.bytes(3000) + bytes(3000) for number in range(300)}
    items[b"large"] = bytes(3 << 20) + rng.bytes(1 << 20)
    (tmp_path / "plain").write_bytes(build_table(sorted(items.items())))
    (tmp_path / "table").write_bytes(compressed(tmp_path / "plain"))
    table = Table(BinaryFile(str(tmp_path / "table")), verify=True)
    for key in (b"0299", b"large", b"0000", b"0001", b"large", b"0150"):
        value = table.value(key, align_last=64)
        assert value.tobytes() == items[key] and (value.ctypes.data + len(value) - 64) % 64 == 0
    assert table.value(b"none") is None
    assert {key: bytes(value) for key, value in table} == items


def test_the_official_kind(shared):
    if not (shared / "cases" / "snappy").is_dir():
        pytest.skip("needs cases/snappy")
    checkpoint = open_checkpoint(shared / "cases" / "snappy" / "s")
    assert {name: float(checkpoint[name]) for name in checkpoint} == {"a": 0.5, "a2": 0.5, "b": 2, "c": 3, "c2": 3}


def test_a_flipped_byte_changes_no_value(tmp_path):
    path, plain = copy_compressed("v1_tiny", tmp_path), open_checkpoint(GOLDEN / "v1_tiny" / "model.ckpt")
    octets, errors = path.read_bytes(), 0
    for position in range(0, len(octets), 5):
        path.write_bytes(octets[:position] + bytes([octets[position] ^ 0x55]) + octets[position + 1 :])
        try:
            for name, value in open_checkpoint(path).items():
                assert same(value, plain[name])  # It was in the padding, or the block that is never used.
        except CheckpointError:
            errors += 1
        try:
            list(open_checkpoint(path, verify=False).verify())
        except CheckpointError:
            pass
    assert errors > len(octets) / 5 / 2


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 90)), max_size=40))
def test_what_cramjam_compresses(parts):
    data = b"".join(octets * times for octets, times in parts)
    assert bytes(decompress(memoryview(bytes(snappy.compress_raw(data))))) == data


@given(st.binary(max_size=300), st.integers(0, 400))
@settings(max_examples=500)
def test_any_bytes_are_read_as_cramjam_reads_them_or_are_an_error(octets, size):
    data = varint(size) + octets
    try:
        found = bytes(decompress(memoryview(data)))
    except Malformed as error:
        assert "block" in str(error)
        found = None
    try:
        theirs = bytes(snappy.decompress_raw(data))
    except Exception:
        theirs = None
    assert found == theirs


def test_lengths_that_are_claimed(tmp_path):
    for size in (1 << 20, 1 << 31, (1 << 64) - 1):
        tracemalloc.start()
        with pytest.raises(Malformed, match="is said to be"):
            decompress(memoryview(varint(size) + b"\0a" * 20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100_000
    with pytest.raises(Malformed, match="leads out of the block"):
        decompress(memoryview(varint(4) + b"\x01\x01"))
    with pytest.raises(Malformed, match="they are 1 bytes, not 4"):
        decompress(memoryview(varint(4) + b"\x00a"))
