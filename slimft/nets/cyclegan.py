"""CycleGAN's generator (Zhu, Park, Isola and Efros, arXiv:1703.10593) under TF-Slim's names.

    generated, end_points = cyclegan.cyclegan_generator_resnet(images, num_resnet_blocks=9)

By the paper's section 7.2 it is c7s1-64, d128, d256, a number of R256, u128, u64, c7s1-3: a 7x7 convolution, two
that halve the image, residual blocks, two that double it, and a 7x7 convolution. The two that double it are
transposed convolutions with biases; the paper's are normalized. Images are RGB in [-1, 1]. The discriminator of the
paper is `slimft.nets.pix2pix.pix2pix_discriminator`, with filters [64, 128, 256, 512].

The arg_scope is an argument, `arg_scope_fn`; one that surrounds the network is without effect in it.
Signatures, variable names, op names and end points are those of research/slim/nets/cyclegan.py
(github.com/tensorflow/models).
"""

from slimft.compat import slim, tf


def cyclegan_arg_scope(
    instance_norm_center=True,
    instance_norm_scale=True,
    instance_norm_epsilon=0.001,
    weights_init_stddev=0.02,
    weight_decay=0.0,
):
    """The arg_scope of the convolutions; transposed ones are not in it, and so not normalized.

    Args:
        instance_norm_center: whether instance normalization adds a beta.
        instance_norm_scale: whether it multiplies by a gamma.
        instance_norm_epsilon: added to the variance.
        weights_init_stddev: standard deviation of the normal that weights begin with.
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss; 0 or None for none.
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


def _pad(net, rows, columns, mode="REFLECT"):
    """Pads the height by `rows` (before, after) and the width by `columns`."""
    return tf.pad(net, [[0, 0], rows, columns, [0, 0]], mode)


def cyclegan_upsample(net, num_outputs, stride, method="conv2d_transpose", pad_mode="REFLECT", align_corners=False):
    """Enlarges a map and convolves it, by 3x3.

    Args:
        net: float tensor ``[batch, height, width, filters]``.
        num_outputs: number of filters of the result.
        stride: two factors, of the height and the width.
        method: ``nn_upsample_conv`` repeats places before the convolution, ``bilinear_upsample_conv`` interpolates
            between them; ``conv2d_transpose`` does both in one layer, and is not what the paper has.
        pad_mode: what the convolution sees outside of the map: ``CONSTANT``, ``REFLECT`` or ``SYMMETRIC``.
        align_corners: whether bilinear interpolation keeps the values of the four corners where they are.

    Returns:
        Float tensor ``[batch, stride[0] * height, stride[1] * width, num_outputs]``.

    Raises:
        ValueError: there is no such `method`.
    """
    with tf.variable_scope("upconv"):
        # Made whatever the method, so that ops have the names they had.
        shape = tf.shape(net)
        height, width = shape[1], shape[2]
        if method == "conv2d_transpose":
            net = slim.conv2d_transpose(net, num_outputs, kernel_size=[3, 3], stride=stride, padding="valid")
            # An image of even size is convolved from its first pixel on, and made larger up to its last.
            return net[:, 1:, 1:, :]
        size = [stride[0] * height, stride[1] * width]
        if method == "nn_upsample_conv":
            net = tf.image.resize(net, size, method=tf.image.ResizeMethod.NEAREST_NEIGHBOR)
        elif method == "bilinear_upsample_conv":
            net = tf.image.resize_bilinear(net, size, align_corners=align_corners)
        else:
            known = "nn_upsample_conv, bilinear_upsample_conv or conv2d_transpose"
            raise ValueError(f"Unknown method: [{method}]; give {known}")
        return slim.conv2d(_pad(net, [1, 1], [1, 1], pad_mode), num_outputs, kernel_size=[3, 3], padding="valid")


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
    """Makes images of one kind of images of another.

    Args:
        images: float tensor ``[batch, height, width, channels]``; height and width are multiples of 4, and may be
            unknown.
        arg_scope_fn: makes the arg_scope.
        num_resnet_blocks: number of residual blocks; the paper has 6 for 128x128 images, 9 for larger ones.
        num_filters: number of filters of the first convolution.
        upsample_fn: doubles a map in the decoder; called as `cyclegan_upsample` with `num_outputs` and `stride`.
        kernel_size: height and width, or both in one number, of the inner convolutions' filters.
        tanh_linear_slope: how much of the logits is added to their tanh.
        is_training: without effect; other generators have it.

    Returns:
        The images ``[batch, height, width, channels]``, in [-1, 1] but for `tanh_linear_slope`, and a dictionary of
        the layers' outputs: ``encoder_0`` to ``encoder_2``, ``resnet_block_0`` and so on, ``decoder1``,
        ``decoder2``, ``logits``, ``predictions``.

    Raises:
        ValueError: height or width are known, and no multiple of 4.
    """
    del is_training
    height, width, channels = images.shape.as_list()[1:]
    for name, size in (("height", height), ("width", width)):
        if size and size % 4:
            raise ValueError(f"The input {name} must be a multiple of 4, not {size}.")
    kernel = list(kernel_size) if isinstance(kernel_size, (list, tuple)) else [kernel_size, kernel_size]
    around = [[(size - 1) // 2, size // 2] for size in kernel]

    def inner_convs(**arguments):
        return slim.arg_scope([slim.conv2d], kernel_size=kernel, activation_fn=tf.nn.relu, **arguments)

    def conv(net, filters, **arguments):
        return slim.conv2d(_pad(net, *around), filters, **arguments)

    end_points = {}
    with slim.arg_scope(arg_scope_fn()):
        with tf.variable_scope("input"):
            net = slim.conv2d(_pad(images, [3, 3], [3, 3]), num_filters, kernel_size=[7, 7], padding="VALID")
            end_points["encoder_0"] = net

        with tf.variable_scope("encoder"), inner_convs(stride=2, padding="VALID"):
            for i in (1, 2):
                net = conv(net, num_filters * 2**i)
                end_points[f"encoder_{i}"] = net

        with tf.variable_scope("residual_blocks"), inner_convs(stride=1, padding="VALID"):
            for i in range(num_resnet_blocks):
                with tf.variable_scope(f"block_{i}"):
                    residual = conv(conv(net, num_filters * 4), num_filters * 4, activation_fn=None)
                    net += residual
                    end_points[f"resnet_block_{i}"] = net

        with tf.variable_scope("decoder"), inner_convs(stride=1):
            for name, filters in (("decoder1", num_filters * 2), ("decoder2", num_filters)):
                with tf.variable_scope(name):
                    net = upsample_fn(net, num_outputs=filters, stride=[2, 2])
                end_points[name] = net

        with tf.variable_scope("output"):
            logits = slim.conv2d(
                _pad(net, [3, 3], [3, 3]),
                channels,
                [7, 7],
                activation_fn=None,
                normalizer_fn=None,
                padding="valid",
            )
            # So that their shape is known where that of the images is.
            logits = tf.reshape(logits, tf.shape(images))
            end_points["logits"] = logits
            end_points["predictions"] = tf.tanh(logits) + logits * tanh_linear_slope
    return end_points["predictions"], end_points
