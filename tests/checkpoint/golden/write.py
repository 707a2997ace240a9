"""Writes the golden checkpoints beside this file with TensorFlow's Saver and tf.train.Checkpoint.

    python tests/checkpoint/golden/write.py [FOLDER]

Each checkpoint gets an `expected.json`: every variable's dtype, shape and the bytes of its values in hexadecimal
(a list of them for strings), as they were handed to TensorFlow, and which of TensorFlow's own readers gives them
back: `tf.train.load_checkpoint`, which does not know all dtypes, or the op that Saver restores with. What they
give must equal what was saved, or this script fails. The committed files are those of TensorFlow 2.21.
"""

import functools
import json
import pathlib
import sys

import ml_dtypes
import numpy as np
import tensorflow as tf
from tensorflow.python.training.saver import BaseSaverBuilder

v1 = tf.compat.v1

QUANTIZED = {
    name: np.dtype([(name, kind)])
    for name, kind in [("qint8", "i1"), ("quint8", "u1"), ("qint16", "<i2"), ("quint16", "<u2"), ("qint32", "<i4")]
}
SMALL_FLOATS = ["float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz"]
# What TensorFlow 2.21's Saver writes in each format; what is not here, it refuses.
V1_DTYPES = [
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool", "complex64",
    "complex128", "string", "qint8", "quint8", "qint32",
]  # fmt: skip
V2_DTYPES = [
    *V1_DTYPES, "bfloat16", "uint32", "uint64", "qint16", "quint16", *SMALL_FLOATS, "float4_e2m1fn", "int4",
    "uint4", "int2", "uint2",
]  # fmt: skip

# Sign, exponent and mantissa at their extremes: zeros, denormals, infinities, NaNs quiet and signalling with a
# payload, one and the largest.
BITS_16 = [
    0, 0x8000, 1, 0x83FF, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 0xFD55, 0x3C00, 0x7BFF, 0x7F80, 0xFF80, 0x7FC1, 0xFFA3,
]  # fmt: skip
BITS_32 = [
    0, 1 << 31, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7FC12345, 0xFF8BCDEF, 0x7F800001, 0x3F800000, 0xFF7FFFFF,
]  # fmt: skip
BITS_64 = [
    0,
    1 << 63,
    1,
    0x7FF << 52,
    0xFFF << 52,
    0x7FF8000000000000,
    0x7FF8000012345678,
    0xFFF0000DEADBEEF0,
    0x3FF0000000000000,
    0xFFEFFFFFFFFFFFFF,
]
STRINGS = [b"", b"plain", b"NUL\0inside\0", b"\xff\xfe\x80 not UTF-8", "ümlaut".encode(), b"x" * 200, b"\0"]
ODD_NAMES = [
    "with space", "tab\tand\nline", "ünï/重み/🎉", "..", "../up/and/../away", "/rooted", "colon:0", "quote\"'\\",
    "\x01control\x7f", "NUL\0inside", "x" * 300, "CASE", "case", "a", "a/b", "a/b/c", "a_b", "a-b", "a.b",
    *(f"{'a long beginning that is shared/' * 4}{number:02d}" for number in range(40)),
]  # fmt: skip


def numpy_dtype(name):
    """The NumPy dtype that TensorFlow's dtype `name` is read as."""
    if name == "string":
        return np.dtype(object)
    return QUANTIZED.get(name) or np.dtype(getattr(ml_dtypes, name, None) or name)


def values_of(name):
    """The most awkward values of a dtype, in one dimension."""
    dtype = numpy_dtype(name)
    if name == "string":
        return np.array(STRINGS, object)
    if name == "bool":
        return np.array([True, False, True, True])
    if name in ("int2", "uint2", "int4", "uint4"):
        low, high = ml_dtypes.iinfo(dtype).min, ml_dtypes.iinfo(dtype).max
        return np.arange(low, high + 1).astype(dtype)
    if name == "float4_e2m1fn":
        return np.arange(16, dtype=np.uint8).view(dtype)
    if dtype.kind in "iu" or dtype.names:
        integer = dtype[0] if dtype.names else dtype
        limits = np.iinfo(integer)
        near = [limits.min, limits.min + 1, 0, 1, 2, 127, limits.max - 1, limits.max]
        near += [-1, -2, -128] if limits.min else [128, 255]
        return np.array([value for value in near if limits.min <= value <= limits.max], integer).view(dtype)
    if dtype.itemsize == 1:
        return np.arange(256, dtype=np.uint8).view(dtype)
    bits = {2: BITS_16, 4: BITS_32, 8: BITS_64}[dtype.itemsize if dtype.kind != "c" else dtype.itemsize // 2]
    parts = np.array(bits, f"<u{dtype.itemsize if dtype.kind != 'c' else dtype.itemsize // 2}")
    if dtype.kind == "c":
        return np.stack([parts, parts[::-1]], axis=1).view(dtype).reshape(-1)
    return parts.view(dtype)


def build_everything(dtypes):
    """Arrays of all `dtypes`, of all kinds of shapes and with odd names: what Saver saves, and name to array."""
    variables = {f"dtypes/{name}": values_of(name) for name in dtypes}
    variables |= {f"scalars/{name}": values_of(name)[1:2].reshape(()) for name in dtypes}
    variables |= {f"empty/{name}": values_of(name)[:0].reshape(0, 3) for name in dtypes}
    for shape in [(1,), (1, 1, 1), (2, 3, 4), (2, 0, 2), (0,), (1, 2, 1, 2, 1, 2, 1, 2)]:
        size = int(np.prod(shape))
        variables[f"shapes/{'x'.join(map(str, shape))}"] = (np.arange(size, dtype=np.float32) - 1.5).reshape(shape)
    variables["strings/2x2"] = np.array([b"a", b"", b"c\0", b"\xff"], object).reshape(2, 2)
    variables |= {name: np.array(number, np.int16) for number, name in enumerate(ODD_NAMES)}
    variables["global_step"] = np.array(12345678901, np.int64)
    variables = {name: np.asarray(value) for name, value in variables.items()}
    return [Saved(name, value) for name, value in variables.items()], variables


class Saved(BaseSaverBuilder.SaveableObject):
    """An array that Saver takes for a variable, or for a slice of one, whatever its dtype.

    Args:
        name: the variable's.
        values: the array, or the part of it in this slice.
        slice_spec: shape and slice as Saver writes them ("4 6 0,2:0,6"), or "".
        device: what it lies on, which decides its file where the checkpoint is sharded.
    """

    fed = {}

    def __init__(self, name, values, slice_spec="", device="/cpu:0"):
        with tf.device(device):
            placeholder = v1.placeholder(dtype_name(values), values.shape)
        self.fed[placeholder] = values
        spec = BaseSaverBuilder.SaveSpec(placeholder, slice_spec, as_bytes(name), device=placeholder.device)
        super().__init__(placeholder, [spec], f"{name} {slice_spec}")

    def restore(self, restored_tensors, restored_shapes):
        return tf.no_op()


def as_bytes(name):
    """A name for TensorFlow; what is no UTF-8 stands in Python's strings as surrogates."""
    return name.encode("utf-8", "surrogateescape")


def dtype_name(array):
    """TensorFlow's name of an array's dtype."""
    return array.dtype.names[0] if array.dtype.names else "string" if array.dtype.hasobject else array.dtype.name


def slices(name, array, cuts, devices):
    """`array` as slices on one device after the other; `cuts` has for each dimension where it is cut."""
    parts = [()]
    for size, places in zip(array.shape, cuts):
        ends = [0, *places, size]
        parts = [(*part, extent) for part in parts for extent in zip(ends, ends[1:])]
    for number, part in enumerate(parts):
        extents = ":".join(f"{start},{stop - start}" if stop > start else "-" for start, stop in part)
        spec = f"{' '.join(map(str, array.shape))} {extents}"
        yield Saved(name, array[tuple(slice(*extent) for extent in part)], spec, devices[number % len(devices)])


def build_sliced(version, devices=("/cpu:0",)):
    """Variables in slices of all kinds, spread over `devices`: what Saver saves, and name to array."""
    # What the slices' keys must escape. In V1 a name must be UTF-8: TensorFlow saves others but cannot read them.
    awkward = "key\0with\0NUL" if version == "V1" else "key\0with\0NUL and \udcff"
    arrays = {
        "rows": np.arange(24, dtype=np.float32).reshape(6, 4) - 7,
        "columns": np.arange(24, dtype=np.int64).reshape(4, 6) * -(1 << 40),
        "grid": (np.arange(60, dtype=np.uint16) + 0x7BF0).view(np.float16).reshape(5, 4, 3),
        "words": np.array([b"", b"a", b"\0", b"\xff\xfe", b"long " * 20, b"f"], object),
        "flags": np.array([True, False, True, True, False]),
        "quantized": np.arange(-3, 3, dtype=np.int8).view(QUANTIZED["qint8"]).reshape(3, 2),
        awkward: np.arange(8, dtype=np.int32),
        # Places that take one byte to three in the slices' keys.
        "kéy/ünï": np.zeros([3_000_000, 0], np.float32),
        "whole": np.array([1.5, -2.5], np.float64),
    }
    cuts = {
        "rows": [[2, 4], []],
        "columns": [[], [1, 5]],
        "grid": [[1, 4], [2], [1, 2]],
        "words": [[1, 5]],
        "flags": [[2]],
        "quantized": [[1], [1]],
        awkward: [[3]],
        "kéy/ünï": [[1, 63, 64, 65, 128, 255, 256, 8191, 8192, 8193, 1 << 20, (1 << 20) + 1], []],
        "whole": [[]],
    }
    return [part for name in cuts for part in slices(name, arrays[name], cuts[name], devices)], arrays


def build_tiny():
    """As little as has everything in it: the files whose every byte is changed in tests of damaged files."""
    arrays = {
        "n": np.array(-7, np.int64),
        "p": np.arange(6, dtype=np.int32).reshape(3, 2) - 3,
        "s": np.array([b"", b"\xff\0z"], object),
        "w": np.array([[1.5, -0.0], [np.nan, 1e-40]], np.float32),
    }
    whole = [Saved(name, arrays[name]) for name in "nsw"]
    return [*whole, *slices("p", arrays["p"], [[1], []], ["/cpu:0"])], arrays


def build_partitioned():
    """Ref and resource variables in the partitions that get_variable makes, each on the next device."""
    arrays = {}
    for scope in ("ref", "resource"):
        for axis in (0, 1):
            for kind, partitioner in {
                "fixed": v1.fixed_size_partitioner(3, axis=axis),
                "variable": v1.variable_axis_size_partitioner(48, axis=axis),
            }.items():
                value = np.arange(30, dtype=np.float32).reshape(6, 5) * (len(arrays) - 3.5)
                with v1.variable_scope(scope, use_resource=scope == "resource"):
                    name = f"{kind}_{axis}"
                    v1.get_variable(name, value.shape, initializer=part_of(value), partitioner=partitioner)
                arrays[f"{scope}/{name}"] = value
        with tf.device("/cpu:1"):
            v1.get_variable(f"{scope}_whole", initializer=tf.constant([1.0, 2.0]), use_resource=scope == "resource")
        arrays[f"{scope}_whole"] = np.array([1, 2], np.float32)
    return None, arrays


def part_of(value):
    """An initializer that gives each partition of a variable its part of `value`."""

    def initializer(shape, dtype, partition_info):
        where = zip(partition_info.var_offset, shape)
        return tf.constant(value[tuple(slice(start, start + size) for start, size in where)])

    return initializer


def save(folder, version, build, sharded=False):
    """Saves a checkpoint and its expected.json.

    Args:
        folder: where; it is made.
        version: "V1" or "V2".
        build: makes what Saver saves; returns that (None: all variables) and name to array.
        sharded: whether each device's variables go to a file of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = v1.ConfigProto(device_count={"CPU": 3})
    Saved.fed.clear()
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        saved, arrays = build()
        session.run(v1.global_variables_initializer())
        definition = v1.train.Saver(
            saved, sharded=sharded, write_version=getattr(v1.train.SaverDef, version)
        ).as_saver_def()
        path = str(folder / "model.ckpt")
        session.run(definition.save_tensor_name, {definition.filename_tensor_name: path, **Saved.fed})
    describe(folder, arrays, f"{path}-?????-of-?????" if sharded and version == "V1" else path)


def save_objects(folder):
    """Saves an object-based checkpoint of TensorFlow 2: a module, a Keras layer and an optimizer's slots."""
    folder.mkdir(parents=True, exist_ok=True)
    module = tf.Module(name="net")
    with tf.name_scope("vgg_16/fc8"):
        module.weights = tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3), name="weights")
        module.biases = tf.Variable([0.5, -0.5, 0.25], name="biases")
    module.twins = [tf.Variable(1.25, name="twin"), tf.Variable(2.25, name="twin")]
    layer = tf.keras.layers.Dense(2, name="dense")
    layer.build([None, 3])
    layer.kernel.assign(np.arange(6, dtype=np.float32).reshape(3, 2) * -1)
    step = tf.Variable(7, dtype=tf.int64, name="global_step")
    path = tf.train.Checkpoint(model=module, head=layer, step=step).write(str(folder / "model.ckpt"))
    reader = tf.train.load_checkpoint(path)
    keys = [key for key in reader.get_variable_to_shape_map() if key != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    arrays = {key: np.asarray(reader.get_tensor(key)) for key in keys}
    named = [module.weights, module.biases, step, layer.kernel.value, layer.bias.value]
    by_name = {variable.name.removesuffix(":0"): variable.numpy().tobytes().hex() for variable in named}
    describe(folder, arrays, path, by_name)


def describe(folder, arrays, path, by_full_name=None):
    """Writes expected.json; fails if TensorFlow reads something else."""
    reader = tf.train.load_checkpoint(path)
    variables = {}
    for name, array in sorted(arrays.items()):
        strings = array.dtype.hasobject
        variables[name] = {
            "dtype": dtype_name(array),
            "shape": list(array.shape),
            "hex": [value.hex() for value in array.flat] if strings else array.tobytes().hex(),
        }
        for how, read in {"load_checkpoint": reader.get_tensor, "restore": restorer(path, array)}.items():
            try:
                again = np.asarray(read(as_bytes(name)))
            except (tf.errors.OpError, RuntimeError, ValueError) as error:
                assert "not supported" in str(error) or "not yet supported" in str(error), (name, error)
                continue
            same = list(again.flat) == list(array.flat) if strings else again.tobytes() == array.tobytes()
            assert same and again.shape == array.shape, (name, how)
            variables[name].setdefault("tensorflow_reads_with", []).append(how)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(variable)}" for name, variable in variables.items())
    text = f'{{"variables": {{\n{lines}\n}}, "by_full_name": {json.dumps(by_full_name)}}}\n'
    (folder / "expected.json").write_text(text)


def restorer(path, array):
    """A function that reads one variable with the op that Saver restores with."""

    def read(name):
        with tf.Graph().as_default(), v1.Session() as session:
            return session.run(
                tf.raw_ops.RestoreV2(
                    prefix=path, tensor_names=[name], shape_and_slices=[""], dtypes=[dtype_name(array)]
                )[0]
            )

    return read


def main(folder):
    for version, dtypes in {"V1": V1_DTYPES, "V2": V2_DTYPES}.items():
        name = version.lower()
        save(folder / name, version, functools.partial(build_everything, dtypes))
        save(folder / f"{name}_sliced", version, functools.partial(build_sliced, version))
        save(folder / f"{name}_partitioned", version, build_partitioned)
        save(folder / f"{name}_tiny", version, build_tiny)
        on_devices = functools.partial(build_sliced, version, [f"/cpu:{number}" for number in range(3)])
        save(folder / f"{name}_sharded", version, on_devices, sharded=True)
    save_objects(folder / "v2_objects")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
