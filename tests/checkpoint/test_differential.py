"""What the formats' own readers make of the same bytes: TensorFlow's, protobuf's, safetensors' and NumPy's.

Files are changed in their structure, with their checksums redone. A variable that is read here must be what the
other reader reads; of a file that it refuses something must be refused here. Being stricter is allowed: an error,
never other data.

SLIMFT_TEST_MORE=100 makes a hundred times as many files.
"""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint.slices import slice_key
from slimft.checkpoint.table import build_table
from slimft.wire.binary_file import Malformed
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import LENGTH, VARINT, fields, varint

MORE = int(os.environ.get("SLIMFT_TEST_MORE", 1))
SEED = int(os.environ.get("SLIMFT_TEST_SEED", 13))

# Reads checkpoints and graphs whose paths come on standard input, and prints a line of JSON for each. A process of
# its own, as TensorFlow ends the process for some of them.
REFERENCE = """
import hashlib, json, resource, sys
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # Some of the files ask for any amount.

def told(array):
    array = np.asarray(array)
    if array.dtype == object:
        content = [bytes(word).hex() for word in array.ravel()]
    else:
        content = hashlib.sha256(array.tobytes()).hexdigest()
    return [str(array.dtype), list(array.shape), content]

def constants(path):
    graph = graph_pb2.GraphDef.FromString(open(path, "rb").read())
    return {node.name: (lambda node=node: tf.make_ndarray(node.attr["value"].tensor))
            for node in graph.node if node.op == "Const"}

def variables(path):
    reader = tf.train.load_checkpoint(path)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()

    def read(name):
        try:
            return reader.get_tensor(name)
        except Exception as error:
            if "Sliced checkpoints" not in str(error):
                raise
        whole = " ".join(map(str, shapes[name])) + " " + ":".join("-" * len(shapes[name]))
        return tf.raw_ops.RestoreSlice(
            file_pattern=path, tensor_name=name, shape_and_slice=whole, dt=dtypes[name]).numpy()

    return {name: (lambda name=name: read(name)) for name in shapes}

for line in sys.stdin:
    path = line.strip()
    found = {}
    try:
        for name, read in (constants if path.endswith(".pb") else variables)(path).items():
            try:
                found[name] = told(read())
            except Exception as error:
                found[name] = str(error)
    except Exception as error:
        found = str(error)
    print("\\n@" + json.dumps(found), flush=True)
"""


ENDED = "the process ended"


class Reference:
    """TensorFlow in a process of its own, which is started again where it ends."""

    def __init__(self):
        self.process = None

    def __call__(self, path):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", REFERENCE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                bufsize=1,
            )
        self.process.stdin.write(f"{path}\n")
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        self.process.wait()
        return ENDED

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture(scope="module")
def tensorflow():
    reference = Reference()
    yield reference
    reference.end()


def ours(path):
    """As the reference tells it: each variable, or the error of it or of the file."""
    try:
        checkpoint = open_checkpoint(path)
    except CheckpointError as error:
        return str(error)
    found = {}
    for name in checkpoint:
        try:
            array = checkpoint[name]
        except CheckpointError as error:
            found[name] = str(error)
            continue
        words = array.dtype.hasobject
        content = [word.hex() for word in array.ravel()] if words else hashlib.sha256(array.tobytes()).hexdigest()
        found[name] = [str(array.dtype), list(array.shape), content]
    return found


def compare(mine, theirs, path, outcomes):
    """Fails if `mine` has data that `theirs` has not; counts what came of it."""
    if isinstance(mine, str):
        outcomes.add("refused")
        return
    if callable(theirs):
        if MORE == 1 and any(isinstance(told, str) for told in mine.values()):
            # TensorFlow's process ends at many of these, and takes seconds to start again.
            outcomes.add("a variable refused")
            return
        theirs = theirs()
    if theirs == ENDED:
        outcomes.add("the reference ended")
        return
    if isinstance(theirs, str):
        # Here only the variable may be refused that is amiss, but not none.
        refused = [told for told in mine.values() if isinstance(told, str)]
        assert refused, f"{path} is refused by the reference ({theirs}), but read here: {mine}"
        outcomes.add("a variable refused")
        return
    for name, told in mine.items():
        if isinstance(told, str):
            outcomes.add("a variable refused")
            continue
        assert theirs.get(name) == told, f"{path}: {name} is {told} here, and {theirs.get(name)} to the reference"
        outcomes.add("the same")


# Which fields are messages, by their numbers.
SHAPE = {2: {}}
SLICE = {1: {}}
V1_CONTENTS = {1: {1: {2: SHAPE, 4: SLICE}, 2: {}}}
V1_VALUES = {2: {2: SLICE, 3: {2: SHAPE}}}
V2_ENTRY = {2: SHAPE, 7: SLICE}
V2_HEADER = {3: {}}
GRAPH = {1: {5: {2: {8: {2: SHAPE}}}}}
NUMBERS = [0, 1, 2, 3, 4, 7, 9, 127, 128, 1 << 31, (1 << 32) + 1, (1 << 63) - 1, (1 << 64) - 1]


def mutated(message, schema, rng):
    """`message` with one of its fields, at any depth, changed, doubled, taken away, moved, or halved."""
    try:
        list(fields(message))
    except Malformed:  # By an earlier change.
        return bytes(message)
    parts = [(number, kind, value if kind == VARINT else bytes(value)) for number, kind, value in fields(message)]
    inner = [place for place, (number, kind, _) in enumerate(parts) if kind == LENGTH and number in schema]
    if inner and rng.random() < 0.75:
        place = rng.choice(inner)
        number, kind, value = parts[place]
        if rng.random() < 0.2:
            # The message in two occurrences, as protocol buffers allow, here or far apart.
            halves = list(fields(memoryview(value)))
            cut = rng.randint(0, len(halves))
            parts[place] = number, kind, joined(halves[:cut])
            parts.insert(rng.randint(place + 1, len(parts)), (number, kind, joined(halves[cut:])))
        else:
            parts[place] = number, kind, mutated(memoryview(value), schema[number], rng)
        return joined(parts)
    place = rng.randrange(len(parts)) if parts else 0
    action = rng.randrange(7)
    if action == 0 or not parts:
        parts.insert(place, (rng.choice([1, 2, 3, 4, 5, 8, 15, 99]), VARINT, rng.choice(NUMBERS)))
    elif action == 1:
        parts.insert(rng.randint(0, len(parts)), parts[place])
    elif action == 2:
        del parts[place]
    elif action == 3:
        parts.insert(rng.randint(0, len(parts)), parts.pop(place))
    else:
        number, kind, value = parts[place]
        if kind == VARINT:
            parts[place] = number, kind, rng.choice([*NUMBERS, value ^ 1])
        elif value:
            octets = bytearray(value)
            if action == 4:
                octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
            elif kind == LENGTH:
                octets = octets[:-1] if action == 5 else octets + octets[-4:]
            parts[place] = number, kind, bytes(octets)
    return joined(parts)


def joined(parts):
    """The message of these fields."""
    out = b""
    for number, kind, value in parts:
        out += varint(number << 3 | kind)
        out += varint(value) if kind == VARINT else (varint(len(value)) if kind == LENGTH else b"") + bytes(value)
    return out


def message(*parts):
    """A message of (number, value): an int, or bytes, or (for fixed32) four bytes in a list."""
    kinds = {int: VARINT, bytes: LENGTH, list: 5}
    return joined((n, kinds[type(value)], value[0] if isinstance(value, list) else value) for n, value in parts)


def shape(*dimensions):
    return message(*[(2, message((1, size))) for size in dimensions])


def piece(*extents):
    return message(*[(1, message(*zip((1, 2), extent))) for extent in extents])


FLOATS = np.arange(1, 7, dtype="<f4")


def mutants(count):
    """A generator of random numbers for each mutant."""
    for number in range(count * MORE):
        yield number, random.Random(f"{SEED} {number}")


def test_v1_is_what_tensorflow_reads(tensorflow, tmp_path):
    whole, halves = ((0, -1), (0, -1)), [((0, 2), (0, 3)), ((2, 2), (0, 3))]
    contents = message(
        (
            1,
            message(
                (1, message((1, b"a"), (2, shape(2, 3)), (3, 1), (4, piece((), ())))),
                (1, message((1, b"b"), (2, shape(4, 3)), (3, 3), *[(4, piece(*half)) for half in halves])),
                (2, message((1, 1))),
            ),
        )
    )
    integers = b"".join(map(varint, range(100, 700, 100)))
    good = {
        b"": (contents, V1_CONTENTS),
        slice_key("a", whole): (
            message(
                (
                    2,
                    message(
                        (1, b"a"), (2, piece((), ())), (3, message((1, 1), (2, shape(2, 3)), (5, FLOATS.tobytes())))
                    ),
                )
            ),
            V1_VALUES,
        ),
        **{
            slice_key("b", half): (
                message((2, message((1, b"b"), (2, piece(*half)), (3, message((7, integers)))))),
                V1_VALUES,
            )
            for half in halves
        },
    }
    path, outcomes = tmp_path / "x.ckpt", set()
    for number, rng in mutants(150):
        records = {key: record for key, (record, _) in good.items()}
        for _ in range(rng.choice([1, 1, 2]) if number else 0):
            key = rng.choice(list(good))
            records[key] = mutated(memoryview(records[key]), good[key][1], rng)
        path.write_bytes(build_table(sorted(records.items())))
        compare(ours(path), lambda: tensorflow(path), path, outcomes)
    assert {"refused", "the same"} <= outcomes


def test_v2_is_what_tensorflow_reads(tensorflow, tmp_path):
    halves = [((0, 2), (0, 3)), ((2, 2), (0, 3))]
    word, octets = b"\1\3" + masked(crc32c(b"\1\0\0\0\3\0\0\0")).to_bytes(4, "little") + b"abcd", FLOATS.tobytes()

    def entry(enum, dimensions, offset, data, *slices):
        checksum = masked(crc32c(data) if enum != 7 else crc32c(b"\1\0\0\0\3\0\0\0" + word[2:]))
        return message(
            (1, enum),
            (2, shape(*dimensions)),
            (4, offset),
            (5, len(data)),
            (6, [checksum.to_bytes(4, "little")]),
            *[(7, piece(*each)) for each in slices],
        )

    good = {
        b"": (message((1, 1), (3, message((1, 1)))), V2_HEADER),
        b"a": (entry(1, [2, 3], 0, octets), V2_ENTRY),
        b"b": (entry(1, [4, 3], 0, b"", *halves), V2_ENTRY),
        b"w": (entry(7, [2], 3 * len(octets), word), V2_ENTRY),
        **{
            slice_key("b", half): (entry(1, [2, 3], len(octets) * (1 + number), octets), V2_ENTRY)
            for number, half in enumerate(halves)
        },
    }
    prefix, outcomes = tmp_path / "x", set()
    (tmp_path / "x.data-00000-of-00001").write_bytes(octets * 3 + word)
    for number, rng in mutants(150):
        records = {key: record for key, (record, _) in good.items()}
        for _ in range(rng.choice([1, 1, 2]) if number else 0):
            key = rng.choice(list(good))
            records[key] = mutated(memoryview(records[key]), good[key][1], rng)
        (tmp_path / "x.index").write_bytes(build_table(sorted(records.items())))
        compare(ours(prefix), lambda: tensorflow(prefix), prefix, outcomes)
    assert {"refused", "the same", "a variable refused"} <= outcomes


def test_a_frozen_graphs_constants_are_protobufs(tensorflow, tmp_path):
    def constant(name, tensor):
        value = message((1, b"value"), (2, message((8, tensor))))
        dtype = message((1, b"dtype"), (2, message((6, 1))))
        node = message((1, name), (2, b"Const"), (5, value), (5, dtype))
        return [(1, node), (1, message((1, name + b"/read"), (2, b"Identity"), (3, name)))]

    graph = message(
        *constant(b"a", message((1, 1), (2, shape(2, 3)), (4, FLOATS.tobytes()))),
        *constant(b"b", message((1, 1), (2, shape(6)), (5, FLOATS.tobytes()))),
        *constant(b"c", message((1, 3), (2, shape(4)), (7, b"\1\2"))),
        *constant(b"d", message((1, 7), (2, shape(2)), (8, b"x"), (8, b"yz"))),
    )
    path, outcomes = tmp_path / "x.pb", set()
    for number, rng in mutants(400):
        octets = graph
        for _ in range(rng.choice([1, 1, 2, 3]) if number else 0):
            octets = mutated(memoryview(octets), GRAPH, rng)
        path.write_bytes(octets)
        compare(ours(path), lambda: tensorflow(path), path, outcomes)
    assert {"refused", "the same", "a variable refused"} <= outcomes


TOKENS = [
    "NaN", "-0", "1.0", "1e0", "1e999", "9" * 400, "true", "null", "[]", "{}", '"x"', '"\\ud800"',
    "[" * 130 + "]" * 130, '"a":1', "\ufeff", "\n", " ", "\0", "\t", ",", "0", "4",
    "-4", "4294967296", "18446744073709551616",
    '"__metadata__":{"a":"b"},', '"__metadata__":{"a":1},', '"__metadata__":null,',
    '"dtype":"F32",', '"shape":[1],', '"x":[[1e9]],', '"é"', "0x1", "01", "/**/",
    '"F64"', '"BF16"', '"F4"', '"f32"', "[0,4]", "[4,8]", "[0,0]",
]  # fmt: skip


def test_safetensors_is_as_strict_as_the_reference(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    header = (
        '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        '"b":{"dtype":"I16","shape":[2,0],"data_offsets":[4,4]},"c":{"dtype":"U8","shape":[2,2],"data_offsets":[4,8]}}'
    )
    places = [at for at, char in enumerate(header + " ") if char in '{}[]:,0124" ']
    path, outcomes = tmp_path / "x.safetensors", set()
    for number, rng in mutants(4000):
        text = header
        for _ in range(rng.choice([1, 1, 1, 2]) if number else 0):
            at = rng.choice(places) if rng.random() < 0.9 else rng.randrange(len(text) + 1)
            gone = rng.choice([0, 0, 1, 1, 2, 3, 12])
            text = text[:at] + rng.choice([*TOKENS, "", "", text[at : at + 20]]) + text[at + gone :]
        encoding = rng.choice(["utf-8"] * 20 + ["utf-16", "utf-8-sig", "latin1", "utf-32"])
        octets = text.encode(encoding, "replace")
        length = len(octets) + rng.choice([0] * 20 + [-1, 1, 8])
        values = b"\1\2\3\4\5\6\7\10" + b"\0" * rng.choice([0] * 20 + [1])
        path.write_bytes(length.to_bytes(8, "little") + octets + values)
        try:
            found = safetensors.deserialize(path.read_bytes())
            theirs = {name: [each["shape"], hashlib.sha256(each["data"]).hexdigest()] for name, each in found}
        except safetensors.SafetensorError as error:
            theirs = str(error)
        mine = ours(path)
        if isinstance(mine, dict):
            mine = {name: told if isinstance(told, str) else told[1:] for name, told in mine.items()}
        compare(mine, theirs, path, outcomes)
    assert outcomes == {"refused", "the same"}


def test_npz_is_what_numpy_reads(tmp_path):
    good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    tokens = ["'<f8'", "'>f4'", "'|b1'", "'<U2'", "[('é', '<f4')]", "True", "(3, 2)", "(6,)", "(3,)", "()", "1",
              "L", " ", "'\\x41'", "# x", "\n", "(0,)", "-1", "'<f2'", "'<c8'", "'M8[s]'", "0x2"]  # fmt: skip
    path, outcomes = tmp_path / "x.npz", set()
    for number, rng in mutants(600):
        text = good
        for _ in range(rng.choice([1, 1, 2]) if number else 0):
            part = rng.choice(["'<f4'", "False", "(2, 3)", "2", "3", ", ", "'shape'", "}", ""])
            text = text.replace(part, rng.choice(tokens), 1)
        version = rng.choice([(1, 0), (1, 0), (2, 0), (3, 0)])
        octets = text.encode("utf-8" if version == (3, 0) else "latin1")
        width = 2 if version == (1, 0) else 4
        member = b"\x93NUMPY" + bytes(version) + len(octets).to_bytes(width, "little") + octets
        with zipfile.ZipFile(path, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
            for name in rng.choice([["x.npy"], ["x.npy", "y.npy"], ["x"], ["x.npy", "x.npy"]]):
                archive.writestr(name, member + FLOATS.tobytes() + b"\0" * rng.choice([0, 0, 0, 24, -4]))
        try:
            with np.load(io.BytesIO(path.read_bytes())) as archive:
                theirs = {}
                for name in archive.files:
                    try:
                        array = archive[name]
                        content = hashlib.sha256(array.tobytes()).hexdigest()
                        theirs[name] = [str(array.dtype), list(array.shape), content]
                    except Exception as error:  # Of any kind.
                        theirs[name] = str(error)
        except Exception as error:  # Of any kind.
            theirs = str(error)
        compare(ours(path), theirs, path, outcomes)
    assert {"refused", "the same"} <= outcomes
