"""The weights of timm's MobileNet V1, and of torchvision's and timm's MobileNet V2.

Sources: torchvision/models/mobilenetv2.py; timm/models/efficientnet.py and _efficientnet_blocks.py.
"""

from __future__ import annotations

from collections.abc import Collection

from slimft.conversion.layers import Layer, Weights, both, official_variables

_DEPTHWISE = "depthwise_conv2d"
# The number of blocks in each of timm's stages: rows of the papers' tables, those of one resolution together in V1.
_TIMM_V1, _TIMM_V2 = (1, 2, 2, 6, 2), (1, 2, 3, 4, 3, 3, 1)
_V1_REMARK = "the logits are timm's at sizes of 32k + 1, as --image_size=225: at others it pads otherwise"
_V2_REMARK = (
    "the logits are the library's at sizes of 32k + 1, as --image_size=225, but for what is outside of the image: "
    "grey here, the mean colour there; at other sizes it pads otherwise"
)
_PARTS = ("expand", "depthwise", "project")


def mobilenet_v1(network: str, names: Collection[str]) -> Weights:
    """MobileNet V1, by timm's names."""
    layers = [both("conv_stem", "bn1", "MobilenetV1/Conv2d_0")]
    for i, block in enumerate(_blocks(_TIMM_V1), start=1):
        scope = f"MobilenetV1/Conv2d_{i}"
        layers.append(both(f"{block}.conv_dw", f"{block}.bn1", f"{scope}_depthwise", _DEPTHWISE))
        layers.append(both(f"{block}.conv_pw", f"{block}.bn2", f"{scope}_pointwise"))
    layers.append(Layer("classifier", "MobilenetV1/Logits/Conv2d_1c_1x1"))
    return Weights(official_variables(network), tuple(layers), epsilon=1e-5, remarks=(_V1_REMARK,))


def mobilenet_v2(network: str, names: Collection[str]) -> Weights:
    """MobileNet V2, by torchvision's names or timm's."""
    timm = "conv_stem" in names
    ends = ("conv_stem", "bn1", "conv_head", "bn2", "classifier")
    if not timm:
        ends = ("features.0.0", "features.0.1", "features.18.0", "features.18.1", "classifier.1")
    blocks = _blocks(_TIMM_V2) if timm else [f"features.{i}.conv" for i in range(1, 18)]
    layers = [both(*ends[:2], "MobilenetV2/Conv")]
    for i, block in enumerate(blocks):
        scope = f"MobilenetV2/expanded_conv_{i}" if i else "MobilenetV2/expanded_conv"
        # The first block has nothing to expand.
        parts = _PARTS if i else _PARTS[1:]
        for part, names_there in zip(parts, _v2_names(parts, timm)):
            convolution, batch_norm = (f"{block}.{name}" for name in names_there)
            kind = _DEPTHWISE if part == "depthwise" else "conv2d"
            layers.append(both(convolution, batch_norm, f"{scope}/{part}", kind))
    layers.append(both(*ends[2:4], "MobilenetV2/Conv_1"))
    layers.append(Layer(ends[4], "MobilenetV2/Logits/Conv2d_1c_1x1"))
    return Weights(official_variables(network), tuple(layers), epsilon=1e-5, remarks=(_V2_REMARK,))


def _v2_names(parts: tuple[str, ...], timm: bool) -> list[tuple[str, str]]:
    """What the convolutions and batch normalizations of a block are called."""
    last = len(parts) - 1
    if not timm:
        return [*((f"{i}.0", f"{i}.1") for i in range(last)), (str(last), str(last + 1))]
    convolutions = ("conv_pw", "conv_dw", "conv_pwl") if last == 2 else ("conv_dw", "conv_pw")
    return [(name, f"bn{i}") for i, name in enumerate(convolutions, start=1)]


def _blocks(stages: tuple[int, ...]) -> list[str]:
    return [f"blocks.{stage}.{i}" for stage, number in enumerate(stages) for i in range(number)]
