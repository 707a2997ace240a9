"""S3D-G, the separable and gated Inception for videos (Xie et al., arXiv:1712.04851), under TF-Slim's names.

Inception V1 (table 1 of arXiv:1409.4842) with a dimension more: each 3x3 convolution is one over height and width
and one over three frames, pools reach over frames from Mixed_3b on, and gates weight the channels at the end of
each branch. `slimft.nets.i3d` is this network with full convolutions and without gates.

    with slim.arg_scope(s3dg.s3dg_arg_scope()):
        logits, end_points = s3dg.s3dg(videos, num_classes=400, is_training=False)

Videos are ``[batch, frames, height, width, 3]``, RGB in [-1, 1]; the paper's have 64 frames of 224x224. Signatures,
variable names, op names of end points are those of research/slim/nets/s3dg.py (github.com/tensorflow/models). The
gates also take videos whose number of frames or size is unknown, or that are not square; and with ``NCDHW`` batch
normalization is of channels, where there it is of columns.
"""

import functools

from slimft.compat import slim, tf
from slimft.nets import i3d_utils, inception_utils
from slimft.nets.inception_v1 import FILTERS

arg_scope = slim.arg_scope
trunc_normal = inception_utils.trunc_normal
conv3d_spatiotemporal = i3d_utils.conv3d_spatiotemporal
inception_block_v1_3d = i3d_utils.inception_block_v1_3d

# Windows and strides over frames, height and width.
_POOLS = {
    "MaxPool_2a_3x3": ([1, 3, 3], [1, 2, 2]),
    "MaxPool_3a_3x3": ([1, 3, 3], [1, 2, 2]),
    "MaxPool_4a_3x3": ([3, 3, 3], [2, 2, 2]),
    "MaxPool_5a_2x2": ([2, 2, 2], [2, 2, 2]),
}
_END_POINTS = (
    "Conv2d_1a_7x7", "MaxPool_2a_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3", "MaxPool_3a_3x3", "Mixed_3b", "Mixed_3c",
    "MaxPool_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool_5a_2x2", "Mixed_5b",
    "Mixed_5c",
)  # fmt: skip
# Those that can reach over frames, and have gates.
_BLOCKS = ("Conv2d_2c_3x3", *FILTERS)


def arg_scope_3d(separable, weight_decay, **batch_norm_params):
    """The arg_scope of a network for videos.

    Args:
        separable: whether convolutions over space and time are two of them.
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        batch_norm_params: further arguments of `slim.batch_norm`.
    """
    batch_norm_params |= {
        "fused": False,
        "variables_collections": {
            "beta": None,
            "gamma": None,
            "moving_mean": ["moving_vars"],
            "moving_variance": ["moving_vars"],
        },
    }
    with (
        arg_scope(
            [slim.conv3d, conv3d_spatiotemporal],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=tf.nn.relu,
            normalizer_fn=slim.batch_norm,
            normalizer_params=batch_norm_params,
        ),
        arg_scope([conv3d_spatiotemporal], separable=separable) as scope,
    ):
        return scope


def s3dg_arg_scope(weight_decay=1e-7, batch_norm_decay=0.999, batch_norm_epsilon=0.001):
    """The arg_scope S3D-G is built under.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        batch_norm_decay: decay of the moving averages, which join the collection ``moving_vars``.
        batch_norm_epsilon: added to the variance.
    """
    return arg_scope_3d(True, weight_decay, decay=batch_norm_decay, epsilon=batch_norm_epsilon)


def self_gating(input_tensor, scope, data_format="NDHWC"):
    """Weights each channel by a sigmoid of a linear function of all channels' means.

    Args:
        input_tensor: float tensor of 5 dimensions.
        scope: scope of the layer that it is of; the variable is ``scope/self_gating/transformer_W/weights``.
        data_format: ``NDHWC`` or ``NCDHW``.

    Returns:
        A tensor of the shape of `input_tensor`.
    """
    channels_axis = data_format.index("C")
    axes = [axis for axis in range(1, 5) if axis != channels_axis]
    means = tf.reduce_mean(input_tensor, axes, keepdims=True, name=f"{scope}/self_gating/avg_pool3d")
    weights = slim.conv3d(
        means,
        input_tensor.shape.as_list()[channels_axis],
        [1, 1, 1],
        activation_fn=None,
        normalizer_fn=None,
        biases_initializer=None,
        data_format=data_format,
        weights_initializer=trunc_normal(0.01),
        scope=f"{scope}/self_gating/transformer_W",
    )
    return tf.multiply(tf.sigmoid(weights), input_tensor)


def _blocks_from(first):
    return _BLOCKS[_BLOCKS.index(first) :] if first in _BLOCKS else ()


def s3dg_base(
    inputs,
    first_temporal_kernel_size=3,
    temporal_conv_startat="Conv2d_2c_3x3",
    gating_startat="Conv2d_2c_3x3",
    final_endpoint="Mixed_5c",
    min_depth=16,
    depth_multiplier=1.0,
    data_format="NDHWC",
    scope="InceptionV1",
):
    """S3D-G, and I3D, up to one of the end points.

    Args:
        inputs: float tensor ``[batch, frames, height, width, channels]``.
        first_temporal_kernel_size: the number of frames that Conv2d_1a_7x7 reaches over: 1, 3, 5 or 7.
        temporal_conv_startat: the first block whose 3x3 convolutions reach over three frames, ``Conv2d_2c_3x3`` or
            a ``Mixed_...``; with None, or any other name, none does.
        gating_startat: the first block with self-gating; as `temporal_conv_startat`.
        final_endpoint: the end point to stop at.
        min_depth: the smallest number of filters that `depth_multiplier` may leave a convolution.
        depth_multiplier: factor, above 0, of each convolution's number of filters.
        data_format: ``NDHWC``, or ``NCDHW`` for `inputs` and end points with the channels before the frames.
        scope: variable scope.

    Returns:
        The output of `final_endpoint`, and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point or data format, or `first_temporal_kernel_size` or `depth_multiplier`
            is none of those.
    """
    depth = inception_utils.depth_function(min_depth, depth_multiplier)
    if data_format not in ("NDHWC", "NCDHW"):
        raise ValueError(f"data_format={data_format!r} is neither 'NDHWC' nor 'NCDHW'")
    if first_temporal_kernel_size not in (1, 3, 5, 7):
        raise ValueError(f"first_temporal_kernel_size={first_temporal_kernel_size} can only be 1, 3, 5 or 7")
    temporal, gated = _blocks_from(temporal_conv_startat), _blocks_from(gating_startat)
    gate = functools.partial(self_gating, data_format=data_format)

    def layer(net, depth, end_point):
        frames = 3 if end_point in temporal else 1
        if end_point in _POOLS:
            window, stride = _POOLS[end_point]
            return slim.max_pool3d(net, window, stride=stride, scope=end_point)
        if end_point in FILTERS:
            return inception_block_v1_3d(
                net,
                *map(depth, FILTERS[end_point]),
                temporal_kernel_size=frames,
                self_gating_fn=gate if end_point in gated else None,
                data_format=data_format,
                scope=end_point,
            )
        if end_point == "Conv2d_1a_7x7":
            window = [first_temporal_kernel_size, 7, 7]
            return conv3d_spatiotemporal(net, depth(64), window, stride=2, separable=False, scope=end_point)
        if end_point == "Conv2d_2b_1x1":
            return slim.conv3d(net, depth(64), [1, 1, 1], scope=end_point)
        net = conv3d_spatiotemporal(net, depth(192), [frames, 3, 3], scope=end_point)
        return gate(net, scope=end_point) if end_point in gated else net

    layers = [
        inception_utils.Layer(end_point, functools.partial(layer, end_point=end_point)) for end_point in _END_POINTS
    ]
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs]),
        arg_scope([slim.conv3d], weights_initializer=trunc_normal(0.01)),
        arg_scope(
            [slim.conv3d, slim.max_pool3d, conv3d_spatiotemporal], stride=1, data_format=data_format, padding="SAME"
        ),
        arg_scope([slim.batch_norm], data_format=data_format.replace("D", "")),
    ):
        return inception_utils.stack_layers(inputs, layers, final_endpoint, depth)


def s3dg(
    inputs,
    num_classes=1000,
    first_temporal_kernel_size=3,
    temporal_conv_startat="Conv2d_2c_3x3",
    gating_startat="Conv2d_2c_3x3",
    final_endpoint="Mixed_5c",
    min_depth=16,
    depth_multiplier=1.0,
    dropout_keep_prob=0.8,
    is_training=True,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    data_format="NDHWC",
    scope="InceptionV1",
):
    """S3D-G.

    Args:
        inputs: float tensor ``[batch, frames, height, width, 3]``.
        num_classes: number of classes.
        first_temporal_kernel_size, temporal_conv_startat, gating_startat, final_endpoint, min_depth,
            depth_multiplier, data_format: as in `s3dg_base`.
        dropout_keep_prob: probability that dropout keeps a feature.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        prediction_fn: ``prediction_fn(logits, scope=...)`` makes the end point ``Predictions``.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.

    Returns:
        The logits ``[batch, num_classes]``, which are the mean over the frames' logits, and a dictionary of the end
        points by name.

    Raises:
        ValueError: as `s3dg_base`.
    """
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs], reuse=reuse) as sc,
        arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = s3dg_base(
            inputs,
            first_temporal_kernel_size,
            temporal_conv_startat,
            gating_startat,
            final_endpoint,
            min_depth,
            depth_multiplier,
            data_format,
            scope=sc,
        )
        with tf.variable_scope("Logits"), arg_scope([slim.avg_pool3d, slim.conv3d], data_format="NDHWC"):
            if data_format == "NCDHW":
                net = tf.transpose(net, [0, 2, 3, 4, 1])
            window = i3d_utils.reduced_kernel_size_3d(net, [2, 7, 7])
            net = slim.avg_pool3d(net, window, stride=1, scope="AvgPool_0a_7x7")
            net = slim.dropout(net, dropout_keep_prob, scope="Dropout_0b")
            logits = slim.conv3d(
                net, num_classes, [1, 1, 1], activation_fn=None, normalizer_fn=None, scope="Conv2d_0c_1x1"
            )
            logits = tf.reduce_mean(logits, 1)
            if spatial_squeeze:
                logits = tf.squeeze(logits, [1, 2], name="SpatialSqueeze")
            end_points["Logits"] = logits
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


s3dg.default_image_size = 224
