"""Encoded images to a network's squares, in the graph, as `slimft.data.images.read_square` does it with files."""

from __future__ import annotations

from typing import Any, NamedTuple

from slimft.compat import tf
from slimft.data.images import MAX_PIXELS
from slimft.export.squares import Extent, central_squares

# Where EXIF is looked for: JPEG has it in its first segments, of at most 64 KB; PNG before its pixels or behind.
_HEAD_BYTES = 1 << 17
_PNG = b"\x89PNG\r\n\x1a\n"
# What stands before EXIF in a JPEG, and in a PNG.
_EXIF, _EXIF_CHUNK = b"Exif\0\0", b"eXIf"
_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4
# No side of a JPEG is longer.
_MOST_SIDE = 1 << 16
# At which fractions of its size a JPEG can be decoded.
_FRACTIONS = (1, 2, 4, 8)
# Of an EXIF orientation from 1 to 8 (EXIF 2.3, table 6), turned upright: whether rows become columns first, and
# whether the rows, and the columns, of the result are in the opposite order.
_SWAPPED = (False, False, False, False, True, True, True, True)
_ROWS_REVERSED = (False, False, True, True, False, False, True, True)
_COLUMNS_REVERSED = (False, True, True, False, False, True, True, False)


class Picture(NamedTuple):
    """A decoded image, upright.

    Attributes:
        pixels: uint8 ``[height, width, 3]``, RGB.
        extent: how far it reaches.
    """

    pixels: Any
    extent: Extent


def decoded_squares(encoded: Any, size: int) -> Any:
    """The squares of encoded images, each of any size.

    They are turned upright as their EXIF orientation says, and a large JPEG is decoded at a fraction of its size.
    What is transparent of a PNG shows white behind it.

    Args:
        encoded: string ``[batch]``: JPEG and PNG files. Running it fails for others, for 16-bit grey, and for more
            than `slimft.data.images.MAX_PIXELS` pixels.
        size: height and width of the result.

    Returns:
        uint8 ``[batch, size, size, 3]``.
    """

    @tf.autograph.experimental.do_not_convert
    def one(contents: Any) -> Any:
        picture = decoded(contents, size)
        return central_squares(picture.pixels[tf.newaxis], size, picture.extent)[0]

    with tf.name_scope("decoding"):
        squares = tf.map_fn(one, encoded, fn_output_signature=tf.uint8)
        squares.set_shape([None, size, size, 3])
        return squares


def decoded(contents: Any, shorter_side: int | None = None) -> Picture:
    """An encoded image, as of `slimft.data.images.read_image`.

    Args:
        contents: string ``[]``: a JPEG or a PNG file.
        shorter_side: how many pixels a JPEG that is decoded at a fraction of its size keeps at least; None for its
            full size.
    """
    return Picture(*_unpacked(tf.cond(
        tf.io.is_jpeg(contents),
        lambda: _jpeg(contents, shorter_side),
        lambda: _png(contents),
    )))  # fmt: skip


def _unpacked(parts: Any) -> tuple[Any, Extent]:
    pixels, sides, origin = parts
    pixels.set_shape([None, None, 3])
    return pixels, Extent(sides, origin)


def _jpeg(contents: Any, shorter_side: int | None) -> tuple[Any, Any, Any]:
    sides = tf.io.extract_jpeg_shape(contents)[:2]
    with tf.control_dependencies([_few_enough(sides)]):
        fits = tf.reduce_min(sides // (shorter_side or _MOST_SIDE))
    chosen = tf.reduce_sum(tf.cast(fits >= tf.constant(_FRACTIONS[1:]), tf.int32))

    def at(fraction: int):
        return lambda: tf.image.decode_jpeg(contents, channels=3, ratio=fraction, dct_method="INTEGER_ACCURATE")

    pixels = tf.switch_case(chosen, [at(fraction) for fraction in _FRACTIONS])
    fraction = tf.cast(tf.gather(tf.constant(_FRACTIONS), chosen), tf.float64)
    return _upright(pixels, tf.cast(sides, tf.float64) / fraction, orientation_of(contents))


def _few_enough(sides: Any) -> Any:
    """Fails where an image of these sides has too many pixels to be decoded."""
    pixels = tf.reduce_prod(tf.cast(sides, tf.int64))
    return tf.debugging.Assert(pixels <= MAX_PIXELS, [f"an image has more than {MAX_PIXELS} pixels:", sides])


def _upright(pixels: Any, sides: Any, orientation: Any) -> tuple[Any, Any, Any]:
    """An image that is stored turned, with its sides and where they begin."""
    swapped, rows_reversed, columns_reversed = (
        tf.gather(tf.constant(table), orientation - 1) for table in (_SWAPPED, _ROWS_REVERSED, _COLUMNS_REVERSED)
    )
    turned = tf.cond(swapped, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    in_rows = tf.cond(rows_reversed, lambda: turned[::-1], lambda: turned)
    upright = tf.cond(columns_reversed, lambda: in_rows[:, ::-1], lambda: in_rows)
    sides = tf.where(swapped, sides[::-1], sides)
    lacking = tf.cast(tf.shape(upright)[:2], tf.float64) - sides
    return upright, sides, lacking * tf.cast(tf.stack([rows_reversed, columns_reversed]), tf.float64)


def _png(contents: Any) -> tuple[Any, Any, Any]:
    """A PNG's pixels, before white where they are transparent; rounded as Pillow does it (libImaging/Paste.c)."""
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 0, 32), tf.uint8), tf.int64)
    head = tf.pad(head, [[0, 32]])
    sides = tf.reduce_sum(tf.reshape(head[16:24], [2, 4]) * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)[::-1]
    is_grey_of_16_bits = tf.logical_and(tf.equal(head[24], 16), tf.equal(head[25] % 4, 0))
    is_png = tf.equal(tf.strings.substr(contents, 0, len(_PNG)), _PNG)
    checks = [
        tf.debugging.Assert(is_png, ["an image is neither JPEG nor PNG"]),
        _few_enough(sides),
        tf.debugging.Assert(tf.logical_not(is_grey_of_16_bits), ["a PNG has 16-bit grey; save it with 8 bits"]),
    ]
    with tf.control_dependencies(checks):
        pixels = tf.io.decode_png(contents, channels=4)
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    pixels = tf.cond(  # Most are opaque, and what is computed of others takes many times their memory.
        tf.reduce_min(opacity) < 255, lambda: _over_white(colours, opacity, head[24]), lambda: colours
    )
    ends = tf.strings.substr(contents, 0, _HEAD_BYTES) + tf.strings.substr(
        contents, tf.maximum(tf.strings.length(contents) - _HEAD_BYTES, 0), _HEAD_BYTES
    )
    orientation = orientation_of(ends, _EXIF_CHUNK)
    return _upright(pixels, tf.cast(tf.shape(pixels)[:2], tf.float64), orientation)


def _over_white(colours: Any, opacity: Any, bits: Any) -> Any:
    """Pixels before white, of a PNG of so many bits."""
    colours, opacity = tf.cast(colours, tf.int32), tf.cast(opacity, tf.int32)
    # Of grey and of palettes of fewer bits than eight, TensorFlow makes what is opaque of as many.
    most = tf.bitwise.left_shift(1, tf.cast(tf.minimum(bits, 8), tf.int32)) - 1
    opacity *= tf.where(tf.reduce_max(opacity) <= most, 255 // tf.maximum(most, 1), 1)
    over_white = 255 * (255 - opacity) + colours * opacity + 128
    return tf.cast((over_white // 256 + over_white) // 256, tf.uint8)


def orientation_of(contents: Any, marker: bytes = _EXIF) -> Any:
    """The EXIF orientation of a JPEG, int32 from 1 to 8; 1 where none is told.

    Args:
        contents: string ``[]``, of which the first bytes are looked at.
        marker: what stands before EXIF.
    """
    octets = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 0, 2 * _HEAD_BYTES), tf.uint8), tf.int32)
    octets = tf.pad(octets, [[0, 64]])
    number = tf.shape(octets)[0]

    def at(places: Any) -> Any:
        return tf.gather(octets, tf.clip_by_value(places, 0, number - 1))

    starts = tf.range(tf.maximum(number - 64, 0))
    matches = tf.ones_like(starts, tf.bool)
    for index, octet in enumerate(marker):
        matches &= tf.equal(at(starts + index), octet)
    found = tf.where(matches)[:1, 0]
    tiff = tf.cast(tf.reduce_sum(found), tf.int32) + len(marker)
    little = tf.equal(at(tiff), ord("I"))

    def whole(place: Any, size: int) -> Any:
        parts = at(place[..., tf.newaxis] + tf.range(size))
        places = tf.range(size)
        weights = tf.bitwise.left_shift(1, 8 * tf.where(little, places, size - 1 - places))
        return tf.reduce_sum(parts * weights, axis=-1)

    directory = tiff + tf.clip_by_value(whole(tiff + 4, 4), 0, number)
    entries = directory + 2 + 12 * tf.range(tf.minimum(whole(directory, 2), 512))
    is_orientation = tf.equal(whole(entries, 2), _ORIENTATION)
    types, places = whole(entries + 2, 2), entries + 8
    values = tf.where(tf.equal(types, _LONG), whole(places, 4), whole(places, 2))
    values *= tf.cast(tf.logical_or(tf.equal(types, _SHORT), tf.equal(types, _LONG)), tf.int32)
    values = tf.boolean_mask(values, is_orientation)[:1]
    told = tf.reduce_sum(values) * tf.shape(found)[0]
    return tf.where(tf.logical_and(told >= 1, told <= 8), told, 1)
