"""Small good files of several formats, and how their checksums and lengths are made right again."""

from __future__ import annotations

import io
import random
import re
import struct
import warnings
import zipfile
import zlib

import numpy as np

from fuzz.mutate import NUMBERS, changed, changed_text, number_near, written
from fuzz.tables import masked_crc

# Offset, width of the fields of ZIP's records: APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
_ZIP_FIELDS = {
    b"PK\x03\x04": [(4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)],
    b"PK\x01\x02": [
        *((4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4)),
        *((24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4)),
    ],
    b"PK\x05\x06": [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)],
}
_NPY = [
    "'", '"', "(", ")", "[", "]", "{", "}", ",", ":", "True", "False", "None", "'descr'", "'shape'",
    "'<f4'", "'|O'", "'>i8'", "'|V0'", "'<U9'", "[('a', '<f4')]", "-1", "0", "99999999999", "1" * 5000, "1e3",
    "6", "7", "3L", " " * 9000,
    "((" * 99, "-" * 999, "#", "\\", "\n", "\0", "('<f4', (2,))", "'f4,O'", "'M8[s]'", "'m8'",
    "2**9", "é", "lambda: 0",
]  # fmt: skip


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protocol buffer of numbers and bytes."""
    return written([(number, 0 if isinstance(value, int) else 2, value) for number, value in fields])


def frozen_graph(variant: int) -> bytes:
    """A GraphDef of constants that were variables, of several dtypes, and of other nodes."""

    def tensor(enum: int, shape: list[int], *fields: tuple[int, int | bytes]) -> bytes:
        dimensions = message(*((2, message((1, size))) for size in shape))
        return message((1, enum), (2, dimensions), *fields)

    def floats(*values: float) -> bytes:
        return np.array(values, "<f4").tobytes()

    tensors = [
        [tensor(1, [2, 3], (4, floats(*range(6)))), tensor(1, [5], (5, floats(1.5))), tensor(3, [2], (7, b"\1\2"))],
        [tensor(7, [2], (8, b"ab"), (8, b"")), tensor(10, [3], (11, b"\1\0\1")), tensor(9, [2], (10, 7), (10, 9))],
        [tensor(19, [2], (13, b"\x80\x78\x80\x70")), tensor(2, [1], (6, np.ones(1).tobytes())), tensor(1, [3])],
    ][variant]
    nodes = []
    for number, value in enumerate(tensors):
        name = b"net/weights_%d" % number
        attributes = message((1, b"value"), (2, message((8, value)))), message((1, b"dtype"), (2, message((6, 1))))
        nodes.append(message((1, name), (2, b"Const"), *((5, attribute) for attribute in attributes)))
        nodes.append(message((1, name + b"/read"), (2, b"Identity"), (3, name)))
    other = message((1, b"c"), (2, b"Const"), (5, message((1, b"value"), (2, message((8, tensors[0]))))))
    return message(*((1, node) for node in nodes), (1, other), (4, message((1, 27))))


def zipped(rng: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    """An archive of these members, in any of the ways of compression."""
    methods = [zipfile.ZIP_STORED] * 6 + [zipfile.ZIP_DEFLATED] * 3 + [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", rng.choice(methods)) as archive:
        warnings.simplefilter("ignore")  # Of two members with the same name.
        for name, octets in members:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = archive.compression
            with archive.open(entry, "w", force_zip64=rng.random() < 0.1) as member:
                member.write(octets)
    return stream.getvalue()


def changed_zip(rng: random.Random, data: bytes) -> bytes:
    """An archive with a number in one of its records changed, or bytes anywhere."""
    kind = rng.randrange(6)
    if kind == 0:
        return changed(rng, data)
    if kind == 1:
        return rng.choice([b"x", b"PK\5\6", b"\0" * 99]) + data if rng.random() < 0.5 else data + data
    data = bytearray(data)
    signature = rng.choice(list(_ZIP_FIELDS))
    places = [at for at in range(len(data)) if data.startswith(signature, at)]
    at = rng.choice(places)
    for _ in range(rng.choice([1, 1, 2])):
        offset, width = rng.choice(_ZIP_FIELDS[signature])
        field = slice(at + offset, at + offset + width)
        number = number_near(rng, int.from_bytes(data[field], "little"))
        data[field] = (number % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(data)


def changed_npy(rng: random.Random, data: bytes) -> bytes:
    """A `.npy` file with its header changed, whose length mostly fits again."""
    length = int.from_bytes(data[8:10], "little")
    text = changed_text(rng, data[10 : 10 + length].decode("latin-1"), _NPY)
    version = rng.choice([1, 1, 1, 2, 3, 3, 0, 9])
    header = text.encode("utf-8" if version == 3 else "latin-1", "replace")
    width = 2 if version == 1 else 4
    claimed = len(header) if rng.random() < 0.85 else rng.choice(NUMBERS)
    claimed %= 1 << 8 * width
    return b"\x93NUMPY" + bytes([version, 0]) + claimed.to_bytes(width, "little") + header + data[10 + length :]


def with_length(header: bytes, rng: random.Random | None = None) -> bytes:
    """The head of a safetensors file; a wrong length with `rng`."""
    length = len(header) if rng is None else number_near(rng, len(header))
    return length.to_bytes(8, "little") + header


def h5(libver: str) -> bytes:
    """An HDF5 file like Keras', with a dataset that is compressed."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=libver if libver in ("earliest", "latest") else (libver, libver)) as file:
        file["layers/conv2d/vars/0"] = np.arange(12, dtype=np.float32).reshape(3, 4)
        file["layers/conv2d"].attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        file["layers/conv2d/vars"].attrs["name"] = "conv2d_7"
        values = np.arange(400, dtype="<i2").reshape(20, 20)
        file.create_dataset("z", data=values, compression="gzip", chunks=(10, 20))
        file.create_dataset("scalar", data=np.float64(2.5))
        file["bfloat16"] = np.zeros(3, "V2")
    data = bytearray(stream.getvalue())
    for at in _object_headers(data):
        if data[at + 5] & 32:  # The times, which would be others each time.
            data[at + 6 : at + 22] = bytes(16)
    return with_h5_checksums(bytes(data))


def _object_headers(data: bytes | bytearray) -> list[int]:
    return [match.start() for match in re.finditer(b"OHDR", data)]


def with_h5_checksums(data: bytes) -> bytes:
    """Superblock and object headers with right checksums: HDF5 File Format Specification, II.A and IV.A.1.b."""
    out = bytearray(data)
    if len(out) >= 48 and out[8] in (2, 3):
        out[44:48] = _lookup3(bytes(out[:44])).to_bytes(4, "little")
    for at in _object_headers(data):
        flags = out[at + 5] if at + 16 < len(out) else 0
        start = at + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        end = start + width + int.from_bytes(out[start : start + width], "little")
        if end + 4 <= len(out):
            out[end : end + 4] = _lookup3(bytes(out[at:end])).to_bytes(4, "little")
    return bytes(out)


def _lookup3(key: bytes) -> int:
    """Bob Jenkins' hashlittle of 2006."""

    def turned(value: int, bits: int) -> int:
        return (value << bits | value >> 32 - bits) & 0xFFFFFFFF

    a = b = c = (0xDEADBEEF + len(key)) & 0xFFFFFFFF
    if not key:
        return c
    pieces = [key[at : at + 12].ljust(12, b"\0") for at in range(0, len(key), 12)]
    for number, piece in enumerate(pieces):
        x, y, z = struct.unpack("<3I", piece)
        a, b, c = (a + x) & 0xFFFFFFFF, (b + y) & 0xFFFFFFFF, (c + z) & 0xFFFFFFFF
        if number < len(pieces) - 1:
            for bits in ((4, 6, 8), (16, 19, 4)):
                a = ((a - c) & 0xFFFFFFFF) ^ turned(c, bits[0])
                c = (c + b) & 0xFFFFFFFF
                b = ((b - a) & 0xFFFFFFFF) ^ turned(a, bits[1])
                a = (a + c) & 0xFFFFFFFF
                c = ((c - b) & 0xFFFFFFFF) ^ turned(b, bits[2])
                b = (b + a) & 0xFFFFFFFF
    for bits in (14, 11, 25, 16, 4, 14, 24):
        # c by b, a by c, b by a, and so on: the three take turns.
        c = ((c ^ b) - turned(b, bits)) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b


def tfrecord(records: list[bytes]) -> bytes:
    """A TFRecord file."""
    return b"".join(framed(record) for record in records)


def framed(record: bytes, length: int | None = None) -> bytes:
    """A record with its length, or another, and right checksums."""
    head = (len(record) if length is None else length).to_bytes(8, "little")
    return head + masked_crc(head).to_bytes(4, "little") + record + masked_crc(record).to_bytes(4, "little")


def example(image: bytes, label: int, kind: bytes = b"png") -> bytes:
    """A tf.train.Example as research/slim writes them."""
    features = {
        b"image/encoded": message((1, message((1, image)))),
        b"image/format": message((1, message((1, kind)))),
        b"image/class/label": message((3, message((1, label)))),
        b"image/height": message((3, message((1, 5)))),
    }
    return message((1, message(*((1, message((1, name), (2, value))) for name, value in features.items()))))


def with_png_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums, as far as it has any."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(out)
