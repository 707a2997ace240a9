"""Which formats of images are read, and the files in folders that have their suffixes."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator

from PIL import Image, features

from slimft.errors import DataError

Image.init()
# Formats of photographs and scans whose decoders are well kept, with what Pillow needs for some of them; none that
# has no signature, runs a program or refers to other files.
_CODECS = {
    "JPEG": None,
    "PNG": None,
    "WEBP": "webp",
    "GIF": None,
    "BMP": None,
    "TIFF": None,
    "JPEG2000": "jpg_2000",
    "AVIF": "avif",
    "PPM": None,
}
FORMATS = tuple(
    kind for kind, codec in _CODECS.items() if kind in Image.OPEN and (codec is None or features.check(codec))
)
_COMMON = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# Of floats (.pfm) no image is made; browsers, and cameras with two lenses, write the others.
_ALL = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS} - {".pfm"}
SUFFIXES = (*_COMMON, *sorted((_ALL | {".pjpeg", ".pjp", ".mpo"}) - set(_COMMON)))
# For messages.
SOME_SUFFIXES = f"{' '.join(_COMMON)} and others"
READABLE = ", ".join({"WEBP": "WebP", "JPEG2000": "JPEG 2000"}.get(kind, kind) for kind in FORMATS)


def find_images(
    folder: str | os.PathLike, report: Callable[[DataError], None] | None = None
) -> tuple[list[str], list[str]]:
    """The files in a folder and the folders below it that have an image's suffix, in order, and the others.

    Args:
        folder, report: as of `walk_images`.

    Raises:
        DataError: a folder cannot be read, and there is no `report`.
    """
    images, others = [], []
    for path, is_image in walk_images(folder, report):
        (images if is_image else others).append(path)
    return images, others


def walk_images(
    folder: str | os.PathLike, report: Callable[[DataError], None] | None = None, recursive: bool = True
) -> Iterator[tuple[str, bool]]:
    """The files in a folder and the folders below it, by name, and whether they have an image's suffix.

    What begins with a dot, and all below it, is left out; no link to a folder is followed. No more than the names
    of the folders on the way to a file stays in memory.

    Args:
        folder: the folder.
        report: called with what is wrong with a folder that cannot be read, which is then left out.
        recursive: whether the folders below it count.

    Raises:
        DataError: a folder cannot be read, and there is no `report`.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted((entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        wrong = DataError(f"{os.fspath(folder)} cannot be read: {error.strerror}")
        if report is None:
            raise wrong from None
        report(wrong)
        return
    for name, is_folder in names:
        path = str(pathlib.PurePath(folder, name))
        if is_folder is None:
            yield path, is_image_name(name)
        elif is_folder and recursive:
            yield from walk_images(path, report)


def is_image_name(path: str) -> bool:
    """Whether a file is called as images are."""
    return path.lower().endswith(SUFFIXES)


def _is_folder(entry: os.DirEntry) -> bool | None:
    """Whether it is a folder to go into; None where it is none, False where it is a link to one."""
    if not entry.is_dir():
        return None
    return not entry.is_symlink()
