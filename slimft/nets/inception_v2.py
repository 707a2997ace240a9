"""Inception V2, also called BN-Inception (Ioffe and Szegedy, arXiv:1502.03167), under TF-Slim's names.

Inception V1 with two 3x3 convolutions in place of a 5x5 one, averages in place of most maxima, modules that halve
the map in place of pools, and batch normalization (figure 5 of the paper). The first convolution is separable, as
in the paper, and the only one without batch normalization.

    with slim.arg_scope(inception_v2.inception_v2_arg_scope()):
        logits, end_points = inception_v2.inception_v2(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/inception_v2.py (github.com/tensorflow/models). With images in NCHW, batch normalization is of
channels, which there takes an arg_scope of one's own: it is of columns else.
"""

from slimft.compat import slim, tf
from slimft.nets import inception_utils
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.inception_utils import Layer, avg_pool, conv, max_pool, mixed
from slimft.nets.spec import NetworkSpec

inception_v2_arg_scope = inception_utils.inception_arg_scope
trunc_normal = inception_utils.trunc_normal


def _separable(net, depth):
    """The first layer: 7x7 filters of single channels, up to 8 of each, and 64 of their 1x1 sums."""
    return slim.separable_conv2d(
        net,
        depth(64),
        [7, 7],
        depth_multiplier=min(int(depth(64) / 3), 8),
        stride=2,
        padding="SAME",
        weights_initializer=trunc_normal(1.0),
        scope="Conv2d_1a_7x7",
    )


def _reduce(filters):
    """The 1x1 convolution before larger ones."""
    return conv("Conv2d_0a_1x1", filters, weights_initializer=trunc_normal(0.09))


_AVERAGE = avg_pool("AvgPool_0a_3x3")


def _module(scope, *filters, pool=_AVERAGE):
    """An Inception module; `filters` as in the columns of the paper's figure 5.

    They are 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3 and pool projection.
    """
    ones, reduce_3x3, threes, reduce_double, double, projection = filters
    return mixed(
        scope,
        [conv("Conv2d_0a_1x1", ones)],
        [_reduce(reduce_3x3), conv("Conv2d_0b_3x3", threes)],
        [_reduce(reduce_double), conv("Conv2d_0b_3x3", double), conv("Conv2d_0c_3x3", double)],
        [pool, conv("Conv2d_0b_1x1", projection, weights_initializer=trunc_normal(0.1))],
    )


def _halving_module(scope, reduce_3x3, threes, reduce_double, double):
    """A module whose branches end with stride 2, without 1x1 convolutions alone."""
    return mixed(
        scope,
        [_reduce(reduce_3x3), conv("Conv2d_1a_3x3", threes, stride=2)],
        [_reduce(reduce_double), conv("Conv2d_0b_3x3", double), conv("Conv2d_1a_3x3", double, stride=2)],
        [max_pool("MaxPool_1a_3x3", stride=2)],
    )


_SEPARABLE = Layer("Conv2d_1a_7x7", _separable)
_FULL = conv("Conv2d_1a_7x7", 64, stride=2, weights_initializer=trunc_normal(1.0))
_ROOT_BLOCK = (
    max_pool("MaxPool_2a_3x3", stride=2),
    conv("Conv2d_2b_1x1", 64, weights_initializer=trunc_normal(0.1)),
    conv("Conv2d_2c_3x3", 192),
    max_pool("MaxPool_3a_3x3", stride=2),
)
_MODULES = (
    _module("Mixed_3b", 64, 64, 64, 64, 96, 32),
    _module("Mixed_3c", 64, 64, 96, 64, 96, 64),
    _halving_module("Mixed_4a", 128, 160, 64, 96),
    _module("Mixed_4b", 224, 64, 96, 96, 128, 128),
    _module("Mixed_4c", 192, 96, 128, 96, 128, 128),
    _module("Mixed_4d", 160, 128, 160, 128, 160, 96),
    _module("Mixed_4e", 96, 128, 192, 160, 192, 96),
    _halving_module("Mixed_5a", 128, 192, 192, 256),
    _module("Mixed_5b", 352, 192, 320, 160, 224, 128),
    _module("Mixed_5c", 352, 192, 320, 192, 224, 128, pool=max_pool("MaxPool_0a_3x3")),
)


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 32 or more.

    The 7x7 average before the logits is one of all positions up to 224 pixels.
    """
    del is_training
    return {"global_pool": image_size > 224}


def inception_v2_base(
    inputs,
    final_endpoint="Mixed_5c",
    min_depth=16,
    depth_multiplier=1.0,
    use_separable_conv=True,
    data_format="NHWC",
    include_root_block=True,
    scope=None,
):
    """Inception V2 up to one of its end points.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        final_endpoint: the end point to stop at.
        min_depth: the smallest number of filters that `depth_multiplier` may leave a convolution.
        depth_multiplier: factor, above 0, of each convolution's number of filters.
        use_separable_conv: whether the first convolution is separable, as in the official checkpoint.
        data_format: ``NHWC``, or ``NCHW`` for `inputs` and end points ``[batch, channels, height, width]``, which
            TensorFlow computes on GPUs alone.
        include_root_block: whether to begin with the convolutions and pools before Mixed_3b.
        scope: variable scope.

    Returns:
        The output of `final_endpoint`, and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point or data format, the separable convolution is to be in NCHW, or
            `depth_multiplier` is not above 0.
    """
    depth = inception_utils.depth_function(min_depth, depth_multiplier)
    if data_format not in ("NHWC", "NCHW"):
        raise ValueError(f"data_format={data_format!r} is neither 'NHWC' nor 'NCHW'")
    if data_format == "NCHW" and use_separable_conv:
        raise ValueError("data_format='NCHW' needs use_separable_conv=False: separable convolutions are NHWC only")
    first = _SEPARABLE if use_separable_conv else _FULL
    layers = (first, *_ROOT_BLOCK, *_MODULES) if include_root_block else _MODULES
    with (
        tf.variable_scope(scope, "InceptionV2", [inputs]),
        slim.arg_scope([slim.conv2d, slim.max_pool2d, slim.avg_pool2d], stride=1, padding="SAME"),
        slim.arg_scope([slim.conv2d, slim.max_pool2d, slim.avg_pool2d, slim.batch_norm], data_format=data_format),
    ):
        return inception_utils.stack_layers(inputs, layers, final_endpoint, depth)


def inception_v2(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.8,
    min_depth=16,
    depth_multiplier=1.0,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="InceptionV2",
    global_pool=False,
    final_endpoint=None,
):
    """Inception V2.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        dropout_keep_prob: probability that dropout keeps a feature.
        min_depth, depth_multiplier: as in `inception_v2_base`.
        prediction_fn: ``prediction_fn(logits, scope=...)`` makes the end point ``Predictions``.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        global_pool: whether to average over all positions before the logits, not over 7x7 windows.
        final_endpoint: the end point of `inception_v2_base` to stop at; `num_classes` has to be None then. None for
            the whole network.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the averaged features, or the
        output of `final_endpoint`), and a dictionary of the end points by name.

    Raises:
        ValueError: `depth_multiplier` is not above 0, there is no such `final_endpoint`, or logits are wanted on
            it.
    """
    check_no_logits(final_endpoint, num_classes)
    with (
        tf.variable_scope(scope, "InceptionV2", [inputs], reuse=reuse) as sc,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v2_base(
            inputs, final_endpoint or "Mixed_5c", min_depth, depth_multiplier, scope=sc
        )
        if final_endpoint is not None:
            return net, end_points
        with tf.variable_scope("Logits"):
            if global_pool:
                net = tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
                end_points["global_pool"] = net
            else:
                net = inception_utils.average_windows(net, [7, 7], end_points)
            if not num_classes:
                return net, end_points
            logits = inception_utils.logits_of_positions(
                net, num_classes, dropout_keep_prob, spatial_squeeze, end_points
            )
        end_points["Logits"] = logits
        end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
        return logits, end_points


inception_v2.default_image_size = 224

SPECS = (
    NetworkSpec(
        name="inception_v2",
        module=__name__,
        arg_scope_name="inception_v2_arg_scope",
        scope="InceptionV2",
        logits_scopes=("InceptionV2/Logits",),
        top_scopes=("InceptionV2/Mixed_5a", "InceptionV2/Mixed_5b", "InceptionV2/Mixed_5c"),
        preprocessing="inception",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1001,
        official_checkpoint="inception_v2",
        parameters=11_179_361,
        gflops=3.87,
        options=("final_endpoint",),
        final_endpoints={
            end: tuple(f"InceptionV2/{layer}" for layer in layers)
            for end, *layers in (
                ("Conv2d_1a_7x7", "Conv2d_1a_7x7"),
                ("MaxPool_2a_3x3", "Conv2d_1a_7x7"),
                ("Conv2d_2b_1x1", "Conv2d_2b_1x1"),
                ("Conv2d_2c_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3"),
                ("MaxPool_3a_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3"),
                ("Mixed_3b", "Mixed_3b"),
                ("Mixed_3c", "Mixed_3b", "Mixed_3c"),
                ("Mixed_4a", "Mixed_4a"),
                ("Mixed_4b", "Mixed_4a", "Mixed_4b"),
                ("Mixed_4c", "Mixed_4a", "Mixed_4b", "Mixed_4c"),
                ("Mixed_4d", "Mixed_4a", "Mixed_4b", "Mixed_4c", "Mixed_4d"),
                ("Mixed_4e", "Mixed_4a", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e"),
                ("Mixed_5a", "Mixed_5a"),
                ("Mixed_5b", "Mixed_5a", "Mixed_5b"),
                ("Mixed_5c", "Mixed_5a", "Mixed_5b", "Mixed_5c"),
            )
        },
    ),
)
