"""Preprocessing by a network's name, as in research/slim/preprocessing/preprocessing_factory.py.

As there, the names of ResNet V2 mean the preprocessing of VGG, though its ImageNet checkpoints were trained with
Inception's: ask for ``inception`` to use these (research/slim/README.md).
"""

from slimft.errors import LegacyNameError
from slimft.legacy.preprocessing import (
    cifarnet_preprocessing,
    densenet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    vgg_preprocessing,
)
from slimft.nets.registry import get_network, network_names

_BY_KIND = {
    "cifarnet": cifarnet_preprocessing,
    "densenet": densenet_preprocessing,
    "inception": inception_preprocessing,
    "lenet": lenet_preprocessing,
    "mean_subtraction": vgg_preprocessing,
}
# What research/slim's factory knows, though it is no network of the registry or has other images there.
_BY_NAME = {
    "densenet": densenet_preprocessing,
    "vgg": vgg_preprocessing,
    **dict.fromkeys(
        (
            "inception", "inception_v1", "inception_v2", "inception_v3", "inception_v4", "inception_resnet_v2",
            "mobilenet_v1", "mobilenet_v2", "mobilenet_v2_035", "mobilenet_v2_140", "mobilenet_v3_small",
            "mobilenet_v3_large", "mobilenet_v3_small_minimalistic", "mobilenet_v3_large_minimalistic",
            "mobilenet_edgetpu", "mobilenet_edgetpu_075", "nasnet_mobile", "nasnet_large", "pnasnet_mobile",
            "pnasnet_large",
        ),
        inception_preprocessing,
    ),
    **dict.fromkeys((f"resnet_v2_{layers}" for layers in (50, 101, 152, 200)), vgg_preprocessing),
}  # fmt: skip
_MODULES = {name: _BY_KIND[get_network(name).preprocessing] for name in network_names()} | _BY_NAME


def get_preprocessing(name, is_training=False, use_grayscale=False):
    """The preprocessing function of a network.

    Args:
        name: the network's name, or ``vgg``, ``inception`` or ``densenet``.
        is_training: whether to distort the images at random.
        use_grayscale: whether to make grey of RGB, of one channel; not with that of VGG and DenseNet, whose means
            are of three.

    Returns:
        ``fn(image, output_height, output_width, **kwargs)``, which takes an RGB image ``[height, width, 3]`` and
        returns a float32 one ``[output_height, output_width, 3]``; or one channel.

    Raises:
        LegacyNameError: a ValueError; `name` is not known.
    """
    if name not in _MODULES:
        known = ", ".join(sorted(_MODULES))
        raise LegacyNameError(f"get_preprocessing: slimft has no preprocessing {name!r}; it has {known}")

    module = _MODULES[name]

    def preprocessing_fn(image, output_height, output_width, **kwargs):
        return module.preprocess_image(
            image, output_height, output_width, is_training=is_training, use_grayscale=use_grayscale, **kwargs
        )

    return preprocessing_fn
