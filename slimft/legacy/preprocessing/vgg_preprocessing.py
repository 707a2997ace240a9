"""VGG's preprocessing: resize so that the shorter side has a given length, crop, subtract ImageNet's means.

Simonyan and Zisserman, arXiv:1409.1556, section 3.1. Arguments, sizes and the way of resizing (bilinear, pixel
corners not aligned, half-pixel centres off) are those of research/slim/preprocessing/vgg_preprocessing.py
(github.com/tensorflow/models).
"""

from slimft.compat import tf
from slimft.data.preprocessing import RGB_MEANS
from slimft.errors import UsageError

_R_MEAN, _G_MEAN, _B_MEAN = RGB_MEANS
_RESIZE_SIDE_MIN = 256
_RESIZE_SIDE_MAX = 512


def _crop(image, offset_height, offset_width, crop_height, crop_width):
    """The part of an image ``[height, width, channels]`` that begins at the offsets, ints or int tensors."""
    offset = tf.cast(tf.stack([offset_height, offset_width, 0]), tf.int32)
    return tf.slice(image, offset, [crop_height, crop_width, -1])


def _random_crop(image_list, crop_height, crop_width):
    """The same part of each of some images, wherever it lies.

    Args:
        image_list: images ``[height, width, channels]`` of the same height and width.
        crop_height: height of the part, in pixels.
        crop_width: width of the part.

    Returns:
        List of the parts. Running them fails where the images differ in size or are smaller than the part.

    Raises:
        ValueError: there is no image.
    """
    if not image_list:
        raise ValueError("image_list is empty; there has to be an image to crop")
    size = tf.shape(image_list[0])[:2]
    same = [
        tf.assert_equal(tf.shape(image)[:2], size, message="images that are cropped alike have to be of one size")
        for image in image_list[1:]
    ]
    with tf.control_dependencies(same):
        offsets = [
            tf.random_uniform([], maxval=room + 1, dtype=tf.int32)
            for room in tf.unstack(size - [crop_height, crop_width])
        ]
    return [_crop(image, *offsets, crop_height, crop_width) for image in image_list]


def _central_crop(image_list, crop_height, crop_width):
    """The middle of each of some images ``[height, width, channels]``."""
    crops = []
    for image in image_list:
        offsets = tf.unstack((tf.shape(image)[:2] - [crop_height, crop_width]) // 2)
        crops.append(_crop(image, *offsets, crop_height, crop_width))
    return crops


def _mean_image_subtraction(image, means):
    """An image ``[height, width, channels]`` minus a mean for each channel.

    Raises:
        ValueError: the image is not of that rank, or there are not as many means as channels.
    """
    if image.shape.ndims != 3:
        raise ValueError(f"the image has the shape {image.shape}; it has to be [height, width, channels]")
    channels = image.shape[2].value
    if len(means) != channels:
        raise ValueError(f"there are {len(means)} means and {channels} channels; there has to be one for each")
    return image - tf.constant(means, image.dtype)


def _smallest_size_at_least(height, width, smallest_side):
    """Height and width, int32 tensors, with the smaller one as long as told and their ratio kept."""
    height, width, side = (tf.cast(value, tf.float32) for value in (height, width, smallest_side))
    scale = side / tf.minimum(height, width)
    return tuple(tf.cast(tf.rint(value * scale), tf.int32) for value in (height, width))


def _aspect_preserving_resize(image, smallest_side):
    """An image ``[height, width, 3]`` as float32, its shorter side as long as told and its aspect ratio kept."""
    height, width = tf.unstack(tf.shape(image)[:2])
    size = _smallest_size_at_least(height, width, smallest_side)
    resized = tf.image.resize_bilinear(image[tf.newaxis], size)[0]
    resized.set_shape([None, None, 3])
    return resized


def _check_crop(output_height, output_width, resize_side):
    if max(output_height, output_width) > resize_side:
        raise UsageError(
            f"vgg_preprocessing: cannot crop {output_height}x{output_width} from images whose shorter side is made "
            f"{resize_side} pixels; pass resize_side_min={max(output_height, output_width)} or more"
        )


def preprocess_for_train(
    image,
    output_height,
    output_width,
    resize_side_min=_RESIZE_SIDE_MIN,
    resize_side_max=_RESIZE_SIDE_MAX,
    use_grayscale=False,
):
    """A random crop, mirrored half of the time, of an image resized at random.

    Args:
        image: RGB in 0..255, ``[height, width, 3]``.
        output_height: height of the crop, in pixels.
        output_width: width of the crop.
        resize_side_min: the least length of the shorter side.
        resize_side_max: the greatest.
        use_grayscale: whether to make grey of RGB, of which three means cannot be subtracted.

    Returns:
        float32 ``[output_height, output_width, 3]``, the means subtracted.

    Raises:
        UsageError: the crop is larger than `resize_side_min`.
        ValueError: with `use_grayscale`, as in research/slim.
    """
    _check_crop(output_height, output_width, resize_side_min)
    side = tf.random_uniform([], resize_side_min, resize_side_max + 1, dtype=tf.int32)
    (image,) = _random_crop([_aspect_preserving_resize(image, side)], output_height, output_width)
    image = tf.image.rgb_to_grayscale(image) if use_grayscale else image
    return _mean_image_subtraction(tf.image.random_flip_left_right(image), RGB_MEANS)


def preprocess_for_eval(image, output_height, output_width, resize_side, use_grayscale=False):
    """The middle of an image resized so that its shorter side has `resize_side` pixels; else as for training."""
    _check_crop(output_height, output_width, resize_side)
    (image,) = _central_crop([_aspect_preserving_resize(image, resize_side)], output_height, output_width)
    image = tf.image.rgb_to_grayscale(image) if use_grayscale else image
    return _mean_image_subtraction(image, RGB_MEANS)


def preprocess_image(
    image,
    output_height,
    output_width,
    is_training=False,
    resize_side_min=_RESIZE_SIDE_MIN,
    resize_side_max=_RESIZE_SIDE_MAX,
    use_grayscale=False,
):
    """`preprocess_for_train`, or `preprocess_for_eval` with `resize_side_min`."""
    if is_training:
        return preprocess_for_train(
            image, output_height, output_width, resize_side_min, resize_side_max, use_grayscale
        )
    return preprocess_for_eval(image, output_height, output_width, resize_side_min, use_grayscale)
