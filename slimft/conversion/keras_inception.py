"""Keras Applications' InceptionV3 and InceptionResNetV2, whose layers are numbered as they are made."""

from __future__ import annotations

import re
from collections.abc import Collection

from slimft.conversion.layers import Layer, Shape, Weights, both, official_variables

# Inception-ResNet V2's convolutions, modules and units, from the images on.
RESNET_BLOCKS = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "Mixed_5b",
    *(f"Repeat/block35_{i}" for i in range(1, 11)), "Mixed_6a", *(f"Repeat_1/block17_{i}" for i in range(1, 21)),
    "Mixed_7a", *(f"Repeat_2/block8_{i}" for i in range(1, 10)), "Block8", "Conv2d_7b_1x1",
)  # fmt: skip


def inception_v3(names: Collection[str]) -> Weights:
    """InceptionV3, given the names of a file's layers."""
    variables = without_auxiliary("inception_v3")
    # TF-Slim's names sort in that order too, but for the logits.
    scopes = convolutions(variables, "InceptionV3/")
    scopes.remove("InceptionV3/Logits/Conv2d_1c_1x1")
    layers = [both(*numbers, scope) for numbers, scope in zip(_numbers(names, len(scopes)), scopes)]
    # Mixed_7b and Mixed_7c have branches that end in two convolutions side by side, and a layer that joins them.
    layers = [layers[i] for i in _by_distance_to_the_end(scopes, splits=("1x3", "3x1"))]
    layers.append(Layer("predictions", "InceptionV3/Logits/Conv2d_1c_1x1", kind="dense"))
    return Weights(variables, tuple(layers), not_published=("InceptionV3/AuxLogits",))


def inception_resnet_v2(names: Collection[str]) -> Weights:
    """InceptionResNetV2, given the names of a file's layers; those that end its units, and the last, have names."""
    root = "InceptionResnetV2"
    variables = without_auxiliary("inception_resnet_v2")
    scopes = [scope for block in RESNET_BLOCKS for scope in convolutions(variables, f"{root}/{block}/")]
    named = {f"{root}/{block}/Conv2d_1x1": f"{_unit(block)}_conv" for block in RESNET_BLOCKS if "lock" in block}
    numbers = iter(_numbers(names, len(scopes) - len(named) - 1))
    layers = []
    for scope in scopes:
        if scope in named:
            layers.append(Layer(named[scope], scope))
        else:
            layers.append(both(*(("conv_7b", "conv_7b_bn") if "7b" in scope else next(numbers)), scope))
    layers = [layers[i] for i in _by_distance_to_the_end(scopes)]
    layers.append(Layer("predictions", f"{root}/Logits/Logits", kind="dense"))
    return Weights(variables, tuple(layers), not_published=(f"{root}/AuxLogits",))


def _unit(block: str) -> str:
    """What Keras calls a residual unit: the last one, which TF-Slim has beside the repeated, is its tenth."""
    return "block8_10" if block == "Block8" else block.rpartition("/")[2]


def without_auxiliary(network: str) -> dict[str, Shape]:
    """The shapes of a network's variables, by name, but for the auxiliary logits'."""
    return {name: shape for name, shape in official_variables(network).items() if "/AuxLogits/" not in name}


def convolutions(variables: Collection[str], prefix: str) -> list[str]:
    """The scopes that begin with `prefix` and have weights, sorted: branch by branch from the input on."""
    weights = [name for name in variables if name.startswith(prefix) and name.endswith("/weights")]
    return sorted(name.removesuffix("/weights") for name in weights)


def _numbers(names: Collection[str], length: int) -> list[tuple[str, str]]:
    """The names of `length` convolutions and their batch normalizations, in the order in which they were made."""
    return list(
        zip(_numbered(names, "conv2d", length), _numbered(names, "batch_normalization", length), strict=False)
    )


def _numbered(names: Collection[str], kind: str, length: int) -> list[str]:
    """The names ``kind``, ``kind_1`` ... among `names`, in the order of their numbers; at least `length` names.

    Keras continues with the numbers where another network stopped.
    """
    matches = (re.fullmatch(rf"{kind}(?:_([1-9]\d{{0,8}}))?", name) for name in names)
    numbers = sorted(int(match[1] or 0) for match in matches if match)
    following = numbers[-1] + 1 if numbers else 0
    numbers += range(following, following + length - len(numbers))
    return [f"{kind}_{number}" if number else kind for number in numbers]


def _by_distance_to_the_end(scopes: list[str], splits: tuple[str, ...] = ()) -> list[int]:
    """The indices of convolutions in the order of Keras' `Model.layers`.

    A convolution comes before those that are nearer to the end of their block; of equally near ones, the one that
    was made first.

    Args:
        scopes: of the convolutions, as they were made.
        splits: how the scopes end of those that are two side by side at the end of their branch.
    """
    branches = [scope.rpartition("/")[0] if "/Branch_" in scope else scope for scope in scopes]
    blocks = [branch.partition("/Branch_")[0] for branch in branches]
    is_split = [scope.endswith(splits) for scope in scopes]
    keys = []
    for i, branch in enumerate(branches):
        of_branch = [j for j, other in enumerate(branches) if other == branch]
        split = any(is_split[j] for j in of_branch)
        after = 0 if is_split[i] else sum(j > i for j in of_branch) - split
        keys.append((blocks.index(blocks[i]), -(3 * after + split), i))
    return [i for _, _, i in sorted(keys)]
