"""The residual networks with pre-activation (He et al., arXiv:1603.05027) under TF-Slim's names.

ResNet-50, 101, 152 and 200 with bottleneck units. Batch normalization and ReLU come before each convolution, so
that the shortcuts add up untouched from pool1 to the end, where one more batch normalization follows. As in
TF-Slim, a block's stride is in its last unit, not in the next block's first.

    with slim.arg_scope(resnet_v2.resnet_arg_scope()):
        logits, end_points = resnet_v2.resnet_v2_50(images, num_classes=10, is_training=True)

Images are RGB in [-1, 1]; the official checkpoints were trained at 299x299. Signatures, variable names, op names
and end points are those of research/slim/nets/resnet_v2.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets import resnet_utils
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.spec import NetworkSpec

resnet_arg_scope = resnet_utils.resnet_arg_scope


@slim.add_arg_scope
def bottleneck(inputs, depth, depth_bottleneck, stride, rate=1, outputs_collections=None, scope=None):
    """A bottleneck unit: batch normalization, then 1x1, 3x3 and 1x1 convolutions beside a shortcut.

    Args:
        inputs: ``[batch, height, width, channels]``, neither normalized nor activated.
        depth: channels of the result.
        depth_bottleneck: channels of the first two convolutions.
        stride: stride of the 3x3 convolution and the shortcut.
        rate: atrous rate of the 3x3 convolution.
        outputs_collections: collection of the unit's end point.
        scope: variable scope.
    """
    linear = {"normalizer_fn": None, "activation_fn": None}
    with tf.variable_scope(scope, "bottleneck_v2", [inputs]) as sc:
        preact = slim.batch_norm(inputs, activation_fn=tf.nn.relu, scope="preact")
        if slim.utils.last_dimension(inputs.shape, min_rank=4) == depth:
            shortcut = resnet_utils.subsample(inputs, stride, "shortcut")
        else:
            shortcut = slim.conv2d(preact, depth, [1, 1], stride=stride, scope="shortcut", **linear)
        residual = slim.conv2d(preact, depth_bottleneck, [1, 1], stride=1, scope="conv1")
        residual = resnet_utils.conv2d_same(residual, depth_bottleneck, 3, stride, rate=rate, scope="conv2")
        residual = slim.conv2d(residual, depth, [1, 1], stride=1, scope="conv3", **linear)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, shortcut + residual)


def resnet_v2(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    include_root_block=True,
    spatial_squeeze=True,
    reuse=None,
    scope=None,
    final_endpoint=None,
):
    """A residual network of the given blocks.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        blocks: list of `resnet_utils.Block`.
        num_classes: number of classes; 0 or None leaves the logits out.
        is_training: whether batch_norm normalizes with the batch's statistics.
        global_pool: whether to average over all positions before the logits.
        output_stride: ratio of input to output resolution, reached with atrous convolutions; None for
            the blocks' own strides.
        include_root_block: whether to begin with conv1 and pool1.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
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
    with tf.variable_scope(scope, "resnet_v2", [inputs], reuse=reuse) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        with (
            slim.arg_scope(
                [slim.conv2d, bottleneck, resnet_utils.stack_blocks_dense],
                outputs_collections=end_points_collection,
            ),
            slim.arg_scope([slim.batch_norm], is_training=is_training),
        ):
            net = inputs
            if include_root_block:
                # What the units expect is neither normalized nor activated.
                with slim.arg_scope([slim.conv2d], activation_fn=None, normalizer_fn=None):
                    net, output_stride = resnet_utils.root_block(net, output_stride)
            net = resnet_utils.stack_blocks_dense(net, blocks, output_stride)
            if final_endpoint is not None:
                end_points = slim.utils.convert_collection_to_dict(end_points_collection)
                return end_points[f"{sc.name}/{final_endpoint}"], end_points
            net = slim.batch_norm(net, activation_fn=tf.nn.relu, scope="postnorm")
            end_points = slim.utils.convert_collection_to_dict(end_points_collection)
            return resnet_utils.pool_and_classify(
                net, end_points, sc.name, num_classes, global_pool, spatial_squeeze
            )


def resnet_v2_block(scope, base_depth, num_units, stride):
    """A block of `num_units` bottleneck units, ``4 * base_depth`` wide, the last one strided."""
    return resnet_utils.bottleneck_block(bottleneck, scope, base_depth, num_units, stride)


def _published(layers, *units):
    """The function that builds the network of `layers` weight layers, with so many units in its blocks."""
    name = f"resnet_v2_{layers}"

    def function(
        inputs,
        num_classes=None,
        is_training=True,
        global_pool=True,
        output_stride=None,
        spatial_squeeze=True,
        reuse=None,
        scope=name,
        final_endpoint=None,
    ):
        return resnet_v2(
            inputs,
            resnet_utils.four_blocks(bottleneck, *units),
            num_classes,
            is_training,
            global_pool,
            output_stride,
            True,
            spatial_squeeze,
            reuse,
            scope,
            final_endpoint,
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""ResNet-{layers}; arguments and result as `resnet_v2`."""
    function.default_image_size = 224
    return function


resnet_v2.default_image_size = 224
# Table 1 of arXiv:1512.03385; 200 of the appendix of arXiv:1603.05027.
resnet_v2_50 = _published(50, 3, 4, 6, 3)
resnet_v2_101 = _published(101, 3, 4, 23, 3)
resnet_v2_152 = _published(152, 3, 8, 36, 3)
resnet_v2_200 = _published(200, 3, 24, 36, 3)

# 299: "ResNet V2 models use Inception pre-processing and input image size of 299" (research/slim/README.md).
SPECS = tuple(
    NetworkSpec(
        name=name,
        module=__name__,
        arg_scope_name="resnet_arg_scope",
        scope=name,
        logits_scopes=(f"{name}/logits",),
        top_scopes=(f"{name}/block4", f"{name}/postnorm"),
        preprocessing="inception",
        default_image_size=299,
        min_image_size=32,
        num_imagenet_classes=1001,
        official_checkpoint=official,
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={f"block{i}": (f"{name}/block{i}",) for i in (1, 2, 3, 4)},
    )
    for name, official, parameters, gflops in (
        ("resnet_v2_50", "resnet_v2_50", 25_570_409, 13.072),
        ("resnet_v2_101", "resnet_v2_101", 44_579_945, 26.747),
        ("resnet_v2_152", "resnet_v2_152", 60_238_953, 40.422),
        ("resnet_v2_200", None, 64_728_169, 53.292),
    )
)
