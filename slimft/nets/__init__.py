"""Networks under TF-Slim's variable names, and the registry that finds them.

`slimft.nets.vgg`, `slimft.nets.resnet_v1` and the others are drop-ins for the modules of research/slim's `nets`.
Importing this package imports no TensorFlow; importing a network's module does.
"""

import importlib

from slimft.nets.registry import HEADS, NetworkSpec, get_network, network_names

_FAMILIES = (
    "alexnet", "densenet", "inception", "inception_utils", "inception_v1", "inception_v3", "mobilenet_utils",
    "mobilenet_v1", "mobilenet_v2", "nets_factory", "resnet_utils", "resnet_v1", "resnet_v2", "vgg",
)  # fmt: skip

__all__ = ["HEADS", "NetworkSpec", "get_network", "network_names", *_FAMILIES]


def __getattr__(name):
    if name in _FAMILIES:
        return importlib.import_module(f"slimft.nets.{name}")
    raise AttributeError(f"module 'slimft.nets' has no attribute {name!r}")
