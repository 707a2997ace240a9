"""Writing files so that a crash leaves the old one or the new one, never half of it; reading what may be none.

What is not whole yet lies in a directory ``.slimft-XXXXXXXX`` beside its place. The writer holds a lock on it, that
the system releases when a process ends, in whatever way: so the next writer in that place can tell what a killed
process has left from what is being written just now, and clears it away.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import errno
import hashlib
import io
import os
import pathlib
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from slimft import system
from slimft.errors import DataError
from slimft.local_paths import address_advice

try:
    import fcntl
except ImportError:  # Not a POSIX system.
    fcntl = None  # type: ignore[assignment]  # To mypy the name is a module's for good.

_PREFIX = ".slimft-"
_TEMPORARY = re.compile(rf"{re.escape(_PREFIX)}[0-9a-f]{{8}}")
# Where there are no locks, what is older was left behind.
_ABANDONED_SECONDS = 24 * 3600


@contextlib.contextmanager
def temporary_directory(parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """Makes a directory in `parent` for what gets its place there by being renamed; removes it at the end.

    Clears away first what killed processes have left of such directories in `parent`.

    Raises:
        OSError: it cannot be made.
    """
    clear_leftovers(parent)
    directory, lock = _make_locked(parent)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def clear_leftovers(folder: pathlib.Path) -> None:
    """Removes the temporary directories in `folder` whose process is no more; skips what it cannot remove."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if _TEMPORARY.fullmatch(name):
                _remove_if_abandoned(folder / name)


def _make_locked(parent: pathlib.Path) -> tuple[pathlib.Path, int]:
    """A new directory in `parent`, and the descriptor that holds the lock on it."""
    while True:
        directory = parent / f"{_PREFIX}{secrets.token_hex(4)}"
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        try:
            descriptor = os.open(directory, os.O_RDONLY)
        except FileNotFoundError:  # Another process took it for a leftover before it was locked.
            continue
        except BaseException:
            directory.rmdir()
            raise
        if fcntl is not None:
            with contextlib.suppress(OSError):  # A file system without locks.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if directory.exists():
            return directory, descriptor
        os.close(descriptor)


def _remove_if_abandoned(directory: pathlib.Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        try:
            if fcntl is None:
                raise OSError
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:  # There are no locks here.
            if time.time() - os.fstat(descriptor).st_mtime < _ABANDONED_SECONDS:
                return
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(file: pathlib.Path) -> Iterator[BinaryIO]:
    """Opens a temporary file for writing; at the end it is synced and gets the name `file`.

    If the block is left by an exception, `file` stays as it is.

    Raises:
        OSError: it cannot be written; the error names `file`.
    """
    with _errors_name(file), temporary_directory(file.parent) as directory:
        temporary = directory / file.name
        with open(temporary, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
        sync_directory(file.parent)


@contextlib.contextmanager
def _errors_name(file: pathlib.Path) -> Iterator[None]:
    """Lets errors name `file` that name none (writing to a full disk) or a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (error.filename is None or _PREFIX in os.fsdecode(str(error.filename))):
            raise
        raise OSError(error.errno, error.strerror, str(file)) from None


def write_atomically(file: pathlib.Path, text: str) -> None:
    """Writes `text` to `file` as UTF-8, all of it or nothing."""
    with atomic_file(file) as stream:
        stream.write(text.encode())


@contextlib.contextmanager
def table_writer(file: pathlib.Path) -> Iterator[Any]:
    """A writer of `csv`, of a file in UTF-8 that is there whole at the end of the block, or not at all.

    Names of files that are no Unicode are written as the bytes they are.
    """
    with atomic_file(file) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        yield csv.writer(text, lineterminator="\n")
        text.detach()  # Which flushes, and leaves the stream open.


def write_table(file: pathlib.Path, rows: Iterable[Sequence]) -> None:
    """Writes a CSV file, as of `table_writer`."""
    with table_writer(file) as writer:
        writer.writerows(rows)


def sync_file(file: pathlib.Path) -> None:
    """Waits until the contents of `file` are on the disk."""
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())


def sync_files_below(folder: pathlib.Path) -> None:
    """Waits until the contents of all files in `folder`, and in the folders in it, are on the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            sync_file(file)


def sync_directory(directory: pathlib.Path) -> None:
    """Waits until renames in `directory` are on the disk; Windows has no way to."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Gives the bytes of `source` a second name, `target`, or copies them where there are no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        sync_file(target)


def exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Swaps two directories at once; returns False where the system or the file system cannot."""
    # Python has no function for it. The numbers: AT_FDCWD and RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS.
    if os.name != "posix":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return libc.renamex_np(*paths, 2) == 0
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        return libc.renameat2(-100, paths[0], -100, paths[1], 2) == 0
    return False


def sha256_of(file: pathlib.Path) -> str:
    """The SHA-256 of a file's contents, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    return _digest_of(file, hashlib.sha256())


def md5_of(file: pathlib.Path) -> str:
    """The MD5 of a file's contents, in hexadecimal: it tells damage, but files can be made to have the same one.

    Raises:
        OSError: it cannot be read.
    """
    return _digest_of(file, hashlib.md5(usedforsecurity=False))


def _digest_of(file: pathlib.Path, digest: hashlib._Hash) -> str:
    with open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def open_regular(file: str | os.PathLike, buffering: int = -1) -> BinaryIO:
    """Opens a file for reading; raises OSError, also of a pipe, which could hang, and of a device without end."""
    advice = address_advice(file)
    if advice:
        raise OSError(errno.EINVAL, advice, os.fspath(file))
    stream = open(file, "rb", buffering, opener=system.open_descriptor)
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(file))
    return stream


def read_bounded(file: str | os.PathLike, most_bytes: int) -> bytes:
    """Reads all of a file that ought to be small.

    Raises:
        DataError: it is missing, no regular file (a FIFO would keep the reader waiting), or has more than
            `most_bytes`.
    """
    try:
        with open_regular(file) as stream:
            small = os.fstat(stream.fileno()).st_size <= most_bytes
            data = stream.read(most_bytes + 1) if small else None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL.
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file} cannot be read: {reason}") from error
    if data is None or len(data) > most_bytes:
        raise DataError(f"{file} is not what it should be: it has more than {most_bytes:,} bytes")
    return data
