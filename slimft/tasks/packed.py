"""Scores as bytes, for another process: JSON, in which arrays are base64; checked when it is read."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

# Of scores, at most, and how many values their JSON may have: what these take in memory is a small multiple of it.
MOST_BYTES = 64 << 20
_MOST_VALUES = 100_000
# So that sums of counts stay far within an int64.
_MOST_COUNTED = 1 << 53


def pack(task: str, members: Mapping[str, Any]) -> bytes:
    """Bytes that hold `members`, by name: what JSON has, NaN and infinity, and arrays, also deeper in them."""
    return json.dumps({"task": task, **members}, default=_text_of).encode()


def _text_of(array: np.ndarray) -> str:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode()


class Packed:
    """A value of what `pack` made, or of anything that claims to be that; each method raises ValueError if it is no
    such value.
    """

    def __init__(self, value: Any, name: str):
        self._value, self._name = value, name

    @classmethod
    def of(cls, data: bytes, task: str) -> Packed:
        """All of what was packed for `task`.

        Raises:
            ValueError: it is no such thing.
        """
        values = sum(data.count(mark) for mark in (b",", b":", b"[", b"{"))
        if len(data) > MOST_BYTES or values > _MOST_VALUES:
            raise ValueError(f"scores are at most {MOST_BYTES:,} bytes with {_MOST_VALUES:,} values")
        try:
            whole = cls(json.loads(data.decode()), "scores")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"scores that are no JSON: {error}") from None
        if whole["task"]._value != task:
            raise ValueError(f"scores that are not of {task}")
        return whole

    def error(self, expected: str) -> ValueError:
        """The error that says that it is not what is expected."""
        return ValueError(f"{self._name}: not {expected}")

    def __getitem__(self, name: str) -> Packed:
        if not isinstance(self._value, dict) or name not in self._value:
            raise self.error(f"an object with {name}")
        return Packed(self._value[name], f"{self._name}, {name}")

    def items(self, length: int | None = None) -> list[Packed]:
        """The values of a list, of that length."""
        if not isinstance(self._value, list) or length not in (None, len(self._value)):
            raise self.error("a list" if length is None else f"a list of {length}")
        return [Packed(value, self._name) for value in self._value]

    def is_null(self) -> bool:
        """Whether it is null."""
        return self._value is None

    def integer(self, below: int = 1 << 62, least: int = 0) -> int:
        """A whole number."""
        if type(self._value) is not int or not least <= self._value < below:
            raise self.error("a whole number in its range")
        return self._value

    def number(self) -> float:
        """A number; NaN and infinity are some."""
        if type(self._value) is not float:
            raise self.error("a float")
        return self._value

    def array(self, dtype: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """An array of that shape; of one axis where it is None."""
        little = np.dtype(dtype).newbyteorder("<")
        try:
            held = base64.b64decode(self._value, validate=True)
        except (ValueError, TypeError):
            raise self.error("an array") from None
        wanted = None if shape is None else math.prod(shape) * little.itemsize
        if len(held) % little.itemsize or wanted not in (None, len(held)):
            raise self.error(f"an array of {dtype}, {shape}")
        flat = np.frombuffer(held, little).astype(dtype)
        return flat if shape is None else flat.reshape(shape)

    def counts(self, shape: tuple[int, ...] | None = None, total: int | None = None) -> np.ndarray:
        """Numbers of things, int64, which add up to `total`."""
        found = self.array(np.int64, shape)
        together = sum(found.ravel().tolist())
        if (found < 0).any() or together >= _MOST_COUNTED or total not in (None, together):
            raise self.error("counts" if total is None else f"counts of {total} in all")
        return found
