"""The VGG networks (Simonyan and Zisserman, arXiv:1409.1556) under TF-Slim's names.

Configurations A, D and E of the paper's table 1 are `vgg_a`, `vgg_16` and `vgg_19`; `vgg_postech` is deeper.
The fully connected layers are convolutions (fc6 is 7x7), so that one set of variables serves any image size.

    with slim.arg_scope(vgg.vgg_arg_scope()):
        logits, end_points = vgg.vgg_16(images, num_classes=10)

Images are RGB in [0, 255] minus (123.68, 116.78, 103.94). Signatures, variable names, op names and end
points are those of research/slim/nets/vgg.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets.final_endpoint import check_no_logits
from slimft.nets.fully_connected import fully_connected_conv2d
from slimft.nets.spec import NetworkSpec

# The number of 3x3 convolutions in each block, by the paper's table 1, and their width.
_LAYERS_A = (1, 1, 2, 2, 2)
_LAYERS_D = (2, 2, 3, 3, 3)
_LAYERS_E = (2, 2, 4, 4, 4)
# By the table of POSTECH's course, see `vgg_postech`.
_LAYERS_POSTECH = (2, 3, 4, 5, 5)
_WIDTHS = (64, 128, 256, 512, 512)


def vgg_arg_scope(weight_decay=0.0005):
    """The arg_scope VGG is built under: ReLU, L2 regularizer, zero biases, SAME padding.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
    """
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        activation_fn=tf.nn.relu,
        weights_regularizer=slim.l2_regularizer(weight_decay),
        biases_initializer=tf.zeros_initializer(),
    ):
        with slim.arg_scope([slim.conv2d], padding="SAME") as arg_scope:
            return arg_scope


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 32 or more.

    fc6 is 7 wide and sees the image at 1/32: below 224 it has to pad, and unless exactly one position
    comes out of it, the positions are averaged.
    """
    del is_training
    positions = image_size // 32 - 6
    if positions < 1:
        return {"fc_conv_padding": "SAME", "global_pool": True}
    return {"global_pool": positions > 1}


def _features(net, layers, is_training, dropout_keep_prob, fc_conv_padding, fc_width, final_endpoint):
    """All layers but the logits or, with a `final_endpoint`, those up to it."""
    for block, (repetitions, width) in enumerate(zip(layers, _WIDTHS), start=1):
        names = [f"conv{block}/conv{block}_{i}" for i in range(1, repetitions + 1)]
        ends = final_endpoint in names
        repetitions = names.index(final_endpoint) + 1 if ends else repetitions
        net = slim.repeat(net, repetitions, slim.conv2d, width, [3, 3], scope=f"conv{block}")
        if ends:
            return net
        net = slim.max_pool2d(net, [2, 2], scope=f"pool{block}")
        if final_endpoint == f"pool{block}":
            return net
    if final_endpoint not in (None, "fc6", "fc7"):
        raise ValueError(f"final_endpoint={final_endpoint!r}: there is no such end point")
    net = fully_connected_conv2d(net, fc_width, 7, fc_conv_padding, scope="fc6")
    if final_endpoint == "fc6":
        return net
    net = slim.dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout6")
    return fully_connected_conv2d(net, fc_width, 1, "SAME", scope="fc7")


def _vgg(
    inputs,
    layers,
    name,
    num_classes,
    is_training,
    dropout_keep_prob,
    spatial_squeeze,
    reuse,
    scope,
    fc_conv_padding,
    global_pool,
    fc_width=4096,
    final_endpoint=None,
):
    check_no_logits(final_endpoint, num_classes)
    with tf.variable_scope(scope, name, [inputs], reuse=reuse) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        with slim.arg_scope(
            [slim.conv2d, slim.fully_connected, slim.max_pool2d], outputs_collections=end_points_collection
        ):
            net = _features(
                inputs, layers, is_training, dropout_keep_prob, fc_conv_padding, fc_width, final_endpoint
            )
            end_points = slim.utils.convert_collection_to_dict(end_points_collection)
            if final_endpoint is not None:
                return net, end_points
            if global_pool:
                net = tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
                end_points["global_pool"] = net
            if num_classes:
                net = slim.dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout7")
                net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="fc8")
                if spatial_squeeze:
                    net = tf.squeeze(net, [1, 2], name="fc8/squeezed")
                end_points[sc.name + "/fc8"] = net
            return net, end_points


def vgg_a(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope="vgg_a",
    fc_conv_padding="VALID",
    global_pool=False,
    final_endpoint=None,
):
    """VGG with 11 weight layers, configuration A; arguments and result as `vgg_16`."""
    return _vgg(
        inputs,
        _LAYERS_A,
        "vgg_a",
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        reuse,
        scope,
        fc_conv_padding,
        global_pool,
        final_endpoint=final_endpoint,
    )


def vgg_16(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope="vgg_16",
    fc_conv_padding="VALID",
    global_pool=False,
    fc_width=4096,
    final_endpoint=None,
):
    """VGG with 16 weight layers, configuration D.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves fc8 out.
        is_training: whether dropout is active.
        dropout_keep_prob: probability that dropout keeps an activation of fc6 and fc7.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        fc_conv_padding: padding of fc6: ``VALID`` gives ``height // 32 - 6`` rows, ``SAME``
            ``height // 32``.
        global_pool: whether to average fc7 over all positions before fc8.
        fc_width: number of filters of fc6 and of fc7; research/slim has no such argument.
        final_endpoint: the last layer that is built, such as ``pool5`` or ``conv4/conv4_3``, as research/slim has
            it for other networks; `num_classes` has to be None then. None for the whole network.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: fc7 ``[batch, rows, columns, fc_width]``, or the
        output of `final_endpoint`), and a dictionary of the layers' outputs, by their scope.

    Raises:
        ValueError: there is no such `final_endpoint`, or logits are wanted on it.
    """
    return _vgg(
        inputs,
        _LAYERS_D,
        "vgg_16",
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        reuse,
        scope,
        fc_conv_padding,
        global_pool,
        fc_width,
        final_endpoint,
    )


def vgg_19(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope="vgg_19",
    fc_conv_padding="VALID",
    global_pool=False,
    final_endpoint=None,
):
    """VGG with 19 weight layers, configuration E; arguments and result as `vgg_16`."""
    return _vgg(
        inputs,
        _LAYERS_E,
        "vgg_19",
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        reuse,
        scope,
        fc_conv_padding,
        global_pool,
        final_endpoint=final_endpoint,
    )


def vgg_postech(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope="vgg_postech",
    fc_conv_padding="VALID",
    global_pool=False,
    final_endpoint=None,
):
    """The VGG of POSTECH's course, with 2, 3, 4, 5 and 5 convolutions; arguments and result as `vgg_16`.

    The header of the course's figure says 23 weight layers. Its table adds up to 22: 19 convolutions, fc6, fc7
    and fc8. This is the table's network.
    """
    return _vgg(
        inputs,
        _LAYERS_POSTECH,
        "vgg_postech",
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        reuse,
        scope,
        fc_conv_padding,
        global_pool,
        final_endpoint=final_endpoint,
    )


for _function in (vgg_a, vgg_16, vgg_19, vgg_postech):
    _function.default_image_size = 224
# The paper's own names for two of them.
vgg_d = vgg_16
vgg_e = vgg_19

SPECS = tuple(
    NetworkSpec(
        name=name,
        module=__name__,
        arg_scope_name="vgg_arg_scope",
        scope=name,
        logits_scopes=(f"{name}/fc8",),
        top_scopes=(f"{name}/conv5", f"{name}/fc6", f"{name}/fc7"),
        preprocessing="mean_subtraction",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1000,
        official_checkpoint=official,
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={
            **{
                end: (f"{name}/conv{block}",)
                for block, layers in blocks
                for end in (*[f"conv{block}/conv{block}_{layer}" for layer in layers], f"pool{block}")
            },
            "fc6": (f"{name}/conv5", f"{name}/fc6"),
            "fc7": (f"{name}/conv5", f"{name}/fc6", f"{name}/fc7"),
        },
    )
    for name, official, parameters, gflops, blocks in (
        ("vgg_a", None, 132_863_336, 15.218, ((1, "1"), (2, "1"), (3, "12"), (4, "12"), (5, "12"))),
        ("vgg_16", "vgg_16", 138_357_544, 30.941, ((1, "12"), (2, "12"), (3, "123"), (4, "123"), (5, "123"))),
        ("vgg_19", "vgg_19", 143_667_240, 39.264, ((1, "12"), (2, "12"), (3, "1234"), (4, "1234"), (5, "1234"))),
        (
            "vgg_postech",
            None,
            148_534_440,
            47.588,
            ((1, "12"), (2, "123"), (3, "1234"), (4, "12345"), (5, "12345")),
        ),
    )
)
