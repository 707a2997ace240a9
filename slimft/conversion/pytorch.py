"""The weights of torchvision and timm: state dicts of the networks that compute what TF-Slim's compute.

Names, shapes and constants are those of torchvision 0.29 (torchvision/models, github.com/pytorch/vision) and timm
1.0 (timm/models, github.com/huggingface/pytorch-image-models), whose VGG, DenseNet and Inception V3 are
torchvision's. Both pad convolutions on both sides, where SAME pads an odd pixel at the bottom and right.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection

from slimft.conversion.keras_densenet import DENSENET, IMAGES, densenet_weights
from slimft.conversion.layers import (
    IMAGENET,
    INCEPTION,
    VGG,
    Layer,
    Normalization,
    Weights,
    input_of,
    less_means,
    official_variables,
    vgg_convolutions,
)
from slimft.conversion.pytorch_inception import inception_resnet_v2, inception_v1, inception_v3, inception_v4
from slimft.conversion.pytorch_mobilenet import mobilenet_v1, mobilenet_v2

# `features` and `classifier` number their modules; activations, poolings and dropouts count too. timm's have names.
_CLASSIFIER = {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
_TIMM_CLASSIFIER = {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2", "fc8": "head.fc"}

_DENSENET_LAYER = re.compile(r"conv(\d)_block(\d+)_([012])_(bn|conv)")
_DENSENET_PARTS = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}
_DENSENET_NAMES = {"conv1_conv": "features.conv0", "conv1_bn": "features.norm0", "bn": "features.norm5"}


def _vgg(network: str, names: Collection[str]) -> Weights:
    """VGG, with or without batch normalization: as TF-Slim has none, it becomes a part of weights and biases."""
    normalized = "features.1" in names
    scopes, module, layers = [], 0, []
    for block, i in vgg_convolutions(VGG[network]):
        module += block > 1 and i == 1  # The pooling before the block.
        scopes.append(f"conv{block}/conv{block}_{i}")
        batch_norm = f"features.{module + 1}" if normalized else None
        layers.append(Layer(f"features.{module}", f"{network}/{scopes[-1]}", batch_norm))
        module += 2 + normalized
    classifier = _TIMM_CLASSIFIER if "head.fc" in names or "pre_logits.fc1" in names else _CLASSIFIER
    layers += [Layer(there, f"{network}/{scope}") for scope, there in classifier.items()]
    # vgg_a has no official release; what it has is in vgg_19 too, in the same shapes.
    shapes = official_variables("vgg_19")
    variables = {
        f"{network}/{scope}/{name}": shapes[f"vgg_19/{scope}/{name}"]
        for scope in (*scopes, *classifier)
        for name in ("weights", "biases")
    }
    remark = "batch normalization became a part of weights and biases, as TF-Slim's VGG has none"
    return Weights(
        variables, tuple(layers), top=len(classifier), epsilon=1e-5, remarks=(remark,) if normalized else ()
    )


def _densenet(network: str, names: Collection[str]) -> Weights:
    # Published files still have torchvision's first names, norm.1; its networks have norm1.
    dot = "." if "features.denseblock1.denselayer1.norm.1" in names else ""

    def there(name: str) -> str:
        match = _DENSENET_LAYER.fullmatch(name)
        if match:
            part = _DENSENET_PARTS[f"{match[3]}_{match[4]}"]
            return f"features.denseblock{int(match[1]) - 1}.denselayer{match[2]}.{part[:-1]}{dot}{part[-1]}"
        if name.startswith("pool"):
            block, part = name.removeprefix("pool").split("_")
            return f"features.transition{int(block) - 1}.{'norm' if part == 'bn' else part}"
        return _DENSENET_NAMES.get(name, "classifier")

    keras = densenet_weights(network, ())
    layers = tuple(
        dataclasses.replace(
            layer,
            convolution=layer.convolution and there(layer.convolution),
            batch_norm=layer.batch_norm and there(layer.batch_norm),
        )
        for layer in keras.layers
    )
    return dataclasses.replace(keras, layers=layers, epsilon=1e-5)


@dataclasses.dataclass(frozen=True)
class _Network:
    """A network that there are state dicts of.

    Attributes:
        published: its names in torchvision or timm.
        describe: makes the description, but for the images, of its name here and a file's layers.
        library: what images the published weights take.
        slim: what images the network takes here.
    """

    published: tuple[str, ...]
    describe: Callable[[str, Collection[str]], Weights]
    library: Normalization
    slim: Normalization


def _vgg_network(published: str) -> _Network:
    return _Network((published, f"{published}_bn"), _vgg, IMAGENET, less_means())


_NETWORKS = {
    "vgg_a": _vgg_network("vgg11"),
    "vgg_16": _vgg_network("vgg16"),
    "vgg_19": _vgg_network("vgg19"),
    "inception_v1": _Network(("googlenet",), inception_v1, INCEPTION, INCEPTION),
    "inception_v3": _Network(("inception_v3",), inception_v3, INCEPTION, INCEPTION),
    "inception_v4": _Network(("inception_v4",), inception_v4, INCEPTION, INCEPTION),
    "inception_resnet_v2": _Network(("inception_resnet_v2",), inception_resnet_v2, INCEPTION, INCEPTION),
    "mobilenet_v1": _Network(("mobilenetv1_100",), mobilenet_v1, INCEPTION, INCEPTION),
    "mobilenet_v2": _Network(("mobilenet_v2", "mobilenetv2_100"), mobilenet_v2, IMAGENET, INCEPTION),
    "mobilenet_v2_140": _Network(("mobilenetv2_140",), mobilenet_v2, IMAGENET, INCEPTION),
    **{name: _Network((name.replace("_", ""),), _densenet, IMAGENET, IMAGES) for name in DENSENET},
}
NETWORKS = tuple(_NETWORKS)


def weights_of(network: str, names: Collection[str], images: Normalization | None = None) -> Weights:
    """How torchvision or timm publishes the weights of `network`, one of `NETWORKS`.

    Args:
        network: its name here.
        names: the names of a file's layers.
        images: what images the weights take; None for what the published ones take.
    """
    entry = _NETWORKS[network]
    weights = entry.describe(network, names)
    return dataclasses.replace(weights, output_first=True, **input_of(images or entry.library, entry.slim))


def published_names() -> str:
    """What the networks are called by those who publish their weights, as a text."""
    names = [name for entry in _NETWORKS.values() for name in entry.published]
    plain = [name for name in names if not name.endswith("_bn")]
    return ", ".join(f"{name}[_bn]" if f"{name}_bn" in names else name for name in plain)


def why_not(names: Collection[str]) -> str | None:
    """Why no network here computes what a known one does, by the names of its layers; None if that is not known."""
    if "layer1.0.conv1" in names and "layer1.0.conv3" not in names:
        return "they are those of a ResNet of two convolutions a unit (ResNet-18, 34), which TF-Slim has not"
    if "layer1.0.conv1" in names:
        return (
            "they are those of a ResNet V1.5, whose 3x3 convolutions stride; TF-Slim's ResNets stride one unit "
            "before, so that none computes the same: use --checkpoint=resnet_v1_50 (_101, _152), or Keras' ResNet50"
        )
    if "stages.0.blocks.0.conv1" in names and "stages.0.blocks.0.norm1" in names:
        return (
            "they are those of timm's ResNetV2, whose 3x3 convolutions stride (BiT's are standardized, too); "
            "TF-Slim's ResNets stride one unit before, so that none computes the same: use "
            "--checkpoint=resnet_v2_50 (_101, _152), or Keras' ResNet50V2"
        )
    if {name for name in names if name.startswith("features.")} == {f"features.{i}" for i in (0, 3, 6, 8, 10)}:
        return (
            "they are those of torchvision's AlexNet, another network than alexnet_v2: conv4 has 256 filters, not "
            "384, and fc6 sees 6x6 positions, not 5x5"
        )
    return None
