"""How much memory a file may take beyond the variable that is read: a fixed amount and a multiple of its size.

A few bytes can stand for many: keys that share what they begin with, constants of one value, entries of nothing
but their tags. Each of them may be small and their sum be not, so what a file makes is counted in one place.
"""

from __future__ import annotations

from slimft.wire.binary_file import Malformed

# The objects that stand for a variable take about 20 bytes for each byte by which the tersest of TensorFlow's
# own files describe it; a file of 100,000 such variables is within the fixed part.
FIXED_BYTES = 64 << 20
BYTES_PER_BYTE = 16


def most_bytes(file_bytes: int) -> int:
    """The bytes of memory that a file of so many bytes may take."""
    return FIXED_BYTES + BYTES_PER_BYTE * file_bytes


class Allowance:
    """What a file may still take of `most_bytes`.

    Args:
        file_bytes: the file's size, or that of all files of a checkpoint.
    """

    def __init__(self, file_bytes: int):
        self._file_bytes = file_bytes
        self._left = most_bytes(file_bytes)

    def take(self, octets: int) -> None:
        """Counts `octets` of memory that is about to be taken, or at once after a little of it was.

        Raises:
            Malformed: it is more than is left.
        """
        self._left -= octets
        if self._left < 0:
            most, size = most_bytes(self._file_bytes) >> 20, self._file_bytes
            raise Malformed(f"it would take over {most} MiB of memory, absurdly much for its {size} bytes")
