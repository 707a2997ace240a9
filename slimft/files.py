"""Writing files so that a crash leaves the old one or the new one, never half of it; reading small ones."""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from slimft.errors import DataError


@contextlib.contextmanager
def atomic_file(file: pathlib.Path) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `file` for writing; at the end it is synced and gets the name `file`.

    If the block is left by an exception, `file` stays as it is and the temporary file is removed.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with open(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def write_atomically(file: pathlib.Path, text: str) -> None:
    """Writes `text` to `file` as UTF-8, all of it or nothing."""
    with atomic_file(file) as stream:
        stream.write(text.encode())


def sync_file(file: pathlib.Path) -> None:
    """Waits until the contents of `file` are on the disk."""
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())


def sync_directory(directory: pathlib.Path) -> None:
    """Waits until renames in `directory` are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bounded(file: str | os.PathLike, most_bytes: int) -> bytes:
    """Reads all of a file that ought to be small.

    Raises:
        DataError: it is missing, no regular file (a FIFO would keep the reader waiting), or has more than
            `most_bytes`.
    """

    def at_once(path, mode):
        return os.open(path, mode | getattr(os, "O_NONBLOCK", 0))

    try:
        with open(file, "rb", opener=at_once) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{file} is no regular file")
            data = stream.read(most_bytes + 1) if status.st_size <= most_bytes else None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL.
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file} cannot be read: {reason}") from error
    if data is None or len(data) > most_bytes:
        raise DataError(f"{file} is not what it should be: it has more than {most_bytes:,} bytes")
    return data
