"""What a kind of input needs to be fuzzed, and helpers of the targets."""

from __future__ import annotations

import abc
import hashlib
import pathlib
import random

import numpy as np

from fuzz.bounds import Bound

# The files of a case, by name.
Files = dict[str, bytes]


class Target(abc.ABC):
    """A kind of input.

    What is read goes through JSON: names to what tells two values apart, or to None where that one was refused.

    Attributes:
        name: what it is called on the command line.
        kind: what the table calls it.
        bound: of its memory.
        references: the functions of `fuzz.references` that read the same files: the next where one refuses.
        strict: whether what the reference refuses has to be refused too.
        warm: whether a good file is read once in the process that forks; not where that would start threads.
        share: how many of a run's cases it gets, by the others' 1: those that take long get fewer.
    """

    name: str
    kind: str
    bound: Bound
    references: tuple[str, ...] = ()
    strict = False
    share = 1.0
    warm = True

    @abc.abstractmethod
    def seeds(self) -> list[Files]:
        """Small good inputs."""

    @abc.abstractmethod
    def mutated(self, rng: random.Random, seeds: list[Files]) -> Files:
        """An input made of good ones."""

    @abc.abstractmethod
    def read(self, folder: pathlib.Path) -> tuple[dict[str, object], int]:
        """Reads the files in `folder` with slimft's parser; raises SlimftError.

        Returns:
            what was read, and the bytes of the largest value.
        """

    def claimed(self, folder: pathlib.Path) -> int:
        """The bytes of a value that is refused, which may have been taken nevertheless."""
        return 0


def fingerprint(array: np.ndarray) -> list:
    """What tells an array apart from any other: dtype, shape and bits."""
    if isinstance(array, bytes):  # NumPy's bytes lose the zeros at their end.
        return fingerprint(np.array([array], object).reshape(()))
    array = np.asarray(array)
    if array.dtype.hasobject:
        octets = repr(array.reshape(-1).tolist()).encode("utf-8", "surrogatepass")
    else:
        octets = np.ascontiguousarray(array).tobytes()
    if array.dtype.names:
        kind = str(array.dtype.descr)
    else:
        kind = array.dtype.name if array.dtype.kind == "V" else array.dtype.str
    return [kind, list(array.shape), digest(octets)]


def digest(octets: bytes) -> str:
    """A short digest."""
    return hashlib.blake2b(octets, digest_size=12).hexdigest()
