"""`slimft.legacy.preprocessing` by its documented path."""

import sys

from slimft.legacy.preprocessing import (
    cifarnet_preprocessing,
    densenet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    preprocessing_factory,
    vgg_preprocessing,
)

for module in (
    cifarnet_preprocessing,
    densenet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    preprocessing_factory,
    vgg_preprocessing,
):
    # So that `import slimft.preprocessing.vgg_preprocessing` finds the same module.
    sys.modules[module.__name__.replace("slimft.legacy.", "slimft.")] = module
