"""Inception-ResNet V2 (Szegedy et al., arXiv:1602.07261) under TF-Slim's names.

Inception V3's first layers and a module, then 10, 20 and 10 residual units (figures 16, 17 and 19 of the paper),
called by the size of their maps, with reductions between them; and an auxiliary classifier on PreAuxLogits. A unit
adds to its map a share of what an Inception module makes of it. The paper has another stem, that of Inception V4,
and half as many units.

    with slim.arg_scope(inception_resnet_v2.inception_resnet_v2_arg_scope()):
        logits, end_points = inception_resnet_v2.inception_resnet_v2(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/inception_resnet_v2.py (github.com/tensorflow/models). The auxiliary classifier also takes images
that are too small for it there.
"""

from slimft.compat import slim, tf
from slimft.nets import inception_utils
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.inception_utils import Layer, avg_pool, conv, in_turn, max_pool, mixed
from slimft.nets.spec import NetworkSpec


def inception_resnet_v2_arg_scope(
    weight_decay=0.00004,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    activation_fn=tf.nn.relu,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    batch_norm_scale=False,
):
    """The arg_scope that Inception-ResNet V2 is built under: weights as slim draws them, biases that decay too.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
        activation_fn: the convolutions' non-linearity.
        batch_norm_updates_collections: collection of the moving averages' update ops.
        batch_norm_scale: whether batch_norm multiplies by a gamma; the official checkpoint has none.
    """
    batch_norm_params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
        "scale": batch_norm_scale,
    }
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_regularizer=slim.l2_regularizer(weight_decay),
        ),
        slim.arg_scope(
            [slim.conv2d],
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm,
            normalizer_params=batch_norm_params,
        ) as arg_scope,
    ):
        return arg_scope


def _residual(net, branches, scale, activation_fn, default_scope, scope, reuse):
    """A residual unit: to `net` is added `scale` times a linear function of the branches' channels.

    With ReLU6 as `activation_fn`, what is added is no more than 6 either way.
    """
    with tf.variable_scope(scope, default_scope, [net], reuse=reuse):
        up = slim.conv2d(
            inception_utils.apply_branches(net, branches),
            net.shape.as_list()[3],
            [1, 1],
            normalizer_fn=None,
            activation_fn=None,
            scope="Conv2d_1x1",
        )
        up *= scale
        if activation_fn == tf.nn.relu6:
            up = tf.clip_by_value(up, -6.0, 6.0)
        net += up
        return activation_fn(net) if activation_fn else net


def block35(net, scale=1.0, activation_fn=tf.nn.relu, scope=None, reuse=None):
    """A residual unit of 35x35 maps, figure 16.

    Args:
        net: float tensor ``[batch, height, width, channels]``, whose channels are known.
        scale: factor of what is added.
        activation_fn: the non-linearity of the sum; None for none.
        scope: variable scope.
        reuse: whether to reuse the variables; `scope` must be given.

    Returns:
        A tensor of the shape of `net`.
    """
    branches = (
        [conv("Conv2d_1x1", 32)],
        [conv("Conv2d_0a_1x1", 32), conv("Conv2d_0b_3x3", 32)],
        [conv("Conv2d_0a_1x1", 32), conv("Conv2d_0b_3x3", 48), conv("Conv2d_0c_3x3", 64)],
    )
    return _residual(net, branches, scale, activation_fn, "Block35", scope, reuse)


def block17(net, scale=1.0, activation_fn=tf.nn.relu, scope=None, reuse=None):
    """A residual unit of 17x17 maps, figure 17; arguments and result as of `block35`."""
    branches = (
        [conv("Conv2d_1x1", 192)],
        [conv("Conv2d_0a_1x1", 128), conv("Conv2d_0b_1x7", 160), conv("Conv2d_0c_7x1", 192)],
    )
    return _residual(net, branches, scale, activation_fn, "Block17", scope, reuse)


def block8(net, scale=1.0, activation_fn=tf.nn.relu, scope=None, reuse=None):
    """A residual unit of 8x8 maps, figure 19; arguments and result as of `block35`."""
    branches = (
        [conv("Conv2d_1x1", 192)],
        [conv("Conv2d_0a_1x1", 192), conv("Conv2d_0b_1x3", 224), conv("Conv2d_0c_3x1", 256)],
    )
    return _residual(net, branches, scale, activation_fn, "Block8", scope, reuse)


def _repeat(number, block, **arguments):
    """`number` units in a scope that `slim.repeat` names."""
    return Layer("", lambda net, depth: slim.repeat(net, number, block, **arguments))


def _layers(padding, stride, activation_fn):
    """The network's table; `stride` is that of Mixed_6a, and what it leaves out of 2 dilates the units behind."""
    reduce = {"stride": 2, "padding": padding}
    reduce_6a = {"stride": stride, "padding": padding}
    units_17 = _repeat(20, block17, scale=0.1, activation_fn=activation_fn)

    def dilated_units_17(net, depth):
        with slim.arg_scope([slim.conv2d], rate=2 // stride):
            return units_17.apply(net, depth)

    return (
        conv("Conv2d_1a_3x3", 32, **reduce),
        conv("Conv2d_2a_3x3", 32, padding=padding),
        conv("Conv2d_2b_3x3", 64),
        max_pool("MaxPool_3a_3x3", **reduce),
        conv("Conv2d_3b_1x1", 80, padding=padding),
        conv("Conv2d_4a_3x3", 192, padding=padding),
        max_pool("MaxPool_5a_3x3", **reduce),
        mixed(
            "Mixed_5b",
            [conv("Conv2d_1x1", 96)],
            [conv("Conv2d_0a_1x1", 48), conv("Conv2d_0b_5x5", 64)],
            [conv("Conv2d_0a_1x1", 64), conv("Conv2d_0b_3x3", 96), conv("Conv2d_0c_3x3", 96)],
            [avg_pool("AvgPool_0a_3x3"), conv("Conv2d_0b_1x1", 64)],
        ),
        in_turn(
            "Mixed_6a",
            _repeat(10, block35, scale=0.17, activation_fn=activation_fn),
            mixed(
                "Mixed_6a",
                [conv("Conv2d_1a_3x3", 384, **reduce_6a)],
                [conv("Conv2d_0a_1x1", 256), conv("Conv2d_0b_3x3", 256), conv("Conv2d_1a_3x3", 384, **reduce_6a)],
                [max_pool("MaxPool_1a_3x3", **reduce_6a)],
            ),
        ),
        Layer("PreAuxLogits", dilated_units_17),
        mixed(
            "Mixed_7a",
            [conv("Conv2d_0a_1x1", 256), conv("Conv2d_1a_3x3", 384, **reduce)],
            [conv("Conv2d_0a_1x1", 256), conv("Conv2d_1a_3x3", 288, **reduce)],
            [conv("Conv2d_0a_1x1", 256), conv("Conv2d_0b_3x3", 288), conv("Conv2d_1a_3x3", 320, **reduce)],
            [max_pool("MaxPool_1a_3x3", **reduce)],
        ),
        in_turn(
            "Conv2d_7b_1x1",
            _repeat(9, block8, scale=0.2, activation_fn=activation_fn),
            Layer("Block8", lambda net, depth: block8(net, activation_fn=None)),
            conv("Conv2d_7b_1x1", 1536),
        ),
    )


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 75 or more.

    The auxiliary logits exist for training only.
    """
    del image_size
    return {"create_aux_logits": is_training}


def inception_resnet_v2_base(
    inputs,
    final_endpoint="Conv2d_7b_1x1",
    output_stride=16,
    align_feature_maps=False,
    scope=None,
    activation_fn=tf.nn.relu,
):
    """Inception-ResNet V2 up to one of its end points.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 75 pixels a side or more.
        final_endpoint: the end point to stop at.
        output_stride: how many pixels there are to a position of PreAuxLogits: 16, or 8, for which Mixed_6a has
            stride 1 and what follows is dilated.
        align_feature_maps: whether all padding is SAME, so that positions of all maps lie over each other.
        scope: variable scope.
        activation_fn: the non-linearity of the residual units' sums.

    Returns:
        The output of `final_endpoint`, and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point or `output_stride`, the end point is behind PreAuxLogits with an
            `output_stride` of 8, or the images are too small.
    """
    if output_stride not in (8, 16):
        raise ValueError(f"output_stride={output_stride} is neither 8 nor 16")
    if output_stride == 8 and final_endpoint in ("Mixed_7a", "Conv2d_7b_1x1"):
        raise ValueError(f"output_stride=8 needs a final_endpoint up to PreAuxLogits, not {final_endpoint}")
    layers = _layers("SAME" if align_feature_maps else "VALID", output_stride // 8, activation_fn)
    with (
        tf.variable_scope(scope, "InceptionResnetV2", [inputs]),
        slim.arg_scope([slim.conv2d, slim.max_pool2d, slim.avg_pool2d], stride=1, padding="SAME"),
    ):
        return inception_utils.stack_layers(inputs, layers, final_endpoint)


def inception_resnet_v2(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    reuse=None,
    scope="InceptionResnetV2",
    create_aux_logits=True,
    activation_fn=tf.nn.relu,
    final_endpoint=None,
):
    """Inception-ResNet V2.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 75 pixels a side or more.
        num_classes: number of classes; 0 or None leaves the logits out, the auxiliary ones too.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        dropout_keep_prob: probability that dropout keeps a feature.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        create_aux_logits: whether to make the end point ``AuxLogits``, for which the images' height and width have
            to be known. The shape of one of its weights, 5x5 at 299 pixels, depends on them.
        activation_fn: as in `inception_resnet_v2_base`.
        final_endpoint: the end point of `inception_resnet_v2_base` to stop at; `num_classes` has to be None then.
            None for the whole network.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the averaged features
        ``[batch, 1, 1, 1536]``, or the output of `final_endpoint`), and a dictionary of the end points by name.

    Raises:
        ValueError: the images are too small, or of unknown size for auxiliary logits; there is no such
            `final_endpoint`, or logits are wanted on it.
    """
    check_no_logits(final_endpoint, num_classes)
    with (
        tf.variable_scope(scope, "InceptionResnetV2", [inputs], reuse=reuse) as sc,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_resnet_v2_base(
            inputs, final_endpoint or "Conv2d_7b_1x1", scope=sc, activation_fn=activation_fn
        )
        if final_endpoint is not None:
            return net, end_points
        if create_aux_logits and num_classes:
            end_points["AuxLogits"] = inception_utils.aux_logits_of_the_whole_map(
                end_points["PreAuxLogits"], num_classes, "Conv2d_1a_3x3", "Conv2d_2a_5x5", "Logits"
            )
        with tf.variable_scope("Logits"):
            net = end_points["global_pool"] = inception_utils.average_all(net, "AvgPool_1a_8x8", stride=2)
            if not num_classes:
                return net, end_points
            net = slim.dropout(slim.flatten(net), dropout_keep_prob, is_training=is_training, scope="Dropout")
            end_points["PreLogitsFlatten"] = net
            logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="Logits")
            end_points["Logits"] = logits
            end_points["Predictions"] = tf.nn.softmax(logits, name="Predictions")
        return logits, end_points


inception_resnet_v2.default_image_size = 299

SPECS = (
    NetworkSpec(
        name="inception_resnet_v2",
        module=__name__,
        arg_scope_name="inception_resnet_v2_arg_scope",
        scope="InceptionResnetV2",
        logits_scopes=("InceptionResnetV2/Logits", "InceptionResnetV2/AuxLogits"),
        top_scopes=tuple(
            f"InceptionResnetV2/{layer}" for layer in ("Mixed_7a", "Repeat_2", "Block8", "Conv2d_7b_1x1")
        ),
        preprocessing="inception",
        default_image_size=299,
        min_image_size=75,
        num_imagenet_classes=1001,
        official_checkpoint="inception_resnet_v2",
        parameters=55_814_729,
        gflops=26.312,
        options=("final_endpoint",),
        final_endpoints={
            end: tuple(f"InceptionResnetV2/{layer}" for layer in layers)
            for end, *layers in (
                ("Conv2d_1a_3x3", "Conv2d_1a_3x3"),
                ("Conv2d_2a_3x3", "Conv2d_1a_3x3", "Conv2d_2a_3x3"),
                ("Conv2d_2b_3x3", "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
                ("MaxPool_3a_3x3", "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
                ("Conv2d_3b_1x1", "Conv2d_3b_1x1"),
                ("Conv2d_4a_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
                ("MaxPool_5a_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
                ("Mixed_5b", "Mixed_5b"),
                ("Mixed_6a", "Mixed_6a"),
                ("PreAuxLogits", "Mixed_6a", "Repeat_1"),
                ("Mixed_7a", "Mixed_7a"),
                ("Conv2d_7b_1x1", "Mixed_7a", "Repeat_2", "Block8", "Conv2d_7b_1x1"),
            )
        },
    ),
)
