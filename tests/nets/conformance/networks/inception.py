"""Inception V1, V2, V3 and V4, and Inception-ResNet V2."""

from ..entry import Counts, Entry, TfSlim

# At 224x224: those of tf-slim's own tests (tf_slim/nets/inception_v1_test.py) and of table 1 of the paper.
V1_SHAPES = {
    "Conv2d_1a_7x7": [112, 112, 64], "MaxPool_2a_3x3": [56, 56, 64], "Conv2d_2b_1x1": [56, 56, 64],
    "Conv2d_2c_3x3": [56, 56, 192], "MaxPool_3a_3x3": [28, 28, 192], "Mixed_3b": [28, 28, 256],
    "Mixed_3c": [28, 28, 480], "MaxPool_4a_3x3": [14, 14, 480], "Mixed_4b": [14, 14, 512],
    "Mixed_4c": [14, 14, 512], "Mixed_4d": [14, 14, 512], "Mixed_4e": [14, 14, 528], "Mixed_4f": [14, 14, 832],
    "MaxPool_5a_2x2": [7, 7, 832], "Mixed_5b": [7, 7, 832], "Mixed_5c": [7, 7, 1024],
    "AvgPool_0a_7x7": [1, 1, 1024], "Logits": [1001], "Predictions": [1001],
}  # fmt: skip
# Of everything but the logits, moving averages too: tf-slim's own tests. A batch normalization has as many of those
# as of betas, and no gammas: 7_280 channels.
V1_BASE, V1_CHANNELS = 5_607_184, 7_280
# At 224x224: figure 5 of the paper, and research/slim's own tests (research/slim/nets/inception_v2_test.py).
V2_SHAPES = {
    "Conv2d_1a_7x7": [112, 112, 64], "MaxPool_2a_3x3": [56, 56, 64], "Conv2d_2b_1x1": [56, 56, 64],
    "Conv2d_2c_3x3": [56, 56, 192], "MaxPool_3a_3x3": [28, 28, 192], "Mixed_3b": [28, 28, 256],
    "Mixed_3c": [28, 28, 320], "Mixed_4a": [14, 14, 576], "Mixed_4b": [14, 14, 576], "Mixed_4c": [14, 14, 576],
    "Mixed_4d": [14, 14, 576], "Mixed_4e": [14, 14, 576], "Mixed_5a": [7, 7, 1024], "Mixed_5b": [7, 7, 1024],
    "Mixed_5c": [7, 7, 1024], "AvgPool_1a": [1, 1, 1024], "PreLogits": [1, 1, 1024], "Logits": [1001],
    "Predictions": [1001],
}  # fmt: skip
# Of everything but the logits, moving averages too: research/slim's own tests.
V2_BASE, V2_CHANNELS = 10_173_112, 9_888
# At 299x299: table 1 of the paper, and research/slim's own tests (research/slim/nets/inception_v3_test.py).
V3_SHAPES = {
    "Conv2d_1a_3x3": [149, 149, 32], "Conv2d_2a_3x3": [147, 147, 32], "Conv2d_2b_3x3": [147, 147, 64],
    "MaxPool_3a_3x3": [73, 73, 64], "Conv2d_3b_1x1": [73, 73, 80], "Conv2d_4a_3x3": [71, 71, 192],
    "MaxPool_5a_3x3": [35, 35, 192], "Mixed_5b": [35, 35, 256], "Mixed_5c": [35, 35, 288],
    "Mixed_5d": [35, 35, 288], "Mixed_6a": [17, 17, 768], "Mixed_6b": [17, 17, 768], "Mixed_6c": [17, 17, 768],
    "Mixed_6d": [17, 17, 768], "Mixed_6e": [17, 17, 768], "Mixed_7a": [8, 8, 1280], "Mixed_7b": [8, 8, 2048],
    "Mixed_7c": [8, 8, 2048], "AuxLogits": [1001], "AvgPool_1a": [1, 1, 2048], "PreLogits": [1, 1, 2048],
    "Logits": [1001], "Predictions": [1001],
}  # fmt: skip
# At 299x299: figure 9 of the paper, and research/slim's own tests (research/slim/nets/inception_v4_test.py).
V4_SHAPES = {
    "Conv2d_1a_3x3": [149, 149, 32], "Conv2d_2a_3x3": [147, 147, 32], "Conv2d_2b_3x3": [147, 147, 64],
    "Mixed_3a": [73, 73, 160], "Mixed_4a": [71, 71, 192], "Mixed_5a": [35, 35, 384],
    **{f"Mixed_5{letter}": [35, 35, 384] for letter in "bcde"},
    **{f"Mixed_6{letter}": [17, 17, 1024] for letter in "abcdefgh"},
    **{f"Mixed_7{letter}": [8, 8, 1536] for letter in "abcd"},
    "AuxLogits": [1001], "global_pool": [1, 1, 1536], "PreLogitsFlatten": [1536], "Logits": [1001],
    "Predictions": [1001],
}  # fmt: skip
# timm's inception_v4, whose 31_584 channels of batch normalization have gammas besides.
V4_TRAINABLE = 42_679_816 - 31_584
# At 299x299: research/slim's own tests (research/slim/nets/inception_resnet_v2_test.py).
RESNET_SHAPES = {
    "Conv2d_1a_3x3": [149, 149, 32], "Conv2d_2a_3x3": [147, 147, 32], "Conv2d_2b_3x3": [147, 147, 64],
    "MaxPool_3a_3x3": [73, 73, 64], "Conv2d_3b_1x1": [73, 73, 80], "Conv2d_4a_3x3": [71, 71, 192],
    "MaxPool_5a_3x3": [35, 35, 192], "Mixed_5b": [35, 35, 320], "Mixed_6a": [17, 17, 1088],
    "PreAuxLogits": [17, 17, 1088], "Mixed_7a": [8, 8, 2080], "Conv2d_7b_1x1": [8, 8, 1536], "AuxLogits": [1001],
    "global_pool": [1, 1, 1536], "PreLogitsFlatten": [1536], "Logits": [1001], "Predictions": [1001],
}  # fmt: skip


def called_average(ours, theirs, scope):
    """research/slim has since called the average pool one."""
    for name in [name for name in theirs if "MaxPool_0a_7x7" in name]:
        node = theirs.pop(name)
        node.name = name.replace("MaxPool_0a_7x7", "AvgPool_0a_7x7")
        theirs[node.name] = node
    for node in theirs.values():
        node.input[:] = [name.replace("MaxPool_0a_7x7", "AvgPool_0a_7x7") for name in node.input]


NETWORKS = (
    Entry(
        name="inception_v1",
        module="inception_v1",
        arg_scope="inception_v1_arg_scope",
        scope="InceptionV1",
        classes=1001,
        signature=(
            "(inputs, num_classes=1000, is_training=True, dropout_keep_prob=0.8, prediction_fn=softmax, "
            "spatial_squeeze=True, reuse=None, scope='InceptionV1', global_pool=False, final_endpoint=None)"
        ),
        # 57 convolutions with weights, beta and two moving averages; the logits' weights and biases.
        counts=Counts(4 * 57 + 2, 2 * 57 + 2, 57 + 1, 2 * 57),
        trainable=V1_BASE - 2 * V1_CHANNELS + 1025 * 1000,
        total=V1_BASE + 1025 * 1000,
        logits=("Logits/Conv2d_0c_1x1",),
        end_points=tuple(V1_SHAPES),
        shapes=V1_SHAPES,
        features="global_pool",
        channels=1024,
        sizes=(97, 257),
        tf_slim=TfSlim(logits_at=((224, False), (224, True)), adapt=called_average),
    ),
    Entry(
        name="inception_v2",
        module="inception_v2",
        arg_scope="inception_v2_arg_scope",
        scope="InceptionV2",
        classes=1001,
        signature=(
            "(inputs, num_classes=1000, is_training=True, dropout_keep_prob=0.8, min_depth=16, "
            "depth_multiplier=1.0, prediction_fn=softmax, spatial_squeeze=True, reuse=None, scope='InceptionV2', "
            "global_pool=False, final_endpoint=None)"
        ),
        # 68 convolutions likewise; the first has two weights and biases, which do not decay.
        counts=Counts(4 * 68 + 3 + 2, 2 * 68 + 3 + 2, 68 + 1, 2 * 68),
        trainable=V2_BASE - 2 * V2_CHANNELS + 1025 * 1000,
        total=V2_BASE + 1025 * 1000,
        logits=("Logits/Conv2d_1c_1x1",),
        end_points=tuple(V2_SHAPES),
        shapes=V2_SHAPES,
        features="AvgPool_1a",
        channels=1024,
        tf_slim=TfSlim(logits_at=((97, False), (64, True))),
        research_slim="c26f2236f2daca01",
        slow=("ends", "final_endpoints"),
    ),
    Entry(
        name="inception_v3",
        module="inception_v3",
        arg_scope="inception_v3_arg_scope",
        scope="InceptionV3",
        image_size=299,
        classes=1001,
        signature=(
            "(inputs, num_classes=1000, is_training=True, dropout_keep_prob=0.8, min_depth=16, "
            "depth_multiplier=1.0, prediction_fn=softmax, spatial_squeeze=True, reuse=None, "
            "create_aux_logits=True, scope='InceptionV3', global_pool=False, final_endpoint=None)"
        ),
        # 96 convolutions likewise, two of them auxiliary; two layers of logits.
        counts=Counts(4 * 96 + 4, 2 * 96 + 4, 96 + 2, 2 * 96),
        trainable=23_817_352,
        total=23_851_784,  # Keras' InceptionV3
        logits=("Logits/Conv2d_1c_1x1", "AuxLogits/Conv2d_2b_1x1"),
        end_points=tuple(V3_SHAPES),
        shapes=V3_SHAPES,
        features="AvgPool_1a",
        channels=2048,
        tf_slim=TfSlim(logits_at=((107, False), (139, True))),
    ),
    Entry(
        name="inception_v4",
        module="inception_v4",
        arg_scope="inception_v4_arg_scope",
        scope="InceptionV4",
        image_size=299,
        classes=1001,
        signature=(
            "(inputs, num_classes=1001, is_training=True, dropout_keep_prob=0.8, reuse=None, scope='InceptionV4', "
            "create_aux_logits=True, final_endpoint=None)"
        ),
        # 151 convolutions likewise, two of them auxiliary; two layers of logits.
        counts=Counts(4 * 151 + 4, 2 * 151 + 4, 151 + 2, 2 * 151),
        trainable=V4_TRAINABLE,
        logits=("Logits/Logits", "AuxLogits/Aux_logits"),
        end_points=tuple(V4_SHAPES),
        shapes=V4_SHAPES,
        ops={"global_pool": "InceptionV4/Logits/AvgPool_1a/AvgPool"},
        features="global_pool",
        channels=1536,
        research_slim="7fad3aee397d5983",
        slow=("ends", "final_endpoints"),
    ),
    Entry(
        name="inception_resnet_v2",
        module="inception_resnet_v2",
        arg_scope="inception_resnet_v2_arg_scope",
        scope="InceptionResnetV2",
        image_size=299,
        classes=1001,
        signature=(
            "(inputs, num_classes=1001, is_training=True, dropout_keep_prob=0.8, reuse=None, "
            "scope='InceptionResnetV2', create_aux_logits=True, activation_fn=relu, final_endpoint=None)"
        ),
        # 206 convolutions likewise, two of them auxiliary; 40 and two layers of logits have biases, which decay.
        counts=Counts(4 * 206 + 2 * 42, 2 * 206 + 2 * 42, 206 + 2 * 42, 2 * 206),
        trainable=55_813_192,
        total=55_873_736,  # Keras' InceptionResNetV2
        logits=("Logits/Logits", "AuxLogits/Logits"),
        end_points=tuple(RESNET_SHAPES),
        shapes=RESNET_SHAPES,
        ops={"PreAuxLogits": "InceptionResnetV2/InceptionResnetV2/Repeat_1/block17_20/Relu"},
        features="global_pool",
        channels=1536,
        research_slim="f3e9f6495656b8d6",
        slow=("ends", "final_endpoints"),
    ),
)
