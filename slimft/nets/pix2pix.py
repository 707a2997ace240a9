"""pix2pix' generator and discriminator (Isola et al., arXiv:1611.07004), under TF-Slim's names.

The generator is the paper's U-Net: layers that halve the map, as many that double it, and what the encoder has at
each size goes beside what the decoder has. By default there are 7 of each where the paper has 8, and dropout is in
the decoder's last three layers where the paper has it in the first three. The discriminator, the paper's PatchGAN,
judges overlapping patches: with 4 layers, patches of 70x70. Instance normalization is what the paper's batch
normalization is with batches of one image.

    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        logits, end_points = pix2pix.pix2pix_generator(images, num_outputs=3)
        judged, _ = pix2pix.pix2pix_discriminator(end_points["predictions"], [64, 128, 256, 512])

Images are in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/pix2pix.py (github.com/tensorflow/models). The generator also takes batches of unknown size.
"""

from typing import NamedTuple

from slimft.compat import slim, tf


def pix2pix_arg_scope():
    """The arg_scope the generator and the discriminator are built under."""
    with slim.arg_scope(
        [slim.conv2d, slim.conv2d_transpose],
        normalizer_fn=slim.instance_norm,
        normalizer_params={"center": True, "scale": True, "epsilon": 0.00001},
        weights_initializer=tf.random_normal_initializer(0, 0.02),
    ) as arg_scope:
        return arg_scope


def upsample(net, num_outputs, kernel_size, method="nn_upsample_conv"):
    """Enlarges a map, with a 4x4 convolution.

    Args:
        net: float tensor ``[batch, height, width, channels]``.
        num_outputs: number of filters.
        kernel_size: list of two factors, of the height and of the width.
        method: ``nn_upsample_conv``, which repeats pixels before the convolution, or ``conv2d_transpose``.

    Returns:
        A tensor ``[batch, kernel_size[0] * height, kernel_size[1] * width, num_outputs]``.

    Raises:
        ValueError: there is no such method.
    """
    if method == "conv2d_transpose":
        return slim.conv2d_transpose(net, num_outputs, [4, 4], stride=kernel_size, activation_fn=None)
    if method != "nn_upsample_conv":
        raise ValueError(f"Unknown method: [{method}]; give nn_upsample_conv or conv2d_transpose")
    shape = tf.shape(net)
    size = [kernel_size[0] * shape[1], kernel_size[1] * shape[2]]
    net = tf.image.resize(net, size, method=tf.image.ResizeMethod.NEAREST_NEIGHBOR)
    return slim.conv2d(net, num_outputs, [4, 4], activation_fn=None)


class Block(NamedTuple):
    """A layer of the encoder and the one of the decoder that mirrors it.

    Attributes:
        num_filters: the number of filters of each.
        decoder_keep_prob: probability that dropout after the decoder's keeps a feature; 0 for no dropout.
    """

    num_filters: int
    decoder_keep_prob: float


def _default_generator_blocks():
    """The blocks for images of 128x128 and more."""
    return [
        *(Block(64, 0.5), Block(128, 0.5), Block(256, 0.5)),
        *(Block(512, 0), Block(512, 0), Block(512, 0), Block(512, 0)),
    ]


def pix2pix_generator(net, num_outputs, blocks=None, upsample_method="nn_upsample_conv", is_training=False):
    """Makes images of one kind from images of another.

    Args:
        net: float tensor ``[batch, height, width, channels]``; height and width are multiples of
            ``2**len(blocks)``, 128 by default.
        num_outputs: number of the made images' channels.
        blocks: list of `Block`, the outermost first; None for seven, with up to 512 filters.
        upsample_method: as `method` of `upsample`.
        is_training: changes nothing: dropout, the paper's source of noise, is always active.

    Returns:
        The logits ``[batch, height, width, num_outputs]``, whose tanh is the images, and a dictionary of the end
        points; ``predictions`` is the images.

    Raises:
        ValueError: there is no such method.
    """
    del is_training
    blocks = blocks or _default_generator_blocks()
    # A size that is unknown is the one that is left over.
    output_shape = [-1 if size is None else size for size in net.shape.as_list()[:3]] + [num_outputs]
    end_points, encoded = {}, []
    with (
        tf.variable_scope("encoder"),
        slim.arg_scope([slim.conv2d], kernel_size=[4, 4], stride=2, activation_fn=tf.nn.leaky_relu),
    ):
        for i, block in enumerate(blocks):
            # Neither the first layer nor the last is normalized.
            if i == 0:
                net = slim.conv2d(net, block.num_filters, normalizer_fn=None)
            elif i < len(blocks) - 1:
                net = slim.conv2d(net, block.num_filters)
            else:
                net = slim.conv2d(net, block.num_filters, activation_fn=None, normalizer_fn=None)
            encoded.append(net)
            end_points[f"encoder{i}"] = net
    with tf.variable_scope("decoder"), slim.arg_scope([slim.dropout], is_training=True):
        for i, block in enumerate(reversed(blocks)):
            if i > 0:
                net = tf.concat([net, encoded[-i - 1]], 3)
            net = upsample(tf.nn.relu(net), block.num_filters, [2, 2], upsample_method)
            if block.decoder_keep_prob > 0:
                net = slim.dropout(net, keep_prob=block.decoder_keep_prob)
            end_points[f"decoder{i}"] = net
    with tf.variable_scope("output"):
        logits = slim.conv2d(net, num_outputs, [4, 4], activation_fn=None, normalizer_fn=None)
        logits = end_points["logits"] = tf.reshape(logits, output_shape)
        end_points["predictions"] = tf.tanh(logits)
    return logits, end_points


def pix2pix_discriminator(
    net, num_filters, padding=2, pad_mode="REFLECT", activation_fn=tf.nn.leaky_relu, is_training=False
):
    """Tells real patches of images from made ones.

    Args:
        net: float tensor ``[batch, height, width, channels]``.
        num_filters: list of the layers' numbers of filters; all of them but the last halve the map.
        padding: the number of rows and columns to add on each side before each layer.
        pad_mode: ``REFLECT``, ``CONSTANT`` or ``SYMMETRIC``: what is in them.
        activation_fn: non-linearity of the layers.
        is_training: changes nothing.

    Returns:
        The logits ``[batch, rows, columns, 1]`` of the patches, and a dictionary of the end points ``conv0``,
        ``conv1`` ..., ``logits`` and ``predictions``, the logits' sigmoid.
    """
    del is_training

    def padded_conv(net, filters, scope, **arguments):
        if padding:
            with tf.variable_scope(scope):
                # int32, so that a fraction is a TypeError.
                pads = tf.constant([[0, 0], [padding, padding], [padding, padding], [0, 0]], tf.int32)
                net = tf.pad(net, pads, mode=pad_mode)
        return slim.conv2d(net, filters, kernel_size=[4, 4], padding="valid", scope=scope, **arguments)

    end_points = {}
    last = len(num_filters) - 1
    with slim.arg_scope([slim.conv2d], activation_fn=activation_fn):
        net = end_points["conv0"] = padded_conv(net, num_filters[0], "conv0", stride=2, normalizer_fn=None)
        for i in range(1, last + 1):
            stride = 2 if i < last else 1
            net = end_points[f"conv{i}"] = padded_conv(net, num_filters[i], f"conv{i}", stride=stride)
        logits = padded_conv(net, 1, f"conv{last + 1}", stride=1, activation_fn=None, normalizer_fn=None)
    end_points["logits"] = logits
    end_points["predictions"] = tf.sigmoid(logits)
    return logits, end_points
