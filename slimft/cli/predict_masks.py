"""What bin/predict does with a network for segmentation: masks and overlays as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from slimft.cli import common
from slimft.cli.output_files import OutputFiles
from slimft.data.class_names import ClassNames
from slimft.data.masks import coloured
from slimft.data.overlay import overlay
from slimft.data.palette import voc_palette
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
        endings = ".png", _OVERLAY
        self._files = OutputFiles("output_dir", output_dir, folders, paths, endings, "masks")
        self._palette = voc_palette()

    def write(self, path: str, mask: np.ndarray, pixels: np.ndarray, names: Sequence[str]) -> tuple[str, str]:
        """Writes the mask of an image, and the image with it; returns where."""
        mask_file, overlay_file = self._files.of(path)
        mask_file.parent.mkdir(parents=True, exist_ok=True)
        for file, picture, kind, how in (
            (mask_file, coloured(mask, self._palette), "PNG", {"optimize": True}),
            (overlay_file, overlay(pixels, mask, names, self._palette), "JPEG", {"quality": 90}),
        ):
            with atomic_file(file) as stream:
                picture.save(stream, kind, **how)
        return str(mask_file), str(overlay_file)


def shares_of(mask: np.ndarray, num_classes: int, top: int) -> Iterator[tuple[int, float]]:
    """The largest classes of a mask, the largest first, with their shares of its pixels."""
    counts = np.bincount(mask.ravel(), minlength=num_classes)
    for number in np.argsort(-counts, kind="stable")[:top].tolist():
        if counts[number]:
            yield number, float(counts[number] / mask.size)


def text_of(path: str, files: tuple[str, str], shares: Sequence[tuple[int, float]], classes: ClassNames) -> str:
    """What is told of an image: where its mask and its overlay are, and its largest classes."""
    names = classes.texts
    lines = [f"{printable(path)}: {printable(files[0])}, {printable(files[1])}"]
    return "\n".join([*lines, *(f"{share:>7.1%}  {printable(names[number])}" for number, share in shares)])


def json_of(path: str, files: tuple[str, str], shares: Sequence[tuple[int, float]], classes: ClassNames) -> str:
    """The same as one line of JSON."""
    described = [{**classes.describe(number), "share": share} for number, share in shares]
    return common.json_line({"path": path, "mask": files[0], "overlay": files[1], "classes": described})
