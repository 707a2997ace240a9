"""DCGAN's generator and discriminator (Radford et al., arXiv:1511.06434), under TF-Slim's names.

Convolutions of stride 2 with 4x4 kernels (the paper's have 5x5), transposed in the generator, and batch
normalization in all layers but the first of the discriminator and the last of the generator. Each ends with a 1x1
convolution more.

    images, _ = dcgan.generator(noise, final_size=64)
    logits, _ = dcgan.discriminator(tf.tanh(images))

Images are in [-1, 1] if the generator's result goes through a tanh, which it does not contain. Signatures, variable
names, op names and end points are those of research/slim/nets/dcgan.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf


def _batch_norm_arg_scope(is_training, fused):
    return slim.arg_scope([slim.batch_norm], is_training=is_training, zero_debias_moving_mean=True, fused=fused)


def _exponent(size):
    """n of ``size == 2**n``; None if there is none."""
    return size.bit_length() - 1 if size > 0 and size & (size - 1) == 0 else None


def _exponent_of_images(inputs):
    """n of square images whose sides have ``2**n`` pixels; raises ValueError for others."""
    inputs.shape.assert_has_rank(4)
    inputs.shape[1:3].assert_is_fully_defined()
    height, width = inputs.shape.as_list()[1:3]
    if height != width:
        raise ValueError(f"images of {height}x{width} pixels do not have equal width and height")
    if _exponent(width) is None:
        raise ValueError(f"images of {height}x{width} pixels: the width is not a power of 2")
    return _exponent(width)


def discriminator(inputs, depth=64, is_training=True, reuse=None, scope="Discriminator", fused_batch_norm=False):
    """Tells real images from generated ones.

    Args:
        inputs: float tensor ``[batch, size, size, channels]``; the size is known and a power of 2.
        depth: number of filters of the first layer; each layer has twice the one's before.
        is_training: whether batch_norm normalizes with the batch's statistics.
        reuse: whether to reuse the variables.
        scope: variable scope.
        fused_batch_norm: whether to use the fused kernel of batch normalization.

    Returns:
        The logits ``[batch, 1]``, and a dictionary of the end points ``conv1``, ``conv2`` ... and ``logits``.

    Raises:
        ValueError: `inputs` has another shape.
    """
    exponent = _exponent_of_images(inputs)
    end_points = {}
    net = inputs
    with (
        tf.variable_scope(scope, values=[inputs], reuse=reuse),
        _batch_norm_arg_scope(is_training, fused_batch_norm),
    ):
        for i in range(exponent):
            net = end_points[f"conv{i + 1}"] = slim.conv2d(
                net,
                depth * 2**i,
                kernel_size=4,
                stride=2,
                activation_fn=tf.nn.leaky_relu,
                normalizer_fn=slim.batch_norm if i > 0 else None,
                scope=f"conv{i + 1}",
            )
        logits = slim.conv2d(
            net, 1, kernel_size=1, stride=1, padding="VALID", activation_fn=None, normalizer_fn=None
        )
        logits = end_points["logits"] = tf.reshape(logits, [-1, 1])
        return logits, end_points


def generator(
    inputs,
    depth=64,
    final_size=32,
    num_outputs=3,
    is_training=True,
    reuse=None,
    scope="Generator",
    fused_batch_norm=False,
):
    """Makes images from vectors of noise.

    Args:
        inputs: float tensor ``[batch, n]``, for any known n.
        depth: number of filters of the last layer; each layer has half of the one's before.
        final_size: height and width of the images, a power of 2 from 8 on.
        num_outputs: number of the images' channels.
        is_training: whether batch_norm normalizes with the batch's statistics.
        reuse: whether to reuse the variables.
        scope: variable scope.
        fused_batch_norm: whether to use the fused kernel of batch normalization.

    Returns:
        The images ``[batch, final_size, final_size, num_outputs]``, of any range, and a dictionary of the end
        points ``deconv1``, ``deconv2`` ... and ``logits``, the images.

    Raises:
        ValueError: `inputs` has another shape, or `final_size` is none of those.
    """
    inputs.shape.assert_has_rank(2)
    if _exponent(final_size) is None:
        raise ValueError(f"final_size={final_size} must be a power of 2")
    if final_size < 8:
        raise ValueError(f"final_size={final_size} must be greater than 8, or 8")
    num_layers = _exponent(final_size) - 1
    end_points = {}
    with (
        tf.variable_scope(scope, values=[inputs], reuse=reuse),
        _batch_norm_arg_scope(is_training, fused_batch_norm),
        slim.arg_scope([slim.conv2d_transpose], kernel_size=4, stride=2, normalizer_fn=slim.batch_norm),
    ):
        net = tf.expand_dims(tf.expand_dims(inputs, 1), 1)
        for i in range(1, num_layers + 1):
            # The first layer sees a single position, the last one has no normalization.
            first = {"stride": 1, "padding": "VALID"} if i == 1 else {}
            last = {"normalizer_fn": None, "activation_fn": None} if i == num_layers else {}
            net = end_points[f"deconv{i}"] = slim.conv2d_transpose(
                net, depth * 2 ** (num_layers - i), scope=f"deconv{i}", **first, **last
            )
        logits = end_points["logits"] = slim.conv2d(
            net,
            num_outputs,
            kernel_size=1,
            stride=1,
            padding="VALID",
            activation_fn=None,
            normalizer_fn=None,
            scope="logits",
        )
        return logits, end_points
