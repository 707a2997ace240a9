"""Densely connected networks (Huang et al., arXiv:1608.06993) under the names of their TF-Slim port.

DenseNet-121 and 169 of the paper's table 1, and 161, a wider one (k = 48) among the models that its authors
published; all have bottleneck layers and a compression of 0.5 (DenseNet-BC).

    with slim.arg_scope(densenet.densenet_arg_scope()):
        logits, end_points = densenet.densenet121(images, num_classes=10, is_training=True)

Images are RGB in [0, 255] minus (123.68, 116.78, 103.94), times 0.017. Signatures, variable names, op names
and end points are those of nets/densenet.py (github.com/pudae/tensorflow-densenet), whose checkpoints fit.
"""

from slimft.compat import scoped_argument, slim, tf
from slimft.nets.spec import NetworkSpec, UnlistedNetwork


@slim.add_arg_scope
def _global_avg_pool2d(inputs, data_format="NHWC", scope=None, outputs_collections=None):
    with tf.variable_scope(scope, "xx", [inputs]) as sc:
        axes = [1, 2] if data_format == "NHWC" else [2, 3]
        net = tf.reduce_mean(inputs, axes, keepdims=True)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, net)


@slim.add_arg_scope
def _conv(inputs, num_filters, kernel_size, dropout_rate=None, scope=None, outputs_collections=None):
    """Batch normalization, ReLU and a convolution, in this order; then dropout, if any."""
    with tf.variable_scope(scope, "xx", [inputs]) as sc:
        net = tf.nn.relu(slim.batch_norm(inputs))
        net = slim.conv2d(net, num_filters, kernel_size)
        if dropout_rate:
            net = slim.dropout(net, keep_prob=1.0 - dropout_rate)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, net)


@slim.add_arg_scope
def _conv_block(inputs, num_filters, data_format="NHWC", scope=None, outputs_collections=None):
    """A bottleneck layer: `num_filters` channels more, beside those of `inputs`."""
    with tf.variable_scope(scope, "conv_blockx", [inputs]) as sc:
        net = _conv(inputs, num_filters * 4, 1, scope="x1")
        net = _conv(net, num_filters, 3, scope="x2")
        net = tf.concat([inputs, net], axis=3 if data_format == "NHWC" else 1)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, net)


@slim.add_arg_scope
def _dense_block(inputs, num_layers, growth_rate, scope=None, outputs_collections=None):
    """`num_layers` bottleneck layers, each of which sees the results of all before it."""
    with tf.variable_scope(scope, "dense_blockx", [inputs]) as sc:
        net = inputs
        for i in range(1, num_layers + 1):
            net = _conv_block(net, growth_rate, scope=f"conv_block{i}")
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, net)


@slim.add_arg_scope
def _transition_block(inputs, num_filters, scope=None, outputs_collections=None):
    """A 1x1 convolution to `num_filters` channels, and half the resolution."""
    with tf.variable_scope(scope, "transition_blockx", [inputs]) as sc:
        net = slim.avg_pool2d(_conv(inputs, num_filters, 1, scope="blk"), 2)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, net)


_FORMATTED = (slim.conv2d, slim.batch_norm, slim.avg_pool2d, slim.max_pool2d, _conv_block, _global_avg_pool2d)


def densenet_arg_scope(weight_decay=1e-4, batch_norm_decay=0.99, batch_norm_epsilon=1.1e-5, data_format="NHWC"):
    """The arg_scope the densely connected networks are built under.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
        data_format: ``NHWC`` (channels last) or ``NCHW``.
    """
    with (
        slim.arg_scope(list(_FORMATTED), data_format=data_format),
        slim.arg_scope(
            [slim.conv2d],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=None,
            biases_initializer=None,
        ),
        slim.arg_scope(
            [slim.batch_norm], scale=True, decay=batch_norm_decay, epsilon=batch_norm_epsilon
        ) as arg_scope,
    ):
        return arg_scope


def arguments_for(image_size, is_training):
    """The network averages over all positions; the port's functions leave the logits their two ones."""
    del image_size, is_training
    return {"spatial_squeeze": True}


def densenet(
    inputs,
    num_classes=1000,
    reduction=None,
    growth_rate=None,
    num_filters=None,
    num_layers=None,
    dropout_rate=None,
    data_format="NHWC",
    is_training=True,
    reuse=None,
    scope=None,
    spatial_squeeze=False,
):
    """A densely connected network of the given blocks.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        reduction: share of the channels, from 0 to 1, that a transition drops.
        growth_rate: channels that each layer adds, the paper's k.
        num_filters: channels of the first convolution.
        num_layers: number of layers of each block.
        dropout_rate: share of the values that is dropped after each convolution of the blocks; None for none.
        data_format: ``NCHW`` transposes the inputs and has the layers work channels first.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.

    Returns:
        The logits ``[batch, 1, 1, num_classes]``, or ``[batch, num_classes]`` with `spatial_squeeze`,
        channels last whatever the format (without `num_classes`: the features ``[batch, 1, 1, channels]``,
        in their format), and a dictionary of the layers' outputs by their scope, with `predictions`.

    Raises:
        ValueError: one of the numbers that make up the network is missing.
    """
    if None in (reduction, growth_rate, num_filters, num_layers):
        raise ValueError("A densenet needs its reduction, growth_rate, num_filters and num_layers.")
    if data_format == "NCHW":
        inputs = tf.transpose(inputs, [0, 3, 1, 2])
    else:
        # Under an arg_scope of that format, the inputs are taken to have it already.
        data_format = scoped_argument(slim.conv2d, "data_format", data_format)
    with tf.variable_scope(scope, "densenetxxx", [inputs], reuse=reuse) as sc:
        end_points_collection = f"{sc.name}_end_points"
        with (
            slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
            slim.arg_scope(
                [slim.conv2d, _conv, _conv_block, _dense_block, _transition_block],
                outputs_collections=end_points_collection,
            ),
            slim.arg_scope([_conv], dropout_rate=dropout_rate),
            slim.arg_scope(list(_FORMATTED), data_format=data_format),
        ):
            net = _features(inputs, 1.0 - reduction, growth_rate, num_filters, num_layers)
            if num_classes:
                net = slim.conv2d(net, num_classes, 1, biases_initializer=tf.zeros_initializer(), scope="logits")
        end_points = slim.utils.convert_collection_to_dict(end_points_collection)
        if num_classes:
            # The port's softmax takes its ones of rows and columns for classes, channels first.
            net = tf.transpose(net, [0, 2, 3, 1]) if data_format == "NCHW" else net
            net = tf.squeeze(net, [1, 2], name="SpatialSqueeze") if spatial_squeeze else net
            end_points["predictions"] = slim.softmax(net, scope="predictions")
        return net, end_points


def _features(net, compression, growth_rate, num_filters, num_layers):
    """All layers but the logits: the paper's table 1 from top to bottom."""
    net = slim.conv2d(net, num_filters, 7, stride=2, scope="conv1")
    net = tf.nn.relu(slim.batch_norm(net))
    net = slim.max_pool2d(net, 3, stride=2, padding="SAME")
    for i, layers in enumerate(num_layers, start=1):
        net = _dense_block(net, layers, growth_rate, scope=f"dense_block{i}")
        num_filters += layers * growth_rate
        if i < len(num_layers):
            num_filters = int(num_filters * compression)
            net = _transition_block(net, num_filters, scope=f"transition_block{i}")
    with tf.variable_scope("final_block"):
        net = tf.nn.relu(slim.batch_norm(net))
        return _global_avg_pool2d(net, scope="global_avg_pool")


def _published(layers, growth_rate, num_filters, num_layers):
    """The function that builds a published network; `growth_rate` is the paper's k."""
    name = f"densenet{layers}"

    def function(inputs, num_classes=1000, data_format="NHWC", is_training=True, reuse=None, spatial_squeeze=False):
        return densenet(
            inputs,
            num_classes,
            reduction=0.5,
            growth_rate=growth_rate,
            num_filters=num_filters,
            num_layers=num_layers,
            data_format=data_format,
            is_training=is_training,
            reuse=reuse,
            scope=name,
            spatial_squeeze=spatial_squeeze,
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""DenseNet-{layers}, k = {growth_rate}; arguments and result as `densenet`."""
    function.default_image_size = 224
    return function


densenet_121 = densenet121 = _published(121, 32, 64, (6, 12, 24, 16))
densenet_161 = densenet161 = _published(161, 48, 96, (6, 12, 36, 24))
densenet_169 = densenet169 = _published(169, 32, 64, (6, 12, 32, 32))

SPECS = (
    *(
        NetworkSpec(
            name=f"densenet_{layers}",
            module=__name__,
            arg_scope_name="densenet_arg_scope",
            scope=f"densenet{layers}",
            logits_scopes=(f"densenet{layers}/logits",),
            top_scopes=(f"densenet{layers}/dense_block4", f"densenet{layers}/final_block"),
            preprocessing="densenet",
            default_image_size=224,
            min_image_size=32,
            num_imagenet_classes=1000,
            official_checkpoint=None,
            parameters=parameters,
            gflops=gflops,
        )
        for layers, parameters, gflops in ((121, 7_978_856, 5.668), (169, 14_149_480, 6.720))
    ),
    UnlistedNetwork(module=__name__, arg_scope_name="densenet_arg_scope", scope="densenet161"),
)
