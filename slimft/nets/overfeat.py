"""OverFeat, the fast model (Sermanet et al., arXiv:1312.6229), under TF-Slim's names.

The network of the paper's table 1, but for the first layers, which have fewer filters. The fully connected layers
are convolutions (fc6 is 6x6), so that one set of variables serves any image size.

    with slim.arg_scope(overfeat.overfeat_arg_scope()):
        logits, end_points = overfeat.overfeat(images, num_classes=10)

Images are RGB in [0, 255] minus (123.68, 116.78, 103.94). Signature, variable names, op names and end points
are those of research/slim/nets/overfeat.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets import alexnet_utils
from slimft.nets.spec import NetworkSpec

trunc_normal = alexnet_utils.trunc_normal


def overfeat_arg_scope(weight_decay=0.0005):
    """The arg_scope OverFeat is built under: ReLU, L2 regularizer, zero biases, convolutions padded, pools not.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
    """
    return alexnet_utils.arg_scope(weight_decay, tf.zeros_initializer())


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 71 or more.

    fc6 is 6 wide: below 231 it has to pad, and unless exactly one position comes out of it, the positions are
    averaged.
    """
    del is_training
    positions = _rows_of_pool5(image_size) - 5
    if positions < 1:
        return {"fc_conv_padding": "SAME", "global_pool": True}
    return {"global_pool": True} if positions > 1 else {}


def _rows_of_pool5(rows):
    """How many rows of an image's remain: a convolution of 11 by stride 4, one of 5, three pools."""
    return (((rows - 7) // 4 // 2 - 4) // 2) // 2


def _features(inputs):
    """The five convolutions and three pools: 231x231 pixels become 6x6x1024."""
    net = slim.conv2d(inputs, 64, [11, 11], stride=4, padding="VALID", scope="conv1")
    net = slim.max_pool2d(net, [2, 2], scope="pool1")
    net = slim.conv2d(net, 256, [5, 5], padding="VALID", scope="conv2")
    net = slim.max_pool2d(net, [2, 2], scope="pool2")
    net = slim.conv2d(net, 512, [3, 3], scope="conv3")
    net = slim.conv2d(net, 1024, [3, 3], scope="conv4")
    net = slim.conv2d(net, 1024, [3, 3], scope="conv5")
    return slim.max_pool2d(net, [2, 2], scope="pool5")


def overfeat(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    scope="overfeat",
    global_pool=False,
    fc_conv_padding="VALID",
):
    """OverFeat with 8 weight layers.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 231 pixels a side or more, with
            `fc_conv_padding` ``SAME`` 71.
        num_classes: number of classes; 0 or None leaves fc8 out.
        is_training: whether dropout is active.
        dropout_keep_prob: probability that dropout keeps an activation of fc6 and fc7.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        scope: variable scope.
        global_pool: whether to average fc7 over all positions before fc8.
        fc_conv_padding: padding of fc6: ``VALID``, or ``SAME`` for smaller images, as research/slim has it for VGG
            only.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: fc7 ``[batch, rows, columns, 4096]``), and a
        dictionary of the layers' outputs, by their scope.

    Raises:
        ValueError: the images are too small, or the logits have several positions to squeeze.
    """
    return alexnet_utils.network(
        inputs,
        _features,
        (3072, 6),
        "overfeat",
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        scope,
        global_pool,
        fc_conv_padding,
    )


overfeat.default_image_size = 231

SPECS = (
    NetworkSpec(
        name="overfeat",
        module=__name__,
        arg_scope_name="overfeat_arg_scope",
        scope="overfeat",
        logits_scopes=("overfeat/fc8",),
        top_scopes=("overfeat/conv5", "overfeat/fc6", "overfeat/fc7"),
        preprocessing="mean_subtraction",
        default_image_size=231,
        min_image_size=71,
        num_imagenet_classes=1000,
        official_checkpoint=None,
        parameters=145_704_424,
        gflops=5.294,
    ),
)
