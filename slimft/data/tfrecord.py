"""TFRecord files as research/slim writes them, read without TensorFlow.

The framing is that of tensorflow/core/lib/io/record_writer.h: the length of a record (uint64, little-endian), its
masked CRC-32C, the record, its masked CRC-32C. A record is a tf.train.Example (tensorflow/core/example), with the
features of research/slim's datasets/dataset_utils.py: ``image/encoded``, ``image/format``, ``image/class/label``.
The files are called ``NAME_SPLIT-00000-of-00005.tfrecord``, or ``NAME_SPLIT.tfrecord``, or with the split before
the name; ``labels.txt`` beside them has the names of the classes.
"""

from __future__ import annotations

import array
import os
import pathlib
import re
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from slimft.checkpoint import protobuf
from slimft.checkpoint.binary_file import Malformed
from slimft.checkpoint.checksum import crc32c, masked
from slimft.data.class_names import LABELS_FILE, read_labels
from slimft.data.dataset import SPLITS, DataOptions
from slimft.data.file_dataset import Examples, PassedOver, split_named
from slimft.data.fingerprint import digest
from slimft.errors import DataError, UsageError

# An image of 100 million pixels, the most that is decoded, is smaller unless it is stored without compression.
MOST_RECORD_BYTES = 512 << 20
# Without a labels.txt: a label is not to make names by the million.
MOST_CLASSES = 100_000

_FILE = re.compile(
    r"(?P<stem>.*?)(?:-(?P<shard>[0-9]{5})-of-(?P<shards>[0-9]{5}))?(?P<suffix>\.tfrecords?)?",
    re.IGNORECASE | re.DOTALL,
)
_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")
_ENCODED, _FORMAT, _LABEL = b"image/encoded", b"image/format", b"image/class/label"
_BUFFER = 1 << 20
_QUIET_SECONDS = 3


def find(data_dir: pathlib.Path | None, options: DataOptions, class_names: Sequence[str] | None = None) -> Examples:
    """Reads every record of a folder once, to find its label and to check it; keeps none of them.

    Args:
        data_dir: the folder with the files.
        options: of which only `group` counts, which is refused: records have no paths.
        class_names: to evaluate, the classes that the labels may be of where there is no ``labels.txt``.

    Raises:
        DataError: the folder, a file, a record (numbered from 0) or ``labels.txt`` is not as it should be.
        UsageError: there is a `group`.
    """
    if data_dir is None:
        raise DataError("--dataset=tfrecord needs --data_dir=FOLDER, the folder with the .tfrecord files")
    if options.group and class_names is None:
        raise UsageError(
            f"--group={options.group}: TFRecords have no paths that could tell what belongs together; use "
            "--dataset=csv with a column group, or write files for each split"
        )
    files, notes = find_files(data_dir)
    labels_file = data_dir / LABELS_FILE
    names = read_labels(labels_file) if labels_file.exists() else None
    records = Records([file for file, _ in files], MOST_CLASSES if names is None else len(names))
    split_of = np.array([SPLITS.index(split) for _, split in files], np.int8)[records.files]
    return Examples("tfrecord", data_dir, records, records.labels, names, split_of, notes=notes)


def find_files(folder: pathlib.Path) -> tuple[list[tuple[pathlib.Path, str]], tuple[str, ...]]:
    """The TFRecord files of a folder, in order, each with its split; and a note on what else is there.

    Raises:
        DataError: there is no folder, or no such file in it; one of several shards is missing; they are of more
            than one dataset.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError as error:
        raise DataError(f"--data_dir={folder} cannot be read: {error.strerror}") from None
    found, shards, passed = [], {}, PassedOver(str(folder))
    for name in names:
        match = _FILE.fullmatch(name)
        split, dataset = split_named(match["stem"], last=True)
        if match["shard"] is None and match["suffix"] is None:
            if name != LABELS_FILE:
                passed.add("file that is no TFRecord", "files that are no TFRecords", folder, [name])
        elif split is None:
            passed.add("TFRecord that names no split", "TFRecords that name no split", folder, [name])
        else:
            found.append((folder / name, split))
            shards.setdefault((dataset, split, match["shards"]), set()).add(int(match["shard"] or 0))
    if not found:
        raise DataError(
            f"--data_dir={folder} has no TFRecords: expected files like NAME_train-00000-of-00005.tfrecord or "
            "NAME_train.tfrecord, with train, validation or test as the split"
        )
    datasets = sorted({name for name, _, _ in shards})
    if len(datasets) > 1:
        raise DataError(f"{folder} has TFRecords of {len(datasets)} datasets, {', '.join(datasets)}; choose one")
    for (name, split, count), there in shards.items():
        missing = set(range(int(count or 1))) - there
        if missing:
            whose = f"{name} {split}".strip()
            raise DataError(
                f"{folder} lacks {len(missing)} of the {int(count)} files of {whose}, such as the one of number "
                f"{min(missing):05}; copy or make it again"
            )
    if len(shards) > len({split for _, split, _ in shards}):
        raise DataError(f"{folder} has the same split in several sets of files; keep one of them")
    return found, passed.notes()


class Record:
    """The encoded image of a record."""

    __slots__ = ("_file", "_number", "_offset", "_size", "_crc", "key")

    def __init__(self, file: str, number: int, offset: int, size: int, crc: int, key: str):
        self._file, self._number, self._offset, self._size, self._crc = file, number, offset, size, crc
        self.key = key

    @property
    def fingerprint(self) -> str:
        """What the image is, wherever it is: its digest, and a checksum of all of it."""
        return f"record {self.digest()} {self._crc:08x}"

    def digest(self) -> str:
        """What was found when it was indexed."""
        return self.key[:16]

    @property
    def name(self) -> str:
        return f"{self._file} record {self._number}"

    def open(self) -> bytes:
        """Reads it; raises DataError if the file has changed."""
        with open(self._file, "rb", buffering=0) as stream:
            stream.seek(self._offset)
            record = stream.read(self._size + _FOOT.size)
        try:
            if len(record) != self._size + _FOOT.size:
                raise Malformed("it is cut off")
            data = memoryview(record)[: self._size]
            if _FOOT.unpack_from(record, self._size)[0] != masked(crc32c(data)):
                raise Malformed("its checksum is wrong")
            encoded = parse_example(data)[0]
            if crc32c(encoded) != self._crc:
                raise Malformed("it has another image")
            return bytes(encoded)
        except Malformed as error:
            raise DataError(f"{self.name}: {error}; the file has changed since it was first read") from None


class Records(Sequence):
    """The records of some files, in order: an index of 32 bytes for each.

    Args:
        paths: the files.
        num_classes: labels have to be below this.

    Attributes:
        labels: int32 ``[records]``.
        files: int32 ``[records]``, the index of each record's file.

    Raises:
        DataError: a file cannot be read, or a record is not one of an image and its label.
    """

    def __init__(self, paths: Sequence[pathlib.Path], num_classes: int):
        from slimft.progress_bar import ProgressBar

        self._paths = [str(path) for path in paths]
        offsets, sizes, labels, self._first = array.array("q"), array.array("I"), array.array("i"), [0]
        digests, crcs = array.array("Q"), array.array("I")
        try:
            total = sum(os.path.getsize(path) for path in paths)
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}") from None
        options = {"unit": "B", "unit_scale": True, "delay": _QUIET_SECONDS, "mininterval": 1}
        with ProgressBar(desc="reading records", total=total, **options) as bar:
            for path in self._paths:
                for offset, size, label, content, crc in _index(path, num_classes):
                    digests.append(int(content, 16))
                    crcs.append(crc)
                    offsets.append(offset)
                    sizes.append(size)
                    labels.append(label)
                    bar.update(_HEAD.size + size + _FOOT.size)
                self._first.append(len(labels))
        self._offsets, self._sizes = np.array(offsets, np.int64), np.array(sizes, np.uint32)
        self._digests, self._crcs = np.array(digests, np.uint64), np.array(crcs, np.uint32)
        self._number_of_copy = _numbers_of_copies(self._digests)
        self.labels = np.array(labels, np.int32)
        self.files = np.repeat(np.arange(len(paths), dtype=np.int32), np.diff(self._first))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Record:
        file = int(self.files[index])
        number, offset = index - self._first[file], int(self._offsets[index])
        copy = self._number_of_copy.get(index)
        key = f"{int(self._digests[index]):016x}" + (f"-{copy}" if copy else "")
        return Record(self._paths[file], number, offset, int(self._sizes[index]), int(self._crcs[index]), key)


def _numbers_of_copies(digests: np.ndarray) -> dict[int, int]:
    """Record to how many before it have the same image, for those that are not the first with theirs."""
    order = np.argsort(digests, kind="stable")
    again = np.flatnonzero(digests[order[1:]] == digests[order[:-1]]) + 1
    numbers: dict[int, int] = {}
    for place in again.tolist():
        numbers[int(order[place])] = numbers.get(int(order[place - 1]), 0) + 1
    return numbers


def _index(path: str, num_classes: int) -> Iterator[tuple[int, int, int, str, int]]:
    """Yields where each record of a file is, how large, its label, and its image's digest and CRC-32C."""
    number = 0
    try:
        with open(path, "rb", buffering=_BUFFER) as stream:
            for offset, record in read_records(stream, os.fstat(stream.fileno()).st_size):
                encoded, kind, label = parse_example(record)
                if kind.lower() == b"raw":
                    raise Malformed("its image is in raw format, which is not supported; encode it as PNG or JPEG")
                if not len(encoded):
                    raise Malformed("its image/encoded is empty")
                if not 0 <= label < num_classes:
                    raise Malformed(f"its image/class/label is {label}, which is not in 0..{num_classes - 1}")
                yield offset, len(record), label, digest(encoded), crc32c(encoded)
                number += 1
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except Malformed as error:
        raise DataError(f"{path} record {number}: {error}") from None


def read_records(stream, size: int) -> Iterator[tuple[int, memoryview]]:
    """Yields the records of a stream of `size` bytes, each with its offset; a record is valid until the next.

    Raises:
        Malformed: a record is cut off, too large, or its checksum is wrong.
    """
    position, buffer = 0, bytearray()
    while position < size:
        head = stream.read(_HEAD.size)
        if len(head) != _HEAD.size:
            raise Malformed("its head is cut off; copy or make the file again")
        length, checksum = _HEAD.unpack(head)
        if masked(crc32c(head[:8])) != checksum:
            raise Malformed("its length has a wrong checksum; the file is damaged, compressed or no TFRecord file")
        position += _HEAD.size
        if length > min(size - position - _FOOT.size, MOST_RECORD_BYTES):
            reason = "it is cut off; copy or make the file again"
            if length > MOST_RECORD_BYTES:
                reason = f"it has {length} bytes, more than the {MOST_RECORD_BYTES} it may have"
            raise Malformed(reason)
        if len(buffer) < length + _FOOT.size:
            buffer = bytearray(length + _FOOT.size)
        whole = memoryview(buffer)[: length + _FOOT.size]
        if stream.readinto(whole) != len(whole):
            raise Malformed("it is cut off; copy or make the file again")
        record = whole[:length]
        if masked(crc32c(record)) != _FOOT.unpack_from(whole, length)[0]:
            raise Malformed("its checksum is wrong; the file is damaged, copy or make it again")
        yield position, record
        position += len(whole)


def parse_example(record: memoryview) -> tuple[memoryview, bytes, int]:
    """The image, its format (empty if none is given) and the label of a tf.train.Example.

    Raises:
        Malformed: it is no such message, or lacks the image or the label.
    """
    features = {}
    for part in _messages(record, 1):
        for entry in _messages(part, 1):
            keys = _messages(entry, 1)
            if keys and bytes(keys[-1]) in (_ENCODED, _FORMAT, _LABEL):
                features[bytes(keys[-1])] = _messages(entry, 2)
    encoded = _values(features, _ENCODED, 1)
    if len(encoded) != 1:
        raise Malformed(f"it has {len(encoded) or 'no'} image/encoded; there has to be one")
    labels = []
    for numbers in _values(features, _LABEL, 3, lists=True):
        for field, wire_type, value in protobuf.fields(numbers):
            if field == 1:
                packed = protobuf.packed_varints(value).tolist() if wire_type == protobuf.LENGTH else [value]
                labels += map(protobuf.signed, packed)
    if len(labels) != 1:
        raise Malformed(f"it has {len(labels) or 'no'} image/class/label; there has to be one")
    return encoded[0], b"".join(map(bytes, _values(features, _FORMAT, 1))), labels[0]


def _values(features: dict, key: bytes, kind: int, lists: bool = False) -> list[memoryview]:
    """The values of a feature's list of that kind (1 bytes, 3 int64), or such lists themselves."""
    found = [values for feature in features.get(key, ()) for values in _messages(feature, kind)]
    return found if lists else [value for values in found for value in _messages(values, 1)]


def _messages(message: memoryview, number: int) -> list[memoryview]:
    """The fields of that number, which are bytes."""
    return [protobuf.expect_bytes(value) for field, _, value in protobuf.fields(message) if field == number]
