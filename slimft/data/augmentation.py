"""What training does to images and labels at random, in the graph: a pure function of a seed.

Sets of augmentations are chosen as ``--augment``; mixup and CutMix go with any of them.
"""

from __future__ import annotations

import math

from slimft.compat import tf
from slimft.data.draws import fold_in, log_uniform, uniform
from slimft.data.preprocessing import GREY, PREPROCESSING, Transforms, resize
from slimft.data.random_operations import RandAugment, augmix, of_the_rows
from slimft.data.rows import Rows, batch_of, of_rows

AUGMENTATIONS = ("none", "flip", "standard", "strong", "randaugment", "augmix")

# How much larger than the network's input image files are read, so that crops have detail to show.
_ZOOM = 1.15
# The usual bounds of a random crop's aspect ratio: Szegedy et al. 2014, arXiv:1409.4842, section 6.
_CROP_RATIO = 4 / 3
_STRONG_MIN_AREA = 0.35
_STRONG_DEGREES = 15
_STRONG_COLOURS = (0.6, 1.4)
# Zhong et al. 2017, arXiv:1708.04896, with less of the image hidden and less often.
_ERASED_SHARE = 0.25
_ERASED_AREA = (0.02, 0.2)
_ERASED_RATIO = 3.3
# What a uniform draw is at least where its logarithm is taken.
_TINY = 2.0**-126


def read_side(image_size: int, augment: str) -> int:
    """Height and width to read image files at for training.

    Args:
        image_size: height and width the network gets.
        augment: one of `AUGMENTATIONS`.
    """
    return image_size if augment in ("none", "flip") else math.ceil(_ZOOM * image_size)


def training_input(
    images,
    labels,
    num_classes,
    image_size,
    preprocessing,
    seed,
    augment,
    flip,
    max_shift,
    min_area=1.0,
    mixup=0.0,
    cutmix=0.0,
    label_smoothing=0.0,
    plain=None,
    rows: Rows | None = None,
    operations: int = 2,
    magnitude: float = 9,
    severity: float = 3,
):
    """Makes a network's input and what it should say of a batch of training images.

    Args:
        images: uint8 ``[batch, height, width, 3]``, RGB.
        labels: int32 ``[batch]``, each below `num_classes`.
        num_classes: number of classes.
        image_size: height and width the network gets.
        preprocessing: a key of `slimft.data.preprocessing.PREPROCESSING`.
        seed: int tensor of shape [2] that decides everything random.
        augment: ``none``: only resizing; ``flip``: half of the images are mirrored; ``standard``: that, and each
            image moves by up to `max_shift`, or a random part of it is seen; ``strong``: that with smaller parts,
            turned, in other colours, and now and then with a rectangle hidden; ``randaugment`` and ``augmix``: that
            of ``standard``, and what `slimft.data.random_operations` does.
        flip: whether mirroring is allowed.
        max_shift: share of height and width that an image moves by at most.
        min_area: the smallest part of an image's area that is seen; 1 for all of it.
        mixup: alpha of mixup (Zhang et al. 2017, arXiv:1710.09412); 0 for none.
        cutmix: alpha of CutMix (Yun et al. 2019, arXiv:1905.04899); 0 for none. With both, each batch draws one.
        label_smoothing: share of the target that all classes get in equal parts, in [0, 1): section 7 of Szegedy et
            al. 2015, arXiv:1512.00567.
        plain: scalar bool tensor: where it is true, `augment` does as ``none`` does; None for never.
        rows: which rows of the batch are made; `images` and `labels` are then of its `read`. None for all.
        operations, magnitude: of ``randaugment``, as of `RandAugment`.
        severity: of ``augmix``, as of `augmix`.

    Returns:
        float32 ``[batch, image_size, image_size, channels]``, preprocessed, and targets, float32
        ``[batch, num_classes]`` that are not negative and add up to 1 for each image. With `rows` ``batch`` is
        their number.

    Raises:
        ValueError: `augment` is none of `AUGMENTATIONS`; `rows` lack the one that the last is mixed with.
    """
    if rows and not rows.mixed and (mixup or cutmix):
        raise ValueError("mixup and cutmix need rows that are mixed")
    if augment not in AUGMENTATIONS:
        raise ValueError(f"augment={augment!r}: choose one of {', '.join(AUGMENTATIONS)}")
    strong = augment == "strong"
    with tf.name_scope("augmentation"):
        seed = tf.convert_to_tensor(seed)
        transforms = drawn = randaugment = None
        if augment != "none":
            max_shift, min_area = (0.0, 1.0) if augment == "flip" else (max_shift, min_area)
            min_area = min(min_area, _STRONG_MIN_AREA) if strong else min_area
            degrees = _STRONG_DEGREES if strong else 0
            drawn = _geometry(batch_of(images, rows), seed, flip, max_shift, min_area, degrees)
            if augment == "randaugment":
                randaugment = RandAugment(batch_of(images, rows), fold_in(seed, 6), operations, magnitude)
                drawn = randaugment.moved(drawn)
            transforms = _unless(plain, of_the_rows(drawn, rows))
        files, images = images, resize(images, image_size, transforms)
        if strong:
            images = _unless(plain, recoloured(images, fold_in(seed, 3), rows), images)
        elif augment == "randaugment":
            images = _unless(plain, randaugment.coloured(images, rows), images)
        elif augment == "augmix":
            mixed = augmix(files, image_size, images, drawn, fold_in(seed, 6), severity, rows)
            images = _unless(plain, mixed, images)
        images = PREPROCESSING[preprocessing](images)
        if strong:
            images = _unless(plain, _partly_erased(images, preprocessing, fold_in(seed, 4), rows), images)
        targets = tf.one_hot(labels, num_classes) * (1 - label_smoothing) + label_smoothing / num_classes
        mixed = _mixed(images, targets, mixup, cutmix, fold_in(seed, 5))
        return mixed if rows is None else tuple(map(rows.made, mixed))


def _still(transforms: Transforms) -> Transforms:
    """Transforms of as many images that change nothing."""
    mirror, shift, axes = transforms
    still = None if axes is None else tf.eye(2, batch_shape=[tf.shape(axes)[0]])
    return Transforms(tf.zeros_like(mirror), tf.zeros_like(shift), still)


def _unless(plain, changed, unchanged=None):
    """What was changed at random or, where `plain` is true, what was not: of `Transforms`, some that do nothing."""
    if plain is None:
        return changed
    if isinstance(changed, Transforms):
        pairs = zip(changed, _still(changed))
        return Transforms(*(one if one is None else tf.where_v2(plain, other, one) for one, other in pairs))
    return tf.where_v2(plain, unchanged, changed)


def _geometry(batch, seed, flip, max_shift, min_area, degrees) -> Transforms:
    """Mirroring, moves, crops and turns."""
    # Drawn from the seed itself, as before there were crops: what old runs saw depends on it.
    draws = uniform([batch, 3], seed)
    mirror = draws[:, 0] if flip else tf.zeros([batch])
    shift = (2 * draws[:, 1:] - 1) * max_shift
    if min_area >= 1 and not degrees:
        return Transforms(mirror, shift)
    share, place = _random_crops(batch, fold_in(seed, 1), min_area)
    axes = tf.linalg.diag(share)
    if degrees:
        bound = math.radians(degrees)
        angle = uniform([batch], fold_in(seed, 2), -bound, bound)
        cos, sin = tf.cos(angle), tf.sin(angle)
        turn = tf.stack([tf.stack([cos, -sin], axis=1), tf.stack([sin, cos], axis=1)], axis=1)
        axes = tf.matmul(turn, axes)
    return Transforms(mirror, shift + place, axes)


def _random_crops(batch, seed, min_area):
    """Random parts of images: their shares of height and width, and their distances from the middle."""
    area, ratio, place = tf.split(uniform([batch, 4], seed), [1, 1, 2], axis=1)
    area = min_area + (1 - min_area) * area
    ratio = log_uniform(ratio, _CROP_RATIO)
    share = tf.minimum(tf.concat([tf.sqrt(area / ratio), tf.sqrt(area * ratio)], axis=1), 1)
    return share, (1 - share) * (place - 0.5)


def recoloured(images, seed, rows: Rows | None = None):
    """Random brightness, contrast and saturation, each by a factor of its own; in 0..255 before and after.

    With `rows`, `images` are those of a batch that are read, and get what they would get in the whole of it.

    What Pillow's ImageEnhance does for each, one after the other, as one matrix: colours are cut off at the end.
    """
    batch = tf.shape(images)[0]
    draws = uniform([batch if rows is None else rows.of, 3], seed, *_STRONG_COLOURS)
    brightness, contrast, saturation = tf.split(of_rows(draws, rows), 3, axis=1)
    grey = tf.constant(GREY)
    mean = tf.reduce_mean(images, axis=[1, 2])
    alone = rows is not None and len(rows.read) == 1 < rows.of
    # A single row would be multiplied by another kernel than several are, which rounds otherwise.
    mean = tf.tensordot(tf.tile(mean, [2, 1]) if alone else mean, grey, 1)[:, tf.newaxis]
    mean = (mean[:1] if alone else mean) * brightness
    # The rows are what red, green and blue give to the new red, green and blue.
    to_grey = tf.tile(grey[:, tf.newaxis], [1, 3])
    matrix = saturation[:, tf.newaxis] * tf.eye(3) + (1 - saturation)[:, tf.newaxis] * to_grey
    matrix *= (brightness * contrast)[:, tf.newaxis]
    offset = ((1 - contrast) * mean)[:, tf.newaxis]
    pixels = tf.matmul(tf.reshape(images, [batch, -1, 3]), matrix) + offset
    return tf.reshape(tf.clip_by_value(pixels, 0, 255), tf.shape(images))


def _partly_erased(images, preprocessing, seed, rows):
    """Hides a rectangle of some of the preprocessed images: behind zeros, which are the mean, or behind noise."""
    batch, side = batch_of(images, rows), images.shape[1].value
    drawn, zeros, area, ratio, place = tf.split(uniform([batch, 6], seed), [1, 1, 1, 1, 2], axis=1)
    low, high = _ERASED_AREA
    area = (low + (high - low) * area) * tf.cast(drawn < _ERASED_SHARE, tf.float32)
    ratio = log_uniform(ratio, _ERASED_RATIO)
    sides = tf.concat([tf.sqrt(area / ratio), tf.sqrt(area * ratio)], axis=1)
    start = (1 - sides) * place
    zeros, sides, start = (of_rows(one, rows) for one in (zeros, sides, start))
    centres = (tf.range(side, dtype=tf.float32) + 0.5) / side
    inside = tf.logical_and(
        centres >= start[:, :, tf.newaxis], centres < (start + sides)[:, :, tf.newaxis]
    )  # [batch, 2, side]
    inside = tf.logical_and(inside[:, 0, :, tf.newaxis], inside[:, 1, tf.newaxis, :])
    # The same noise for all images of a batch: their rectangles are in different places.
    noise = PREPROCESSING[preprocessing](uniform([1, side, side, 3], fold_in(seed, 0), 0.0, 255.0))
    noise = noise * tf.cast(zeros < 0.5, tf.float32)[:, :, tf.newaxis, tf.newaxis]
    return tf.where_v2(inside[..., tf.newaxis], noise, images)


def _mixed(images, targets, mixup, cutmix, seed):
    """Mixes each image and its target with those of the next one; the last's next is the first."""
    if not (mixup or cutmix):
        return images, targets
    side = images.shape[1].value
    weights = tf.fill([side, side], _random_share(mixup, seed)) if mixup else None
    if cutmix:
        weights_of_boxes = _outside_of_box(side, fold_in(seed, 1), cutmix)
        if mixup:
            weights = tf.where_v2(uniform([], fold_in(seed, 2)) < 0.5, weights, weights_of_boxes)
        else:
            weights = weights_of_boxes
    share = tf.reduce_mean(weights)
    weights = tf.tile(weights[:, :, tf.newaxis], [1, 1, images.shape[3].value])
    images = images * weights + tf.roll(images, -1, axis=0) * (1 - weights)
    return images, targets * share + tf.roll(targets, -1, axis=0) * (1 - share)


def _random_share(alpha, seed):
    """A draw from Beta(alpha, alpha), float32."""
    # The share of one gamma in the sum of two, by their logarithms: for a small alpha both are often too small for
    # a float. A gamma of alpha is one of alpha + 1 times U ** (1 / alpha).
    gammas = tf.random.stateless_gamma([2], seed, tf.constant(alpha + 1, tf.float32))
    logs = tf.log(gammas) + tf.log(uniform([2], fold_in(seed, 0), _TINY)) / alpha
    return tf.sigmoid(logs[0] - logs[1])


def _outside_of_box(side, seed, alpha):
    """CutMix's mask, float32 ``[side, side]``: 0 in a random box, 1 around it.

    The box has the share of the area that is left of a draw from Beta(alpha, alpha), but is cut off at the border.
    """
    half = tf.sqrt(1 - _random_share(alpha, seed)) / 2
    middle = uniform([2, 1], fold_in(seed, 1))
    centres = (tf.range(side, dtype=tf.float32) + 0.5) / side
    inside = tf.logical_and(centres >= middle - half, centres < middle + half)
    return 1 - tf.cast(tf.logical_and(inside[0, :, tf.newaxis], inside[1]), tf.float32)
