"""What NASNet and PNASNet have beside their cells: arg_scope, stems, classifiers, and the frame they are built in.

The networks have no scope of their own: their variables are in ``conv0``, ``cell_0`` and so on. Names are those of
research/slim/nets/nasnet/nasnet.py (github.com/tensorflow/models).
"""

import contextlib
import copy

from slimft.compat import slim, tf
from slimft.compat.hparams import HParams
from slimft.nets.nasnet import nasnet_utils

# The layers whose data format is the network's.
_IN_DATA_FORMAT = (
    slim.avg_pool2d,
    slim.max_pool2d,
    slim.conv2d,
    slim.batch_norm,
    slim.separable_conv2d,
    nasnet_utils.factorized_reduction,
    nasnet_utils.global_avg_pool,
    nasnet_utils.get_channel_index,
    nasnet_utils.get_channel_dim,
)


def config(**own):
    """A network's hyperparameters: those of its own, and what most have in common."""
    common = {
        "dense_dropout_keep_prob": 0.5,
        "filter_scaling_rate": 2.0,
        "use_aux_head": 1,
        "num_reduction_layers": 2,
        "data_format": "NHWC",
        "total_training_steps": 250000,
        "use_bounded_activation": False,
    }
    return HParams(**{**common, **own})


def arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon):
    """The arg_scope of all these networks, which differ in its numbers.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
    """
    with (
        slim.arg_scope(
            [slim.fully_connected, slim.conv2d, slim.separable_conv2d],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            weights_initializer=slim.variance_scaling_initializer(mode="FAN_OUT"),
        ),
        slim.arg_scope([slim.fully_connected], activation_fn=None, scope="FC"),
        slim.arg_scope([slim.conv2d, slim.separable_conv2d], activation_fn=None, biases_initializer=None),
        slim.arg_scope(
            [slim.batch_norm], decay=batch_norm_decay, epsilon=batch_norm_epsilon, scale=True, fused=True
        ) as made,
    ):
        return made


def imagenet_stem(images, hparams, cell, current_step):
    """A convolution and two cells, after which the map has an eighth of the images' size.

    Returns:
        What the cells after it see: None, the convolution's output and the two cells'.
    """
    net = slim.conv2d(images, int(32 * hparams.stem_multiplier), [3, 3], stride=2, padding="VALID", scope="conv0")
    outputs = [None, slim.batch_norm(net, scope="conv0_bn")]
    for cell_num in range(2):
        outputs.append(
            cell(
                outputs[-1],
                scope=f"cell_stem_{cell_num}",
                filter_scaling=hparams.filter_scaling_rate ** (cell_num - 2),
                stride=2,
                prev_layer=outputs[-2],
                cell_num=cell_num,
                current_step=current_step,
            )
        )
    return outputs


def cifar_stem(images, hparams):
    """A convolution; returns what the cells after it see: None and its output."""
    net = slim.conv2d(images, int(hparams.num_conv_filters * hparams.stem_multiplier), 3, scope="l1_stem_3x3")
    return [None, slim.batch_norm(net, scope="l1_stem_bn")]


def activation_of(hparams):
    """The non-linearity."""
    return tf.nn.relu6 if hparams.use_bounded_activation else tf.nn.relu


def has_aux_logits(cell_num, hparams, num_classes, is_training):
    """Whether auxiliary logits are made of a cell: the last one before the second reduction, in training."""
    reductions = nasnet_utils.calc_reduction_layers(hparams.num_cells, hparams.num_reduction_layers)
    is_their_cell = len(reductions) >= 2 and cell_num == reductions[1] - 1
    return bool(is_their_cell and hparams.use_aux_head and num_classes and is_training)


def aux_logits(net, num_classes, hparams, cell_num):
    """The auxiliary logits on the output of a cell.

    The second convolution has one position, and so a window that depends on the images' size. Before it is a 5x5
    average, which research/slim has no result of where the map is smaller; here it is no larger than the map.
    """
    activation_fn = activation_of(hparams)
    net = activation_fn(net)
    with tf.variable_scope(f"aux_{cell_num}"):
        net = tf.identity(net)
        with tf.variable_scope("aux_logits"):
            window = [min(5, side) for side in _height_and_width(net, hparams)]
            net = slim.avg_pool2d(net, window, stride=3, padding="VALID")
            net = slim.conv2d(net, 128, [1, 1], scope="proj")
            net = activation_fn(slim.batch_norm(net, scope="aux_bn0"))
            net = slim.conv2d(net, 768, _height_and_width(net, hparams), padding="VALID")
            net = activation_fn(slim.batch_norm(net, scope="aux_bn1"))
            return slim.fully_connected(slim.flatten(net), num_classes)


def _height_and_width(net, hparams):
    sides = net.shape.as_list()
    sides = sides[1:3] if hparams.data_format == "NHWC" else sides[2:4]
    if None in sides:
        raise ValueError(f"the auxiliary logits have to know the height and width of a map of shape {net.shape}")
    return sides


def classify(net, num_classes, hparams):
    """The layers after the cells, as end points in turn."""
    with tf.variable_scope("final_layer"):
        net = nasnet_utils.global_avg_pool(activation_of(hparams)(net))
        yield "global_pool", net
        if num_classes:
            net = slim.dropout(net, hparams.dense_dropout_keep_prob, scope="dropout")
            logits = slim.fully_connected(net, num_classes)
            yield "Logits", logits
            yield "Predictions", tf.nn.softmax(logits, name="predictions")


def build(layers, images, num_classes, is_training, config, final_endpoint=None):
    """Builds a network of layers that are made one after the other.

    Args:
        layers: ``layers(images, hparams)`` makes pairs of an end point's name and tensor, in turn.
        images: float tensor ``[batch, height, width, 3]`` of known size.
        num_classes: number of classes; 0 or None for no logits.
        is_training: whether dropout and drop_path are active and batch_norm uses the batch's statistics.
        config: the network's `HParams`, which stay as they are.
        final_endpoint: the end point to stop at; None for the whole network.

    Returns:
        The logits, without `num_classes` the features ``[batch, channels]``, with `final_endpoint` that end point;
        and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point.
    """
    hparams = copy.deepcopy(config)
    if not is_training:
        hparams.set_hparam("drop_path_keep_prob", 1.0)
    if hparams.data_format == "NCHW":
        images = tf.transpose(images, [0, 3, 1, 2])
    end_points = {}
    with (
        slim.arg_scope([slim.dropout, nasnet_utils.drop_path, slim.batch_norm], is_training=is_training),
        slim.arg_scope(_IN_DATA_FORMAT, data_format=hparams.data_format),
        contextlib.closing(layers(images, hparams)) as made,
    ):
        for name, net in made:
            end_points[name] = net
            if name == final_endpoint:
                return net, end_points
    if final_endpoint:
        raise ValueError(
            f"final_endpoint={final_endpoint!r}: there is no such end point; give one of {list(end_points)}"
        )
    return end_points["Logits" if num_classes else "global_pool"], end_points
