"""How much memory files take that are made to take much, and good ones: in a process of its own for each.

What is promised is in docs/checkpoints.md: `most_bytes` of the file's size for listing it, and what is read beside.
"""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from slimft.checkpoint.memory import FIXED_BYTES, most_bytes
from slimft.checkpoint.slices import slice_key
from slimft.checkpoint.table import MAGIC, build_table
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import field, varint

# Opens a file and reads its variables one after the other; prints what memory that took beyond what Python, NumPy
# and our own code take, the processes that read HDF5 included, the largest variable, and the error.
MEASURE = """
import gc, json, resource, subprocess, sys
import ml_dtypes, numpy
from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import frozen_graph, keras_h5, npz, safetensors, tensorflow_v1, tensorflow_v2

path, read, idle = sys.argv[1], sys.argv[2] == "read", int(sys.argv[3])
before, largest, error = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0, ""
try:
    checkpoint = open_checkpoint(path, verify=False)
    checkpoint.aliases()
    for name in checkpoint if read else ():
        array = checkpoint[name]
        largest = max(largest, array.nbytes + sum(map(sys.getsizeof, array.flat if array.dtype.hasobject else ())))
        del array
except CheckpointError as caught:
    error = str(caught)
checkpoint = None
gc.collect()
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before + max(0, children - idle)
print(json.dumps([1024 * taken, largest, error, children]))
"""


def measure(path, read=False, idle=0):
    """Bytes of memory, bytes of the largest variable, error; and the KiB of a child process."""
    command = [sys.executable, "-c", MEASURE, str(path), "read" if read else "list", str(idle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def check(path, *said, size=None):
    """Listing and reading stay within what is promised; the error says all of `said`, or there is none."""
    size = size or path.stat().st_size
    for read in (False, True):
        taken, largest, error, _ = measure(path, read)
        # Twice the variable: some formats have its values before and after they are decoded.
        assert taken <= most_bytes(size) + 2 * largest, f"{taken >> 20} MiB for {size} bytes"
    assert all(word in error for word in said) if said else not error
    return taken, largest


def shape(*dimensions):
    return field(2, b"".join(field(2, field(1, each)) for each in dimensions))


def entry(shared, own, value=b""):
    return varint(shared) + varint(len(own)) + varint(len(value)) + own + value


def table(*blocks):
    """A table file of blocks of these contents, without restarts."""
    out, index = b"", b""
    for number, contents in enumerate(blocks):
        handle = varint(len(out)) + varint(len(contents) + 8)
        index += entry(0, b"~%05d" % number, handle)
        out += sealed(contents)
    place = varint(len(out)) + varint(len(index) + 8)
    return out + sealed(index) + (varint(0) + varint(0) + place).ljust(40, b"\0") + MAGIC


def sealed(contents):
    octets = contents + b"\0\0\0\0\1\0\0\0" + b"\0"
    return octets + masked(crc32c(octets)).to_bytes(4, "little")


def v2(folder, index, data=b"\0" * 64):
    (folder / "x.index").write_bytes(index)
    (folder / "x.data-00000-of-00001").write_bytes(data)
    return folder / "x"


HEADER, SCALAR = (b"", field(1, 1)), field(1, 1) + field(5, 4)


def long_keys():
    beginning = entry(0, b"", field(1, 1)) + entry(0, b"p" * 5000 + b"000000", SCALAR)
    return table(beginning + b"".join(entry(5000, b"%06d" % number, SCALAR) for number in range(1, 300_000)))


def long_keys_in_many_blocks():
    first = entry(0, b"", field(1, 1))
    return table(
        first,
        *[
            entry(0, b"%05d" % block + b"p" * 3000 + b"000", SCALAR)
            + b"".join(entry(3005, b"%03d" % number, SCALAR) for number in range(1, 400))
            for block in range(800)
        ],
    )


def short_keys():
    keys = [b"k" + number.to_bytes(3, "big") for number in range(1_000_000)]
    shared = [next(n for n in range(4) if a[n] != b[n]) for a, b in zip(keys, keys[1:])]
    return table(
        entry(0, b"", field(1, 1))
        + entry(0, keys[0])
        + b"".join(map(lambda n, key: entry(n, key[n:]), shared, keys[1:]))
    )


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (long_keys, "absurdly"),
        (long_keys_in_many_blocks, "absurdly"),
        (short_keys, "absurdly"),
        (lambda: build_table([HEADER, (b"x", shape(4) + field(7, b"") * 300_000)]), "a slice has 0 dimensions"),
        (lambda: build_table([HEADER, (b"x", shape(4) + field(7, field(1, b"") * 32) * 60_000)]), "absurdly"),
    ],
    ids=["long keys", "many blocks", "short keys", "slices", "extents"],
)
def test_v2_indexes(tmp_path, index, said):
    path = v2(tmp_path, index())
    check(path, said, size=(tmp_path / "x.index").stat().st_size)


def test_v2_object_graphs_and_strings(tmp_path):
    """Names of few bytes, and strings of none: two million are 2 MB, and as many pointers when they are read."""
    graph = field(1, b"".join(field(2, field(2, b"%x" % n) + field(3, b"x")) for n in range(100_000)))
    data = varint(len(graph)) + b"\0" * 4 + graph
    described = field(1, 7) + field(5, len(data))
    path = v2(tmp_path, build_table([HEADER, (b"_CHECKPOINTABLE_OBJECT_GRAPH", described)]), data)
    check(path, size=len(data))
    data = b"\0" * ((1 << 21) + 4)
    path = v2(tmp_path, build_table([HEADER, (b"x", field(1, 7) + shape(1 << 21) + field(5, len(data)))]), data)
    check(path, size=len(data))


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (lambda: build_table([(b"", field(1, field(1, b"") * 500_000))]), "absurdly"),
        (
            lambda: build_table([(b"", field(1, field(1, field(3, 1) + shape(4) + field(4, b"") * 300_000)))]),
            "a slice has 0 dimensions",
        ),
        (long_keys, "absurdly"),
    ],
    ids=["variables", "slices", "long keys"],
)
def test_v1_contents(tmp_path, contents, said):
    (tmp_path / "x.ckpt").write_bytes(contents())
    check(tmp_path / "x.ckpt", said)


def test_v1_values(tmp_path):
    """Bools and integers, of which each takes a byte in the file."""
    for enum, number in [(9, 10), (4, 7), (10, 11)]:
        count, whole = 1 << 22, field(1, b"")
        meta = field(1, field(1, field(1, b"x") + shape(count) + field(3, enum) + field(4, whole)))
        values = field(2, field(1, b"x") + field(2, whole) + field(3, field(number, b"\1" * count)))
        (tmp_path / "x.ckpt").write_bytes(build_table([(b"", meta), (slice_key("x", ((0, -1),)), values)]))
        check(tmp_path / "x.ckpt")


def graph(*constants):
    nodes = b""
    for number, tensor in enumerate(constants):
        name, value = b"%x" % number, field(5, field(1, b"value") + field(2, field(8, tensor)))
        nodes += field(1, field(1, name) + field(2, b"Const") + value)
        nodes += field(1, field(1, name + b"/read") + field(2, b"Identity") + field(3, name))
    return nodes


ONE = field(1, 1) + field(5, b"\0\0\x80\x3f")


def test_constants_of_one_value(tmp_path):
    path = tmp_path / "x.pb"
    path.write_bytes(graph(ONE + shape(1 << 29)))
    assert path.stat().st_size < 80
    check(path, "makes 2147483648 bytes of 1 values; at most")
    path.write_bytes(graph(field(1, 7) + shape(1 << 28) + field(8, b"a")))
    check(path, "makes 2147483648 bytes of 1 values")
    # What grappler makes of a layer of zeros is read, and in memory just once.
    path.write_bytes(graph(*[ONE + shape(4096, 4096)] * 3))
    taken, largest = check(path)
    assert largest == FIXED_BYTES and taken < 1.1 * FIXED_BYTES


@pytest.mark.parametrize(
    "octets",
    [
        lambda: graph(*[ONE] * 15_000),
        lambda: graph(ONE) + field(1, field(3, b"ab") * 300_000),
        lambda: graph(field(2, b"") * 300_000 + ONE),
        lambda: graph(field(1, 7) + shape(300_000) + field(8, b"ab") * 300_000),
    ],
    ids=["constants", "inputs", "shapes", "strings"],
)
def test_frozen_graphs(tmp_path, octets):
    (tmp_path / "x.pb").write_bytes(octets())
    check(tmp_path / "x.pb")


@pytest.mark.parametrize("value", ["[],", "9999,", '"ab",', "{},"])
def test_safetensors_headers(tmp_path, value):
    header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[' + value * 2_000_000 + "0]}}"
    octets = len(header).to_bytes(8, "little") + header.encode() + b"\0" * 4
    (tmp_path / "x.safetensors").write_bytes(octets)
    check(tmp_path / "x.safetensors", "absurdly")


def test_npz_headers_and_members(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(b"\x93NUMPY\2\0" + (1 << 29).to_bytes(4, "little"))
            for _ in range(1 << 9):
                member.write(b" " * (1 << 20))
    check(path, "it is said to have 536870912 bytes")
    array = io.BytesIO()
    np.save(array, np.float32(1))
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}\N{GRINNING FACE}{'a' * 65_000}.npy", array.getvalue())
    check(path)


def test_h5_is_bounded_in_the_process_that_reads_it_too(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "idle.h5", "w") as file:
        file["x"] = np.zeros(1)
    idle = measure(tmp_path / "idle.h5")[3]
    values = np.random.default_rng(1).integers(0, 9, (1 << 11, 1 << 12), np.int32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("chunked", data=values, compression="gzip", shuffle=True)
        file.create_dataset("whole", data=values, compression="gzip", shuffle=True, chunks=values.shape)
    size = (tmp_path / "x.h5").stat().st_size
    for read in (False, True):
        taken, largest, error, _ = measure(tmp_path / "x.h5", read, idle)
        assert not error and taken <= 2 * size + 5 * largest
    with h5py.File(tmp_path / "many.h5", "w", libver="latest") as file:
        for number in range(5000):
            file[f"{number}"] = np.float32(0)
    taken, _, error, _ = measure(tmp_path / "many.h5", True, idle)
    assert not error and taken < FIXED_BYTES


@pytest.mark.real
def test_the_shared_files(shared):
    for name in ("fill1.pb", "h5-nested-bomb.h5"):
        file = shared / "cases" / "hostile" / name
        taken, _, error, _ = measure(file, read=True)
        assert "cannot read" in error and taken < 2 * FIXED_BYTES


@pytest.mark.real
def test_good_files_take_their_largest_variable(shared):
    """Once, and for listing nearly nothing."""
    for name in ("vgg_16_hed.ckpt", "mobilenet_v1_1.0_224.ckpt"):
        for read in (False, True):
            taken, largest, error, _ = measure(shared / "checkpoints" / name, read)
            assert not error and taken < largest + (5 << 20)
