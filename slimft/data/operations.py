"""What Pillow makes of the colours of images, as graph ops.

Each takes images, float32 ``[batch, height, width, 3]``, RGB in whole numbers from 0 to 255, and how much, float32
``[batch, 1, 1, 1]``; and returns images of the same kind. What it makes of one does not depend on the others.
"""

from __future__ import annotations

from slimft.compat import tf

# 65536 times what red, green and blue give to Pillow's grey. All sums are exact in float32.
_GREY = (19595.0, 38470.0, 7471.0)
# Pillow's ImageFilter.SMOOTH: its middle weighs so much, each of the eight around it 1.
_MIDDLE = 5.0
_VALUES = 256


def autocontrast(images, amount=None):
    """Stretches each channel from its least and most to 0 and 255, as `ImageOps.autocontrast`."""
    del amount
    least, most = (reduce(images, axis=[1, 2], keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
    stretched = tf.floor((images - least) * 255 / tf.maximum(most - least, 1))
    return tf.where_v2(most > least, stretched, images)


def equalize(images, amount=None):
    """Makes all values of each channel about as frequent, as `ImageOps.equalize`."""
    del amount
    shape = tf.shape(images)
    channels = tf.range(3 * shape[0]) * _VALUES  # Where the values of each channel of each image begin.
    places = tf.cast(images, tf.int32) + tf.reshape(channels, [-1, 1, 1, 3])
    with tf.device("/cpu:0"):  # That of a GPU refuses to count where ops have to be deterministic.
        counts = tf.math.bincount(tf.reshape(places, [-1]), minlength=_VALUES * 3 * shape[0])
    counts = tf.reshape(counts, [-1, _VALUES])
    before = tf.cumsum(counts, axis=1, exclusive=True)
    # As many pixels as there are below the highest value that occurs, in 255 steps.
    step = tf.reduce_max(tf.where_v2(counts > 0, before, 0), axis=1, keepdims=True) // 255
    levels = tf.minimum((step // 2 + before) // tf.maximum(step, 1), 255)
    levels = tf.where_v2(step > 0, levels, tf.range(_VALUES))
    return tf.gather(tf.cast(tf.reshape(levels, [-1]), tf.float32), places)


def solarize(images, threshold):
    """Inverts the values from `threshold` on, as `ImageOps.solarize`."""
    return tf.where_v2(images < threshold, images, 255 - images)


def posterize(images, bits):
    """Keeps so many of each value's eight bits, as `ImageOps.posterize`."""
    step = tf.cast(tf.bitwise.left_shift(1, 8 - tf.cast(bits, tf.int32)), tf.float32)
    return tf.floor(images / step) * step


def brightness(images, factor):
    """As `ImageEnhance.Brightness`: 0 is black, 1 changes nothing."""
    return _blend(tf.zeros_like(images), images, factor)


def contrast(images, factor):
    """As `ImageEnhance.Contrast`: 0 is all in the mean grey, 1 changes nothing."""
    mean = tf.floor(tf.reduce_mean(_grey(images), axis=[1, 2], keepdims=True) + 0.5)
    return _blend(mean, images, factor)


def colour(images, factor):
    """As `ImageEnhance.Color`: 0 is grey, 1 changes nothing."""
    return _blend(_grey(images), images, factor)


def sharpness(images, factor):
    """As `ImageEnhance.Sharpness`: 0 is smoothed, 1 changes nothing. The border stays as it is."""
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = images[:, 1:-1, 1:-1]
    smooth = tf.floor((around + (_MIDDLE - 1) * inner) / (_MIDDLE + 8) + 0.5)
    changed = _blend(smooth, inner, factor)
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    changed = tf.concat([images[:, 1:-1, :1], changed, images[:, 1:-1, tf.maximum(width - 1, 1) :]], axis=2)
    return tf.concat([images[:, :1], changed, images[:, tf.maximum(height - 1, 1) :]], axis=1)


def _grey(images):
    """``[batch, height, width, 1]``, as Pillow's mode L."""
    red, green, blue = tf.split(images, 3, axis=3)
    return tf.floor((red * _GREY[0] + green * _GREY[1] + blue * _GREY[2] + 32768) / 65536)


def _blend(none, images, factor):
    """As Pillow's `Image.blend`, which cuts decimals off: 0 is `none`, 1 is `images`."""
    return tf.floor(tf.clip_by_value(none + factor * (images - none), 0, 255))
