"""Layers in NumPy, to compare networks with. Maps are ``[batch, height, width, channels]``."""

import numpy as np


def _same_padding(x, kernel, stride):
    """Pads as TensorFlow does for SAME: with the odd one out after the map."""
    totals = [max((-(-n // stride) - 1) * stride + k - n, 0) for n, k in zip(x.shape[1:3], kernel)]
    return np.pad(x, [(0, 0), *((total // 2, total - total // 2) for total in totals), (0, 0)])


def conv2d(x, weights, stride=1, padding="SAME"):
    """A convolution by `weights` of ``[height, width, inputs, outputs]``."""
    kernel = weights.shape[:2]
    x = _same_padding(x, kernel, stride) if padding == "SAME" else x
    seen = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("bhwcij,ijco->bhwo", seen, weights)


def conv2d_transpose(x, weights, stride=1, padding="SAME"):
    """A convolution's gradient, by `weights` of ``[height, width, outputs, inputs]``; SAME for even strides."""
    (batch, height, width, _), kernel = x.shape, weights.shape[:2]
    rows, columns = ((n - 1) * stride + k for n, k in zip((height, width), kernel))
    result = np.zeros([batch, rows, columns, weights.shape[2]])
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            reached = np.s_[
                :, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride
            ]
            result[reached] += x @ weights[i, j].T
    if padding == "SAME":
        top, left = ((k - stride) // 2 for k in kernel)
        result = result[:, top : top + height * stride, left : left + width * stride]
    return result


def normalize(x, axes, epsilon):
    """`x` of mean 0 and variance 1 over `axes`."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def relu(x, slope=0.0):
    """ReLU, leaky with a `slope`."""
    return np.maximum(x, slope * x)
