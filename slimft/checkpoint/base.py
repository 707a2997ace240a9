"""What every checkpoint format offers."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping

import numpy as np


class Checkpoint(Mapping, abc.ABC):
    """An immutable mapping of variable names to NumPy arrays, read from a file when asked for.

    Attributes:
        path: where it was read from, for messages.
        format: ``tensorflow_v1``, ``tensorflow_v2`` or ``keras_h5``.
    """

    path: str
    format: str

    @abc.abstractmethod
    def _shapes_and_dtypes(self) -> Mapping[str, tuple[tuple[int, ...], np.dtype]]:
        """Every variable's shape and dtype, by name."""

    @abc.abstractmethod
    def __getitem__(self, name: str) -> np.ndarray:
        """Reads one variable.

        Raises:
            KeyError: there is no variable of that name.
            CheckpointError: the variable cannot be read.
        """

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a variable, without reading it. Raises KeyError where it is unknown."""
        return self._shapes_and_dtypes()[name][0]

    def dtype(self, name: str) -> np.dtype:
        """The dtype of a variable, without reading it. Raises KeyError where it is unknown."""
        return self._shapes_and_dtypes()[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes_and_dtypes())

    def __len__(self) -> int:
        return len(self._shapes_and_dtypes())

    def __contains__(self, name: object) -> bool:
        return name in self._shapes_and_dtypes()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}, {self.format}, {len(self)} variables>"

    # A mapping compares by its values; for hundreds of megabytes that is never what is meant.
    __eq__ = object.__eq__
    __hash__ = object.__hash__
