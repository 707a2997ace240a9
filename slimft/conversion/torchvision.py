"""The weights of torchvision's VGG: state dicts of `vgg11`, `vgg16` and `vgg19` (torchvision/models/vgg.py)."""

from __future__ import annotations

from slimft.conversion.layers import VGG, Layer, Weights, official_variables, torch_images, vgg_convolutions

NETWORKS = tuple(VGG)
# `features` and `classifier` number their modules; activations, poolings and dropouts count too.
_CLASSIFIER = {"fc6": 0, "fc7": 3, "fc8": 6}


def weights_of(network: str) -> Weights:
    """How torchvision publishes the weights of `network`, one of `NETWORKS`."""
    scopes, module, layers = [], 0, []
    for block, i in vgg_convolutions(VGG[network]):
        module += block > 1 and i == 1  # The pooling before the block.
        scopes.append(f"conv{block}/conv{block}_{i}")
        layers.append(Layer(f"features.{module}", f"{network}/{scopes[-1]}"))
        module += 2
    layers += [Layer(f"classifier.{module}", f"{network}/{scope}") for scope, module in _CLASSIFIER.items()]
    # vgg_a has no official release; what it has is in vgg_19 too, in the same shapes.
    shapes = official_variables("vgg_19")
    variables = {
        f"{network}/{scope}/{name}": shapes[f"vgg_19/{scope}/{name}"]
        for scope in (*scopes, *_CLASSIFIER)
        for name in ("weights", "biases")
    }
    return Weights(variables, tuple(layers), top=len(_CLASSIFIER), output_first=True, **torch_images())
