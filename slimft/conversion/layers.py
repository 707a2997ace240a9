"""What the description of another library's weights is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from slimft.checkpoint.official import OFFICIAL

Shape = tuple[int, ...]

# The number of convolutions in each block: configurations A, D and E of Simonyan and Zisserman, arXiv:1409.1556.
VGG = {"vgg_a": (1, 1, 2, 2, 2), "vgg_16": (2, 2, 3, 3, 3), "vgg_19": (2, 2, 4, 4, 4)}
# TF-Slim's VGG subtracts these from RGB in 0..255.
SLIM_MEANS = (123.68, 116.78, 103.94)
# torchvision, and Keras Applications in its mode "torch", divide pixels by 255, subtract the first and divide by
# the second (RGB). Sources: torchvision/transforms/_presets.py, keras/src/applications/imagenet_utils.py.
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_DEVIATION = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution or matrix product and the batch normalization of its result, or one of the two.

    Attributes:
        convolution: its name in the source; None for a batch normalization alone.
        scope: the scope of its weights and biases in TF-Slim.
        batch_norm: the batch normalization's name in the source; None if there is none.
        statistics: the scope of its variables in TF-Slim.
        kind: the convolution's class in Keras: ``conv2d``, ``depthwise_conv2d`` or ``dense``.
    """

    convolution: str | None = None
    scope: str = ""
    batch_norm: str | None = None
    statistics: str = ""
    kind: str = "conv2d"


@dataclasses.dataclass(frozen=True)
class Weights:
    """How a library publishes a network's weights, and what TF-Slim's network needs of them.

    Attributes:
        variables: the shapes of TF-Slim's variables by name; the logits may have any number of classes.
        layers: all layers, those of one kind in the order of Keras' `Model.layers`; the first takes the images.
        top: how many layers at the end a file may lack.
        output_first: whether kernels are ``[outputs, inputs, height, width]``, and an image that becomes a row has
            its channels outermost, instead of ``[height, width, inputs, outputs]``.
        reverse_channels: whether images are BGR.
        scale, offset: ``images * scale + offset``, by RGB channels, makes the library's input of TF-Slim's.
        epsilon: what the library adds to the variances of batch normalization.
        slim_epsilon: what TF-Slim adds.
        not_published: scopes of TF-Slim's network that are in no file.
        remarks: what else is to be said of a converted file.
    """

    variables: Mapping[str, Shape]
    layers: tuple[Layer, ...]
    top: int = 1
    output_first: bool = False
    reverse_channels: bool = False
    scale: tuple[float, float, float] | None = None
    offset: tuple[float, float, float] | None = None
    epsilon: float = 1e-3
    slim_epsilon: float = 1e-3
    not_published: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def torch_images(slim_scale: float = 1.0) -> dict[str, tuple[float, float, float]]:
    """`scale` and `offset` for networks of torch's input that take ``(RGB - SLIM_MEANS) * slim_scale`` here."""
    channels = list(zip(SLIM_MEANS, _TORCH_MEAN, _TORCH_DEVIATION))
    return {
        "scale": tuple(1 / (slim_scale * 255 * deviation) for _, _, deviation in channels),
        "offset": tuple((slim / 255 - mean) / deviation for slim, mean, deviation in channels),
    }


def official_variables(network: str) -> dict[str, Shape]:
    """The shapes of a network's variables, by name, as in its official release."""
    return dict(next(release.variables for release in OFFICIAL.values() if release.network == network))


def vgg_convolutions(convolutions: tuple[int, ...]) -> list[tuple[int, int]]:
    """The blocks and numbers, from 1, of VGG's convolutions, given how many there are in each block."""
    return [(block, i) for block, number in enumerate(convolutions, start=1) for i in range(1, number + 1)]
