"""Fully convolutional networks on VGG-16 and on ResNet-50."""

from slimft.checkpoint.official import OFFICIAL

from ..entry import Counts, Entry
from .resnet import UNITS, end_points_of
from .vgg import WIDTHS, variables_of

CLASSES = 21
VGG_16 = (2, 2, 3, 3, 3)
TRUNK = {name: shape for name, shape in variables_of("vgg_16", VGG_16).items() if "/fc8/" not in name}
TRUNK_END_POINTS = tuple(
    layer
    for block, repetitions in enumerate(VGG_16, start=1)
    for layer in (*(f"conv{block}/conv{block}_{layer}" for layer in range(1, repetitions + 1)), f"pool{block}")
)


def enlarging(taps):
    return [taps, taps, CLASSES, CLASSES]


def on_vgg_16(name, scored, enlarged):
    """The network with scores of the layers `scored`, and enlargements of so many taps."""
    depths = {"score_fr": 4096, "score_pool4": WIDTHS[3], "score_pool3": WIDTHS[2]}
    variables = dict(TRUNK)
    for layer in scored:
        variables[f"vgg_16/{layer}/weights"] = [1, 1, depths[layer], CLASSES]
        variables[f"vgg_16/{layer}/biases"] = [CLASSES]
    variables |= {f"vgg_16/{layer}/up_filter": enlarging(taps) for layer, taps in enlarged.items()}
    layers = sum(VGG_16) + 2 + len(scored)
    ends = [layer for pair in zip(scored, enlarged) for layer in pair]
    shapes = {"fc7": [10, 10, 4096], "score_fr": [10, 10, CLASSES], "score_pool4": [20, 20, CLASSES]}
    shapes |= {"score_pool3": [40, 40, CLASSES], "upscore2": [20, 20, CLASSES], "upscore_pool4": [40, 40, CLASSES]}
    return Entry(
        name=name,
        module="fcn",
        task="segmentation",
        arg_scope="fcn_arg_scope",
        scope="vgg_16",
        image_size=320,
        classes=CLASSES,
        signature=(
            "(inputs, num_classes=21, is_training=True, dropout_keep_prob=0.5, learn_upsampling=False, "
            "scope='vgg_16', fc_width=4096)"
        ),
        counts=Counts(2 * layers + len(enlarged), 2 * layers, layers, 0),
        variables=variables,
        # VGG-16's that are published, but for fc8, and the scores'.
        trainable=138_357_544 - 4097 * 1000 + sum(CLASSES * (depths[layer] + 1) for layer in scored),
        logits=tuple(scored),
        enlargements=tuple(enlarged),
        end_points=tuple(f"vgg_16/{key}" for key in (*TRUNK_END_POINTS, "fc6", "fc7", *ends)),
        shapes={f"vgg_16/{key}": shape for key, shape in shapes.items() if key in ("fc7", *ends)},
        features=None,
        channels=4096,
    )


def on_resnet():
    scope = "resnet_v1_50"
    variables = {name: shape for name, shape in OFFICIAL[scope].variables.items() if "/logits/" not in name}
    variables[f"{scope}/logits/weights"] = [1, 1, 2048, CLASSES]
    variables[f"{scope}/logits/biases"] = [CLASSES]
    variables[f"{scope}/upscore/up_filter"] = enlarging(31)
    *trunk, _, logits, _, predictions = end_points_of(scope, 1, UNITS[50])
    convolutions = 1 + 3 * sum(UNITS[50]) + 4
    return Entry(
        name="fcn_resnet_v1_50",
        module="fcn",
        task="segmentation",
        arg_scope="fcn_resnet_arg_scope",
        scope=scope,
        image_size=320,
        classes=CLASSES,
        signature=(
            "(inputs, num_classes=21, is_training=True, output_stride=16, learn_upsampling=False, "
            "scope='resnet_v1_50')"
        ),
        counts=Counts(5 * convolutions + 3, 3 * convolutions + 2, convolutions + 1, 2 * convolutions),
        variables=variables,
        # ResNet-50's that are published, with other logits.
        trainable=25_557_032 - 2049 * (1000 - CLASSES),
        logits=("logits",),
        enlargements=("upscore",),
        end_points=(*trunk, logits, predictions, f"{scope}/upscore"),
        shapes={f"{scope}/block4": [20, 20, 2048], logits: [20, 20, CLASSES]},
        features=None,
        channels=2048,
    )


NETWORKS = (
    on_vgg_16("fcn_32s", ["score_fr"], {"up": 64}),
    on_vgg_16("fcn_16s", ["score_fr", "score_pool4"], {"upscore2": 4, "upscore32": 32}),
    on_vgg_16(
        "fcn_8s", ["score_fr", "score_pool4", "score_pool3"], {"upscore2": 4, "upscore_pool4": 4, "upscore8": 16}
    ),
    on_resnet(),
)
