"""The four ways of transfer learning, as settings: what ``--recipe`` stands for.

``features`` trains a new head on the frozen network, ``top`` the head and the last blocks, ``all`` everything, each
from the official checkpoint; ``scratch`` trains everything from nothing. So do the guides to transfer learning, as
Keras' (keras.io/guides/transfer_learning): a head on a frozen base, then the base at a small learning rate.

Otherwise than in that guide, a batch_norm layer that trains is updated: at these rates, MobileNet V1 with the
checkpoint's statistics trains badly or falls apart. What does not train keeps its statistics.
"""

from __future__ import annotations

from collections.abc import Mapping

from slimft.errors import UsageError
from slimft.nets import NetworkSpec
from slimft.runs.settings import RECIPES
from slimft.runs.settings_file import flags_of

# Optimizers and learning rates with batch normalization: about the best of some tried with MobileNet V1 on 10,000
# images of CIFAR-10, 96 pixels, 2 epochs.
_NORMALIZED = {
    "features": ("adam", 0.005),
    "top": ("adam", 0.001),
    "all": ("adam", 0.0005),
    "scratch": ("momentum", 0.01),
}
# Without it, rates have to be smaller; gradients are of very different sizes from layer to layer, for which Adam
# makes up. That of `all`: by VGG-16 from `hed` on 10,000 images of CIFAR-10, 32 pixels, 4 epochs (docs/results.md).
_PLAIN = {
    "features": ("adam", 0.001),
    "top": ("adam", 0.0001),
    "all": ("adam", 0.0001),
    "scratch": ("adam", 0.0001),
}
# Scores of pixels are of the activations of pool3, pool4 and fc7 as they are, which are large: at a higher rate, or
# one that is multiplied for them, the loss soars at first.
_OF_PLAIN_MAPS = ("adam", 0.0001)
# The scopes of networks that have none begin so.
_PLAIN_SCOPES = ("alexnet", "overfeat", "vgg", "LeNet", "CifarNet")
# A new head has further to go: at least about the rate of `features`.
_OF_THE_HEAD = {("top", False): "head:10", ("all", True): "head:5", ("all", False): "head:10"}
# While a new head is still random, what it sends back through the network is, too.
_WARMUP_EPOCHS = {"top": 0.2, "all": 0.5, "scratch": 0.5}


def recipe_flags(
    name: str, spec: NetworkSpec, head: str = "linear", options: Mapping[str, object] | None = None
) -> dict:
    """The settings that make a recipe.

    Args:
        name: one of `RECIPES`.
        spec: the network.
        head: the head that will be at its end.
        options: those of the network, as of `NetworkSpec.build`.

    Returns:
        Values of fields of `Settings`. There is no ``checkpoint`` for ``scratch``, nor where the network has no
        official one: then the other recipes need one from elsewhere.

    Raises:
        UsageError: there is no such recipe, or the network cannot end as `options` have it.
    """
    if name not in RECIPES:
        raise UsageError(f"--recipe={name}: there is no such recipe; choose one of {', '.join(RECIPES)}")
    normalizes = not spec.scope.startswith(_PLAIN_SCOPES)
    plain_maps = spec.task_of(head) == "segmentation" and not normalizes
    optimizer, learning_rate = _OF_PLAIN_MAPS if plain_maps else (_NORMALIZED if normalizes else _PLAIN)[name]
    flags = {"optimizer": optimizer, "learning_rate": learning_rate}
    if name != "scratch":
        if spec.official_checkpoint:
            flags["checkpoint"] = spec.official_checkpoint
        # What scores pixels starts afresh by itself where a checkpoint has none of it.
        flags["exclude"] = () if spec.task_of(head) == "segmentation" else spec.head_scopes(head)
    if name in ("features", "top"):
        flags["trainable"] = spec.expand(("head" if name == "features" else "top",), head, options)
    if name == "features" and spec.task_of(head) == "classification":
        flags["cache_views"] = 1
    if name in _WARMUP_EPOCHS:
        flags["warmup_epochs"] = _WARMUP_EPOCHS[name]
    if (name, normalizes) in _OF_THE_HEAD and not plain_maps:
        flags["lr_multiplier"] = (_OF_THE_HEAD[name, normalizes],)
    return flags


def explain(flags: dict) -> list[str]:
    """The flags of bin/finetune that set what `recipe_flags` returns, such as ``--trainable=vgg_16/fc8``."""
    return [flag for name, value in flags.items() for flag in flags_of(name, value)]
