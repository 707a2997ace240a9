"""The images that a command's arguments name: files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

from slimft.data.file_dataset import PassedOver
from slimft.data.image_formats import SOME_SUFFIXES, walk_images
from slimft.errors import DataError
from slimft.local_paths import address_advice
from slimft.messages import say

IMAGES = (
    "An IMAGE is a file ({formats}), a folder, of which all images count, those in folders below it too "
    "(--norecursive: only its own), or a quoted pattern such as 'photos/**/*.jpg'"
)


class ImageArguments:
    """The images that arguments name; what is iterated over does not stay in memory.

    Args:
        command: the name of the command, for what is said.
        arguments: the arguments.
        recursive: whether the images in folders below a folder count too.

    Attributes:
        folders: the folders among the arguments.
        all_there: whether all that was named is there, and can be read; `count` finds it out.
    """

    def __init__(self, command: str, arguments: Sequence[str], recursive: bool = True):
        self._command, self._recursive, self.all_there = command, recursive, True
        self._named: list[str] = []
        for argument in arguments:
            matches = [] if os.path.lexists(argument) else sorted(glob.iglob(argument, recursive=True))
            # With **, a folder brings what is below it too.
            inner = {name for name in matches if os.path.isdir(name)} if "**" in argument else ()
            self._named += [name for name in matches if name not in inner] or [argument]
        self.folders = [name for name in self._named if os.path.isdir(name)]

    def count(self) -> int:
        """How many images there are; says what is not there, and what is passed over."""
        return sum(1 for _ in self._walk(self._report))

    def __iter__(self) -> Iterator[str]:
        """The paths, in order, each time as they are then."""
        return self._walk(None)

    def _report(self, error: DataError) -> None:
        self.all_there = False
        say(f"{self._command}: {error}")

    def _walk(self, report) -> Iterator[str]:
        for name in self._named:
            if os.path.isdir(name):
                yield from self._of_folder(name, report)
            elif os.path.lexists(name):
                yield name
            elif report is not None:
                advice = address_advice(name)
                is_pattern = glob.has_magic(name)
                missing = "matches nothing" if is_pattern else "is not there; name a file or a folder"
                report(DataError(f"{name}: {advice}" if advice else f"{name} {missing}"))

    def _of_folder(self, folder: str, report) -> Iterator[str]:
        passed, found, wrong = PassedOver(folder), False, False

        def fail(error: DataError) -> None:
            nonlocal wrong
            wrong = True
            if report is not None:
                report(error)

        for path, is_image in walk_images(folder, fail, self._recursive):
            if is_image:
                found = True
                yield path
            elif report is not None:
                passed.add_files(os.path.dirname(path), [os.path.basename(path)])
        if report is not None:
            for note in passed.notes():
                say(f"{self._command}: {note}, of {folder}")
            if not found and not wrong:
                report(DataError(f"{folder} holds no images ({SOME_SUFFIXES})"))
