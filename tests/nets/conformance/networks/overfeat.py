"""OverFeat."""

from ..entry import Counts, Entry, TfSlim

SHAPES = {
    "conv1": [56, 56, 64], "pool1": [28, 28, 64], "conv2": [24, 24, 256], "pool2": [12, 12, 256],
    "conv3": [12, 12, 512], "conv4": [12, 12, 1024], "conv5": [12, 12, 1024], "pool5": [6, 6, 1024],
    "fc6": [1, 1, 3072], "fc7": [1, 1, 4096], "fc8": [1000],
}  # fmt: skip
# Table 1 of arXiv:1312.6229, but for conv1, which has 96 filters there.
LAYERS = {
    "conv1": (11, 11, 3, 64),
    "conv2": (5, 5, 64, 256),
    "conv3": (3, 3, 256, 512),
    "conv4": (3, 3, 512, 1024),
    "conv5": (3, 3, 1024, 1024),
    "fc6": (6, 6, 1024, 3072),
    "fc7": (1, 1, 3072, 4096),
    "fc8": (1, 1, 4096, 1000),
}
# Those of the layers, summed up by hand; "145 million", says its table 4.
PARAMETERS = 145_704_424

NETWORKS = (
    Entry(
        name="overfeat",
        module="overfeat",
        arg_scope="overfeat_arg_scope",
        image_size=231,
        signature=(
            "(inputs, num_classes=1000, is_training=True, dropout_keep_prob=0.5, spatial_squeeze=True, "
            "scope='overfeat', global_pool=False, fc_conv_padding='VALID')"  # The last is ours alone.
        ),
        counts=Counts(16, 16, 8, 0),
        variables={
            f"overfeat/{layer}/{kind}": shape if kind == "weights" else shape[-1:]
            for layer, shape in LAYERS.items()
            for kind in ("weights", "biases")
        },
        trainable=PARAMETERS,
        total=PARAMETERS,
        logits=("fc8",),
        end_points=tuple(f"overfeat/{key}" for key in SHAPES),
        shapes={f"overfeat/{key}": shape for key, shape in SHAPES.items()},
        ops={"overfeat/fc8": "overfeat/fc8/squeezed"},
        features="global_pool",
        channels=4096,
        sizes=(71, 230, 231, 262, 263, 300),
        tf_slim=TfSlim(logits_at=((231, False),), any_size=True),
        slow=("logits",),
    ),
)
