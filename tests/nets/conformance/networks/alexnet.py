"""AlexNet."""

from ..entry import Counts, Entry, TfSlim

# torchvision's alexnet has 61,100,840: its fc6 is 6x6, not 5x5, and conv4 has 256 filters, not 384.
PARAMETERS = 61_100_840 - (36 - 25) * 256 * 4096 + 128 * (9 * 384 + 1) + 9 * 128 * 256
SHAPES = {
    "conv1": [54, 54, 64], "pool1": [26, 26, 64], "conv2": [26, 26, 192], "pool2": [12, 12, 192],
    "conv3": [12, 12, 384], "conv4": [12, 12, 384], "conv5": [12, 12, 256], "pool5": [5, 5, 256],
    "fc6": [1, 1, 4096], "fc7": [1, 1, 4096], "fc8": [1000],
}  # fmt: skip
LAYERS = {
    "conv1": (11, 11, 3, 64),
    "conv2": (5, 5, 64, 192),
    "conv3": (3, 3, 192, 384),
    "conv4": (3, 3, 384, 384),
    "conv5": (3, 3, 384, 256),
    "fc6": (5, 5, 256, 4096),
    "fc7": (1, 1, 4096, 4096),
    "fc8": (1, 1, 4096, 1000),
}

NETWORKS = (
    Entry(
        name="alexnet_v2",
        module="alexnet",
        arg_scope="alexnet_v2_arg_scope",
        signature=(
            "(inputs, num_classes=1000, is_training=True, dropout_keep_prob=0.5, spatial_squeeze=True, "
            "scope='alexnet_v2', global_pool=False)"
        ),
        counts=Counts(16, 16, 8, 0),
        variables={
            f"alexnet_v2/{layer}/{kind}": shape if kind == "weights" else shape[-1:]
            for layer, shape in LAYERS.items()
            for kind in ("weights", "biases")
        },
        trainable=PARAMETERS,
        total=PARAMETERS,
        logits=("fc8",),
        end_points=tuple(f"alexnet_v2/{key}" for key in SHAPES),
        shapes={f"alexnet_v2/{key}": shape for key, shape in SHAPES.items()},
        ops={"alexnet_v2/fc8": "alexnet_v2/fc8/squeezed"},
        features="alexnet_v2/fc7",
        channels=4096,
        tf_slim=TfSlim(logits_at=((195, False), (224, False)), any_size=True),
    ),
)
