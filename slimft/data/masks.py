"""Masks: images whose pixels are the numbers of classes, as palette or grey images have them, or as colours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from slimft.data.images import decoding, is_turned, opened
from slimft.tasks.segmentation import VOID as VOID

# Formats that keep each number: who writes GIF often numbers the colours anew, and PPM scales them. And what a TIFF
# may be compressed with that keeps none.
_LOSSLESS = ("PNG", "BMP", "TIFF")
_LOSSY = ("tiff_jpeg", "jpeg", "webp")
# Modes of Pillow whose values are numbers as they are.
_NUMBERS = ("P", "L", "1")
# The bits of a value, in the head of a PNG and among the tags of a TIFF, and what a TIFF's values mean.
_PNG_BITS, _BITS_PER_SAMPLE, _PHOTOMETRIC = 24, 258, 262
# Grey of so few bits Pillow scales to 8.
_FEW_BITS = (2, 4)
_BAND_PIXELS = 1 << 20

# Red, green and blue to the number that they stand for.
Colours = Mapping[tuple[int, int, int], int]


class MaskFile(NamedTuple):
    """What `read_mask` finds in a file.

    Attributes:
        numbers: uint8 ``[height, width]``.
        by_colours: whether the numbers were found by colours.
        several: whether the file has more pictures, which do not count.
    """

    numbers: np.ndarray
    by_colours: bool
    several: bool


def read_mask(source: str | os.PathLike | BinaryIO, colours: Colours, name: str | None = None) -> MaskFile:
    """Reads a mask.

    Args:
        source: the file's path; or a binary stream that can seek, which is closed.
        colours: what colours stand for, in a mask that has them in place of numbers.
        name: what to call a stream in messages.

    Raises:
        DataError: the file is missing, no image, of a format that changes pixels, has a number above 255, a colour
            that is not among `colours`, transparent pixels that no palette tells apart, or an EXIF orientation.
    """
    with opened(source, name) as (image, stream), decoding(image):
        # Before anything is decoded, which closes the files of some formats.
        bits, several = _bits(image, stream), bool(getattr(image, "is_animated", False))
        _check(image, bits)
        if image.mode in _NUMBERS:
            numbers = np.array(image, np.uint8)
            if image.mode == "L" and bits in _FEW_BITS:
                numbers //= 255 // (2**bits - 1)
            return MaskFile(numbers, False, several)
        if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema()[0] < 255:
            raise OSError("some of its pixels are transparent; save the mask without, as a palette or grey image")
        if image.mode == "LA":
            return MaskFile(np.array(image.getchannel(0)), False, several)
        if image.mode in ("RGB", "RGBA"):
            return MaskFile(_by_colours(image, colours), True, several)
        values = np.asarray(image)
        if values.min(initial=0) < 0 or values.max(initial=0) > VOID:
            raise OSError(
                f"it has the value {values.max(initial=0)}; the pixels of a mask must be the numbers of classes, 0 "
                f"to {VOID - 1}, and {VOID} for none"
            )
        return MaskFile(values.astype(np.uint8), False, several)


def _bits(image: Image.Image, stream: BinaryIO) -> int:
    """How many bits a value has in the file; 8 where that is of no matter."""
    if image.format == "PNG":
        place = stream.tell()
        stream.seek(_PNG_BITS)
        bits = stream.read(1)[0]
        stream.seek(place)
        return bits
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE) or (1,))
    return 8


def _check(image: Image.Image, bits: int) -> None:
    """Raises OSError for what tells of an image that is opened that it is no mask."""
    kind = image.format
    if kind == "TIFF" and image.info.get("compression") in _LOSSY:
        kind = f"TIFF with {image.info['compression']} compression"
    if kind not in _LOSSLESS:
        raise OSError(f"a mask must be a PNG, or a BMP or TIFF, which keep the number of each pixel, not {kind}")
    grey_of_16_bits = image.mode.startswith("I")
    if not grey_of_16_bits and (image.mode not in (*_NUMBERS, "LA", "RGB", "RGBA") or bits > 8):
        raise OSError(
            f"its pixels are of a kind that masks do not have (Pillow's mode {image.mode}, {bits} bits); save the "
            "numbers of classes as a palette or grey image"
        )
    if image.format == "TIFF" and image.mode in ("L", "1") and image.tag_v2.get(_PHOTOMETRIC) == 0:
        raise OSError("its numbers are a negative (0 is white); save it as a PNG")
    if is_turned(image):
        raise OSError("it has an EXIF orientation, and would be seen turned; save the mask upright, without one")


def palette_of(source: str | os.PathLike | BinaryIO, name: str | None = None) -> list[int] | None:
    """The colours of a mask that has a palette, red, green and blue of each number in turn; None of another.

    There may be fewer than 256.

    Raises:
        DataError: as of `read_mask`.
    """
    with opened(source, name) as (image, _):
        return image.getpalette("RGB") if image.mode == "P" else None


def colours_of(palette: list[int], num_classes: int) -> dict[tuple[int, int, int], int]:
    """What colours stand for by a palette: the classes and, last, void; of equal ones the first counts."""
    numbers = [number for number in (*range(num_classes), VOID) if 3 * number + 3 <= len(palette)]
    return {tuple(palette[3 * number : 3 * number + 3]): number for number in reversed(numbers)}


def counts_of(mask: np.ndarray) -> np.ndarray:
    """How many pixels of a mask, uint8 ``[height, width]``, have each number: int64 [256]."""
    # By NumPy, each pixel would take eight bytes.
    return np.array(Image.fromarray(mask).histogram(), np.int64)


def coloured(mask: np.ndarray, palette: list[int]) -> Image.Image:
    """A mask, uint8 ``[height, width]``, as a palette image of Pillow's."""
    image = Image.fromarray(mask)
    image.putpalette(palette)
    return image


def _by_colours(image: Image.Image, colours: Colours) -> np.ndarray:
    image.load()
    numbers = np.empty(image.size[::-1], np.uint8)
    for top, pixels in _bands(image):
        packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        found, places, which = np.unique(packed, return_index=True, return_inverse=True)
        table = np.zeros(len(found), np.uint8)
        for place, one in enumerate(found.tolist()):
            colour = one >> 16, one >> 8 & 255, one & 255
            if colour not in colours:
                row, column = divmod(int(places[place]), image.width)
                raise OSError(
                    f"its pixel at row {top + row}, column {column} has the colour {colour}, which stands for no "
                    "class; save masks with the numbers of classes as a palette or grey image, or write each "
                    "class's colour into classes.txt (name red green blue)"
                )
            table[place] = colours[colour]
        numbers[top : top + len(pixels)] = table[which.reshape(packed.shape)]
    return numbers


def _bands(image: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """Some rows of an image at a time, uint8 ``[rows, width, 3]``, each with the number of its first."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield top, np.asarray(band.convert("RGB"))
