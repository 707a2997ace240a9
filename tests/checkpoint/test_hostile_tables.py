"""Table files made to do harm: blocks that are cyclic, overlap or claim too much, and keys that explode."""

import os
import tracemalloc

import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint.table import MAGIC, Table
from slimft.wire.binary_file import BinaryFile, Malformed
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import varint

HUGE = [(1 << 64) - 1, (1 << 63) - 1, 1 << 63, 1 << 40, 1 << 31]
RESTARTS = b"\0\0\0\0\1\0\0\0"


def entry(key, value, shared=0):
    """An entry of a block: `key` without what it shares with the one before."""
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def block(contents, compression=0):
    """A block as it lies in the file, with a right checksum."""
    octets = contents + bytes([compression])
    return octets + masked(crc32c(octets)).to_bytes(4, "little")


def handle(offset, size):
    return varint(offset) + varint(size)


def table(folder, blocks, handles=None, keys=None, restarts=RESTARTS, compression=0, index=None):
    """Writes a table file of blocks of raw contents; `handles` and `keys` are what its index says of them."""
    out, found = b"", []
    for contents in blocks:
        found.append((len(out), len(contents) + len(restarts)))
        out += block(contents + restarts, compression)
    handles = found if handles is None else handles
    keys = keys or [b"~%03d" % number for number in range(len(handles))]
    contents = b"".join(entry(key, handle(*each)) for key, each in zip(keys, handles)) + RESTARTS
    index = (len(out), len(contents)) if index is None else index
    file = folder / "bad.ckpt"
    file.write_bytes(out + block(contents) + (handle(0, 0) + handle(*index)).ljust(40, b"\0") + MAGIC)
    return file


def fails(file, *words):
    """Both readers of tables, with checksums and without, say all of `words`; and so does open_checkpoint."""
    for verify in (True, False):
        for read in (list, lambda opened: opened.value(b"")):
            with pytest.raises(Malformed) as caught:
                read(Table(BinaryFile(str(file)), verify))
            for word in words:
                assert word in str(caught.value)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(file)
    assert str(file) in str(caught.value) and str(caught.value).isprintable()


def test_the_tables_of_these_tests_are_tables(tmp_path):
    """Else what follows would fail for another reason."""
    file = table(tmp_path, [entry(b"", b"nothing") + entry(b"a", b"1") + entry(b"b", b"2", shared=1), b""])
    opened = Table(BinaryFile(str(file)), verify=True)
    assert [(key, bytes(value)) for key, value in opened] == [(b"", b"nothing"), (b"a", b"1"), (b"ab", b"2")]
    assert bytes(opened.value(b"ab")) == b"2" and opened.value(b"b") is None


def test_blocks_that_are_the_index_itself_or_come_twice(tmp_path):
    first = entry(b"", b"x")
    size = len(first) + 8
    index_size = 3 + 3 + 2 + 8
    fails(table(tmp_path, [first], handles=[(size + 5, index_size)]), "overlap")
    fails(table(tmp_path, [first], handles=[(0, size), (0, size)]), "overlap")
    fails(table(tmp_path, [first, first], handles=[(size + 5, size), (0, size)]), "overlap")
    fails(table(tmp_path, [first * 9], handles=[(0, size * 9 - 64), (20, size)]), "overlap")
    fails(table(tmp_path, [first, first], keys=[b"b", b"a"]), "out of order")
    fails(table(tmp_path, [first, first], keys=[b"a", b"a"]), "out of order")
    # The footer's index is the first block, which is none.
    fails(table(tmp_path, [first], index=(0, size)))


@pytest.mark.parametrize("number", HUGE)
def test_places_beyond_everything(tmp_path, number):
    first = entry(b"", b"x")
    for place in [(number, 13), (0, number), (number, number), (1, number)]:
        fails(table(tmp_path, [first], handles=[place]), "outside the file")
        fails(table(tmp_path, [first], index=place), "outside the file")


def test_places_past_the_end(tmp_path):
    file = table(tmp_path, [entry(b"", b"x")])
    blocks = file.stat().st_size - 48
    for offset, size in [(blocks, 0), (blocks - 4, 0), (0, blocks - 4), (0, blocks), (0, blocks + 48)]:
        fails(table(tmp_path, [entry(b"", b"x")], index=(offset, size)), "outside the file")


def test_compressed_blocks(tmp_path):
    fails(table(tmp_path, [entry(b"", b"x")], compression=1), "Snappy")
    fails(table(tmp_path, [entry(b"", b"x")], compression=2), "unknown way")


def test_restarts_that_are_not_there(tmp_path):
    for restarts in (b"", b"\1\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x10\0\0\0", b"\0\0\0\x40"):
        fails(table(tmp_path, [b"" if len(restarts) < 4 else entry(b"", b"x")], restarts=restarts))


def test_entries_that_claim_too_much(tmp_path):
    for number in [*HUGE, 30]:
        for numbers in [(0, 0, number), (0, number, 0), (number, 0, 0), (0, number, number)]:
            fails(table(tmp_path, [b"".join(map(varint, numbers)) + b"abc"]))
    for contents in (b"\x80", b"\0\x80", b"\0\0\x80", b"\x80" * 20, b"\xff" * 20, b"\0"):
        fails(table(tmp_path, [contents]), "varint")
    # The first entry has none before it to share a key with; and none may share more than there is.
    fails(table(tmp_path, [entry(b"a", b"", shared=1)]), "longer than its block")
    fails(table(tmp_path, [entry(b"a", b"") + entry(b"b", b"", shared=2)]), "longer than its block")


def test_keys_out_of_order(tmp_path):
    for contents in (
        entry(b"b", b"") + entry(b"a", b""),
        entry(b"a", b"") + entry(b"a", b""),
        entry(b"a", b"") + entry(b"", b"", shared=1),
        entry(b"", b"") * 2,
    ):
        fails(table(tmp_path, [contents]), "out of order")
    # From block to block only reading all of it tells.
    file = table(tmp_path, [entry(b"b", b""), entry(b"a", b"")])
    with pytest.raises(Malformed, match="out of order"):
        list(Table(BinaryFile(str(file)), verify=True))


@pytest.mark.parametrize("read", [list, lambda opened: opened.value(b"a")])
def test_keys_that_explode(tmp_path, read):
    """Each entry of four bytes repeats the key before it, and one byte: 100,000 of them would be 5 GB."""
    count = 100_000
    contents = entry(b"a", b"") + b"".join(entry(b"a", b"", shared=length) for length in range(1, count))
    file = table(tmp_path, [contents])
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="absurdly long"):
            read(Table(BinaryFile(str(file)), verify=True))
        assert tracemalloc.get_traced_memory()[1] < 80 * file.stat().st_size
    finally:
        tracemalloc.stop()
    # Where names merely have a long beginning in common, they are read.
    contents = entry(b"n" * 1000, b"") + b"".join(entry(b"%03d" % n, b"", shared=1000) for n in range(100))
    assert len(list(Table(BinaryFile(str(table(tmp_path, [contents]))), verify=True))) == 101


def test_files_that_are_nothing_but_a_footer(tmp_path):
    file = tmp_path / "bad.ckpt"
    for footer in (b"\0", b"\xff" * 40, b"\x80" * 40, handle(0, 0) + handle(48, 0), handle(0, 0) + handle(0, 43)):
        file.write_bytes(footer.ljust(40, b"\0") + MAGIC)
        fails(file)
    for size in range(48):
        file.write_bytes((b"\0" * 48 + MAGIC)[-size:] if size else b"")
        with pytest.raises(Malformed, match="too short"):
            Table(BinaryFile(str(file)), verify=True)
        with pytest.raises(CheckpointError):
            open_checkpoint(file)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.ckpt")
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_checkpoint(tmp_path / "pipe.ckpt")
    os.mkfifo(tmp_path / "bad.index")
    (tmp_path / "bad.data-00000-of-00001").touch()
    with pytest.raises(CheckpointError):
        open_checkpoint(tmp_path / "bad")
    with pytest.raises(Malformed, match="not a regular file"):
        BinaryFile("/dev/zero")
    with pytest.raises(Malformed, match="not a regular file"):
        BinaryFile(str(tmp_path / "bad.index"))
