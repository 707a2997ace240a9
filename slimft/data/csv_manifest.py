"""Images that a CSV file lists: a line each, with the image's path, its label and perhaps its split."""

from __future__ import annotations

import collections
import csv
import itertools
import os
import pathlib
import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

import numpy as np

from slimft.data.class_names import sorted_names
from slimft.data.csv_text import DIALECT, Header, read_header, read_lines
from slimft.data.dataset import SPLITS, DataOptions
from slimft.data.file_dataset import Examples, split_named
from slimft.data.image_files import FileSource
from slimft.data.image_formats import SUFFIXES
from slimft.data.splits import few
from slimft.errors import DataError, UsageError
from slimft.files import open_regular

# In a folder, files of other suffixes are not looked at.
_MANIFESTS = (".csv", ".tsv")
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|data:[a-z]+/)", re.IGNORECASE)


class Entry(NamedTuple):
    """A line of a manifest.

    Attributes:
        line: its number, from 1.
        path: the image.
        split_key: what the draw of splits knows it by.
        label: the name of its class.
        split: ``train``, ``validation`` or ``test``; None where the manifest has no splits.
        group: what it belongs to; None where that is empty, or the manifest has no groups.
        fold: the part of a cross-validation that it is in; None where the manifest has none.
    """

    line: int
    path: str
    split_key: str
    label: str
    split: str | None
    group: str | None = None
    fold: str | None = None


class Manifest(NamedTuple):
    """What a manifest says.

    Attributes:
        entries: sorted by path, each path once.
        columns: which of ``split``, ``group`` and ``fold`` there are.
        notes: what was passed over, a line each.
    """

    entries: list[Entry]
    columns: frozenset[str]
    notes: tuple[str, ...]


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
    _check_labels(file, entries)
    class_names = sorted_names({entry.label for entry in entries})
    label_of = {name: label for label, name in enumerate(class_names)}
    split_of = None
    if "split" in manifest.columns:
        split_of = np.array([SPLITS.index(entry.split) for entry in entries], np.int8)
    return Examples(
        "csv",
        file,
        [FileSource(entry.path, entry.split_key) for entry in entries],
        np.array([label_of[entry.label] for entry in entries], np.int32),
        class_names,
        split_of,
        [entry.group for entry in entries] if "group" in manifest.columns else None,
        manifest.notes,
        [entry.fold for entry in entries] if "fold" in manifest.columns else None,
    )


def key_of(path: str) -> str:
    """What an image is known by from run to run whose path is written so: the same on every system.

    It is the path as it stands there, so that it does not change with where the manifest lies.
    """
    return unicodedata.normalize("NFC", os.path.normpath(path).replace(os.sep, "/"))


def read_manifest(file: pathlib.Path) -> Manifest:
    """Reads a manifest.

    The first line names the columns, as `slimft.data.csv_text.COLUMNS` has them: a path, a label, and perhaps a
    split, whose values are names of splits as `slimft.data.file_dataset.split_named` knows them, a group, a fold,
    and a ``split_key``, which is `key_of` the path where there is no such column. A column for splits that is not
    called ``split``, and has no name of one, is something else; one called ``fold`` may have such names, and is of
    splits then. Others are not looked at. Paths are relative to the folder of the manifest.

    Args:
        file: the manifest, in UTF-8.

    Raises:
        DataError: it cannot be read, lacks a column, or has a line that is malformed or contradicts another.
    """
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        with open_regular(file) as stream:
            lines = read_lines(file, stream)
            header, below = read_header(file, lines)
            reader = csv.reader(itertools.chain(below, lines), delimiter=header.delimiter, **DIALECT)
            for line, row in _rows(file, reader, header):
                rows.append((line, _values(file, line, row, header)))
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    if not rows:
        raise DataError(f"{file} lists no images")
    _check_paths(file, rows)
    columns, split_column = _split_columns(file, rows, header)
    entries: dict[str, Entry] = {}
    for line, values in rows:
        path = os.path.normpath(os.path.join(file.parent, values["path"]))
        split = split_named(values[split_column])[0] if "split" in columns else None
        fold = values["fold"] if "fold" in columns else None
        key = unicodedata.normalize("NFC", values.get("split_key") or key_of(values["path"]))
        entry = Entry(line, path, key, values["label"], split, values.get("group") or None, fold)
        _check_same(file, entries.setdefault(path, entry), entry, columns)
    notes = []
    used = {header.columns[split_column if column == "split" else column] for column in columns}
    unused = [name for index, name in enumerate(header.names) if index not in used]
    if unused:
        column = "column" if len(unused) == 1 else "columns"
        notes.append(f"passed over: {len(unused)} {column} of {file.name} ({few(unused)})")
    again = len(rows) - len(entries)
    if again:
        notes.append(f"{again} line{'s list images' if again > 1 else ' lists an image'} of another line again")
    return Manifest(sorted(entries.values(), key=lambda entry: entry.path), frozenset(columns), tuple(notes))


def _split_columns(file: pathlib.Path, rows: list, header: Header) -> tuple[set[str], str]:
    """What the manifest's columns are, and which of them is that of splits.

    Raises:
        DataError: a line has no split, or none that is known, or no fold.
    """
    columns = set(header.columns)
    if "split" in columns and not _has_splits(file, rows, header, "split"):
        columns.discard("split")
    if "fold" not in columns:
        return columns, "split"
    if "split" not in columns and _has_splits(file, rows, header, "fold"):
        return columns - {"fold"} | {"split"}, "fold"
    empty = [line for line, values in rows if not values["fold"]]
    if empty and len(empty) < len(rows):
        raise DataError(f"{file} line {empty[0]}: the fold is empty")
    return columns - ({"fold"} if empty else set()), "split"


def _has_splits(file: pathlib.Path, rows: list, header: Header, column: str) -> bool:
    """Whether a column names splits; raises DataError if a line has none that is known."""
    others = [(line, values[column]) for line, values in rows if split_named(values[column])[0] is None]
    if not others:
        return True
    name = header.names[header.columns[column]]
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
        found = sorted(path for path in data_dir.iterdir() if path.suffix.lower() in _MANIFESTS)
    except OSError as error:
        raise DataError(f"--data_dir={data_dir} cannot be read: {error.strerror}") from None
    if len(found) != 1:
        folders = "" if found else "; of images in folders of their classes, --dataset=image_folder"
        raise DataError(f"--data_dir={data_dir} holds {len(found) or 'no'} CSV files; name the one to use{folders}")
    return found[0]


def _rows(file: pathlib.Path, reader, header: Header) -> Iterator[tuple[int, list[str]]]:
    """What is below the header: the number of its first line, and the values; not the empty lines."""
    while True:
        start = reader.line_num + header.line + 1
        try:
            row = next(reader)
            if row:
                yield start, row
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{file} line {start}: {error}") from None


def _values(file: pathlib.Path, line: int, row: list[str], header: Header) -> dict[str, str]:
    """Column to value, of the columns that count."""
    if len(row) != len(header.names):
        raise DataError(f"{file} line {line} has {len(row)} columns, and line {header.line} {len(header.names)}")
    values = {column: row[index].strip() for column, index in header.columns.items()}
    for column, value in values.items():
        if not value and column in ("path", "label", "split_key"):
            raise DataError(f"{file} line {line}: the {column} is empty")
        if any(letter < " " for letter in value):
            raise DataError(f"{file} line {line}: the {column}, {value!r}, has a character that cannot be printed")
    return values


def _check_paths(file: pathlib.Path, rows: list) -> None:
    """Raises DataError if there are addresses of the web where paths should be."""
    addresses = [(line, values["path"]) for line, values in rows if _ADDRESS.match(values["path"])]
    if addresses:
        line, first = addresses[0]
        raise DataError(
            f"{file}: {len(addresses)} paths are addresses (URLs), the first in line {line}: {first:.60}; download "
            "the images, and list where they are on the disk"
        )


def _check_same(file: pathlib.Path, first: Entry, second: Entry, columns: Set[str]) -> None:
    # One file may be written in two ways; then the first counts.
    for column in ("label", "split", "group", "fold", *columns & {"split_key"}):
        before, now = getattr(first, column), getattr(second, column)
        if before != now:
            several = "; an image of several labels is not supported" if column == "label" else ""
            raise DataError(
                f"{file} line {second.line}: the {column} of {second.path} is {now}, in line {first.line} "
                f"{before}{several}"
            )


def _check_labels(file: pathlib.Path, entries: list[Entry]) -> None:
    """Raises DataError if a label is several in one: ``cat|dog`` where others have cat or dog, ``[cat, dog]``."""
    line_of: dict[str, int] = {}
    for entry in entries:
        line_of[entry.label] = min(entry.line, line_of.get(entry.label, entry.line))
    parts_of = {label: [part.strip() for part in re.split("[;|]", label)] for label in line_of}
    times = collections.Counter(part for parts in parts_of.values() for part in set(parts))
    wrong = []
    for label, parts in parts_of.items():
        listed = [part.strip() for part in label.split(",")]
        if len(parts) > 1 and any(times[part] > 1 for part in parts):
            wrong.append(label)
        elif len(listed) > 1 and (all(part in line_of for part in listed) or label[0] + label[-1] in ("[]", "()")):
            wrong.append(label)
    if wrong:
        first = min(wrong, key=line_of.get)
        raise DataError(
            f"{file} line {line_of[first]}: the label {first!r:.80} looks like several; an image of several labels "
            "is not supported: choose one for each image"
        )


def _check_files(file: pathlib.Path, entries: list[Entry]) -> None:
    missing = [entry for entry in entries if not os.path.isfile(entry.path)]
    if missing:
        first = min(missing)
        found = "image is" if len(missing) == 1 else "images are"
        raise DataError(
            f"{file}: {len(missing)} {found} missing, the first in line {first.line}: {first.path}"
            f"{_hint(file, first.path)}"
        )


def _hint(file: pathlib.Path, path: str) -> str:
    """Where an image that is missing may be; empty if nothing like it is found."""
    turned = os.path.join(file.parent, path.replace("\\", "/"))
    if turned != path and os.path.isfile(turned):
        return "; write its path with / instead of \\"
    suffix = next((suffix for suffix in SUFFIXES if os.path.isfile(path + suffix)), None)
    if suffix is not None:
        return f"; {os.path.basename(path)}{suffix} is there: list the images with their suffix"
    name = re.split(r"[/\\]", path)[-1]
    try:
        folders = [file.parent, *sorted(one for one in file.parent.iterdir() if one.is_dir())]
    except OSError:
        return ""
    places = (folder / (name + ending) for folder in folders for ending in ("", *SUFFIXES))
    there = next((place for place in places if place.is_file()), None)
    return f"; {there} is there: paths are absolute, or from the manifest's folder on" if there else ""
