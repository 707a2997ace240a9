"""NASNet and PNASNet.

tests/nets/nasnet_cifar_variables.json holds the variables' shapes, a dictionary a scope, of the network without an
official checkpoint that nets/nasnet/nasnet.py of research/slim (2020, its last) builds under its arg_scope, with 10
classes.
"""

import json
import pathlib

from slimft.checkpoint.official import find_release

from ..entry import Counts, Entry
from .densenet import flat

CIFAR = json.loads(
    pathlib.Path(__file__).parents[2].joinpath("nasnet_cifar_variables.json").read_text(encoding="utf-8")
)
FUNCTION = "(images, num_classes, is_training=True, final_endpoint=None, config=None"


def counts_of(variables):
    """Each convolution and fully connected layer has a loss, each moving average an update."""
    kinds = [name.rpartition("/")[2] for name in variables]
    averages = sum(kind.startswith("moving_") for kind in kinds)
    losses = sum(kind.endswith("weights") for kind in kinds)
    return Counts(len(kinds), len(kinds) - averages, losses, averages)


def cells_of(family, run, size, channels):
    """The end points of three runs of `run` cells, on maps of half the size and of twice the channels each."""
    shapes = {}
    for k in range(3):
        if k and family == "nasnet":  # As cells, but of 4 states, not 6.
            shapes[f"Reduction_Cell_{k - 1}"] = [size, size, channels * 4 // 6]
        for i in range(k * run, (k + 1) * run):
            shapes[f"Cell_{i}"] = [size, size, channels]
        if k == 1:
            shapes["AuxLogits"] = [None]
        size, channels = (size + 1) // 2, channels * 2
    return shapes


def nasnet(family, kind, run, size, channels, classes, **arguments):
    """`size` and `channels`: of the cells of the first run."""
    name = f"{family}_{kind}"
    # A cell's output are 6 states, of a PNASNet 5; the last cell of the stem has 4 or 5 of half the channels.
    stem = 3 * 32 if kind == "cifar" else channels // (2 if family == "pnasnet" else 3)
    variables = arguments.get("variables") or find_release(name).variables
    shapes = {"Stem": [size, size, stem], **cells_of(family, run, size, channels)}
    shapes |= {"global_pool": [4 * channels], "Logits": [classes], "Predictions": [classes], "AuxLogits": [classes]}
    auxiliary = f"aux_{2 * run - 1}/aux_logits/FC"
    return Entry(
        name=name,
        module=f"nasnet.{family}",
        function=f"build_{name}",
        arg_scope=f"{name}_arg_scope",
        scope="",
        classes=classes,
        counts=counts_of(variables),
        logits=("final_layer/FC", auxiliary),
        end_points=tuple(shapes),
        shapes=shapes,
        ops={
            "Stem": "l1_stem_bn/FusedBatchNormV3" if kind == "cifar" else "cell_stem_1/cell_output/concat",
            "Cell_0": "cell_0/cell_output/concat",
            "AuxLogits": f"{auxiliary}/BiasAdd",
            "global_pool": "final_layer/Mean",
            "Logits": "final_layer/FC/BiasAdd",
            "Predictions": "final_layer/predictions",
        },
        features="global_pool",
        channels=4 * channels,
        **arguments,
    )


NETWORKS = (
    nasnet(
        *("nasnet", "cifar", 6, 32, 192, 10),
        image_size=32,
        signature="(images, num_classes, is_training=True, config=None, current_step=None)",
        variables={name: shape for key in CIFAR for name, shape in flat(CIFAR[key], key).items()},
        trainable=3_346_538 + 990 * (768 + 1),  # "3.3M" of ten classes, says table 1 of the paper.
        slow=("ends",),
    ),
    # Keras' count_params() of NASNetMobile and NASNetLarge, trainable and all.
    nasnet(
        *("nasnet", "mobile", 4, 28, 264, 1001),
        signature=f"{FUNCTION}, current_step=None)",
        trainable=5_289_978,
        total=5_326_716,
        slow=("ends", "final_endpoints"),
    ),
    nasnet(
        *("nasnet", "large", 6, 42, 1008, 1001),
        image_size=331,
        signature=f"{FUNCTION}, current_step=None)",
        trainable=88_753_150,
        total=88_949_818,
        slow=("graphs", "ends", "final_endpoints"),
    ),
    nasnet(
        *("pnasnet", "mobile", 3, 28, 270, 1001),
        signature=f"{FUNCTION})",
        trainable=5_064_487,  # "5.1M", says table 3 of the paper.
        slow=("final_endpoints",),
    ),
    nasnet(
        *("pnasnet", "large", 4, 42, 1080, 1001),
        image_size=331,
        signature=f"{FUNCTION})",
        trainable=86_057_668,  # timm's pnasnet5large
        slow=("graphs", "ends", "final_endpoints"),
    ),
)
