"""MobileNet V1 and V2."""

from ..entry import Counts, Entry

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
            "finegrain_classification_mode=False, min_depth=None, divisible_by=None, activation_fn=None, *, "
            "prediction_fn=softmax, reuse=None, base_only=False, final_endpoint=None, output_stride=None, "
            "use_explicit_padding=False, is_training=False)"
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


# Keras' count_params() of MobileNet(alpha) and MobileNetV2(alpha) with 1000 classes, all and the trainable ones.
NETWORKS = (
    v1("mobilenet_v1", 1, 4_253_864, 4_231_976, shapes=V1_SHAPES),
    v1("mobilenet_v1_075", 0.75, 2_601_976, 2_585_560),
    v1("mobilenet_v1_050", 0.5, 1_342_536, 1_331_592),
    v1("mobilenet_v1_025", 0.25, 475_544, 470_072, sizes=(32, 33, 223, 224, 225, 320)),
    v2("mobilenet_v2", 1280, 3_538_984, 3_504_872, shapes=V2_SHAPES),
    v2("mobilenet_v2_140", 1792, 6_156_712, 6_108_776),
)
