"""DenseNet's preprocessing: VGG's, times 0.017.

Arguments are those of pudae/tensorflow-densenet's densenet_preprocessing.py.
"""

from slimft.data.preprocessing import DENSENET_SCALE
from slimft.legacy.preprocessing import vgg_preprocessing


def preprocess_image(image, output_height, output_width, is_training=False, **kwargs):
    """`slimft.legacy.preprocessing.vgg_preprocessing.preprocess_image`, scaled."""
    image = vgg_preprocessing.preprocess_image(image, output_height, output_width, is_training, **kwargs)
    return image * DENSENET_SCALE
