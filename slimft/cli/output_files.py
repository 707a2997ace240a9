"""What a command writes of each image: names that cannot collide, in a folder that is not the images' own."""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Sequence

from slimft.errors import UsageError


def writable(path: str, flag: str) -> pathlib.Path:
    """The file to write, found out before the work is done; raises UsageError where there is no folder for it."""
    file = pathlib.Path(path).expanduser().resolve()
    # It is replaced, which a device must not be.
    if not file.name or (file.exists() and not file.is_file()) or not os.access(file.parent, os.W_OK):
        raise UsageError(f"{flag}={path} cannot be written; name a file in a folder that is there")
    return file


def check_outside(flag: str, folder: str, folders: Sequence[str], what: str) -> None:
    """Raises UsageError if a folder for `what` lies in one of those that images are read from."""
    place = os.path.realpath(os.path.expanduser(folder))
    around = next((one for one in folders if f"{place}/".startswith(f"{os.path.realpath(one)}/")), None)
    if around is not None:
        raise UsageError(
            f"--{flag}={folder} lies in {around}, where the {what} would be taken for images the next time; name a "
            "folder elsewhere"
        )


class OutputFiles:
    """Where what is made of each image goes.

    Args:
        flag: the flag that names the folder, for errors.
        folder: the folder, which is made if need be.
        folders: the folders that were named.
        paths: the images, those in the folders too.
        endings: what the files of one image are called, behind the image's name.
        what: what they are, for errors.

    Raises:
        UsageError: a file would take the place of another or of one of the images, or the folder cannot be made.
    """

    def __init__(
        self,
        flag: str,
        folder: str,
        folders: Sequence[str],
        paths: Sequence[str],
        endings: Sequence[str],
        what: str,
    ):
        self._folder, self._endings = pathlib.Path(folder).expanduser(), tuple(endings)
        inner = {path: _inner(path, folders) for path in paths}
        alike = collections.Counter(os.path.splitext(name)[0] for name in inner.values())
        # Of two images that are called alike but for their suffixes, or lie in different folders, all of the name.
        stems = {}
        for path, name in inner.items():
            stem = os.path.splitext(name)[0]
            stems[path] = stem if alike[stem] == 1 else name
        twice = [name for name, count in collections.Counter(stems.values()).items() if count > 1]
        if twice:
            raise UsageError(
                f"two of the images are called {twice[0]}, and their {what} would be too; predict them apart, with "
                f"{'an' if flag == 'output_dir' else 'a'} --{flag} each"
            )
        self._stems = stems
        check_outside(flag, folder, folders, what)
        images = {os.path.realpath(path) for path in paths}
        for path in paths:
            for file in self.of(path):
                if os.path.realpath(file) in images:
                    raise UsageError(
                        f"--{flag}={folder}: {file} is one of the images, and would be replaced; name "
                        "another folder"
                    )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--{flag}={folder} cannot be made: {error.strerror}; name another") from None

    def of(self, path: str) -> list[pathlib.Path]:
        """The files of an image, in the order of the endings."""
        stem = self._stems[path]
        return [self._folder / f"{stem}{ending}" for ending in self._endings]


def _inner(path: str, folders: Sequence[str]) -> str:
    """An image's path below the folder that was named, or its name."""
    for folder in folders:
        inner = os.path.relpath(path, folder)
        if not inner.startswith(os.pardir):
            return inner
    return os.path.basename(path)
