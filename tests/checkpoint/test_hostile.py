"""TensorFlow checkpoints made to do harm: each is a CheckpointError of one line, in bounded memory and time."""

import pathlib
import signal
import tracemalloc

import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint.slices import slice_key
from slimft.checkpoint.table import Table, build_table
from slimft.wire.binary_file import BinaryFile
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import field, varint

GOLDEN = pathlib.Path(__file__).parent / "golden"
FLOAT, INT, STRING, COMPLEX128 = 1, 3, 7, 18
ONE_FILE = field(1, 1)
HUGE = [(1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 62, 1 << 40, 1 << 31]


@pytest.fixture(autouse=True)
def watchdog():
    """What hangs fails instead."""

    def ring(*_):
        pytest.fail("over a minute for one hostile file")  # Not an Exception, which could be taken for the file's.

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture(autouse=True, scope="module")
def everything_is_imported():
    """What is imported when the first variable is read counts for none of the files here."""
    for case in ("v1_sliced", "v2_sliced"):
        list(open_checkpoint(GOLDEN / case).verify())


def shape_of(dimensions):
    return b"".join(field(2, field(1, size)) for size in dimensions)


def slice_of(extents):
    """A TensorSliceProto; None is a whole dimension."""
    return b"".join(field(1, b"" if e is None else field(1, e[0]) + field(2, e[1])) for e in extents)


def entry(enum, dimensions, offset=0, size=0, data=b"", shard=0, slices=()):
    """A BundleEntryProto; its checksum is that of `data`, its size too if that is given."""
    size = len(data) or size
    numbers = field(1, enum) + field(2, shape_of(dimensions)) + field(3, shard) + field(4, offset) + field(5, size)
    return numbers + field(6, masked(crc32c(data)), fixed32=True) + b"".join(field(7, slice_of(s)) for s in slices)


def v2(folder, entries, data=b"\0" * 64, header=ONE_FILE):
    """Writes a V2 checkpoint with these records in its index."""
    records = {key.encode() if isinstance(key, str) else key: value for key, value in entries.items()}
    (folder / "bad.index").write_bytes(build_table([(b"", header), *sorted(records.items())]))
    (folder / "bad.data-00000-of-00001").write_bytes(data)
    return folder / "bad"


def v1(folder, variables, records):
    """Writes a V1 checkpoint: variables of (name, dimensions, enum, slices), records of (name, slice, values)."""
    meta = b"".join(
        field(
            1,
            field(1, name.encode())
            + field(2, shape_of(dimensions))
            + field(3, enum)
            + b"".join(field(4, slice_of(s)) for s in slices),
        )
        for name, dimensions, enum, slices in variables
    )
    items = [(b"", field(1, meta))]
    for name, extents, values in records:
        key = slice_key(name, tuple((0, -1) if e is None else e for e in extents))
        items.append((key, field(2, field(1, name.encode()) + field(2, slice_of(extents)) + field(3, values))))
    (folder / "bad.ckpt").write_bytes(build_table(sorted(items)))
    return folder / "bad.ckpt"


def fails(path, *words, name=None, most=1 << 18):
    """Opens it and reads a variable or all; a CheckpointError says all of `words`, in at most so many bytes."""
    # Imports are none of the file's doing.
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            checkpoint = open_checkpoint(path)
            for each in [name] if name else checkpoint:
                checkpoint[each]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(str(path)) and message.isprintable()
    for word in [*words, f"cannot read {name}: "] if name else words:
        assert word in message
    assert peak < most, f"{peak} bytes of memory"


@pytest.mark.parametrize("number", HUGE)
def test_v2_sizes_and_offsets_beyond_everything(tmp_path, number):
    fails(v2(tmp_path, {"x": entry(FLOAT, [4], size=number)}), name="x")
    fails(v2(tmp_path, {"x": entry(FLOAT, [4], offset=number, size=16)}), name="x")
    fails(v2(tmp_path, {"x": entry(FLOAT, [4], offset=number, size=number)}), name="x")
    fails(v2(tmp_path, {"x": entry(FLOAT, [number // 4], size=number)}))
    fails(v2(tmp_path, {"x": entry(STRING, [number // 4], size=number)}))
    fails(v2(tmp_path, {"x": entry(FLOAT, [4], size=16, shard=number)}), "data file", name="x")
    # Dimensions that make nothing of it, and those whose product overflows.
    for dimensions in ([number, number], [2, number, number], [number, 0], [0, number]):
        fails(v2(tmp_path, {"x": entry(FLOAT, dimensions, size=16)}))


def test_v2_offsets_past_the_end(tmp_path):
    for offset, size in [(64, 4), (61, 4), (0, 68), (-4, 4), (60, -4), (64, 0)]:
        path = v2(tmp_path, {"x": entry(FLOAT, [size // 4 if size > 0 else 1], offset=offset, size=size)})
        if (offset, size) == (64, 0):
            fails(path, "it has 0 bytes", name="x")
        else:
            fails(path, "cut short", name="x")


def test_v2_numbers_of_data_files(tmp_path):
    entries = {"x": entry(FLOAT, [4], size=16)}
    fails(v2(tmp_path, entries, header=field(1, 1 << 31)), "data-00000-of-2147483648 is missing", name="x")
    for shards in (0, -1, 1 << 63):
        fails(v2(tmp_path, entries, header=field(1, shards)), "data file", name="x")
    fails(v2(tmp_path, entries, header=ONE_FILE + field(2, 1)), "big-endian")
    fails(v2(tmp_path, entries, header=field(1, b"one")), "a number should be")


def test_v2_shapes_that_cannot_be(tmp_path):
    for dimensions in ([1] * 40, [1] * 100_000, [-1], [2, -5], [1 << 30] * 3):
        fails(v2(tmp_path, {"x": entry(FLOAT, dimensions, size=4)}), "its shape", "cannot be", most=1 << 23)
    unknown_rank = field(1, FLOAT) + field(2, field(3, 1)) + field(5, 4)
    fails(v2(tmp_path, {"x": unknown_rank}), "shape is unknown")


def test_v2_dtypes_without_values(tmp_path):
    for enum, kind in [(0, "number 0"), (20, "resource"), (21, "variant"), (101, "101"), (-7, "-7"), (99, "99")]:
        fails(v2(tmp_path, {"x": entry(enum, [4], size=16)}), kind, name="x")


def test_v2_strings_that_lie_about_their_lengths(tmp_path):
    for length in HUGE:
        data = varint(length) + b"\0" * 20
        fails(v2(tmp_path, {"x": entry(STRING, [1], data=data)}, data), name="x")
    for data in (b"\x80" * 30, b"\1" * 3, b"\0", b"\2\0\0\0\0a", b"\0\0\0\0\0a"):
        fails(v2(tmp_path, {"x": entry(STRING, [1], data=data)}, data), name="x")
    fails(v2(tmp_path, {"x": entry(STRING, [1 << 40], size=64)}), "are not in 64 bytes", name="x")


def test_v2_slices_that_overlap_or_leave_gaps(tmp_path):
    def sliced(dimensions, slices, size=None):
        entries = {"x": entry(FLOAT, dimensions, slices=slices)}
        for extents in slices:
            lengths = [length for _, length in extents]
            data = b"\0" * (4 * int(np.prod(lengths)))
            entries[slice_key("x", extents)] = entry(FLOAT, lengths, data=data)
        return v2(tmp_path, entries)

    fails(sliced([4], [((0, 2),), ((1, 2),)]), "overlap", name="x")
    fails(sliced([4], [((0, 2),), ((3, 1),)]), "hold 3 of 4", name="x")
    fails(sliced([4], [((0, 2),), ((0, 2),)]), "overlap", name="x")
    fails(sliced([4], [((0, 2),), ((1, 2),), ((3, 1),)]), "hold 5 of 4", name="x")
    fails(sliced([4], [((2, 4),)]), "outside the dimension", name="x")
    fails(sliced([4], [((0, 2), (0, 2))]), "2 dimensions", name="x")
    fails(sliced([2, 2], [((0, 2), (0, 1)), ((0, 1), (0, 2))]), "overlap", name="x")
    fails(sliced([3, 3], [((0, 2), (0, 2)), ((1, 2), (1, 2)), ((2, 1), (0, 1))]), "overlap", name="x")
    # The sum is right, but nothing covers the corner.
    fails(sliced([2, 2], [((0, 1), (0, 2)), ((0, 1), (0, 1)), ((1, 1), (1, 1))]), "overlap", name="x")


def test_v2_slices_with_extents_beyond_everything(tmp_path):
    for number in HUGE:
        for extents in ([(number, 2)], [(0, number)], [(number, number)], [(1, number)], [(-2, 4)]):
            path = v2(tmp_path, {"x": entry(FLOAT, [4], slices=[extents, extents])})
            # (0, -1) is a whole dimension.
            fails(path, "missing" if extents == [(0, (1 << 64) - 1)] else "outside", name="x")


def test_v2_slices_of_slices_and_slices_that_are_not_there(tmp_path):
    whole = ((0, 4),)
    recursive = entry(FLOAT, [4], slices=[whole])
    fails(v2(tmp_path, {"x": recursive, slice_key("x", whole): recursive}), "another shape or dtype", name="x")
    fails(v2(tmp_path, {"x": recursive}), "missing", name="x")
    other = {"x": recursive, slice_key("x", whole): entry(INT, [4], size=16)}
    fails(v2(tmp_path, other), "another shape or dtype", name="x")


def test_v2_slices_that_share_their_bytes(tmp_path):
    """A thousand slices of the same megabyte would make a gigabyte of it."""
    count, data = 1000, b"\0" * (1 << 20)
    slices = [((row, 1), (0, 1 << 18)) for row in range(count)]
    entries = {"x": entry(FLOAT, [count, 1 << 18], slices=slices)}
    entries |= {slice_key("x", extents): entry(FLOAT, [1, 1 << 18], data=data) for extents in slices}
    fails(v2(tmp_path, entries, data), "less than its shape", name="x", most=1 << 23)


def test_slices_by_the_ten_thousand_take_no_quadratic_time(tmp_path):
    count = 15_000
    slices = [((0, 1), (column, 1)) for column in range(count)]
    entries = {"x": entry(FLOAT, [1, count], slices=slices)}
    data = b"\0" * 4 * count
    entries |= {slice_key("x", e): entry(FLOAT, [1, 1], offset=4 * e[1][0], data=b"\0" * 4) for e in slices}
    np.testing.assert_array_equal(open_checkpoint(v2(tmp_path, entries, data))["x"], np.zeros([1, count]))
    # The same, but the last lies where the first does.
    entries["x"] = entry(FLOAT, [1, count], slices=[*slices[:-1], ((0, 1), (0, 1))])
    fails(v2(tmp_path, entries, data), "overlap", name="x", most=1 << 26)


def test_names_that_look_like_paths_or_escapes_are_only_names(tmp_path):
    names = ["../../up", "..", "/etc/passwd", "a/../b", "new\nline", "\x1b[31mred", "\udcff"]
    records = {name.encode("utf-8", "surrogateescape"): entry(FLOAT, [1], size=4) for name in names}
    checkpoint = open_checkpoint(v2(tmp_path, records), verify=False)
    assert set(checkpoint) == set(names)
    assert all(checkpoint[name] == 0 for name in names)
    for name in names:
        with pytest.raises(CheckpointError) as caught:
            open_checkpoint(tmp_path / "bad")[name]
        assert str(caught.value).isprintable()


def test_a_v2_object_graph_that_is_none(tmp_path):
    key, data = "_CHECKPOINTABLE_OBJECT_GRAPH", b"\1\0\0\0\0\xff"
    for bad in (entry(STRING, [1], data=data), entry(FLOAT, [], size=4), entry(FLOAT, [3], size=12)):
        checkpoint = open_checkpoint(v2(tmp_path, {key: bad}, data + b"\0" * 20), verify=False)
        with pytest.raises(CheckpointError) as caught:
            checkpoint.aliases()
        assert str(caught.value).startswith(str(tmp_path / "bad"))


@pytest.mark.parametrize("number", HUGE)
def test_v1_shapes_beyond_everything(tmp_path, number):
    floats = field(5, b"\0" * 16)
    for dimensions in ([number], [number, 0], [number, number], [2, number, number]):
        whole = [None] * len(dimensions)
        fails(v1(tmp_path, [("x", dimensions, FLOAT, [whole])], [("x", whole, floats)]))
        fails(v1(tmp_path, [("x", dimensions, STRING, [whole])], [("x", whole, field(8, b""))]))
    for extents in ([(number, 2)], [(number, number)], [(1, number)]):
        fails(v1(tmp_path, [("x", [4], FLOAT, [extents])], [("x", extents, floats)]), name="x")
    halves = [[(0, number // 2)], [(number // 2, number - number // 2)]]
    fails(v1(tmp_path, [("x", [number], FLOAT, halves)], [("x", half, floats) for half in halves]))


def test_v1_values_that_do_not_fit(tmp_path):
    whole = [None]
    for values, said in [
        (field(5, b"\0" * 12), "3 values"),
        (field(5, b"\0" * 20), "5 values"),
        (field(5, b"\0" * 15), "not of dtype"),
        (field(4, b"\0" * 15), "not of dtype"),
        (field(6, b"\0" * 32), "0 values"),
        (b"", "0 values"),
        (field(5, 1), "a number stands where bytes should be"),
        (b"\xff" * 16, "64 bits"),
    ]:
        fails(v1(tmp_path, [("x", [4], FLOAT, [whole])], [("x", whole, values)]), said, name="x")
    fails(v1(tmp_path, [("x", [4], FLOAT, [whole])], []), "missing", name="x")
    fails(v1(tmp_path, [("x", [4], FLOAT, [])], []), "hold 0 of 4", name="x")
    fails(v1(tmp_path, [("x", [4], COMPLEX128, [whole])], [("x", whole, field(12, b"\0" * 56))]), "dtype", name="x")
    fails(v1(tmp_path, [("x", [4], 101, [whole])], []), "its dtype, number 101")


def test_v1_slices_that_overlap_or_leave_gaps(tmp_path):
    def sliced(*extents, dimensions=(4,)):
        records = [("x", [extent], field(5, b"\0" * 4 * extent[1])) for extent in sorted({*extents})]
        return v1(tmp_path, [("x", dimensions, FLOAT, [[extent] for extent in extents])], records)

    fails(sliced((0, 2), (1, 2)), "overlap", name="x")
    fails(sliced((0, 2), (3, 1)), "hold 3 of 4", name="x")
    fails(sliced((0, 2), (0, 2)), "overlap", name="x")
    fails(sliced((0, 3)), "hold 3 of 4", name="x")
    fails(sliced((0, 2), (2, 3)), "outside", name="x")
    fails(sliced((0, 500), (500, 500), dimensions=[1 << 50]), "more elements than the file", name="x")
    whole = ("x", [4], FLOAT, [[None]])
    fails(v1(tmp_path, [whole, whole], [("x", [None], field(5, b"\0" * 16))]), "hold 8 of 4", name="x")
    other = ("x", [2, 2], FLOAT, [[None, None]])
    fails(v1(tmp_path, [whole, other], []), "disagree about x")


def test_v1_records_filed_under_another_name(tmp_path):
    x, values = ("x", [4], FLOAT, [[None]]), field(5, b"\0" * 16)
    fails(v1(tmp_path, [x], [("y", [None], values)]), "missing", name="x")
    path = v1(tmp_path, [x], [("x", [None], values)])
    items = dict(Table(BinaryFile(str(path)), verify=True))
    for name, extents in [(b"y", [None]), (b"x", [(0, 4)])]:
        key = slice_key("x", ((0, -1),))
        items[key] = field(2, field(1, name) + field(2, slice_of(extents)) + field(3, values))
        path.write_bytes(build_table((key, bytes(value)) for key, value in items.items()))
        fails(path, "filed under another name", name="x")


def test_v1_floods_of_numbers(tmp_path):
    count, whole = 1 << 18, [None]
    for enum, values, said in [
        (INT, field(7, b"\x80" * count), "cut off"),
        (INT, field(7, b"\x80" * count + b"\1"), "64 bits"),
        (INT, field(7, b"\1" * (count - 1)), "262143 values"),
        (INT, field(7, 1) * (count // 2), "too many pieces"),
        (FLOAT, (varint(5 << 3 | 5) + b"\0" * 4) * (count // 3), "too many pieces"),
        (STRING, field(8, b"") * (count // 2), "131072 values"),
        (INT, field(99, 1) * (count // 3), "0 values"),
    ]:
        path = v1(tmp_path, [("x", [count], enum, [whole])], [("x", whole, values)])
        fails(path, said, name="x", most=8 << 20)


def test_messages_within_messages_take_no_recursion(tmp_path):
    message = b""
    for _ in range(5000):
        message = field(1, message)
    for path in (tmp_path / "bad.ckpt", tmp_path / "bad.index"):
        path.write_bytes(build_table([(b"", message)]))
    (tmp_path / "bad.data-00000-of-00001").write_bytes(b"")
    fails(tmp_path / "bad.ckpt", "no UTF-8")
    fails(tmp_path / "bad", "bytes stand where a number should be")
    path = v2(tmp_path, {"x": entry(FLOAT, [4]) + field(2, message), "y": entry(FLOAT, [4]) + field(7, message)})
    fails(path)


def test_more_than_there_is_memory(tmp_path, monkeypatch):
    def too_much(*_):
        raise MemoryError("Unable to allocate 1.00 TiB")

    path = v2(tmp_path, {"x": entry(FLOAT, [4], data=b"\0" * 16)})
    checkpoint = open_checkpoint(path)
    monkeypatch.setattr("slimft.checkpoint.tensorflow_v2.aligned_buffer", too_much)
    with pytest.raises(CheckpointError, match="cannot read x: Unable to allocate 1.00 TiB"):
        checkpoint["x"]
