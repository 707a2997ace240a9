"""Written V2 checkpoints: what TensorFlow reads from them, and what is left when writing fails."""

import errno
import json
import os
import pathlib
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.protobuf import tensor_bundle_pb2

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import write_checkpoint
from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.table import Table
from slimft.checkpoint.view import CheckpointView
from slimft.compat import tf
from slimft.wire.binary_file import BinaryFile

GOLDEN = pathlib.Path(__file__).parent / "golden"
ROOT = pathlib.Path(__file__).resolve().parents[2]
OLD = {"a": np.arange(4, dtype=np.float32), "b": np.array([b"old"], object)}


def same_bits(ours, theirs):
    theirs = np.asarray(theirs, object if isinstance(theirs, bytes) else None)
    if theirs.dtype.hasobject:
        return ours.shape == theirs.shape and list(ours.flat) == list(theirs.flat)
    return ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def files(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def readable(checkpoint):
    """The variables that this TensorFlow and its ml_dtypes can read: those of 2.16 lack the newest dtypes."""
    if hasattr(ml_dtypes, "float4_e2m1fn"):
        return checkpoint
    unknown = {name for name, _ in checkpoint.verify()}
    names = [
        name
        for name, dtype in ((name, checkpoint.dtype(name)) for name in checkpoint)
        if name not in unknown and (dtype.isbuiltin == 1 or dtype.names or dtype.name == "bfloat16")
    ]
    known = {name: name for name in names}
    return checkpoint if len(known) == len(checkpoint) else CheckpointView(checkpoint, known)


@pytest.mark.parametrize("case", ["v1", "v2", "v2_sliced", "v1_partitioned", "v2_objects"])
def test_tensorflow_reads_golden_checkpoints_written_again(case, tmp_path):
    source = readable(open_checkpoint(GOLDEN / case / "model.ckpt"))
    write_checkpoint(tmp_path / "model.ckpt", source)
    assert {file.name for file in tmp_path.iterdir()} == {"model.ckpt.index", "model.ckpt.data-00000-of-00001"}
    again, reader = open_checkpoint(tmp_path / "model.ckpt"), tf.train.load_checkpoint(str(tmp_path / "model.ckpt"))
    assert set(again) == set(source)
    expected = json.loads((GOLDEN / case / "expected.json").read_text())["variables"]
    for name in source:
        theirs = reader.get_tensor(name.encode("utf-8", "surrogateescape"))
        assert same_bits(source[name], theirs) and same_bits(again[name], theirs), name
        assert again.dtype(name) == source.dtype(name), name
        if name in expected and expected[name]["dtype"] != "string":
            assert again[name].tobytes().hex() == expected[name]["hex"], name
    assert again.aliases() == source.aliases()


def test_every_variable_lies_at_a_multiple_of_64_bytes(tmp_path):
    write_checkpoint(tmp_path / "model.ckpt", readable(open_checkpoint(GOLDEN / "v2" / "model.ckpt")))
    entries, end = dict(Table(BinaryFile(str(tmp_path / "model.ckpt.index")), verify=True)), 0
    header = tensor_bundle_pb2.BundleHeaderProto.FromString(bytes(entries.pop(b"")))
    assert (header.num_shards, header.endianness, header.version.producer) == (1, header.LITTLE, 1)
    places = sorted(
        (entry.offset, entry.size)
        for entry in map(tensor_bundle_pb2.BundleEntryProto.FromString, map(bytes, entries.values()))
    )
    assert len(places) > 100
    for offset, size in places:
        assert offset % 64 == 0 and 0 <= offset - end < 64 or not size
        end = max(end, offset + size)
    assert end == (tmp_path / "model.ckpt.data-00000-of-00001").stat().st_size


UNICODE = st.characters(exclude_categories=["Cs"])  # No surrogates, which are no characters.
NAMES = st.text(UNICODE, min_size=1, max_size=12).filter(lambda name: name[0] != "\0")
ARRAYS = st.one_of(
    hnp.arrays(
        st.one_of(
            hnp.boolean_dtypes(),
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
            hnp.complex_number_dtypes(endianness="?"),
            hnp.byte_string_dtypes(max_len=6),
        ),
        hnp.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4),
    ),
    hnp.arrays(np.uint8, hnp.array_shapes(max_side=4)).map(lambda array: array.view(ml_dtypes.float8_e5m2)),
    hnp.arrays(np.uint16, hnp.array_shapes(max_side=4)).map(lambda array: array.view(ml_dtypes.bfloat16)),
    st.lists(st.binary(max_size=300), max_size=5).map(lambda values: np.array([*values, b""], object)[:-1]),
    st.lists(st.text(UNICODE, max_size=4), min_size=1, max_size=5).map(np.array),
    hnp.arrays(np.float32, (3, 4, 2)).map(lambda array: array[::-1, 1::2].T),
)


@settings(max_examples=200, deadline=None)
@given(variables=st.dictionaries(NAMES, ARRAYS, min_size=1, max_size=6))
def test_names_dtypes_and_shapes_of_all_kinds(tmp_path_factory, variables):
    path = tmp_path_factory.getbasetemp() / "any" / "model.ckpt"
    path.parent.mkdir(exist_ok=True)
    write_checkpoint(path, variables)
    ours, theirs = open_checkpoint(path), tf.train.load_checkpoint(str(path))
    assert set(ours) == set(theirs.get_variable_to_shape_map()) == set(variables)
    for name, array in variables.items():
        if array.dtype.kind in "SU":
            encoded = [each if isinstance(each, bytes) else each.encode() for each in array.ravel().tolist()]
            array = np.array([*encoded, None], object)[:-1].reshape(array.shape)
        elif array.dtype.kind in "iufc":
            array = array.astype(array.dtype.newbyteorder("<"))
        assert ours.dtype(name) == ours[name].dtype == array.dtype
        assert same_bits(ours[name], array) and same_bits(array, theirs.get_tensor(name))


def test_names_sort_as_their_bytes(tmp_path):
    """A table's keys do, and not as Python's strings: what is no UTF-8 comes after U+E000, but is U+DCFF."""
    variables = {name: np.array(number) for number, name in enumerate(["\U0001f389", "\udcff", "\ue000", "z", "é"])}
    write_checkpoint(tmp_path / "model.ckpt", variables)
    ours, theirs = open_checkpoint(tmp_path / "model.ckpt"), tf.train.load_checkpoint(str(tmp_path / "model.ckpt"))
    assert set(ours) == set(variables)
    for name, array in variables.items():
        assert same_bits(ours[name], array)
        assert same_bits(array, theirs.get_tensor(name.encode("utf-8", "surrogateescape")))


MANY_NAMES = [f"network_{number}/{'with/a/long/scope/' * 3}weights" for number in range(4000)]


def test_thousands_of_variables_and_large_ones(tmp_path):
    rng = np.random.default_rng(3)
    variables = {name: np.array([number, 1], np.int32) for number, name in enumerate(MANY_NAMES)}
    variables["large"] = rng.standard_normal((700, 512)).astype(np.float32)
    path = tmp_path / "model.ckpt"
    write_checkpoint(path, variables)
    ours, theirs = open_checkpoint(path), tf.train.load_checkpoint(str(path))
    assert len(Table(BinaryFile(f"{path}.index"), verify=True)._blocks) > 1
    assert len(ours) == len(theirs.get_variable_to_shape_map()) == len(variables)
    assert ours.is_mapped("large")
    for name in [*list(variables)[::97], "large"]:
        assert same_bits(ours[name], variables[name]) and same_bits(variables[name], theirs.get_tensor(name))
    assert not list(ours.verify())


def test_an_index_of_many_blocks_that_tensorflow_wrote(tmp_path):
    names = MANY_NAMES
    with tf.Graph().as_default(), tf.Session() as session:
        rows = tf.unstack(tf.reshape(tf.range(2 * len(names)), [len(names), 2]))
        path = str(tmp_path / "model.ckpt")
        slices = [""] * len(names)
        session.run(tf.raw_ops.SaveV2(prefix=path, tensor_names=names, shape_and_slices=slices, tensors=rows))
    assert len(Table(BinaryFile(f"{path}.index"), verify=True)._blocks) > 1
    checkpoint = open_checkpoint(path)
    assert set(checkpoint) == set(names)
    for number, name in enumerate(names):
        assert checkpoint[name].tolist() == [2 * number, 2 * number + 1]


def test_what_is_mapped(tmp_path):
    """Large variables where TensorFlow could use the map as it is: at a multiple of 64 bytes."""
    large = np.arange(1 << 18, dtype=np.float32)
    variables = {"a": large, "b": np.array([1, 2, 3], np.uint8), "c": large + 1, "d": large[:-1], "e": large[:0]}
    with tf.Graph().as_default(), tf.Session() as session:
        names, tensors, slices = list(variables), list(variables.values()), [""] * len(variables)
        path = str(tmp_path / "theirs")
        session.run(tf.raw_ops.SaveV2(prefix=path, tensor_names=names, shape_and_slices=slices, tensors=tensors))
    theirs = open_checkpoint(path)
    write_checkpoint(tmp_path / "ours", theirs)
    ours = open_checkpoint(tmp_path / "ours")
    # TensorFlow's writer leaves no gaps: what follows three bytes lies askew.
    assert [name for name in theirs if theirs.is_mapped(name)] == ["a"]
    assert [name for name in ours if ours.is_mapped(name)] == ["a", "c"]
    for checkpoint in (theirs, ours, open_checkpoint(tmp_path / "ours", memory_map=False)):
        for name, array in variables.items():
            found = checkpoint[name]
            assert same_bits(found, array) and (found.ctypes.data % 64 == 0 or not found.size)


def test_saver_restores_it(tmp_path):
    values = {"net/weights": np.arange(6, dtype=np.float32).reshape(2, 3), "global_step": np.array(9, np.int64)}
    write_checkpoint(tmp_path / "model.ckpt", values)
    with tf.Graph().as_default(), tf.Session() as session:
        resource_variable = tf.get_variable("net/weights", [2, 3], use_resource=True)
        ref_variable = tf.get_variable("global_step", [], tf.int64, use_resource=False)
        tf.train.Saver().restore(session, str(tmp_path / "model.ckpt"))
        np.testing.assert_array_equal(session.run(resource_variable), values["net/weights"])
        assert session.run(ref_variable) == 9


HELD_BY_NONE = [np.array([1, None], object), np.zeros(2, "V3")]
# Only .npz holds NumPy's own kinds.
HELD_BY_NPZ = [np.array(["2020-01-01"], "M8[D]"), np.zeros(2, "i4,f4")]


@pytest.mark.parametrize(
    "path, value",
    [("model.npz", value) for value in HELD_BY_NONE]
    + [(path, value) for path in ("model.ckpt", "model.safetensors") for value in HELD_BY_NONE + HELD_BY_NPZ]
    + [("model.ckpt", np.array(["\ud800"]))],
)
def test_values_that_no_checkpoint_holds(tmp_path, path, value):
    with pytest.raises(CheckpointError, match=f"cannot write .*{path}: .*x"):
        write_checkpoint(tmp_path / path, {"good": np.zeros(2, np.float32), "x": value})
    assert not files(tmp_path)


@pytest.mark.parametrize("name", ["", "\0", "\0x", "\ud800"])
def test_names_that_a_v2_checkpoint_cannot_have(tmp_path, name):
    with pytest.raises(CheckpointError, match="cannot write .*name"):
        write_checkpoint(tmp_path / "model.ckpt", {"good": np.zeros(2), name: np.zeros(2)})
    assert not files(tmp_path)


def test_names_that_would_become_one(tmp_path):
    with pytest.raises(CheckpointError, match="cannot write .*name"):
        write_checkpoint(tmp_path / "model.ckpt", {"é": np.zeros(2), "\udcc3\udca9": np.ones(2)})


class Failing(Checkpoint):
    """A checkpoint whose last variable cannot be read."""

    path, format = "failing", "memory"

    def __init__(self, error):
        self._error = error

    def _shapes_and_dtypes(self):
        return {name: ((4,), np.dtype(np.float32)) for name in ("a", "b", "z")}

    def _read(self, name):
        if name == "z":
            raise self._error
        return np.ones(4, np.float32)


@pytest.mark.parametrize("path", ["model.ckpt", "model.npz", "model.safetensors"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt(), TypeError("bug")])
def test_a_variable_that_cannot_be_read_leaves_what_was_there(tmp_path, path, there, error):
    if there:
        write_checkpoint(tmp_path / path, {"a": OLD["a"]})
    before = files(tmp_path)
    with pytest.raises(CheckpointError if isinstance(error, OSError) else type(error)):
        write_checkpoint(tmp_path / path, Failing(error))
    assert files(tmp_path) == before
    assert not there or same_bits(open_checkpoint(tmp_path / path)["a"], OLD["a"])


@pytest.mark.parametrize("path", ["model.ckpt", "model.npz", "model.safetensors"])
@pytest.mark.parametrize("function", ["mkdir", "fsync", "replace"])
def test_a_system_call_that_fails_leaves_what_was_there(tmp_path, monkeypatch, path, function):
    write_checkpoint(tmp_path / path, {"a": OLD["a"]})
    before = files(tmp_path)

    def fails(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, fails)
    with pytest.raises(CheckpointError, match=f"cannot write .*{path}: No space left on device"):
        write_checkpoint(tmp_path / path, {"a": OLD["a"] + 1})
    monkeypatch.undo()
    assert files(tmp_path) == before


@pytest.mark.parametrize("path", ["model.ckpt", "model.npz", "model.safetensors"])
def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, path):
    """As good as full: no file of this process may grow beyond a limit."""
    write_checkpoint(tmp_path / path, {"a": OLD["a"]})
    before = files(tmp_path)
    code = (
        "import resource, sys, numpy as np\n"
        "from slimft import CheckpointError\n"
        "from slimft.checkpoint import write_checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    write_checkpoint(sys.argv[1], {str(n): np.zeros(10_000, np.float32) for n in range(10)})\n"
        "except CheckpointError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"cannot write {tmp_path / path}: File too large" in done.stdout
    assert files(tmp_path) == before


@pytest.mark.parametrize("path", ["model.ckpt", "model.npz", "model.safetensors"])
def test_folders_that_cannot_be_written_to(tmp_path, path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "missing", tmp_path / "file", pathlib.Path("/proc/self/fd")):
        with pytest.raises(CheckpointError, match=f"cannot write {folder / path}: "):
            write_checkpoint(folder / path, OLD if path.endswith("ckpt") else {"a": OLD["a"]})
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("path", ["model.ckpt", "model.npz", "model.safetensors"])
def test_a_checkpoint_written_over_itself(tmp_path, path):
    """What is read goes on being the old file's, mapped or not, while the new one is written."""
    large = np.arange(1 << 19, dtype=np.float32)
    write_checkpoint(tmp_path / path, {"large": large, "small": OLD["a"]})
    source = open_checkpoint(tmp_path / path)
    write_checkpoint(tmp_path / path, source)
    assert same_bits(source["large"], large) and same_bits(open_checkpoint(tmp_path / path)["large"], large)


@pytest.mark.parametrize("path", ["x.h5", "x.hdf5", "x.keras", "x.pb", ""])
def test_what_is_not_written(tmp_path, path):
    with pytest.raises(CheckpointError):
        write_checkpoint(f"{tmp_path}/{path}", OLD)
    assert not files(tmp_path)
