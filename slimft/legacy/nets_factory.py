"""Networks by name, as legacy scripts ask for them.

    network_fn = nets_factory.get_network_fn("vgg_16", num_classes=10, is_training=True)
    logits, end_points = network_fn(images)

Names and signatures are those of research/slim/nets/nets_factory.py (github.com/tensorflow/models). Here are the
networks of the registry, and those for videos.
"""

import functools

from slimft.compat import slim, tf
from slimft.errors import LegacyNameError, UsageError
from slimft.nets import i3d, s3dg
from slimft.nets.registry import get_network, network_names

# The networks for videos, which no command reads, are not in the registry.
_OF_VIDEOS = {"i3d": (i3d.i3d, i3d.i3d_arg_scope), "s3dg": (s3dg.s3dg, s3dg.s3dg_arg_scope)}
_NETWORKS = {
    **{spec.name: (spec.function, spec.arg_scope) for spec in map(get_network, network_names())},
    **_OF_VIDEOS,
}
networks_map = {name: function for name, (function, _) in _NETWORKS.items()}
arg_scopes_map = {name: arg_scope for name, (_, arg_scope) in _NETWORKS.items()}


def get_network_fn(name, num_classes, weight_decay=0.0, is_training=False):
    """A function that builds the network called `name`.

    Args:
        name: a key of `networks_map`.
        num_classes: number of classes; 0 or None leaves the logits out.
        weight_decay: factor of the L2 regularizer.
        is_training: whether dropout is active and batch_norm uses the batch's statistics.

    Returns:
        ``network_fn(images, **kwargs) -> (logits, end_points)``, which takes preprocessed images
        ``[batch, height, width, channels]`` (I3D and S3D-G take videos, ``[batch, frames, height, width, 3]``) and
        further arguments of the network. Its `default_image_size` is the height and width, in pixels, that the
        network was made for. Square images of another size that is known get one row of logits too: what the
        network has to be told for that is told (`NetworkSpec.arguments_for`).

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
    network_fn.default_image_size = function.default_image_size
    return network_fn


def _size_arguments(name, images):
    """What the network has to be told for images of that size; for its default size where that is not known."""
    if name in _OF_VIDEOS:
        return {}
    spec = get_network(name)
    height, width = tf.TensorShape(images.shape).as_list()[1:3]
    size = height if height == width and height is not None else spec.default_image_size
    if size < spec.min_image_size:
        raise UsageError(f"{name} cannot take images of {size} pixels a side, only {spec.min_image_size} and more")
    # As in training also otherwise: there, Inception V3 has its auxiliary logits in evaluation too.
    return spec.arguments_for(size, is_training=True)
