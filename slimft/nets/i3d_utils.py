"""What the networks for videos share: convolutions over space and time, and an Inception module of them.

Videos are float tensors ``[batch, frames, height, width, channels]`` (``NDHWC``), or with the channels before the
frames (``NCDHW``), which TensorFlow computes on GPUs alone.

Signatures, variable names and op names are those of research/slim/nets/i3d_utils.py (github.com/tensorflow/models).
"""

import numpy as np

from slimft.compat import slim, tf

add_arg_scope = slim.add_arg_scope
layers = slim.layers


def center_initializer():
    """An initializer of kernels over time alone, at which the convolution is the identity.

    Returns:
        An initializer for the shape ``[frames, 1, 1, channels, channels]`` with an odd number of frames, in float32
        or bfloat16. It raises a ValueError for others.
    """

    def initializer(shape, dtype=tf.float32, partition_info=None):
        del partition_info
        shape = [int(size) for size in shape]
        if dtype not in (tf.float32, tf.bfloat16):
            raise ValueError(f"a center_initializer is for tf.float32 or tf.bfloat16, not {dtype!r}")
        if len(shape) != 5:
            raise ValueError(f"a center_initializer is for kernels of 5 dimensions, not of shape {shape}")
        frames, height, width, channels, outputs = shape
        if channels != outputs or height != 1 or width != 1 or frames % 2 == 0:
            raise ValueError(
                "a center_initializer is for kernels [frames, 1, 1, channels, channels] with an odd number of "
                f"frames, not of shape {shape}"
            )
        kernel = np.zeros(shape, np.float32)
        kernel[frames // 2, 0, 0] = np.eye(channels)
        return tf.constant(kernel, dtype)

    return initializer


@add_arg_scope
def conv3d_spatiotemporal(
    inputs,
    num_outputs,
    kernel_size,
    stride=1,
    padding="SAME",
    activation_fn=None,
    normalizer_fn=None,
    normalizer_params=None,
    weights_regularizer=None,
    separable=False,
    data_format="NDHWC",
    scope="",
):
    """A convolution over frames, height and width, or one over height and width and then one over the frames.

    The second one begins as the identity. It is in the scope ``temporal``, and has biases and no normalizer.

    Args:
        inputs: tensor of 5 dimensions.
        num_outputs: number of filters.
        kernel_size: list of three: frames, height and width.
        stride: list of three, or one number for all.
        padding: ``SAME`` or ``VALID``.
        activation_fn: non-linearity, after each of the two; None for none.
        normalizer_fn: normalization function, in place of biases.
        normalizer_params: its arguments.
        weights_regularizer: regularizer of the kernel.
        separable: whether to make two of it, if the kernel is of more than one frame.
        data_format: ``NDHWC`` or ``NCDHW``.
        scope: variable scope.

    Returns:
        The result, in the format of `inputs`.
    """
    if len(kernel_size) != 3:
        raise ValueError(f"kernel_size={kernel_size}: give the numbers of frames, rows and columns")
    settings = {"padding": padding, "activation_fn": activation_fn, "data_format": data_format}
    normalization = {
        "normalizer_fn": normalizer_fn,
        "normalizer_params": normalizer_params,
        "weights_regularizer": weights_regularizer,
    }
    frames, height, width = kernel_size
    if not separable or frames == 1:
        return layers.conv3d(
            inputs, num_outputs, kernel_size, stride=stride, scope=scope, **settings, **normalization
        )
    over_frames, *over_space = slim.utils.n_positive_integers(3, stride)
    net = layers.conv3d(
        inputs,
        num_outputs,
        [1, height, width],
        stride=[1, *over_space],
        scope=scope,
        **settings,
        **normalization,
    )
    return layers.conv3d(
        net,
        num_outputs,
        [frames, 1, 1],
        stride=[over_frames, 1, 1],
        scope=f"{scope}/temporal",
        normalizer_fn=None,
        weights_initializer=center_initializer(),
        **settings,
    )


@add_arg_scope
def inception_block_v1_3d(
    inputs,
    num_outputs_0_0a,
    num_outputs_1_0a,
    num_outputs_1_0b,
    num_outputs_2_0a,
    num_outputs_2_0b,
    num_outputs_3_0b,
    temporal_kernel_size=3,
    self_gating_fn=None,
    data_format="NDHWC",
    scope="",
):
    """A module of Inception V1 whose 3x3 convolutions and pool also reach over frames.

    Args:
        inputs: tensor of 5 dimensions.
        num_outputs_0_0a: filters of the 1x1 convolution that is branch 0.
        num_outputs_1_0a, num_outputs_1_0b: filters of branch 1: of the 1x1 convolution, and of the 3x3 one.
        num_outputs_2_0a, num_outputs_2_0b: the same of branch 2.
        num_outputs_3_0b: filters of the 1x1 convolution after the pool that is branch 3.
        temporal_kernel_size: the number of frames that the 3x3 convolutions reach over.
        self_gating_fn: ``self_gating_fn(net, scope=...)`` weights the end of each branch; None for no weights.
        data_format: ``NDHWC`` or ``NCDHW``, for the concatenation; the layers have theirs from the arg_scope.
        scope: variable scope.

    Returns:
        The branches, concatenated along the channels.
    """
    axis = data_format.index("C")

    def ones(net, filters, scope):
        return layers.conv3d(net, filters, [1, 1, 1], scope=scope)

    def threes(net, filters, scope):
        return conv3d_spatiotemporal(net, filters, [temporal_kernel_size, 3, 3], scope=scope)

    def pool(net, filters, scope):
        del filters
        return layers.max_pool3d(net, [3, 3, 3], scope=scope)

    branches = (
        [(ones, num_outputs_0_0a, "Conv2d_0a_1x1")],
        [(ones, num_outputs_1_0a, "Conv2d_0a_1x1"), (threes, num_outputs_1_0b, "Conv2d_0b_3x3")],
        [(ones, num_outputs_2_0a, "Conv2d_0a_1x1"), (threes, num_outputs_2_0b, "Conv2d_0b_3x3")],
        [(pool, None, "MaxPool_0a_3x3"), (ones, num_outputs_3_0b, "Conv2d_0b_1x1")],
    )
    outputs = []
    with tf.variable_scope(scope):
        for i, branch in enumerate(branches):
            with tf.variable_scope(f"Branch_{i}"):
                net = inputs
                for layer, filters, layer_scope in branch:
                    net = layer(net, filters, layer_scope)
                outputs.append(net if self_gating_fn is None else self_gating_fn(net, scope=layer_scope))
        return tf.concat(outputs, axis)


def reduced_kernel_size_3d(input_tensor, kernel_size):
    """`kernel_size`, no larger than the map; as it is where one of the map's sizes is unknown.

    Args:
        input_tensor: tensor ``[batch, frames, height, width, channels]``.
        kernel_size: list of three: frames, height and width.
    """
    sizes = input_tensor.shape.as_list()[1:4]
    if len(kernel_size) != 3 or input_tensor.shape.ndims != 5:
        raise ValueError(
            f"kernel_size={kernel_size}, shape {input_tensor.shape}: give three sizes and 5 dimensions"
        )
    return kernel_size if None in sizes else [min(*pair) for pair in zip(sizes, kernel_size, strict=True)]
