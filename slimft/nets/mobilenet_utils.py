"""What the MobileNets share: padding that does not depend on the image's size, strides turned into rates, widths.

Source of the facts: research/slim/nets/mobilenet_v1.py and nets/mobilenet/ (github.com/tensorflow/models).
"""

import functools

from slimft.compat import tf


def fixed_padding(inputs, kernel_size, rate=1):
    """Pads `inputs` so that a convolution with VALID padding gives the size that SAME padding would.

    Unlike SAME, it pads an image of even size on both sides where the stride is 2.

    Args:
        inputs: ``[batch, height, width, channels]``.
        kernel_size: ``[height, width]`` of the filters.
        rate: rate of an atrous convolution.
    """
    totals = [(size - 1) * rate for size in kernel_size]
    if not any(totals):
        return inputs
    return tf.pad(inputs, [[0, 0], *([total // 2, total - total // 2] for total in totals), [0, 0]])


def make_divisible(v, divisor, min_value=None):
    """The multiple of `divisor` nearest to the number of channels `v`, at least `min_value` and 90 % of `v`.

    Args:
        v: number of channels, of any type.
        divisor: what the result is a multiple of, if `min_value` is one.
        min_value: the least number of channels; None for `divisor`.
    """
    least = divisor if min_value is None else min_value
    result = max(least, int(v + divisor / 2) // divisor * divisor)
    return int(result + divisor if result < 0.9 * v else result)


def strides_and_rates(strides, output_stride):
    """What stride and atrous rate each layer has, for a total stride of at most `output_stride`.

    Once the layers so far make up `output_stride`, a layer keeps its resolution, and those after it see as
    far as they would have by an atrous rate.

    Args:
        strides: the stride of each layer.
        output_stride: ratio of input to output resolution; None for the product of all strides.

    Returns:
        A list of (stride, rate), one a layer.

    Raises:
        ValueError: the product of the strides goes past `output_stride` without meeting it.
    """
    layers = []
    so_far = rate = 1
    for stride in strides:
        if so_far == output_stride:
            layers.append((1, rate))
            rate *= stride
            continue
        layers.append((stride, 1))
        so_far *= stride
        if output_stride is not None and so_far > output_stride:
            raise ValueError(f"output_stride={output_stride} is not a product of the first layers' strides.")
    return layers


def wrapped_partial(func, *args, **kwargs):
    """`functools.partial` of a network, with its name, docstring and attributes."""
    return functools.update_wrapper(functools.partial(func, *args, **kwargs), func)
