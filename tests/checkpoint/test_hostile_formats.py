"""npz, safetensors, HDF5 and frozen graphs made to do harm: each is a CheckpointError, in bounded memory."""

import io
import json
import os
import pickle
import random
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft import CheckpointError, open_checkpoint
from slimft.wire.protobuf import field, varint

h5py = pytest.importorskip("h5py")
MORE = int(os.environ.get("SLIMFT_TEST_MORE", 1))  # How many times as many random cases.
HUGE = [(1 << 64) - 1, 1 << 63, 1 << 62, 1 << 60, 1 << 40, 1 << 33]


def fails(path, *words, most=1 << 20):
    """Opening it or reading a variable is a CheckpointError that says all of `words`, in at most so many bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            checkpoint = open_checkpoint(path)
            for name in checkpoint:
                checkpoint[name]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path)) and str(caught.value).isprintable()
    for word in words:
        assert word in str(caught.value)
    assert peak < most, f"{peak} bytes of memory"


@pytest.fixture(autouse=True, scope="module")
def everything_is_imported(tmp_path_factory):
    """What is imported for the first file of a format counts for none of the files here."""
    folder = tmp_path_factory.mktemp("good")
    np.savez_compressed(folder / "x.npz", x=np.zeros(3))
    safetensors(folder, {"x": tensor("F32", [1], 0, 4)}, b"abcd")
    with h5py.File(folder / "x.h5", "w") as file:
        file["x"] = np.zeros(3)
    for name in os.listdir(folder):
        assert not list(open_checkpoint(folder / name).verify())


def npz(folder, header, contents=b"\0" * 24, version=(1, 0), compression=zipfile.ZIP_STORED, name="x.npy"):
    """Writes an archive with one `.npy` of that header, text or what its dictionary has."""
    if isinstance(header, dict):
        header = repr({"descr": "<f4", "fortran_order": False, "shape": (6,), **header})
    text = header.encode("latin1")
    octets = b"\x93NUMPY" + bytes(version) + len(text).to_bytes(2 if version == (1, 0) else 4, "little") + text
    with zipfile.ZipFile(folder / "x.npz", "w", compression) as archive:
        archive.writestr(name, octets + contents)
    return folder / "x.npz"


def test_npz_that_is_right_but_made_by_hand(tmp_path):
    for version in [(1, 0), (2, 0), (3, 0)]:
        assert open_checkpoint(npz(tmp_path, {}, version=version))["x"].tolist() == [0] * 6


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_shapes_beyond_everything(tmp_path, compression):
    for number in HUGE:
        for shape in [(number,), (number, number), (number, 0), (2, number), (-number,), (-1,), (7,), (5,)]:
            fails(npz(tmp_path, {"shape": shape}, compression=compression), "")
    fails(npz(tmp_path, {"shape": (1,) * 40}), "cannot be")
    for shape in ("6", (6.0,), None, ("6",), [6], (True,) * 3, ((6,),)):
        fails(npz(tmp_path, {"shape": shape}), "")


def test_npz_dtypes_that_cannot_be_read(tmp_path):
    for descr in ("O", "|O", [("a", "O")], [("a", "<f4"), ("b", [("c", "|O")])]):
        fails(npz(tmp_path, {"descr": descr}), "Python objects")
    for descr in (
        "|V0",
        "|S0",
        "<U0",
        ("<f4", (2, 3)),
        ("<f4", (1 << 40,)),
        [("a", "<f4", (1 << 40,))],
        [],
        [("a",)],
        (),
        7,
        None,
        "<f3",
        "f4, O",
        "a" * 5000,
        {"names": ["a"], "formats": ["<f4"], "offsets": [1 << 30]},
        [("a", "<f4")] * 2,
    ):
        fails(npz(tmp_path, {"descr": descr}), "")


def test_npz_dtypes_that_are_no_plain_values(tmp_path):
    """With as many bytes as they ask for, so that only the dtype itself is amiss."""
    for descr, size in [("|V0", 0), ("|S0", 0), ("<U0", 0), (("<f4", (2, 3)), 144), (("<f4", (0,)), 0), ([], 0)]:
        fails(npz(tmp_path, {"descr": descr}, b"\0" * size), "is not one of plain values")


def test_npz_headers_that_are_no_python(tmp_path):
    for header in (
        "",
        "{",
        "}" * 50,
        "[" * 5000,
        "(" * 200 + ")" * 200,
        "{'descr': '<f4'}",
        "{1: 2}",
        "{[]: 1}",
        "{'a': 1}",
        "__import__('os').system('false')",
        "'\\ud800'",
        "\0" * 30,
        "-" * 3000 + "1",
        "1 if 1 else 2",
        "{" + "'a':1," * 99,
        "  \n\t {",
        "0x",
        "1_",
        "b'",
        "f'{1}'",
        "x" * 20_000,
        "{'descr': '<f4', 'fortran_order': 3, 'shape': (6,)}",
    ):
        fails(npz(tmp_path, header), "", most=4 << 20)
    for version in [(0, 0), (9, 9), (1, 1)]:
        fails(npz(tmp_path, {}, version=version), "")


def test_npz_headers_of_any_text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    good = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"
    tokens = [*good.replace("(", " ( ").split(), "'<f4'", "[", "]", "(", ")", "9" * 12, "-1", "'O'", "\\"]
    pieces = st.lists(st.sampled_from(tokens), max_size=20).map(" ".join)

    @settings(max_examples=400, deadline=None)
    @given(st.one_of(st.text(st.characters(max_codepoint=255), max_size=60), pieces))
    def check(header):
        try:
            list(open_checkpoint(npz(folder, header)).verify())
        except CheckpointError as error:
            assert str(error).isprintable()

    check()


def test_npz_runs_no_code(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    np.savez(tmp_path / "x.npz", x=np.array([Harm()], object))
    fails(tmp_path / "x.npz", "Python objects")
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Harm()))
    fails(tmp_path / "y.npz", "header")
    assert not (tmp_path / "harm").exists()
    with pytest.raises(ValueError):  # It would have been harm.
        np.load(tmp_path / "x.npz", allow_pickle=False)["x"]


def test_npz_bombs(tmp_path):
    """What unpacks to far more than its header says, what only claims to, and what is of other methods."""
    bomb = npz(tmp_path, {}, b"\0" * (64 << 20), compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    fails(bomb, "more or fewer bytes")
    size = 1 << 40
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = npz(tmp_path, {"shape": (size // 4,)}, compression=compression)
        octets = bytearray(file.read_bytes())
        central = octets.index(b"PK\x01\x02")
        octets[central + 24 : central + 28] = b"\xfe\xff\xff\xff"  # The size unpacked, as the directory has it.
        file.write_bytes(octets)
        fails(file, "is more than its")
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = npz(tmp_path, {"shape": (1 << 20,)}, b"\0" * (4 << 20), compression=compression)
        fails(file, "compress")
        octets = bytearray(file.read_bytes())
        octets[60:70] = random.Random(1).randbytes(10)
        file.write_bytes(octets)
        fails(file, "compress")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_any_byte_changed(tmp_path, save):
    file = tmp_path / "x.npz"
    save(file, a=np.arange(6, dtype=np.float32), b=np.array(3, np.int64))
    good = {name: array.tobytes() for name, array in open_checkpoint(file).items()}
    whole, outcomes = file.read_bytes(), set()
    for position in range(len(whole)):
        for value in {whole[position] ^ 1 << bit for bit in range(8)} | {0, 0x7F, 0xFF}:
            file.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                checkpoint = open_checkpoint(file)
                assert all(good[name] == checkpoint[name].tobytes() for name in checkpoint)
                outcomes.add("same")
            except CheckpointError as error:
                assert str(file) in str(error) and str(error).isprintable()
                outcomes.add("error")
    assert outcomes == {"same", "error"}
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        fails(file)


def tensor(code, shape, begin, end):
    return {"dtype": code, "shape": shape, "data_offsets": [begin, end]}


def safetensors(folder, header, contents=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    (folder / "x.safetensors").write_bytes(length.to_bytes(8, "little") + text + contents)
    return folder / "x.safetensors"


def test_safetensors_places_that_overlap_or_lie_outside(tmp_path):
    data, whole = b"\0" * 16, tensor("F32", [4], 0, 16)
    for header in [
        {"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [3], 4, 16)},
        {"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [1], 12, 16)},
        {"a": whole, "b": whole},
        {"a": tensor("F32", [3], 4, 16)},
        {"a": tensor("F32", [3], 0, 12)},
        {"a": tensor("F32", [4], 0, 12)},
        {"a": tensor("F32", [8], 0, 32)},
        {"a": tensor("F32", [4], 16, 0)},
        {"a": tensor("F32", [4], -16, 0)},
        {},
    ]:
        fails(safetensors(tmp_path, header, data), "")
    for number in HUGE:
        for header in [
            tensor("F32", [number], 0, 16),
            tensor("F32", [4], number, number + 16),
            tensor("F32", [number], 0, 4 * number),
            tensor("U8", [number, 0], 0, 0),
            tensor("F32", [number, number], 0, 16),
        ]:
            fails(safetensors(tmp_path, {"a": header}, data), "")


def test_safetensors_headers_that_are_none(tmp_path):
    for length in [*HUGE, 100_000_001, 40]:
        fails(safetensors(tmp_path, {}, length=length), "longer than the file")
    for header in [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b'"x"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b"\0" * 8,
        b"9" * 10_000,
        b'{"a": NaN}',
        b'{"a": {}}',
        b'{"a": []}',
        b'{"a": 3}',
    ]:
        fails(safetensors(tmp_path, header), "header", most=16 << 20)
    for broken in [{"dtype": "F31"}, {"dtype": 3}, {"dtype": []}, {"dtype": None}, {"shape": 4}, {"shape": "4"},
                   {"shape": [4.0]}, {"shape": [True]}, {"shape": [[4]]}, {"shape": None}, {"data_offsets": [0]},
                   {"data_offsets": [0, 8, 16]}, {"data_offsets": "ab"}, {"data_offsets": [0, 16.0]}]:  # fmt: skip
        fails(safetensors(tmp_path, {"a": {**tensor("F32", [4], 0, 16), **broken}}, b"\0" * 16), "describe a")
    for size in range(8):
        (tmp_path / "x.safetensors").write_bytes(b"\1" * size)
        fails(tmp_path / "x.safetensors")


def test_safetensors_names_in_messages(tmp_path):
    fails(safetensors(tmp_path, {"new\nline\x1b[31m": tensor("F32", [1], 4, 8)}, b"\0" * 8), "new")


def test_h5_sizes_that_are_not_there(tmp_path):
    chunked = {"chunks": (1 << 20,)}
    for number, options in enumerate([chunked, {**chunked, "compression": "gzip"}, {"fillvalue": 3}]):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("a", (1 << 45,), "f4", **options)
        fails(tmp_path / f"{number}.h5", "stored")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", (1 << 30, 1 << 30), "f4", chunks=(1, 1))
    fails(tmp_path / "x.h5", "cannot be")


def test_h5_chunks_larger_than_what_is_in_them(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("a", (4,), "f4", chunks=(1 << 28,), maxshape=(None,), compression="gzip")
        dataset.id.write_direct_chunk((0,), zlib.compress(b"\0" * 16))
    fails(tmp_path / "x.h5", "chunk")


def test_h5_reads_no_other_files(tmp_path):
    """A dataset's values may lie in any file that its writer names, or in another HDF5 file's dataset."""
    (tmp_path / "secret").write_bytes(b"\1\2\3\4" * 4)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", (4,), "i4", external=[(str(tmp_path / "secret"), 0, 16)])
    fails(tmp_path / "x.h5", "other files")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(4)
    layout = h5py.VirtualLayout((4,), "i8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (4,))
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.create_virtual_dataset("a", layout)
    fails(tmp_path / "y.h5", "other files")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_h5_with_bytes_changed(tmp_path, libver):
    octets = io.BytesIO()
    with h5py.File(octets, "w", libver=libver) as file:
        file["a/b"] = np.arange(6, dtype=np.float32)
        file.create_dataset("z", data=np.zeros([40, 40], np.float32), compression="gzip", chunks=(20, 20))
    whole, rng, outcomes = octets.getvalue(), random.Random(6), set()
    # The first of them in a value, where nothing tells; a process is started for each.
    for position in [whole.index(np.float32(3).tobytes()), *(rng.randrange(len(whole)) for _ in range(50 * MORE))]:
        changed = bytes([whole[position] ^ 1 << rng.randrange(8)])
        (tmp_path / "x.h5").write_bytes(whole[:position] + changed + whole[position + 1 :])
        try:
            errors = list(open_checkpoint(tmp_path / "x.h5").verify())
            outcomes.add("error" if errors else "values")
        except CheckpointError as error:
            assert str(error).isprintable()
            outcomes.add("error")
    assert outcomes == {"values", "error"}


def frozen(folder, tensor):
    """A graph with the constant `a`, which was a variable."""
    value = field(5, field(1, b"value") + field(2, field(8, tensor)))
    constant = field(1, b"a") + field(2, b"Const") + value
    read = field(1, b"a/read") + field(2, b"Identity") + field(3, b"a")
    (folder / "x.pb").write_bytes(field(1, constant) + field(1, read))
    return folder / "x.pb"


def shape_of(*dimensions):
    return field(2, b"".join(field(2, field(1, size)) for size in dimensions))


def test_pb_constants_of_absurd_shapes(tmp_path):
    splat = field(1, 1) + field(5, b"\0\0\x80\x3f")
    assert open_checkpoint(frozen(tmp_path, splat + shape_of(3)))["a"].tolist() == [1, 1, 1]
    for number in HUGE:
        for dimensions in [(number,), (number, number), (number, 0), (1 << 10, number)]:
            for tensor in (splat, field(1, 7) + field(8, b"a")):
                fails(frozen(tmp_path, tensor + shape_of(*dimensions)))
            if 0 not in dimensions:
                fails(frozen(tmp_path, field(1, 1) + shape_of(*dimensions)))
    fails(frozen(tmp_path, splat + shape_of(*[1] * 40)), "cannot be")
    fails(frozen(tmp_path, splat + shape_of()[:1] + b"\2\x18\1"), "unknown")
    fails(frozen(tmp_path, splat + splat + shape_of(1)), "2 values")


def test_pb_floods_and_depths(tmp_path):
    fails(frozen(tmp_path, field(1, 3) + field(7, b"\x80" * (1 << 20)) + shape_of(4)), "cut off", most=8 << 20)
    deep = b""
    for _ in range(5000):
        deep = field(1, deep)
    for octets in (deep, b"\x80" * 1000, field(1, 3), field(1, field(5, b"\xff")), varint(1 << 3 | 6)):
        (tmp_path / "x.pb").write_bytes(octets)
        fails(tmp_path / "x.pb", most=8 << 20)
