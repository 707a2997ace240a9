"""Fully convolutional networks for semantic segmentation (Long, Shelhamer and Darrell, arXiv:1411.4038) on VGG-16.

    with slim.arg_scope(fcn.fcn_arg_scope()):
        logits, end_points = fcn.fcn_8s(images, num_classes=21)

Images are VGG's: RGB in [0, 255] minus (123.68, 116.78, 103.94), of any size from 32x32 on; there are logits for
every pixel. The trunk is `slimft.nets.vgg.vgg_16` up to fc7, with an fc6 that pads, under ``vgg_16/``: a checkpoint
of VGG-16 restores into it. Beside it stand, as POSTECH's course and the networks before it name most of them,

- ``score_fr``, ``score_pool4`` and ``score_pool3``: the classes' scores, by 1x1 convolutions that begin with zeros,
  of fc7 at 1/32, of pool4 at 1/16 and of pool3 at 1/8 of the image's size;
- ``up`` of `fcn_32s`, ``upscore2`` and ``upscore32`` of `fcn_16s`, ``upscore2``, ``upscore_pool4`` and ``upscore8``
  of `fcn_8s`: transposed convolutions, whose variable ``up_filter`` begins with bilinear interpolation.

What is where: a map at 1/s of the image has in place i what is seen around pixel ``s * i + (s - 1) / 2``, as SAME
padding of 2x2 pooling adds nothing before the first pixel. The transposed convolutions keep to that, so the maps
are added, and the last one is cut at the right and at the bottom, without an offset. (The paper's network pads the
image by 100 pixels, and has to cut off what that comes to.) Beyond its border a map goes on as its last place, so
that scores do not fade there.
"""

import numpy as np

from slimft.compat import slim, tf
from slimft.nets.vgg import vgg_16, vgg_arg_scope

# The arg_scope of the trunk is that of the whole network.
fcn_arg_scope = vgg_arg_scope


def fcn_32s(
    inputs,
    num_classes=21,
    is_training=True,
    dropout_keep_prob=0.5,
    learn_upsampling=False,
    scope="vgg_16",
):
    """Scores of fc7, enlarged 32 times.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; of known or unknown size.
        num_classes: number of classes; 21 are those of PASCAL VOC.
        is_training: whether dropout is active.
        dropout_keep_prob: probability that dropout keeps an activation of fc6 and fc7.
        learn_upsampling: whether ``up_filter`` trains; else it stays as it begins, or was restored.
        scope: variable scope.

    Returns:
        The logits ``[batch, height, width, num_classes]``, and a dictionary of the layers' outputs, by their scope.
    """
    return _fcn(inputs, (("up", 32, None),), num_classes, is_training, dropout_keep_prob, learn_upsampling, scope)


def fcn_16s(
    inputs,
    num_classes=21,
    is_training=True,
    dropout_keep_prob=0.5,
    learn_upsampling=False,
    scope="vgg_16",
):
    """Scores of fc7 and pool4, enlarged 16 times; arguments and result as `fcn_32s`."""
    steps = (("upscore2", 2, "pool4"), ("upscore32", 16, None))
    return _fcn(inputs, steps, num_classes, is_training, dropout_keep_prob, learn_upsampling, scope)


def fcn_8s(
    inputs,
    num_classes=21,
    is_training=True,
    dropout_keep_prob=0.5,
    learn_upsampling=False,
    scope="vgg_16",
):
    """Scores of fc7, pool4 and pool3, enlarged 8 times; arguments and result as `fcn_32s`."""
    steps = (("upscore2", 2, "pool4"), ("upscore_pool4", 2, "pool3"), ("upscore8", 8, None))
    return _fcn(inputs, steps, num_classes, is_training, dropout_keep_prob, learn_upsampling, scope)


def _fcn(inputs, steps, num_classes, is_training, dropout_keep_prob, learn_upsampling, scope):
    """The network whose scores are enlarged in `steps`: a name, how many times, and the pooling to score then."""
    fc7, end_points = vgg_16(
        inputs,
        num_classes=None,
        is_training=is_training,
        dropout_keep_prob=dropout_keep_prob,
        scope=scope,
        fc_conv_padding="SAME",
    )
    with tf.variable_scope(scope):
        net = slim.dropout(fc7, dropout_keep_prob, is_training=is_training, scope="dropout7")
        net = end_points[f"{scope}/score_fr"] = _score(net, num_classes, "score_fr")
        for name, factor, pool in steps:
            below = inputs if pool is None else end_points[f"{scope}/{pool}"]
            net = end_points[f"{scope}/{name}"] = enlarge(net, factor, tf.shape(below)[1:3], learn_upsampling, name)
            if pool is not None:
                scores = end_points[f"{scope}/score_{pool}"] = _score(below, num_classes, f"score_{pool}")
                net += scores
        net.set_shape([*inputs.shape[:3], num_classes])
        return net, end_points


def _score(net, num_classes, scope):
    return slim.conv2d(
        net,
        num_classes,
        [1, 1],
        activation_fn=None,
        normalizer_fn=None,
        weights_initializer=tf.zeros_initializer(),
        scope=scope,
    )


def enlarge(net, factor, size, trainable, scope):
    """Enlarges a map by a transposed convolution, which begins as bilinear interpolation.

    Args:
        net: float ``[batch, rows, columns, channels]``.
        factor: how many times it is enlarged; even.
        size: int ``[2]``, rows and columns that are kept, from the first on.
        trainable: whether ``up_filter`` ``[2 * factor, 2 * factor, channels, channels]``, outputs before inputs,
            trains.
        scope: variable scope.

    Returns:
        float ``[batch, *size, channels]``: in row ``factor * i + (factor - 1) / 2`` there is, halfway between two
        pixels, what was in row i.
    """
    channels = net.shape.as_list()[3]
    with tf.variable_scope(scope):
        kernel = tf.get_variable(
            "up_filter",
            [2 * factor, 2 * factor, channels, channels],
            net.dtype,
            initializer=lambda shape, dtype=None, **_: tf.constant(bilinear_kernel(factor, channels), dtype),
            trainable=trainable,
            collections=[tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES],
        )
        net = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        batch, rows, columns = tf.unstack(tf.shape(net)[:3])
        # SAME lets each place begin half a factor before its own pixels, and end as far behind them.
        shape = tf.stack([batch, rows * factor, columns * factor, channels])
        net = tf.nn.conv2d_transpose(net, kernel, shape, [1, factor, factor, 1], padding="SAME")
        return net[:, factor : factor + size[0], factor : factor + size[1]]


def bilinear_kernel(factor, channels):
    """What interpolates each channel by itself: float32 ``[2 * factor, 2 * factor, channels, channels]``.

    >>> bilinear_kernel(2, 1)[:, 0, 0, 0].tolist()
    [0.0625, 0.1875, 0.1875, 0.0625]
    """
    distances = np.abs(np.arange(2 * factor) - factor + 0.5)
    weights = 1 - distances / factor
    kernel = np.zeros((2 * factor, 2 * factor, channels, channels), np.float32)
    kernel[:, :, range(channels), range(channels)] = np.outer(weights, weights)[..., np.newaxis]
    return kernel
