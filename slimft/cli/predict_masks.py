"""What bin/predict does with a network for segmentation: masks and overlays as files."""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from slimft.cli import common
from slimft.cli.predict_files import names_of
from slimft.data.class_names import ClassNames
from slimft.data.masks import coloured
from slimft.data.overlay import overlay
from slimft.data.palette import voc_palette
from slimft.errors import UsageError
from slimft.files import atomic_file
from slimft.messages import printable

# Where masks go by default.
OUTPUT_DIR = "predictions"
_OVERLAY = "_overlay.jpg"


class MaskFiles:
    """Writes the masks and overlays of images.

    Args:
        output_dir: the folder, which is made if need be.
        folders: the folders that were named.
        paths: the images, those in the folders too.

    Raises:
        UsageError: a mask would take the place of one of the images, or the folder cannot be made.
    """

    def __init__(self, output_dir: str, folders: Sequence[str], paths: Sequence[str]):
        self._folder = pathlib.Path(output_dir).expanduser()
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
                f"two of the images are called {twice[0]}, and their masks would be too; predict them apart, with "
                "an --output_dir each"
            )
        self._stems = stems
        place = os.path.realpath(self._folder)
        around = next((one for one in folders if f"{place}/".startswith(f"{os.path.realpath(one)}/")), None)
        if around is not None:
            raise UsageError(
                f"--output_dir={output_dir} lies in {around}, where the masks would be taken for images the next "
                "time; name a folder elsewhere"
            )
        images = {os.path.realpath(path) for path in paths}
        for path in paths:
            for file in self._files_of(path):
                if os.path.realpath(file) in images:
                    raise UsageError(
                        f"--output_dir={output_dir}: {file} is one of the images, and would be replaced; name "
                        "another folder"
                    )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--output_dir={output_dir} cannot be made: {error.strerror}; name another") from None
        self._palette = voc_palette()

    def _files_of(self, path: str) -> tuple[pathlib.Path, pathlib.Path]:
        stem = self._stems[path]
        return self._folder / f"{stem}.png", self._folder / f"{stem}{_OVERLAY}"

    def write(self, path: str, mask: np.ndarray, pixels: np.ndarray, names: Sequence[str]) -> tuple[str, str]:
        """Writes the mask of an image, and the image with it; returns where."""
        mask_file, overlay_file = self._files_of(path)
        mask_file.parent.mkdir(parents=True, exist_ok=True)
        for file, picture, kind, how in (
            (mask_file, coloured(mask, self._palette), "PNG", {"optimize": True}),
            (overlay_file, overlay(pixels, mask, names, self._palette), "JPEG", {"quality": 90}),
        ):
            with atomic_file(file) as stream:
                picture.save(stream, kind, **how)
        return str(mask_file), str(overlay_file)


def _inner(path: str, folders: Sequence[str]) -> str:
    """An image's path below the folder that was named, or its name."""
    for folder in folders:
        inner = os.path.relpath(path, folder)
        if not inner.startswith(os.pardir):
            return inner
    return os.path.basename(path)


def shares_of(mask: np.ndarray, num_classes: int, top: int) -> Iterator[tuple[int, float]]:
    """The largest classes of a mask, the largest first, with their shares of its pixels."""
    counts = np.bincount(mask.ravel(), minlength=num_classes)
    for number in np.argsort(-counts, kind="stable")[:top].tolist():
        if counts[number]:
            yield number, float(counts[number] / mask.size)


def text_of(path: str, files: tuple[str, str], shares: Sequence[tuple[int, float]], classes: ClassNames) -> str:
    """What is told of an image: where its mask and its overlay are, and its largest classes."""
    names = names_of(classes)
    lines = [f"{printable(path)}: {printable(files[0])}, {printable(files[1])}"]
    return "\n".join([*lines, *(f"{share:>7.1%}  {printable(names[number])}" for number, share in shares)])


def json_of(path: str, files: tuple[str, str], shares: Sequence[tuple[int, float]], classes: ClassNames) -> str:
    """The same as one line of JSON."""
    described = [{**classes.describe(number), "share": share} for number, share in shares]
    return common.json_line({"path": path, "mask": files[0], "overlay": files[1], "classes": described})
