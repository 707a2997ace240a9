"""Which formats of images are read, and the files in folders that have their suffixes."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

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

    What begins with a dot, and all below it, is neither.

    Args:
        folder: the folder.
        report: called with what is wrong with a folder that cannot be read, which is then left out.

    Raises:
        DataError: a folder cannot be read, and there is no `report`.
    """

    def fail(error: OSError):
        wrong = DataError(f"{error.filename} cannot be read: {error.strerror}")
        if report is None:
            raise wrong
        report(wrong)

    images, others = [], []
    for directory, folders, files in os.walk(folder, onerror=fail):
        folders[:] = (name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                found = images if name.lower().endswith(SUFFIXES) else others
                found.append(pathlib.Path(directory, name))
    return [str(path) for path in sorted(images)], [str(path) for path in sorted(others)]
