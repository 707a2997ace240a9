"""The weights of VGG that courses pass on as NumPy's files, with Caffe's names of layers.

``vgg16.npy`` and ``vgg19.npy`` (github.com/machrisaa/tensorflow-vgg) are dictionaries of [weights, biases] and take
BGR images, as the authors' Caffe models do; ``vgg16_weights.npz`` (www.cs.toronto.edu/~frossard/post/vgg16) has
``conv1_1_W`` and ``conv1_1_b`` and takes RGB ones. Both subtract the means that TF-Slim's VGG subtracts. Dense
layers are matrices whose rows are an image's positions row by row, the channels innermost.
"""

from __future__ import annotations

from slimft.checkpoint import Checkpoint
from slimft.conversion.layers import VGG, Layer, Weights, official_variables, vgg_convolutions
from slimft.conversion.source import SourceLayers

NETWORKS = ("vgg_16", "vgg_19")
LIBRARIES = ("Caffe", "Caffe (RGB)")


def weights_of(network: str, library: str) -> Weights:
    """How the weights of `network`, one of `NETWORKS`, are passed on in files of the kind `library`."""
    layers = [
        Layer(f"conv{block}_{i}", f"{network}/conv{block}/conv{block}_{i}")
        for block, i in vgg_convolutions(VGG[network])
    ]
    layers += [Layer(name, f"{network}/{name}", kind="dense") for name in ("fc6", "fc7", "fc8")]
    if library == "Caffe":
        remark = "taken to be for BGR images, as vgg16.npy is; conv1_1 is turned to RGB"
    else:
        remark = "taken to be for RGB images, as vgg16_weights.npz is"
    return Weights(
        official_variables(network), tuple(layers), top=3, reverse_channels=library == "Caffe", remarks=(remark,)
    )


def is_caffe_alexnet(source: Checkpoint, found: SourceLayers) -> bool:
    """Whether a file holds Caffe's AlexNet (``bvlc_alexnet.npy``): its conv2 sees half of conv1's channels."""
    if found.library not in LIBRARIES or not {"conv1", "conv2", "fc6"} <= found.named.keys():
        return False
    kernels = [found.named[layer].get("kernel") for layer in ("conv1", "conv2")]
    if None in kernels:
        return False
    shapes = [source.shape(kernel) for kernel in kernels]
    return all(len(shape) == 4 for shape in shapes) and 2 * shapes[1][2] == shapes[0][3]
