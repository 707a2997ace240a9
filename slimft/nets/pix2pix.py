"""pix2pix' generator and discriminator (Isola, Zhu, Zhou and Efros, arXiv:1611.07004) under TF-Slim's names.

    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        logits, end_points = pix2pix.pix2pix_generator(images, num_outputs=3)
        made = end_points["predictions"]
        logits, _ = pix2pix.pix2pix_discriminator(tf.concat([images, made], 3), num_filters=[64, 128, 256, 512])

The generator is a U-Net: a map of the encoder is concatenated to that of the decoder of its size. The
discriminator judges patches, with these filters of 70x70 pixels. Images are RGB in [-1, 1]. With batches of one
image, as in the paper, its batch normalization is this instance normalization.

The generator's `Block`s are research/slim's, which are not the paper's: seven instead of eight, and dropout in the
last three of the decoder instead of the first three. Signatures, variable names, op names and end points are those
of research/slim/nets/pix2pix.py (github.com/tensorflow/models).
"""

from typing import NamedTuple

from slimft.compat import slim, tf


def pix2pix_arg_scope():
    """The arg_scope both networks are built under: instance normalization, weights from a normal of 0.02."""
    with slim.arg_scope(
        [slim.conv2d, slim.conv2d_transpose],
        normalizer_fn=slim.instance_norm,
        normalizer_params={"center": True, "scale": True, "epsilon": 0.00001},
        weights_initializer=tf.random_normal_initializer(0, 0.02),
    ) as arg_scope:
        return arg_scope


def upsample(net, num_outputs, kernel_size, method="nn_upsample_conv"):
    """Enlarges a map and convolves it, by 4x4, without a non-linearity.

    Args:
        net: float tensor ``[batch, height, width, filters]``.
        num_outputs: number of filters of the result.
        kernel_size: two factors, of the height and the width.
        method: ``nn_upsample_conv`` repeats places before the convolution; ``conv2d_transpose`` does both in one
            layer.

    Returns:
        Float tensor ``[batch, kernel_size[0] * height, kernel_size[1] * width, num_outputs]``.

    Raises:
        ValueError: there is no such `method`.
    """
    # Made whatever the method, as in research/slim: what is drawn from a graph's seed depends on the ops before.
    shape = tf.shape(net)
    height, width = shape[1], shape[2]
    if method == "conv2d_transpose":
        return slim.conv2d_transpose(net, num_outputs, [4, 4], stride=kernel_size, activation_fn=None)
    if method != "nn_upsample_conv":
        raise ValueError(f"Unknown method: [{method}]; give nn_upsample_conv or conv2d_transpose")
    size = [kernel_size[0] * height, kernel_size[1] * width]
    net = tf.image.resize(net, size, method=tf.image.ResizeMethod.NEAREST_NEIGHBOR)
    return slim.conv2d(net, num_outputs, [4, 4], activation_fn=None)


class Block(NamedTuple):
    """A layer of the generator's encoder, and that of its decoder which doubles what it halves.

    Attributes:
        num_filters: number of filters of both.
        decoder_keep_prob: probability that dropout keeps an activation of the decoder's; 0 for no dropout.
    """

    num_filters: int
    decoder_keep_prob: float


def _default_generator_blocks():
    return [Block(64, 0.5), Block(128, 0.5), Block(256, 0.5), *[Block(512, 0)] * 4]


def pix2pix_generator(net, num_outputs, blocks=None, upsample_method="nn_upsample_conv", is_training=False):
    """Makes images of one kind of images of another.

    Args:
        net: float tensor ``[batch, height, width, channels]``; each block has to halve height and width evenly:
            with the default ones they are multiples of 128. One of batch, height and width may be unknown.
        num_outputs: number of channels of the result.
        blocks: list of `Block`, from the image inwards; None for the default ones.
        upsample_method: `method` of `upsample`.
        is_training: without effect: dropout is active always, being the network's only noise.

    Returns:
        The logits ``[batch, height, width, num_outputs]``, and a dictionary of the layers' outputs: ``encoder0``,
        ``encoder1``, ..., ``decoder0``, ``decoder1``, ..., ``logits``, and ``predictions``, the logits' tanh.

    Raises:
        ValueError: there is no such `upsample_method`, height or width does not halve evenly, or more of the shape
            is unknown.
    """
    del is_training
    blocks = blocks or _default_generator_blocks()
    sizes = net.shape.as_list()[:3]
    if sizes.count(None) > 1:
        raise ValueError(f"{net.name}: only one of its batch, height and width may be unknown.")
    end_points, encoded = {}, []
    with (
        tf.variable_scope("encoder"),
        slim.arg_scope([slim.conv2d], kernel_size=[4, 4], stride=2, activation_fn=tf.nn.leaky_relu),
    ):
        for i, block in enumerate(blocks):
            arguments = {"normalizer_fn": None} if i == 0 else {}
            if 0 < i == len(blocks) - 1:
                arguments = {"normalizer_fn": None, "activation_fn": None}
            net = slim.conv2d(net, block.num_filters, **arguments)
            encoded.append(net)
            end_points[f"encoder{i}"] = net

    with tf.variable_scope("decoder"), slim.arg_scope([slim.dropout], is_training=True):
        for i, block in enumerate(reversed(blocks)):
            if i > 0:
                net = tf.concat([net, encoded[-i - 1]], axis=3)
            net = upsample(tf.nn.relu(net), block.num_filters, [2, 2], upsample_method)
            if block.decoder_keep_prob > 0:
                net = slim.dropout(net, keep_prob=block.decoder_keep_prob)
            end_points[f"decoder{i}"] = net

    with tf.variable_scope("output"):
        logits = slim.conv2d(net, num_outputs, [4, 4], activation_fn=None, normalizer_fn=None)
        logits = tf.reshape(logits, [*(-1 if size is None else size for size in sizes), num_outputs])
        end_points["logits"] = logits
        end_points["predictions"] = tf.tanh(logits)
    return logits, end_points


def pix2pix_discriminator(
    net, num_filters, padding=2, pad_mode="REFLECT", activation_fn=tf.nn.leaky_relu, is_training=False
):
    """Says of an image's patches whether they are real.

    Args:
        net: float tensor ``[batch, height, width, channels]``.
        num_filters: number of filters of each convolution, two or more; another one makes the logits. All are of
            4x4; the last two have stride 1, those before them 2.
        padding: number of pixels to pad on each side before each convolution; 0 for none.
        pad_mode: what they hold: ``CONSTANT``, ``REFLECT`` or ``SYMMETRIC``.
        activation_fn: the convolutions' non-linearity.
        is_training: without effect; other discriminators have it.

    Returns:
        The logits ``[batch, rows, columns, 1]``, one for each patch, and a dictionary of the layers' outputs:
        ``conv0``, ``conv1``, ..., ``logits``, and ``predictions``, the logits' sigmoid.

    Raises:
        ValueError: `num_filters` are too few, or `padding` is negative.
        TypeError: `padding` is no whole number.
    """
    del is_training
    if len(num_filters) < 2:
        raise ValueError(f"num_filters={num_filters}: two or more are needed.")

    def conv(net, filters, scope, **arguments):
        if padding:
            # A scope of its own, so that the padding's ops are conv0/..., the convolution's conv0_1/...
            with tf.variable_scope(scope):
                sides = [padding, padding]
                paddings = tf.constant([[0, 0], sides, sides, [0, 0]], dtype=tf.int32)
                net = tf.pad(net, paddings, mode=pad_mode)
        return slim.conv2d(net, filters, scope=scope, **arguments)

    end_points = {}
    with slim.arg_scope([slim.conv2d], kernel_size=[4, 4], stride=2, padding="valid", activation_fn=activation_fn):
        last = len(num_filters) - 1
        for i, filters in enumerate(num_filters):
            arguments = {"normalizer_fn": None} if i == 0 else {}
            net = conv(net, filters, f"conv{i}", stride=1 if i == last else 2, **arguments)
            end_points[f"conv{i}"] = net
        logits = conv(net, 1, f"conv{last + 1}", stride=1, activation_fn=None, normalizer_fn=None)
        end_points["logits"] = logits
        end_points["predictions"] = tf.sigmoid(logits)
    return logits, end_points
