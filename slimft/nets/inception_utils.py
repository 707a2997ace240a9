"""What the Inception networks share: the arg_scope, and layers to write their tables with.

A network is a sequence of `Layer`s, whose scopes are its end points; `mixed` is an Inception module.

Source of the numbers and names: research/slim/nets/inception_utils.py (github.com/tensorflow/models).
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from slimft.compat import slim, tf

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
    return Layer("", lambda net, depth: tf.concat([layer.apply(net, depth) for layer in layers], 3))


def mixed(scope, *branches: Iterable[Layer]) -> Layer:
    """An Inception module: branches of layers that all see the same map, concatenated."""

    def apply(net, depth):
        outputs = []
        with tf.variable_scope(scope):
            for i, branch in enumerate(branches):
                output = net
                with tf.variable_scope(f"Branch_{i}"):
                    for layer in branch:
                        output = layer.apply(output, depth)
                outputs.append(output)
            return tf.concat(outputs, 3)

    return Layer(scope, apply)


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
