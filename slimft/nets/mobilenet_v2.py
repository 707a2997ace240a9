"""MobileNet V2 (Sandler et al., arXiv:1801.04381) under TF-Slim's names.

The network of the paper's table 2: inverted residual bottlenecks, each a 1x1 convolution that expands, a 3x3
depthwise one and a 1x1 one that projects, the last without a non-linearity; the others end in ReLU6.
`mobilenet_v2_140`, `_050` and `_035` have that share of its channels.

    with slim.arg_scope(mobilenet_v2.training_scope()):
        logits, end_points = mobilenet_v2.mobilenet(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/mobilenet/mobilenet_v2.py (github.com/tensorflow/models); but `V2_DEF` is the paper's table here,
and there is no group normalization. docs/networks.md lists the names that differ.
"""

import collections

from slimft.compat import slim, tf
from slimft.nets.mobilenet_utils import fixed_padding, strides_and_rates
from slimft.nets.mobilenet_v1 import wrapped_partial
from slimft.nets.spec import NetworkSpec

Conv = collections.namedtuple("Conv", ["kernel", "stride", "depth"])
Conv.__doc__ = """A full convolution: the height and width of its kernel, its stride and number of filters."""
Bottleneck = collections.namedtuple("Bottleneck", ["expansion", "depth", "repetitions", "stride"])
Bottleneck.__doc__ = """Bottlenecks in a row, the first with the stride: t, c, n and s in the paper's table 2."""

V2_DEF = (
    Conv(kernel=3, stride=2, depth=32),
    # t, c, n, s
    Bottleneck(1, 16, 1, 1),
    Bottleneck(6, 24, 2, 2),
    Bottleneck(6, 32, 3, 2),
    Bottleneck(6, 64, 4, 2),
    Bottleneck(6, 96, 3, 1),
    Bottleneck(6, 160, 3, 2),
    Bottleneck(6, 320, 1, 1),
    Conv(kernel=1, stride=1, depth=1280),
)


def training_scope(is_training=True, weight_decay=0.00004, stddev=0.09, dropout_keep_prob=0.8, bn_decay=0.997):
    """The arg_scope MobileNet V2 is built under; without it, the network is built for inference.

    Args:
        is_training: what `is_training` of `mobilenet` is unless it is given there; None leaves batch_norm
            and dropout at their own.
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss; the depthwise weights are left out.
        stddev: standard deviation of the truncated normal that weights begin with; negative for Xavier's.
        dropout_keep_prob: probability that dropout keeps a feature; None does not say.
        bn_decay: decay of the moving averages; None does not say.
    """
    initializer = slim.xavier_initializer() if stddev < 0 else tf.truncated_normal_initializer(stddev=stddev)
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected, slim.separable_conv2d],
            weights_initializer=initializer,
            normalizer_fn=slim.batch_norm,
        ),
        slim.arg_scope([mobilenet], is_training=is_training),
        slim.arg_scope([slim.batch_norm], **_said(is_training=is_training, decay=bn_decay)),
        slim.arg_scope([slim.dropout], **_said(is_training=is_training, keep_prob=dropout_keep_prob)),
        slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)),
        slim.arg_scope([slim.separable_conv2d], weights_regularizer=None) as arg_scope,
    ):
        return arg_scope


def _said(**arguments):
    """Those of the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def arguments_for(image_size, is_training):
    """The network averages over all positions: no image size needs an argument."""
    del image_size, is_training
    return {}


def _make_divisible(channels, divisor, least):
    """The multiple of `divisor` nearest to `channels`, at least `least` and 90 % of `channels`."""
    result = max(least, int(channels + divisor / 2) // divisor * divisor)
    return int(result + divisor if result < 0.9 * channels else result)


def _bottleneck(net, expansion, depth, stride, rate, use_explicit_padding):
    """An inverted residual bottleneck (figure 4d of the paper); returns it and its inner outputs by name."""
    outputs = {}
    with tf.variable_scope(None, "expanded_conv"):
        inputs = net = tf.identity(net, "input")
        channels = inputs.shape.as_list()[3]
        if expansion > 1:
            net = slim.conv2d(net, _make_divisible(channels * expansion, 8, 8), [1, 1], scope="expand")
            outputs["expansion_output"] = net = tf.identity(net, "expansion_output")
        if use_explicit_padding:
            net = fixed_padding(net, 3, rate)
        # Without a number of outputs, slim's separable convolution is its depthwise half alone.
        net = slim.separable_conv2d(
            net, None, [3, 3], depth_multiplier=1, stride=stride, rate=rate, scope="depthwise"
        )
        outputs["depthwise_output"] = net = tf.identity(net, "depthwise_output")
        net = slim.conv2d(net, depth, [1, 1], activation_fn=tf.identity, scope="project")
        if stride == 1 and depth == channels:
            net += inputs
        outputs["output"] = net = tf.identity(net, "output")
    return net, outputs


def _depths(layers, depth_multiplier, keep_last, divisor, least):
    """The number of channels of each layer; `keep_last` is for multipliers below 1."""
    if depth_multiplier <= 0:
        raise ValueError(f"depth_multiplier has to be greater than zero, not {depth_multiplier}.")
    depths = [layer.depth * depth_multiplier for layer in layers]
    if keep_last and depth_multiplier < 1:
        depths[-1] = layers[-1].depth
    return [_make_divisible(depth, divisor, least) for depth in depths]


def _add_layers(net, layers, depths, output_stride, use_explicit_padding, final_endpoint):
    """Adds the layers up to `final_endpoint`; returns the last one and a dictionary of all."""
    if output_stride is not None and output_stride != 1 and (output_stride < 1 or output_stride % 2):
        raise ValueError(f"output_stride has to be 1 or a multiple of 2, not {output_stride}.")
    end_points, inner = {}, {}
    schedule = strides_and_rates([layer.stride for layer in layers], output_stride)
    with slim.arg_scope(
        [slim.conv2d, slim.separable_conv2d],
        padding="VALID" if use_explicit_padding else "SAME",
        normalizer_fn=slim.batch_norm,
    ):
        for i, (layer, depth, (stride, rate)) in enumerate(zip(layers, depths, schedule), start=1):
            if isinstance(layer, Conv):
                rate = 1 if layer.kernel == 1 else rate
                if use_explicit_padding:
                    net = fixed_padding(net, layer.kernel, rate)
                net = slim.conv2d(net, depth, [layer.kernel] * 2, stride=stride, rate=rate)
            else:
                net, outputs = _bottleneck(net, layer.expansion, depth, stride, rate, use_explicit_padding)
                inner |= {f"layer_{i}/{name}": output for name, output in outputs.items()}
            end_points[f"layer_{i}"] = net
            if f"layer_{i}" == final_endpoint:
                break
    return net, end_points | inner


def _one_by_one(conv_defs):
    """The layers of `conv_defs`, each bottleneck of a row by itself."""
    for row in conv_defs:
        if isinstance(row, Conv):
            yield row
            continue
        for i in range(row.repetitions):
            yield row._replace(repetitions=1, stride=row.stride if i == 0 else 1)


@slim.add_arg_scope
def mobilenet(
    input_tensor,
    num_classes=1001,
    depth_multiplier=1.0,
    scope="MobilenetV2",
    conv_defs=None,
    finegrain_classification_mode=False,
    min_depth=None,
    divisible_by=None,
    activation_fn=None,
    *,
    prediction_fn=slim.softmax,
    reuse=None,
    base_only=False,
    final_endpoint=None,
    output_stride=None,
    use_explicit_padding=False,
    is_training=False,
):
    """MobileNet V2 for classification.

    Args:
        input_tensor: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        depth_multiplier: factor of the number of channels, above 0.
        scope: variable scope.
        conv_defs: list of `Conv` and `Bottleneck`; None for `V2_DEF`, the paper's.
        finegrain_classification_mode: whether the last layer keeps its channels where `depth_multiplier` is
            below 1, as in the paper.
        min_depth: the least number of channels of a layer; None for 8.
        divisible_by: what the numbers of channels are rounded to a multiple of; None for 8.
        activation_fn: the non-linearity; None for ReLU6.
        prediction_fn: makes the end point `Predictions` of the logits; None leaves it out.
        reuse: whether to reuse the variables; `scope` must be given.
        base_only: whether to end before pooling and logits.
        final_endpoint: the layer to end with, ``layer_1`` to ``layer_19``; None, or any other name, for the
            last.
        output_stride: ratio of input to output resolution, 1 or even, reached with atrous convolutions; None
            for the layers' own strides.
        use_explicit_padding: whether to pad both sides alike whatever the image's size, not as SAME does.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics; False
            unless a `training_scope` tells otherwise. None leaves that to the layers' arg_scopes.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the features ``[batch, 1, 1, channels]``;
        with `base_only`: the last layer), and a dictionary of the layers' outputs.

    Raises:
        ValueError: `input_tensor` is not of rank 4, or `depth_multiplier` or `output_stride` cannot be.
    """
    if input_tensor.shape.rank != 4:
        raise ValueError(f"The inputs have to be of rank 4, not {input_tensor.shape.rank}.")
    layers = list(_one_by_one(V2_DEF if conv_defs is None else conv_defs))
    depths = _depths(layers, depth_multiplier, finegrain_classification_mode, divisible_by or 8, min_depth or 8)
    with (
        tf.variable_scope(scope, "Mobilenet", reuse=reuse),
        slim.arg_scope([slim.batch_norm], center=True, scale=True, **_said(is_training=is_training)),
        slim.arg_scope([slim.dropout], **_said(is_training=is_training)),
    ):
        net = tf.identity(input_tensor, "input")
        with slim.arg_scope([slim.conv2d, slim.separable_conv2d], activation_fn=activation_fn or tf.nn.relu6):
            net, end_points = _add_layers(net, layers, depths, output_stride, use_explicit_padding, final_endpoint)
        if base_only:
            return net, end_points
        return _classify(tf.identity(net, "embedding"), num_classes, prediction_fn, end_points)


def _classify(net, num_classes, prediction_fn, end_points):
    """The logits of the last layer, or without `num_classes` what they would be made of; and the end points."""
    with tf.variable_scope("Logits"):
        # Of any size, and named as in research/slim, where an average pooling does it.
        net = tf.reduce_mean(net, [1, 2], keepdims=True, name="AvgPool")
        end_points["global_pool"] = net
        if not num_classes:
            return net, end_points
        net = slim.dropout(net, scope="Dropout")
        logits = slim.conv2d(
            net,
            num_classes,
            [1, 1],
            activation_fn=None,
            normalizer_fn=None,
            biases_initializer=tf.zeros_initializer(),
            scope="Conv2d_1c_1x1",
        )
        logits = tf.identity(tf.squeeze(logits, [1, 2]), name="output")
    end_points["Logits"] = logits
    if prediction_fn:
        end_points["Predictions"] = prediction_fn(logits, "Predictions")
    return logits, end_points


@slim.add_arg_scope
def mobilenet_base(input_tensor, depth_multiplier=1.0, **kwargs):
    """MobileNet V2 without pooling and logits; arguments and result as `mobilenet`."""
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


mobilenet.default_image_size = 224
mobilenet_v2 = mobilenet
mobilenet_v2_140 = wrapped_partial(mobilenet, depth_multiplier=1.4)
# The last layer, which the logits see, stays as wide as at 1.0.
mobilenet_v2_050 = wrapped_partial(mobilenet, depth_multiplier=0.50, finegrain_classification_mode=True)
mobilenet_v2_035 = wrapped_partial(mobilenet, depth_multiplier=0.35, finegrain_classification_mode=True)

SPECS = tuple(
    NetworkSpec(
        name=name,
        module=__name__,
        arg_scope_name="training_scope",
        scope="MobilenetV2",
        logits_scopes=("MobilenetV2/Logits",),
        top_scopes=(*(f"MobilenetV2/expanded_conv_{i}" for i in (13, 14, 15, 16)), "MobilenetV2/Conv_1"),
        preprocessing="inception",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1001,
        official_checkpoint=official,
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={
            "layer_1": ("MobilenetV2/Conv",),
            "layer_2": ("MobilenetV2/Conv", "MobilenetV2/expanded_conv"),
            **{
                f"layer_{i + 2}": tuple(f"MobilenetV2/expanded_conv_{j}" for j in block if j <= i)
                for block in ((1, 2), (3, 4, 5), (6, 7, 8, 9, 10, 11, 12), (13, 14, 15, 16))
                for i in block
            },
            "layer_19": (*(f"MobilenetV2/expanded_conv_{i}" for i in (13, 14, 15, 16)), "MobilenetV2/Conv_1"),
        },
    )
    for name, official, parameters, gflops in (
        ("mobilenet_v2", "mobilenet_v2_1.0_224", 3_506_153, 0.602),
        ("mobilenet_v2_140", "mobilenet_v2_1.4_224", 6_110_569, 1.164),
    )
)
