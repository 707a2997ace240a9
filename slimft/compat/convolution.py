"""`slim.convolution2d` and `slim.separable_convolution2d` with their ops made directly.

Slim's own make a Keras layer each time, which takes about as long as the variables in it. They still do what is
rare: other dtypes and ranks, partitioned variables, functions' graphs. Names, order and attributes of the ops are
the layer's, so that graphs and checkpoints are the same to the byte (tests/compat/test_convolution.py).
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import tf_slim as slim
from tensorflow import nn
from tf_slim.layers import layers

from slimft.compat.v1 import tf

_slims_convolution = layers.convolution2d.__wrapped__
_slims_separable_convolution = layers.separable_convolution2d.__wrapped__


def convolution2d(
    inputs,
    num_outputs,
    kernel_size,
    stride=1,
    padding="SAME",
    data_format=None,
    rate=1,
    activation_fn=tf.nn.relu,
    normalizer_fn=None,
    normalizer_params=None,
    weights_initializer=layers.initializers.xavier_initializer(),  # noqa: B008 - has no state
    weights_regularizer=None,
    biases_initializer=tf.zeros_initializer(),  # noqa: B008 - has no state
    biases_regularizer=None,
    reuse=None,
    variables_collections=None,
    outputs_collections=None,
    trainable=True,
    scope=None,
):
    """A 2-D convolution, then biases or a normalization, then an activation: `slim.conv2d`.

    Args:
        inputs: ``[batch, height, width, channels]``, or with NCHW ``[batch, channels, height, width]``.
        num_outputs: number of filters.
        kernel_size: height and width of a filter, or one int for both.
        stride: strides along height and width, or one int for both.
        padding: ``SAME`` or ``VALID``.
        data_format: ``NHWC`` (None is that too) or ``NCHW``.
        rate: dilation along height and width, or one int for both; where it is not 1, the stride has to be.
        activation_fn: applied to the result; None for none.
        normalizer_fn: called with the result and `normalizer_params` instead of adding biases.
        normalizer_params: arguments of `normalizer_fn`, a dictionary.
        weights_initializer: of the variable ``weights``, ``[height, width, channels, num_outputs]``.
        weights_regularizer: of ``weights``.
        biases_initializer: of the variable ``biases``, ``[num_outputs]``; None for no biases.
        biases_regularizer: of ``biases``.
        reuse: whether to reuse the variables; `scope` must be given.
        variables_collections: further collections for the variables: a list, or a dictionary of lists by name.
        outputs_collections: collections for the result.
        trainable: whether the variables join TRAINABLE_VARIABLES.
        scope: variable scope; ``Conv`` by default.

    Returns:
        ``[batch, height, width, num_outputs]``, or with NCHW ``[batch, num_outputs, height, width]``.

    Raises:
        ValueError: the rank, the number of channels, `padding` or `data_format` cannot be.
    """
    arguments = dict(locals())
    layer = _Layer(**{name: arguments[name] for name in _OF_THE_LAYER})
    if not layer.is_plain(num_outputs, weights_initializer):
        return _slims_convolution(**arguments)

    kernel = ("kernel", (*_pair(kernel_size), layer.channels, num_outputs), weights_initializer)

    def convolve(kernel):
        return nn.convolution(
            inputs, kernel, strides=list(_pair(stride)), padding=padding, data_format=layer.data_format,
            dilations=list(_pair(rate)), name="Conv2D",
        )  # fmt: skip

    return layer.build("Conv", {"bias": "biases", "kernel": "weights"}, [kernel], num_outputs, convolve)


def separable_convolution2d(
    inputs,
    num_outputs,
    kernel_size,
    depth_multiplier=1,
    stride=1,
    padding="SAME",
    data_format="NHWC",
    rate=1,
    activation_fn=tf.nn.relu,
    normalizer_fn=None,
    normalizer_params=None,
    weights_initializer=layers.initializers.xavier_initializer(),  # noqa: B008 - has no state
    pointwise_initializer=None,
    weights_regularizer=None,
    biases_initializer=tf.zeros_initializer(),  # noqa: B008 - has no state
    biases_regularizer=None,
    reuse=None,
    variables_collections=None,
    outputs_collections=None,
    trainable=True,
    scope=None,
):
    """A depthwise convolution, then one of 1x1, then biases or a normalization: `slim.separable_conv2d`.

    Args:
        inputs: ``[batch, height, width, channels]``, or with NCHW ``[batch, channels, height, width]``.
        num_outputs: number of filters; None for the depthwise convolution alone.
        kernel_size: height and width of a filter, or one int for both.
        depth_multiplier: outputs of the depthwise convolution for each channel.
        stride, padding, data_format, rate, activation_fn, normalizer_fn, normalizer_params: as in `convolution2d`.
        weights_initializer: of ``depthwise_weights``, ``[height, width, channels, depth_multiplier]``.
        pointwise_initializer: of ``pointwise_weights``, ``[1, 1, channels * depth_multiplier, num_outputs]``; None
            for `weights_initializer`.
        weights_regularizer: of both weights.
        biases_initializer, biases_regularizer, reuse, variables_collections, outputs_collections, trainable, scope:
            as in `convolution2d`; the scope is ``SeparableConv2d`` by default.

    Returns:
        ``[batch, height, width, num_outputs]``, or with NCHW ``[batch, num_outputs, height, width]``.

    Raises:
        ValueError: the rank, the number of channels, `padding` or `data_format` cannot be.
    """
    arguments = dict(locals())
    layer = _Layer(**{name: arguments[name] for name in _OF_THE_LAYER})
    pointwise_initializer = pointwise_initializer or weights_initializer
    if not (layer.is_plain(num_outputs, weights_initializer, pointwise_initializer) and _is_size(depth_multiplier)):
        return _slims_separable_convolution(**arguments)

    depthwise_shape = (*_pair(kernel_size), layer.channels, depth_multiplier)
    depthwise = ("depthwise_kernel", depthwise_shape, weights_initializer)
    pointwise_shape = (1, 1, depth_multiplier * layer.channels, num_outputs)
    pointwise = ("pointwise_kernel", pointwise_shape, pointwise_initializer)
    strides = (1, *_pair(stride), 1) if layer.data_format == "NHWC" else (1, 1, *_pair(stride))

    def convolve(depthwise, pointwise):
        return tf.nn.separable_conv2d(
            inputs, depthwise, pointwise, strides, padding, _pair(rate), data_format=layer.data_format
        )

    renamed = {
        "bias": "biases", "depthwise_kernel": "depthwise_weights", "pointwise_kernel": "pointwise_weights"
    }  # fmt: skip
    return layer.build("SeparableConv2d", renamed, [depthwise, pointwise], num_outputs, convolve)


@dataclasses.dataclass
class _Layer:
    """What the two have in common, by slim's names of the arguments."""

    inputs: Any
    kernel_size: Any
    stride: Any
    rate: Any
    padding: Any
    data_format: Any
    activation_fn: Any
    normalizer_fn: Any
    normalizer_params: Any
    weights_regularizer: Any
    biases_initializer: Any
    biases_regularizer: Any
    reuse: Any
    variables_collections: Any
    outputs_collections: Any
    trainable: Any
    scope: Any

    def is_plain(self, num_outputs, *initializers):
        """Whether it is to be made here; sets `data_format` and `channels` if so."""
        if self.normalizer_fn is not None:
            self.biases_initializer = None
        if self.biases_initializer is not None:
            initializers += (self.biases_initializer,)
        if not (
            _is_plain_image(self.inputs, self.data_format)
            and self.padding in ("SAME", "VALID")
            and _is_size(num_outputs)
            and all(map(_are_sizes, (self.kernel_size, self.stride, self.rate)))
            and all(callable(initializer) and not inspect.isclass(initializer) for initializer in initializers)
            and all(one is None or callable(one) for one in (self.weights_regularizer, self.biases_regularizer))
            and _in_plain_scope(self.scope)
        ):
            return False
        self.data_format = self.data_format or "NHWC"
        self.channels = tf.dimension_value(self.inputs.shape[3 if self.data_format == "NHWC" else 1])
        return True

    def build(self, default_scope, renamed, kernels, num_outputs, convolve):
        """Makes the layer and returns its output.

        Args:
            default_scope: its name where it has none.
            renamed: slim's name of each variable, by Keras' name, which the ops that regularize it keep.
            kernels: Keras' name, the shape and the initializer of each.
            num_outputs: number of filters.
            convolve: makes the convolution of what `tf.get_variable` returns for the kernels.
        """
        getter = layers._build_variable_getter(renamed)
        with tf.variable_scope(
            self.scope, default_scope, [self.inputs], reuse=self.reuse, custom_getter=getter
        ) as scope:
            with tf.name_scope(scope.original_name_scope):
                weights = [self._variable(*kernel, self.weights_regularizer) for kernel in kernels]
                bias = None
                if self.biases_initializer is not None:
                    bias = self._variable("bias", (num_outputs,), self.biases_initializer, self.biases_regularizer)
                outputs = convolve(*weights)
                if bias is not None:
                    outputs = tf.nn.bias_add(outputs, bias, data_format=self.data_format)
            for variable in weights:
                layers._add_variable_to_collections(variable, self.variables_collections, "weights")
            if bias is not None:
                layers._add_variable_to_collections(bias, self.variables_collections, "biases")
            if self.normalizer_fn is not None:
                outputs = self.normalizer_fn(outputs, **(self.normalizer_params or {}))
            if self.activation_fn is not None:
                outputs = self.activation_fn(outputs)
            return slim.utils.collect_named_outputs(self.outputs_collections, scope.name, outputs)

    def _variable(self, name, shape, initializer, regularizer):
        """Makes the variable `name`, or takes it up again, and regularizes it if it is new."""
        variables = tf.get_collection_ref(tf.GraphKeys.GLOBAL_VARIABLES)
        before = len(variables)
        dtype = self.inputs.dtype.base_dtype
        variable = tf.get_variable(name, shape, dtype, initializer, trainable=bool(self.trainable))
        # What a custom getter makes of a variable is new whenever it is asked for.
        is_new = before < len(variables) or not isinstance(variable, tf.Variable)
        if regularizer is not None and is_new:
            with tf.name_scope(f"{name}/Regularizer"):
                loss = regularizer(variable)
            if loss is not None:
                tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, loss)
        return variable


_OF_THE_LAYER = [field.name for field in dataclasses.fields(_Layer)]


def _is_plain_image(inputs, data_format):
    """Whether these are images with a known number of channels, in a graph and not of a Keras model."""
    if not isinstance(inputs, tf.Tensor) or data_format not in (None, "NHWC", "NCHW") or tf.executing_eagerly():
        return False
    if inputs.shape.ndims != 4 or not inputs.dtype.is_floating or hasattr(inputs, "_keras_history"):
        return False
    return bool(tf.dimension_value(inputs.shape[1 if data_format == "NCHW" else 3]))


def _in_plain_scope(scope):
    """Whether variables are made here in one piece, and in the graph that is built."""
    scopes = [tf.get_variable_scope(), scope] if isinstance(scope, tf.VariableScope) else [tf.get_variable_scope()]
    return not tf.get_default_graph().building_function and all(one.partitioner is None for one in scopes)


def _is_size(value):
    return type(value) is int and value > 0


def _are_sizes(value):
    """Whether this is a positive int, or two of them."""
    values = value if isinstance(value, (list, tuple)) else (value, value)
    return len(values) == 2 and all(map(_is_size, values))


def _pair(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)
