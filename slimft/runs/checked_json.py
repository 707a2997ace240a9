"""JSON files that may hold anything: read with a check of every value's type, and errors that say where.

What Python's `json` takes and JSON does not have is an error here, but for NaN and Infinity, which Python writes.
So are numbers beyond the range of a float, and a name that is twice in an object, of which one would get lost.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
from typing import Any

from slimft.errors import DataError
from slimft.files import read_bounded

# A run's files are far smaller. Together these bound the memory that a file takes to about 1 GB: a character of the
# text takes up to 4 bytes, an empty list 64.
_MOST_BYTES = 64 << 20
_MOST_VALUES = 4_000_000
# Of an integer: all below 1e300 are floats too.
_MOST_DIGITS = 300
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


class Value:
    """A value of a JSON file, and where it is.

    Args:
        value: what `json.loads` returned, or a part of it.
        file: the file's path.
        where: the value's place in it, such as ``train[3].loss``; empty for the whole.
    """

    def __init__(self, value: Any, file: str, where: str = ""):
        self._value, self._file, self._where = value, file, where

    @property
    def raw(self) -> Any:
        """The value as it is."""
        return self._value

    def wrong(self, expected: str) -> DataError:
        """The error that says that `expected` should be here."""
        kind = _KINDS.get(type(self._value), "a number")
        return self.error(f"{kind} where {expected} should be")

    def error(self, what: str) -> DataError:
        """The error that says that the value is `what`, which it must not be."""
        place = self._where if len(self._where) <= 120 else f"{self._where[:80]}...{self._where[-37:]}"
        return DataError(f"{self._file} is no file of a run: {place or 'it'} is {what}; restore or mend the file")

    def object(self) -> dict[str, Value]:
        """The members of an object."""
        if not isinstance(self._value, dict):
            raise self.wrong("an object")
        dot = "." if self._where else ""
        return {key: Value(value, self._file, f"{self._where}{dot}{key}") for key, value in self._value.items()}

    def get(self, key: str) -> Value:
        """A member of an object; null if there is none of that name."""
        dot = "." if self._where else ""
        return self.object().get(key, Value(None, self._file, f"{self._where}{dot}{key}"))

    def array(self, length: int | None = None) -> list[Value]:
        """The elements of a list (of `length`); null counts as an empty one if no length is asked for."""
        value = [] if self._value is None and length is None else self._value
        if not isinstance(value, list):
            raise self.wrong("a list")
        if length is not None and len(value) != length:
            raise self.wrong(f"one of {length} elements")
        return [Value(element, self._file, f"{self._where}[{i}]") for i, element in enumerate(value)]

    def text(self) -> str:
        """A string; null is an empty one."""
        if not isinstance(self._value, (str, type(None))):
            raise self.wrong("a string")
        return self._value or ""

    def number(self, below: float = 1e30) -> float | None:
        """A number whose absolute value is below `below`; None for null and for any other.

        The default keeps sums and axes of figures finite too. NaN is not below anything.
        """
        if self._value is None:
            return None
        if isinstance(self._value, bool) or not isinstance(self._value, (int, float)):
            raise self.wrong("a number")
        return self._value if abs(self._value) < below else None

    def integer(self, below: int = 1 << 62) -> int:
        """A whole number in ``0 .. below - 1``."""
        if isinstance(self._value, bool) or not isinstance(self._value, int) or not 0 <= self._value < below:
            raise self.wrong(f"a whole number from 0 to {below - 1}")
        return self._value


def read_json(file: str | os.PathLike, most_bytes: int = _MOST_BYTES) -> Value:
    """Reads a JSON file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: it cannot be read, is too large or is no JSON.
    """
    data = read_bounded(file, most_bytes)
    if sum(data.count(mark) for mark in (b",", b":", b"[", b"{")) > _MOST_VALUES:
        raise DataError(f"{file} is no file of a run: it has more than {_MOST_VALUES:,} values")
    try:
        text = data.decode("utf-8-sig")
        del data
        return Value(
            json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float), os.fspath(file)
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no JSON: it is not text in UTF-8 (at byte {error.start})") from None
    except RecursionError:
        raise DataError(f"{file} is no JSON of a run: it is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{file} is no JSON of a run: {error}; restore or mend the file") from None


def _object(members: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(members)
    if len(made) < len(members):
        left = set(made)
        for name, _ in members:
            if name not in left:
                raise ValueError(f"{reprlib.repr(name)} is twice in an object")
            left.remove(name)
    return made


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits is beyond a float's range")
    return int(digits)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {reprlib.repr(text)[1:-1]} is beyond a float's range")
    return value
