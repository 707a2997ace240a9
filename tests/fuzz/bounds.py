"""What reading may take of memory and of time: the promises of SECURITY.md, in the one place where they are tested.

A process may have, more than when it began, at most ``fixed + per_byte * file + per_value * values`` bytes: `file`
is the size of all the files that were read, `values` that of the largest variable (or image), read or refused.
"""

from __future__ import annotations

from typing import NamedTuple

from slimft.checkpoint.memory import BYTES_PER_BYTE, FIXED_BYTES
from slimft.data.images import MAX_PIXELS

# No input takes as long; the limit is for what hangs, on any machine.
SECONDS = 20


class Bound(NamedTuple):
    """A limit of memory, in bytes; and the largest value that a file of a few kilobytes may have."""

    fixed: int
    per_byte: int
    per_value: int
    most_values: int = 0

    def most(self, file: int, values: int) -> int:
        """The bytes that may be taken."""
        return self.fixed + self.per_byte * file + self.per_value * values


# Twice a variable, and once more what the tests make a digest of.
CHECKPOINT = Bound(FIXED_BYTES, BYTES_PER_BYTE, 3, FIXED_BYTES)
# HDF5's child has limits of its own, and a chunk before and after its filters.
HDF5 = Bound(FIXED_BYTES + (32 << 20), BYTES_PER_BYTE, 6, FIXED_BYTES)
# A line of a few letters becomes several objects, of 50 bytes or more each; a list of JSON, `[],`, too.
TEXT = Bound(FIXED_BYTES, 128, 1)
RECORDS = Bound(FIXED_BYTES, 16, 2)
ARCHIVE = Bound(FIXED_BYTES, 16, 0)
# A picture, and what it is converted from, with up to four bytes a pixel and a float; `values` are its pixels.
# libwebp reserves, and does not use, as much for each that is opened.
IMAGE = Bound(FIXED_BYTES, 16, 16, 4 * MAX_PIXELS)
