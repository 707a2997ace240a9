"""A contiguous share of the rows of a batch, which one of several processes reads and makes."""

from __future__ import annotations

import dataclasses
from typing import Any

from slimft.compat import tf


@dataclasses.dataclass(frozen=True)
class Rows:
    """Which rows of a batch are made here; the others are made elsewhere.

    What each of them becomes is what it becomes where the batch is made as a whole, bit for bit on a CPU. Only what
    cifarnet's preprocessing makes of images whose side is no multiple of 4 differs in its last bits: where in
    the batch an image begins decides in which order TensorFlow adds it up.

    Attributes:
        start: the first of them, from 0.
        stop: the one after the last.
        of: how many rows the batch has.
        mixed: whether each row is mixed with the next one of the batch (the last one with the first), so that the
            row after the last of these is read too.

    Raises:
        ValueError: there are no such rows.
    """

    start: int
    stop: int
    of: int
    mixed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= self.of:
            raise ValueError(f"a batch of {self.of} has no rows from {self.start} to {self.stop}, exclusive")

    @property
    def size(self) -> int:
        """How many rows are made here."""
        return self.stop - self.start

    @property
    def read(self) -> tuple[int, ...]:
        """The rows that have to be read, in this order: those that are made, then perhaps the one after them.

        So `tf.roll` by -1 brings to each row that is made its next one. Where all are made it does so anyway: the
        last one's next is the first, which is not read twice.
        """
        after = [self.stop % self.of] if self.mixed and self.size < self.of else []
        return (*range(self.start, self.stop), *after)

    def made(self, of_read: Any) -> Any:
        """Of something of the rows that are read, that of the rows that are made."""
        return of_read[: self.size] if len(self.read) > self.size else of_read


def batch_of(images: Any, rows: Rows | None) -> Any:
    """For how many rows to draw: those of the whole batch, which are those of `images` where `rows` is None."""
    return tf.shape(images)[0] if rows is None else rows.of


def of_rows(of_batch: Any, rows: Rows | None) -> Any:
    """Of what was drawn for each row of the batch, ``[of, ...]``, that of the rows that are read.

    To be asked when nothing but sums and products is left to be made of it: exp, cos and the like may round in
    another way where another number of them is computed at a time.
    """
    return of_batch if rows is None else tf.gather(of_batch, rows.read)
