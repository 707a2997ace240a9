"""Inception V1, also called GoogLeNet (Szegedy et al., arXiv:1409.4842), under TF-Slim's names.

Table 1 of the paper, with batch normalization after each convolution in place of local response normalization, 3x3
filters where the paper has 5x5, a 2x2 pool before Mixed_5b where it has 3x3, and without its two auxiliary
classifiers.

    with slim.arg_scope(inception_v1.inception_v1_arg_scope()):
        logits, end_points = inception_v1.inception_v1(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/inception_v1.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets import inception_utils
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.inception_utils import conv, max_pool, mixed
from slimft.nets.spec import NetworkSpec

inception_v1_arg_scope = inception_utils.inception_arg_scope
trunc_normal = inception_utils.trunc_normal


# The filters of each module, as in the columns of the paper's table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5 (here
# 3x3) and pool projection.
FILTERS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def _module(scope, last_of_branch_2="Conv2d_0b_3x3"):
    ones, reduce_3x3, threes, reduce_5x5, fives, projection = FILTERS[scope]
    return mixed(
        scope,
        [conv("Conv2d_0a_1x1", ones)],
        [conv("Conv2d_0a_1x1", reduce_3x3), conv("Conv2d_0b_3x3", threes)],
        [conv("Conv2d_0a_1x1", reduce_5x5), conv(last_of_branch_2, fives)],
        [max_pool("MaxPool_0a_3x3"), conv("Conv2d_0b_1x1", projection)],
    )


_ROOT_BLOCK = (
    conv("Conv2d_1a_7x7", 64, stride=2),
    max_pool("MaxPool_2a_3x3", stride=2),
    conv("Conv2d_2b_1x1", 64),
    conv("Conv2d_2c_3x3", 192),
    max_pool("MaxPool_3a_3x3", stride=2),
)
_MODULES = (
    _module("Mixed_3b"),
    _module("Mixed_3c"),
    max_pool("MaxPool_4a_3x3", stride=2),
    _module("Mixed_4b"),
    _module("Mixed_4c"),
    _module("Mixed_4d"),
    _module("Mixed_4e"),
    _module("Mixed_4f"),
    max_pool("MaxPool_5a_2x2", stride=2),
    # The official checkpoint has this name, too.
    _module("Mixed_5b", last_of_branch_2="Conv2d_0a_3x3"),
    _module("Mixed_5c"),
)


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 32 or more.

    The 7x7 average before the logits is one of all positions at 224 pixels.
    """
    del is_training
    return {} if image_size == 224 else {"global_pool": True}


def inception_v1_base(inputs, final_endpoint="Mixed_5c", include_root_block=True, scope="InceptionV1"):
    """Inception V1 up to one of its end points.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        final_endpoint: the end point to stop at.
        include_root_block: whether to begin with the convolutions and pools before Mixed_3b.
        scope: variable scope.

    Returns:
        The output of `final_endpoint`, and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point.
    """
    layers = _ROOT_BLOCK + _MODULES if include_root_block else _MODULES
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs]),
        slim.arg_scope([slim.conv2d, slim.fully_connected], weights_initializer=trunc_normal(0.01)),
        slim.arg_scope([slim.conv2d, slim.max_pool2d], stride=1, padding="SAME"),
    ):
        return inception_utils.stack_layers(inputs, layers, final_endpoint)


def inception_v1(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.8,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="InceptionV1",
    global_pool=False,
    final_endpoint=None,
):
    """Inception V1.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        dropout_keep_prob: probability that dropout keeps a feature.
        prediction_fn: ``prediction_fn(logits, scope=...)`` makes the end point ``Predictions``.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        global_pool: whether to average over all positions before the logits, not over 7x7 windows.
        final_endpoint: the end point of `inception_v1_base` to stop at; `num_classes` has to be None then. None for
            the whole network.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the averaged features, or the
        output of `final_endpoint`), and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such `final_endpoint`, or logits are wanted on it.
    """
    check_no_logits(final_endpoint, num_classes)
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs], reuse=reuse) as sc,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v1_base(inputs, final_endpoint or "Mixed_5c", scope=sc)
        if final_endpoint is not None:
            return net, end_points
        with tf.variable_scope("Logits"):
            if global_pool:
                net = tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
                end_points["global_pool"] = net
            else:
                net = slim.avg_pool2d(net, [7, 7], stride=1, scope="AvgPool_0a_7x7")
                end_points["AvgPool_0a_7x7"] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, dropout_keep_prob, scope="Dropout_0b")
            logits = slim.conv2d(
                net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="Conv2d_0c_1x1"
            )
            if spatial_squeeze:
                logits = tf.squeeze(logits, [1, 2], name="SpatialSqueeze")
            end_points["Logits"] = logits
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
            return logits, end_points


inception_v1.default_image_size = 224

SPECS = (
    NetworkSpec(
        name="inception_v1",
        module=__name__,
        arg_scope_name="inception_v1_arg_scope",
        scope="InceptionV1",
        logits_scopes=("InceptionV1/Logits",),
        top_scopes=("InceptionV1/Mixed_5b", "InceptionV1/Mixed_5c"),
        preprocessing="inception",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1001,
        official_checkpoint="inception_v1",
        parameters=6_618_649,
        gflops=2.997,
        options=("final_endpoint",),
        final_endpoints={
            end: tuple(f"InceptionV1/{layer}" for layer in layers)
            for end, *layers in (
                ("Conv2d_1a_7x7", "Conv2d_1a_7x7"),
                ("MaxPool_2a_3x3", "Conv2d_1a_7x7"),
                ("Conv2d_2b_1x1", "Conv2d_2b_1x1"),
                ("Conv2d_2c_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3"),
                ("MaxPool_3a_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3"),
                ("Mixed_3b", "Mixed_3b"),
                ("Mixed_3c", "Mixed_3b", "Mixed_3c"),
                ("MaxPool_4a_3x3", "Mixed_3b", "Mixed_3c"),
                ("Mixed_4b", "Mixed_4b"),
                ("Mixed_4c", "Mixed_4b", "Mixed_4c"),
                ("Mixed_4d", "Mixed_4b", "Mixed_4c", "Mixed_4d"),
                ("Mixed_4e", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e"),
                ("Mixed_4f", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"),
                ("MaxPool_5a_2x2", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"),
                ("Mixed_5b", "Mixed_5b"),
                ("Mixed_5c", "Mixed_5b", "Mixed_5c"),
            )
        },
    ),
)
