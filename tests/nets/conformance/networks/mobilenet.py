"""MobileNet V1, V2 and V3.

tests/nets/mobilenet_edgetpu_variables.json holds the variables' shapes, a dictionary a scope, of the networks
without an official checkpoint that nets/mobilenet/mobilenet_v3.py of research/slim builds (2020, its last; with int
for np.int) under its training_scope, with 1001 classes.
"""

import json
import pathlib

from ..entry import Counts, Entry
from .densenet import flat

EDGETPU = json.loads(
    pathlib.Path(__file__).parents[2].joinpath("mobilenet_edgetpu_variables.json").read_text(encoding="utf-8")
)

# What the convolutions from the first pointwise one on give at 224 pixels (arXiv:1704.04861, table 1): size,
# channels.
V1_TABLE = [
    (112, 64), (56, 64), (56, 128), (56, 128), (56, 128), (28, 128), (28, 256), (28, 256), (28, 256),
    (14, 256), *[(14, 512)] * 11, (7, 512), (7, 1024), (7, 1024), (7, 1024),
]  # fmt: skip
V1_PAIRS = [f"Conv2d_{i}_{half}" for i in range(1, 14) for half in ("depthwise", "pointwise")]
V1_SHAPES = {
    "Conv2d_0": [112, 112, 32],
    "Conv2d_1_depthwise": [112, 112, 32],
    **{key: [size, size, depth] for key, (size, depth) in zip(V1_PAIRS[1:], V1_TABLE)},
    "AvgPool_1a": [1, 1, 1024],
    "Logits": [1001],
    "Predictions": [1001],
}
# Size and channels of each layer at 224 pixels (arXiv:1801.04381, table 2).
V2_TABLE = [
    (112, 32),
    (112, 16),
    *[(56, 24)] * 2,
    *[(28, 32)] * 3,
    *[(14, 64)] * 4,
    *[(14, 96)] * 3,
    *[(7, 160)] * 3,
    (7, 320),
    (7, 1280),
]
V2_LAYERS = [f"layer_{i}" for i in range(1, 20)]
V2_END_POINTS = (
    *V2_LAYERS,
    # The first bottleneck has an expansion of 1: it does not expand.
    "layer_2/depthwise_output",
    "layer_2/output",
    *(f"layer_{i}/{kind}" for i in range(3, 19) for kind in ("expansion_output", "depthwise_output", "output")),
    "global_pool",
    "Logits",
    "Predictions",
)
V2_SHAPES = {
    **{key: [size, size, depth] for key, (size, depth) in zip(V2_LAYERS, V2_TABLE)},
    # Layer 15 expands the 96 channels before it, then halves 14x14.
    "layer_15/expansion_output": [14, 14, 6 * 96],
    "layer_15/depthwise_output": [7, 7, 6 * 96],
    "layer_15/output": [7, 7, 160],
    "global_pool": [1, 1, 1280],
    "Logits": [1001],
    "Predictions": [1001],
}


def v1(name, share, total, trainable, **arguments):
    return Entry(
        name=name,
        module="mobilenet_v1",
        arg_scope="mobilenet_v1_arg_scope",
        scope="MobilenetV1",
        classes=1001,
        signature=(
            "(inputs, num_classes=1000, dropout_keep_prob=0.999, is_training=True, min_depth=8, "
            "depth_multiplier=1.0, conv_defs=None, prediction_fn=softmax, spatial_squeeze=True, reuse=None, "
            "scope='MobilenetV1', global_pool=False, final_endpoint=None)"  # The last is ours alone.
        ),
        # 27 convolutions with batch_norm's gamma, beta and two averages; the logits' weights and biases. The
        # depthwise weights do not decay.
        counts=Counts(27 * 5 + 2, 27 * 3 + 2, 14 + 1, 27 * 2),
        trainable=trainable,
        total=total,
        logits=("Logits/Conv2d_1c_1x1",),
        end_points=tuple(V1_SHAPES),
        # As in the frozen graphs that were published beside the checkpoints.
        ops={
            "Conv2d_0": "MobilenetV1/MobilenetV1/Conv2d_0/Relu6",
            "Logits": "MobilenetV1/Logits/SpatialSqueeze",
            "Predictions": "MobilenetV1/Predictions/Reshape_1",
        },
        features="AvgPool_1a",
        channels=int(1024 * share),
        **arguments,
    )


def v2(name, channels, total, trainable, **arguments):
    return Entry(
        name=name,
        module="mobilenet_v2",
        arg_scope="training_scope",
        scope="MobilenetV2",
        classes=1001,
        signature=(
            "(input_tensor, num_classes=1001, depth_multiplier=1.0, scope='MobilenetV2', conv_defs=None, "
            "finegrain_classification_mode=False, min_depth=None, divisible_by=None, activation_fn=None, **kwargs)"
        ),
        # 52 convolutions likewise, 17 of them depthwise.
        counts=Counts(52 * 5 + 2, 52 * 3 + 2, 52 - 17 + 1, 2 * 52),
        trainable=trainable,
        total=total,
        logits=("Logits/Conv2d_1c_1x1",),
        end_points=V2_END_POINTS,
        # As in the frozen graphs that were published beside the checkpoints.
        ops={
            "layer_1": "MobilenetV2/Conv/Relu6",
            "layer_15/expansion_output": "MobilenetV2/expanded_conv_13/expansion_output",
            "layer_19": "MobilenetV2/Conv_1/Relu6",
            "global_pool": "MobilenetV2/Logits/AvgPool",
            "Logits": "MobilenetV2/Logits/output",
            "Predictions": "MobilenetV2/Predictions/Reshape_1",
        },
        features="global_pool",
        channels=channels,
        **arguments,
    )


# Of each bottleneck: size and channels that it gives at 224 pixels, channels between (arXiv:1905.02244, tables 1
# and 2).
LARGE = [
    (112, 16, 16), (56, 24, 64), (56, 24, 72), (28, 40, 72), (28, 40, 120), (28, 40, 120), (14, 80, 240),
    (14, 80, 200), (14, 80, 184), (14, 80, 184), (14, 112, 480), (14, 112, 672), (7, 160, 672), (7, 160, 960),
    (7, 160, 960),
]  # fmt: skip
SMALL = [
    (56, 16, 16), (28, 24, 72), (28, 24, 88), (14, 40, 96), (14, 40, 240), (14, 40, 240), (14, 48, 120),
    (14, 48, 144), (7, 96, 288), (7, 96, 576), (7, 96, 576),
]  # fmt: skip


def v3(name, table, channels, trainable, total, excited=0, **arguments):
    """`excited`: the number of bottlenecks with squeeze-and-excite."""
    ends = [f"layer_{i}" for i in range(len(table) + 2, len(table) + 5)]
    shapes = {"layer_1": [112, 112, 16]}
    for i, (size, depth, inner) in enumerate(table, start=2):
        shapes |= {f"layer_{i}": [size, size, depth], f"layer_{i}/depthwise_output": [size, size, inner]}
    last = table[-1][2]  # Which is also the depth of the layer after the bottlenecks.
    shapes |= dict(zip(ends, ([7, 7, last], [1, 1, last], [1, 1, channels])))
    # The first bottleneck has an expansion of 1: it does not expand.
    inner = [f"layer_2/{kind}" for kind in ("depthwise_output", "output")] + [
        f"layer_{i}/{kind}"
        for i in range(3, len(table) + 2)
        for kind in ("expansion_output", "depthwise_output", "output")
    ]
    normalized = 1 + 3 * len(table) - 1 + 1
    act = "hard_swish/mul_1" if excited else "Relu"
    return _classifier(
        name,
        "MobilenetV3",
        trainable,
        total=total,
        # Each squeeze-and-excite has two convolutions with biases, and so are the last one and the logits.
        counts=Counts(
            5 * normalized + 4 * excited + 4,
            3 * normalized + 4 * excited + 4,
            normalized - len(table) + 2 * excited + 2,
            2 * normalized,
        ),
        end_points=("layer_1", *(f"layer_{i}" for i in range(2, len(table) + 2)), *ends, *inner, *V3_LAST),
        shapes={**shapes, "global_pool": [1, 1, channels], "Logits": [1001], "Predictions": [1001]},
        ops={
            "layer_1": f"MobilenetV3/Conv/{act}",
            ends[0]: f"MobilenetV3/Conv_1/{act}",
            ends[1]: "MobilenetV3/AvgPool2D/AvgPool",
            ends[2]: f"MobilenetV3/Conv_2/{act}",
        },
        channels=channels,
        **arguments,
    )


V3_LAST = ("global_pool", "Logits", "Predictions")
# Size and channels of each layer at 224 pixels.
EDGETPU_TABLE = [
    (112, 32), (112, 16), *[(56, 32)] * 4, *[(28, 48)] * 4, *[(14, 96)] * 8, *[(7, 160)] * 4, (7, 192), (7, 1280),
]  # fmt: skip


def edgetpu(name, trainable, **arguments):
    layers = [f"layer_{i}" for i in range(1, 25)]
    inner = ["layer_2/output"]
    for i in range(3, 24):
        kinds = ("expansion_output", "output") if i < 11 else ("expansion_output", "depthwise_output", "output")
        inner += [f"layer_{i}/{kind}" for kind in kinds]
    return _classifier(
        name,
        "MobilenetEdgeTPU",
        trainable,
        # Two convolutions beside the bottlenecks: one of one layer, 8 of two, 13 of three.
        counts=Counts(58 * 5 + 2, 58 * 3 + 2, 58 - 13 + 1, 2 * 58),
        variables=flat(EDGETPU[name], "MobilenetEdgeTPU"),
        end_points=(*layers, *inner, *V3_LAST),
        ops={"layer_1": "MobilenetEdgeTPU/Conv/Relu", "layer_24": "MobilenetEdgeTPU/Conv_1/Relu"},
        channels=1280,
        **arguments,
    )


def _classifier(name, scope, trainable, ops, **arguments):
    last = {"global_pool": "AvgPool", "Logits": "output"}
    return Entry(
        name=name,
        module="mobilenet_v3",
        arg_scope="training_scope",
        scope=scope,
        classes=1001,
        signature=(
            "(input_tensor, num_classes=1001, depth_multiplier=1.0, scope='MobilenetV3', conv_defs=None, "
            "finegrain_classification_mode=False, use_groupnorm=False, **kwargs)"
        ),
        trainable=trainable,
        logits=("Logits/Conv2d_1c_1x1",),
        ops={
            **ops,
            **{key: f"{scope}/Logits/{op}" for key, op in last.items()},
            "Predictions": f"{scope}/Predictions/Reshape_1",
        },
        features="global_pool",
        **arguments,
    )


# Keras' count_params() of MobileNet(alpha), MobileNetV2(alpha), MobileNetV3Large and MobileNetV3Small with 1000
# classes, all and the trainable ones.
NETWORKS = (
    v1("mobilenet_v1", 1, 4_253_864, 4_231_976, shapes=V1_SHAPES),
    v1("mobilenet_v1_075", 0.75, 2_601_976, 2_585_560, slow=("ends",)),
    v1("mobilenet_v1_050", 0.5, 1_342_536, 1_331_592, slow=("ends",)),
    v1("mobilenet_v1_025", 0.25, 475_544, 470_072, sizes=(33, 225, 320)),
    v2("mobilenet_v2", 1280, 3_538_984, 3_504_872, shapes=V2_SHAPES),
    v2("mobilenet_v2_140", 1792, 6_156_712, 6_108_776, slow=("ends",)),
    v2("mobilenet_v2_050", 1280, 1_987_224, 1_968_680, slow=("ends",)),
    v2("mobilenet_v2_035", 1280, 1_691_208, 1_677_128, slow=("ends",)),
    v3("mobilenet_v3_large", LARGE, 1280, 5_483_032, 5_507_432, excited=8, slow=("ends",)),
    v3("mobilenet_v3_large_minimalistic", LARGE, 1280, 3_924_288, 3_948_688, slow=("ends",)),
    v3("mobilenet_v3_small", SMALL, 1024, 2_542_856, 2_554_968, excited=9),
    v3("mobilenet_v3_small_minimalistic", SMALL, 1024, 2_044_736, 2_056_848, slow=("ends",)),
    # As research/slim builds them, whose README has 4.0 and 2.9 million.
    edgetpu(
        "mobilenet_edgetpu",
        4_091_432,
        shapes={f"layer_{i}": [size, size, depth] for i, (size, depth) in enumerate(EDGETPU_TABLE, start=1)},
        slow=("ends",),
    ),
    edgetpu("mobilenet_edgetpu_075", 2_988_160),
)
