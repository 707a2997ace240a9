"""Fully convolutional networks for semantic segmentation (Long, Shelhamer and Darrell, arXiv:1411.4038).

    with slim.arg_scope(fcn.fcn_arg_scope()):
        logits, end_points = fcn.fcn_8s(images, num_classes=21)

Images are VGG's: RGB in [0, 255] minus (123.68, 116.78, 103.94), of any size from 32x32 on; there are logits for
every pixel. The trunk of `fcn_32s`, `fcn_16s` and `fcn_8s` is `slimft.nets.vgg.vgg_16` up to fc7, with an fc6 that
pads, under ``vgg_16/``: a checkpoint of VGG-16 restores into it. Beside it stand, as POSTECH's course and the
networks before it name most of them,

- ``score_fr``, ``score_pool4`` and ``score_pool3``: the classes' scores, by 1x1 convolutions that begin with zeros,
  of fc7 at 1/32, of pool4 at 1/16 and of pool3 at 1/8 of the image's size;
- ``up`` of `fcn_32s`, ``upscore2`` and ``upscore32`` of `fcn_16s`, ``upscore2``, ``upscore_pool4`` and ``upscore8``
  of `fcn_8s`: transposed convolutions, whose variable ``up_filter`` begins with bilinear interpolation.

`fcn_resnet_v1_50` is `slimft.nets.resnet_v1.resnet_v1_50` as research/slim makes it for dense prediction, its last
blocks atrous and its scores in ``logits``, and one such enlargement, ``upscore``.

What is where: a map at 1/s of the image has in place i what is seen around some pixel ``s * i + first``. The
enlargements keep to that, so maps are added as they are, and logits lie where the image has what they are of.

- VGG-16: ``first`` is ``(s - 1) / 2``, as SAME padding of 2x2 pooling adds nothing before the first pixel. The last
  enlargement is cut at the right and at the bottom, without an offset. (The paper's network pads the image by 100
  pixels, and has to cut off what that comes to.)
- ResNet: conv1 pads 3 pixels on both sides, so its place i is around pixel 2i, and there are ``ceil(n / 2)`` of n.
  The 3x3 pooling with stride 2 behind it pads one place before the first if their number is odd, and none if it is
  even: it is around place 2i or 2i + 1. All later strides take every second place from the first on, and 3x3
  kernels pad alike on both sides. So ``first`` is 0 or, where n or n + 1 is a multiple of 4, 2: for rows and for
  columns, and for any s.

Beyond its border a map goes on as its last place, so that scores do not fade there.
"""

import numpy as np

from slimft.compat import slim, tf
from slimft.nets.resnet_v1 import resnet_arg_scope, resnet_v1_50
from slimft.nets.spec import NetworkSpec
from slimft.nets.vgg import vgg_16, vgg_arg_scope

# The arg_scope of the trunk is that of the whole network.
fcn_arg_scope = vgg_arg_scope
fcn_resnet_arg_scope = resnet_arg_scope


def fcn_32s(
    inputs,
    num_classes=21,
    is_training=True,
    dropout_keep_prob=0.5,
    learn_upsampling=False,
    scope="vgg_16",
    fc_width=4096,
):
    """Scores of fc7, enlarged 32 times.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; of known or unknown size.
        num_classes: number of classes; 21 are those of PASCAL VOC.
        is_training: whether dropout is active.
        dropout_keep_prob: probability that dropout keeps an activation of fc6 and fc7.
        learn_upsampling: whether ``up_filter`` trains; else it stays as it begins, or was restored.
        scope: variable scope.
        fc_width: number of filters of fc6 and of fc7. With fewer than VGG-16's 4096 they take less time, memory and
            room in checkpoints; `slimft.checkpoint.narrow` begins them as some of VGG-16's.

    Returns:
        The logits ``[batch, height, width, num_classes]``, and a dictionary of the layers' outputs, by their scope.
    """
    steps = (("up", 32, None),)
    return _fcn(inputs, steps, num_classes, is_training, dropout_keep_prob, learn_upsampling, scope, fc_width)


def fcn_16s(
    inputs,
    num_classes=21,
    is_training=True,
    dropout_keep_prob=0.5,
    learn_upsampling=False,
    scope="vgg_16",
    fc_width=4096,
):
    """Scores of fc7 and pool4, enlarged 16 times; arguments and result as `fcn_32s`."""
    steps = (("upscore2", 2, "pool4"), ("upscore32", 16, None))
    return _fcn(inputs, steps, num_classes, is_training, dropout_keep_prob, learn_upsampling, scope, fc_width)


def fcn_8s(
    inputs,
    num_classes=21,
    is_training=True,
    dropout_keep_prob=0.5,
    learn_upsampling=False,
    scope="vgg_16",
    fc_width=4096,
):
    """Scores of fc7, pool4 and pool3, enlarged 8 times; arguments and result as `fcn_32s`."""
    steps = (("upscore2", 2, "pool4"), ("upscore_pool4", 2, "pool3"), ("upscore8", 8, None))
    return _fcn(inputs, steps, num_classes, is_training, dropout_keep_prob, learn_upsampling, scope, fc_width)


def fcn_resnet_v1_50(
    inputs,
    num_classes=21,
    is_training=True,
    output_stride=16,
    learn_upsampling=False,
    scope="resnet_v1_50",
):
    """Scores of ResNet-50's last block at 1/`output_stride` of the image's size, enlarged as many times.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; of known or unknown size.
        num_classes: number of classes; 21 are those of PASCAL VOC.
        is_training: whether batch_norm normalizes with the batch's statistics; None leaves that to the arg_scope.
        output_stride: 32, 16 or 8: from there on the blocks are atrous, as in `slimft.nets.resnet_v1.resnet_v1`.
            The variables are the same.
        learn_upsampling: whether ``up_filter`` trains; else it stays as it begins, or was restored.
        scope: variable scope.

    Returns:
        The logits ``[batch, height, width, num_classes]``, and a dictionary of the layers' outputs, by their scope.
        Its ``predictions`` are the softmax of the scores before they are enlarged.

    Raises:
        ValueError: `output_stride` cannot be reached.
    """
    scores, end_points = resnet_v1_50(
        inputs,
        num_classes,
        is_training,
        global_pool=False,
        output_stride=output_stride,
        spatial_squeeze=False,
        scope=scope,
    )
    size = tf.shape(inputs)[1:3]
    # conv1 has half as many places as pixels, rounded up; the pooling begins at the second if they are even.
    first = 2 * (1 - (size + 1) // 2 % 2)
    with tf.variable_scope(scope) as sc:
        logits = enlarge(scores, output_stride, size, learn_upsampling, "upscore", first)
        logits.set_shape([*inputs.shape[:3], num_classes])
        end_points[f"{sc.name}/upscore"] = logits
        return logits, end_points


for _function in (fcn_32s, fcn_16s, fcn_8s, fcn_resnet_v1_50):
    _function.default_image_size = 320


def _fcn(inputs, steps, num_classes, is_training, dropout_keep_prob, learn_upsampling, scope, fc_width):
    """The network whose scores are enlarged in `steps`: a name, how many times, and the pooling to score then."""
    if any(side is not None and side < 32 for side in inputs.shape.as_list()[1:3]):
        raise ValueError(f"images of {inputs.shape.as_list()[1:3]} pixels are too small; an FCN needs at least 32")
    fc7, end_points = vgg_16(
        inputs,
        num_classes=None,
        is_training=is_training,
        dropout_keep_prob=dropout_keep_prob,
        scope=scope,
        fc_conv_padding="SAME",
        fc_width=fc_width,
    )
    # By their last part: where the scope was entered before, the keys of poolings begin with another name than it.
    pools = {key.rpartition("/")[2]: end_point for key, end_point in end_points.items()}
    with tf.variable_scope(scope) as sc:
        net = slim.dropout(fc7, dropout_keep_prob, is_training=is_training, scope="dropout7")
        net = end_points[f"{sc.name}/score_fr"] = _score(net, num_classes, "score_fr")
        for name, factor, pool in steps:
            below = inputs if pool is None else pools[pool]
            net = end_points[f"{sc.name}/{name}"] = enlarge(
                net, factor, tf.shape(below)[1:3], learn_upsampling, name
            )
            if pool is not None:
                scores = end_points[f"{sc.name}/score_{pool}"] = _score(below, num_classes, f"score_{pool}")
                net += scores
        net.set_shape([*inputs.shape[:3], num_classes])
        return net, end_points


def _score(net, num_classes, scope):
    return slim.conv2d(
        net,
        num_classes,
        [1, 1],
        activation_fn=None,
        normalizer_fn=None,
        weights_initializer=tf.zeros_initializer(),
        scope=scope,
    )


def enlarge(net, factor, size, trainable, scope, first=None):
    """Enlarges a map by a transposed convolution, which begins as bilinear interpolation.

    Args:
        net: float ``[batch, rows, columns, channels]``.
        factor: how many times it is enlarged; even.
        size: int ``[2]``, rows and columns that are kept; what is beyond the last place is no more than a place.
        trainable: whether ``up_filter`` ``[taps, taps, channels, channels]``, outputs before inputs, trains. The
            taps are ``2 * factor`` or, with `first`, one less.
        scope: variable scope.
        first: int ``[2]``, from 0 to `factor` - 1, the row and the column of the result on which the first place of
            the map lies; None for ``(factor - 1) / 2``, halfway between two.

    Returns:
        float ``[batch, *size, channels]``: in row ``factor * i + first`` there is what was in row i.
    """
    channels, on_pixels = net.shape.as_list()[3], first is not None
    of_one = bilinear_kernel(factor, 1, on_pixels)

    def start(shape, dtype=None, **_):
        # Computed when it runs: of 150 classes, a constant in the graph would be of hundreds of megabytes.
        return tf.cast(of_one * tf.eye(channels), dtype or tf.float32)

    with tf.variable_scope(scope):
        kernel = tf.get_variable(
            "up_filter",
            [*of_one.shape[:2], channels, channels],
            net.dtype,
            initializer=start,
            trainable=trainable,
            collections=[tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES],
        )
        net = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        batch, rows, columns = tf.unstack(tf.shape(net)[:3])
        shape = tf.stack([batch, rows * factor, columns * factor, channels])
        net = tf.nn.conv2d_transpose(net, kernel, shape, [1, factor, factor, 1], padding="SAME")
        # The place that was padded is now around row (factor - 1) / 2 or, of odd kernels, on row factor / 2; the
        # first one lies a factor further.
        begin = [factor, factor] if first is None else [factor + factor // 2 - at for at in tf.unstack(first)]
        return net[:, begin[0] : begin[0] + size[0], begin[1] : begin[1] + size[1]]


def bilinear_kernel(factor, channels, on_pixels=False):
    """What interpolates each channel by itself: float32 ``[taps, taps, channels, channels]``.

    Args:
        factor: how many times a map is enlarged.
        channels: number of channels.
        on_pixels: whether a place of the map lies on a pixel of the result, with 2 * `factor` - 1 taps around it,
            and not between two, with 2 * `factor`.

    >>> bilinear_kernel(2, 1)[:, 0, 0, 0].tolist()
    [0.0625, 0.1875, 0.1875, 0.0625]
    >>> bilinear_kernel(2, 1, on_pixels=True)[1, :, 0, 0].tolist()
    [0.5, 1.0, 0.5]
    """
    taps = 2 * factor - on_pixels
    weights = 1 - np.abs(np.arange(taps) - (taps - 1) / 2) / factor
    kernel = np.zeros((taps, taps, channels, channels), np.float32)
    kernel[:, :, range(channels), range(channels)] = np.outer(weights, weights)[..., np.newaxis]
    return kernel


SPECS = (
    *(
        NetworkSpec(
            name=name,
            module=__name__,
            arg_scope_name="fcn_arg_scope",
            scope="vgg_16",
            logits_scopes=tuple(f"vgg_16/{layer}" for layer in layers),
            top_scopes=("vgg_16/conv5", "vgg_16/fc6", "vgg_16/fc7"),
            preprocessing="mean_subtraction",
            default_image_size=320,
            min_image_size=32,
            num_imagenet_classes=21,
            official_checkpoint="vgg_16",
            parameters=parameters,
            gflops=gflops,
            task="segmentation",
            options=("fc_width", "learn_upsampling"),
            upsampling_scopes=tuple(f"vgg_16/{layer}" for layer in layers if layer.startswith("up")),
        )
        for name, layers, parameters, gflops in (
            ("fcn_32s", ("score_fr", "up"), 134_346_581, 87.084),
            ("fcn_16s", ("score_fr", "score_pool4", "upscore2", "upscore32"), 134_357_354, 87.012),
            (
                "fcn_8s",
                ("score_fr", "score_pool4", "score_pool3", "upscore2", "upscore_pool4", "upscore8"),
                134_362_751,
                86.997,
            ),
        )
    ),
    NetworkSpec(
        name="fcn_resnet_v1_50",
        module=__name__,
        arg_scope_name="fcn_resnet_arg_scope",
        scope="resnet_v1_50",
        logits_scopes=("resnet_v1_50/logits", "resnet_v1_50/upscore"),
        top_scopes=("resnet_v1_50/block4",),
        preprocessing="mean_subtraction",
        default_image_size=320,
        min_image_size=32,
        num_imagenet_classes=21,
        official_checkpoint="resnet_v1_50",
        parameters=23_551_061,
        gflops=24.126,
        task="segmentation",
        options=("output_stride", "learn_upsampling"),
        upsampling_scopes=("resnet_v1_50/upscore",),
    ),
)
