"""Preprocessing by a network's name, as in research/slim/preprocessing/preprocessing_factory.py.

As there, the names of ResNet V2 mean the preprocessing of VGG, though its ImageNet checkpoints were trained with
Inception's: ask for ``inception`` to use these (research/slim/README.md).
"""

from slimft.errors import LegacyNameError
from slimft.legacy.preprocessing import densenet_preprocessing, inception_preprocessing, vgg_preprocessing
from slimft.nets.registry import get_network, network_names

_BY_KIND = {
    "densenet": densenet_preprocessing,
    "inception": inception_preprocessing,
    "mean_subtraction": vgg_preprocessing,
}
_MODULES = {name: _BY_KIND[get_network(name).preprocessing] for name in network_names()} | {
    "densenet": densenet_preprocessing,
    "inception": inception_preprocessing,
    "inception_v2": inception_preprocessing,
    "inception_v4": inception_preprocessing,
    "inception_resnet_v2": inception_preprocessing,
    "overfeat": vgg_preprocessing,
    "resnet_v2_50": vgg_preprocessing,
    "resnet_v2_101": vgg_preprocessing,
    "resnet_v2_152": vgg_preprocessing,
    "resnet_v2_200": vgg_preprocessing,
    "vgg": vgg_preprocessing,
}


def get_preprocessing(name, is_training=False, use_grayscale=False):
    """The preprocessing function of a network.

    Args:
        name: the network's name, or ``vgg``, ``inception`` or ``densenet``.
        is_training: whether to distort the images at random.
        use_grayscale: False; the networks take images in colour.

    Returns:
        ``fn(image, output_height, output_width, **kwargs)``, which takes an RGB image ``[height, width, 3]`` and
        returns a float32 one ``[output_height, output_width, 3]``.

    Raises:
        LegacyNameError: a ValueError; `name` is not known, or `use_grayscale` is asked for.
    """
    if name not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise LegacyNameError(f"get_preprocessing: slimft has no preprocessing {name!r}; it has {known}")
    if use_grayscale:
        raise LegacyNameError("get_preprocessing: no use_grayscale; slimft's networks take RGB images")

    module = _MODULES[name]

    def preprocessing_fn(image, output_height, output_width, **kwargs):
        return module.preprocess_image(image, output_height, output_width, is_training=is_training, **kwargs)

    return preprocessing_fn
