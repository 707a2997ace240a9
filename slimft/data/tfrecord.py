"""TFRecord files as research/slim and others write them, read without TensorFlow.

The framing is that of tensorflow/core/lib/io/record_writer.h: the length of a record (uint64, little-endian), its
masked CRC-32C, the record, its masked CRC-32C; all of it may be compressed by gzip or zlib. A record is a
tf.train.Example; see `slimft.data.tf_example`. How the files are called: `slimft.data.tfrecord_files`.
"""

from __future__ import annotations

import array
import contextlib
import os
import pathlib
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from slimft import system
from slimft.data.dataset import SPLITS, DataOptions
from slimft.data.deflate import DeflateFile, unpacked_start
from slimft.data.digest import digest
from slimft.data.file_dataset import Examples
from slimft.data.first_bytes import HEAD_BYTES, what_it_is
from slimft.data.record_labels import RecordLabels
from slimft.data.tf_example import SLIMS_KEYS, Keys, encoded_image, parse_example
from slimft.data.tfrecord_files import HEAD, begins_a_record, find_files, find_names
from slimft.errors import DataError, UsageError
from slimft.wire.binary_file import Malformed
from slimft.wire.checksum import crc32c, masked

# An image of 100 million pixels, the most that is decoded, is smaller unless it is stored without compression.
MOST_RECORD_BYTES = 512 << 20
# Of a compressed file, which does not tell beforehand how much there is.
MOST_COMPRESSED_RECORD_BYTES = 64 << 20

_FOOT = struct.Struct("<I")
_BUFFER = 1 << 20
# Places kept in compressed files, of all files together: 36 MB.
_MOST_PLACES = 1024


def find(data_dir: pathlib.Path | None, options: DataOptions, class_names: Sequence[str] | None = None) -> Examples:
    """Reads every record of a folder, or of one file, once, to find its label and to check it; keeps none of them.

    Args:
        data_dir: the folder with the files, or the file.
        options: of which `image_key`, `label_key` and `labels_offset` count, and `group`, which is refused: records
            have no paths.
        class_names: None to train; else a `group` is passed over.

    Raises:
        DataError: the folder, a file, a record (numbered from 0) or ``labels.txt`` is not as it should be.
        UsageError: there is a `group`.
    """
    if data_dir is None:
        raise DataError("--dataset=tfrecord needs --data_dir=FOLDER, the folder with the TFRecord files")
    if options.group and class_names is None:
        raise UsageError(
            f"--group={options.group}: TFRecords have no paths that could tell what belongs together; use "
            "--dataset=csv with a column group, or write files for each split"
        )
    files, notes = find_files(data_dir)
    names = find_names(data_dir, files, options.label_key)
    records = Records([file.path for file in files], Keys(options.image_key, options.label_key))
    found = records.found.numbered(names, options.labels_offset, lambda index: records[index].name)
    split_of = None
    if files[0].split is not None:
        split_of = np.array([SPLITS.index(file.split) for file in files], np.int8)[records.files]
    return Examples(
        "tfrecord", data_dir, records, found.labels, found.class_names, split_of, notes=(*notes, *found.notes)
    )


class _File:
    """A file of records, compressed or not.

    Attributes:
        path: its path.
    """

    def __init__(self, path: str, most_places: int):
        self.path = path
        self._packed: DeflateFile | None = None
        self._most_places = most_places

    def records(self) -> Iterator[tuple[int, memoryview, int]]:
        """Yields each record with its offset, and how many bytes of the file were read so far.

        Raises:
            OSError: it cannot be read.
            Malformed: it is damaged, or no TFRecord file.
        """
        with open(self.path, "rb", buffering=_BUFFER, opener=system.open_descriptor) as stream:
            start = stream.peek(HEAD_BYTES)
            if not begins_a_record(start) and begins_a_record(unpacked_start(start, HEAD.size)):
                self._packed = DeflateFile(self.path, self._most_places)
                unpacker = self._packed.in_order(stream.fileno())
                for offset, record in read_records(unpacker, None):
                    yield offset, record, unpacker.taken
                return
            told = what_it_is(start)
            if told is not None and not begins_a_record(start):
                raise Malformed(f"this is no TFRecord file, but {told}")
            for offset, record in read_records(stream, os.fstat(stream.fileno()).st_size):
                yield offset, record, offset + len(record) + _FOOT.size

    def read(self, offset: int, size: int) -> bytes:
        """Reads what is there; raises OSError, or Malformed if it is compressed and damaged."""
        if self._packed is not None:
            return self._packed.read(offset, size)
        buffer = np.empty(size, np.uint8)
        with open(self.path, "rb", buffering=0, opener=system.open_descriptor) as stream:
            return buffer[: system.read_into(stream.fileno(), buffer, offset)].tobytes()


class Record:
    """The encoded image of a record."""

    __slots__ = ("_crc", "_file", "_image_key", "_number", "_offset", "_size", "key")

    def __init__(self, file: _File, number: int, offset: int, size: int, crc: int, key: str, image_key: str):
        self._file, self._number, self._offset, self._size, self._crc = file, number, offset, size, crc
        self.key, self._image_key = key, image_key

    def digest(self) -> str:
        """What was found when it was indexed."""
        return self.key[:16]

    @property
    def fingerprint(self) -> str:
        """What the image is, wherever it is: its digest, and a checksum of all of it."""
        return f"record {self.digest()} {self._crc:08x}"

    @property
    def name(self) -> str:
        return f"{self._file.path} record {self._number}"

    def open(self) -> bytes:
        """Reads it; raises DataError if the file has changed."""
        try:
            record = self._file.read(self._offset, self._size + _FOOT.size)
            if len(record) != self._size + _FOOT.size:
                raise Malformed("it is cut off")
            data = memoryview(record)[: self._size]
            if _FOOT.unpack_from(record, self._size)[0] != masked(crc32c(data)):
                raise Malformed("its checksum is wrong")
            encoded = encoded_image(data, self._image_key)
            if crc32c(encoded) != self._crc:
                raise Malformed("it has another image")
            return bytes(encoded)
        except Malformed as error:
            raise DataError(f"{self.name}: {error}; the file has changed since it was first read") from None


class Records(Sequence):
    """The records of some files, in order: an index of 32 bytes for each.

    Args:
        paths: the files.
        keys: which features are the image and the label.

    Attributes:
        found: the labels as they are in the records.
        files: int32 ``[records]``, the index of each record's file.

    Raises:
        DataError: a file cannot be read, or a record is not one of an image and its label.
    """

    def __init__(self, paths: Sequence[pathlib.Path], keys: Keys = SLIMS_KEYS):
        most_places = max(1, _MOST_PLACES // len(paths))
        self._files, self._keys = [_File(str(path), most_places) for path in paths], keys
        offsets, sizes, self._first = array.array("q"), array.array("I"), [0]
        digests, crcs, self.found = array.array("Q"), array.array("I"), RecordLabels(keys.label)
        with _progress(self._files) as advance:
            for file in self._files:
                for offset, size, content, crc in _index(file, keys, self.found, advance):
                    digests.append(int(content, 16))
                    crcs.append(crc)
                    offsets.append(offset)
                    sizes.append(size)
                self._first.append(len(sizes))
        self._offsets, self._sizes = np.array(offsets, np.int64), np.array(sizes, np.uint32)
        self._digests, self._crcs = np.array(digests, np.uint64), np.array(crcs, np.uint32)
        self._number_of_copy = _numbers_of_copies(self._digests)
        self.files = np.repeat(np.arange(len(paths), dtype=np.int32), np.diff(self._first))

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> Record:
        file = int(self.files[index])
        number, offset = index - self._first[file], int(self._offsets[index])
        copy = self._number_of_copy.get(index)
        key = f"{int(self._digests[index]):016x}" + (f"-{copy}" if copy else "")
        size, crc = int(self._sizes[index]), int(self._crcs[index])
        return Record(self._files[file], number, offset, size, crc, key, self._keys.image)


def _numbers_of_copies(digests: np.ndarray) -> dict[int, int]:
    """Record to how many before it have the same image, for those that are not the first with theirs."""
    order = np.argsort(digests, kind="stable")
    again = np.flatnonzero(digests[order[1:]] == digests[order[:-1]]) + 1
    numbers: dict[int, int] = {}
    for place in again.tolist():
        numbers[int(order[place])] = numbers.get(int(order[place - 1]), 0) + 1
    return numbers


@contextlib.contextmanager
def _progress(files: list[_File]):
    """A bar over the bytes of the files; gives what is to be called with how many more were read."""
    from slimft.progress_bar import PassBar

    try:
        total = sum(os.path.getsize(file.path) for file in files)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from None
    with PassBar("reading records", total, unit="B", unit_scale=True) as bar:
        yield bar.update


def _index(file: _File, keys: Keys, found: RecordLabels, advance) -> Iterator[tuple[int, int, str, int]]:
    """Yields where each record of a file is, how large, its image's digest and CRC-32C; adds labels to `found`."""
    number = read = 0
    try:
        for offset, record, taken in file.records():
            example = parse_example(record, keys)
            if example.format.lower() == b"raw":
                raise Malformed("its image is in raw format, which is not supported; encode it as PNG or JPEG")
            if not len(example.encoded):
                raise Malformed(f"its {keys.image} is empty")
            found.add(example.label, example.text)
            yield offset, len(record), digest(example.encoded), crc32c(example.encoded)
            advance(taken - read)
            read, number = taken, number + 1
    except OSError as error:
        raise DataError(f"{file.path} cannot be read: {error.strerror}") from None
    except Malformed as error:
        raise DataError(f"{file.path} record {number}: {error}") from None


def read_records(stream, size: int | None) -> Iterator[tuple[int, memoryview]]:
    """Yields the records of a stream, each with its offset; a record is valid until the next.

    Args:
        stream: has `read` and `readinto`.
        size: how many bytes it has; None if that is not known.

    Raises:
        Malformed: a record is cut off, too large, or its checksum is wrong.
    """
    position, buffer = 0, bytearray()
    most = MOST_COMPRESSED_RECORD_BYTES if size is None else MOST_RECORD_BYTES
    while size is None or position < size:
        head = stream.read(HEAD.size)
        if not head and size is None:
            return
        if len(head) != HEAD.size:
            raise Malformed("its head is cut off; copy or make the file again")
        length, checksum = HEAD.unpack(head)
        if masked(crc32c(head[:8])) != checksum:
            raise Malformed("its length has a wrong checksum; the file is damaged, or no TFRecord file")
        position += HEAD.size
        if length > most:
            raise Malformed(f"it has {length} bytes, more than the {most} it may have")
        if size is not None and length > size - position - _FOOT.size:
            raise Malformed("it is cut off; copy or make the file again")
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
