"""Image files to pixels: decoding with Pillow, and the square of an image that a network classifies.

What a file is follows from its content, not from its suffix. Threads may call these functions at the same time: the
work is done in C, or in NumPy, without Python's lock. Together they decode at most `MOST_PIXELS_AT_A_TIME`. What is
made of a decoded picture is made in bands, so that no second one of its size is in memory.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from slimft import system
from slimft.data.first_bytes import HEAD_BYTES, what_it_is
from slimft.data.grey import (
    grey_of_8_bits,
    has_colours_of_16_bits,
    is_grey_of_16_bits,
    is_negative,
    significant_bits,
)
from slimft.data.image_formats import FORMATS, READABLE
from slimft.data.pixel_budget import PixelBudget
from slimft.data.pixel_memory import pixels_of, shared_pixels
from slimft.data.webp import decode_still
from slimft.errors import DataError
from slimft.files import open_regular

# A file of a few kilobytes may ask for as much; decoding takes 4 bytes for each (of an animated WebP 12).
MAX_PIXELS = 100_000_000
# Of all threads together: sixteen that decode 4 million each. A larger picture is decoded while no other is.
MOST_PIXELS_AT_A_TIME = 64_000_000
# Such pixels without compression are smaller; of WebP, Pillow reads the whole file at once.
MOST_FILE_BYTES = 1 << 30

_TOO_LARGE = f"it has too many pixels (more than {MAX_PIXELS // 10**6} million); make it smaller"
_BYTES_AT_A_TIME = 16 << 20
_BAND_PIXELS = 1 << 20
# And of those that are resized at a time: so few that what is computed of them stays in the processor's cache.
_RESIZED_PIXELS = 1 << 14
# A file up to this size is read at once: Pillow reads small pieces, one after the other.
_SMALL_FILE_BYTES = 1 << 22
# Pixels of a picture whose memory is given back at once.
_LARGE = 16_000_000
# Of the upper bytes of 16-bit colours, which are all that Pillow reads: a picture of 12 bits has no more.
_UPPER_OF_12_BITS = 15
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

_budget = PixelBudget(MOST_PIXELS_AT_A_TIME // system.local_processes())
# As many decode as there are processors; more would take Python's lock from each other, while others read files.
_processors = threading.BoundedSemaphore(system.processors())


def read_image(
    source: str | os.PathLike | BinaryIO,
    shorter_side: int | None = None,
    name: str | None = None,
    grey_bits: int | None = None,
) -> np.ndarray:
    """Reads an image file of one of the `FORMATS`.

    Turned upright as its EXIF orientation says; the first picture of several; what is transparent shows white
    behind it; 16-bit grey is scaled to 8 bits. Colour profiles are not applied.

    Args:
        source: the file's path; or a binary stream that can seek, which is read from its start and closed.
        shorter_side: a large JPEG may be decoded at a half, a quarter or an eighth of its size, which is faster, as
            long as its shorter side stays at least that many pixels; None for its full size.
        name: what to call a stream in messages.
        grey_bits: how many of its 16 bits a grey TIFF or PNG uses that does not tell (see
            `slimft.data.grey.told_bits`); None for what its brightest pixel needs, of 8, 10, 12, 14 and 16.

    Returns:
        uint8 ``[height, width, 3]``, RGB in 0..255.

    Raises:
        DataError: the file is missing, is no image, is truncated or corrupt, has more than `MAX_PIXELS` pixels, or
            is brighter than `grey_bits` tell.
    """
    with _decoded(source, shorter_side, name, grey_bits) as picture:
        return np.array(picture.region(0, 0, picture.height, picture.width)[..., :3], order="C")


def read_square(
    source: str | os.PathLike | BinaryIO,
    image_size: int,
    crop: float = 1.0,
    name: str | None = None,
    grey_bits: int | None = None,
) -> np.ndarray:
    """Reads what a network sees of an image file, in training, evaluation and prediction alike.

    Args:
        source: as of `read_image`.
        image_size: height and width of the result.
        crop: as of `central_square`.
        name, grey_bits: as of `read_image`.

    Returns:
        uint8 ``[image_size, image_size, 3]``, RGB: the `central_square`, rounded.

    Raises:
        DataError: as of `read_image`.
    """
    square = np.empty((image_size, image_size, 3), np.uint8)
    # So that of a large JPEG, its decoder takes the mean of squares of pixels.
    with _decoded(source, math.ceil(image_size / crop), name, grey_bits) as picture:
        for rows, part in _square_parts(picture, image_size, crop):
            rounded = np.rint(part, out=part).astype(np.uint8)
            for channel in range(3):  # In one assignment, NumPy would take three bytes at a time.
                square[rows, :, channel] = rounded[..., channel]
    return square


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
        square[rows] = part[..., :3]
    return square


class _Picture:
    """A decoded image, seen upright and in RGB.

    Args:
        image: of any mode; or uint8 ``[height, width, 3]`` or ``[height, width, 4]``, RGB and perhaps opacity.
        orientation: that of EXIF.
        grey_bits: as of `read_image`.
        exact_size: width and height of what is stored, in pixels of `image`, where it was decoded at a fraction of
            its size and the last pixels are of less than the others.

    Attributes:
        height: rows of the upright image.
        width: its columns.
        sides: height and width without what the last pixels lack.
        origin: row and column where that begins: in the first pixels, where the image is stored upside down.

    Raises:
        OSError: its pixels have more bits than can be brought to eight, or than `grey_bits`.
    """

    def __init__(
        self,
        image: Image.Image | np.ndarray,
        orientation: int | None = None,
        grey_bits: int | None = None,
        exact_size: tuple[float, float] | None = None,
    ):
        self._image, self._upright = image, _UPRIGHT.get(orientation)
        self._white = None
        if isinstance(image, np.ndarray):
            size = image.shape[1::-1]
        else:
            size = image.size
            # A part of an image does not know its format.
            if is_grey_of_16_bits(image):
                self._white = 2 ** significant_bits(image, grey_bits) - 1
        self._stored_width, self._stored_height = size
        _, swapped, *reversed_axes = self._upright or (None, False, False, False)
        turned = slice(None, None, -1 if swapped else 1)
        self.width, self.height = size[turned]
        self.sides = (exact_size or size)[turned][::-1]
        lacking = self.height - self.sides[0], self.width - self.sides[1]
        self.origin = tuple(lack * turn for lack, turn in zip(lacking, reversed_axes[turned]))

    def forget(self) -> None:
        """Frees the pixels."""
        if not isinstance(self._image, np.ndarray):
            self._image.close()
        self._image = None

    def region(self, top: int, left: int, bottom: int, right: int, factor: int = 1) -> np.ndarray:
        """A part of the image, of which the mean of each `factor` x `factor` pixels is taken.

        Returns:
            uint8 ``[rows, columns, 3]``, or ``[rows, columns, 4]`` as `shared_pixels` has it; those at the lower
            and the right border may be means of fewer pixels.
        """
        if factor == 1 and self._upright is None and _is_rgb(self._image):
            whole = shared_pixels(self._image)
            if whole is not None:
                return whole[top:bottom, left:right]
        shape = -(-(bottom - top) // factor), -(-(right - left) // factor), 3
        # Rows of the result at a time.
        rows = max(1, _BAND_PIXELS // (factor * factor * shape[1]))
        if rows >= shape[0]:
            return pixels_of(self._part(top, left, bottom, right, factor))
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
        part = _rgb(part, self._white)
        part = part if turn is None else part.transpose(turn)
        return part if factor == 1 else part.reduce(factor)


@contextlib.contextmanager
def _decoded(
    source: str | os.PathLike | BinaryIO, shorter_side: int | None, name: str | None, grey_bits: int | None
) -> Iterator[_Picture]:
    """Decodes an image for the length of the block; what goes wrong in there, too, is a DataError."""
    with opened(source, name) as (image, stream):
        with loaded(image, stream, shorter_side, grey_bits) as picture:
            yield picture


@contextlib.contextmanager
def opened(source: str | os.PathLike | BinaryIO, name: str | None = None) -> Iterator[tuple[Image.Image, BinaryIO]]:
    """Opens an image, reading no more than its head, and looks whether it is one that can be read.

    Args:
        source, name: as of `read_image`.

    Yields:
        The image and the stream of its file.

    Raises:
        DataError: as of `read_image`; also instead of an error that the block raises.
    """
    is_path = isinstance(source, (str, os.PathLike))
    if name is None:
        name = os.fspath(source) if is_path else "the image"
    size, head = None, b""
    try:
        with open_regular(source) if is_path else source as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            if size <= _SMALL_FILE_BYTES:
                stream = io.BytesIO(stream.read())
            head = stream.read(HEAD_BYTES)
            if size > MOST_FILE_BYTES:
                raise OSError(f"it has {size} bytes, more than the {MOST_FILE_BYTES} it may have")
            with Image.open(stream, formats=FORMATS) as image:
                _check(image)
                yield image, stream
        return
    except Image.UnidentifiedImageError:
        told = what_it_is(head)
        reason = f"is no image of a kind that can be read ({READABLE}), or its head is damaged"
        if told is not None:
            reason = f"is no image, but {told}"
        elif head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
            reason = "is a TIFF that Pillow cannot read, or damaged; save it with 8 bits in 1, 3 or 4 channels"
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


def _check(image: Image.Image) -> None:
    """Raises OSError for what the head of an image tells that cannot be read."""
    if image.width * image.height > MAX_PIXELS:
        raise OSError(_TOO_LARGE)
    if image.mode in ("I", "F") and not is_grey_of_16_bits(image):
        what = f"its pixels have 32 bits or a sign (Pillow's mode {image.mode})"
        raise OSError(f"{what}; save it with 8 or 16 bits")
    if is_negative(image):
        raise OSError("its 16-bit pixels are a negative (0 is white); invert it, or save it with 8 bits")


@contextlib.contextmanager
def loaded(
    image: Image.Image, stream: BinaryIO, shorter_side: int | None = None, grey_bits: int | None = None
) -> Iterator[_Picture]:
    """Decodes the pixels of an image that is `opened`, and has them for the length of the block."""
    pixels = image.width * image.height
    # Bytes decoded at a time: in small parts, a thread would wait for Python's lock after each.
    image.decodermaxblock = _BYTES_AT_A_TIME
    exact_size = None
    if shorter_side is not None and image.format in ("JPEG", "MPO"):
        drafted = image.draft(image.mode, (shorter_side, shorter_side))
        exact_size = drafted and drafted[1][2:]
        # Of a progressive JPEG the coefficients are in memory at its full size.
        pixels = image.width * image.height if "progressive" not in image.info else pixels
    with _processors, _budget.hold(pixels):
        picture = None
        try:
            colours_of_16_bits = has_colours_of_16_bits(image)
            picture = _Picture(_pixels(image, stream), _orientation(image), grey_bits, exact_size)
            if colours_of_16_bits and max(high for _, high in image.getextrema()) <= _UPPER_OF_12_BITS:
                raise OSError(
                    "its colours have 16 bits, but none is above 4095 of 65535, so it may be of 12 bits and would "
                    "be black; scale it and save it with 8 bits"
                )
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


def upright_sides(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image that is `opened`, turned upright as its EXIF orientation says."""
    _, swapped, *_ = _UPRIGHT.get(_orientation(image)) or (None, False)
    return image.size if swapped else image.size[::-1]


def is_turned(image: Image.Image) -> bool:
    """Whether the EXIF orientation of an image that is `opened` says to turn or to mirror it."""
    return _orientation(image) in _UPRIGHT


@contextlib.contextmanager
def decoding(image: Image.Image) -> Iterator[None]:
    """A block in which an image that is `opened` is decoded, within what all threads may decode at a time."""
    image.decodermaxblock = _BYTES_AT_A_TIME
    with _processors, _budget.hold(image.width * image.height):
        yield


def _is_rgb(image: Image.Image | np.ndarray) -> bool:
    """Whether it is one of Pillow's that is in RGB as it is."""
    return isinstance(image, Image.Image) and image.mode == "RGB" and not image.has_transparency_data


def _rgb(image: Image.Image, white: int | None) -> Image.Image:
    """An image of any mode in RGB; `white` is the value that is white, of 16-bit grey."""
    if white is not None:
        return grey_of_8_bits(image, white)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        return ground
    return image if image.mode == "RGB" else image.convert("RGB")


def _square_parts(picture: _Picture, image_size: int, crop: float) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields `central_square` of a picture in bands: which rows, and these, float32 ``[rows, image_size, 3]``.

    They may have a fourth channel, which means nothing.
    """
    sides = picture.sides
    # The step from one pixel of the result to the next, in pixels of the image.
    step = min(sides) * crop / image_size
    # As many steps as are nearest to the middle: where one is a pixel, the result is a part of the image as it is.
    top, left = (
        origin + math.ceil((side / step - image_size - 1) / 2 - _ROUNDING) * step
        for side, origin in zip(sides, picture.origin)
    )
    rows, columns = (
        slice(*slice(math.floor(start), math.ceil(start + step * image_size)).indices(side)[:2])
        for start, side in zip((top, left), (picture.height, picture.width))
    )
    top, left = top - rows.start, left - columns.start
    factor = math.floor(step) if step > 2 else 1
    pixels = picture.region(rows.start, columns.start, rows.stop, columns.stop, factor)
    top, left, step = top / factor, left / factor, step / factor
    down = _Between(top, step, image_size, pixels.shape[0])
    across = _Between(left, step, image_size, pixels.shape[1])
    weights = np.repeat(across.weights, pixels.shape[2])
    at_a_time = max(1, math.floor(_RESIZED_PIXELS / max(step, 1) / max(image_size, 1)))
    for start in range(0, image_size, at_a_time):
        band = slice(start, min(start + at_a_time, image_size))
        above, below = down.first[band], down.second[band]
        lines = pixels[above[0] : below[-1] + 1]
        lines = _mix(_columns(lines, across.first), _columns(lines, across.second), weights)
        mixed = _mix(lines[above - above[0]], lines[below - above[0]], down.weights[band, np.newaxis])
        yield band, mixed.reshape(-1, image_size, pixels.shape[2])


class _Between:
    """Linear interpolation at some places along an axis; beyond the border there is the border's pixel.

    Place i is the middle of the step from ``start + i * step``; pixel j is at ``j + 0.5``.

    Attributes:
        first, second: the pixels that each place is between, int64 ``[count]``.
        weights: the share of the second, float32 ``[count]``.
    """

    def __init__(self, start: float, step: float, count: int, side: int):
        places = start + (np.arange(count) + 0.5) * step - 0.5
        below = np.floor(places).astype(np.intp)
        self.first, self.second = below.clip(0, side - 1), (below + 1).clip(0, side - 1)
        self.weights = (places - below).astype(np.float32)


def _columns(lines: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some columns of uint8 ``[rows, width, channels]``, as float32 ``[rows, columns * channels]``."""
    whole = lines.view(np.uint32)[..., 0] if lines.shape[2] == 4 else lines  # Four bytes at a time.
    return np.take(whole, columns, axis=1, mode="clip").view(np.uint8).reshape(len(lines), -1).astype(np.float32)


def _mix(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Where `second` has these shares and `first` the rest; in the memory of `first`."""
    second -= first
    second *= weights
    first += second
    return first
