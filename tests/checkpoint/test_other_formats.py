"""npz, safetensors, Keras' HDF5 and frozen graphs against NumPy, the safetensors package, h5py and TensorFlow."""

import ast
import pathlib
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import write_checkpoint

h5py = pytest.importorskip("h5py")
safetensors = pytest.importorskip("safetensors")
GOLDEN = pathlib.Path(__file__).parent / "golden"

PLAIN = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
PLAIN += ["bool", "complex64"]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ARRAYS = hnp.arrays(st.sampled_from(PLAIN), hnp.array_shapes(min_dims=0, min_side=0, max_side=3))


def of_all_dtypes(dtypes=PLAIN):
    """Arrays of all dtypes, with bits of all kinds, and of shapes of all kinds."""
    octets = np.random.default_rng(4).integers(0, 256, 16 * 12, np.uint8)
    arrays = {}
    for dtype in map(np.dtype, dtypes):
        flat = (octets & 1 if dtype == np.bool_ else octets)[: 12 * dtype.itemsize].view(dtype)
        arrays |= {f"{dtype}": flat.reshape(3, 4), f"{dtype}/scalar": flat[5]}
        arrays |= {f"{dtype}/empty": flat[:0].reshape(2, 0)}
    return {name: np.asarray(array) for name, array in arrays.items()}


def same(ours, theirs):
    return (ours.shape, ours.dtype, ours.tobytes()) == (theirs.shape, theirs.dtype, theirs.tobytes())


def assert_equal(checkpoint, arrays):
    assert set(checkpoint) == set(arrays)
    for name, array in arrays.items():
        assert (checkpoint.shape(name), checkpoint.dtype(name)) == (array.shape, array.dtype), name
        assert same(checkpoint[name], array), name
        assert checkpoint[name].flags.writeable and not np.shares_memory(checkpoint[name], checkpoint[name]), name


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_as_numpy_writes_it(tmp_path, save):
    arrays = of_all_dtypes([*PLAIN, "complex128"])
    arrays |= {"big-endian": np.arange(5, dtype=">f4"), "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    arrays |= {"bytes": np.array([b"a", b"bc"]), "text": np.array(["ü"]), "dates": np.array(["2020"], "M8[D]")}
    arrays |= {"fields": np.array([(1, 2.5)], "i4,f4"), "../..": np.zeros(1), "/etc/passwd": np.ones(2)}
    arrays |= {"a.npy": np.ones(1), "large": np.arange(1 << 20, dtype=np.float32)}
    save(tmp_path / "x.npz", **arrays)
    assert_equal(open_checkpoint(tmp_path / "x.npz"), arrays)
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


# An archive's names end at a NUL; and of "x" and "x.npy" numpy.load itself takes one for the other.
NPZ_NAMES = NAMES.filter(lambda name: "\0" not in name and not name.endswith(".npy"))


@settings(max_examples=60, deadline=None)
@given(arrays=st.dictionaries(NPZ_NAMES, ARRAYS, min_size=1, max_size=5))
def test_npz_as_numpy_reads_it(tmp_path_factory, arrays):
    file = tmp_path_factory.getbasetemp() / "any.npz"
    write_checkpoint(file, arrays)
    with np.load(file, allow_pickle=False) as theirs:
        assert set(theirs.files) == set(arrays)
        assert all(same(theirs[name], array) for name, array in arrays.items())
    assert_equal(open_checkpoint(file), arrays)


def test_npz_of_a_golden_checkpoint(tmp_path):
    source = open_checkpoint(GOLDEN / "v2" / "model.ckpt")
    for kind in ("string", "bfloat16", "int4", "float8_e5m2", "float8_e4m3fn"):
        with pytest.raises(CheckpointError, match=rf"cannot write .*x\.npz: dtypes/{kind} .* \.npz cannot hold"):
            write_checkpoint(tmp_path / "x.npz", {f"dtypes/{kind}": source[f"dtypes/{kind}"]})
    with pytest.raises(CheckpointError, match="cannot be a variable's name"):
        write_checkpoint(tmp_path / "x.npz", {"NUL\0inside": source["NUL\0inside"]})
    arrays = {
        name: source[name]
        for name in source
        if "\0" not in name and not source.dtype(name).hasobject and source.dtype(name).isbuiltin != 2
    }
    assert len(arrays) > 100
    write_checkpoint(tmp_path / "x.npz", arrays)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as theirs:
        assert {*theirs.files} == {*arrays} and all(same(theirs[name], arrays[name]) for name in arrays)
    assert_equal(open_checkpoint(tmp_path / "x.npz"), arrays)


ALL_OF_SAFETENSORS = {
    "BF16": "bfloat16", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F16": "float16", "F32": "float32", "F64": "float64", "BOOL": "bool",
    "C64": "complex64", **{f"{kind}{size}": f"{word}{size}" for size in (8, 16, 32, 64) for kind, word in
                           (("I", "int"), ("U", "uint"))},
}  # fmt: skip


def safetensors_arrays():
    return of_all_dtypes([getattr(ml_dtypes, name, None) or name for name in ALL_OF_SAFETENSORS.values()])


def test_safetensors_as_the_package_writes_it(tmp_path):
    from safetensors.numpy import save_file

    arrays = safetensors_arrays()
    save_file(arrays, tmp_path / "x.safetensors", {"format": "np"})
    written = {found["dtype"] for _, found in safetensors.deserialize((tmp_path / "x.safetensors").read_bytes())}
    assert written == set(ALL_OF_SAFETENSORS)
    assert_equal(open_checkpoint(tmp_path / "x.safetensors"), arrays)


def test_safetensors_as_the_package_reads_it(tmp_path):
    arrays = safetensors_arrays()
    write_checkpoint(tmp_path / "x.safetensors", arrays)
    octets = (tmp_path / "x.safetensors").read_bytes()
    theirs = dict(safetensors.deserialize(octets))
    assert set(theirs) == set(arrays)
    for name, array in arrays.items():
        found = theirs[name]
        assert (found["shape"], bytes(found["data"])) == (list(array.shape), array.tobytes()), name
        assert ALL_OF_SAFETENSORS[found["dtype"]] == array.dtype.name, name
    assert_equal(open_checkpoint(tmp_path / "x.safetensors"), arrays)
    # The format asks for values that start at a multiple of 8 bytes.
    assert int.from_bytes(octets[:8], "little") % 8 == 0


@settings(max_examples=60, deadline=None)
@given(arrays=st.dictionaries(NAMES, ARRAYS, max_size=5))
def test_safetensors_of_any_names_and_shapes(tmp_path_factory, arrays):
    from safetensors.numpy import load_file

    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    write_checkpoint(file, arrays)
    theirs = load_file(file)
    assert set(theirs) == set(arrays) and all(same(theirs[name], array) for name, array in arrays.items())
    assert_equal(open_checkpoint(file), arrays)


def test_safetensors_refuses_what_it_cannot_hold(tmp_path):
    for name, array in [
        ("x", np.array([b"a"], object)),
        ("x", np.zeros(2, np.complex128)),
        ("x", np.zeros(2, ml_dtypes.int4)),
        ("__metadata__", np.zeros(2)),
        ("\udcff", np.zeros(2)),
    ]:
        with pytest.raises(CheckpointError, match="cannot write"):
            write_checkpoint(tmp_path / "x.safetensors", {name: array})
    assert not list(tmp_path.iterdir())


def test_h5_as_h5py_writes_it(tmp_path):
    arrays = {name: array for name, array in of_all_dtypes().items()}
    arrays |= {"big-endian": np.arange(5, dtype=">f4"), "layers/dense/vars/0": np.arange(1 << 18, dtype=np.float32)}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, array in arrays.items():
            file[f"top/{name}/value"] = array
        for kind, options in {
            "gzip": {"compression": "gzip", "chunks": (8, 8)},
            "lzf": {"compression": "lzf"},
            "plain": {},
            "shuffled": {"compression": "gzip", "shuffle": True, "fletcher32": True},
            "growing": {"maxshape": (None, 20)},
        }.items():
            file.create_dataset(kind, data=np.arange(400, dtype=np.float32).reshape(20, 20), **options)
        # None of these is a variable.
        file["words"] = ["a", "b"]
        file["nothing"] = h5py.Empty("f4")
        file["link"] = h5py.SoftLink("/gzip")
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
        file.attrs["layer_names"] = ["dense"]
    arrays = {f"top/{name}/value": array for name, array in arrays.items()}
    kinds = ("gzip", "lzf", "plain", "shuffled", "growing")
    arrays |= {kind: np.arange(400, dtype=np.float32).reshape(20, 20) for kind in kinds}
    assert_equal(open_checkpoint(tmp_path / "x.h5"), arrays)


def test_h5_as_keras_writes_it(tmp_path, run_python):
    code = (  # In a process of its own, as Keras needs eager execution.
        "import sys, keras\n"
        "layers = [keras.layers.Conv2D(4, 3, name='a'), keras.layers.Dense(2, name='b')]\n"
        "model = keras.Sequential([keras.Input([8, 8, 3]), *layers])\n"
        "model.save_weights(sys.argv[1])\n"
        "print([(w.shape, w.tobytes().hex()) for w in model.get_weights()])\n"
    )
    expected = ast.literal_eval(run_python(code, str(tmp_path / "x.weights.h5")).splitlines()[-1])
    checkpoint = open_checkpoint(tmp_path / "x.weights.h5")
    assert {checkpoint.shape(name) for name in checkpoint} == {(3, 3, 3, 4), (4,), (4, 2), (2,)}
    assert sorted((array.shape, array.tobytes().hex()) for array in checkpoint.values()) == sorted(expected)


@pytest.fixture(scope="module")
def frozen():
    """A graph with ref and resource variables, frozen by TensorFlow, and their values."""
    from slimft.compat import tf

    values = {
        "ref/w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "resource/w": np.arange(3, dtype=np.float32) - 9.5,
        "resource/step": np.array(1 << 40, np.int64),
        "ref/zeros": np.zeros([2, 3], np.float32),
        "resource/half": np.array([1.5, -0.0], np.float16),
        "resource/words": np.array([b"\0", b"ab"], object),
        "resource/bfloat16": np.array([1.5, -2], ml_dtypes.bfloat16),
        "ref/flags": np.array([True, False]),
        "resource/complex": np.array([1 + 2j, -3j], np.complex64),
        "ref/bytes": np.arange(300).astype(np.uint8),
    }
    with tf.Graph().as_default() as graph, tf.Session() as session:
        read = []
        for name, value in values.items():
            resource = name.startswith("resource")
            read.append(tf.identity(tf.get_variable(name, initializer=tf.constant(value), use_resource=resource)))
        tf.identity(tf.constant([1.0, 2.0], name="no_variable"), name="copy_of_no_variable")
        with tf.control_dependencies(read):
            tf.no_op(name="out")
        session.run(tf.global_variables_initializer())
        graph_def = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["out"])
    return graph_def, values


def test_a_frozen_graph_of_ref_and_resource_variables(frozen, tmp_path):
    graph_def, values = frozen
    assert not [node.name for node in graph_def.node if "Variable" in node.op and node.op != "ReadVariableOp"]
    (tmp_path / "x.pb").write_bytes(graph_def.SerializeToString())
    checkpoint = open_checkpoint(tmp_path / "x.pb")
    assert checkpoint.format == "frozen_graph" and set(checkpoint) == set(values)
    for name, value in values.items():
        if value.dtype.hasobject:
            assert list(checkpoint[name]) == list(value)
            continue
        assert same(checkpoint[name], value), name
        first = checkpoint[name]
        first[...] = 0
        assert same(checkpoint[name], value), name


def test_constants_of_a_frozen_graph_are_copies(tmp_path):
    """Wherever they lie in the file: also at a multiple of 64 bytes, where nothing else calls for a copy."""
    from slimft.compat import tf

    value = np.arange(4, dtype=np.float32)
    for length in range(1, 65):
        graph_def, name = tf.GraphDef(), "a" * length
        graph_def.node.add(name=name, op="Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        graph_def.node.add(name=f"{name}/read", op="Identity", input=[name])
        (tmp_path / "x.pb").write_bytes(graph_def.SerializeToString())
        checkpoint = open_checkpoint(tmp_path / "x.pb")
        checkpoint[name][...] = 0
        assert same(checkpoint[name], value)


def test_a_frozen_graph_whose_zeros_are_left_out(frozen, tmp_path):
    """As grappler leaves them: TensorFlow takes a tensor without values for zeros."""
    from slimft.compat import tf

    graph_def = tf.GraphDef.FromString(frozen[0].SerializeToString())
    zeros = next(node for node in graph_def.node if node.name == "ref/zeros").attr["value"].tensor
    zeros.ClearField("tensor_content")
    zeros.ClearField("float_val")
    (tmp_path / "x.pb").write_bytes(graph_def.SerializeToString())
    with tf.Graph().as_default(), tf.Session() as session:
        (theirs,) = tf.import_graph_def(graph_def, return_elements=["ref/zeros:0"], name="")
        assert same(open_checkpoint(tmp_path / "x.pb")["ref/zeros"], session.run(theirs))


def test_a_graph_that_is_not_frozen(tmp_path):
    from slimft.compat import tf

    with tf.Graph().as_default() as graph:
        tf.get_variable("x", [2])
        tf.identity(tf.constant(1.0), name="y")
    (tmp_path / "x.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(CheckpointError, match="no frozen graph"):
        open_checkpoint(tmp_path / "x.pb")


def test_archives_that_are_no_npz(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("notes.txt", b"abc")
    with pytest.raises(CheckpointError, match="is a zip archive; unpack it"):
        open_checkpoint(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["x.npz", "x.safetensors", "x"])
def test_bytes_that_are_neither_true_nor_false(tmp_path, name):
    """NumPy takes such a bool for true, and for unequal to True."""
    good = np.array([True, False, True])
    write_checkpoint(tmp_path / name, {"flags": good})
    assert open_checkpoint(tmp_path / name)["flags"].tolist() == good.tolist()
    file = tmp_path / (f"{name}.data-00000-of-00001" if name == "x" else name)
    odd = np.array([1, 0, 7], np.uint8)
    if name == "x.npz":
        np.savez(file, flags=odd.view(bool))
    else:
        file.write_bytes(file.read_bytes().replace(good.tobytes(), odd.tobytes()))
    with pytest.raises(CheckpointError, match="neither true nor false"):
        open_checkpoint(tmp_path / name, verify=False)["flags"]


@pytest.mark.parametrize(
    "begins", [b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b", b"PK", b"BM", b"\xff\xd8", b"II", b"\x80\x02"]
)
def test_the_length_of_a_safetensors_header_may_look_like_another_format(tmp_path, begins):
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    length = int.from_bytes(begins, "little")
    octets = length.to_bytes(8, "little") + header.ljust(length) + np.float32(2.5).tobytes()
    path = tmp_path / "any"
    path.write_bytes(octets)
    with safetensors.safe_open(path, "numpy") as theirs:
        assert theirs.get_tensor("a") == 2.5
    assert open_checkpoint(path)["a"] == 2.5
