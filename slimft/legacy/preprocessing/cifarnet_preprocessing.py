"""CifarNet's preprocessing: a crop, in training with other brightness and contrast, of mean 0 and deviation 1.

Arguments and constants are those of research/slim/preprocessing/cifarnet_preprocessing.py
(github.com/tensorflow/models), which in evaluation takes the height for the width, and the width for the height.
Here each is what it says.
"""

from slimft.compat import tf

_PADDING = 4


def preprocess_for_train(
    image, output_height, output_width, padding=_PADDING, add_image_summaries=True, use_grayscale=False
):
    """A random crop, mirrored half of the time, of random brightness and contrast, standardized.

    Args:
        image: RGB in 0..255, ``[height, width, 3]``.
        output_height: height of the crop, in pixels.
        output_width: width of the crop.
        padding: how many rows and columns of zeros are added on each side before.
        add_image_summaries: whether to add image summaries before and after cropping.
        use_grayscale: whether to make grey of RGB, of one channel.

    Returns:
        float32 ``[output_height, output_width, 3]``, or one channel.
    """
    image = _as_floats(image, add_image_summaries, use_grayscale)
    if padding > 0:
        image = tf.pad(image, [[padding, padding], [padding, padding], [0, 0]])
    image = tf.random_crop(image, [output_height, output_width, image.shape[-1].value or 3])
    image = tf.image.random_flip_left_right(image)
    if add_image_summaries:
        tf.summary.image("distorted_image", image[tf.newaxis])
    image = tf.image.random_brightness(image, max_delta=63)
    image = tf.image.random_contrast(image, lower=0.2, upper=1.8)
    return tf.image.per_image_standardization(image)


def preprocess_for_eval(image, output_height, output_width, add_image_summaries=True, use_grayscale=False):
    """The middle of an image, or the image with zeros around it, standardized; arguments as for training."""
    image = _as_floats(image, add_image_summaries, use_grayscale)
    image = tf.image.resize_image_with_crop_or_pad(image, output_height, output_width)
    if add_image_summaries:
        tf.summary.image("resized_image", image[tf.newaxis])
    return tf.image.per_image_standardization(image)


def preprocess_image(
    image, output_height, output_width, is_training=False, add_image_summaries=True, use_grayscale=False
):
    """`preprocess_for_train`, or `preprocess_for_eval`."""
    preprocess = preprocess_for_train if is_training else preprocess_for_eval
    return preprocess(
        image,
        output_height,
        output_width,
        add_image_summaries=add_image_summaries,
        use_grayscale=use_grayscale,
    )


def _as_floats(image, add_image_summaries, use_grayscale):
    if add_image_summaries:
        tf.summary.image("image", image[tf.newaxis])
    image = tf.cast(image, tf.float32)
    return tf.image.rgb_to_grayscale(image) if use_grayscale else image
