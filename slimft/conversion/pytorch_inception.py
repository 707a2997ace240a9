"""The weights of torchvision's and timm's Inception networks, of which GoogLeNet is one.

TF-Slim's, ported: torchvision/models/inception.py and googlenet.py, timm/models/inception_v3.py, inception_v4.py
and inception_resnet_v2.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from slimft.conversion.keras_inception import RESNET_BLOCKS, convolutions, without_auxiliary
from slimft.conversion.layers import Layer, Weights, both, official_variables

# What comes after `branch` in the names of a module's convolutions, in the order of TF-Slim's scopes.
_V3_MODULES = {
    ("5b", "5c", "5d"): "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool",
    ("6a",): "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3",
    ("6b", "6c", "6d", "6e"): "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 _pool",
    ("7a",): "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4",
    ("7b", "7c"): "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool",
}
_FOUR_BRANCHES = "branch0 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2 branch3.1"
_V4_MODULES = {
    ("3a", "5a"): "conv",
    ("4a",): "branch0.0 branch0.1 branch1.0 branch1.1 branch1.2 branch1.3",
    ("5b", "5c", "5d", "5e"): _FOUR_BRANCHES,
    ("6a",): "branch0 branch1.0 branch1.1 branch1.2",
    ("6b", "6c", "6d", "6e", "6f", "6g", "6h"): (
        "branch0 branch1.0 branch1.1 branch1.2 branch2.0 branch2.1 branch2.2 branch2.3 branch2.4 branch3.1"
    ),
    ("7a",): "branch0.0 branch0.1 branch1.0 branch1.1 branch1.2 branch1.3",
    ("7b", "7c", "7d"): (
        "branch0 branch1_0 branch1_1a branch1_1b branch2_0 branch2_1 branch2_2 branch2_3a branch2_3b branch3.1"
    ),
}
# By the names of Inception-ResNet V2's modules, and of its units but for their number.
_RESNET_MODULES = {
    "Mixed_5b": _FOUR_BRANCHES,
    "block35": "branch0 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2 conv2d",
    "Mixed_6a": "branch0 branch1.0 branch1.1 branch1.2",
    "block17": "branch0 branch1.0 branch1.1 branch1.2 conv2d",
    "Mixed_7a": "branch0.0 branch0.1 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2",
    "block8": "branch0 branch1.0 branch1.1 branch1.2 conv2d",
    "Block8": "branch0 branch1.0 branch1.1 branch1.2 conv2d",
}
_V1_BRANCHES = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
_V1_STEM = {"conv1": "Conv2d_1a_7x7", "conv2": "Conv2d_2b_1x1", "conv3": "Conv2d_2c_3x3"}

_GAMMA = (
    "batch normalization's scales became a part of the weights, as TF-Slim's Inception has none: in training, "
    "which normalizes anew, they count no longer"
)


def inception_v3(network: str, names: Collection[str]) -> Weights:
    """Inception V3; with the auxiliary logits where a file has them."""
    variables = official_variables(network)
    scopes = _scopes(variables, "InceptionV3")
    layers = [_both(scope, f"InceptionV3/{scope}") for scope in scopes if scope.startswith("Conv2d_")]
    for modules, branches in _V3_MODULES.items():
        for module in modules:
            here = [scope for scope in scopes if scope.startswith(f"Mixed_{module}/")]
            for scope, branch in zip(here, branches.split(), strict=True):
                layers.append(_both(f"Mixed_{module}.branch{branch}", f"InceptionV3/{scope}"))
    auxiliary = (
        _both("AuxLogits.conv0", "InceptionV3/AuxLogits/Conv2d_1b_1x1"),
        _both("AuxLogits.conv1", "InceptionV3/AuxLogits/Conv2d_2a_5x5"),
        Layer("AuxLogits.fc", "InceptionV3/AuxLogits/Conv2d_2b_1x1"),
    )
    layers.append(Layer("fc", "InceptionV3/Logits/Conv2d_1c_1x1"))
    remarks = (
        "images are taken to be RGB in [-1, 1], as of all published weights but timm's gluon_in1k; for these give "
        "--mean=0.485,0.456,0.406 --std=0.229,0.224,0.225",
        "averages beside a map's border are of what is in the map, as in TF-Slim, where PyTorch counts zeros too",
        _GAMMA,
    )
    return Weights(variables, tuple(layers), auxiliary=auxiliary, remarks=remarks)


def inception_v1(network: str, names: Collection[str]) -> Weights:
    """GoogLeNet, with batch normalization as in TF-Slim's Inception V1; which has no auxiliary logits."""
    variables = official_variables(network)
    scopes = _scopes(variables, "InceptionV1")
    layers = [_both(there, f"InceptionV1/{scope}") for there, scope in _V1_STEM.items()]
    for module in dict.fromkeys(scope.partition("/")[0] for scope in scopes if scope.startswith("Mixed_")):
        # Mixed_3b is called inception3a: TF-Slim counts the pooling before.
        there = f"inception{module[-2]}{chr(ord(module[-1]) - 1)}"
        here = [scope for scope in scopes if scope.startswith(f"{module}/")]
        for scope, branch in zip(here, _V1_BRANCHES, strict=True):
            layers.append(_both(f"{there}.{branch}", f"InceptionV1/{scope}"))
    layers.append(Layer("fc", "InceptionV1/Logits/Conv2d_0c_1x1"))
    remarks = (
        "the logits are torchvision's at sizes of 32k - 1, as --image_size=223: at others it pads otherwise",
        _GAMMA,
    )
    return Weights(variables, tuple(layers), unused=("aux1.", "aux2."), remarks=remarks)


def inception_v4(network: str, names: Collection[str]) -> Weights:
    """timm's Inception V4, which pads as TF-Slim's; it has no auxiliary logits."""
    variables = without_auxiliary(network)
    stem = [f"InceptionV4/Conv2d_{layer}_3x3" for layer in ("1a", "2a", "2b")]
    layers = [_both(f"features.{number}", scope) for number, scope in enumerate(stem)]
    tables = sorted((module, table) for modules, table in _V4_MODULES.items() for module in modules)
    for number, (module, table) in enumerate(tables, start=len(stem)):
        here = convolutions(variables, f"InceptionV4/Mixed_{module}/")
        for scope, branch in zip(here, table.split(), strict=True):
            layers.append(_both(f"features.{number}.{branch}", scope))
    layers.append(Layer("last_linear", "InceptionV4/Logits/Logits"))
    return Weights(variables, tuple(layers), not_published=("InceptionV4/AuxLogits",), remarks=(_GAMMA,))


def inception_resnet_v2(network: str, names: Collection[str]) -> Weights:
    """timm's Inception-ResNet V2, which pads as TF-Slim's; it has no auxiliary logits."""
    root = "InceptionResnetV2"
    variables, layers = without_auxiliary(network), []
    for block in RESNET_BLOCKS:
        here = convolutions(variables, f"{root}/{block}/")
        layers += [
            Layer(there, scope) if there.endswith(".conv2d") else _both(there, scope)
            for there, scope in zip(_names_in_timm(block), here, strict=True)
        ]
    layers.append(Layer("classif", f"{root}/Logits/Logits"))
    return Weights(variables, tuple(layers), not_published=(f"{root}/AuxLogits",), remarks=(_GAMMA,))


def _names_in_timm(block: str) -> list[str]:
    """What timm calls the convolutions of one of `RESNET_BLOCKS`; the units of a sequence count from 0."""
    sequence, _, last = block.rpartition("/")
    kind, _, number = last.rpartition("_") if sequence else (last, "", "")
    if kind not in _RESNET_MODULES:
        return [last.lower().rpartition("_")[0]]
    there = f"{sequence}.{int(number) - 1}" if sequence else last
    return [f"{there.lower()}.{branch}" for branch in _RESNET_MODULES[kind].split()]


def _scopes(variables: Iterable[str], root: str) -> list[str]:
    """The scopes of all convolutions below `root`, sorted: in each module, branch by branch from the input on."""
    weights = [name.removeprefix(f"{root}/") for name in variables if name.endswith("/weights")]
    return sorted(name.removesuffix("/weights") for name in weights)


def _both(there: str, scope: str) -> Layer:
    return both(f"{there}.conv", f"{there}.bn", scope)
