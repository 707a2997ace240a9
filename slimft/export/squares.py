"""The square that a network sees of an image, made in the graph: what `slimft.data.images.read_square` makes.

The steps are those of `slimft.data.images`, whose docstrings say what they are for, and give the same values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from slimft.compat import tf

# As in `slimft.data.images`: of floats that should be whole numbers.
_ROUNDING = 1e-6


class Extent(NamedTuple):
    """How far an image reaches, where its last pixels are of less than the others (see `slimft.data.images`).

    Attributes:
        sides: float64 ``[2]``, height and width in pixels.
        origin: float64 ``[2]``, row and column where that begins.
    """

    sides: Any
    origin: Any


def whole_bytes(images: Any) -> Any:
    """Images as their files have them, of numbers that may be floats.

    Args:
        images: ``[batch, height, width, 3]``, RGB in 0..255.

    Returns:
        uint8 of the same shape, rounded; running it fails for floats that are in 0..1 or below 0, for which someone
        has forgotten to multiply them, or preprocessed them already.
    """
    if images.dtype == tf.uint8:
        return images
    least, most = tf.reduce_min(images), tf.reduce_max(images)
    are_bytes = tf.logical_or(tf.equal(tf.size(images), 0), tf.logical_and(least >= 0, most <= 255))
    is_scaled = tf.logical_and(
        most <= 1, tf.logical_and(most > 0, tf.reduce_any(tf.not_equal(images, tf.rint(images))))
    )
    checks = [
        tf.debugging.Assert(are_bytes, ["images have values outside of 0..255:", least, most]),
        tf.debugging.Assert(tf.logical_not(is_scaled), ["images are in 0..1; they have to be in 0..255"]),
    ]
    with tf.control_dependencies(checks):
        return tf.cast(tf.rint(images), tf.uint8)


def central_squares(images: Any, size: int, extent: Extent | None = None) -> Any:
    """The middle of images of one size, as a network sees it.

    Args:
        images: uint8 ``[batch, height, width, 3]``, RGB.
        size: height and width of the result.
        extent: None for images whose pixels are all of the same size.

    Returns:
        uint8 ``[batch, size, size, 3]``.
    """
    with tf.name_scope("squares"):
        shape = tf.shape(images)[1:3]
        if extent is None:
            extent = Extent(tf.cast(shape, tf.float64), tf.zeros([2], tf.float64))
        # Not by `/`: of a constant, TensorFlow's optimizer multiplies by the reciprocal, which rounds otherwise.
        step = tf.math.divide_no_nan(tf.reduce_min(extent.sides), tf.constant(size, tf.float64))
        start = extent.origin + tf.ceil((extent.sides / step - size - 1) / 2 - _ROUNDING) * step
        first = tf.cast(tf.floor(start), tf.int32)
        last = tf.minimum(tf.cast(tf.ceil(start + step * size), tf.int32), shape)
        factor = tf.where(step > 2, tf.floor(step), tf.ones_like(step))
        part = images[:, first[0] : last[0], first[1] : last[1]]
        seen = tf.cond(
            factor > 1, lambda: _reduced(part, tf.cast(factor, tf.int32)), lambda: tf.cast(part, tf.float32)
        )
        start, step = (start - tf.cast(first, tf.float64)) / factor, step / factor
        down, across = (_between(start[axis], step, size, tf.shape(seen)[1 + axis]) for axis in (0, 1))
        weights = across.weights[:, tf.newaxis]
        above, below = (
            _mix(tf.gather(rows, across.first, axis=2), tf.gather(rows, across.second, axis=2), weights)
            for rows in (tf.gather(seen, down.first, axis=1), tf.gather(seen, down.second, axis=1))
        )
        mixed = _mix(above, below, down.weights[:, tf.newaxis, tf.newaxis])
        squares = tf.cast(tf.rint(mixed), tf.uint8)
        squares.set_shape([images.shape[0], size, size, 3])
        return squares


def _reduced(images: Any, factor: Any) -> Any:
    """The means of each `factor` x `factor` pixels, rounded as Pillow's ``Image.reduce`` does it, as float32.

    Pillow multiplies the sum by 2**24 over their number and takes the upper bits (libImaging/Reduce.c).
    """
    shape = tf.shape(images)[1:3]
    count = -(-shape // factor)
    missing = count * factor - shape
    padded = tf.pad(images, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
    # In two steps: rows first, of bytes that are summed as they are read.
    rows = tf.reshape(padded, tf.stack([-1, count[0], factor, count[1] * factor, 3]))
    rows = tf.reduce_sum(tf.cast(rows, tf.int32), axis=2)
    sums = tf.reduce_sum(tf.reshape(rows, tf.stack([-1, count[0], count[1], factor, 3])), axis=3)
    of_row, of_column = (tf.minimum(factor, shape[axis] - factor * tf.range(count[axis])) for axis in (0, 1))
    number = tf.cast(of_row[:, tf.newaxis] * of_column, tf.int64)[..., tf.newaxis]
    multiplier = tf.cast(tf.constant(2.0**32, tf.float32) / tf.cast(256 * number, tf.float32), tf.int64)
    return tf.cast((tf.cast(sums, tf.int64) + number // 2) * multiplier // 2**24, tf.float32)


class _Between(NamedTuple):
    first: Any
    second: Any
    weights: Any


def _between(start: Any, step: Any, count: int, side: Any) -> _Between:
    """The pixels that each of `count` places is between, and the share of the second."""
    places = start + (tf.range(count, dtype=tf.float64) + 0.5) * step - 0.5
    below = tf.floor(places)
    first = tf.cast(below, tf.int32)
    last = side - 1
    weights = tf.cast(places - below, tf.float32)
    return _Between(tf.clip_by_value(first, 0, last), tf.clip_by_value(first + 1, 0, last), weights)


def _mix(first: Any, second: Any, weights: Any) -> Any:
    return first + (second - first) * weights


def seen(images: Any, longest_side: int | None) -> Any:
    """Images of one size as a network for segmentation sees them: scaled down where their longer side is longer.

    Each pixel is a mean of all that it is made of, as in `slimft.data.pair_files.scaled`, but for rounding.

    Args:
        images: uint8 ``[batch, height, width, 3]``.
        longest_side: in pixels; None for no bound.

    Returns:
        uint8 of the same rank.
    """
    if longest_side is None:
        return images
    sides = tf.cast(tf.shape(images)[1:3], tf.float64)
    longer = tf.reduce_max(sides)
    size = tf.cast(tf.maximum(tf.rint(sides * longest_side / longer), 1), tf.int32)

    def scaled() -> Any:
        scale = tf.cast(tf.cast(size, tf.float64) / sides, tf.float32)
        resized = tf.raw_ops.ScaleAndTranslate(
            images=images, size=size, scale=scale, translation=tf.zeros([2]), kernel_type="triangle", antialias=True
        )
        return tf.cast(tf.clip_by_value(tf.rint(resized), 0, 255), tf.uint8)

    return tf.cond(longer > longest_side, scaled, lambda: images)
