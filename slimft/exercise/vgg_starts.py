"""What stands in for VGG's official checkpoints where they cannot be had: `hed`, conv1 to conv5 of a VGG-16.

It was trained on ImageNet and then to find edges (see `slimft.checkpoint.named.open_hed`). Its fc6, fc7 and fc8 are
not there, and neither are the layers that deeper networks have beside VGG-16's. These start afresh and train.
"""

from __future__ import annotations

from typing import Any

from slimft.exercise.steps import Start

# Convolutions in each of the five blocks.
_VGG_16 = (2, 2, 3, 3, 3)
_BLOCKS = {"vgg_16": _VGG_16, "vgg_19": (2, 2, 4, 4, 4), "vgg_postech": (2, 3, 4, 5, 5)}
_NOTE = "hed in place of {}: conv1 to conv5 of VGG-16, fine-tuned to edges; {} start afresh"


def fully_connected(model: str) -> tuple[str, ...]:
    """The scopes of fc6, fc7 and fc8."""
    return tuple(f"{model}/fc{layer}" for layer in (6, 7, 8))


def added(model: str, to: str = "vgg_16") -> tuple[str, ...]:
    """The convolutions that `model` has and the VGG `to` has not."""
    layers = enumerate(zip(_BLOCKS[to], _BLOCKS[model]), start=1)
    return tuple(
        f"{model}/conv{block}/conv{block}_{layer}"
        for block, (fewer, more) in layers
        for layer in range(fewer + 1, more + 1)
    )


def from_hed(model: str, official: str, **flags: Any) -> Start:
    """`hed` as a start of a VGG.

    Args:
        model: the network.
        official: the checkpoint that it stands in for.
        flags: what else it changes.
    """
    afresh = (*added(model), *fully_connected(model))
    told = "fc6, fc7 and fc8" if model == "vgg_16" else "the layers that it has not"
    rename = {} if model == "vgg_16" else {"rename": (f"vgg_16:{model}",)}
    return Start("hed", {"exclude": afresh, **rename, **flags}, _NOTE.format(official, told))
