"""MobileNet V1 (Howard et al., arXiv:1704.04861) under TF-Slim's names.

The network of the paper's table 1: a full convolution, then 13 pairs of a 3x3 depthwise and a 1x1 pointwise
one, each with batch normalization and a ReLU that ends at 6. `mobilenet_v1_075`, `_050` and `_025` have that
share of its channels.

    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
        logits, end_points = mobilenet_v1.mobilenet_v1(images, num_classes=10, is_training=True)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/mobilenet_v1.py (github.com/tensorflow/models).
"""

import collections

from slimft.compat import scoped_argument, slim, tf
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.inception_utils import reduced_kernel_size
from slimft.nets.mobilenet_utils import fixed_padding, strides_and_rates, wrapped_partial
from slimft.nets.spec import NetworkSpec

# As scripts call them.
_fixed_padding = fixed_padding
_reduced_kernel_size_for_small_input = reduced_kernel_size

Conv = collections.namedtuple("Conv", ["kernel", "stride", "depth"])
Conv.__doc__ = """A full convolution: its kernel ``[height, width]``, stride and number of filters."""
DepthSepConv = collections.namedtuple("DepthSepConv", ["kernel", "stride", "depth"])
DepthSepConv.__doc__ = """A depthwise convolution of that kernel and stride, then a pointwise one of `depth`."""

# Stride and number of filters of the depthwise separable convolutions, by the paper's table 1. Its last
# stride, 2, is a slip: the table's own sizes (7x7 before and after) need 1.
_SEPARABLE = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512),
    (1, 512), (1, 512), (1, 512), (1, 512), (1, 512),
    (2, 1024), (1, 1024),
)  # fmt: skip
MOBILENETV1_CONV_DEFS = [
    Conv(kernel=[3, 3], stride=2, depth=32),
    *(DepthSepConv(kernel=[3, 3], stride=stride, depth=depth) for stride, depth in _SEPARABLE),
]


def mobilenet_v1_arg_scope(
    is_training=True,
    weight_decay=0.00004,
    stddev=0.09,
    regularize_depthwise=False,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    normalizer_fn=slim.batch_norm,
):
    """The arg_scope MobileNet V1 is built under.

    Args:
        is_training: whether batch_norm normalizes with the batch's statistics, for `mobilenet_v1_base`
            (`mobilenet_v1` has an argument of its own); None does not say.
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        stddev: standard deviation of the truncated normal that weights begin with.
        regularize_depthwise: whether `weight_decay` is for the depthwise weights too.
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
        batch_norm_updates_collections: collection of the moving averages' update ops.
        normalizer_fn: normalization function of all layers; None for biases.
    """
    batch_norm_params = {
        "center": True,
        "scale": True,
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
    }
    if is_training is not None:
        batch_norm_params["is_training"] = is_training
    regularizer = slim.l2_regularizer(weight_decay)
    with (
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            weights_initializer=tf.truncated_normal_initializer(stddev=stddev),
            activation_fn=tf.nn.relu6,
            normalizer_fn=normalizer_fn,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm_params),
        slim.arg_scope([slim.conv2d], weights_regularizer=regularizer),
        slim.arg_scope(
            [slim.separable_conv2d], weights_regularizer=regularizer if regularize_depthwise else None
        ) as arg_scope,
    ):
        return arg_scope


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 32 or more.

    The 7x7 average pooling shrinks with a smaller map, but a larger one, above 224, has to be averaged as a
    whole.
    """
    del is_training
    return {"global_pool": True} if image_size > 224 else {}


def _layers(net, conv_defs, depth, output_stride, use_explicit_padding):
    """Adds the layers one by one; yields the name of each, and its result."""

    def pad(net, kernel, rate):
        return fixed_padding(net, kernel, rate) if use_explicit_padding else net

    schedule = strides_and_rates([layer.stride for layer in conv_defs], output_stride)
    for i, (layer, (stride, rate)) in enumerate(zip(conv_defs, schedule)):
        name = f"Conv2d_{i}"
        if isinstance(layer, Conv):
            net = pad(net, layer.kernel, rate)
            net = slim.conv2d(net, depth(layer.depth), layer.kernel, stride=stride, rate=rate, scope=name)
            yield name, net
            continue
        net = pad(net, layer.kernel, rate)
        # Without a number of outputs, slim's separable convolution is its depthwise half alone.
        net = slim.separable_conv2d(
            net, None, layer.kernel, depth_multiplier=1, stride=stride, rate=rate, scope=f"{name}_depthwise"
        )
        yield f"{name}_depthwise", net
        net = slim.conv2d(net, depth(layer.depth), [1, 1], stride=1, scope=f"{name}_pointwise")
        yield f"{name}_pointwise", net


def mobilenet_v1_base(
    inputs,
    final_endpoint="Conv2d_13_pointwise",
    min_depth=8,
    depth_multiplier=1.0,
    conv_defs=None,
    output_stride=None,
    use_explicit_padding=False,
    scope=None,
):
    """MobileNet V1 without pooling and logits.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        final_endpoint: the layer to end with, ``Conv2d_0`` or ``Conv2d_<1..13>_depthwise`` or
            ``..._pointwise``.
        min_depth: the least number of channels of a layer.
        depth_multiplier: factor of the number of channels, above 0.
        conv_defs: list of `Conv` and `DepthSepConv`; None for the paper's.
        output_stride: ratio of input to output resolution, 8, 16 or 32, reached with atrous convolutions;
            None for the layers' own strides.
        use_explicit_padding: whether to pad both sides alike whatever the image's size, not as SAME does.
        scope: variable scope.

    Returns:
        The last layer ``[batch, height / 32, width / 32, channels]``, and a dictionary of all layers.

    Raises:
        ValueError: there is no such layer, or `depth_multiplier` or `output_stride` cannot be.
    """
    if depth_multiplier <= 0:
        raise ValueError(f"depth_multiplier has to be greater than zero, not {depth_multiplier}.")
    if output_stride not in (None, 8, 16, 32):
        raise ValueError(f"output_stride has to be 8, 16 or 32, not {output_stride}.")

    def depth(channels):
        return max(int(channels * depth_multiplier), min_depth)

    conv_defs = MOBILENETV1_CONV_DEFS if conv_defs is None else conv_defs
    end_points = {}
    # Where no arg_scope tells the normalization, it is batch normalization, as in research/slim before it had a
    # choice.
    full, separable = (
        scoped_argument(layer, "normalizer_fn", slim.batch_norm) for layer in (slim.conv2d, slim.separable_conv2d)
    )
    with (
        tf.variable_scope(scope, "MobilenetV1", [inputs]),
        slim.arg_scope([slim.conv2d], normalizer_fn=full),
        slim.arg_scope([slim.separable_conv2d], normalizer_fn=separable),
        slim.arg_scope([slim.conv2d, slim.separable_conv2d], padding="VALID" if use_explicit_padding else "SAME"),
    ):
        for name, net in _layers(inputs, conv_defs, depth, output_stride, use_explicit_padding):
            end_points[name] = net
            if name == final_endpoint:
                return net, end_points
    raise ValueError(f"There is no final_endpoint {final_endpoint!r}; there are {', '.join(end_points)}.")


def _pool(net, global_pool):
    """Averages the last map; returns the end point's name and the result."""
    if global_pool:
        return "global_pool", tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
    # As large as the map is at 224 pixels, unless this one is known to be smaller.
    kernel_size = [7 if size is None else min(size, 7) for size in net.shape.as_list()[1:3]]
    return "AvgPool_1a", slim.avg_pool2d(net, kernel_size, padding="VALID", scope="AvgPool_1a")


def mobilenet_v1(
    inputs,
    num_classes=1000,
    dropout_keep_prob=0.999,
    is_training=True,
    min_depth=8,
    depth_multiplier=1.0,
    conv_defs=None,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="MobilenetV1",
    global_pool=False,
    final_endpoint=None,
):
    """MobileNet V1 for classification.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        dropout_keep_prob: probability that dropout keeps a feature.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        min_depth: the least number of channels of a layer.
        depth_multiplier: factor of the number of channels, above 0.
        conv_defs: list of `Conv` and `DepthSepConv`; None for the paper's.
        prediction_fn: makes the end point `Predictions` of the logits; None leaves it out.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        global_pool: whether to average over all positions before the logits, instead of over windows of
            7x7, which are one position up to 224 pixels.
        final_endpoint: the layer of `mobilenet_v1_base` to end with; `num_classes` has to be None then. None for
            the whole network.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the features, pooled, or the output of
        `final_endpoint`), and a dictionary of the layers' outputs.

    Raises:
        ValueError: `inputs` are not of rank 4, `depth_multiplier` cannot be, there is no such `final_endpoint`, or
            logits are wanted on it.
    """
    check_no_logits(final_endpoint, num_classes)
    if inputs.shape.rank != 4:
        raise ValueError(f"The inputs have to be of rank 4, not {inputs.shape.rank}.")
    with (
        tf.variable_scope(scope, "MobilenetV1", [inputs], reuse=reuse) as sc,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = mobilenet_v1_base(
            inputs,
            final_endpoint or "Conv2d_13_pointwise",
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            conv_defs=conv_defs,
            scope=sc,
        )
        if final_endpoint is not None:
            return net, end_points
        with tf.variable_scope("Logits"):
            pooled, net = _pool(net, global_pool)
            end_points[pooled] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
            logits = slim.conv2d(
                net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="Conv2d_1c_1x1"
            )
            if spatial_squeeze:
                logits = tf.squeeze(logits, [1, 2], name="SpatialSqueeze")
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
        return logits, end_points


mobilenet_v1.default_image_size = 224
mobilenet_v1_075 = wrapped_partial(mobilenet_v1, depth_multiplier=0.75)
mobilenet_v1_050 = wrapped_partial(mobilenet_v1, depth_multiplier=0.50)
mobilenet_v1_025 = wrapped_partial(mobilenet_v1, depth_multiplier=0.25)

SPECS = tuple(
    NetworkSpec(
        name=name,
        module=__name__,
        arg_scope_name="mobilenet_v1_arg_scope",
        scope="MobilenetV1",
        logits_scopes=("MobilenetV1/Logits",),
        top_scopes=("MobilenetV1/Conv2d_12_*", "MobilenetV1/Conv2d_13_*"),
        preprocessing="inception",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1001,
        official_checkpoint=official,
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={
            "Conv2d_0": ("MobilenetV1/Conv2d_0",),
            **{
                f"Conv2d_{i}_{half}": tuple(f"MobilenetV1/Conv2d_{j}_*" for j in block if j <= i)
                for block in ((1,), (2, 3), (4, 5), (6, 7, 8, 9, 10, 11), (12, 13))
                for i in block
                for half in ("depthwise", "pointwise")
            },
        },
    )
    for name, official, parameters, gflops in (
        ("mobilenet_v1", "mobilenet_v1_1.0_224", 4_233_001, 1.138),
        ("mobilenet_v1_075", "mobilenet_v1_0.75_224", 2_586_329, 0.651),
        ("mobilenet_v1_050", "mobilenet_v1_0.5_224", 1_332_105, 0.299),
        ("mobilenet_v1_025", "mobilenet_v1_0.25_224", 470_329, 0.082),
    )
)
