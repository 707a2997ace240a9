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


@dataclasses.dataclass(frozen=True)
class Normalization:
    """How images become a network's input: pixels, by 255, minus `mean` and divided by `deviation`; RGB."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


# Of torchvision, timm, and Keras Applications in its mode "torch". Sources: torchvision/transforms/_presets.py,
# timm/data/constants.py, keras/src/applications/imagenet_utils.py.
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# RGB in [-1, 1], which is what TF-Slim's Inception and MobileNet take.
INCEPTION = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution or matrix product and the batch normalization of its result, or one of the two.

    Attributes:
        convolution: its name in the source; None for a batch normalization alone.
        scope: the scope of its weights and biases in TF-Slim.
        batch_norm: the batch normalization's name in the source; None if there is none.
        statistics: the scope of its variables in TF-Slim; empty if it becomes a part of weights and biases.
        kind: the convolution's class in Keras: ``conv2d``, ``depthwise_conv2d``, ``separable_conv2d`` (with
            TF-Slim's depthwise and pointwise weights in one scope) or ``dense``.
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
        auxiliary: the layers of the auxiliary logits, of which a file has all or none.
        unused: how the names of the source's layers begin that TF-Slim's network has not.
        remarks: sentences about what differs from the library.
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
    auxiliary: tuple[Layer, ...] = ()
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def logits(self) -> tuple[Layer, ...]:
        """The layers with as many outputs as there are classes."""
        return (self.layers[-1], *self.auxiliary[-1:])


def less_means(scale: float = 1.0) -> Normalization:
    """What networks take here whose images are ``(RGB - SLIM_MEANS) * scale``."""
    return Normalization(tuple(mean / 255 for mean in SLIM_MEANS), (1 / (255 * scale),) * 3)


def input_of(library: Normalization, slim: Normalization) -> dict[str, tuple[float, float, float]]:
    """`scale` and `offset` of `Weights`: what makes images of the library's normalization of TF-Slim's."""
    if library == slim:
        return {}
    pairs = list(zip(slim.mean, slim.deviation, library.mean, library.deviation))
    return {
        "scale": tuple(here / there for _, here, _, there in pairs),
        "offset": tuple((slim_mean - mean) / there for slim_mean, _, mean, there in pairs),
    }


def both(convolution: str, batch_norm: str, scope: str, kind: str = "conv2d") -> Layer:
    """A convolution and its batch normalization, where TF-Slim has the one in the other's scope."""
    return Layer(convolution, scope, batch_norm, f"{scope}/BatchNorm", kind)


def official_variables(network: str) -> dict[str, Shape]:
    """The shapes of a network's variables, by name, as in its official release."""
    return dict(next(release.variables for release in OFFICIAL.values() if release.network == network))


def vgg_convolutions(convolutions: tuple[int, ...]) -> list[tuple[int, int]]:
    """The blocks and numbers, from 1, of VGG's convolutions, given how many there are in each block."""
    return [(block, i) for block, number in enumerate(convolutions, start=1) for i in range(1, number + 1)]
