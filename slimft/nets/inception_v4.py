"""Inception V4 (Szegedy et al., arXiv:1602.07261) under TF-Slim's names.

The stem of the paper's figure 3, then four Inception-A modules (figure 4) at 35x35, seven Inception-B (figure 5) at
17x17 and three Inception-C (figure 6) at 8x8, with Reduction-A and -B (figures 7 and 8) between them; and an
auxiliary classifier on Mixed_6h.

    with slim.arg_scope(inception_v4.inception_v4_arg_scope()):
        logits, end_points = inception_v4.inception_v4(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/inception_v4.py (github.com/tensorflow/models). The auxiliary classifier also takes images that
are too small for it there.
"""

from slimft.compat import slim, tf
from slimft.nets import inception_utils
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.inception_utils import Layer, avg_pool, conv, max_pool, mixed, side_by_side
from slimft.nets.spec import NetworkSpec

inception_v4_arg_scope = inception_utils.inception_arg_scope

_REDUCE = {"stride": 2, "padding": "VALID"}


def _branches(inputs, branches, default_scope, scope, reuse):
    with (
        slim.arg_scope([slim.conv2d, slim.avg_pool2d, slim.max_pool2d], stride=1, padding="SAME"),
        tf.variable_scope(scope, default_scope, [inputs], reuse=reuse),
    ):
        return inception_utils.apply_branches(inputs, branches)


def block_inception_a(inputs, scope=None, reuse=None):
    """Inception-A, figure 4: a map, 35x35 at 299 pixels, becomes one of 384 channels."""
    branches = (
        [conv("Conv2d_0a_1x1", 96)],
        [conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96)],
        [conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96), conv("Conv2d_0c_3x3", 96)],
        [avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 96)],
    )
    return _branches(inputs, branches, "BlockInceptionA", scope, reuse)


def block_reduction_a(inputs, scope=None, reuse=None):
    """Reduction-A, figure 7: halves a map, 35x35 at 299 pixels, and adds 640 channels to it."""
    branches = (
        [conv("Conv2d_1a_3x3", 384, **_REDUCE)],
        [conv("Conv2d_0a_1x1", 192), conv("Conv2d_0b_3x3", 224), conv("Conv2d_1a_3x3", 256, **_REDUCE)],
        [max_pool("MaxPool_1a_3x3", **_REDUCE)],
    )
    return _branches(inputs, branches, "BlockReductionA", scope, reuse)


def block_inception_b(inputs, scope=None, reuse=None):
    """Inception-B, figure 5: a map, 17x17 at 299 pixels, becomes one of 1024 channels."""
    branches = (
        [conv("Conv2d_0a_1x1", 384)],
        [conv("Conv2d_0a_1x1", 192), conv("Conv2d_0b_1x7", 224), conv("Conv2d_0c_7x1", 256)],
        [
            conv("Conv2d_0a_1x1", 192),
            conv("Conv2d_0b_7x1", 192),
            conv("Conv2d_0c_1x7", 224),
            conv("Conv2d_0d_7x1", 224),
            conv("Conv2d_0e_1x7", 256),
        ],
        [avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 128)],
    )
    return _branches(inputs, branches, "BlockInceptionB", scope, reuse)


def block_reduction_b(inputs, scope=None, reuse=None):
    """Reduction-B, figure 8: halves a map, 17x17 at 299 pixels, and adds 512 channels to it."""
    branches = (
        [conv("Conv2d_0a_1x1", 192), conv("Conv2d_1a_3x3", 192, **_REDUCE)],
        [
            conv("Conv2d_0a_1x1", 256),
            conv("Conv2d_0b_1x7", 256),
            conv("Conv2d_0c_7x1", 320),
            conv("Conv2d_1a_3x3", 320, **_REDUCE),
        ],
        [max_pool("MaxPool_1a_3x3", **_REDUCE)],
    )
    return _branches(inputs, branches, "BlockReductionB", scope, reuse)


def block_inception_c(inputs, scope=None, reuse=None):
    """Inception-C, figure 6: a map, 8x8 at 299 pixels, becomes one of 1536 channels."""
    branches = (
        [conv("Conv2d_0a_1x1", 256)],
        [conv("Conv2d_0a_1x1", 384), side_by_side(conv("Conv2d_0b_1x3", 256), conv("Conv2d_0c_3x1", 256))],
        [
            conv("Conv2d_0a_1x1", 384),
            conv("Conv2d_0b_3x1", 448),
            conv("Conv2d_0c_1x3", 512),
            side_by_side(conv("Conv2d_0d_1x3", 256), conv("Conv2d_0e_3x1", 256)),
        ],
        [avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 256)],
    )
    return _branches(inputs, branches, "BlockInceptionC", scope, reuse)


def _block(block, scope):
    return Layer(scope, lambda net, depth: block(net, scope))


_LAYERS = (
    conv("Conv2d_1a_3x3", 32, **_REDUCE),
    conv("Conv2d_2a_3x3", 32, padding="VALID"),
    conv("Conv2d_2b_3x3", 64),
    mixed("Mixed_3a", [max_pool("MaxPool_0a_3x3", **_REDUCE)], [conv("Conv2d_0a_3x3", 96, **_REDUCE)]),
    mixed(
        "Mixed_4a",
        [conv("Conv2d_0a_1x1", 64), conv("Conv2d_1a_3x3", 96, padding="VALID")],
        [
            conv("Conv2d_0a_1x1", 64),
            conv("Conv2d_0b_1x7", 64),
            conv("Conv2d_0c_7x1", 64),
            conv("Conv2d_1a_3x3", 96, padding="VALID"),
        ],
    ),
    mixed("Mixed_5a", [conv("Conv2d_1a_3x3", 192, **_REDUCE)], [max_pool("MaxPool_1a_3x3", **_REDUCE)]),
    *(_block(block_inception_a, f"Mixed_5{letter}") for letter in "bcde"),
    _block(block_reduction_a, "Mixed_6a"),
    *(_block(block_inception_b, f"Mixed_6{letter}") for letter in "bcdefgh"),
    _block(block_reduction_b, "Mixed_7a"),
    *(_block(block_inception_c, f"Mixed_7{letter}") for letter in "bcd"),
)


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 75 or more.

    The auxiliary logits exist for training only.
    """
    del image_size
    return {"create_aux_logits": is_training}


def inception_v4_base(inputs, final_endpoint="Mixed_7d", scope=None):
    """Inception V4 up to one of its end points.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 75 pixels a side or more.
        final_endpoint: the end point to stop at.
        scope: variable scope.

    Returns:
        The output of `final_endpoint`, and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point, or the images are too small.
    """
    with (
        tf.variable_scope(scope, "InceptionV4", [inputs]),
        slim.arg_scope([slim.conv2d, slim.max_pool2d, slim.avg_pool2d], stride=1, padding="SAME"),
    ):
        return inception_utils.stack_layers(inputs, _LAYERS, final_endpoint)


def inception_v4(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    reuse=None,
    scope="InceptionV4",
    create_aux_logits=True,
    final_endpoint=None,
):
    """Inception V4.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 75 pixels a side or more.
        num_classes: number of classes; 0 or None leaves the logits out, the auxiliary ones too.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        dropout_keep_prob: probability that dropout keeps a feature.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        create_aux_logits: whether to make the end point ``AuxLogits``, for which the images' height and width have
            to be known. The shape of one of its weights, 5x5 at 299 pixels, depends on them.
        final_endpoint: the end point of `inception_v4_base` to stop at; `num_classes` has to be None then. None for
            the whole network.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the averaged features
        ``[batch, 1, 1, 1536]``, or the output of `final_endpoint`), and a dictionary of the end points by name.

    Raises:
        ValueError: the images are too small, or of unknown size for auxiliary logits; there is no such
            `final_endpoint`, or logits are wanted on it.
    """
    check_no_logits(final_endpoint, num_classes)
    with (
        tf.variable_scope(scope, "InceptionV4", [inputs], reuse=reuse) as sc,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v4_base(inputs, final_endpoint or "Mixed_7d", scope=sc)
        if final_endpoint is not None:
            return net, end_points
        if create_aux_logits and num_classes:
            end_points["AuxLogits"] = inception_utils.aux_logits_of_the_whole_map(
                end_points["Mixed_6h"], num_classes, "AvgPool_1a_5x5", "Conv2d_2a", "Aux_logits"
            )
        with tf.variable_scope("Logits"):
            net = end_points["global_pool"] = inception_utils.average_all(net, "AvgPool_1a", stride=1)
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, dropout_keep_prob, scope="Dropout_1b")
            net = end_points["PreLogitsFlatten"] = slim.flatten(net, scope="PreLogitsFlatten")
            logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="Logits")
            end_points["Logits"] = logits
            end_points["Predictions"] = tf.nn.softmax(logits, name="Predictions")
        return logits, end_points


inception_v4.default_image_size = 299

SPECS = (
    NetworkSpec(
        name="inception_v4",
        module=__name__,
        arg_scope_name="inception_v4_arg_scope",
        scope="InceptionV4",
        logits_scopes=("InceptionV4/Logits", "InceptionV4/AuxLogits"),
        top_scopes=tuple(f"InceptionV4/Mixed_7{letter}" for letter in "abcd"),
        preprocessing="inception",
        default_image_size=299,
        min_image_size=75,
        num_imagenet_classes=1001,
        official_checkpoint="inception_v4",
        parameters=42_649_769,
        gflops=24.508,
        options=("final_endpoint",),
        final_endpoints={
            "Conv2d_1a_3x3": ("InceptionV4/Conv2d_1a_3x3",),
            "Conv2d_2a_3x3": ("InceptionV4/Conv2d_1a_3x3", "InceptionV4/Conv2d_2a_3x3"),
            "Conv2d_2b_3x3": tuple(f"InceptionV4/Conv2d_{layer}_3x3" for layer in ("1a", "2a", "2b")),
            "Mixed_3a": ("InceptionV4/Mixed_3a",),
            "Mixed_4a": ("InceptionV4/Mixed_3a", "InceptionV4/Mixed_4a"),
            **{
                f"Mixed_{stage}{last}": tuple(
                    f"InceptionV4/Mixed_{stage}{letter}" for letter in letters if letter <= last
                )
                for stage, letters in ((5, "abcde"), (6, "abcdefgh"), (7, "abcd"))
                for last in letters
            },
        },
    ),
)
