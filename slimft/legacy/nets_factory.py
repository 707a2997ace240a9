"""Networks by name, as legacy scripts ask for them.

    network_fn = nets_factory.get_network_fn("vgg_16", num_classes=10, is_training=True)
    logits, end_points = network_fn(images)

Names and signatures are those of research/slim/nets/nets_factory.py (github.com/tensorflow/models). Here are the
networks of `slimft.nets`, and Inception V2, ResNet V1 and V2 200 and OverFeat beside them.
"""

import functools

from tf_slim.nets import overfeat

from slimft.compat import slim, tf
from slimft.errors import LegacyNameError, UsageError
from slimft.nets import inception, resnet_v1, resnet_v2
from slimft.nets.registry import get_network, network_names

# What the registry does not know: function, arg_scope and height and width of the images.
_OTHERS = {
    "inception_v2": (inception.inception_v2, inception.inception_v2_arg_scope, 224),
    "overfeat": (overfeat.overfeat, overfeat.overfeat_arg_scope, 231),
    "resnet_v1_200": (resnet_v1.resnet_v1_200, resnet_v1.resnet_arg_scope, 224),
    "resnet_v2_200": (resnet_v2.resnet_v2_200, resnet_v2.resnet_arg_scope, 224),
}

networks_map = {name: get_network(name).function for name in network_names()}
networks_map.update((name, function) for name, (function, *_) in _OTHERS.items())
arg_scopes_map = {name: get_network(name).arg_scope for name in network_names()}
arg_scopes_map.update((name, arg_scope) for name, (_, arg_scope, _) in _OTHERS.items())


def get_network_fn(name, num_classes, weight_decay=0.0, is_training=False):
    """A function that builds the network called `name`.

    Args:
        name: a key of `networks_map`.
        num_classes: number of classes; 0 or None leaves the logits out.
        weight_decay: factor of the L2 regularizer.
        is_training: whether dropout is active and batch_norm uses the batch's statistics.

    Returns:
        ``network_fn(images, **kwargs) -> (logits, end_points)``, which takes preprocessed images
        ``[batch, height, width, 3]`` and further arguments of the network. Its `default_image_size` is the height
        and width, in pixels, that the network was made for. Square images of another size that is known get
        one row of logits too: what the network has to be told for that is told (`NetworkSpec.arguments_for`).

    Raises:
        LegacyNameError: a ValueError; there is no such network here.
    """
    if name not in networks_map:
        known = ", ".join(sorted(networks_map))
        raise LegacyNameError(f"get_network_fn: slimft has no network {name!r}; it has {known}")
    function = networks_map[name]

    @functools.wraps(function)
    def network_fn(images, **kwargs):
        arguments = {"num_classes": num_classes, "is_training": is_training}
        with slim.arg_scope(arg_scopes_map[name](weight_decay=weight_decay)):
            return function(images, **{**arguments, **_size_arguments(name, images), **kwargs})

    # As there, 224 for ResNet V2, though the registry tells the 299 of its checkpoints.
    size = _OTHERS[name][2] if name in _OTHERS else get_network(name).default_image_size
    network_fn.default_image_size = getattr(function, "default_image_size", size)
    return network_fn


def _size_arguments(name, images):
    """What the network has to be told for images of that size; for its default size where that is not known."""
    if name in _OTHERS:
        return {}
    spec = get_network(name)
    height, width = tf.TensorShape(images.shape).as_list()[1:3]
    size = height if height == width and height is not None else spec.default_image_size
    if size < spec.min_image_size:
        raise UsageError(f"{name} cannot take images of {size} pixels a side, only {spec.min_image_size} and more")
    # As in training also otherwise: there, Inception V3 has its auxiliary logits in evaluation too.
    return spec.arguments_for(size, is_training=True)
