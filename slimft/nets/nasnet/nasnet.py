"""NASNet-A (Zoph et al., arXiv:1707.07012) under TF-Slim's names.

Three runs of equal cells (figures 3 and 4 of the paper), with a reduction cell before the second and the third,
which halves the size and doubles the channels. For ImageNet a convolution and two more reduction cells come first.
In training auxiliary logits are made of the last cell of the second run.

    with slim.arg_scope(nasnet.nasnet_mobile_arg_scope()):
        logits, end_points = nasnet.build_nasnet_mobile(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, configurations, variable names, op names and end points are those of
research/slim/nets/nasnet/nasnet.py (github.com/tensorflow/models). What is different: a `final_endpoint` that there
is not is an error, and one that is the logits or predictions is the result; `current_step` is the stem's too; the
auxiliary logits take images that are too small for them there.
"""

from slimft.compat import slim
from slimft.nets.nasnet import nasnet_utils, network
from slimft.nets.spec import NetworkSpec

arg_scope = slim.arg_scope


def cifar_config():
    """NASNet-A (6 @ 768) for images of 32x32 pixels; drop_path grows over 600 epochs of batches of 32."""
    return network.config(
        num_cells=18,
        num_conv_filters=32,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.6,
        dense_dropout_keep_prob=1.0,
        total_training_steps=937500,
        skip_reduction_layer_input=0,
    )


def large_imagenet_config():
    """NASNet-A (6 @ 4032)."""
    return network.config(
        num_cells=18,
        num_conv_filters=168,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.7,
        skip_reduction_layer_input=1,
    )


def mobile_imagenet_config():
    """NASNet-A (4 @ 1056)."""
    return network.config(
        num_cells=12,
        num_conv_filters=44,
        stem_multiplier=1.0,
        drop_path_keep_prob=1.0,
        skip_reduction_layer_input=0,
    )


def nasnet_cifar_arg_scope(weight_decay=5e-4, batch_norm_decay=0.9, batch_norm_epsilon=1e-5):
    """The arg_scope of `build_nasnet_cifar`; arguments as of `network.arg_scope`."""
    return network.arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_mobile_arg_scope(weight_decay=4e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    """The arg_scope of `build_nasnet_mobile`; arguments as of `network.arg_scope`."""
    return network.arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_large_arg_scope(weight_decay=5e-5, batch_norm_decay=0.9997, batch_norm_epsilon=1e-3):
    """The arg_scope of `build_nasnet_large`; arguments as of `network.arg_scope`."""
    return network.arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def _layers(images, hparams, num_classes, is_training, is_for_imagenet, current_step):
    """The end points in turn."""
    reductions = nasnet_utils.calc_reduction_layers(hparams.num_cells, hparams.num_reduction_layers)
    # Those of the stem count too.
    total_num_cells = hparams.num_cells + 2 + (2 if is_for_imagenet else 0)
    normal_cell, reduction_cell = (
        cell(
            hparams.num_conv_filters,
            hparams.drop_path_keep_prob,
            total_num_cells,
            hparams.total_training_steps,
            hparams.use_bounded_activation,
        )
        for cell in (nasnet_utils.NasNetANormalCell, nasnet_utils.NasNetAReductionCell)
    )
    # The outputs so far, behind a None for what comes before the first.
    if is_for_imagenet:
        outputs = network.imagenet_stem(images, hparams, reduction_cell, current_step)
    else:
        outputs = network.cifar_stem(images, hparams)
    yield "Stem", outputs[-1]
    filter_scaling = 1.0

    def append(cell, scope, stride, prev_layer):
        outputs.append(
            cell(
                outputs[-1],
                scope=scope,
                filter_scaling=filter_scaling,
                stride=stride,
                prev_layer=prev_layer,
                cell_num=len(outputs) - 2,
                current_step=current_step,
            )
        )
        return outputs[-1]

    for i in range(hparams.num_cells):
        prev_layer = outputs[-2]
        if i in reductions:
            filter_scaling *= hparams.filter_scaling_rate
            number = reductions.index(i)
            yield (
                f"Reduction_Cell_{number}",
                append(reduction_cell, f"reduction_cell_{number}", 2, prev_layer),
            )
            if not hparams.skip_reduction_layer_input:
                prev_layer = outputs[-2]
        yield f"Cell_{i}", append(normal_cell, f"cell_{i}", 1, prev_layer)
        if network.has_aux_logits(i, hparams, num_classes, is_training):
            yield "AuxLogits", network.aux_logits(outputs[-1], num_classes, hparams, i)
    yield from network.classify(outputs[-1], num_classes, hparams)


def _build(images, num_classes, is_training, config, current_step, is_for_imagenet=True, final_endpoint=None):
    def layers(images, hparams):
        return _layers(images, hparams, num_classes, is_training, is_for_imagenet, current_step)

    return network.build(layers, images, num_classes, is_training, config, final_endpoint)


def build_nasnet_cifar(images, num_classes, is_training=True, config=None, current_step=None):
    """NASNet-A for images of 32x32 pixels.

    Args:
        images: float tensor ``[batch, height, width, 3]``, preprocessed, of known height and width.
        num_classes: number of classes; 0 or None leaves the logits out, the auxiliary ones too.
        is_training: whether dropout and drop_path are active and batch_norm uses the batch's statistics.
        config: what takes the place of `cifar_config`.
        current_step: step of training that drop_path grows by; None for the global step.

    Returns:
        The logits ``[batch, num_classes]``, without `num_classes` the averaged features ``[batch, channels]``; and
        a dictionary of the end points by name.

    Raises:
        ValueError: the height or width is not known.
    """
    config = cifar_config() if config is None else config
    return _build(images, num_classes, is_training, config, current_step, is_for_imagenet=False)


def build_nasnet_mobile(images, num_classes, is_training=True, final_endpoint=None, config=None, current_step=None):
    """NASNet-A with few parameters, for ImageNet.

    Args:
        images, num_classes, is_training, current_step: as of `build_nasnet_cifar`.
        final_endpoint: the end point to stop at, which is the result then; None for the whole network.
        config: what takes the place of `mobile_imagenet_config`.

    Returns:
        As `build_nasnet_cifar`.

    Raises:
        ValueError: the height or width is not known, or there is no such end point.
    """
    config = mobile_imagenet_config() if config is None else config
    return _build(images, num_classes, is_training, config, current_step, final_endpoint=final_endpoint)


def build_nasnet_large(images, num_classes, is_training=True, final_endpoint=None, config=None, current_step=None):
    """NASNet-A with many parameters, for ImageNet.

    Args:
        images, num_classes, is_training, current_step: as of `build_nasnet_cifar`.
        final_endpoint: the end point to stop at, which is the result then; None for the whole network.
        config: what takes the place of `large_imagenet_config`.

    Returns:
        As `build_nasnet_cifar`.

    Raises:
        ValueError: the height or width is not known, or there is no such end point.
    """
    config = large_imagenet_config() if config is None else config
    return _build(images, num_classes, is_training, config, current_step, final_endpoint=final_endpoint)


build_nasnet_cifar.default_image_size = 32
build_nasnet_mobile.default_image_size = 224
build_nasnet_large.default_image_size = 331

SPECS = (
    NetworkSpec(
        name="nasnet_cifar",
        module=__name__,
        function_name="build_nasnet_cifar",
        arg_scope_name="nasnet_cifar_arg_scope",
        scope="",
        outer_scopes=(
            *("l1_stem_3x3", "l1_stem_bn"),
            *(f"cell_{i}" for i in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)),
            *("reduction_cell_0", "reduction_cell_1", "aux_11", "final_layer"),
        ),
        logits_scopes=("final_layer", "aux_11"),
        top_scopes=("reduction_cell_1", *(f"cell_{i}" for i in (12, 13, 14, 15, 16, 17))),
        preprocessing="inception",
        default_image_size=32,
        min_image_size=3,  # Of smaller ones a map could not be halved, and a cell would have other layers.
        num_imagenet_classes=10,
        official_checkpoint=None,
        parameters=3_346_538,
        gflops=1.089,
    ),
    *(
        NetworkSpec(
            name=f"nasnet_{size}",
            module=__name__,
            function_name=f"build_nasnet_{size}",
            arg_scope_name=f"nasnet_{size}_arg_scope",
            scope="",
            outer_scopes=(
                *("conv0", "conv0_bn", "cell_stem_0", "cell_stem_1"),
                *(f"cell_{i}" for cells in runs for i in cells),
                *("reduction_cell_0", "reduction_cell_1", f"aux_{runs[1][-1]}", "final_layer"),
            ),
            logits_scopes=("final_layer", f"aux_{runs[1][-1]}"),
            top_scopes=("reduction_cell_1", *(f"cell_{i}" for i in runs[2])),
            preprocessing="inception",
            default_image_size=pixels,
            min_image_size=19,  # Likewise.
            num_imagenet_classes=1001,
            official_checkpoint=f"nasnet-a_{size}",
            parameters=parameters,
            gflops=gflops,
            options=("final_endpoint",),
            final_endpoints={
                "Stem": ("cell_stem_1",),
                **{f"Cell_{i}": tuple(f"cell_{j}" for j in runs[0] if j <= i) for i in runs[0]},
                **{
                    end: (f"reduction_cell_{k}", *(f"cell_{j}" for j in runs[k + 1] if j <= i))
                    for k in (0, 1)
                    for end, i in ((f"Reduction_Cell_{k}", 0), *((f"Cell_{i}", i) for i in runs[k + 1]))
                },
            },
        )
        for size, runs, pixels, parameters, gflops in (
            ("mobile", ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)), 224, 5_291_035, 1.127),
            (
                *("large", ((0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11), (12, 13, 14, 15, 16, 17))),
                *(331, 88_757_183, 47.567),
            ),
        )
    ),
)
