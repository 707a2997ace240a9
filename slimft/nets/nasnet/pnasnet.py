"""PNASNet-5 (Liu et al., arXiv:1712.00559) under TF-Slim's names.

As NASNet, but with one kind of cell (figure 1 of the paper), which has a stride of 2 where the size is halved.

    with slim.arg_scope(pnasnet.pnasnet_mobile_arg_scope()):
        logits, end_points = pnasnet.build_pnasnet_mobile(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, configurations, variable names, op names and end points are those of
research/slim/nets/nasnet/pnasnet.py (github.com/tensorflow/models). What is different is so in
`slimft.nets.nasnet.nasnet` too.
"""

from slimft.compat import slim
from slimft.nets.nasnet import nasnet_utils, network
from slimft.nets.spec import NetworkSpec

arg_scope = slim.arg_scope


def large_imagenet_config():
    """PNASNet-5 (N = 4, F = 216)."""
    return network.config(
        num_cells=12,
        num_conv_filters=216,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.6,
        skip_reduction_layer_input=1,
    )


def mobile_imagenet_config():
    """PNASNet-5 (N = 3, F = 54)."""
    return network.config(
        num_cells=9,
        num_conv_filters=54,
        stem_multiplier=1.0,
        drop_path_keep_prob=1.0,
        skip_reduction_layer_input=1,
    )


def pnasnet_large_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=0.001):
    """The arg_scope of `build_pnasnet_large`; arguments as of `network.arg_scope`."""
    return network.arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def pnasnet_mobile_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=0.001):
    """The arg_scope of `build_pnasnet_mobile`; arguments as of `network.arg_scope`."""
    return network.arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


class PNasNetNormalCell(nasnet_utils.PublishedCell):
    """PNASNet-5's cell."""

    operations = (
        *("separable_5x5_2", "max_pool_3x3"),
        *("separable_7x7_2", "max_pool_3x3"),
        *("separable_5x5_2", "separable_3x3_2"),
        *("separable_3x3_2", "max_pool_3x3"),
        *("separable_3x3_2", "none"),
    )
    used_hiddenstates = (1, 1, 0, 0, 0, 0, 0)
    hiddenstate_indices = (1, 1, 0, 0, 0, 0, 4, 0, 1, 0)


def _layers(images, hparams, num_classes, is_training):
    """The end points in turn."""
    reductions = nasnet_utils.calc_reduction_layers(hparams.num_cells, hparams.num_reduction_layers)
    cell = PNasNetNormalCell(
        hparams.num_conv_filters,
        hparams.drop_path_keep_prob,
        hparams.num_cells + 2,
        hparams.total_training_steps,
        hparams.use_bounded_activation,
    )
    outputs = network.imagenet_stem(images, hparams, cell, current_step=None)
    yield "Stem", outputs[-1]
    filter_scaling, prev_layer = 1.0, outputs[-2]
    for i in range(hparams.num_cells):
        halves = i in reductions
        filter_scaling *= hparams.filter_scaling_rate if halves else 1.0
        if hparams.skip_reduction_layer_input or not halves:
            prev_layer = outputs[-2]
        net = cell(
            outputs[-1],
            scope=f"cell_{i}",
            filter_scaling=filter_scaling,
            stride=2 if halves else 1,
            prev_layer=prev_layer,
            cell_num=len(outputs) - 2,
        )
        outputs.append(net)
        yield f"Cell_{i}", net
        if network.has_aux_logits(i, hparams, num_classes, is_training):
            yield "AuxLogits", network.aux_logits(net, num_classes, hparams, i)
    yield from network.classify(outputs[-1], num_classes, hparams)


def _build(images, num_classes, is_training, final_endpoint, config):
    def layers(images, hparams):
        return _layers(images, hparams, num_classes, is_training)

    return network.build(layers, images, num_classes, is_training, config, final_endpoint)


def build_pnasnet_large(images, num_classes, is_training=True, final_endpoint=None, config=None):
    """PNASNet-5 with many parameters, for ImageNet.

    Args:
        images: float tensor ``[batch, height, width, 3]``, preprocessed, of known height and width.
        num_classes: number of classes; 0 or None leaves the logits out, the auxiliary ones too.
        is_training: whether dropout and drop_path are active and batch_norm uses the batch's statistics.
        final_endpoint: the end point to stop at, which is the result then; None for the whole network.
        config: what takes the place of `large_imagenet_config`.

    Returns:
        The logits ``[batch, num_classes]``, without `num_classes` the averaged features ``[batch, channels]``; and
        a dictionary of the end points by name.

    Raises:
        ValueError: the height or width is not known, or there is no such end point.
    """
    config = large_imagenet_config() if config is None else config
    return _build(images, num_classes, is_training, final_endpoint, config)


def build_pnasnet_mobile(images, num_classes, is_training=True, final_endpoint=None, config=None):
    """PNASNet-5 with few parameters, for ImageNet; arguments and results as of `build_pnasnet_large`."""
    config = mobile_imagenet_config() if config is None else config
    return _build(images, num_classes, is_training, final_endpoint, config)


build_pnasnet_large.default_image_size = 331
build_pnasnet_mobile.default_image_size = 224

SPECS = tuple(
    NetworkSpec(
        name=f"pnasnet_{size}",
        module=__name__,
        function_name=f"build_pnasnet_{size}",
        arg_scope_name=f"pnasnet_{size}_arg_scope",
        scope="",
        outer_scopes=(
            *("conv0", "conv0_bn", "cell_stem_0", "cell_stem_1"),
            *(f"cell_{i}" for cells in runs for i in cells),
            *(f"aux_{runs[1][-1]}", "final_layer"),
        ),
        logits_scopes=("final_layer", f"aux_{runs[1][-1]}"),
        top_scopes=tuple(f"cell_{i}" for i in runs[2]),
        preprocessing="inception",
        default_image_size=pixels,
        min_image_size=19,  # Of smaller ones a map could not be halved, and a cell would have other layers.
        num_imagenet_classes=1001,
        official_checkpoint=f"pnasnet-5_{size}",
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={
            "Stem": ("cell_stem_1",),
            **{f"Cell_{i}": tuple(f"cell_{j}" for j in cells if j <= i) for cells in runs for i in cells},
        },
    )
    for size, runs, pixels, parameters, gflops in (
        ("mobile", ((0, 1, 2), (3, 4, 5), (6, 7, 8)), 224, 5_065_568, 1.175),
        ("large", ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)), 331, 86_061_989, 49.875),
    )
)
