"""Gradients of convolutions on a CPU: where oneDNN's are slow, or wrong, others that are the same function.

On maps of a few positions, oneDNN takes ten times as long for the gradient of a kernel as for that of a matrix of
its size; of the taps that each position sees, laid side by side, it is a matrix product. And where TensorFlow
(2.21) fuses it with the gradient of the biases, in bfloat16, oneDNN may write beyond its memory if the outputs are
no multiple of 16: of 4096 features and ten classes, on a processor with AMX, the process crashes.
"""

from __future__ import annotations

import contextlib

from slimft.compat import tf

# Positions of a map up to which a matrix product is faster: 8x8.
_MOST_POSITIONS = 64
# What oneDNN computes at a time, and may write, of a vector of outputs in bfloat16.
_BLOCK = 16


def convolution_gradients() -> contextlib.AbstractContextManager[None]:
    """Around layers that are built, lets their convolutions and biases have the gradients of this module.

    Where TensorFlow has a GPU, nothing changes: cuDNN computes the gradients there.
    """
    if tf.config.list_physical_devices("GPU"):
        return contextlib.nullcontext()
    overridden = {"Conv2D": "SlimftConv2D", "BiasAdd": "SlimftBiasAdd"}
    return tf.get_default_graph().gradient_override_map(overridden)


@tf.RegisterGradient("SlimftConv2D")
def _of_convolution(op, gradient):
    images, kernel = op.inputs
    names = ("strides", "dilations", "padding", "explicit_paddings", "data_format")
    arguments = {name: op.get_attr(name) for name in names}
    of_images = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(images), filter=kernel, out_backprop=gradient, **arguments
    )
    if _is_small(images, kernel, arguments):
        return of_images, _as_product(images, kernel, gradient)
    of_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=images, filter_sizes=tf.shape(kernel), out_backprop=gradient, **arguments
    )
    return of_images, of_kernel


def _is_small(images, kernel, arguments) -> bool:
    """Whether a matrix product is as good: each position of a small map sees odd taps around it, without gaps."""
    if arguments["padding"] != b"SAME" or arguments["data_format"] != b"NHWC":
        return False
    if {*arguments["strides"], *arguments["dilations"]} != {1} or not kernel.shape.is_fully_defined():
        return False
    height, width, depth = images.shape.as_list()[1:]
    known = height is not None and width is not None and depth == kernel.shape[2]
    return known and height * width <= _MOST_POSITIONS and all(size % 2 for size in kernel.shape.as_list()[:2])


def _as_product(images, kernel, gradient):
    height, width, depth = images.shape.as_list()[1:]
    rows, columns, _, outputs = kernel.shape.as_list()
    padded = tf.pad(images, [[0, 0], [rows // 2] * 2, [columns // 2] * 2, [0, 0]])
    taps = [padded[:, y : y + height, x : x + width] for y in range(rows) for x in range(columns)]
    seen = tf.reshape(tf.concat(taps, axis=-1), [-1, rows * columns * depth])
    of_kernel = tf.matmul(seen, tf.reshape(gradient, [-1, outputs]), transpose_a=True)
    return tf.reshape(of_kernel, kernel.shape)


@tf.RegisterGradient("SlimftBiasAdd")
def _of_biases(op, gradient):
    outputs = op.inputs[1].shape.as_list()[0]
    if op.get_attr("data_format") != b"NHWC" or (outputs is not None and outputs % _BLOCK == 0):
        return gradient, tf.raw_ops.BiasAddGrad(out_backprop=gradient, data_format=op.get_attr("data_format"))
    # As another op, which nothing is fused with.
    axes = list(range(gradient.shape.ndims - 1))
    return gradient, tf.cast(tf.reduce_sum(tf.cast(gradient, tf.float32), axes), gradient.dtype)
