"""The original residual networks (He et al., arXiv:1512.03385) under TF-Slim's names.

ResNet-50, 101 and 152 of the paper's table 1, and ResNet-200 with as many units as in arXiv:1603.05027: bottleneck
units, batch normalization after each convolution. As in TF-Slim, a block's stride is in its last unit, not in the
next block's first.

    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        logits, end_points = resnet_v1.resnet_v1_50(images, num_classes=10, is_training=True)

Images are RGB in [0, 255] minus (123.68, 116.78, 103.94). Signatures, variable names, op names and end
points are those of research/slim/nets/resnet_v1.py (github.com/tensorflow/models).
"""

import contextlib
import functools
import inspect

from slimft.compat import slim, tf
from slimft.nets import resnet_utils
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.spec import NetworkSpec

resnet_arg_scope = resnet_utils.resnet_arg_scope
NoOpScope = contextlib.nullcontext


@slim.add_arg_scope
def bottleneck(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    rate=1,
    outputs_collections=None,
    scope=None,
    use_bounded_activations=False,
):
    """A bottleneck unit: 1x1, 3x3 and 1x1 convolutions beside a shortcut.

    Args:
        inputs: ``[batch, height, width, channels]``.
        depth: channels of the result.
        depth_bottleneck: channels of the first two convolutions.
        stride: stride of the 3x3 convolution and the shortcut.
        rate: atrous rate of the 3x3 convolution.
        outputs_collections: collection of the unit's end point.
        scope: variable scope.
        use_bounded_activations: whether to keep activations within [-6, 6], for quantization.
    """
    with tf.variable_scope(scope, "bottleneck_v1", [inputs]) as sc:
        if slim.utils.last_dimension(inputs.shape, min_rank=4) == depth:
            shortcut = resnet_utils.subsample(inputs, stride, "shortcut")
        else:
            activation_fn = tf.nn.relu6 if use_bounded_activations else None
            shortcut = slim.conv2d(
                inputs, depth, [1, 1], stride=stride, activation_fn=activation_fn, scope="shortcut"
            )
        residual = slim.conv2d(inputs, depth_bottleneck, [1, 1], stride=1, scope="conv1")
        residual = resnet_utils.conv2d_same(residual, depth_bottleneck, 3, stride, rate=rate, scope="conv2")
        residual = slim.conv2d(residual, depth, [1, 1], stride=1, activation_fn=None, scope="conv3")
        if use_bounded_activations:
            output = tf.nn.relu6(shortcut + tf.clip_by_value(residual, -6.0, 6.0))
        else:
            output = tf.nn.relu(shortcut + residual)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


def resnet_v1(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    include_root_block=True,
    spatial_squeeze=True,
    store_non_strided_activations=False,
    reuse=None,
    scope=None,
    final_endpoint=None,
):
    """A residual network of the given blocks.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        blocks: list of `resnet_utils.Block`.
        num_classes: number of classes; 0 or None leaves the logits out.
        is_training: whether batch_norm normalizes with the batch's statistics; None leaves that to the
            arg_scope.
        global_pool: whether to average over all positions before the logits.
        output_stride: ratio of input to output resolution, reached with atrous convolutions; None for
            the blocks' own strides.
        include_root_block: whether to begin with conv1 and pool1.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        store_non_strided_activations: whether a block's end point is taken before its stride.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        final_endpoint: the scope of the block to end with, such as ``block3``; `num_classes` has to be None then.
            None for the whole network. research/slim has no such argument.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the last features; with `final_endpoint`: that
        block's), and a dictionary of the layers' outputs by their scope, with `global_pool` and `predictions`.

    Raises:
        ValueError: `output_stride` cannot be reached, there is no such `final_endpoint`, or logits are wanted on
            it.
    """
    check_no_logits(final_endpoint, num_classes)
    blocks = resnet_utils.blocks_until(blocks, final_endpoint)
    with tf.variable_scope(scope, "resnet_v1", [inputs], reuse=reuse) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        batch_norm_mode = {} if is_training is None else {"is_training": is_training}
        with (
            slim.arg_scope(
                [slim.conv2d, bottleneck, resnet_utils.stack_blocks_dense],
                outputs_collections=end_points_collection,
            ),
            slim.arg_scope([slim.batch_norm], **batch_norm_mode),
        ):
            net = inputs
            if include_root_block:
                net, output_stride = resnet_utils.root_block(net, output_stride)
            net = resnet_utils.stack_blocks_dense(net, blocks, output_stride, store_non_strided_activations)
            end_points = slim.utils.convert_collection_to_dict(end_points_collection)
            if final_endpoint is not None:
                return end_points[f"{sc.name}/{final_endpoint}"], end_points
            return resnet_utils.pool_and_classify(
                net, end_points, sc.name, num_classes, global_pool, spatial_squeeze
            )


def resnet_v1_block(scope, base_depth, num_units, stride):
    """A block of `num_units` bottleneck units, ``4 * base_depth`` wide, the last one strided."""
    return resnet_utils.bottleneck_block(bottleneck, scope, base_depth, num_units, stride)


def _published(layers, *units):
    """The function that builds the network of `layers` weight layers, with so many units in its blocks."""
    name = f"resnet_v1_{layers}"

    def function(
        inputs,
        num_classes=None,
        is_training=True,
        global_pool=True,
        output_stride=None,
        spatial_squeeze=True,
        store_non_strided_activations=False,
        min_base_depth=8,
        depth_multiplier=1,
        reuse=None,
        scope=name,
        final_endpoint=None,
    ):
        return resnet_v1(
            inputs,
            resnet_utils.four_blocks(
                bottleneck, *units, depth_multiplier=depth_multiplier, min_base_depth=min_base_depth
            ),
            num_classes,
            is_training,
            global_pool,
            output_stride,
            True,
            spatial_squeeze,
            store_non_strided_activations,
            reuse,
            scope,
            final_endpoint,
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""ResNet-{layers}; arguments and result as `resnet_v1`.

    Its blocks have the paper's channels times `depth_multiplier`, but their bottlenecks at least `min_base_depth`.
    """
    function.default_image_size = 224
    return function


def _squeezed_after_storing(function):
    """`function` with these two arguments in the order that research/slim's deeper networks have them in."""
    signature = inspect.signature(function)
    parameters = dict(signature.parameters)
    names = list(parameters)
    i, j = names.index("spatial_squeeze"), names.index("store_non_strided_activations")
    names[i], names[j] = names[j], names[i]
    signature = signature.replace(parameters=[parameters[name] for name in names])

    @functools.wraps(function)
    def reordered(*args, **kwargs):
        return function(**signature.bind(*args, **kwargs).arguments)

    reordered.__signature__ = signature
    return reordered


resnet_v1.default_image_size = 224
# Table 1 of arXiv:1512.03385; 200 has as many units as in arXiv:1603.05027.
resnet_v1_50 = _published(50, 3, 4, 6, 3)
resnet_v1_101 = _published(101, 3, 4, 23, 3)
resnet_v1_152 = _squeezed_after_storing(_published(152, 3, 8, 36, 3))
resnet_v1_200 = _squeezed_after_storing(_published(200, 3, 24, 36, 3))

SPECS = tuple(
    NetworkSpec(
        name=name,
        module=__name__,
        arg_scope_name="resnet_arg_scope",
        scope=name,
        logits_scopes=(f"{name}/logits",),
        top_scopes=(f"{name}/block4",),
        preprocessing="mean_subtraction",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1000,
        official_checkpoint=official,
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={f"block{i}": (f"{name}/block{i}",) for i in (1, 2, 3, 4)},
    )
    for name, official, parameters, gflops in (
        ("resnet_v1_50", "resnet_v1_50", 25_557_032, 6.965),
        ("resnet_v1_101", "resnet_v1_101", 44_549_160, 14.389),
        ("resnet_v1_152", "resnet_v1_152", 60_192_808, 21.813),
        ("resnet_v1_200", None, 64_673_832, 28.801),
    )
)
