"""Networks under TF-Slim's variable names, and the registry that finds them.

`slimft.nets.vgg`, `slimft.nets.resnet_v1` and the others are drop-ins for the modules of research/slim's `nets`.
Importing this package imports no TensorFlow; importing a network's module does.
"""

import importlib
import importlib.util
import pkgutil

from slimft.nets.heads import HEADS
from slimft.nets.registry import get_network, network_names
from slimft.nets.spec import NetworkSpec

# What networks are found and built with; the other modules are networks, or what research/slim has beside them.
_INSIDE = {"dense_heads", "fully_connected", "heads", "registry", "spec"}

__all__ = ["HEADS", "NetworkSpec", "get_network", "network_names"]
__all__ += [module.name for module in pkgutil.iter_modules(__path__) if module.name not in _INSIDE]


def __getattr__(name):
    if importlib.util.find_spec(f"{__name__}.{name}"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'slimft.nets' has no attribute {name!r}")
