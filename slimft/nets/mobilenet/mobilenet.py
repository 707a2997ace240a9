"""What makes a MobileNet of a table of its layers.

A table is a dictionary: ``spec`` is a list of `op`, each a layer's function and arguments; ``defaults``, and after
them ``overrides``, are arg_scopes that it is built under, as ``{(function, ...): {argument: value}}``.

Signatures, op names and end points are those of research/slim/nets/mobilenet/mobilenet.py
(github.com/tensorflow/models).
"""

import collections
import contextlib
import inspect
import os.path

from slimft.compat import slim, tf
from slimft.nets.mobilenet_utils import fixed_padding as _fixed_padding
from slimft.nets.mobilenet_utils import make_divisible as _make_divisible
from slimft.nets.mobilenet_utils import strides_and_rates


@slim.add_arg_scope
def apply_activation(x, name=None, activation_fn=None):
    """``activation_fn(x, name=name)``, or `x` without `activation_fn`."""
    return activation_fn(x, name=name) if activation_fn else x


@contextlib.contextmanager
def _set_arg_scope_defaults(defaults):
    """Enters an arg_scope for each of ``functions: arguments``, in their order.

    Args:
        defaults: a dictionary, or a list of pairs.
    """
    with contextlib.ExitStack() as stack:
        for functions, arguments in dict(defaults).items():
            stack.enter_context(slim.arg_scope(functions, **arguments))
        yield


@slim.add_arg_scope
def depth_multiplier(output_params, multiplier, divisible_by=8, min_depth=8, **unused_kwargs):
    """Multiplies a layer's number of outputs, in place; does nothing to a layer that is told none.

    Args:
        output_params: the layer's arguments.
        multiplier: factor of ``num_outputs``.
        divisible_by: what the result is rounded to a multiple of, though not down by more than 10 %.
        min_depth: the least result.
    """
    del unused_kwargs
    if "num_outputs" in output_params:
        depth = output_params["num_outputs"] * multiplier
        output_params["num_outputs"] = _make_divisible(depth, divisible_by, min_depth)


_Op = collections.namedtuple("Op", ["op", "params", "multiplier_func"])
_Op.__doc__ = """A layer: its function, the arguments and the function that changes these by a depth multiplier."""


def op(opfunc, multiplier_func=depth_multiplier, **params):
    """A layer of a network's table.

    Args:
        opfunc: the layer's function, ``opfunc(net, **params)``; all are given `stride`, and `rate` where
            it is not 1.
        multiplier_func: ``multiplier_func(params, multiplier)``, which changes `params` in place.
        **params: the arguments; ``multiplier_transform`` is another name of `multiplier_func`.
    """
    multiplier = params.pop("multiplier_transform", multiplier_func)
    return _Op(opfunc, params=params, multiplier_func=multiplier)


class NoOpScope:
    """A context that changes nothing."""

    def __enter__(self):
        return None

    def __exit__(self, exc_type, exc_value, traceback):
        return False


def safe_arg_scope(funcs, **kwargs):
    """An arg_scope of those arguments that are not None."""
    given = {name: value for name, value in kwargs.items() if value is not None}
    return slim.arg_scope(funcs, **given) if given else NoOpScope()


@slim.add_arg_scope
def mobilenet_base(
    inputs,
    conv_defs,
    multiplier=1.0,
    final_endpoint=None,
    output_stride=None,
    use_explicit_padding=False,
    scope=None,
    is_training=False,
):
    """The layers of a table, without pooling and logits.

    Args:
        inputs: float tensor ``[batch, height, width, channels]``.
        conv_defs: the table.
        multiplier: factor of the number of channels, above 0.
        final_endpoint: the layer to end with, as ``layer_3``; None, or any other name, for the last.
        output_stride: ratio of input to output resolution, 1 or even, reached with atrous convolutions; None
            for the layers' own strides.
        use_explicit_padding: whether to pad both sides alike whatever the image's size, not as SAME does.
        scope: variable scope; None for ``Mobilenet``.
        is_training: whether batch_norm normalizes with the batch's statistics; False unless a `training_scope`
            tells otherwise. None leaves that to its arg_scope.

    Returns:
        The last layer, and a dictionary of the layers' outputs: ``layer_1`` to the last, then what ends in
        ``output`` in a layer's scope, as ``layer_3/expansion_output``.

    Raises:
        ValueError: `multiplier` or `output_stride` cannot be.
    """
    if multiplier <= 0:
        raise ValueError(f"The multiplier of the depths has to be greater than zero, not {multiplier}.")
    if output_stride is not None and output_stride != 1 and (output_stride < 1 or output_stride % 2):
        raise ValueError(f"output_stride has to be 1 or a multiple of 2, not {output_stride}.")
    overrides = dict(conv_defs.get("overrides", {}))
    if use_explicit_padding:
        overrides[(slim.conv2d, slim.separable_conv2d)] = {"padding": "VALID"}
    end_points, layer_of = {}, {}
    net = inputs
    with (
        _scope_all(scope, default_scope="Mobilenet"),
        safe_arg_scope([slim.batch_norm], is_training=is_training),
        _set_arg_scope_defaults(conv_defs.get("defaults", {})),
        _set_arg_scope_defaults(overrides),
    ):
        strides = [layer.params.get("stride", 1) for layer in conv_defs["spec"]]
        schedule = strides_and_rates(strides, output_stride)
        for i, (layer, (stride, rate)) in enumerate(zip(conv_defs["spec"], schedule), start=1):
            params = dict(layer.params)
            layer.multiplier_func(params, multiplier)
            before = net.shape.as_list()[1:3]
            net = _add_layer(net, layer.op, {**params, "stride": stride}, rate, use_explicit_padding)
            if stride < strides[i - 1] and None not in before and net.shape.as_list()[1:3] != before:
                raise ValueError(f"output_stride={output_stride}: layer_{i} strides whatever it is told.")
            end_points[f"layer_{i}"] = net
            layer_of[os.path.dirname(net.name)] = f"layer_{i}"
            if f"layer_{i}" == final_endpoint:
                break
    return net, end_points | _inner_outputs(net.graph, layer_of)


def _add_layer(net, function, params, rate, use_explicit_padding):
    """Adds one layer; rate and padding are for those that have a kernel."""
    kernel_size = params.get("kernel_size")
    if rate > 1 and (kernel_size is None or tuple(kernel_size) != (1, 1)):
        params["rate"] = rate
    if use_explicit_padding:
        if kernel_size is None or "use_explicit_padding" in inspect.signature(function).parameters:
            params["use_explicit_padding"] = True
        else:
            net = _fixed_padding(net, kernel_size, rate)
    return function(net, **params)


def _inner_outputs(graph, layer_of):
    """What ops whose names end in ``output`` give, by end point; `layer_of` has the layers by their name scopes."""
    outputs = {}
    for operation in graph.get_operations():
        scope, name = os.path.split(operation.name)
        if scope in layer_of and name.endswith("output"):
            outputs[f"{layer_of[scope]}/{name}"] = operation.outputs[0]
    return outputs


@contextlib.contextmanager
def _scope_all(scope, default_scope=None):
    """A variable scope whose ops are in the name scope that it was first given."""
    with tf.variable_scope(scope, default_name=default_scope) as own, tf.name_scope(own.original_name_scope):
        yield own


@slim.add_arg_scope
def mobilenet(
    inputs,
    num_classes=1001,
    prediction_fn=slim.softmax,
    reuse=None,
    scope="Mobilenet",
    base_only=False,
    use_reduce_mean_for_pooling=False,
    **mobilenet_args,
):
    """A MobileNet for classification.

    Args:
        inputs: float tensor ``[batch, height, width, channels]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        prediction_fn: makes the end point `Predictions` of the logits; None leaves it out.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.
        base_only: whether to end before pooling and logits.
        use_reduce_mean_for_pooling: as in `global_pool`.
        **mobilenet_args: of `mobilenet_base`; with `is_training`, dropout is active.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the features ``[batch, 1, 1, channels]``;
        with `base_only`: the last layer), and a dictionary of the layers' outputs.

    Raises:
        ValueError: `inputs` is not of rank 4, or an argument of `mobilenet_base` cannot be.
    """
    if inputs.shape.rank != 4:
        raise ValueError(f"The inputs have to be of rank 4, not {inputs.shape.rank}.")
    with tf.variable_scope(scope, "Mobilenet", reuse=reuse) as own:
        inputs = tf.identity(inputs, "input")
        net, end_points = mobilenet_base(inputs, scope=own, **mobilenet_args)
        if base_only:
            return net, end_points
        net = tf.identity(net, name="embedding")
        with tf.variable_scope("Logits"):
            net = end_points["global_pool"] = global_pool(net, use_reduce_mean_for_pooling)
            if not num_classes:
                return net, end_points
            with safe_arg_scope([slim.dropout], is_training=mobilenet_args.get("is_training", False)):
                net = slim.dropout(net, scope="Dropout")
            logits = slim.conv2d(
                net,
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                biases_initializer=tf.zeros_initializer(),
                scope="Conv2d_1c_1x1",
            )
            logits = tf.identity(tf.squeeze(logits, [1, 2]), name="output")
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, "Predictions")
        return logits, end_points


def global_pool(input_tensor, use_reduce_mean_for_pooling=False, pool_op=tf.nn.avg_pool2d):
    """Averages over all positions.

    Args:
        input_tensor: ``[batch, height, width, channels]``.
        use_reduce_mean_for_pooling: whether a mean does it, in place of `pool_op`; it does in any case where height
            or width is not known.
        pool_op: ``pool_op(net, ksize=..., strides=..., padding=...)``.

    Returns:
        ``[batch, 1, 1, channels]``.
    """
    height, width = input_tensor.shape.as_list()[1:3]
    if use_reduce_mean_for_pooling or height is None or width is None:
        name = "ReduceMean" if use_reduce_mean_for_pooling else "AvgPool"
        return tf.reduce_mean(input_tensor, [1, 2], keepdims=True, name=name)
    return pool_op(input_tensor, ksize=[1, height, width, 1], strides=[1, 1, 1, 1], padding="VALID")


def training_scope(is_training=True, weight_decay=0.00004, stddev=0.09, dropout_keep_prob=0.8, bn_decay=0.997):
    """The arg_scope a MobileNet is built under; without it, the network is built for inference.

    Args:
        is_training: what `is_training` of `mobilenet` and `mobilenet_base` is unless it is given there; None leaves
            batch_norm and dropout at their own.
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss; the depthwise weights are left out.
        stddev: standard deviation of the truncated normal that weights begin with; negative for Xavier's.
        dropout_keep_prob: probability that dropout keeps a feature; None does not say.
        bn_decay: decay of the moving averages; None does not say.
    """
    initializer = slim.xavier_initializer() if stddev < 0 else tf.truncated_normal_initializer(stddev=stddev)
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected, slim.separable_conv2d],
            weights_initializer=initializer,
            normalizer_fn=slim.batch_norm,
        ),
        slim.arg_scope([mobilenet_base, mobilenet], is_training=is_training),
        safe_arg_scope([slim.batch_norm], is_training=is_training, decay=bn_decay),
        safe_arg_scope([slim.dropout], is_training=is_training, keep_prob=dropout_keep_prob),
        slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)),
        slim.arg_scope([slim.separable_conv2d], weights_regularizer=None) as arg_scope,
    ):
        return arg_scope
