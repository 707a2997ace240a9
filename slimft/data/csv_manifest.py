"""Images that a CSV file lists: a line each, with the image's path, its label and perhaps its split."""

from __future__ import annotations

import csv
import os
import pathlib
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from slimft.data.dataset import SPLITS, DataOptions, Dataset
from slimft.data.file_dataset import SPLIT_NAMES, file_splits
from slimft.data.image_files import FileSource
from slimft.errors import DataError, UsageError

# What a column may be called, in small letters; the first that there is counts.
_COLUMNS = {"path": ("path", "image", "filename", "file"), "label": ("label", "class"), "split": ("split",)}
_DELIMITERS = ",;\t"
_DIALECT = {"skipinitialspace": True, "strict": True}
# Longer than any path and label; the csv module's own limit for one field is 131,072.
_MOST_BYTES = 1 << 20
_INTEGER = re.compile(r"-?[0-9]{1,18}")


class Entry(NamedTuple):
    """A line of a manifest.

    Attributes:
        line: its number, from 1.
        path: the image.
        label: the name of its class.
        split: ``train``, ``validation`` or ``test``; None where the manifest has no splits.
    """

    line: int
    path: str
    label: str
    split: str | None


def load(data_dir: pathlib.Path | None, options: DataOptions) -> dict[str, Dataset]:
    """Reads a manifest; looks for its images but reads none of them.

    Args:
        data_dir: the CSV file, or a folder that holds one.
        options: how to split, and how to read.

    Returns:
        Split name to dataset: ``train``, ``validation``, and ``test`` unless there is none.

    Raises:
        UsageError: there is no `data_dir`, or an option makes no sense for it.
        DataError: the file is missing or malformed; an image is missing, or has two labels; a class has no training
            images.
    """
    if data_dir is None:
        raise UsageError("--dataset=csv needs --data_dir, the CSV file that lists the images")
    file = _find(data_dir)
    entries = read_manifest(file)
    _check_files(file, entries)
    labels = {entry.label for entry in entries}
    numbers = all(map(_INTEGER.fullmatch, labels))
    class_names = sorted(labels, key=lambda name: (int(name), name) if numbers else name)
    label_of = {name: label for label, name in enumerate(class_names)}
    split_of = None
    if entries[0].split is not None:
        split_of = np.array([SPLITS.index(entry.split) for entry in entries], np.int8)
    return file_splits(
        "csv",
        file,
        [FileSource(entry.path) for entry in entries],
        np.array([label_of[entry.label] for entry in entries], np.int32),
        class_names,
        options,
        split_of,
    )


def read_manifest(file: pathlib.Path) -> list[Entry]:
    """The entries of a manifest, sorted by path, each path once.

    The first line names the columns: ``path`` (or image, filename, file), ``label`` (or class) and perhaps
    ``split``, whose values are train, validation (or val, valid) and test. Others are not looked at. They are
    separated by commas, semicolons or tabs. Paths are relative to the folder of the manifest.

    Args:
        file: the manifest, in UTF-8.

    Raises:
        DataError: it cannot be read, lacks a column, or has a line that is malformed or contradicts another.
    """
    entries: dict[str, Entry] = {}
    try:
        with open(file, "rb") as stream:
            lines = _lines(file, stream)
            delimiter, width, columns = _header(file, next(lines, ""))
            for line, row in _rows(file, csv.reader(lines, delimiter=delimiter, **_DIALECT)):
                entry = _entry(file, line, row, width, columns)
                _check_same(file, entries.setdefault(entry.path, entry), entry)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    if not entries:
        raise DataError(f"{file} lists no images")
    return sorted(entries.values(), key=lambda entry: entry.path)


def _find(data_dir: pathlib.Path) -> pathlib.Path:
    """The manifest that `data_dir` is or holds."""
    if os.path.isfile(data_dir):
        return data_dir
    if not os.path.isdir(data_dir):
        raise DataError(f"--data_dir={data_dir}: there is no such file")
    try:
        found = sorted(path for path in data_dir.iterdir() if path.suffix.lower() == ".csv")
    except OSError as error:
        raise DataError(f"--data_dir={data_dir} cannot be read: {error.strerror}") from None
    if len(found) != 1:
        raise DataError(f"--data_dir={data_dir} holds {len(found) or 'no'} CSV files; name the one to use")
    return found[0]


def _lines(file: pathlib.Path, stream: BinaryIO) -> Iterator[str]:
    """The lines of a file, of bounded length."""
    number = 0
    while line := stream.readline(_MOST_BYTES):
        number += 1
        if len(line) == _MOST_BYTES:
            raise DataError(f"{file} line {number} is longer than {_MOST_BYTES} bytes; is it a CSV file?")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{file} line {number} is not text in UTF-8; save the file in that encoding") from None


def _header(file: pathlib.Path, line: str) -> tuple[str, int, dict[str, int]]:
    """The delimiter, the number of columns, and where those are that count."""
    missing = "path"
    for delimiter in _DELIMITERS:
        try:
            names = [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter, **_DIALECT), [])]
        except csv.Error:
            continue
        columns = {}
        for column, aliases in _COLUMNS.items():
            alias = next((alias for alias in aliases if alias in names), None)
            if alias is not None:
                columns[column] = names.index(alias)
                if names.count(alias) > 1:
                    raise DataError(f"{file} line 1 has two columns called {alias}; rename one")
        if "path" in columns and "label" in columns:
            return delimiter, len(names), columns
        if "path" in columns:
            missing = "label"
    raise DataError(
        f"{file} line 1 has no column {missing}; it has to name the columns: path,label or path,label,split"
    )


def _rows(file: pathlib.Path, reader) -> Iterator[tuple[int, list[str]]]:
    """What is below the header: the number of its first line, and the values; not the empty lines."""
    while True:
        start = reader.line_num + 2
        try:
            row = next(reader)
            if row:
                yield start, row
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{file} line {start}: {error}") from None


def _entry(file: pathlib.Path, line: int, row: list[str], width: int, columns: dict[str, int]) -> Entry:
    if len(row) != width:
        raise DataError(f"{file} line {line} has {len(row)} columns, and the first line {width}")
    values = {column: row[index].strip() for column, index in columns.items()}
    for column, value in values.items():
        if not value:
            raise DataError(f"{file} line {line}: the {column} is empty")
        if any(letter < " " for letter in value):
            raise DataError(f"{file} line {line}: the {column}, {value!r}, has a character that cannot be printed")
    split = SPLIT_NAMES.get(values.get("split", "train").lower())
    if split is None:
        raise DataError(f"{file} line {line}: the split is {values['split']!r}, not train, validation or test")
    path = os.path.normpath(os.path.join(file.parent, values["path"]))
    return Entry(line, path, values["label"], split if "split" in columns else None)


def _check_same(file: pathlib.Path, first: Entry, second: Entry) -> None:
    for column in ("label", "split"):
        before, now = getattr(first, column), getattr(second, column)
        if before != now:
            raise DataError(
                f"{file} line {second.line}: the {column} of {second.path} is {now}, in line {first.line} {before}"
            )


def _check_files(file: pathlib.Path, entries: list[Entry]) -> None:
    missing = [entry for entry in entries if not os.path.isfile(entry.path)]
    if missing:
        first = min(missing)
        found = "image is" if len(missing) == 1 else "images are"
        raise DataError(f"{file}: {len(missing)} {found} missing, the first in line {first.line}: {first.path}")
