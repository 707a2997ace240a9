"""JSON files that may hold anything: read with a check of every value's type, and errors that say where."""

from __future__ import annotations

import json
import pathlib

from slimft.errors import DataError

# A run's files are far smaller; beyond it they are something else.
_MOST_BYTES = 256 << 20
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


class Value:
    """A value of a JSON file, and where it is.

    Args:
        value: what `json.loads` returned, or a part of it.
        file: the file's path.
        where: the value's place in it, such as ``train[3].loss``; empty for the whole.
    """

    def __init__(self, value, file: str, where: str = ""):
        self._value, self._file, self._where = value, file, where

    @property
    def raw(self):
        """The value as it is."""
        return self._value

    def wrong(self, expected: str) -> DataError:
        """The error that says that `expected` should be here."""
        kind = _KINDS.get(type(self._value), "a number")
        place = f"{self._where} is" if self._where else "it is"
        return DataError(f"{self._file} is no file of a run: {place} {kind} where {expected} should be")

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

    def number(self) -> float | None:
        """A finite number; None for null and for those that are not finite or not near it."""
        if self._value is None:
            return None
        if isinstance(self._value, bool) or not isinstance(self._value, (int, float)):
            raise self.wrong("a number")
        # So that sums and axes of figures stay finite too; NaN is not below anything.
        return self._value if abs(self._value) < 1e30 else None

    def integer(self, below: int = 1 << 62) -> int:
        """A whole number in ``0 .. below - 1``."""
        if isinstance(self._value, bool) or not isinstance(self._value, int) or not 0 <= self._value < below:
            raise self.wrong(f"a whole number from 0 to {below - 1}")
        return self._value


def read_json(file: pathlib.Path) -> Value:
    """Reads a JSON file.

    Raises:
        DataError: it cannot be read or is no JSON.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    if len(data) > _MOST_BYTES:
        raise DataError(f"{file} is no file of a run: it has more than {_MOST_BYTES >> 20} MB")
    try:
        return Value(json.loads(data), str(file))
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        raise DataError(f"{file} is no JSON: {reason}") from error
