"""Fetches an official release: downloads its archive, unpacks and checks it, and only then names its file."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from slimft.checkpoint.official import Release, checkpoint_directory, find_release
from slimft.download import download, unpack
from slimft.errors import CheckpointError, DataError
from slimft.files import sync_directory, sync_file
from slimft.messages import say

_TEMPORARY = ".fetch-"


def fetch(name: str, directory: str | os.PathLike | None = None) -> pathlib.Path:
    """Makes sure that the official release `name` is on the disk, and right.

    Args:
        name: such as ``vgg_16``; see `slimft.checkpoint.official`.
        directory: where; by default `checkpoint_directory()`. An archive of the release that lies there is
            used instead of being downloaded.

    Returns:
        Its path, or the prefix of its V2 files.

    Raises:
        CheckpointError: there is no such release, it cannot be downloaded or written, or what is there or came
            is not that release: a variable is missing, has another shape or fails its checksum.
    """
    release = find_release(name)
    folder = checkpoint_directory() if directory is None else pathlib.Path(directory).expanduser()
    path = folder / release.file
    try:
        if not release.is_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone_in(folder):
                # Another process may have fetched it meanwhile.
                if not release.is_in(folder):
                    _download_and_install(release, folder)
                    return path
    except OSError as error:
        reason = f"{error.strerror or error}; name another with --directory or the variable SLIMFT_CHECKPOINTS"
        raise CheckpointError(f"cannot write {release.name} into {folder}: {reason}") from None
    try:
        _check_shapes(release, path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; move it away and run the same command again") from None
    say(f"{release.name}: {path} is here already")
    return path


def _download_and_install(release: Release, folder: pathlib.Path) -> None:
    for leftover in folder.glob(f"{_TEMPORARY}*"):  # Of a process that was killed.
        shutil.rmtree(leftover, ignore_errors=True)
    archive = folder / release.url.rsplit("/", 1)[-1]
    found = archive.is_file()
    if not found:
        by_hand = f"or get it elsewhere and put {release.file}, or the archive, into {folder}"
        try:
            download(release.url, archive, advice=f"run the same command again to continue, {by_hand}")
        except DataError as error:
            raise CheckpointError(str(error)) from None
    try:
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as temporary:
            _unpack_and_check(release, archive, pathlib.Path(temporary))
            _install(pathlib.Path(temporary), folder)
    except (DataError, CheckpointError) as error:
        if found:
            raise CheckpointError(f"{archive}: {error}; delete it and run the same command again") from None
        archive.unlink()
        raise CheckpointError(f"{release.url}: {error}; nothing of it was kept, try again") from None
    archive.unlink()


def _unpack_and_check(release: Release, archive: pathlib.Path, folder: pathlib.Path) -> None:
    pattern = re.compile(re.escape(release.file) + r"(\.index|\.data-\d{5}-of-\d{5})?")
    unpack(archive, folder, choose=lambda path: path.name if pattern.fullmatch(path.name) else None)
    if not release.is_in(folder):
        raise CheckpointError(f"{archive.name} holds no {release.file}")
    try:
        checkpoint = _check_shapes(release, folder / release.file)
        for name in release.variables:
            checkpoint[name]  # Reading it checks its checksum.
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(f"{folder}{os.sep}", "")) from None


def _check_shapes(release: Release, path: pathlib.Path):
    """Opens the checkpoint at `path`; raises CheckpointError unless all variables of `release` are in it."""
    from slimft.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(path)
    missing = [name for name in release.variables if name not in checkpoint]
    if missing:
        others = f" and {len(missing) - 1} other variables" if len(missing) > 1 else ""
        raise CheckpointError(f"{path} is not the release {release.name}: it lacks {missing[0]}{others}")
    for name, shape in release.variables.items():
        if checkpoint.shape(name) != shape:
            found = f"{name} is {list(checkpoint.shape(name))}, not {list(shape)}"
            raise CheckpointError(f"{path} is not the release {release.name}: {found}")
    return checkpoint


def _install(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Moves the files of a checkpoint in `source` to `folder`, its index last: without it there is none."""
    files = sorted(source.iterdir(), key=lambda file: file.suffix == ".index")
    for file in files:
        sync_file(file)
    for file in files:
        os.replace(file, folder / file.name)
    sync_directory(folder)


@contextlib.contextmanager
def _alone_in(folder: pathlib.Path) -> Iterator[None]:
    """Waits until no other process fetches into `folder`, where the system can tell."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that fetches into {folder}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass  # A file system without locks.
        yield
    finally:
        os.close(descriptor)
