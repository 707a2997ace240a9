"""Writing files so that a crash leaves the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO


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
    """Waits until renames in `directory` are on the disk; Windows has no way to."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
