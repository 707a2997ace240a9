"""Attributes that are set for a while, and put back in the end."""

from __future__ import annotations

import sys
from typing import Any

_UNSET = object()


class Patches:
    """What was set where, so that it can be undone; and what was said once.

    >>> import string
    >>> patches = Patches()
    >>> patches.set(string, "letters", "abc")
    >>> string.letters
    'abc'
    >>> patches.undo()
    >>> hasattr(string, "letters")
    False
    """

    def __init__(self):
        self._old: list[tuple[Any, str, Any]] = []
        self._said: set[str] = set()

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute of a module or class."""
        self._old.append((owner, name, vars(owner).get(name, _UNSET)))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Puts all back as it was."""
        while self._old:
            owner, name, value = self._old.pop()
            if value is _UNSET:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        self._said.clear()

    def say(self, kind: str, line: str) -> None:
        """Writes the line to standard error, if it is the first of its kind."""
        if kind not in self._said:
            self._said.add(kind)
            print(f"slimft: {line}", file=sys.stderr)
