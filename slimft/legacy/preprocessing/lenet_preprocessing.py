"""LeNet's preprocessing: the middle of an image, or the image with zeros around it, from [0, 256) to [-1, 1).

Arguments and constants are those of research/slim/preprocessing/lenet_preprocessing.py
(github.com/tensorflow/models), which takes the height for the width, and the width for the height. Here each is
what it says.
"""

from slimft.compat import tf


def preprocess_image(image, output_height, output_width, is_training, use_grayscale=False):
    """The image as LeNet takes it, in training as in evaluation.

    Args:
        image: ``[height, width, channels]``, in 0..255.
        output_height: height of the result, in pixels: what is more is cut off on both sides, what is missing is 0.
        output_width: width of the result.
        is_training: makes no difference.
        use_grayscale: whether to make grey of RGB.

    Returns:
        float32 ``[output_height, output_width, channels]``, one channel with `use_grayscale`.
    """
    del is_training
    image = tf.cast(image, tf.float32)
    if use_grayscale:
        image = tf.image.rgb_to_grayscale(image)
    return (tf.image.resize_image_with_crop_or_pad(image, output_height, output_width) - 128) / 128
