"""Which of several exports are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Path(NamedTuple):
    """An export: where it is, and its version."""

    path: str
    export_version: int


def largest_export_versions(n: int) -> Callable[[Iterable[Path]], list[Path]]:
    """A function that gives those `n` of some paths that have the largest versions, the smallest first."""

    def keep(paths: Iterable[Path]) -> list[Path]:
        return sorted(paths, key=lambda path: path.export_version)[-n:] if n > 0 else []

    return keep
