"""ResNet V1 and V2."""

from slimft.checkpoint.official import OFFICIAL

from ..entry import Counts, Entry, TfSlim

UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
# What a unit of block2 has, of which ResNet-200 has 16 more than ResNet-152: weights, and for each of its batch
# normalizations or biases a number for each channel.
WEIGHTS = 512 * 128 + 9 * 128 * 128 + 128 * 512
IN_V1, IN_V2 = 128 + 128 + 512, 512 + 128 + 128
# With 1000 classes, trainable and all. V1: torchvision's numbers of parameters, and Keras' count_params(), where
# each convolution has a bias before its batch normalization. V2: Keras'.
PUBLISHED = {
    1: {50: (25_557_032, 25_636_712), 101: (44_549_160, 44_707_176), 152: (60_192_808, 60_419_944)},
    2: {50: (25_568_360, 25_613_800), 101: (44_577_896, 44_675_560), 152: (60_236_904, 60_380_648)},
}
for version, [more, more_in_all] in {
    1: (WEIGHTS + 2 * IN_V1, WEIGHTS + 5 * IN_V1),
    2: (WEIGHTS + 2 * IN_V2 + 512, WEIGHTS + 4 * IN_V2 + 512),
}.items():
    trainable, total = PUBLISHED[version][152]
    PUBLISHED[version][200] = (trainable + 16 * more, total + 16 * more_in_all)


def without_squeeze(ours, theirs, scope):
    """Theirs leaves the logits [batch, 1, 1, classes], so that its softmax reshapes."""
    del ours[f"{scope}/SpatialSqueeze"]
    for nodes in (ours, theirs):
        for name in [name for name in nodes if name.startswith(f"{scope}/predictions/")]:
            del nodes[name]


def end_points_of(name, version, units_of_blocks):
    keys = ["conv1"]
    for block, units in enumerate(units_of_blocks, start=1):
        for unit in range(1, units + 1):
            scope = f"block{block}/unit_{unit}/bottleneck_v{version}"
            keys += [f"{scope}/shortcut"] * (unit == 1)
            keys += [f"{scope}/conv1", f"{scope}/conv2", f"{scope}/conv3", scope]
        keys.append(f"block{block}")
    keys = [f"{name}/{key}" for key in keys]
    return (*keys, "global_pool", f"{name}/logits", f"{name}/spatial_squeeze", "predictions")


def variables_of_200(version):
    """Those of ResNet-152 and, for 16 more units of block2, those of its second unit again."""
    name, variables = f"resnet_v{version}_200", {}
    for key, shape in OFFICIAL[f"resnet_v{version}_152"].variables.items():
        key = key.replace(f"resnet_v{version}_152", name)
        variables[key] = shape
        if key.startswith(f"{name}/block2/unit_2/"):
            variables |= {key.replace("unit_2", f"unit_{unit}"): shape for unit in range(9, 25)}
    return variables


def resnet(version, depth, **arguments):
    name, units = f"resnet_v{version}_{depth}", sum(UNITS[depth])
    trainable, total = PUBLISHED[version][depth]
    # conv1, the units', and the shortcuts of four blocks.
    convolutions = 1 + 3 * units + 4
    if version == 1:
        counts = Counts(5 * convolutions + 2, 3 * convolutions + 2, convolutions + 1, 2 * convolutions)
        total -= 64 + sum(64 * 2**i * (4 + 6 * n) for i, n in enumerate(UNITS[depth]))  # Keras' biases
    else:
        # Of batch_norm, preact and postnorm have no convolution's weights; conv1, the shortcuts, each unit's conv3
        # and the logits have biases instead.
        normal, biases = 3 * units + 1, 1 + units + 4 + 1
        shared = convolutions + 1 + biases
        counts = Counts(4 * normal + shared, 2 * normal + shared, convolutions + 1, 2 * normal)
    classes = {1: 1000, 2: 1001}[version]
    sizes = {1: (112, 28, 14, 7, 7), 2: (150, 38, 19, 10, 10)}[version]
    widths = {"conv1": 64, "block1": 256, "block2": 512, "block3": 1024, "block4": 2048}
    shapes = {key: [size, size, width] for size, (key, width) in zip(sizes, widths.items())}
    return Entry(
        name=name,
        module=f"resnet_v{version}",
        arg_scope="resnet_arg_scope",
        image_size={1: 224, 2: 299}[version],
        classes=classes,
        function_size=224,
        signature=(
            "(inputs, num_classes=None, is_training=True, global_pool=True, output_stride=None, "
            + {
                (1, False): "spatial_squeeze=True, store_non_strided_activations=False, ",
                (1, True): "store_non_strided_activations=False, spatial_squeeze=True, ",
            }.get((version, depth > 101), "spatial_squeeze=True, ")
            + ("min_base_depth=8, depth_multiplier=1, " if version == 1 else "")
            + f"reuse=None, scope='{name}', final_endpoint=None)"  # The last is ours alone.
        ),
        counts=counts,
        trainable=trainable,
        total=total,
        logits=("logits",),
        end_points=end_points_of(name, version, UNITS[depth]),
        shapes={
            **{f"{name}/{key}": shape for key, shape in shapes.items()},
            "global_pool": [1, 1, 2048],
            f"{name}/logits": [1, 1, classes],
            f"{name}/spatial_squeeze": [classes],
            "predictions": [classes],
        },
        ops={
            "global_pool": f"{name}/pool5",
            f"{name}/logits": f"{name}/logits/BiasAdd",
            f"{name}/spatial_squeeze": f"{name}/SpatialSqueeze",
            "predictions": f"{name}/predictions/Reshape_1",
        },
        features="global_pool",
        channels=2048,
        slow=() if depth == 50 else ("tf_slim", "ends", "logits") if depth < 200 else ("graphs", "ends", "logits"),
        **arguments,
    )


V1 = {"tf_slim": TfSlim(logits_at=((64, False),), within=1e-6, adapt=without_squeeze), "keras": True}
V2 = {"tf_slim": TfSlim(logits_at=((64, False), (75, True)), adapt=without_squeeze)}
NETWORKS = (
    resnet(1, 50, **V1),
    resnet(1, 101, **V1),
    resnet(1, 152, **V1),
    resnet(2, 50, sizes=(32, 75), **V2),
    resnet(2, 101, **V2),
    resnet(2, 152, **V2),
    resnet(1, 200, variables=variables_of_200(1), tf_slim=V1["tf_slim"]),
    resnet(2, 200, variables=variables_of_200(2), **V2),
)
