"""DCGAN's generator and discriminator (Radford, Metz and Chintala, arXiv:1511.06434) under TF-Slim's names.

    images, _ = dcgan.generator(tf.random_normal([16, 100]))
    logits, _ = dcgan.discriminator(tf.tanh(images))

Both are for square images whose side is a power of two, and double the number of filters where they halve the
side. The paper's kernels are 5x5 (figure 1), these 4x4; both end with a 1x1 convolution more, and the generator
leaves the tanh to its caller. They have no arg_scope of their own.

Signatures, variable names, op names and end points are those of research/slim/nets/dcgan.py
(github.com/tensorflow/models).
"""

from slimft.compat import slim, tf


def _is_power_of_two(number):
    return number > 0 and number & (number - 1) == 0


def _log2(power_of_two):
    return power_of_two.bit_length() - 1


def _side(images):
    """The height and width of `images`, checked to be what the discriminator can halve down to 1."""
    images.shape.assert_has_rank(4)
    images.shape[1:3].assert_is_fully_defined()
    height, width = images.shape.as_list()[1:3]
    if height != width:
        raise ValueError(f"The images do not have equal width and height: {width} and {height}.")
    if not _is_power_of_two(width):
        raise ValueError(f"The images' width is not a power of 2: {width}.")
    return width


def _batch_norm_scope(is_training, fused):
    return slim.arg_scope([slim.batch_norm], is_training=is_training, zero_debias_moving_mean=True, fused=fused)


def discriminator(inputs, depth=64, is_training=True, reuse=None, scope="Discriminator", fused_batch_norm=False):
    """Says of images whether they are real.

    Convolutions of 4x4 with stride 2 halve the image down to one place; all but the first are batch normalized.

    Args:
        inputs: float tensor ``[batch, side, side, channels]``; `side` is a power of two.
        depth: number of filters of the first convolution.
        is_training: whether batch_norm normalizes with the batch's statistics.
        reuse: whether to reuse the variables.
        scope: variable scope.
        fused_batch_norm: whether batch_norm may use the fused kernel.

    Returns:
        The logits ``[batch, 1]``, and a dictionary of the layers' outputs: ``conv1``, ``conv2``, ..., ``logits``.

    Raises:
        ValueError: `inputs` are not of rank 4, or their side is unknown, not square or no power of two.
    """
    layers = _log2(_side(inputs))
    end_points = {}
    with (
        tf.variable_scope(scope, values=[inputs], reuse=reuse),
        _batch_norm_scope(is_training, fused_batch_norm),
        slim.arg_scope([slim.conv2d], stride=2, kernel_size=4, activation_fn=tf.nn.leaky_relu),
    ):
        net = inputs
        for i in range(layers):
            name = f"conv{i + 1}"
            net = slim.conv2d(net, depth * 2**i, normalizer_fn=slim.batch_norm if i else None, scope=name)
            end_points[name] = net
        logits = slim.conv2d(
            net, 1, kernel_size=1, stride=1, padding="VALID", normalizer_fn=None, activation_fn=None
        )
        end_points["logits"] = tf.reshape(logits, [-1, 1])
    return end_points["logits"], end_points


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
    """Makes images of vectors.

    A transposed convolution makes 4x4 places of a vector; each further one, of 4x4 with stride 2, doubles them. All
    but the last are batch normalized.

    Args:
        inputs: float tensor ``[batch, n]``.
        depth: number of filters of the last transposed convolution.
        final_size: the images' side, a power of two, 8 or more.
        num_outputs: number of channels of the images.
        is_training: whether batch_norm normalizes with the batch's statistics.
        reuse: whether to reuse the variables.
        scope: variable scope.
        fused_batch_norm: whether batch_norm may use the fused kernel.

    Returns:
        The images ``[batch, final_size, final_size, num_outputs]``, of any range of values, and a dictionary of the
        layers' outputs: ``deconv1``, ``deconv2``, ..., ``logits``.

    Raises:
        ValueError: `inputs` are not of rank 2, or `final_size` cannot be.
    """
    inputs.shape.assert_has_rank(2)
    if not _is_power_of_two(final_size):
        raise ValueError(f"final_size={final_size}: it must be a power of 2.")
    if final_size < 8:
        raise ValueError(f"final_size={final_size}: it must be greater than 8, or 8.")
    layers = _log2(final_size) - 1
    end_points = {}
    with (
        tf.variable_scope(scope, values=[inputs], reuse=reuse),
        _batch_norm_scope(is_training, fused_batch_norm),
        slim.arg_scope([slim.conv2d_transpose], normalizer_fn=slim.batch_norm, stride=2, kernel_size=4),
    ):
        net = tf.expand_dims(tf.expand_dims(inputs, 1), 1)
        for i in range(1, layers + 1):
            name = f"deconv{i}"
            arguments = {"stride": 1, "padding": "VALID"} if i == 1 else {}
            if i == layers:
                arguments = {"normalizer_fn": None, "activation_fn": None}
            net = slim.conv2d_transpose(net, depth * 2 ** (layers - i), scope=name, **arguments)
            end_points[name] = net
        logits = slim.conv2d(
            net,
            num_outputs,
            kernel_size=1,
            stride=1,
            padding="VALID",
            normalizer_fn=None,
            activation_fn=None,
            scope="logits",
        )
        end_points["logits"] = logits
    logits.shape.assert_is_compatible_with([None, final_size, final_size, num_outputs])
    return logits, end_points
