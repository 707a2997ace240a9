"""Image files to pixels: decoding with Pillow, and the square of an image that a network classifies.

What a file is follows from its content, not from its suffix. Threads may call these functions at the same time: the
work is done in C, or in NumPy, without Python's lock. Together they decode at most `MOST_PIXELS_AT_A_TIME`. What is
made of a decoded picture is made in bands, so that no second one of its size is in memory.
"""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from slimft import system
from slimft.data.pixel_budget import PixelBudget
from slimft.data.webp import decode_still
from slimft.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# A file of a few kilobytes may ask for as much; decoding takes 4 bytes for each (of an animated WebP 12).
MAX_PIXELS = 100_000_000
# Of all threads together: sixteen that decode 4 million each. A larger picture is decoded while no other is.
MOST_PIXELS_AT_A_TIME = 64_000_000
# Such pixels without compression are smaller; of WebP, Pillow reads the whole file at once.
MOST_FILE_BYTES = 1 << 30

_TOO_LARGE = f"it has too many pixels (more than {MAX_PIXELS // 10**6} million); make it smaller"
_BYTES_AT_A_TIME = 16 << 20
_BAND_PIXELS = 1 << 20
# Pixels of a picture whose memory is given back at once.
_LARGE = 16_000_000
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Of floats that should be whole numbers.
_ROUNDING = 1e-6
_ORIENTATION = 0x0112
# EXIF 2.3, table 6: how a stored image of each orientation is turned upright; whether its rows become columns, and
# whether its rows, and its columns, are in the opposite order.
_UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, False, False, True),
    3: (Image.Transpose.ROTATE_180, False, True, True),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, False, True, False),
    5: (Image.Transpose.TRANSPOSE, True, False, False),
    6: (Image.Transpose.ROTATE_270, True, True, False),
    7: (Image.Transpose.TRANSVERSE, True, True, True),
    8: (Image.Transpose.ROTATE_90, True, False, True),
}

_budget = PixelBudget(MOST_PIXELS_AT_A_TIME)


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
    with _decoded(source, shorter_side, name) as picture:
        return picture.region(0, 0, picture.height, picture.width)


def read_square(
    source: str | os.PathLike | BinaryIO, image_size: int, crop: float = 1.0, name: str | None = None
) -> np.ndarray:
    """Reads what a network sees of an image file, in training, evaluation and prediction alike.

    Args:
        source: as of `read_image`.
        image_size: height and width of the result.
        crop: as of `central_square`.
        name: as of `read_image`.

    Returns:
        uint8 ``[image_size, image_size, 3]``, RGB: the `central_square`, rounded.

    Raises:
        DataError: as of `read_image`.
    """
    square = np.empty((image_size, image_size, 3), np.uint8)
    # Twice what is needed, so that a JPEG decoded at a fraction of its size comes out the same.
    with _decoded(source, math.ceil(2 * image_size / crop), name) as picture:
        for rows, part in _square_parts(picture, image_size, crop):
            square[rows] = np.rint(part, out=part)
    return square


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


def open_file(path: str | os.PathLike) -> BinaryIO:
    """Opens an image file; raises OSError, also where it is a pipe or a device."""
    stream = open(path, "rb", opener=system.open_descriptor)
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError("it is not a regular file")
    return stream


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
    square = np.empty((image_size, image_size, 3), np.float32)
    for rows, part in _square_parts(_Picture(image), image_size, crop):
        square[rows] = part
    return square


class _Picture:
    """A decoded image, seen upright and in RGB.

    Args:
        image: of any mode; or uint8 ``[height, width, 3]`` or ``[height, width, 4]``, RGB and perhaps opacity.
        orientation: that of EXIF.

    Attributes:
        height: rows of the upright image.
        width: its columns.

    Raises:
        OSError: its pixels have more bits than can be brought to eight.
    """

    def __init__(self, image: Image.Image | np.ndarray, orientation: int | None = None):
        self._image, self._upright = image, _UPRIGHT.get(orientation)
        self._grey_of_16_bits = False
        if isinstance(image, np.ndarray):
            size = image.shape[1::-1]
        else:
            size = image.size
            # A part of an image does not know its format.
            self._grey_of_16_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
            if image.mode in ("I", "F") and not self._grey_of_16_bits:
                what = f"its pixels have 32 bits or a sign (Pillow's mode {image.mode})"
                raise OSError(f"{what}; save it with 8 or 16 bits")
        self._stored_width, self._stored_height = size
        self.width, self.height = size[::-1] if self._upright is not None and self._upright[1] else size

    def forget(self) -> None:
        """Frees the pixels."""
        if not isinstance(self._image, np.ndarray):
            self._image.close()
        self._image = None

    def region(self, top: int, left: int, bottom: int, right: int, factor: int = 1) -> np.ndarray:
        """A part of the image, of which the mean of each `factor` x `factor` pixels is taken.

        Returns:
            uint8 ``[rows, columns, 3]``; those at the lower and the right border may be means of fewer pixels.
        """
        shape = -(-(bottom - top) // factor), -(-(right - left) // factor), 3
        # Rows of the result at a time.
        rows = max(1, _BAND_PIXELS // (factor * factor * shape[1]))
        if rows >= shape[0]:
            return np.asarray(self._part(top, left, bottom, right, factor))
        result = np.empty(shape, np.uint8)
        for start in range(0, shape[0], rows):
            first, last = top + start * factor, min(top + (start + rows) * factor, bottom)
            result[start : start + rows] = self._part(first, left, last, right, factor)
        return result

    def _part(self, top: int, left: int, bottom: int, right: int, factor: int) -> Image.Image:
        turn = None
        if self._upright is not None:
            turn, swapped, rows_reversed, columns_reversed = self._upright
            if swapped:
                top, left, bottom, right = left, top, right, bottom
            if rows_reversed:
                top, bottom = self._stored_height - bottom, self._stored_height - top
            if columns_reversed:
                left, right = self._stored_width - right, self._stored_width - left
        part = self._image
        if isinstance(part, np.ndarray):
            part = Image.fromarray(np.ascontiguousarray(part[top:bottom, left:right]))
        elif (left, top, right, bottom) != (0, 0, *part.size):
            part = part.crop((left, top, right, bottom))
        part = _rgb(part, self._grey_of_16_bits)
        part = part if turn is None else part.transpose(turn)
        return part if factor == 1 else part.reduce(factor)


@contextlib.contextmanager
def _decoded(
    source: str | os.PathLike | BinaryIO, shorter_side: int | None, name: str | None
) -> Iterator[_Picture]:
    """Decodes an image for the length of the block; what goes wrong in there, too, is a DataError."""
    is_path = isinstance(source, (str, os.PathLike))
    if name is None:
        name = os.fspath(source) if is_path else "the image"
    size = None
    try:
        with open_file(source) if is_path else source as stream:
            size = stream.seek(0, os.SEEK_END)
            if size > MOST_FILE_BYTES:
                raise OSError(f"it has {size} bytes, more than the {MOST_FILE_BYTES} it may have")
            with Image.open(stream, formats=_FORMATS) as image, _loaded(image, stream, shorter_side) as picture:
                yield picture
        return
    except Image.UnidentifiedImageError:
        reason = "is no image of a kind that can be read (JPEG, PNG, WebP, GIF, BMP, TIFF), or its head is damaged"
        if size == 0:
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


@contextlib.contextmanager
def _loaded(image: Image.Image, stream: BinaryIO, shorter_side: int | None) -> Iterator[_Picture]:
    """Decodes the pixels of an image opened from a stream, and has them for the length of the block."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise OSError(_TOO_LARGE)
    # Bytes decoded at a time: in small parts, a thread would wait for Python's lock after each.
    image.decodermaxblock = _BYTES_AT_A_TIME
    if shorter_side is not None and image.format in ("JPEG", "MPO"):
        image.draft(image.mode, (shorter_side, shorter_side))
        # Of a progressive JPEG the coefficients are in memory at its full size.
        pixels = image.width * image.height if "progressive" not in image.info else pixels
    with _budget.hold(pixels):
        picture = None
        try:
            picture = _Picture(_pixels(image, stream), _orientation(image))
            yield picture
        finally:
            # Before the next thread has its share.
            image.close()
            if picture is not None:
                picture.forget()
            if pixels > _LARGE:
                system.return_memory()


def _pixels(image: Image.Image, stream: BinaryIO) -> Image.Image | np.ndarray:
    """What `_Picture` takes, decoded."""
    if image.format == "WEBP":
        still = getattr(image, "n_frames", 1) == 1 and image.mode in ("RGB", "RGBA")
        # Of a small one the memory does not matter.
        if still and image.width * image.height > _BAND_PIXELS:
            stream.seek(0)
            pixels = decode_still(stream.read(), image.width, image.height, len(image.mode))
            if pixels is not None:
                return pixels
        _forget_decoder(image)
    image.load()
    return image


def _forget_decoder(image: Image.Image) -> None:
    """Has Pillow free the two copies of a WebP picture that its decoder holds before it makes the fourth."""
    decode = getattr(image, "_get_next", None)

    def decode_once():
        found, image._decoder = decode(), None
        return found

    if decode is not None:
        image._get_next = decode_once


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:
        return None  # An image whose EXIF is damaged is still an image.


def _rgb(image: Image.Image, grey_of_16_bits: bool) -> Image.Image:
    """An image of any mode in RGB."""
    if grey_of_16_bits:
        return _grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    grey = ((values + 128) // 257).astype(np.uint8)  # 65535 becomes 255; Pillow would cut off at 255.
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _square_parts(picture: _Picture, image_size: int, crop: float) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields `central_square` of a picture in bands: which rows, and these, float32 ``[rows, image_size, 3]``."""
    sides = picture.height, picture.width
    # The step from one pixel of the result to the next, in pixels of the image.
    step = min(sides) * crop / image_size
    # As many steps as are nearest to the middle: where one is a pixel, the result is a part of the image as it is.
    top, left = (math.ceil((side / step - image_size - 1) / 2 - _ROUNDING) * step for side in sides)
    rows, columns = (
        slice(*slice(math.floor(start), math.ceil(start + step * image_size)).indices(side)[:2])
        for start, side in zip((top, left), sides)
    )
    top, left = top - rows.start, left - columns.start
    factor = math.floor(step) if step > 2 else 1
    pixels = picture.region(rows.start, columns.start, rows.stop, columns.stop, factor)
    top, left, step = top / factor, left / factor, step / factor
    at_a_time = max(1, _BAND_PIXELS // pixels.shape[1])
    for start in range(0, image_size, at_a_time):
        band = range(start, min(start + at_a_time, image_size))
        part = _bilinear(_bilinear(pixels, top, step, band, axis=0), left, step, range(image_size), axis=1)
        yield slice(band.start, band.stop), part


def _bilinear(pixels: np.ndarray, start: float, step: float, numbers: range, axis: int) -> np.ndarray:
    """Linear interpolation at some places along an axis; beyond the border there is the border's pixel.

    Place i, of those with the `numbers`, is the middle of the step from ``start + i * step``; pixel j is at
    ``j + 0.5``.
    """
    places = start + (np.arange(numbers.start, numbers.stop) + 0.5) * step - 0.5
    below = np.floor(places).astype(np.intp)
    last = pixels.shape[axis] - 1
    weights = (places - below).astype(np.float32).reshape([-1] + [1] * (pixels.ndim - 1 - axis))
    first = np.take(pixels, np.clip(below, 0, last), axis).astype(np.float32)
    second = np.take(pixels, np.clip(below + 1, 0, last), axis).astype(np.float32)
    second -= first
    second *= weights
    return np.add(first, second, out=first)
