"""The weights of Keras Applications.

Names, shapes and constants are those of keras/src/applications (Keras 3.15, github.com/keras-team/keras); older
names are those of files that github.com/fchollet/deep-learning-models and keras-team/keras-applications released.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator

from slimft.conversion.keras_densenet import DENSENET, densenet_weights
from slimft.conversion.keras_inception import inception_resnet_v2, inception_v3
from slimft.conversion.keras_nasnet import NASNET, nasnet_weights
from slimft.conversion.layers import VGG, Layer, Weights, both, official_variables, vgg_convolutions

_VGG = ("vgg_16", "vgg_19")
# The number of units in each block of a residual network: He et al., arXiv:1512.03385.
_RESNET = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}
_RESNET_V1 = {f"resnet_v1_{size}": units for size, units in _RESNET.items()}
_RESNET_V2 = {f"resnet_v2_{size}": units for size, units in _RESNET.items()}
_MOBILENET_V1 = ("mobilenet_v1", "mobilenet_v1_075", "mobilenet_v1_050", "mobilenet_v1_025")
_MOBILENET_V2 = ("mobilenet_v2", "mobilenet_v2_140", "mobilenet_v2_050", "mobilenet_v2_035")
# The number of bottlenecks: tables 1 and 2 of Howard et al., arXiv:1905.02244.
_MOBILENET_V3 = {
    "mobilenet_v3_large": 15,
    "mobilenet_v3_small": 11,
    "mobilenet_v3_large_minimalistic": 15,
    "mobilenet_v3_small_minimalistic": 11,
}
_INCEPTION = {"inception_v3": inception_v3, "inception_resnet_v2": inception_resnet_v2}

NETWORKS = (
    *_VGG,
    *_RESNET_V1,
    *_RESNET_V2,
    *_INCEPTION,
    *_MOBILENET_V1,
    *_MOBILENET_V2,
    *_MOBILENET_V3,
    *DENSENET,
    *NASNET,
)


def weights_of(network: str, names: Collection[str]) -> Weights:
    """How Keras Applications publishes the weights of `network`, one of `NETWORKS`.

    Args:
        network: its name here.
        names: the names of a file's layers: some networks have had several.
    """
    if network in _VGG:
        return _vgg(network)
    if network in _RESNET_V1:
        return _resnet50_of_2017() if _is_of_2017(network, names) else _resnet_v1(network)
    if network in _RESNET_V2:
        return _resnet_v2(network)
    if network in _MOBILENET_V1:
        return Weights(official_variables(network), tuple(_mobilenet_v1()))
    if network in _MOBILENET_V2:
        return Weights(official_variables(network), tuple(_mobilenet_v2(names)))
    if network in _MOBILENET_V3:
        return _mobilenet_v3(network)
    if network in DENSENET:
        return densenet_weights(network, names)
    if network in NASNET:
        return nasnet_weights(network)
    return _INCEPTION[network](names)


def _vgg(network: str) -> Weights:
    layers = [
        Layer(f"block{block}_conv{i}", f"{network}/conv{block}/conv{block}_{i}")
        for block, i in vgg_convolutions(VGG[network])
    ]
    for there, here in (("fc1", "fc6"), ("fc2", "fc7"), ("predictions", "fc8")):
        layers.append(Layer(there, f"{network}/{here}", kind="dense"))
    return Weights(official_variables(network), tuple(layers), top=3, reverse_channels=True)


def _resnet_v1(network: str) -> Weights:
    layers = [both("conv1_conv", "conv1_bn", f"{network}/conv1")]
    for there, here, first in _units(network, "bottleneck_v1", _RESNET_V1[network]):
        # Keras sorts by the distance to the end: the shortcut, which it numbers 0, is beside the last convolution.
        for number in (1, 2, 0, 3) if first else (1, 2, 3):
            scope = f"{here}/conv{number}" if number else f"{here}/shortcut"
            layers.append(both(f"{there}_{number}_conv", f"{there}_{number}_bn", scope))
    layers.append(Layer("predictions", f"{network}/logits", kind="dense"))
    remark = "the logits are Keras' at sizes of 4k + 1, as --image_size=225: at others it pads otherwise"
    return Weights(
        official_variables(network),
        tuple(layers),
        reverse_channels=True,
        epsilon=1.001e-5,
        slim_epsilon=1e-5,
        remarks=(remark,),
    )


def _resnet_v2(network: str) -> Weights:
    layers = [Layer("conv1_conv", f"{network}/conv1")]
    for there, here, first in _units(network, "bottleneck_v2", _RESNET_V2[network]):
        layers.append(Layer(batch_norm=f"{there}_preact_bn", statistics=f"{here}/preact"))
        layers += [both(f"{there}_{i}_conv", f"{there}_{i}_bn", f"{here}/conv{i}") for i in (1, 2)]
        if first:
            layers.append(Layer(f"{there}_0_conv", f"{here}/shortcut"))
        layers.append(Layer(f"{there}_3_conv", f"{here}/conv3"))
    layers.append(Layer(batch_norm="post_bn", statistics=f"{network}/postnorm"))
    layers.append(Layer("predictions", f"{network}/logits", kind="dense"))
    remark = "the logits are nearly Keras': its first pooling pads zeros on both sides, which TF-Slim's does not"
    return Weights(
        official_variables(network), tuple(layers), epsilon=1.001e-5, slim_epsilon=1e-5, remarks=(remark,)
    )


def _units(network: str, unit_name: str, units: tuple[int, ...]) -> Iterator[tuple[str, str, bool]]:
    """A residual network's units: Keras' prefix, TF-Slim's scope and whether it is the first of its block."""
    for block, number in enumerate(units, start=1):
        for unit in range(1, number + 1):
            yield f"conv{block + 1}_block{unit}", f"{network}/block{block}/unit_{unit}/{unit_name}", unit == 1


def _is_of_2017(network: str, names: Collection[str]) -> bool:
    return network == "resnet_v1_50" and "res2a_branch2a" in names


def _resnet50_of_2017() -> Weights:
    """ResNet50 as Keras had it until 2.2.4: ``res2a_branch2b``, and the default epsilon of batch normalization."""
    names = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1", "predictions": "fc1000"}

    def old(name: str) -> str:
        if name in names:
            return names[name]
        stage, unit, number, kind = re.fullmatch(r"conv(\d)_block(\d)_(\d)_(conv|bn)", name).groups()
        branch = ("1", "2a", "2b", "2c")[int(number)]
        return f"{'res' if kind == 'conv' else 'bn'}{stage}{'abcdef'[int(unit) - 1]}_branch{branch}"

    today = _resnet_v1("resnet_v1_50")
    layers = tuple(
        dataclasses.replace(
            layer, convolution=old(layer.convolution), batch_norm=layer.batch_norm and old(layer.batch_norm)
        )
        for layer in today.layers
    )
    return dataclasses.replace(today, layers=layers, epsilon=1e-3)


def _mobilenet_v1() -> Iterator[Layer]:
    yield both("conv1", "conv1_bn", "MobilenetV1/Conv2d_0")
    for i in range(1, 14):
        scope = f"MobilenetV1/Conv2d_{i}"
        yield both(f"conv_dw_{i}", f"conv_dw_{i}_bn", f"{scope}_depthwise", "depthwise_conv2d")
        yield both(f"conv_pw_{i}", f"conv_pw_{i}_bn", f"{scope}_pointwise")
    yield Layer("conv_preds", "MobilenetV1/Logits/Conv2d_1c_1x1")


def _mobilenet_v2(names: Collection[str]) -> Iterator[Layer]:
    yield both("Conv1", "bn_Conv1", "MobilenetV2/Conv")
    for i in range(17):
        there = f"block_{i}" if i else "expanded_conv"
        here = f"MobilenetV2/expanded_conv_{i}" if i else "MobilenetV2/expanded_conv"
        for part in ("expand", "depthwise", "project") if i else ("depthwise", "project"):
            kind = "depthwise_conv2d" if part == "depthwise" else "conv2d"
            yield both(f"{there}_{part}", f"{there}_{part}_BN", f"{here}/{part}", kind)
    yield both("Conv_1", "Conv_1_bn", "MobilenetV2/Conv_1")
    # The files of keras-applications have the logits by their first name.
    logits = "Logits" if "Logits" in names else "predictions"
    yield Layer(logits, "MobilenetV2/Logits/Conv2d_1c_1x1", kind="dense")


def _mobilenet_v3(network: str) -> Weights:
    """MobileNetV3Large and MobileNetV3Small; files without their top lack the convolution after the pooling too."""
    variables = official_variables(network)
    layers = [both("conv", "conv_bn", "MobilenetV3/Conv")]
    for i in range(_MOBILENET_V3[network]):
        block = f"expanded_conv_{i}" if i else "expanded_conv"
        here = f"MobilenetV3/{block}"
        if i:
            layers.append(both(f"{block}_expand", f"{block}_expand_bn", f"{here}/expand"))
        layers.append(both(f"{block}_depthwise", f"{block}_depthwise_bn", f"{here}/depthwise", "depthwise_conv2d"))
        if f"{here}/squeeze_excite/Conv/weights" in variables:
            layers.append(Layer(f"{block}_squeeze_excite_conv", f"{here}/squeeze_excite/Conv"))
            layers.append(Layer(f"{block}_squeeze_excite_conv_1", f"{here}/squeeze_excite/Conv_1"))
        layers.append(both(f"{block}_project", f"{block}_project_bn", f"{here}/project"))
    layers.append(both("conv_1", "conv_1_bn", "MobilenetV3/Conv_1"))
    layers.append(Layer("conv_2", "MobilenetV3/Conv_2"))
    layers.append(Layer("logits", "MobilenetV3/Logits/Conv2d_1c_1x1"))
    remark = "the logits are nearly Keras': where that divides by 6, TF-Slim's gates multiply by 0.16667"
    return Weights(variables, tuple(layers), top=2, remarks=() if network.endswith("_minimalistic") else (remark,))
