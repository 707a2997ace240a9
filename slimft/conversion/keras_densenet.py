"""The weights of Keras Applications' DenseNet (keras/src/applications/densenet.py, Keras 3.15)."""

from __future__ import annotations

from collections.abc import Collection

from slimft.conversion.layers import IMAGENET, Layer, Shape, Weights, input_of, less_means

# The number of layers in each dense block: table 1 of Huang et al., arXiv:1608.06993.
DENSENET = {"densenet_121": (6, 12, 24, 16), "densenet_169": (6, 12, 32, 32)}

_GROWTH = 32
_BOTTLENECK = 4 * _GROWTH
# Of densenet_preprocessing.py, and epsilon of densenet_arg_scope: github.com/pudae/tensorflow-densenet.
IMAGES = less_means(0.017)
_SLIM_EPSILON = 1.1e-5

PADDING = (
    "the logits are the library's at sizes of 4k + 1, as --image_size=225, but for half a grey level outside of "
    "the image: at others it pads otherwise"
)


def densenet_weights(network: str, names: Collection[str]) -> Weights:
    """How the weights of `network`, a key of `DENSENET`, are published; the arguments are `weights_of`'s."""
    root, blocks = network.replace("_", ""), DENSENET[network]
    # The files of keras-applications have names from before layers' names lost their slashes.
    conv1, conv1_bn = ("conv1/conv", "conv1/bn") if "conv1/conv" in names else ("conv1_conv", "conv1_bn")
    logits = "fc1000" if "fc1000" in names else "predictions"
    variables: dict[str, Shape] = {f"{root}/conv1/weights": (7, 7, 3, 64)} | _batch_norm(f"{root}/BatchNorm", 64)
    layers = [Layer(conv1, f"{root}/conv1", conv1_bn, f"{root}/BatchNorm")]

    def add(batch_norm: str, convolution: str, scope: str, shape: Shape) -> None:
        layers.append(Layer(batch_norm=batch_norm, statistics=f"{root}/{scope}/BatchNorm"))
        layers.append(Layer(convolution, f"{root}/{scope}/Conv"))
        variables.update(_batch_norm(f"{root}/{scope}/BatchNorm", shape[2]))
        variables[f"{root}/{scope}/Conv/weights"] = shape

    channels = 64
    for block, number in enumerate(blocks, start=1):
        for i in range(1, number + 1):
            there, here = f"conv{block + 1}_block{i}", f"dense_block{block}/conv_block{i}"
            add(f"{there}_0_bn", f"{there}_1_conv", f"{here}/x1", (1, 1, channels, _BOTTLENECK))
            add(f"{there}_1_bn", f"{there}_2_conv", f"{here}/x2", (3, 3, _BOTTLENECK, _GROWTH))
            channels += _GROWTH
        if block < len(blocks):
            there, here = f"pool{block + 1}", f"transition_block{block}/blk"
            add(f"{there}_bn", f"{there}_conv", here, (1, 1, channels, channels // 2))
            channels //= 2
    layers.append(Layer(batch_norm="bn", statistics=f"{root}/final_block/BatchNorm"))
    layers.append(Layer(logits, f"{root}/logits", kind="dense"))
    variables |= _batch_norm(f"{root}/final_block/BatchNorm", channels)
    variables |= {f"{root}/logits/weights": (1, 1, channels, 1000), f"{root}/logits/biases": (1000,)}
    return Weights(
        variables,
        tuple(layers),
        **input_of(IMAGENET, IMAGES),
        epsilon=1.001e-5,
        slim_epsilon=_SLIM_EPSILON,
        remarks=(PADDING,),
    )


def _batch_norm(scope: str, channels: int) -> dict[str, Shape]:
    return {f"{scope}/{name}": (channels,) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
