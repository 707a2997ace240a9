"""Images that a CSV file lists: a line each, with the image's path, its label and perhaps its split."""

from __future__ import annotations

import csv
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from slimft.data.dataset import SPLITS, DataOptions
from slimft.data.file_dataset import Examples, split_named
from slimft.data.image_files import FileSource
from slimft.data.splits import few
from slimft.errors import DataError, UsageError

# What a column may be called, in small letters; the first that there is counts.
_COLUMNS = {
    "path": ("path", "image", "filename", "file"),
    "label": ("label", "class"),
    "split": ("split", "set", "subset", "partition"),
    "group": ("group",),
}
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
        group: what it belongs to; None where that is empty, or the manifest has no groups.
    """

    line: int
    path: str
    label: str
    split: str | None
    group: str | None = None


class Manifest(NamedTuple):
    """What a manifest says.

    Attributes:
        entries: sorted by path, each path once.
        columns: which of ``split`` and ``group`` there are.
        notes: what was passed over, a line each.
    """

    entries: list[Entry]
    columns: frozenset[str]
    notes: tuple[str, ...]


class _Header(NamedTuple):
    delimiter: str
    names: list[str]
    columns: dict[str, int]


def find(data_dir: pathlib.Path | None, options: DataOptions, class_names: Sequence[str] | None = None) -> Examples:
    """Reads a manifest; looks for its images but reads none of them.

    Args:
        data_dir: the CSV file, or a folder that holds one.
        options: not used.
        class_names: not used: a manifest says itself what is a class.

    Raises:
        UsageError: there is no `data_dir`.
        DataError: the file is missing or malformed; an image is missing, or has two labels.
    """
    del options, class_names
    if data_dir is None:
        raise UsageError("--dataset=csv needs --data_dir, the CSV file that lists the images")
    file = _find(data_dir)
    manifest = read_manifest(file)
    entries = manifest.entries
    _check_files(file, entries)
    labels = {entry.label for entry in entries}
    numbers = all(map(_INTEGER.fullmatch, labels))
    class_names = sorted(labels, key=lambda name: (int(name), name) if numbers else name)
    label_of = {name: label for label, name in enumerate(class_names)}
    split_of = None
    if "split" in manifest.columns:
        split_of = np.array([SPLITS.index(entry.split) for entry in entries], np.int8)
    return Examples(
        "csv",
        file,
        [FileSource(entry.path, _key(file, entry.path)) for entry in entries],
        np.array([label_of[entry.label] for entry in entries], np.int32),
        class_names,
        split_of,
        [entry.group for entry in entries] if "group" in manifest.columns else None,
        manifest.notes,
    )


def _key(file: pathlib.Path, path: str) -> str:
    """The path from the manifest's folder, the same on every system."""
    return unicodedata.normalize("NFC", os.path.relpath(path, file.parent).replace(os.sep, "/"))


def read_manifest(file: pathlib.Path) -> Manifest:
    """Reads a manifest.

    The first line names the columns: ``path`` (or image, filename, file), ``label`` (or class) and perhaps
    ``split`` (or set, subset, partition), whose values are names of splits as
    `slimft.data.file_dataset.split_named` knows them, and ``group``. A column set, subset or partition without one
    such value is something else. Others are not looked at. They are separated by commas, semicolons or tabs. Paths
    are relative to the folder of the manifest.

    Args:
        file: the manifest, in UTF-8.

    Raises:
        DataError: it cannot be read, lacks a column, or has a line that is malformed or contradicts another.
    """
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        with open(file, "rb") as stream:
            lines = _lines(file, stream)
            header = _header(file, next(lines, ""))
            for line, row in _rows(file, csv.reader(lines, delimiter=header.delimiter, **_DIALECT)):
                rows.append((line, _values(file, line, row, header)))
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    if not rows:
        raise DataError(f"{file} lists no images")
    columns = set(header.columns)
    if not _has_splits(file, rows, header):
        columns.discard("split")
    entries: dict[str, Entry] = {}
    for line, values in rows:
        path = os.path.normpath(os.path.join(file.parent, values["path"]))
        split = split_named(values["split"])[0] if "split" in columns else None
        entry = Entry(line, path, values["label"], split, values.get("group") or None)
        _check_same(file, entries.setdefault(path, entry), entry)
    notes = []
    used = {header.columns[column] for column in columns}
    unused = [name for index, name in enumerate(header.names) if index not in used]
    if unused:
        column = "column" if len(unused) == 1 else "columns"
        notes.append(f"passed over: {len(unused)} {column} of {file.name} ({few(unused)})")
    again = len(rows) - len(entries)
    if again:
        notes.append(f"{again} line{'s list images' if again > 1 else ' lists an image'} of another line again")
    return Manifest(sorted(entries.values(), key=lambda entry: entry.path), frozenset(columns), tuple(notes))


def _has_splits(file: pathlib.Path, rows: list[tuple[int, dict[str, str]]], header: _Header) -> bool:
    """Whether the manifest has splits; raises DataError if a line has none that is known."""
    if "split" not in header.columns:
        return False
    others = [(line, values["split"]) for line, values in rows if split_named(values["split"])[0] is None]
    if not others:
        return True
    name = header.names[header.columns["split"]]
    if name != "split" and len(others) == len(rows):
        return False
    line, value = others[0]
    if not value:
        raise DataError(f"{file} line {line}: the {name} is empty")
    raise DataError(f"{file} line {line}: the {name} is {value!r}, not train, validation or test")


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


def _header(file: pathlib.Path, line: str) -> _Header:
    """The delimiter, the columns' names in small letters, and where those are that count."""
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
            return _Header(delimiter, names, columns)
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


def _values(file: pathlib.Path, line: int, row: list[str], header: _Header) -> dict[str, str]:
    """Column to value, of the columns that count."""
    if len(row) != len(header.names):
        raise DataError(f"{file} line {line} has {len(row)} columns, and the first line {len(header.names)}")
    values = {column: row[index].strip() for column, index in header.columns.items()}
    for column, value in values.items():
        if not value and column in ("path", "label"):
            raise DataError(f"{file} line {line}: the {column} is empty")
        if any(letter < " " for letter in value):
            raise DataError(f"{file} line {line}: the {column}, {value!r}, has a character that cannot be printed")
    return values


def _check_same(file: pathlib.Path, first: Entry, second: Entry) -> None:
    for column in ("label", "split", "group"):
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
