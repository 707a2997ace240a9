"""From the bytes of an image to what a network was trained on; runs in the graph, on its device."""

from __future__ import annotations

from typing import Any, NamedTuple

from slimft.compat import tf

# Red, green and blue means of ImageNet's training images: research/slim's vgg_preprocessing.py, from the
# VGG team's caffe models.
RGB_MEANS = (123.68, 116.78, 103.94)
# About one by the standard deviation of ImageNet's pixels.
DENSENET_SCALE = 0.017
# Grey of red, green and blue: ITU-R BT.601, as Pillow's mode L has it. They add up to 1: grey stays as it is.
GREY = (0.299, 0.587, 0.114)


def mean_subtraction(images):
    """RGB in 0..255 minus the ImageNet means, as VGG and ResNet V1 take it."""
    return images - tf.constant(RGB_MEANS, images.dtype)


def inception(images):
    """RGB in [-1, 1], as Inception, MobileNet and ResNet V2 take it: research/slim's inception_preprocessing.py."""
    return images * (2 / 255) - 1


def densenet(images):
    """RGB in 0..255 minus the means, times 0.017: pudae/tensorflow-densenet's densenet_preprocessing.py."""
    return mean_subtraction(images) * DENSENET_SCALE


def lenet(images):
    """Grey in [-1, 1), of one channel, with 0 for 128 of 0..255: research/slim's lenet_preprocessing.py."""
    return (tf.reduce_sum(images * tf.constant(GREY, images.dtype), -1, keepdims=True) - 128) / 128


def cifarnet(images):
    """RGB, of each image with mean 0 and deviation 1: research/slim's cifarnet_preprocessing.py.

    Where the deviation is less than ``1 / sqrt(values of an image)``, that is what it is divided by.
    """
    return tf.image.per_image_standardization(images)


PREPROCESSING = {
    "mean_subtraction": mean_subtraction,
    "inception": inception,
    "densenet": densenet,
    "lenet": lenet,
    "cifarnet": cifarnet,
}


class Transforms(NamedTuple):
    """Where in an image each place of the result is looked up; for `resize`.

    In order: the image is mirrored, then moved, and of that the part that `axes` spans around its middle is seen.

    Attributes:
        mirror: float ``[batch]``; the images where it is above 0.5 are mirrored.
        shift: float ``[batch, 2]``, the move down and right, as a share of height and width.
        axes: float ``[batch, 2, 2]``, a matrix that leads from (y, x) of the result to (y, x) of the image, both
            counted from the middle, in shares of height and width: diag(h, w) sees that share of height and width,
            a rotation turns; or None for the identity.
    """

    mirror: Any
    shift: Any
    axes: Any = None


def resize(images, image_size, transforms=None):
    """Bilinear resizing with half-pixel centres, after an optional transformation of each image.

    Args:
        images: uint8 or float ``[batch, height, width, 3]``.
        image_size: height and width of the result.
        transforms: None, or `Transforms`. What enters from outside repeats the border.

    Returns:
        float32 ``[batch, image_size, image_size, 3]``; without `transforms` what
        ``tf.image.resize(images, ..., "bilinear")`` gives: each pixel is a mean of four, so that of what shrinks to
        less than half of its size, some pixels are skipped.
    """
    images = tf.cast(images, tf.float32)
    batch, height, width = tf.unstack(tf.shape(images))[:3]
    zeros = tf.zeros([batch])
    mirror, shift, axes = Transforms(zeros, tf.zeros([batch, 2])) if transforms is None else transforms
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    # Output pixel (y, x) shows the input at y * scale_y + x * slant_y + offset_y, and so on; pixels are counted
    # from their centres.
    scale_x, scale_y = width / image_size + zeros, height / image_size + zeros
    offset_x = 0.5 * scale_x - 0.5 - shift[:, 1] * width
    offset_y = 0.5 * scale_y - 0.5 - shift[:, 0] * height
    slant_x = slant_y = zeros
    if axes is not None:
        # What the first pixel's centre, half a step less than half of the result from the middle, moves by.
        first = 0.5 - 0.5 / image_size
        offset_x += (1 - axes[:, 1, 0] - axes[:, 1, 1]) * first * width
        offset_y += (1 - axes[:, 0, 0] - axes[:, 0, 1]) * first * height
        scale_x, slant_x = axes[:, 1, 1] * scale_x, axes[:, 1, 0] * scale_x
        scale_y, slant_y = axes[:, 0, 0] * scale_y, axes[:, 0, 1] * scale_y
    mirrored = mirror > 0.5
    rows = [
        tf.where(mirrored, -scale_x, scale_x),
        tf.where(mirrored, -slant_x, slant_x),
        tf.where(mirrored, width - 1 - offset_x, offset_x),
        slant_y,
        scale_y,
        offset_y,
    ]
    return project(images, rows, [image_size, image_size])


def project(images, rows, size, interpolation="BILINEAR", fill=None):
    """Looks images up at places that depend on those of the result linearly.

    Args:
        images: uint8 or float ``[batch, height, width, channels]``.
        rows: the first six of eight numbers, each float ``[batch]``: pixel (y, x) of the result shows the image at
            row ``rows[3] * x + rows[4] * y + rows[5]`` and column ``rows[0] * x + rows[1] * y + rows[2]``.
        size: height and width of the result.
        interpolation: ``BILINEAR`` or ``NEAREST``.
        fill: what is outside of the image; None for the border's pixels.

    Returns:
        ``[batch, *size, channels]``, of the type of `images`.
    """
    zeros = tf.zeros_like(rows[0])
    projected = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*rows, zeros, zeros], axis=1),
        output_shape=size,
        fill_value=0.0 if fill is None else fill,
        interpolation=interpolation,
        fill_mode="NEAREST" if fill is None else "CONSTANT",
    )
    projected.set_shape([images.shape[0], *size, images.shape[3]])
    return projected


def preprocess_whole(images, least, preprocessing):
    """Makes a network's input of images that are seen whole, at their own size.

    Args:
        images: uint8 or float ``[batch, height, width, 3]``, RGB in 0..255.
        least: the least height and width that the network can take: smaller images get a grey border below and at
            the right.
        preprocessing: a key of `PREPROCESSING`.

    Returns:
        float32 ``[batch, rows, columns, channels]``.
    """
    with tf.name_scope("preprocess"):
        images = PREPROCESSING[preprocessing](tf.cast(images, tf.float32))
        missing = tf.maximum(least - tf.shape(images)[1:3], 0)
        return tf.pad(images, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])


def preprocess(images, image_size, preprocessing):
    """Makes a network's input of images, as evaluation does; for training, see `slimft.data.augmentation`.

    Args:
        images: uint8 ``[batch, height, width, 3]``, RGB.
        image_size: height and width the network gets.
        preprocessing: a key of `PREPROCESSING`.

    Returns:
        float32 ``[batch, image_size, image_size, channels]``; 3, or 1 if the network takes grey images.
    """
    with tf.name_scope("preprocess"):
        return PREPROCESSING[preprocessing](resize(images, image_size))
