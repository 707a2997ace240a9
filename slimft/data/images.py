"""Image files to pixels: decoding with Pillow, and the square of an image that a network classifies.

What a file is follows from its content, not from its suffix. Threads may call these functions at the same time: the
work is done in C, or in NumPy, without Python's lock.
"""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import Image

from slimft.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# A file of a few kilobytes may ask for as much; each takes three bytes, and as many again while it is converted.
MAX_PIXELS = 100_000_000

_TOO_LARGE = f"it has too many pixels (more than {MAX_PIXELS // 10**6} million); make it smaller"
_BYTES_AT_A_TIME = 16 << 20
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Of floats that should be whole numbers.
_ROUNDING = 1e-6
_ORIENTATION = 0x0112
# EXIF 2.3, table 6: how an image of each orientation is turned upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: str | os.PathLike | BinaryIO, shorter_side: int | None = None, name: str | None = None
) -> np.ndarray:
    """Reads a JPEG, PNG, WebP, GIF, BMP or TIFF file.

    Turned upright as its EXIF orientation says; the first picture of several; what is transparent shows white
    behind it; 16-bit grey is scaled to 8 bits. Colour profiles are not applied.

    Args:
        source: the file's path; or a binary stream that can seek, which is read from its start and closed.
        shorter_side: a large JPEG may be decoded at a half, a quarter or an eighth of its size, which is faster, as
            long as its shorter side stays at least that many pixels; None for its full size.
        name: what to call a stream in messages.

    Returns:
        uint8 ``[height, width, 3]``, RGB in 0..255.

    Raises:
        DataError: the file is missing, is no image, is truncated or corrupt, or has more than `MAX_PIXELS` pixels.
    """
    is_path = isinstance(source, (str, os.PathLike))
    if name is None:
        name = os.fspath(source) if is_path else "the image"
    try:
        with open(source, "rb") if is_path else source as stream:
            empty = stream.seek(0, os.SEEK_END) == 0
            with Image.open(stream, formats=_FORMATS) as image:
                # Bytes decoded at a time: in small parts, a thread would wait for Python's lock after each.
                image.decodermaxblock = _BYTES_AT_A_TIME
                return np.asarray(_decoded(image, shorter_side))
    except Image.UnidentifiedImageError:
        reason = "is no image of a kind that can be read (JPEG, PNG, WebP, GIF, BMP, TIFF), or its head is damaged"
        if empty:
            reason = "is empty"
    except Image.DecompressionBombError:
        reason = f"cannot be read: {_TOO_LARGE}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    except MemoryError:
        reason = "cannot be read: there is not enough memory"
    # A damaged file can make Pillow's parsers stumble in any way.
    except Exception as error:
        reason = f"cannot be read: {error or type(error).__name__}"
    raise DataError(" ".join(f"{name} {reason}".split()))


def find_images(folder: str | os.PathLike, report: Callable[[DataError], None] | None = None) -> list[str]:
    """The files in a folder and the folders below it that have an image's suffix, in order; not the hidden ones.

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

    found = []
    for directory, folders, files in os.walk(folder, onerror=fail):
        folders[:] = (name for name in folders if not name.startswith("."))
        images = (name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        found += (pathlib.Path(directory, name) for name in images)
    return [str(path) for path in sorted(found)]


def central_square(image: np.ndarray, image_size: int, crop: float) -> np.ndarray:
    """The middle of an image, resized to what a network takes; the aspect ratio stays.

    The image is scaled so that its shorter side has ``image_size / crop`` pixels; of that the central
    `image_size` x `image_size` are the result. A square image with a `crop` of 1 is resized as
    `slimft.data.preprocessing.resize` does it, so that a network sees what it saw in training. Only to less than
    half of its size an image is brought in two steps, the first of which takes the mean of whole squares of
    pixels: bilinear resizing looks at four pixels and would skip the others.

    Args:
        image: uint8 ``[height, width, 3]``.
        image_size: height and width of the result.
        crop: share of the shorter side that is kept, above 0 and at most 1.

    Returns:
        float32 ``[image_size, image_size, 3]``, in 0..255.
    """
    # The step from one pixel of the result to the next, in pixels of the image.
    step = min(image.shape[:2]) * crop / image_size
    # As many steps as are nearest to the middle: where one is a pixel, the result is a part of the image as it is.
    top, left = (math.ceil((side / step - image_size - 1) / 2 - _ROUNDING) * step for side in image.shape[:2])
    rows, columns = (slice(math.floor(start), math.ceil(start + step * image_size)) for start in (top, left))
    image, top, left = image[rows, columns], top - rows.start, left - columns.start
    if step > 2:
        factor = math.floor(step)
        image = np.asarray(Image.fromarray(np.ascontiguousarray(image)).reduce(factor))
        top, left, step = top / factor, left / factor, step / factor
    return _bilinear(_bilinear(image, top, step, image_size, axis=0), left, step, image_size, axis=1)


def size_to_read(image_size: int, crop: float) -> int:
    """The `shorter_side` to read an image with for `central_square`: twice what it needs, to come out the same."""
    return math.ceil(2 * image_size / crop)


def _decoded(image: Image.Image, shorter_side: int | None) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise OSError(_TOO_LARGE)
    if shorter_side is not None and image.format in ("JPEG", "MPO"):
        image.draft(image.mode, (shorter_side, shorter_side))
    image.load()
    upright = _UPRIGHT.get(_orientation(image))
    image = _rgb(image)
    return image if upright is None else image.transpose(upright)


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:
        return None  # An image whose EXIF is damaged is still an image.


def _rgb(image: Image.Image) -> Image.Image:
    """An image of any mode in RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return _grey_of_16_bits(image)
    if image.mode in ("I", "F"):
        raise OSError(f"its pixels have 32 bits or a sign (Pillow's mode {image.mode}); save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey_of_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    grey = ((values + 128) // 257).astype(np.uint8)  # 65535 becomes 255; Pillow would cut off at 255.
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _bilinear(pixels: np.ndarray, start: float, step: float, count: int, axis: int) -> np.ndarray:
    """Linear interpolation at `count` places along an axis; beyond the border there is the border's pixel.

    Place i is the middle of the step from ``start + i * step``; pixel j is at ``j + 0.5``.
    """
    places = start + (np.arange(count) + 0.5) * step - 0.5
    below = np.floor(places).astype(np.intp)
    last = pixels.shape[axis] - 1
    weights = (places - below).astype(np.float32).reshape([-1] + [1] * (pixels.ndim - 1 - axis))
    first = np.take(pixels, np.clip(below, 0, last), axis).astype(np.float32)
    second = np.take(pixels, np.clip(below + 1, 0, last), axis).astype(np.float32)
    second -= first
    second *= weights
    return np.add(first, second, out=first)
