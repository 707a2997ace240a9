"""What a file holds, as a short digest that is quick to compute: of a large file only parts are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

from slimft.files import open_regular

DIGEST_BYTES = 8
# Up to so many bytes all of them count, of larger files parts: two of one size that are compressed, and are not the
# same, hardly agree in all of these.
_WHOLE_BYTES = 64 << 10
_PARTS = 16
_PART_BYTES = 4 << 10
# BMP and TIFF, whose pixels need not be compressed: all bytes count, so many at a time.
_UNCOMPRESSED = (b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BLOCK_BYTES = 1 << 20


def digest(content: bytes | memoryview) -> str:
    """The digest of a file of this content: 16 hexadecimal digits (BLAKE2b).

    Of more than 64 KB, unless it is a BMP or a TIFF, it is that of the size and of 16 parts of 4 KB, the first and
    the last among them.
    """
    content = memoryview(content)
    return _digest(lambda start, count: content[start : start + count], len(content))


def file_digest(path: str | os.PathLike) -> str:
    """`digest` of a file, of which no more is read than that needs; raises OSError."""
    with open_regular(path, buffering=0) as stream:

        def read(start: int, count: int) -> bytes:
            stream.seek(start)
            return stream.read(count)

        return _digest(read, os.fstat(stream.fileno()).st_size)


def _digest(read: Callable[[int, int], bytes | memoryview], size: int) -> str:
    found = hashlib.blake2b(digest_size=DIGEST_BYTES)
    if size > _WHOLE_BYTES and not bytes(read(0, 4)).startswith(_UNCOMPRESSED):
        found.update(f"{size} ".encode())
        for part in range(_PARTS):
            found.update(read((size - _PART_BYTES) * part // (_PARTS - 1), _PART_BYTES))
    else:
        for start in range(0, size, _BLOCK_BYTES):
            found.update(read(start, _BLOCK_BYTES))
    return found.hexdigest()
