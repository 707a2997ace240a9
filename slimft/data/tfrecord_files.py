"""Which files of a folder are TFRecords, and of which split each is.

Programs call them in many ways: ``flowers_train-00000-of-00005.tfrecord``, ``train-00000-of-01024``,
``train.record-00000-of-00010``, ``cats-train.tfrecord-00000-of-00008``, ``train/07-512x512.tfrec``. So a file is
one if its first bytes are, or if its name says so; its name, or else that of a folder around it, may name a split.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

from slimft.data.class_names import LABELS_FILE, read_numbered_labels
from slimft.data.deflate import unpacked_start
from slimft.data.file_dataset import SPLIT_NAMES, PassedOver, split_named
from slimft.data.image_formats import SUFFIXES
from slimft.data.splits import few
from slimft.errors import DataError
from slimft.wire.checksum import crc32c, masked

HEAD = struct.Struct("<QI")
# The least of a compressed file that has to be read to unpack the head of the first record.
_START_BYTES = 4096
_SUFFIX, _SHARD = r"\.(?:tfrecords?|tfrecs?|tfr|records?)", r"[-_.]([0-9]{1,9})[-_]of[-_]([0-9]{1,9})"
_PACKED = r"\.(?:gz|gzip|zlib|zz|z|deflate)"
# A stem, and what is no part of it: at most one suffix on either side of a number among several.
_NAME = re.compile(rf"(.*?)(?:{_SUFFIX})?(?:{_SHARD})?(?:{_SUFFIX})?(?:{_PACKED})?", re.IGNORECASE | re.DOTALL)
_NAMED_SO = re.compile(rf".*(?:{_SUFFIX}|{_SHARD})(?:{_PACKED})?", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"[^\W_]+")
# A word that counts files and does not name a dataset.
_COUNTS = re.compile(r"(?:part|shard|file|batch|chunk|fold)?[0-9]+(?:x[0-9]+)*|part|shard|file|batch|chunk", re.I)


class Found(NamedTuple):
    """A TFRecord file.

    Attributes:
        path: the file.
        split: ``train``, ``validation`` or ``test``; None if no name tells.
        dataset: what else its name says, where that names the split; None where a folder does, or nothing.
        shard: its number among several.
        shards: of how many; None where its name does not say.
        stem: its path without these, to tell one set of files from another.
    """

    path: pathlib.Path
    split: str | None
    dataset: str | None
    shard: int
    shards: int | None
    stem: str


def find_files(place: pathlib.Path) -> tuple[list[Found], tuple[str, ...]]:
    """The TFRecord files of a folder and the folders below it, in order; or the one file that `place` is.

    Links to folders count right in the folder, and not below. Where some files name a split, the others are passed
    over.

    Returns:
        The files, and a note on what else is there.

    Raises:
        DataError: there is nothing there, or no such file; one of several shards is missing; they are of more than
            one dataset, or have a split twice.
    """
    if os.path.isfile(place):
        return [_described(place, place.name, ())], ()
    found, images, passed = [], False, PassedOver(str(place))
    for inner, name in _names(place):
        path = pathlib.Path(place, *inner, name)
        if name == LABELS_FILE or name.endswith(f".{LABELS_FILE}"):
            continue
        if may_be_records(name) or _begins_a_record(path):
            found.append(_described(path, name, inner))
        else:
            images |= name.lower().endswith(SUFFIXES)
            passed.add("file that is no TFRecord", "files that are no TFRecords", path.parent, [name])
    if any(file.split for file in found):
        for file in found:
            if file.split is None:
                one, many = "TFRecord that names no split", "TFRecords that name no split"
                passed.add(one, many, file.path.parent, [file.path.name])
        found = [file for file in found if file.split]
    if not found:
        hint = "; of images in folders of their classes, --dataset=image_folder" if images else ""
        raise DataError(
            f"--data_dir={place} has no TFRecords, by what is in its files; expected some like "
            f"NAME_train-00000-of-00005.tfrecord or train/NAME.tfrec{hint}"
        )
    _check_sets(place, found)
    return found, passed.notes()


def _names(folder: pathlib.Path) -> list[tuple[tuple[str, ...], str]]:
    """The files in a folder and below, hidden ones apart: the folders on the way, and the name; in order."""
    found, waiting = [], [()]
    while waiting:
        inner = waiting.pop()
        path = os.path.join(folder, *inner)
        try:
            with os.scandir(path) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
                found += [(inner, one.name) for one in entries if one.is_file() and not one.name.startswith(".")]
                waiting += [
                    (*inner, one.name)
                    for one in entries
                    if one.is_dir(follow_symlinks=not inner) and not one.name.startswith(".")
                ]
        except OSError as error:
            named = path if inner else f"--data_dir={folder}"
            raise DataError(f"{named} cannot be read: {error.strerror}") from None
    return sorted(found)


def may_be_records(name: str) -> bool:
    """Whether a file's name says that it is of TFRecords."""
    return _NAMED_SO.fullmatch(name) is not None


def _begins_a_record(path: pathlib.Path) -> bool:
    """Whether a file, or what it unpacks to, begins with the head of a record: a length and its checksum."""
    try:
        with open(path, "rb", buffering=0) as stream:
            start = stream.read(HEAD.size)
            if begins_a_record(start):
                return True
            start += stream.read(_START_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return begins_a_record(unpacked_start(start, HEAD.size))


def begins_a_record(start: bytes) -> bool:
    """Whether a file that starts so is one of TFRecords, not compressed."""
    return len(start) >= HEAD.size and masked(crc32c(start[:8])) == HEAD.unpack_from(start)[1]


def _described(path: pathlib.Path, name: str, inner: Sequence[str]) -> Found:
    stem, shard, shards = _NAME.fullmatch(name).groups()
    split, dataset = _split_of(stem)
    if split is None:
        split = next((found for found in (split_named(one)[0] for one in reversed(inner)) if found), None)
    shards = None if shards is None else int(shards)
    return Found(path, split, dataset, int(shard or 0), shards, "/".join((*inner, stem)))


def _split_of(stem: str) -> tuple[str | None, str | None]:
    """The split that a file's name tells, and the dataset that it is then of."""
    words = _WORDS.findall(stem)
    while words and _COUNTS.fullmatch(words[-1]):
        words.pop()
    if words:
        words[-1] = words[-1].rstrip("0123456789")
    split, rest = split_named("_".join(words), last=True)
    if split is None:
        within = [word for word in words if word.lower() in SPLIT_NAMES]
        if len({SPLIT_NAMES[word.lower()] for word in within}) != 1:
            return None, None
        split, rest = SPLIT_NAMES[within[0].lower()], "_".join(word for word in words if word not in within)
    return split, "_".join(word for word in _WORDS.findall(rest) if not _COUNTS.fullmatch(word))


def _check_sets(place: pathlib.Path, found: list[Found]) -> None:
    """Raises DataError if files are missing, of several datasets, or there in two forms."""
    datasets = sorted({file.dataset for file in found if file.dataset is not None})
    if len(datasets) > 1:
        listed = few([name or "one without a name" for name in datasets])
        raise DataError(f"{place} has TFRecords of {len(datasets)} datasets, {listed}; choose one")
    sets: dict[tuple[str, int | None], set[int]] = {}
    ways: dict[str, set] = {}
    twice = []
    for file in found:
        there = sets.setdefault((file.stem, file.shards), set())
        if file.shard in there:
            twice.append(file)
        there.add(file.shard)
        if file.dataset is not None:
            several = ways.setdefault(file.split, set())
            several.add((file.stem.rpartition("/")[0], file.shards))
            twice += [file] if len(several) > 1 else []
    if twice:
        raise DataError(
            f"{place} has the same split in several sets of files, one of them with {twice[0].path.name}; keep "
            "one of them, or name one with --data_dir"
        )
    for (stem, count), there in sets.items():
        # They may be counted from 1.
        lacking = (count or 1) - len(there)
        if lacking > 0 or (count and max(there) > count):
            first = next(number for number in itertools.count() if number not in there)
            raise DataError(
                f"{place} lacks {lacking} of the {count} files of {stem}, such as the one of number {first:05}; "
                "copy or make it again"
            )


class Names(NamedTuple):
    """What a file says about the names of classes.

    Attributes:
        file: the file.
        names: the names.
        first: the label of the first of them.
    """

    file: pathlib.Path
    names: list[str]
    first: int


def find_names(place: pathlib.Path, files: Sequence[Found], label_key: str) -> Names | None:
    """Reads ``labels.txt``, or TensorFlow Datasets' ``KEY.labels.txt``, beside the files or above them."""
    folders = [place] if os.path.isdir(place) else []
    folders += dict.fromkeys(file.path.parent for file in files)
    for name in (LABELS_FILE, f"{label_key}.{LABELS_FILE}"):
        there = [folder / name for folder in folders if os.path.lexists(folder / name) and "/" not in name]
        if there:
            names, first = read_numbered_labels(there[0])
            return Names(there[0], names, first or 0)
    return None
