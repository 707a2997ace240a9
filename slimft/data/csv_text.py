"""The text of a CSV file: its lines, however they end, and its header."""

from __future__ import annotations

import csv
import io
import os
import pathlib
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from slimft.data.first_bytes import HEAD_BYTES, what_it_is
from slimft.data.image_formats import SUFFIXES
from slimft.data.splits import few
from slimft.errors import DataError
from slimft.messages import printable

# What a column may be called, in small letters and with _ for spaces; the first that there is counts.
COLUMNS = {
    "path": (
        "path", "image", "filename", "file", "image_path", "img_path", "filepath", "file_path", "file_name",
        "image_name", "img",
    ),
    "label": ("label", "class", "class_name", "label_name", "category", "target"),
    "split": ("split", "set", "subset", "partition", "phase", "usage", "dataset"),
    "group": ("group",),
    "fold": ("fold",),
    "split_key": ("split_key",),
}  # fmt: skip
DIALECT = {"skipinitialspace": True, "strict": True}
_DELIMITERS = ",;\t|"
# Longer than any path and label; the csv module's own limit for one field is 131,072.
_MOST_LETTERS = 1 << 20
# What stands for bytes that are no UTF-8.
_NO_UTF8 = re.compile("[\udc80-\udcff]")
_SHOWN = 60
# Excel's line that names the delimiter.
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_BITS = ("0", "1", "0.0", "1.0")
_EXPECTED = "it has to name the columns: path,label or path,label,split"


class Header(NamedTuple):
    """The first line of a manifest.

    Attributes:
        line: its number, from 1.
        delimiter: what separates columns.
        names: the columns' names, in small letters.
        columns: which of them count, by what they are.
    """

    line: int
    delimiter: str
    names: list[str]
    columns: dict[str, int]


def read_lines(file: pathlib.Path, stream: BinaryIO) -> Iterator[str]:
    """The lines of a file with their ends (LF, CRLF or CR), of bounded length.

    Raises:
        DataError: it is no text, or not in UTF-8.
    """
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    told = what_it_is(head)
    if told is not None:
        raise DataError(f"{file} is no CSV file, but {told}")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:2]:
        raise DataError(f"{file} is text in UTF-16, as Excel's Unicode Text is; save it as CSV UTF-8")
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    number = 0
    while line := text.readline(_MOST_LETTERS):
        number += 1
        if len(line) == _MOST_LETTERS:
            raise DataError(f"{file} line {number} is longer than {_MOST_LETTERS} letters; is it a CSV file?")
        if _NO_UTF8.search(line):
            raise DataError(
                f"{file} line {number} is not text in UTF-8; in Windows-1252 (Latin-1) it would read "
                f"{_shown(line)}: save the file as UTF-8 (in Excel: CSV UTF-8), or convert it, as with iconv -f "
                "WINDOWS-1252 -t UTF-8"
            )
        yield line


def _shown(line: str) -> str:
    """The part of a line around its first letter that is no UTF-8, in Windows-1252."""
    start = max(0, _NO_UTF8.search(line).start() - _SHOWN // 2)
    part = line[start : start + _SHOWN].rstrip().encode("utf-8", "surrogateescape")
    return repr(printable(part.decode("cp1252", "replace")))


def read_header(file: pathlib.Path, lines: Iterator[str]) -> tuple[Header, list[str]]:
    """Reads the header; returns it, and the line below it, which was read too (or none).

    Raises:
        DataError: a column is missing, or there twice.
    """
    line, number = next(lines, ""), 1
    delimiters = _DELIMITERS
    separator = _SEPARATOR.fullmatch(line)
    if separator:
        line, number, delimiters = next(lines, ""), 2, separator[1]
    below = next(lines, "")
    missing, best = "path", []
    for delimiter in delimiters:
        names = [re.sub(r"[\s-]+", "_", name.lower()) for name in _values(line, delimiter)]
        columns = {}
        for column, aliases in COLUMNS.items():
            alias = next((alias for alias in aliases if alias in names), None)
            if alias is not None:
                columns[column] = names.index(alias)
                if names.count(alias) > 1:
                    raise DataError(f"{file} line {number} has two columns called {alias}; rename one")
        if "path" in columns and "label" in columns:
            return Header(number, delimiter, names, columns), [below] if below else []
        if "path" in columns and (missing == "path" or len(names) > len(best)):
            missing, best = "label", names
            _check_one_hot(file, number, names, columns["path"], _values(below, delimiter))
    _check_is_header(file, number, line)
    there = max((_values(line, delimiter) for delimiter in delimiters), key=len)
    listed = printable(few([name[:_SHOWN] for name in there]))
    raise DataError(f"{file} line {number} has no column {missing} (it has {listed or 'nothing'}); {_EXPECTED}")


def _values(line: str, delimiter: str) -> list[str]:
    try:
        return [value.strip() for value in next(csv.reader([line], delimiter=delimiter, **DIALECT), [])]
    except csv.Error:
        return []


def _check_one_hot(file: pathlib.Path, number: int, names: list[str], path: int, values: list[str]) -> None:
    """Raises DataError if there is no column label, but the others hold 0 and 1."""
    others = [name for index, name in enumerate(names) if index != path]
    marks = [value for index, value in enumerate(values) if index != path]
    if len(others) > 1 and len(marks) == len(others) and all(mark in _BITS for mark in marks):
        raise DataError(
            f"{file} line {number} has no column label, but columns of 0 and 1 ({few(others)}), a label each "
            "(one-hot); make one column label of them: an image of several labels is not supported"
        )


def _check_is_header(file: pathlib.Path, number: int, line: str) -> None:
    """Raises DataError if the line that should name the columns is of data."""
    for delimiter in _DELIMITERS:
        values = _values(line, delimiter)
        for value in values if len(values) > 1 else ():
            if _is_image(file, value):
                raise DataError(
                    f"{file} has no header: line {number} is of data already ({printable(value)[:_SHOWN]}); "
                    "put a line above it that names the columns, such as path,label"
                )
    words = line.split()
    if len(words) > 1 and _is_image(file, words[0]):
        raise DataError(
            f"{file} has no header, and spaces between its columns; separate them by commas, and name them in the "
            "first line: path,label"
        )


def _is_image(file: pathlib.Path, value: str) -> bool:
    if value.lower().endswith(SUFFIXES):
        return True
    return bool(value) and "\0" not in value and os.path.isfile(os.path.join(file.parent, value))
