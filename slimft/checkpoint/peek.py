"""What a file looks like, from a few pieces of it: never more than `MOST_BYTES` of it are read at a time.

Each function takes a `Peek` and says whether the file is of one kind; `slimft.checkpoint.kinds` has the table.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib

import numpy as np

from slimft import system
from slimft.wire.binary_file import Malformed
from slimft.wire.checksum import crc32c, masked
from slimft.wire.protobuf import LENGTH, VARINT, read_varint

MOST_BYTES = 1 << 16
_HEAD_BYTES = 4096
_TAIL_BYTES = 256
_TAR_BLOCK = 512
_MOST_FIELDS = 64
_ZIP_END = b"PK\5\6"
_MOST_ZIP_DIRECTORY = 4 << 20
# A pickle of protocol 0 or 1 has no mark: it begins with a dictionary, a list or a call.
_OLD_PICKLE = re.compile(rb"\(d[p.]|\(l[p.]|c[\w.]+\n[\w.]+\n|[}\])]q|}\(|\]\(")
_MAY_CONTROL = b"\t\n\r\f\x1b"


# A field of a message: its number, its wire type and its value, of bytes only the first few.
Field = tuple[int, int, int | bytes]


class Peek:
    """A file that is looked at.

    Args:
        path: the file.

    Attributes:
        size: its size in bytes.
        head, tail: its first and its last bytes.

    Raises:
        Malformed: it is no regular file.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self._descriptor = system.open_descriptor(self.path, os.O_RDONLY)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Malformed("it is not a regular file")
        self.size = status.st_size
        self.head = self.read(0, _HEAD_BYTES)
        self.tail = self.read(max(0, self.size - _TAIL_BYTES), _TAIL_BYTES)
        self._fields: list[Field] | None = None
        self._names: list[str] | None = None

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on, fewer at the end of the file."""
        buffer = np.empty(min(size, MOST_BYTES), np.uint8)
        return buffer[: system.read_into(self._descriptor, buffer, offset)].tobytes()

    def fields(self) -> list[Field]:
        """The first fields of a protocol buffer.

        Empty where it is none; or where the first field, which cannot be told from other files then, is cut off.
        """
        if self._fields is None:
            self._fields = self._read_fields()
        return self._fields

    def _read_fields(self) -> list[Field]:
        found: list[Field] = []
        position = 0
        while position < self.size and len(found) < _MOST_FIELDS:
            octets = self.read(position, 256)
            try:
                tag, at = read_varint(octets, 0)
                number, wire_type = tag >> 3, tag & 7
                if wire_type not in (VARINT, LENGTH) or not 0 < number < 1 << 16:
                    return []
                value, at = read_varint(octets, at)
            except Malformed:
                return []
            if wire_type == LENGTH:
                if position + at + value > self.size and not found:
                    return []
                found.append((number, wire_type, octets[at : at + min(value, 128)]))
                position += at + value
            else:
                found.append((number, wire_type, value))
                position += at
        return found

    def zip_names(self) -> list[str]:
        """The names in a zip archive, of a large one only the first; none if its end is cut off."""
        if self._names is None:
            self._names = self._read_zip_names()
        return self._names

    def _read_zip_names(self) -> list[str]:
        tail = self.read(max(0, self.size - MOST_BYTES), MOST_BYTES)  # A comment may follow.
        at = tail.rfind(_ZIP_END)
        if at < 0:
            return []
        if int.from_bytes(tail[at + 12 : at + 16], "little") <= _MOST_ZIP_DIRECTORY:
            try:
                with zipfile.ZipFile(self.path) as archive:
                    return archive.namelist()
            except (zipfile.BadZipFile, NotImplementedError, ValueError):
                return []
        length = int.from_bytes(self.head[26:28], "little")
        return [self.read(30, length).decode("utf-8", "replace")]

    def text(self) -> str | None:
        """The head, if it is text in UTF-8, or in UTF-16 with its mark."""
        if self.head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = self.head[: len(self.head) // 2 * 2].decode("utf-16", "replace")
            return text if all(char.isprintable() or char.isspace() for char in text[:200]) else None
        try:
            text = self.head.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if self.size <= len(self.head) or error.start < len(self.head) - 4:  # A character that is cut off.
                return None
            text = self.head[: error.start].decode("utf-8-sig")
        if any(octet < 32 and octet not in _MAY_CONTROL for octet in self.head):
            return None
        return text


def only_zeros(peek: Peek) -> bool:
    """Whether there is nothing but zeros in it, as where a disk was full or a copy was broken off."""
    if any(peek.head) or any(peek.tail):
        return False
    return not any(any(peek.read(offset, MOST_BYTES)) for offset in range(0, peek.size, MOST_BYTES))


def is_safetensors(peek: Peek) -> bool:
    """Eight bytes with the length of a JSON object, and the object."""
    length = int.from_bytes(peek.head[:8], "little")
    return 2 <= length <= 100_000_000 and peek.head[8:9] == b"{" and peek.head[9:].lstrip()[:1] in (b'"', b"}")


def is_tfrecord(peek: Peek) -> bool:
    """A length and its checksum: TFRecords and TensorBoard's events."""
    return len(peek.head) >= 12 and masked(crc32c(peek.head[:8])) == int.from_bytes(peek.head[8:12], "little")


def is_events(peek: Peek) -> bool:
    """TFRecords whose first is that of TensorBoard's events."""
    return is_tfrecord(peek) and b"brain.Event:" in peek.head[:128]


def is_table_without_end(peek: Peek) -> bool:
    """A table's first entry: no key, and a protocol buffer; the V1 format's ``meta`` or the V2 format's header."""
    return peek.head[:2] == b"\0\0" and (
        re.match(rb"\0\0[\x01-\x7f]\x08[\x01-\x7f]\x1a\x02\x08\x01", peek.head) is not None
        or re.match(rb"\0\0[\x80-\xff]*[\x01-\x7f]\x0a[\x80-\xff]*[\x01-\x7f]\x0a", peek.head) is not None
    )


def is_tar(octets: bytes) -> bool:
    """The sum of the bytes of a tar archive's first header is in it."""
    header = octets[:_TAR_BLOCK]
    digits = header[148:156].strip(b" \0")
    if len(header) < _TAR_BLOCK or not re.fullmatch(rb"[0-7]{1,7}", digits):
        return False
    return sum(header[:148]) + sum(header[156:]) + 8 * ord(" ") == int(digits, 8)


def is_gzip_of_tar(peek: Peek) -> bool:
    """A gzip file with a tar archive in it."""
    if peek.head[:2] != b"\x1f\x8b":
        return False
    try:
        return is_tar(zlib.decompressobj(wbits=31).decompress(peek.head, _TAR_BLOCK))
    except zlib.error:
        return False


def is_pickle(peek: Peek) -> bool:
    """A pickle of any protocol; of the old ones, which have no mark, one that also ends as they do."""
    if peek.head[:1] == b"\x80":
        return peek.head[1:2] in (b"\2", b"\3", b"\4", b"\5")
    return _OLD_PICKLE.match(peek.head) is not None and peek.tail.endswith(b".")


def is_bmp(peek: Peek) -> bool:
    """A bitmap: BM, the file's size and four reserved bytes."""
    return peek.head[:2] == b"BM" and peek.head[2:10] == peek.size.to_bytes(8, "little")[:4] + bytes(4)


def is_darknet(peek: Peek) -> bool:
    """Darknet's version (three int32) before the count of images seen and float32 values."""
    numbers = [int.from_bytes(peek.head[at : at + 4], "little") for at in (0, 4, 8)]
    return (
        numbers[0] == 0 and numbers[1] in (1, 2) and numbers[2] in (0, 5) and peek.size > 20 and not peek.size % 4
    )


def is_msgpack(peek: Peek) -> bool:
    """A map of MessagePack with short strings as keys, which is how Flax saves."""
    start = 1 if 0x81 <= peek.head[0] <= 0x8F else 3 if peek.head[0] == 0xDE else len(peek.head)
    if start >= len(peek.head) or not 0xA1 <= peek.head[start] <= 0xBF:
        return False
    key = peek.head[start + 1 : start + 1 + (peek.head[start] & 0x1F)]
    return re.fullmatch(rb"[\w./-]+", key) is not None


def is_graph(peek: Peek) -> bool:
    """A GraphDef: nodes with a name and an op."""
    fields = peek.fields()
    return bool(fields) and {number for number, _, _ in fields} <= {1, 2, 3, 4} and _is_node(fields[0])


def is_meta_graph(peek: Peek) -> bool:
    """A MetaGraphDef: facts about the graph, and the graph, whose first node is looked at."""
    fields = peek.fields()
    if [field[:2] for field in fields[:2]] != [(1, LENGTH), (2, LENGTH)] or _is_node(fields[0]):
        return False
    graph = _inner(_octets(fields[1]))
    return bool(graph) and _is_node(graph[0])


def is_saved_model(peek: Peek) -> bool:
    """A SavedModel: the number 1, then MetaGraphDefs."""
    fields = peek.fields()
    return (
        [field[:2] for field in fields[:2]] == [(1, VARINT), (2, LENGTH)]
        and fields[0][2] == 1
        and (all(field[:2] == (2, LENGTH) for field in fields[1:]) and _octets(fields[1])[:1] == b"\x0a")
    )


def is_onnx(peek: Peek) -> bool:
    """A ModelProto of ONNX: its version and, among others, the graph, which is field 7."""
    fields = peek.fields()
    kinds = {field[:2] for field in fields}
    return bool(fields) and fields[0][:2] == (1, VARINT) and (7, LENGTH) in kinds and max(kinds)[0] <= 26


def is_fingerprint(peek: Peek) -> bool:
    """A FingerprintDef, which lies beside a SavedModel: hashes as numbers, and at the end a version."""
    fields = peek.fields()
    return peek.size < 200 and [field[:2] for field in fields[:4]] == [(number, VARINT) for number in (1, 2, 3, 4)]


def is_core_ml(peek: Peek) -> bool:
    """A Model of Core ML: its version, what it takes and gives, and a model, whose kind numbers its field."""
    fields = peek.fields()
    return bool(fields) and fields[0][:2] == (1, VARINT) and any(number >= 200 for number, _, _ in fields)


def is_caffe(peek: Peek) -> bool:
    """A NetParameter of Caffe: a name, and layers (field 100, formerly 2)."""
    fields = peek.fields()
    if not fields or fields[0][1] != LENGTH:
        return False
    named = fields[0][0] == 1 and re.fullmatch(rb"[ -~]+", _octets(fields[0])) is not None
    return fields[0][0] == 100 or (named and any(number in (2, 100) for number, _, _ in fields))


def _octets(field: Field) -> bytes:
    """The value of a field that has a length; of a number none."""
    return field[2] if isinstance(field[2], bytes) else b""


def _is_node(field: Field) -> bool:
    """Whether a field is a NodeDef: a name, then an op, such as ``VariableV2``."""
    if field[:2] != (1, LENGTH):
        return False
    inner = _inner(_octets(field))
    if [one[:2] for one in inner[:1]] != [(1, LENGTH)] or not re.match(rb"[\w.]", _octets(inner[0])):
        return False
    # The name may be longer than what is looked at.
    return len(inner) < 2 or (inner[1][:2] == (2, LENGTH) and re.match(rb"[A-Z_]", _octets(inner[1])) is not None)


def _inner(octets: bytes) -> list[Field]:
    """The fields at the beginning of a message, as many as are whole, and the last as far as it is there."""
    found: list[Field] = []
    position = 0
    while position < len(octets) and len(found) < 3:
        try:
            tag, position = read_varint(octets, position)
            value, position = read_varint(octets, position)
        except Malformed:
            break
        if tag & 7 == LENGTH:
            found.append((tag >> 3, LENGTH, octets[position : position + value]))
            position += value
        elif tag & 7 == VARINT:
            found.append((tag >> 3, VARINT, value))
        else:
            break
    return found
