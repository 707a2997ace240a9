"""The parsers against TensorFlow: its dtypes, its own messages, and the keys it files slices under."""

import random

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, tensor_slice_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2, trackable_object_graph_pb2

from slimft.checkpoint import object_graph, tensorflow_v2
from slimft.checkpoint.dtypes import dtype_of_enum, enum_of_dtype
from slimft.checkpoint.slices import parse_slice, slice_key
from slimft.checkpoint.table import Table
from slimft.checkpoint.tensor_proto import parse_shape, parse_tensor
from slimft.compat import tf
from slimft.wire.binary_file import BinaryFile, Malformed

INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = (
    st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
)
FLOATS = st.floats(width=32)
VALUES = {  # Of each dtype's number: the field of TensorProto, and what may be in it.
    1: ("float_val", FLOATS),
    2: ("double_val", st.floats()),
    3: ("int_val", INT32),
    4: ("int_val", UINT8),
    5: ("int_val", INT16),
    6: ("int_val", INT8),
    7: ("string_val", st.binary(max_size=9)),
    8: ("scomplex_val", FLOATS),
    9: ("int64_val", INT64),
    10: ("bool_val", st.booleans()),
    14: ("half_val", UINT16),
    17: ("int_val", UINT16),
    18: ("dcomplex_val", st.floats()),
    19: ("half_val", UINT16),
    22: ("uint32_val", UINT32),
    23: ("uint64_val", UINT64),
    29: ("int_val", st.integers(-8, 7)),
    30: ("int_val", st.integers(0, 15)),
}


def test_dtypes_are_those_of_tensorflow():
    from slimft.compat import tf

    compared = 0
    for enum in range(1, 64):
        try:
            theirs = tf.as_dtype(enum)
        except TypeError:
            if not 24 < enum < 34:  # What ml_dtypes has, a TensorFlow as old as 2.16 may lack.
                with pytest.raises(Malformed):
                    dtype_of_enum(enum)
            continue
        if theirs in (tf.resource, tf.variant):
            with pytest.raises(Malformed, match="plain values"):
                dtype_of_enum(enum)
            continue
        if theirs.name.startswith(("int2", "uint2", "float4")) and not hasattr(ml_dtypes, theirs.name):
            continue
        assert dtype_of_enum(enum) == np.dtype(theirs.as_numpy_dtype), theirs
        assert enum_of_dtype(dtype_of_enum(enum)) == enum
        compared += 1
    assert compared == 31 or (compared >= 25 and not hasattr(ml_dtypes, "float4_e2m1fn"))


@pytest.fixture(scope="module")
def parse_as_tensorflow():
    """A function from a serialized TensorProto and its dtype's number to TensorFlow's array."""
    with tf.Graph().as_default() as graph:
        serialized = tf.placeholder(tf.string, [])
        parsed = {enum: tf.io.parse_tensor(serialized, tf.as_dtype(enum)) for enum in VALUES}
    with tf.Session(graph=graph) as session:

        def parse(message, enum):
            value = session.run(parsed[enum], {serialized: message})
            return np.asarray(value, object if isinstance(value, bytes) else None)

        yield parse


def same_bits(ours, theirs):
    if theirs.dtype.hasobject or theirs.dtype.kind == "S":
        return ours.shape == theirs.shape and list(ours.flat) == list(theirs.flat)
    return (ours.shape, ours.dtype, ours.tobytes()) == (theirs.shape, theirs.dtype, theirs.tobytes())


def test_tensors_in_all_their_forms(parse_as_tensorflow):
    """Values in their field, all or the first few of them or none, or in one piece as contents."""

    @settings(max_examples=600, deadline=None)
    @given(st.data())
    def check(data):
        enum = data.draw(st.sampled_from(sorted(VALUES)))
        name, values = VALUES[enum]
        shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
        count = int(np.prod(shape)) * (2 if "complex" in name else 1)
        given = data.draw(st.lists(values, max_size=count))
        message = tensor_pb2.TensorProto(dtype=enum)
        message.tensor_shape.SetInParent()
        for size in shape:
            message.tensor_shape.dim.add(size=size)
        if data.draw(st.booleans()) and enum not in (7, 10):
            octets = data.draw(st.binary(min_size=64, max_size=64))
            message.tensor_content = (octets * 200)[: int(np.prod(shape)) * dtype_of_enum(enum).itemsize]
            if enum in (29, 30):
                message.tensor_content = bytes(octet % 8 for octet in message.tensor_content)
        else:
            getattr(message, name).extend(given[: len(given) // 2 * 2] if "complex" in name else given)
        serialized = message.SerializeToString()
        theirs = parse_as_tensorflow(serialized, enum)
        assert same_bits(parse_tensor(memoryview(serialized)), theirs)

    check()


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64", "float16", "object"])
def test_tensors_as_make_tensor_proto_makes_them(dtype):
    array = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    if dtype == "object":
        array = np.array([[b"a", b"", b"\0"], [b"\xff", b"e" * 300, b"f"]], object)
    for part in (array, array[0, 0], array[:0], array[:, :1]):
        message = tf.make_tensor_proto(part)
        assert same_bits(parse_tensor(memoryview(message.SerializeToString())), np.asarray(part))


@given(st.lists(st.tuples(st.integers(0, 1 << 8), st.text(max_size=5)), max_size=7))
def test_shapes(dimensions):
    message = tensor_shape_pb2.TensorShapeProto()
    for size, name in dimensions:
        message.dim.add(size=size, name=name)
    assert parse_shape(memoryview(message.SerializeToString())) == tuple(size for size, _ in dimensions)


def slice_proto(extents):
    message = tensor_slice_pb2.TensorSliceProto()
    for start, length in extents:
        message.extent.add(start=start, **({} if length is None else {"length": length}))
    return message


EXTENTS = st.lists(st.tuples(INT64, st.one_of(st.none(), INT64)), max_size=5)


@given(EXTENTS)
def test_slices(extents):
    expected = tuple((start, -1 if length is None else length) for start, length in extents)
    assert parse_slice(memoryview(slice_proto(extents).SerializeToString())) == expected


@given(st.integers(0, 40), INT64, INT64, INT32, UINT32, EXTENTS)
def test_entries_of_v2(enum, offset, size, shard, checksum, extents):
    message = tensor_bundle_pb2.BundleEntryProto(offset=offset, size=size, shard_id=shard, crc32c=checksum)
    # The generated class refuses numbers of no dtype; in a file they can stand.
    serialized = message.SerializeToString() + b"\x08" + bytes([enum])
    message = tensor_bundle_pb2.BundleEntryProto(slices=[slice_proto(extents), slice_proto(extents[:1])])
    message.shape.dim.add(size=3)
    entry = tensorflow_v2._parse_entry(memoryview(serialized + message.SerializeToString()))
    found = entry.enum, entry.shape, entry.shard, entry.offset, entry.size, entry.checksum
    assert found == (enum, (3,), shard, offset, size, checksum)
    expected = tuple((start, -1 if length is None else length) for start, length in extents)
    assert entry.slices == (expected, expected[:1])


@given(st.integers(0, (1 << 31) - 1), st.integers(0, 1))
def test_headers_of_v2(shards, endianness):
    message = tensor_bundle_pb2.BundleHeaderProto(num_shards=shards, endianness=endianness)
    message.version.producer = 1
    serialized = memoryview(message.SerializeToString())
    if endianness == tensor_bundle_pb2.BundleHeaderProto.BIG:
        with pytest.raises(Malformed, match="big-endian"):
            tensorflow_v2._parse_header(serialized)
    else:
        assert tensorflow_v2._parse_header(serialized) == shards


@given(st.lists(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=3), max_size=4))
def test_object_graphs(nodes):
    graph, keys = trackable_object_graph_pb2.TrackableObjectGraph(), {}
    for attributes in nodes:
        node = graph.nodes.add()
        node.children.add(node_id=1, local_name="child")
        node.slot_variables.add(slot_name="slot")
        for name, key in attributes:
            node.attributes.add(name="VARIABLE_VALUE", full_name=name, checkpoint_key=key)
            keys.setdefault(name, set()).add(key)
    unique = {name: min(found - {""}) for name, found in keys.items() if name and len(found - {""}) == 1}
    assert object_graph.full_names(memoryview(graph.SerializeToString())) == unique


def test_keys_of_slices(tmp_path):
    """Five hundred slices of variables of awkward names, each without a value, as TensorFlow files them."""
    rng = random.Random(5)
    names = [b"plain", "ü/重み".encode(), b"\0", b"\xff", b"a\0\xff\0\0b\xff\xff", b"", b"\0\1", b"\xff\0"]
    keys, saved, specs, shapes = set(), [], [], []
    for number in range(500):
        # A number for the name, as no variable has two shapes; a last dimension of none, so that there is no value.
        name, rank = rng.choice(names) + b"%d" % number, rng.randint(1, 4)
        bits = 45 if rank < 3 else 25  # TensorFlow aborts where the dimensions' product overflows, times 0 or not.
        # From 1 on: what is all of the variable is no slice of it.
        extents = [(1 + rng.randrange(1 << rng.randint(0, bits)), 1 + rng.randrange(1 << rng.randint(0, bits)))]
        extents += [(rng.randrange(300), 1) if rng.random() < 0.7 else (0, -1) for _ in range(rank - 1)] + [(0, -1)]
        shape = [start + length if length > 0 else 2 for start, length in extents[:-1]] + [0]
        parts = ":".join(f"{start},{length}" if length > 0 else "-" for start, length in extents)
        saved.append(name)
        specs.append(f"{' '.join(map(str, shape))} {parts}")
        shapes.append([length if length > 0 else size for (_, length), size in zip(extents, shape)])
        keys.add(slice_key(name.decode("utf-8", "surrogateescape"), tuple(extents)))
    path = str(tmp_path / "model.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = [tf.zeros(shape) for shape in shapes]
        session.run(tf.raw_ops.SaveV2(prefix=path, tensor_names=saved, shape_and_slices=specs, tensors=tensors))
    theirs = {key for key, _ in Table(BinaryFile(f"{path}.index"), verify=True)}
    assert {key for key in theirs if key.startswith(b"\0") and key not in saved} == keys
