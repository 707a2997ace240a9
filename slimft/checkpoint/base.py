"""What every checkpoint format offers."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping

import numpy as np

from slimft.errors import CheckpointError
from slimft.messages import one_line, printable
from slimft.wire.binary_file import Malformed

# Characters of a name, and of a reason: NumPy's, for one, repeat all of a header that they cannot read.
_MOST_SAID = 500


# Every variable's shape and dtype, by name.
Listing = Mapping[str, tuple[tuple[int, ...], np.dtype]]


class Checkpoint(Mapping[str, np.ndarray], abc.ABC):
    """An immutable mapping of variable names to NumPy arrays, read from a file when asked for.

    Every array belongs to its reader alone: changing it changes neither the file nor what is read next.

    Attributes:
        path: where it was read from, for messages.
        format: ``tensorflow_v1``, ``tensorflow_v2``, ``keras_h5``, ``keras``, ``npz``, ``npy``, ``pickle``,
            ``safetensors`` or ``frozen_graph``.
    """

    path: str
    format: str

    @abc.abstractmethod
    def _shapes_and_dtypes(self) -> Listing:
        """Every variable's shape and dtype, by name."""

    @abc.abstractmethod
    def _read(self, name: str) -> np.ndarray:
        """Reads the variable `name`, which exists; raises Malformed or OSError if that fails."""

    def __getitem__(self, name: str) -> np.ndarray:
        """Reads one variable.

        Raises:
            KeyError: there is no variable of that name.
            CheckpointError: the variable cannot be read.
        """
        if name not in self:
            raise KeyError(name)
        try:
            array = self._read(name)
            # To NumPy such a bool is true, and yet not equal to True.
            if array.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
                raise Malformed("it has bytes that are neither true nor false")
            return array
        except (Malformed, OSError, MemoryError) as error:
            raise CheckpointError(f"{self.path}: cannot read {_shown(name)}: {reason(error)}") from None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a variable, without reading it. Raises KeyError where it is unknown."""
        return self._shapes_and_dtypes()[name][0]

    def dtype(self, name: str) -> np.dtype:
        """The dtype of a variable, without reading it. Raises KeyError where it is unknown."""
        return self._shapes_and_dtypes()[name][1]

    def aliases(self) -> Mapping[str, str]:
        """Other names of variables, each with the name it goes by here: `Variable.name` of TF2 checkpoints."""
        return {}

    def is_mapped(self, name: str) -> bool:
        """Whether `self[name]` is a map of the file rather than a copy in memory."""
        return False

    def verify(self) -> Iterator[tuple[str, str]]:
        """Reads everything there is; yields the name and the reason of each variable that is not intact."""
        for name in self:
            try:
                self[name]
            except CheckpointError as error:
                yield name, str(error)

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


def _shown(name: str) -> str:
    """A name as a message has it: not all of one that is absurdly long."""
    return printable(name if len(name) <= _MOST_SAID else f"{name[:_MOST_SAID]}...")


def reason(error: Exception) -> str:
    """What `error` says, in one line that is not too long and without its number."""
    said = one_line(getattr(error, "strerror", None) or error) or type(error).__name__
    return said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]}..."
