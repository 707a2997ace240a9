"""The blocks that MobileNets are made of: separable and split convolutions, bottlenecks, squeeze-and-excite.

Signatures, variable names and op names are those of research/slim/nets/mobilenet/conv_blocks.py
(github.com/tensorflow/models). Images and maps are float tensors ``[batch, height, width, channels]``.
"""

import contextlib
import functools

from slimft.compat import slim, tf
from slimft.nets.mobilenet_utils import fixed_padding as _fixed_padding
from slimft.nets.mobilenet_utils import make_divisible as _make_divisible

_LOCATIONS = (None, "input", "output", "expansion")


def _split_divisible(num, num_ways, divisible_by=8):
    """Splits the number `num` into `num_ways` multiples of `divisible_by` that differ by at most one multiple.

    Raises:
        ValueError: `num` is no multiple, or has too few.
    """
    if num % divisible_by or num < num_ways * divisible_by:
        raise ValueError(f"{num} channels cannot be split into {num_ways} multiples of {divisible_by}.")
    # Each part ends at the first multiple that is not before its share.
    ends = [-(-num * i // (num_ways * divisible_by)) * divisible_by for i in range(num_ways + 1)]
    return [end - start for start, end in zip(ends, ends[1:])]


@contextlib.contextmanager
def _v1_compatible_scope_naming(scope):
    """What the two halves of a separable convolution are named by: in a scope of their own, or beside others.

    Args:
        scope: None for a scope ``separable``, numbered; or what their names begin with, as in MobileNet V1.

    Yields:
        The beginning of their names.
    """
    if scope is not None:
        yield f"{scope}_"
        return
    with tf.variable_scope(None, default_name="separable") as own, tf.name_scope(own.original_name_scope):
        yield ""


@slim.add_arg_scope
def split_separable_conv2d(
    input_tensor,
    num_outputs,
    scope=None,
    normalizer_fn=None,
    stride=1,
    rate=1,
    endpoints=None,
    use_explicit_padding=False,
):
    """A separable convolution as MobileNet V1 has it: both halves with normalization and non-linearity.

    Args:
        input_tensor: the input.
        num_outputs: number of outputs.
        scope: what the scopes of the halves begin with, ``<scope>_depthwise`` and ``<scope>_pointwise``; None for
            `depthwise` and `pointwise` in a scope of their own.
        normalizer_fn: normalization of both.
        stride: stride of the depthwise half, which is 3x3.
        rate: its atrous rate.
        endpoints: a dictionary to which both halves are added, by their scopes.
        use_explicit_padding: whether to pad both sides alike whatever the input's size, not as SAME does.

    Returns:
        The result of the pointwise half.
    """
    endpoints = {} if endpoints is None else endpoints
    kernel_size = [3, 3]
    with _v1_compatible_scope_naming(scope) as prefix:
        if use_explicit_padding:
            input_tensor = _fixed_padding(input_tensor, kernel_size, rate)
        # Without a number of outputs, slim's separable convolution is its depthwise half alone.
        depthwise = endpoints[f"{prefix}depthwise"] = slim.separable_conv2d(
            input_tensor,
            None,
            kernel_size,
            depth_multiplier=1,
            stride=stride,
            rate=rate,
            normalizer_fn=normalizer_fn,
            padding="VALID" if use_explicit_padding else "SAME",
            scope=f"{prefix}depthwise",
        )
        pointwise = endpoints[f"{prefix}pointwise"] = slim.conv2d(
            depthwise, num_outputs, [1, 1], stride=1, normalizer_fn=normalizer_fn, scope=f"{prefix}pointwise"
        )
    return pointwise


def expand_input_by_factor(n, divisible_by=8):
    """An `expansion_size` of `expanded_conv`: `n` times the channels, as a multiple of `divisible_by`."""
    return lambda num_inputs, **_: _make_divisible(num_inputs * n, divisible_by)


_SIX_TIMES = expand_input_by_factor(6)


def split_conv(input_tensor, num_outputs, num_ways, scope, divisible_by=8, **kwargs):
    """A 1x1 convolution in groups: each part of the outputs sees its part of the inputs alone.

    Args:
        input_tensor: the input.
        num_outputs: number of outputs.
        num_ways: number of groups; one where a group would have fewer than `divisible_by` channels.
        scope: scope of the convolution; groups have ``<scope>_part_<i>``.
        divisible_by: what the channels of each group are a multiple of.
        **kwargs: of slim.conv2d.

    Raises:
        ValueError: the channels are no multiples of `divisible_by`.
    """
    channels = input_tensor.shape.as_list()[3]
    if num_ways == 1 or min(channels, num_outputs) // num_ways < divisible_by:
        return slim.conv2d(input_tensor, num_outputs, [1, 1], scope=scope, **kwargs)
    input_sizes, output_sizes = (_split_divisible(n, num_ways, divisible_by) for n in (channels, num_outputs))
    parts = []
    for i, part in enumerate(tf.split(input_tensor, input_sizes, axis=3, name=f"split_{scope}")):
        name = f"{scope}_part_{i}"
        part = slim.conv2d(part, output_sizes[i], [1, 1], scope=name, **kwargs)
        parts.append(tf.identity(part, f"{name}_output"))
    return tf.concat(parts, 3, name=f"{name}_concat")


@slim.add_arg_scope
def expanded_conv(
    input_tensor,
    num_outputs,
    expansion_size=_SIX_TIMES,
    stride=1,
    rate=1,
    kernel_size=(3, 3),
    residual=True,
    normalizer_fn=None,
    split_projection=1,
    split_expansion=1,
    split_divisible_by=8,
    expansion_transform=None,
    depthwise_location="expansion",
    depthwise_channel_multiplier=1,
    endpoints=None,
    use_explicit_padding=False,
    padding="SAME",
    inner_activation_fn=None,
    depthwise_activation_fn=None,
    project_activation_fn=tf.identity,
    depthwise_fn=slim.separable_conv2d,
    expansion_fn=split_conv,
    projection_fn=split_conv,
    scope=None,
):
    """An inverted residual bottleneck: a 1x1 convolution that expands, a depthwise one, a 1x1 one that projects.

    Args:
        input_tensor: the input.
        num_outputs: number of outputs.
        expansion_size: number of channels between, or a function ``f(num_inputs=...)`` that tells it; it does not
            expand where that is no more than the input has.
        stride: stride of the depthwise convolution.
        rate: its atrous rate.
        kernel_size: its kernel, ``(height, width)``.
        residual: whether to add the input where it has the shape of the result, or a function of `input_tensor`
            and `output_tensor` that gives the result.
        normalizer_fn: normalization of all three.
        split_projection: number of groups of the last convolution.
        split_expansion: number of groups of the first.
        split_divisible_by: what the channels of each group are a multiple of.
        expansion_transform: a function of `expansion_tensor` and `input_tensor` before the last convolution.
        depthwise_location: where the depthwise convolution is: ``expansion`` (after it), ``input`` (before it),
            ``output`` (at the end); None for nowhere. At the ends it has no non-linearity.
        depthwise_channel_multiplier: number of its filters for each channel.
        endpoints: a dictionary to which ``expansion_output``, ``depthwise_output`` and ``projection_output`` are
            added.
        use_explicit_padding: whether to pad both sides alike whatever the input's size, not as SAME does.
        padding: that of the depthwise convolution.
        inner_activation_fn: non-linearity of the first two convolutions; None for that of their arg_scope.
        depthwise_activation_fn: that of the depthwise one, which goes before.
        project_activation_fn: that of the last.
        depthwise_fn, expansion_fn, projection_fn: the three convolutions; groups are `split_conv`'s alone.
        scope: variable scope; None for ``expanded_conv``, numbered.

    Returns:
        The result, ``[batch, height / stride, width / stride, num_outputs]``.

    Raises:
        TypeError: there is no such `depthwise_location`, or both kinds of padding are given.
    """
    if depthwise_location not in _LOCATIONS:
        raise TypeError(f"depthwise_location has to be one of {_LOCATIONS}, not {depthwise_location!r}.")
    if use_explicit_padding and padding != "SAME":
        raise TypeError(f"use_explicit_padding is in place of SAME padding; it cannot go with {padding!r}.")
    inner = {} if inner_activation_fn is None else {"activation_fn": inner_activation_fn}
    of_depthwise = inner if depthwise_activation_fn is None else {"activation_fn": depthwise_activation_fn}
    endpoints = {} if endpoints is None else endpoints

    def add_depthwise(net, **arguments):
        if use_explicit_padding:
            net = _fixed_padding(net, kernel_size, rate)
        net = depthwise_fn(
            net,
            num_outputs=None,
            kernel_size=kernel_size,
            depth_multiplier=depthwise_channel_multiplier,
            stride=stride,
            rate=rate,
            normalizer_fn=normalizer_fn,
            padding="VALID" if use_explicit_padding else padding,
            scope="depthwise",
            **arguments,
        )
        net = endpoints["depthwise_output"] = tf.identity(net, "depthwise_output")
        return net

    def pointwise(function, num_ways):
        """A convolution's function that needs to be told no groups."""
        if function is not split_conv:
            return function
        return functools.partial(split_conv, num_ways=num_ways, divisible_by=split_divisible_by, stride=1)

    with (
        tf.variable_scope(scope, default_name="expanded_conv") as own,
        tf.name_scope(own.original_name_scope),
        slim.arg_scope([slim.conv2d], **inner),
        slim.arg_scope([slim.separable_conv2d], **of_depthwise),
    ):
        net = input_tensor = tf.identity(input_tensor, "input")
        channels = input_tensor.shape.as_list()[3]
        if depthwise_location == "input":
            net = add_depthwise(net, activation_fn=None)
        inner_size = expansion_size(num_inputs=channels) if callable(expansion_size) else expansion_size
        if inner_size > net.shape.as_list()[3]:
            expand = pointwise(expansion_fn, split_expansion)
            net = expand(net, inner_size, scope="expand", normalizer_fn=normalizer_fn)
            net = endpoints["expansion_output"] = tf.identity(net, "expansion_output")
        if depthwise_location == "expansion":
            net = add_depthwise(net)
        if expansion_transform:
            net = expansion_transform(expansion_tensor=net, input_tensor=input_tensor)
        project = pointwise(projection_fn, split_projection)
        net = endpoints["projection_output"] = project(
            net, num_outputs, scope="project", normalizer_fn=normalizer_fn, activation_fn=project_activation_fn
        )
        if depthwise_location == "output":
            net = add_depthwise(net, activation_fn=None)
        if callable(residual):
            net = residual(input_tensor=input_tensor, output_tensor=net)
        # The stride tells where heights and widths are not known.
        elif residual and stride == 1 and net.shape.as_list()[3] == channels:
            net += input_tensor
        return tf.identity(net, name="output")


@slim.add_arg_scope
def squeeze_excite(
    input_tensor,
    divisible_by=8,
    squeeze_factor=3,
    inner_activation_fn=tf.nn.relu,
    gating_fn=tf.sigmoid,
    squeeze_input_tensor=None,
    pool=None,
):
    """Weighs channels by what two 1x1 convolutions make of their averages (Hu et al., arXiv:1709.01507).

    Args:
        input_tensor: what is weighed.
        divisible_by: what the number of channels between the convolutions is a multiple of.
        squeeze_factor: how many times fewer these are.
        inner_activation_fn: non-linearity of the first convolution.
        gating_fn: that of the second, which gives the weights.
        squeeze_input_tensor: what is averaged; None for `input_tensor`.
        pool: side of the windows to average over, whose weights are then enlarged, bilinearly; None to average
            over all positions.

    Raises:
        ValueError: with `pool`, a height or width is not known.
    """
    with tf.variable_scope("squeeze_excite"):
        squeezed = input_tensor if squeeze_input_tensor is None else squeeze_input_tensor
        channels = squeezed.shape.as_list()[3]
        if pool is None:
            pooled = tf.reduce_mean(squeezed, axis=[1, 2], keepdims=True)
        else:
            pooled = _pool(squeezed, pool)
        net = slim.conv2d(
            pooled,
            kernel_size=(1, 1),
            num_outputs=_make_divisible(channels / squeeze_factor, divisor=divisible_by),
            normalizer_fn=None,
            activation_fn=inner_activation_fn,
        )
        weights = slim.conv2d(
            net,
            num_outputs=input_tensor.shape.as_list()[3],
            kernel_size=[1, 1],
            normalizer_fn=None,
            activation_fn=gating_fn,
        )
        if pool is not None:
            weights = tf.image.resize_images(weights, _known_size(input_tensor), align_corners=True)
        return input_tensor * weights


def _pool(net, size):
    """Averages over windows of `size` by `size`, or of the whole map where that is smaller."""
    height, width = _known_size(net)
    stride = size if height >= size else 1
    return tf.nn.avg_pool(
        net, [1, min(height, size), min(width, size), 1], strides=[1, stride, stride, 1], padding="VALID"
    )


def _known_size(net):
    size = net.shape.as_list()[1:3]
    if None in size:
        raise ValueError(f"squeeze_excite(pool=...) needs maps of known height and width, not {size}.")
    return size
