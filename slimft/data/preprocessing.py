"""From the bytes of an image to what a network was trained on; runs in the graph, on its device."""

from __future__ import annotations

from slimft.compat import tf

# Red, green and blue means of ImageNet's training images: research/slim's vgg_preprocessing.py, from the
# VGG team's caffe models.
RGB_MEANS = (123.68, 116.78, 103.94)
# About one by the standard deviation of ImageNet's pixels.
DENSENET_SCALE = 0.017


def mean_subtraction(images):
    """RGB in 0..255 minus the ImageNet means, as VGG and ResNet V1 take it."""
    return images - tf.constant(RGB_MEANS, images.dtype)


def inception(images):
    """RGB in [-1, 1], as Inception, MobileNet and ResNet V2 take it: research/slim's inception_preprocessing.py."""
    return images * (2 / 255) - 1


def densenet(images):
    """RGB in 0..255 minus the means, times 0.017: pudae/tensorflow-densenet's densenet_preprocessing.py."""
    return mean_subtraction(images) * DENSENET_SCALE


PREPROCESSING = {"mean_subtraction": mean_subtraction, "inception": inception, "densenet": densenet}


def resize(images, image_size, transforms=None):
    """Bilinear resizing with half-pixel centres, after an optional move of each image.

    Args:
        images: uint8 or float ``[batch, height, width, 3]``.
        image_size: height and width of the result.
        transforms: None, or a pair of float ``[batch]`` tensors (`mirror`, `shift`): the images with
            `mirror` above 0.5 are mirrored; `shift` is ``[batch, 2]``, the move down and right as a share of
            height and width. What enters from outside repeats the border.

    Returns:
        float32 ``[batch, image_size, image_size, 3]``; without `transforms` what
        ``tf.image.resize(images, ..., "bilinear")`` gives.
    """
    images = tf.cast(images, tf.float32)
    batch, height, width = tf.unstack(tf.shape(images))[:3]
    zeros = tf.zeros([batch])
    mirror, shift = (zeros, tf.zeros([batch, 2])) if transforms is None else transforms
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    # Output pixel x shows the input at x * scale + offset, both counted from pixel centres.
    scale_x, scale_y = width / image_size, height / image_size
    offset_x = 0.5 * scale_x - 0.5 - shift[:, 1] * width
    offset_y = 0.5 * scale_y - 0.5 - shift[:, 0] * height
    mirrored = mirror > 0.5
    rows = [
        tf.where(mirrored, -scale_x + zeros, scale_x + zeros),
        zeros,
        tf.where(mirrored, width - 1 - offset_x, offset_x),
        zeros,
        scale_y + zeros,
        offset_y,
        zeros,
        zeros,
    ]
    resized = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, axis=1),
        output_shape=[image_size, image_size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    resized.set_shape([images.shape[0], image_size, image_size, 3])
    return resized


def random_transforms(batch, seed, flip, max_shift):
    """Random mirroring and shifting for `resize`, a pure function of `seed`.

    Args:
        batch: scalar int tensor, the number of images.
        seed: int tensor of shape [2].
        flip: whether to mirror half of the images.
        max_shift: share of height and width to move an image by at most.
    """
    draws = tf.random.stateless_uniform([batch, 3], seed)
    mirror = draws[:, 0] if flip else tf.zeros([batch])
    return mirror, (2 * draws[:, 1:] - 1) * max_shift


def preprocess(images, image_size, preprocessing, training_seed=None, flip=False, max_shift=0.0):
    """Makes a network's input of images.

    Args:
        images: uint8 ``[batch, height, width, 3]``, RGB.
        image_size: height and width the network gets.
        preprocessing: a key of `PREPROCESSING`.
        training_seed: int tensor of shape [2] that decides each image's random move; None for none.
        flip: whether training mirrors half of the images.
        max_shift: share of height and width training moves an image by at most.

    Returns:
        float32 ``[batch, image_size, image_size, 3]``.
    """
    with tf.name_scope("preprocess"):
        transforms = None
        if training_seed is not None:
            transforms = random_transforms(tf.shape(images)[0], training_seed, flip, max_shift)
        return PREPROCESSING[preprocessing](resize(images, image_size, transforms))
