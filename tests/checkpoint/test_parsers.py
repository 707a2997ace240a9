"""The parsers of tables and of protocol buffers on bytes of no meaning, and on what was built."""

import os
import pathlib
import random
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import object_graph, tensor_proto, tensorflow_v1, tensorflow_v2
from slimft.checkpoint.slices import parse_slice
from slimft.checkpoint.table import MAGIC, Table, build_table
from slimft.wire import protobuf
from slimft.wire.binary_file import BinaryFile, Malformed
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import field, varint

GOLDEN = pathlib.Path(__file__).parent / "golden"
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
SEED = int(os.environ.get("SLIMFT_TEST_SEED", 7))

PARSERS = {
    "fields": lambda data: list(protobuf.fields(data)),
    "varint": lambda data: protobuf.read_varint(data, 0),
    "packed varints": protobuf.packed_varints,
    "shape": tensor_proto.parse_shape,
    "tensor": tensor_proto.parse_tensor,
    "values": lambda data: [tensor_proto.parse_values(data, enum) for enum in (1, 3, 7, 8, 10, 14, 19, 24)],
    "slice": parse_slice,
    "contents of V1": lambda data: tensorflow_v1._parse_contents(np.frombuffer(data, np.uint8)),
    "record of V1": lambda data: tensorflow_v1._parse_record(data, "x", ()),
    "header of V2": tensorflow_v2._parse_header,
    "entry of V2": tensorflow_v2._parse_entry,
    "strings of V2": lambda data: tensorflow_v2._parse_strings(data, 3),
    "object graph": object_graph.full_names,
}
# Bytes that are a message down to some depth, which random ones hardly ever are.
MESSAGES = st.recursive(
    st.one_of(st.binary(max_size=20), NUMBERS.map(varint)),
    lambda inner: st.lists(
        st.one_of(
            st.builds(protobuf.field, st.integers(1, 18), NUMBERS),
            st.builds(protobuf.field, st.integers(1, 18), inner),
            st.binary(min_size=8, max_size=8).map(lambda octets: varint(5 << 3 | 1) + octets),
            st.binary(min_size=4, max_size=4).map(lambda octets: varint(6 << 3 | 5) + octets),
        ),
        max_size=6,
    ).map(b"".join),
    max_leaves=12,
)


@pytest.mark.parametrize("name", PARSERS)
def test_any_bytes_give_a_result_or_malformed(name):
    @settings(max_examples=400, deadline=None)
    @given(st.one_of(st.binary(max_size=100), MESSAGES))
    def check(data):
        try:
            PARSERS[name](memoryview(data))
        except Malformed as error:
            assert str(error) and "\n" not in str(error)

    check()


def open_table(folder, data, verify=True):
    file = folder / "table"
    file.write_bytes(data)
    return Table(BinaryFile(str(file)), verify)


def test_any_bytes_are_a_table_or_malformed(tmp_path):
    @settings(max_examples=500, deadline=None)
    @given(st.binary(max_size=300), st.booleans(), st.booleans())
    def check(data, footer, verify):
        try:
            table = open_table(tmp_path, data + (MAGIC if footer else b""), verify)
            list(table)
            table.value(b"x")
        except Malformed:
            pass

    check()


def test_any_block_is_read_or_malformed(tmp_path):
    """Behind right checksums and a right footer, where random bytes never get."""

    @settings(max_examples=500, deadline=None)
    @given(st.lists(st.one_of(st.binary(max_size=60), MESSAGES), max_size=3), st.binary(max_size=60), st.data())
    def check(blocks, index, data):
        out, entries = b"", b""
        for number, block in enumerate(blocks):
            handle = varint(len(out)) + varint(len(block))
            entries += varint(0) + varint(1) + varint(len(handle)) + bytes([97 + number]) + handle
            out += trailed(block)
        index = index if data.draw(st.booleans()) else entries + (b"\0" * 4) + b"\1\0\0\0"
        footer = varint(0) + varint(0) + varint(len(out)) + varint(len(index))
        try:
            table = open_table(tmp_path, out + trailed(index) + footer.ljust(40, b"\0") + MAGIC)
            for key, value in list(table):
                assert bytes(table.value(key)) == bytes(value)
        except Malformed:
            pass

    check()


def trailed(block):
    return block + b"\0" + masked(crc32c(block + b"\0")).to_bytes(4, "little")


def test_a_table_gives_back_what_it_was_built_of(tmp_path):
    shared = b"a beginning that is shared " * 9
    keys = st.one_of(st.binary(max_size=12), st.binary(max_size=4).map(lambda end: shared + end))

    @settings(max_examples=200, deadline=None)
    @given(st.dictionaries(keys, st.binary(max_size=200), max_size=80), st.binary(max_size=12))
    def check(items, other):
        table = open_table(tmp_path, build_table(sorted(items.items())))
        assert [(key, bytes(value)) for key, value in table] == sorted(items.items())
        for key, value in items.items():
            # Aligned so that the last bytes of the value are, with no more memory than it takes.
            found = table.value(key, align_last=len(value) // 2)
            assert bytes(found) == value
            assert (found.ctypes.data + len(value) - len(value) // 2) % 64 == 0 or not value
        assert other in items or table.value(other) is None

    check()


def test_a_table_of_many_blocks(tmp_path):
    items = [(b"%08d" % number, b"v" * (number % 997)) for number in range(3000)]
    table = open_table(tmp_path, build_table(items))
    assert len(table._blocks) > 4
    assert [(key, bytes(value)) for key, value in table] == items
    for key, value in random.Random(SEED).sample(items, 300):
        assert bytes(table.value(key)) == value
    assert table.value(b"") is table.value(b"00000000 ") is table.value(b"99999999") is None


@given(st.integers(0, (1 << 64) - 1))
def test_varints(number):
    encoded = varint(number)
    assert protobuf.read_varint(b"." + encoded, 1) == (number, 1 + len(encoded))
    assert list(protobuf.packed_varints(memoryview(encoded * 3))) == [number] * 3


def test_varints_of_more_than_64_bits_or_without_an_end():
    for octets in (b"", b"\x80", b"\xff" * 9, b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00"):
        with pytest.raises(Malformed):
            protobuf.read_varint(octets, 0)


@given(st.lists(st.tuples(st.integers(1, 99), st.one_of(NUMBERS, st.binary(max_size=9))), max_size=5))
def test_messages_give_back_their_fields_and_none_if_cut_within_one(values):
    message, ends = b"", {0}
    for number, value in values:
        message += protobuf.field(number, value)
        ends.add(len(message))
    found = list(protobuf.fields(memoryview(message)))
    assert [(n, protobuf.signed(v) if isinstance(v, int) else bytes(v)) for n, _, v in found] == values
    for size in set(range(len(message))) - ends:
        with pytest.raises(Malformed):
            list(protobuf.fields(memoryview(message)[:size]))


@settings(deadline=None)
@given(st.lists(st.integers(0, (1 << 64) - 1).map(lambda number: number >> number % 64)), st.integers(10, 30))
def test_packed_varints_in_pieces_of_any_size(numbers, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protobuf, "_PIECE", piece)
        assert list(protobuf.packed_varints(memoryview(b"".join(map(varint, numbers))))) == numbers


@pytest.mark.parametrize("case", ["v1_tiny", "v1_sliced", "v2_tiny", "v2_sharded", "v2_objects"])
def test_mutated_files_give_values_or_an_error(case, tmp_path):
    """Several bytes changed, moved or gone at once, with no checksums to tell."""
    folder = shutil.copytree(GOLDEN / case, tmp_path / case, ignore=lambda *_: ["expected.json"])
    files = {file: file.read_bytes() for file in sorted(folder.iterdir())}
    rng, outcomes = random.Random(SEED), set()
    for _ in range(400):
        file = rng.choice(list(files))
        file.write_bytes(mutated(files[file], rng))
        try:
            checkpoint = open_checkpoint(folder / "model.ckpt", verify=False)
            errors = list(checkpoint.verify())
            checkpoint.aliases()
            outcomes.add("some values" if errors else "all values")
        except CheckpointError as error:
            assert str(folder) in str(error) and str(error).isprintable()
            outcomes.add("error")
        file.write_bytes(files[file])
    assert outcomes == {"all values", "some values", "error"}


def mutated(data, rng):
    """`data` with one to four of: a byte changed, a stretch gone, repeated, or taken from elsewhere."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, other, size = rng.randrange(len(data)), rng.randrange(len(data)), rng.choice([1, 1, 2, 4, 16])
        kind = rng.randrange(5)
        if kind < 2:
            data[at] = rng.choice([rng.randrange(256), data[at] ^ 1 << rng.randrange(8), 0, 0x7F, 0x80, 0xFF])
        elif kind == 2 and len(data) > size + 50:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        else:
            data[at : at + size] = data[other : other + size]
    return bytes(data)


def test_a_number_of_fixed_size_is_no_string_and_no_message(tmp_path):
    """To protobuf it is a field that is not known; taken for a name, it would hide a variable."""
    eight, four = varint(1 << 3 | 1) + b"another!", varint(1 << 3 | 5) + b"name"
    for octets in (eight, four):
        ((number, _, value),) = protobuf.fields(memoryview(octets))
        assert number == 1
        for read in (protobuf.expect_bytes, protobuf.utf8, protobuf.text):
            with pytest.raises(Malformed, match="a number stands where bytes should be"):
                read(value)
    value = field(5, field(1, b"value") + field(2, field(8, field(1, 1) + field(2, field(2, field(1, 1))))))
    read = field(1, field(1, b"a/read") + field(2, b"Identity") + field(3, b"a"))
    graph = field(1, field(1, b"a") + field(2, b"Const") + value) + read
    (tmp_path / "x.pb").write_bytes(graph)
    assert list(open_checkpoint(tmp_path / "x.pb")) == ["a"]
    (tmp_path / "x.pb").write_bytes(field(1, field(1, b"a") + field(2, b"Const") + value + eight) + read)
    with pytest.raises(CheckpointError, match="a number stands where bytes should be"):
        open_checkpoint(tmp_path / "x.pb")
