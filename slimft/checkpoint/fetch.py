"""Fetches an official release: downloads its archive, unpacks and checks it, and only then names its file."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

from slimft.checkpoint import digests
from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.official import Release, checkpoint_directory, find_release
from slimft.download import Unreachable, download, unpack
from slimft.errors import CheckpointError, DataError
from slimft.files import sync_directory, sync_file, temporary_directory
from slimft.local_paths import check_local
from slimft.messages import say


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
            is not that release: its SHA-256 is another one, a variable is missing, has another shape or fails
            its checksum.
    """
    release = find_release(name)
    check_local(directory)
    folder = checkpoint_directory() if directory is None else pathlib.Path(directory).expanduser()
    path = folder / release.file
    try:
        if not release.is_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with alone_in(folder):
                # Another process may have fetched it meanwhile.
                if not release.is_in(folder):
                    _download_and_install(release, folder)
                    return path
    except OSError as error:
        reason = f"{error.strerror or error}; name another with --directory or the variable SLIMFT_CHECKPOINTS"
        raise CheckpointError(f"cannot write {release.name} into {folder}: {reason}") from None
    vouched = digests.check_files(release, folder)
    try:
        _check_shapes(release, path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; move it away and run the same command again") from None
    say(f"{release.name}: {path} is here already; {_said(vouched)}")
    return path


def verify(release: Release, folder: pathlib.Path) -> None:
    """Compares the files of `release` in `folder` with what was noted when they were fetched; says if nothing was.

    Raises:
        CheckpointError: they are not what they should be.
    """
    vouched = digests.check_files(release, folder)
    if vouched == digests.NOTHING:
        say(f"{release.name}: {folder / release.file}: {_said(vouched)}")


def _said(vouched: str) -> str:
    """What is verified, and what is not, of a file that is here."""
    return {
        digests.PUBLISHED: "verified: it came in the archive with the published SHA-256, and has not changed since",
        digests.FIRST_DOWNLOAD: "it has not changed since the first download; no SHA-256 of that is published",
        digests.NOTHING: (
            "not verified: no .sha256 beside it says what it should be, as it was put there by hand or by an older "
            "slimft; move it away to fetch the release"
        ),
    }[vouched]


def _download_and_install(release: Release, folder: pathlib.Path) -> None:
    archive = folder / release.archive
    found = archive.is_file()
    if not found:
        _download(release, archive)
    try:
        digest = digests.check_archive(release, archive, folder)
        with temporary_directory(folder) as temporary:
            _unpack_and_check(release, archive, temporary)
            # The note first: nothing that was fetched is ever without it.
            digests.write_note(release, folder, digest, digests.files_of(release, temporary))
            _install(digests.files_of(release, temporary), folder)
    except (DataError, CheckpointError) as error:
        if found:
            raise CheckpointError(f"{archive}: {error}; delete it or move it away and try again") from None
        archive.unlink()
        raise CheckpointError(f"{release.url}: {error}; nothing of it was kept, try again") from None
    archive.unlink()
    if release.sha256:
        say(f"{release.name}: verified: its archive has the published SHA-256, {digest}")
    else:
        came_over_http = not found and release.url.startswith("http:")
        insecure = " It came over plain http, which others can change." if came_over_http else ""
        noted = f"this one, {digest}, is noted in {release.file}.sha256, and compared from now on"
        say(f"{release.name}: not verified: no SHA-256 of its archive is published; {noted}.{insecure}")


def _download(release: Release, archive: pathlib.Path) -> None:
    """Downloads the archive, without https only if its SHA-256 is known and https does not work."""
    by_hand = f"or get it elsewhere and put {release.file}, or the archive, into {archive.parent}"
    advice = f"run the same command again to continue, {by_hand}"
    try:
        try:
            download(release.url, archive, advice=advice)
        except Unreachable as error:
            if release.http_url is None or digests.expected_of_archive(release, archive.parent) is None:
                raise
            say(str(error), f"{release.name}: trying {release.http_url}; its SHA-256 will show whether it is right")
            download(release.http_url, archive, advice=advice)
    except DataError as error:
        raise CheckpointError(str(error)) from None


def _unpack_and_check(release: Release, archive: pathlib.Path, folder: pathlib.Path) -> None:
    unpack(archive, folder, choose=lambda path: digests.unpacked_name(release, path.name))
    if not release.is_in(folder):
        raise CheckpointError(f"{archive.name} holds no {release.archived or release.file}")
    try:
        checkpoint = _check_shapes(release, folder / release.file)
        for name in release.variables:
            checkpoint[name]  # Reading it checks its checksum.
    except CheckpointError as error:
        # Every reader names the file by its path, and this folder is a temporary one.
        raise CheckpointError(str(error).replace(f"{folder}{os.sep}", "")) from None


def _check_shapes(release: Release, path: pathlib.Path) -> Checkpoint:
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


def _install(files: list[pathlib.Path], folder: pathlib.Path) -> None:
    """Moves `files` to `folder`, in their order."""
    for file in files:
        sync_file(file)
    for file in files:
        os.replace(file, folder / file.name)
    sync_directory(folder)


@contextlib.contextmanager
def alone_in(folder: pathlib.Path) -> Iterator[None]:
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
