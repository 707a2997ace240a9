"""What the Inception networks share: the arg_scope, and layers to write their tables with.

A network is a sequence of `Layer`s, whose scopes are its end points; `mixed` is an Inception module. Of maps in
NCHW, as an arg_scope on `slim.conv2d` may say, the channels are concatenated too.

Source of the numbers and names: research/slim/nets/inception_utils.py (github.com/tensorflow/models).
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from slimft.compat import scoped_argument, slim, tf

# Of a standard deviation, as scripts call it.
trunc_normal = functools.partial(tf.truncated_normal_initializer, 0.0)


def inception_arg_scope(
    weight_decay=0.00004,
    use_batch_norm=True,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    activation_fn=tf.nn.relu,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    batch_norm_scale=False,
):
    """The arg_scope the Inception networks are built under.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        use_batch_norm: whether convolutions are followed by batch_norm instead of biases.
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
        activation_fn: the convolutions' non-linearity.
        batch_norm_updates_collections: collection of the moving averages' update ops.
        batch_norm_scale: whether batch_norm multiplies by a gamma; the official checkpoints have none.
    """
    batch_norm_params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
        "scale": batch_norm_scale,
    }
    with (
        slim.arg_scope([slim.conv2d, slim.fully_connected], weights_regularizer=slim.l2_regularizer(weight_decay)),
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm if use_batch_norm else None,
            normalizer_params=batch_norm_params if use_batch_norm else {},
        ) as arg_scope,
    ):
        return arg_scope


class Layer(NamedTuple):
    """A layer of a network's table.

    Attributes:
        scope: its variable scope.
        apply: ``apply(net, depth)`` makes its output; `depth` maps a number of filters of the table to the
            number to make.
    """

    scope: str
    apply: Callable


def _kernel_size(scope):
    """The height and width a scope ends in: ``Conv2d_0b_1x7`` is 1 high and 7 wide."""
    return [int(size) for size in scope.rpartition("_")[2].split("x")]


def conv(scope, filters, kernel_size=None, **arguments) -> Layer:
    """A convolution; `kernel_size` where it is not what the scope says, `arguments` of `slim.conv2d`."""
    kernel_size = kernel_size or _kernel_size(scope)
    return Layer(
        scope,
        lambda net, depth: slim.conv2d(net, depth(filters), kernel_size, scope=scope, **arguments),
    )


def max_pool(scope, **arguments) -> Layer:
    """A maximum over the window the scope says; `arguments` of `slim.max_pool2d`."""
    return Layer(scope, lambda net, depth: slim.max_pool2d(net, _kernel_size(scope), scope=scope, **arguments))


def avg_pool(scope, **arguments) -> Layer:
    """A mean over the window the scope says; `arguments` of `slim.avg_pool2d`."""
    return Layer(scope, lambda net, depth: slim.avg_pool2d(net, _kernel_size(scope), scope=scope, **arguments))


def side_by_side(*layers: Layer) -> Layer:
    """Layers that all see the same map; their channels are concatenated."""
    return Layer("", lambda net, depth: _concatenate([layer.apply(net, depth) for layer in layers]))


def mixed(scope, *branches: Iterable[Layer]) -> Layer:
    """An Inception module: branches of layers that all see the same map, concatenated."""

    def apply(net, depth):
        with tf.variable_scope(scope):
            return apply_branches(net, branches, depth)

    return Layer(scope, apply)


def in_turn(scope, *layers: Layer) -> Layer:
    """Layers one after the other that are a single end point, called `scope`."""

    def apply(net, depth):
        for layer in layers:
            net = layer.apply(net, depth)
        return net

    return Layer(scope, apply)


def apply_branches(net, branches: Iterable[Iterable[Layer]], depth=lambda filters: filters):
    """Applies branches of layers to the same map, in the scopes ``Branch_0``, ``Branch_1`` ...; concatenated."""
    outputs = []
    for i, branch in enumerate(branches):
        with tf.variable_scope(f"Branch_{i}"):
            outputs.append(in_turn("", *branch).apply(net, depth))
    return _concatenate(outputs)


def _concatenate(outputs):
    """Concatenates maps along their channels."""
    return tf.concat(outputs, 1 if scoped_argument(slim.conv2d, "data_format", None) == "NCHW" else 3)


def stack_layers(net, layers: Sequence[Layer], final_endpoint, depth=lambda filters: filters):
    """Applies `layers` in turn, up to the one called `final_endpoint`.

    Returns:
        The last one's output, and a dictionary of all outputs by their layer's scope.

    Raises:
        ValueError: no layer is called `final_endpoint`.
    """
    names = [layer.scope for layer in layers]
    if final_endpoint not in names:
        raise ValueError(f"final_endpoint={final_endpoint!r}: there is no such end point; give one of {names}")
    end_points = {}
    for layer in layers[: names.index(final_endpoint) + 1]:
        net = end_points[layer.scope] = layer.apply(net, depth)
    return net, end_points


def depth_function(min_depth, depth_multiplier):
    """Maps a number of filters of a network's table to the number to make.

    Raises:
        ValueError: `depth_multiplier` is not above 0.
    """
    if depth_multiplier <= 0:
        raise ValueError(f"depth_multiplier={depth_multiplier} is not greater than zero")
    return lambda filters: max(int(filters * depth_multiplier), min_depth)


def reduced_kernel_size(net, kernel_size):
    """`kernel_size`, no larger than the map; as it is where the map's size is unknown."""
    height, width = net.shape.as_list()[1:3]
    if height is None or width is None:
        return kernel_size
    return [min(height, kernel_size[0]), min(width, kernel_size[1])]


def average_windows(net, kernel_size, end_points):
    """Averages over windows of `kernel_size`, smaller where the map is, that are 2 apart: ``AvgPool_1a``."""
    window = reduced_kernel_size(net, kernel_size)
    scope = "AvgPool_1a_{}x{}".format(*window)
    net = end_points["AvgPool_1a"] = slim.avg_pool2d(net, window, stride=2, padding="VALID", scope=scope)
    return net


def logits_of_positions(net, num_classes, dropout_keep_prob, spatial_squeeze, end_points):
    """The last layers of V2 and V3: dropout, which is ``PreLogits``, and the logits of each position."""
    net = end_points["PreLogits"] = slim.dropout(net, dropout_keep_prob, scope="Dropout_1b")
    logits = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="Conv2d_1c_1x1")
    return tf.squeeze(logits, [1, 2], name="SpatialSqueeze") if spatial_squeeze else logits


def average_all(net, scope, stride):
    """Averages over all positions; by `slim.avg_pool2d` where it is known how many there are."""
    size = net.shape.as_list()[1:3]
    if None in size:
        return tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
    return slim.avg_pool2d(net, size, stride=stride, padding="VALID", scope=scope)


def aux_logits_of_the_whole_map(net, num_classes, pool_scope, conv_scope, logits_scope):
    """The auxiliary classifier of Inception V4 and Inception-ResNet V2: a convolution sees the whole pooled map.

    research/slim has no result where the map is smaller than the 5x5 window; here the window is no larger.

    Args:
        net: the map of 17x17 positions at 299x299 pixels, of known height and width.
        num_classes: number of classes.
        pool_scope, conv_scope, logits_scope: the scopes of layers that the two networks call differently.

    Returns:
        The logits ``[batch, num_classes]``.

    Raises:
        ValueError: the map's height or width is unknown.
    """
    if None in net.shape.as_list()[1:3]:
        raise ValueError("create_aux_logits=True needs images of a known height and width")
    with tf.variable_scope("AuxLogits"):
        window = reduced_kernel_size(net, [5, 5])
        net = slim.avg_pool2d(net, window, stride=3, padding="VALID", scope=pool_scope)
        net = slim.conv2d(net, 128, [1, 1], scope="Conv2d_1b_1x1")
        net = slim.conv2d(net, 768, net.shape.as_list()[1:3], padding="VALID", scope=conv_scope)
        net = slim.flatten(net)
        return slim.fully_connected(net, num_classes, activation_fn=None, scope=logits_scope)
