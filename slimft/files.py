"""Writing files so that a crash leaves the old one or the new one, never half of it."""

from __future__ import annotations

import os
import pathlib
import tempfile


def write_atomically(file: pathlib.Path, text: str) -> None:
    """Writes `text` to `file` through a temporary file beside it, synced before it is renamed."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


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
