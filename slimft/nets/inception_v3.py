"""Inception V3 (Szegedy et al., arXiv:1512.00567) under TF-Slim's names.

Seven layers, then three modules of the paper's figure 5 at 35x35, four of figure 6 at 17x17 and two of figure 7 at
8x8, with reductions (figure 10) between them; batch normalization after each convolution, also in the auxiliary
classifier on Mixed_6e. The paper's table 1 has other layers at the start (TF-Slim's fourth convolution is 1x1, and
a pool comes before the modules) and counts five modules of figure 6.

    with slim.arg_scope(inception_v3.inception_v3_arg_scope()):
        logits, end_points = inception_v3.inception_v3(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/inception_v3.py (github.com/tensorflow/models). The auxiliary classifier also takes images
that are too small or too large for it there.
"""

from slimft.compat import slim, tf
from slimft.nets import inception_utils
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.inception_utils import (
    average_windows,
    avg_pool,
    conv,
    max_pool,
    mixed,
    reduced_kernel_size,
    side_by_side,
)
from slimft.nets.spec import NetworkSpec

inception_v3_arg_scope = inception_utils.inception_arg_scope
trunc_normal = inception_utils.trunc_normal
# Scripts call it by this name.
_reduced_kernel_size_for_small_input = reduced_kernel_size

_REDUCE = {"stride": 2, "padding": "VALID"}


def _figure_5(scope, projection, branch_1=("Conv2d_0a_1x1", "Conv2d_0b_5x5")):
    """A module of 35x35 maps, with `projection` filters after the pool; 5x5 filters are also two 3x3 ones."""
    return mixed(
        scope,
        [conv("Conv2d_0a_1x1", 64)],
        [conv(branch_1[0], 48), conv(branch_1[1], 64)],
        [conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96), conv("Conv2d_0c_3x3", 96)],
        [avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", projection)],
    )


def _figure_6(scope, filters):
    """A module of 17x17 maps: 7x7 filters as 1x7 and 7x1 ones, with `filters` filters inside the branches."""
    return mixed(
        scope,
        [conv("Conv2d_0a_1x1", 192)],
        [conv("Conv2d_0a_1x1", filters), conv("Conv2d_0b_1x7", filters), conv("Conv2d_0c_7x1", 192)],
        [
            conv("Conv2d_0a_1x1", filters),
            conv("Conv2d_0b_7x1", filters),
            conv("Conv2d_0c_1x7", filters),
            conv("Conv2d_0d_7x1", filters),
            conv("Conv2d_0e_1x7", 192),
        ],
        [avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 192)],
    )


def _figure_7(scope, branch_1_3x1):
    """A module of 8x8 maps: 1x3 and 3x1 filters side by side."""
    return mixed(
        scope,
        [conv("Conv2d_0a_1x1", 320)],
        [conv("Conv2d_0a_1x1", 384), side_by_side(conv("Conv2d_0b_1x3", 384), conv(branch_1_3x1, 384))],
        [
            conv("Conv2d_0a_1x1", 448),
            conv("Conv2d_0b_3x3", 384),
            side_by_side(conv("Conv2d_0c_1x3", 384), conv("Conv2d_0d_3x1", 384)),
        ],
        [avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 192)],
    )


# Scopes are those of the official checkpoint: Mixed_5c, 6a and 7b have some of their own.
_LAYERS = (
    conv("Conv2d_1a_3x3", 32, **_REDUCE),
    conv("Conv2d_2a_3x3", 32, padding="VALID"),
    conv("Conv2d_2b_3x3", 64),
    max_pool("MaxPool_3a_3x3", **_REDUCE),
    conv("Conv2d_3b_1x1", 80, padding="VALID"),
    conv("Conv2d_4a_3x3", 192, padding="VALID"),
    max_pool("MaxPool_5a_3x3", **_REDUCE),
    _figure_5("Mixed_5b", projection=32),
    _figure_5("Mixed_5c", projection=64, branch_1=("Conv2d_0b_1x1", "Conv_1_0c_5x5")),
    _figure_5("Mixed_5d", projection=64),
    mixed(
        "Mixed_6a",
        [conv("Conv2d_1a_1x1", 384, [3, 3], **_REDUCE)],
        [conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96), conv("Conv2d_1a_1x1", 96, [3, 3], **_REDUCE)],
        [max_pool("MaxPool_1a_3x3", **_REDUCE)],
    ),
    _figure_6("Mixed_6b", 128),
    _figure_6("Mixed_6c", 160),
    _figure_6("Mixed_6d", 160),
    _figure_6("Mixed_6e", 192),
    mixed(
        "Mixed_7a",
        [conv("Conv2d_0a_1x1", 192), conv("Conv2d_1a_3x3", 320, **_REDUCE)],
        [
            conv("Conv2d_0a_1x1", 192),
            conv("Conv2d_0b_1x7", 192),
            conv("Conv2d_0c_7x1", 192),
            conv("Conv2d_1a_3x3", 192, **_REDUCE),
        ],
        [max_pool("MaxPool_1a_3x3", **_REDUCE)],
    ),
    _figure_7("Mixed_7b", branch_1_3x1="Conv2d_0b_3x1"),
    _figure_7("Mixed_7c", branch_1_3x1="Conv2d_0c_3x1"),
)


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 75 or more.

    The auxiliary logits exist for training only. The 8x8 average before the logits is one of all positions up
    to 330 pixels.
    """
    positions = (image_size - 43) // 32
    return {"create_aux_logits": is_training, "global_pool": positions > 8}


def inception_v3_base(inputs, final_endpoint="Mixed_7c", min_depth=16, depth_multiplier=1.0, scope=None):
    """Inception V3 up to one of its end points.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 75 pixels a side or more.
        final_endpoint: the end point to stop at.
        min_depth: the smallest number of filters that `depth_multiplier` may leave a convolution.
        depth_multiplier: factor, above 0, of each convolution's number of filters.
        scope: variable scope.

    Returns:
        The output of `final_endpoint`, and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point, `depth_multiplier` is not above 0, or the images are too small.
    """
    depth = inception_utils.depth_function(min_depth, depth_multiplier)
    with (
        tf.variable_scope(scope, "InceptionV3", [inputs]),
        slim.arg_scope([slim.conv2d, slim.max_pool2d, slim.avg_pool2d], stride=1, padding="SAME"),
    ):
        return inception_utils.stack_layers(inputs, _LAYERS, final_endpoint, depth)


def _aux_logits(net, num_classes, depth, spatial_squeeze, global_pool):
    """The auxiliary classifier on the 17x17 map; it has one position up to 346 pixels a side.

    research/slim has no result below 107 pixels, where the map is smaller than its 5x5 window, and cannot squeeze
    several positions; here the window is no larger than the map, and with `global_pool` positions are averaged.
    """
    with (
        tf.variable_scope("AuxLogits"),
        slim.arg_scope([slim.conv2d, slim.avg_pool2d], stride=1, padding="SAME"),
    ):
        window = reduced_kernel_size(net, [5, 5])
        scope = "AvgPool_1a_{}x{}".format(*window)
        net = slim.avg_pool2d(net, window, stride=3, padding="VALID", scope=scope)
        net = slim.conv2d(net, depth(128), [1, 1], scope="Conv2d_1b_1x1")
        kernel_size = reduced_kernel_size(net, [5, 5])
        net = slim.conv2d(
            net,
            depth(768),
            kernel_size,
            weights_initializer=trunc_normal(0.01),
            padding="VALID",
            scope="Conv2d_2a_{}x{}".format(*kernel_size),
        )
        if global_pool and spatial_squeeze and net.shape.as_list()[1:3] != [1, 1]:
            net = tf.reduce_mean(net, [1, 2], keepdims=True, name="GlobalPool")
        net = slim.conv2d(
            net,
            num_classes,
            [1, 1],
            activation_fn=None,
            normalizer_fn=None,
            weights_initializer=trunc_normal(0.001),
            scope="Conv2d_2b_1x1",
        )
        return tf.squeeze(net, [1, 2], name="SpatialSqueeze") if spatial_squeeze else net


def _average(net, global_pool, end_points):
    """The mean over all positions, or over 8x8 windows (smaller where the map is) that are 2 apart."""
    if not global_pool:
        return average_windows(net, [8, 8], end_points)
    net = end_points["global_pool"] = tf.reduce_mean(net, [1, 2], keepdims=True, name="GlobalPool")
    return net


def inception_v3(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.8,
    min_depth=16,
    depth_multiplier=1.0,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    create_aux_logits=True,
    scope="InceptionV3",
    global_pool=False,
    final_endpoint=None,
):
    """Inception V3.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 75 pixels a side or more.
        num_classes: number of classes; 0 or None leaves the logits out, the auxiliary ones too.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        dropout_keep_prob: probability that dropout keeps a feature.
        min_depth, depth_multiplier: as in `inception_v3_base`.
        prediction_fn: ``prediction_fn(logits, scope=...)`` makes the end point ``Predictions``.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        reuse: whether to reuse the variables; `scope` must be given.
        create_aux_logits: whether to make the end point ``AuxLogits``.
        scope: variable scope.
        global_pool: whether to average over all positions before the logits, not over 8x8 windows.
        final_endpoint: the end point of `inception_v3_base` to stop at; `num_classes` has to be None then. None for
            the whole network.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the averaged features, or the
        output of `final_endpoint`), and a dictionary of the end points by name.

    Raises:
        ValueError: `depth_multiplier` is not above 0, the images are too small, there is no such `final_endpoint`,
            or logits are wanted on it.
    """
    check_no_logits(final_endpoint, num_classes)
    depth = inception_utils.depth_function(min_depth, depth_multiplier)
    with (
        tf.variable_scope(scope, "InceptionV3", [inputs], reuse=reuse) as sc,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v3_base(
            inputs, final_endpoint or "Mixed_7c", min_depth, depth_multiplier, scope=sc
        )
        if final_endpoint is not None:
            return net, end_points
        if create_aux_logits and num_classes:
            end_points["AuxLogits"] = _aux_logits(
                end_points["Mixed_6e"], num_classes, depth, spatial_squeeze, global_pool
            )
        with tf.variable_scope("Logits"):
            net = _average(net, global_pool, end_points)
            if not num_classes:
                return net, end_points
            logits = inception_utils.logits_of_positions(
                net, num_classes, dropout_keep_prob, spatial_squeeze, end_points
            )
        end_points["Logits"] = logits
        end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
        return logits, end_points


inception_v3.default_image_size = 299

SPECS = (
    NetworkSpec(
        name="inception_v3",
        module=__name__,
        arg_scope_name="inception_v3_arg_scope",
        scope="InceptionV3",
        logits_scopes=("InceptionV3/Logits", "InceptionV3/AuxLogits"),
        top_scopes=("InceptionV3/Mixed_7a", "InceptionV3/Mixed_7b", "InceptionV3/Mixed_7c"),
        preprocessing="inception",
        default_image_size=299,
        min_image_size=75,
        num_imagenet_classes=1001,
        official_checkpoint="inception_v3",
        parameters=23_819_401,
        gflops=11.426,
        options=("final_endpoint",),
        final_endpoints={
            end: tuple(f"InceptionV3/{layer}" for layer in layers)
            for end, *layers in (
                ("Conv2d_1a_3x3", "Conv2d_1a_3x3"),
                ("Conv2d_2a_3x3", "Conv2d_1a_3x3", "Conv2d_2a_3x3"),
                ("Conv2d_2b_3x3", "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
                ("MaxPool_3a_3x3", "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
                ("Conv2d_3b_1x1", "Conv2d_3b_1x1"),
                ("Conv2d_4a_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
                ("MaxPool_5a_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
                ("Mixed_5b", "Mixed_5b"),
                ("Mixed_5c", "Mixed_5b", "Mixed_5c"),
                ("Mixed_5d", "Mixed_5b", "Mixed_5c", "Mixed_5d"),
                ("Mixed_6a", "Mixed_6a"),
                ("Mixed_6b", "Mixed_6a", "Mixed_6b"),
                ("Mixed_6c", "Mixed_6a", "Mixed_6b", "Mixed_6c"),
                ("Mixed_6d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d"),
                ("Mixed_6e", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
                ("Mixed_7a", "Mixed_7a"),
                ("Mixed_7b", "Mixed_7a", "Mixed_7b"),
                ("Mixed_7c", "Mixed_7a", "Mixed_7b", "Mixed_7c"),
            )
        },
    ),
)
