"""CycleGAN's generator (Zhu et al., arXiv:1703.10593), under TF-Slim's names; the discriminator is pix2pix's.

The residual network of the paper's section 7.2: a 7x7 convolution, two that halve the map, residual blocks (6 for
images of 128x128, 9 for larger ones), two layers that double it, and a 7x7 convolution; instance normalization and
reflection padding. The two that double the map are transposed convolutions with biases and without normalization,
as they are without an arg_scope; the paper's are normalized.

    images, end_points = cyclegan.cyclegan_generator_resnet(photographs)

Images are in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/cyclegan.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf


def cyclegan_arg_scope(
    instance_norm_center=True,
    instance_norm_scale=True,
    instance_norm_epsilon=0.001,
    weights_init_stddev=0.02,
    weight_decay=0.0,
):
    """The arg_scope the generator and the discriminator are built under.

    Args:
        instance_norm_center: whether instance normalization adds a beta.
        instance_norm_scale: whether it multiplies by a gamma.
        instance_norm_epsilon: added to the variance.
        weights_init_stddev: standard deviation of the first weights.
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss; there is no such loss unless it is above 0.
    """
    with slim.arg_scope(
        [slim.conv2d],
        normalizer_fn=slim.instance_norm,
        normalizer_params={
            "center": instance_norm_center,
            "scale": instance_norm_scale,
            "epsilon": instance_norm_epsilon,
        },
        weights_initializer=tf.random_normal_initializer(0, weights_init_stddev),
        weights_regularizer=slim.l2_regularizer(weight_decay) if weight_decay and weight_decay > 0 else None,
    ) as arg_scope:
        return arg_scope


def _pad(net, before, after, mode="REFLECT"):
    """Pads rows and columns: `before` and `after` are the numbers of both."""
    (top, left), (bottom, right) = before, after
    return tf.pad(net, [[0, 0], [top, bottom], [left, right], [0, 0]], mode=mode)


def cyclegan_upsample(net, num_outputs, stride, method="conv2d_transpose", pad_mode="REFLECT", align_corners=False):
    """Enlarges a map.

    Args:
        net: float tensor ``[batch, height, width, channels]``.
        num_outputs: number of filters.
        stride: list of two factors, of the height and of the width.
        method: ``nn_upsample_conv`` or ``bilinear_upsample_conv``, which resize and then apply a 3x3 convolution,
            or ``conv2d_transpose``.
        pad_mode: ``REFLECT``, ``CONSTANT`` or ``SYMMETRIC``: what the convolution sees beyond the edges.
        align_corners: whether ``bilinear_upsample_conv`` keeps the corners' centers where they are.

    Returns:
        A tensor ``[batch, stride[0] * height, stride[1] * width, num_outputs]``.

    Raises:
        ValueError: there is no such method.
    """
    with tf.variable_scope("upconv"):
        shape = tf.shape(net)
        size = [stride[0] * shape[1], stride[1] * shape[2]]
        if method == "conv2d_transpose":
            # A row and a column too many; without the first ones, the map lies as `conv2d` with SAME saw it.
            net = slim.conv2d_transpose(net, num_outputs, kernel_size=[3, 3], stride=stride, padding="valid")
            return net[:, 1:, 1:, :]
        if method == "nn_upsample_conv":
            net = tf.image.resize(net, size, method=tf.image.ResizeMethod.NEAREST_NEIGHBOR)
        elif method == "bilinear_upsample_conv":
            net = tf.image.resize_bilinear(net, size, align_corners=align_corners)
        else:
            raise ValueError(
                f"Unknown method: [{method}]; give nn_upsample_conv, bilinear_upsample_conv or conv2d_transpose"
            )
        net = _pad(net, (1, 1), (1, 1), pad_mode)
        return slim.conv2d(net, num_outputs, kernel_size=[3, 3], padding="valid")


def cyclegan_generator_resnet(
    images,
    arg_scope_fn=cyclegan_arg_scope,
    num_resnet_blocks=6,
    num_filters=64,
    upsample_fn=cyclegan_upsample,
    kernel_size=3,
    tanh_linear_slope=0.0,
    is_training=False,
):
    """Makes images of one kind from images of another.

    Args:
        images: float tensor ``[batch, height, width, channels]``; height and width are multiples of 4.
        arg_scope_fn: makes the arg_scope to build the network under.
        num_resnet_blocks: number of residual blocks.
        num_filters: number of filters of the first layer.
        upsample_fn: ``upsample_fn(net, num_outputs=..., stride=[2, 2])`` doubles the map.
        kernel_size: of the layers that halve it and of the blocks; a number, or height and width.
        tanh_linear_slope: this share of the logits is added to their tanh.
        is_training: changes nothing.

    Returns:
        The images, of the shape of `images`, and a dictionary of the end points.

    Raises:
        ValueError: the height or the width is no multiple of 4.
    """
    del is_training
    height, width, num_outputs = images.shape.as_list()[1:]
    if height and height % 4:
        raise ValueError("The input height must be a multiple of 4.")
    if width and width % 4:
        raise ValueError("The input width must be a multiple of 4.")
    kernel_size = kernel_size if isinstance(kernel_size, (list, tuple)) else [kernel_size, kernel_size]
    before, after = [(size - 1) // 2 for size in kernel_size], [size // 2 for size in kernel_size]
    end_points = {}

    def padded_conv(net, filters, stride=1, activation_fn=tf.nn.relu):
        net = _pad(net, before, after)
        return slim.conv2d(net, filters, kernel_size, stride, padding="VALID", activation_fn=activation_fn)

    with slim.arg_scope(arg_scope_fn()):
        with tf.variable_scope("input"):
            net = _pad(images, (3, 3), (3, 3))
            net = slim.conv2d(net, num_filters, kernel_size=[7, 7], padding="VALID")
            end_points["encoder_0"] = net
        with tf.variable_scope("encoder"):
            for i in (1, 2):
                net = end_points[f"encoder_{i}"] = padded_conv(net, num_filters * 2**i, stride=2)
        with tf.variable_scope("residual_blocks"):
            for i in range(num_resnet_blocks):
                with tf.variable_scope(f"block_{i}"):
                    residual = padded_conv(net, num_filters * 4)
                    residual = padded_conv(residual, num_filters * 4, activation_fn=None)
                    net = end_points[f"resnet_block_{i}"] = net + residual
        with (
            tf.variable_scope("decoder"),
            slim.arg_scope([slim.conv2d], kernel_size=kernel_size, stride=1, activation_fn=tf.nn.relu),
        ):
            for name, filters in (("decoder1", num_filters * 2), ("decoder2", num_filters)):
                with tf.variable_scope(name):
                    net = upsample_fn(net, num_outputs=filters, stride=[2, 2])
                end_points[name] = net
        with tf.variable_scope("output"):
            net = _pad(net, (3, 3), (3, 3))
            logits = slim.conv2d(net, num_outputs, [7, 7], activation_fn=None, normalizer_fn=None, padding="valid")
            # That the shape is that of the images is lost where layers resize.
            logits = tf.reshape(logits, tf.shape(images))
            end_points["logits"] = logits
            end_points["predictions"] = tf.tanh(logits) + logits * tanh_linear_slope
    return end_points["predictions"], end_points
