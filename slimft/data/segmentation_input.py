"""What training does to images and masks at random, in the graph: a pure function of a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slimft.compat import tf
from slimft.data.augmentation import recoloured
from slimft.data.draws import fold_in, log_uniform, uniform
from slimft.data.masks import VOID
from slimft.data.preprocessing import PREPROCESSING, project
from slimft.data.rows import Rows, batch_of, of_rows

# By how much images are enlarged or reduced at most: the bounds of Chen et al. (arXiv:1606.00915, section 4.1) are
# 0.5 and 1.5, those of their later papers 0.5 and 2.
_ZOOM = 2.0
_STRONG_DEGREES = 10


def crop_of(image_size: int, image_shape: Sequence[int], least: int) -> tuple[int, int]:
    """Height and width of what a network is trained on.

    Args:
        image_size: the most of each.
        image_shape: height, width and channels of the largest training images, which is the most too.
        least: the least height and width that the network can take.
    """
    height, width, _ = image_shape
    return max(min(image_size, height), least), max(min(image_size, width), least)


def segmentation_input(images, masks, sizes, crop, preprocessing, seed, augment, flip, rows: Rows | None = None):
    """Makes a network's input and its targets of a batch of training images and masks.

    Images and masks are moved alike; between pixels, images are interpolated linearly, and masks take the nearest
    pixel. What comes from outside of an image is its mean colour, and void.

    Args:
        images: uint8 ``[batch, height, width, 3]``, RGB.
        masks: uint8 ``[batch, height, width]``.
        sizes: int32 ``[batch, 2]``, the rows and columns that each image fills, from the first on.
        crop: height and width that the network gets.
        preprocessing: a key of `slimft.data.preprocessing.PREPROCESSING`.
        seed: int tensor of shape [2] that decides everything random.
        augment: ``none``: the middle of each image; ``flip``: a part of it at random, and half of the images are
            mirrored; ``standard``: that, enlarged or reduced by up to 2; ``strong``: that, turned by up to 10
            degrees and in other colours.
        flip: whether mirroring is allowed.
        rows: which rows of the batch are made; `images`, `masks` and `sizes` are then of its `read`. None for all.

    Returns:
        float32 ``[batch, *crop, 3]``, preprocessed; and uint8 ``[batch, *crop]``.
    """
    with tf.name_scope("augmentation"):
        seed = tf.convert_to_tensor(seed)
        strong, zooms = augment == "strong", augment in ("standard", "strong")
        degrees = _STRONG_DEGREES if strong else 0
        places = _places(sizes, crop, seed, augment != "none", flip, zooms, degrees, rows)
        pixels = tf.cast(images, tf.float32)
        if strong:  # Before the mean, which is what lies outside, is taken off.
            pixels = recoloured(pixels, fold_in(seed, 2), rows)
        pixels = project(PREPROCESSING[preprocessing](pixels), places, crop, fill=0.0)
        masks = project(masks[..., tf.newaxis], places, crop, "NEAREST", float(VOID))
        masks = tf.squeeze(masks, 3)
        return (pixels, masks) if rows is None else (rows.made(pixels), rows.made(masks))


def _places(sizes, crop, seed, moves, flip, zooms, degrees, rows: Rows | None):
    """Where in an image each pixel of the result lies: `rows` of `slimft.data.preprocessing.project`."""
    batch, sizes = batch_of(sizes, rows), tf.cast(sizes, tf.float32)
    draws = uniform([batch, 4], seed)
    mirrored = draws[:, 0] > 0.5 if flip and moves else tf.fill([batch], False)
    step = 1 / log_uniform(draws[:, 1], _ZOOM) if zooms else tf.ones([batch])
    draws, mirrored, step = (of_rows(one, rows) for one in (draws, mirrored, step))
    seen = tf.constant(crop, tf.float32) * step[:, tf.newaxis]
    # The part that is seen lies within the image; where that is smaller, the image lies within the part.
    room = sizes - seen
    if zooms:
        start = draws[:, 2:] * room
    elif moves:  # Pixel by pixel, nothing is interpolated; each place is as likely.
        start = tf.sign(room) * tf.floor(draws[:, 2:] * (tf.abs(room) + 1))
    else:
        start = tf.floor(0.5 * room)
    cos = sin = None
    middle = start + seen / 2
    if degrees:
        bound = math.radians(degrees)
        angle = uniform([batch], fold_in(seed, 1), -bound, bound)
        cos, sin = step * of_rows(tf.cos(angle), rows), step * of_rows(tf.sin(angle), rows)
    else:
        cos, sin = step, of_rows(tf.zeros([batch]), rows)
    # Pixel (y, x) of the result is (y, x) + 0.5 - crop / 2 from its middle.
    down, right = 0.5 - crop[0] / 2, 0.5 - crop[1] / 2
    column = [cos, -sin, middle[:, 1] - 0.5 + cos * right - sin * down]
    row = [sin, cos, middle[:, 0] - 0.5 + sin * right + cos * down]
    column = [tf.where(mirrored, -one, one) for one in column]
    column[2] = tf.where(mirrored, sizes[:, 1] - 1 + column[2], column[2])
    return [*column, *row]
