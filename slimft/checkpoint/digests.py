"""What official releases are compared with: the SHA-256 that is published, and the one noted at the first download.

Beside a fetched file lies ``FILE.sha256``, in the format of the command ``sha256sum``: the SHA-256 of the archive
that it came in and of each of its own files.
"""

from __future__ import annotations

import pathlib
import re

from slimft.checkpoint.official import Release
from slimft.errors import CheckpointError, DataError
from slimft.files import read_bounded, sha256_of, write_atomically

# What a file, or the next download, is compared with.
PUBLISHED, FIRST_DOWNLOAD, NOTHING = "published SHA-256", "first download", "nothing"

_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/]+)")
_MOST_BYTES = 1 << 16


def files_of(release: Release, folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of `release` that are in `folder`, an index last: without it there is no V2 checkpoint."""
    files = [file for file in folder.iterdir() if is_file_of(release, file.name) and file.is_file()]
    return sorted(files, key=lambda file: (file.suffix == ".index", file.name))


def is_file_of(release: Release, name: str) -> bool:
    """Whether a file of this name is one of those that a checkpoint of `release` consists of."""
    return re.fullmatch(re.escape(release.file) + r"(\.index|\.data-\d{5}-of-\d{5})?", name) is not None


def unpacked_name(release: Release, name: str) -> str | None:
    """What a file of the archive of `release`, called `name` there, is called here; None if it is not needed."""
    archived = release.archived or release.file
    here = release.file + name[len(archived) :]
    return here if name.startswith(archived) and is_file_of(release, here) else None


def note_of(release: Release, folder: pathlib.Path) -> pathlib.Path:
    """The file that holds what was noted when `release` was fetched into `folder`."""
    return folder / f"{release.file}.sha256"


def read_note(release: Release, folder: pathlib.Path) -> dict[str, str]:
    """The SHA-256 of each file, by name, that was noted when `release` was fetched; empty if nothing was.

    Raises:
        CheckpointError: the note cannot be read.
    """
    note = note_of(release, folder)
    digests: dict[str, str] = {}
    if not note.exists():
        return digests
    try:
        lines = read_bounded(note, _MOST_BYTES).decode().splitlines()
    except DataError as error:
        raise CheckpointError(str(error)) from None
    except UnicodeDecodeError:
        lines = []
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise CheckpointError(f"{note}: line {number} is no SHA-256 and name of a file; {_start_over(release)}")
        digests[match[2]] = match[1]
    if not digests:
        raise CheckpointError(f"{note} is empty or no text; {_start_over(release)}")
    return digests


def write_note(release: Release, folder: pathlib.Path, archive_digest: str, files: list[pathlib.Path]) -> None:
    """Notes the SHA-256 of the archive of `release` and of its `files`, wherever they are, in `folder`."""
    digests = {release.archive: archive_digest, **{file.name: sha256_of(file) for file in files}}
    write_atomically(note_of(release, folder), "".join(f"{digest}  {name}\n" for name, digest in digests.items()))


def expected_of_archive(release: Release, folder: pathlib.Path) -> str | None:
    """The SHA-256 that the archive must have: the published one, or that of the first download; None if unknown."""
    return release.sha256 or read_note(release, folder).get(release.archive)


def check_archive(release: Release, archive: pathlib.Path, folder: pathlib.Path) -> str:
    """Compares `archive` with the SHA-256 that it must have, if there is one; returns the one it has.

    Raises:
        CheckpointError: it has another one.
    """
    digest, expected = sha256_of(archive), expected_of_archive(release, folder)
    if expected in (None, digest):
        return digest
    if release.sha256:
        by = "the published one; it is damaged, or not the release"
    else:
        by = f"that of the first download; delete {note_of(release, folder)} only if you trust this one more"
    raise CheckpointError(f"its SHA-256 is {digest}, not {expected}, {by}")


def check_files(release: Release, folder: pathlib.Path) -> str:
    """Compares the files of `release` in `folder` with what was noted when they were fetched.

    Returns:
        `PUBLISHED`, `FIRST_DOWNLOAD` or `NOTHING`: what vouches for them.

    Raises:
        CheckpointError: a file, or the archive that it came in, is not what it should be, or cannot be read.
    """
    noted = read_note(release, folder)
    if not noted:
        return NOTHING
    archive = noted.pop(release.archive, None)
    if None not in (release.sha256, archive) and archive != release.sha256:
        reason = f"it came in an archive of SHA-256 {archive}, not {release.sha256}, the published one"
        raise CheckpointError(f"{folder / release.file}: {reason}; {_start_over(release)}")
    try:
        found = {file.name: sha256_of(file) for file in files_of(release, folder)}
    except OSError as error:
        raise CheckpointError(f"{error.filename or folder} cannot be read: {error.strerror}") from None
    for name in sorted({*noted, *found}):
        if found.get(name) != noted.get(name):
            reason = f"has SHA-256 {found[name]}" if name in found else "is missing"
            then = f"it had {noted[name]}" if name in noted else "there was no such file"
            by = f"when {release.name} was fetched ({release.file}.sha256)"
            raise CheckpointError(f"{folder / name} {reason}, but {then} {by}; {_start_over(release)}")
    return PUBLISHED if release.sha256 and archive == release.sha256 else FIRST_DOWNLOAD


def compared_with(release: Release, folder: pathlib.Path) -> str:
    """What the files of `release` in `folder` are compared with; where there are none, what a download will be.

    Raises:
        CheckpointError: the note cannot be read.
    """
    if not release.is_in(folder):
        return PUBLISHED if release.sha256 else FIRST_DOWNLOAD
    noted = read_note(release, folder)
    if not noted:
        return NOTHING
    return PUBLISHED if release.sha256 and noted.get(release.archive) == release.sha256 else FIRST_DOWNLOAD


def _start_over(release: Release) -> str:
    return (
        f"delete {release.file}.sha256 and the file, and fetch {release.name} again, "
        "or give a file of your own another name"
    )
