"""What the residual networks share: blocks of units, strided convolutions, the arg_scope.

Source of the numbers and names: research/slim/nets/resnet_utils.py (github.com/tensorflow/models).
"""

import collections

from slimft.compat import slim, tf

Block = collections.namedtuple("Block", ["scope", "unit_fn", "args"])
Block.__doc__ = """A residual block: its scope, its unit's function and a dictionary of arguments per unit."""


def bottleneck_block(unit_fn, scope, base_depth, num_units, stride):
    """A block of `num_units` bottleneck units, ``4 * base_depth`` wide, the last one strided."""
    unit = {"depth": base_depth * 4, "depth_bottleneck": base_depth, "stride": 1}
    units = [unit] * (num_units - 1) + [dict(unit, stride=stride)]
    return Block(scope, unit_fn, units)


def four_blocks(unit_fn, *num_units, depth_multiplier=1, min_base_depth=1):
    """The four blocks of He et al.'s table 1 (arXiv:1512.03385), given how many units there are in each.

    Args:
        unit_fn: the units' function.
        num_units: number of units of each block.
        depth_multiplier: factor of the bottlenecks' channels, rounded down.
        min_base_depth: the least there are of these.
    """
    depths = [max(int(32 * 2**i * depth_multiplier), min_base_depth) for i in (1, 2, 3, 4)]
    return [
        bottleneck_block(unit_fn, f"block{i}", depth, units, stride=2 if i < 4 else 1)
        for i, (depth, units) in enumerate(zip(depths, num_units), start=1)
    ]


def subsample(inputs, factor, scope=None):
    """Keeps every `factor`-th row and column of `inputs` ``[batch, height, width, channels]``."""
    return inputs if factor == 1 else slim.max_pool2d(inputs, [1, 1], stride=factor, scope=scope)


def conv2d_same(inputs, num_outputs, kernel_size, stride, rate=1, scope=None):
    """A convolution that pads alike whatever the image's size.

    TensorFlow's SAME padding with stride 2 pads an even-sized image after its last row only; here both
    sides get their share, so that the result is the stride-1 convolution, subsampled.

    Args:
        inputs: ``[batch, height, width, channels]``.
        num_outputs: number of filters.
        kernel_size: height and width of the filters.
        stride: output stride.
        rate: rate of an atrous convolution.
        scope: variable scope.
    """
    if stride == 1:
        return slim.conv2d(inputs, num_outputs, kernel_size, stride=1, rate=rate, padding="SAME", scope=scope)
    pad_total = (kernel_size - 1) * rate
    before, after = pad_total // 2, pad_total - pad_total // 2
    inputs = tf.pad(inputs, [[0, 0], [before, after], [before, after], [0, 0]])
    return slim.conv2d(inputs, num_outputs, kernel_size, stride=stride, rate=rate, padding="VALID", scope=scope)


def root_block(images, output_stride=None):
    """conv1 and pool1, the first rows of He et al.'s table 1; their strides make 4.

    Returns:
        The maps, and the output stride that is left for the blocks.

    Raises:
        ValueError: `output_stride` is no multiple of 4.
    """
    if output_stride is not None:
        if output_stride % 4 != 0:
            raise ValueError("The output_stride needs to be a multiple of 4.")
        output_stride //= 4
    net = conv2d_same(images, 64, 7, stride=2, scope="conv1")
    return slim.max_pool2d(net, [3, 3], stride=2, scope="pool1"), output_stride


@slim.add_arg_scope
def stack_blocks_dense(
    net, blocks, output_stride=None, store_non_strided_activations=False, outputs_collections=None
):
    """Stacks residual blocks, trading stride for atrous rate from `output_stride` on.

    Args:
        net: ``[batch, height, width, channels]``.
        blocks: list of `Block`.
        output_stride: ratio of input to output resolution; None for the product of all strides.
        store_non_strided_activations: whether a block's end point is taken before its stride.
        outputs_collections: collection of the blocks' end points.

    Raises:
        ValueError: no product of the first strides equals `output_stride`.
    """
    unreachable = ValueError("The target output_stride cannot be reached.")
    current_stride = rate = 1
    for block in blocks:
        with tf.variable_scope(block.scope, "block", [net]) as sc:
            block_stride = 1
            for i, unit in enumerate(block.args, start=1):
                if store_non_strided_activations and i == len(block.args):
                    block_stride = unit.get("stride", 1)
                    unit = dict(unit, stride=1)
                with tf.variable_scope(f"unit_{i}", values=[net]):
                    if current_stride == output_stride:
                        net = block.unit_fn(net, rate=rate, **dict(unit, stride=1))
                        rate *= unit.get("stride", 1)
                    else:
                        net = block.unit_fn(net, rate=1, **unit)
                        current_stride *= unit.get("stride", 1)
                        if output_stride is not None and current_stride > output_stride:
                            raise unreachable
            net = slim.utils.collect_named_outputs(outputs_collections, sc.name, net)
            if current_stride == output_stride:
                rate *= block_stride
            else:
                net = subsample(net, block_stride)
                current_stride *= block_stride
                if output_stride is not None and current_stride > output_stride:
                    raise unreachable
    if output_stride is not None and current_stride != output_stride:
        raise unreachable
    return net


def blocks_until(blocks, final_endpoint):
    """The first of `blocks`, up to that with the scope `final_endpoint`; all with None.

    Raises:
        ValueError: none has that scope.
    """
    if final_endpoint is None:
        return blocks
    scopes = [block.scope for block in blocks]
    if final_endpoint not in scopes:
        raise ValueError(f"final_endpoint={final_endpoint!r}: there is no such block; give one of {scopes}")
    return blocks[: scopes.index(final_endpoint) + 1]


def pool_and_classify(net, end_points, scope, num_classes, global_pool, spatial_squeeze):
    """The last rows of He et al.'s table 1: the mean over all positions, the logits and their softmax.

    Args:
        net: ``[batch, rows, columns, channels]``.
        end_points: dictionary that is added to.
        scope: name of the network's variable scope, which keys begin with.
        num_classes: number of classes; 0 or None leaves the logits out.
        global_pool: whether to average.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.

    Returns:
        The logits, or what they would be made of; and `end_points`.
    """
    if global_pool:
        net = end_points["global_pool"] = tf.reduce_mean(net, [1, 2], name="pool5", keepdims=True)
    if num_classes:
        net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="logits")
        end_points[f"{scope}/logits"] = net
        if spatial_squeeze:
            net = end_points[f"{scope}/spatial_squeeze"] = tf.squeeze(net, [1, 2], name="SpatialSqueeze")
        end_points["predictions"] = slim.softmax(net, scope="predictions")
    return net, end_points


def resnet_arg_scope(
    weight_decay=0.0001,
    batch_norm_decay=0.997,
    batch_norm_epsilon=1e-5,
    batch_norm_scale=True,
    activation_fn=tf.nn.relu,
    use_batch_norm=True,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
):
    """The arg_scope the residual networks are built under.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
        batch_norm_scale: whether batch_norm multiplies by a gamma.
        activation_fn: the networks' non-linearity.
        use_batch_norm: whether convolutions are followed by batch_norm instead of biases.
        batch_norm_updates_collections: collection of the moving averages' update ops.
    """
    batch_norm_params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "scale": batch_norm_scale,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
    }
    with (
        slim.arg_scope(
            [slim.conv2d],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm if use_batch_norm else None,
            normalizer_params=batch_norm_params,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm_params),
        # SAME for pool1, unlike Keras: it keeps positions aligned for dense prediction.
        slim.arg_scope([slim.max_pool2d], padding="SAME") as arg_scope,
    ):
        return arg_scope
