"""VGG's preprocessing: resize so that the shorter side has a given length, crop, subtract ImageNet's means.

Simonyan and Zisserman, arXiv:1409.1556, section 3.1. Arguments, sizes and the way of resizing (bilinear, pixel
corners not aligned, half-pixel centres off) are those of research/slim/preprocessing/vgg_preprocessing.py
(github.com/tensorflow/models).
"""

from slimft.compat import tf
from slimft.data.preprocessing import mean_subtraction
from slimft.errors import UsageError

_RESIZE_SIDE_MIN = 256
_RESIZE_SIDE_MAX = 512


def _resize(image, shorter_side):
    """`image` as float32 with its shorter side as long as told and its aspect ratio kept."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.cast(shorter_side, tf.float32) / tf.reduce_min(size)
    new_size = tf.cast(tf.rint(size * scale), tf.int32)
    return tf.image.resize_bilinear(image[tf.newaxis], new_size)[0]


def _crop(image, offset, output_height, output_width):
    cropped = tf.slice(image, tf.concat([offset, [0]], 0), [output_height, output_width, 3])
    cropped.set_shape([output_height, output_width, 3])
    return cropped


def _check_crop(output_height, output_width, resize_side):
    if max(output_height, output_width) > resize_side:
        raise UsageError(
            f"vgg_preprocessing: cannot crop {output_height}x{output_width} from images whose shorter side is made "
            f"{resize_side} pixels; pass resize_side_min={max(output_height, output_width)} or more"
        )


def preprocess_for_train(
    image, output_height, output_width, resize_side_min=_RESIZE_SIDE_MIN, resize_side_max=_RESIZE_SIDE_MAX
):
    """A random crop, mirrored half of the time, of an image resized at random.

    Args:
        image: RGB in 0..255, ``[height, width, 3]``.
        output_height: height of the crop, in pixels.
        output_width: width of the crop.
        resize_side_min: the least length of the shorter side.
        resize_side_max: the greatest.

    Returns:
        float32 ``[output_height, output_width, 3]``, the means subtracted.

    Raises:
        UsageError: the crop is larger than `resize_side_min`.
    """
    _check_crop(output_height, output_width, resize_side_min)
    side = tf.random_uniform([], resize_side_min, resize_side_max + 1, dtype=tf.int32)
    image = _resize(image, side)
    room = tf.shape(image)[:2] - [output_height, output_width]
    # Each offset from 0 to the room, both included, is as likely: the draw is below 1.
    offset = tf.cast(tf.random_uniform([2]) * tf.cast(room + 1, tf.float32), tf.int32)
    image = _crop(image, tf.minimum(offset, room), output_height, output_width)
    return mean_subtraction(tf.image.random_flip_left_right(image))


def preprocess_for_eval(image, output_height, output_width, resize_side):
    """The middle of an image resized so that its shorter side has `resize_side` pixels; else as for training."""
    _check_crop(output_height, output_width, resize_side)
    image = _resize(image, resize_side)
    offset = (tf.shape(image)[:2] - [output_height, output_width]) // 2
    return mean_subtraction(_crop(image, offset, output_height, output_width))


def preprocess_image(
    image,
    output_height,
    output_width,
    is_training=False,
    resize_side_min=_RESIZE_SIDE_MIN,
    resize_side_max=_RESIZE_SIDE_MAX,
):
    """`preprocess_for_train`, or `preprocess_for_eval` with `resize_side_min`."""
    if is_training:
        return preprocess_for_train(image, output_height, output_width, resize_side_min, resize_side_max)
    return preprocess_for_eval(image, output_height, output_width, resize_side_min)
