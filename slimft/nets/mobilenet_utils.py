"""What the two MobileNets share: padding that does not depend on the image's size, strides turned into rates.

Source of the facts: research/slim/nets/mobilenet_v1.py and nets/mobilenet/ (github.com/tensorflow/models).
"""

from slimft.compat import tf


def fixed_padding(inputs, kernel_size, rate=1):
    """Pads `inputs` so that a convolution with VALID padding gives the size that SAME padding would.

    Unlike SAME, it pads an image of even size on both sides where the stride is 2.

    Args:
        inputs: ``[batch, height, width, channels]``.
        kernel_size: height and width of the filters.
        rate: rate of an atrous convolution.
    """
    total = (kernel_size - 1) * rate
    if total == 0:
        return inputs
    sides = [total // 2, total - total // 2]
    return tf.pad(inputs, [[0, 0], sides, sides, [0, 0]])


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
