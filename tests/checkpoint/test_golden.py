"""open_checkpoint on the golden checkpoints, which TensorFlow wrote (golden/write.py), bit for bit."""

import json
import pathlib

import ml_dtypes
import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint

GOLDEN = pathlib.Path(__file__).parent / "golden"
CASES = sorted(file.parent.name for file in GOLDEN.glob("*/expected.json"))
QUANTIZED = {"qint8": "i1", "quint8": "u1", "qint16": "<i2", "quint16": "<u2", "qint32": "<i4"}


def path_of(case):
    return str(GOLDEN / case / ("model.ckpt-?????-of-?????" if case == "v1_sharded" else "model.ckpt"))


def expected_of(case):
    return json.loads((GOLDEN / case / "expected.json").read_text())


def numpy_dtype(name):
    if name in QUANTIZED:
        return np.dtype([(name, QUANTIZED[name])])
    return np.dtype(object if name == "string" else getattr(ml_dtypes, name, None) or name)


def is_known(name, as_dtype=numpy_dtype):
    """Whether the installed ml_dtypes, or TensorFlow, has the dtype: those of 2.16 lack the newest."""
    try:
        return as_dtype(name) is not None
    except TypeError:
        return False


def bits(array):
    """The values of an array as expected.json has them."""
    return [value.hex() for value in array.flat] if array.dtype.hasobject else array.tobytes().hex()


def test_the_golden_files_are_all_there():
    assert CASES == sorted(
        ["v2_objects"]
        + [f"v{v}{kind}" for v in (1, 2) for kind in ("", "_partitioned", "_sharded", "_sliced", "_tiny")]
    )
    dtypes = {case: {v["dtype"] for v in expected_of(case)["variables"].values()} for case in ("v1", "v2")}
    assert (len(dtypes["v1"]), len(dtypes["v2"])) == (16, 31)
    assert dtypes["v1"] < dtypes["v2"]


@pytest.mark.parametrize("memory_map", [True, False])
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_every_value_bit_for_bit(case, verify, memory_map):
    checkpoint = open_checkpoint(path_of(case), verify=verify, memory_map=memory_map)
    expected = expected_of(case)["variables"]
    assert checkpoint.format == f"tensorflow_{case[:2]}"
    assert set(checkpoint) - {"_CHECKPOINTABLE_OBJECT_GRAPH"} == set(expected)
    unknown = {name for name, variable in expected.items() if not is_known(variable["dtype"])}
    for name, variable in expected.items():
        if name in unknown:
            assert checkpoint.dtype(name) == np.dtype(object)
            with pytest.raises(CheckpointError, match=f"the dtype {variable['dtype']} is unknown here"):
                _ = checkpoint[name]
            continue
        described = checkpoint.shape(name), checkpoint.dtype(name)
        assert described == (tuple(variable["shape"]), numpy_dtype(variable["dtype"])), name
        array = checkpoint[name]
        assert (array.shape, array.dtype) == described, name
        assert bits(array) == variable["hex"], name
        assert array.flags.writeable and array.flags.c_contiguous, name
        # What TensorFlow takes without copying it.
        assert array.dtype.hasobject or not array.size or array.ctypes.data % 64 == 0, name
    assert {name for name, _ in checkpoint.verify()} == unknown


@pytest.mark.parametrize("case", CASES)
def test_tensorflow_reads_the_same_today(case):
    from slimft.compat import tf

    checkpoint = open_checkpoint(path_of(case))
    variables = {
        name: variable
        for name, variable in expected_of(case)["variables"].items()
        if is_known(variable["dtype"]) and is_known(variable["dtype"], tf.as_dtype)
    }
    reader = tf.train.load_checkpoint(path_of(case))
    by_restore = [name for name in variables if "restore" in variables[name].get("tensorflow_reads_with", ())]
    with tf.Graph().as_default(), tf.Session() as session:
        names = [name.encode("utf-8", "surrogateescape") for name in by_restore]
        dtypes = [variables[name]["dtype"] for name in by_restore]
        restored = tf.raw_ops.RestoreV2(
            prefix=path_of(case), tensor_names=names, shape_and_slices=[""] * len(names), dtypes=dtypes
        )
        theirs = list(zip(by_restore, session.run(restored)))
    for name, variable in variables.items():
        if "load_checkpoint" in variable.get("tensorflow_reads_with", ()):
            theirs.append((name, reader.get_tensor(name.encode("utf-8", "surrogateescape"))))
    for name, value in theirs:
        value = np.asarray(value, object if isinstance(value, bytes) else None)
        assert value.shape == checkpoint.shape(name), name
        assert bits(value) == bits(checkpoint[name]) == variables[name]["hex"], name
    # TensorFlow itself reads neither float16 nor strings back from the slices of a V2 checkpoint.
    assert len(variables) - len(dict(theirs)) == (2 if case in ("v2_sliced", "v2_sharded") else 0)


def test_variables_of_an_object_based_checkpoint_by_their_full_names():
    checkpoint, by_full_name = open_checkpoint(path_of("v2_objects")), expected_of("v2_objects")["by_full_name"]
    aliases = checkpoint.aliases()
    # Two variables are called `twin`: that name stands for neither.
    assert set(aliases) == set(by_full_name)
    assert len(checkpoint) == len(by_full_name) + 2 + 1
    for name, value in by_full_name.items():
        assert name not in checkpoint
        assert bits(checkpoint[aliases[name]]) == value
    assert not open_checkpoint(path_of("v2")).aliases()


@pytest.mark.parametrize("name", ["", "-00000-of-00003", "-00002-of-00003", "-?????-of-00003", "-?????-of-?????"])
def test_every_path_to_a_v1_checkpoint_of_several_files(name):
    checkpoint = open_checkpoint(str(GOLDEN / "v1_sharded" / "model.ckpt") + name)
    assert set(checkpoint) == set(expected_of("v1_sharded")["variables"])


@pytest.mark.parametrize("case", ["v1", "v2", "v2_objects"])
def test_reading_imports_no_tensorflow(case, run_python):
    code = (
        "import sys, slimft.checkpoint\n"
        "checkpoint = slimft.checkpoint.open_checkpoint(sys.argv[1])\n"
        "known = [name for name in checkpoint if not checkpoint.dtype(name).hasobject]\n"
        "assert len([checkpoint[name] for name in known]) > 5 and checkpoint.aliases() is not None\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('tensorflow', 'keras', 'tf_slim')])"
    )
    assert run_python(code, path_of(case)).strip() == "[]"


@pytest.mark.real
@pytest.mark.parametrize("file", ["mobilenet_v1_1.0_224.ckpt", "vgg_16_hed.ckpt"])
def test_real_files_equal_what_tensorflow_reads(shared, file):
    from slimft.compat import tf

    path = str(shared / "checkpoints" / file)
    reader, checkpoint = tf.train.load_checkpoint(path), open_checkpoint(path)
    dtypes = reader.get_variable_to_dtype_map()
    assert {name: list(checkpoint.shape(name)) for name in checkpoint} == reader.get_variable_to_shape_map()
    for name in checkpoint:
        theirs = np.asarray(reader.get_tensor(name))
        assert checkpoint.dtype(name) == checkpoint[name].dtype == dtypes[name].as_numpy_dtype
        assert np.array_equal(checkpoint[name].reshape(-1).view(np.uint8), theirs.reshape(-1).view(np.uint8)), name
