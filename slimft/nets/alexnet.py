"""AlexNet (Krizhevsky, arXiv:1404.5997) under TF-Slim's names.

The network of "One weird trick for parallelizing convolutional neural networks", without local response
normalization. The fully connected layers are convolutions (fc6 is 5x5), so that one set of variables serves
any image size from 195 pixels on.

    with slim.arg_scope(alexnet.alexnet_v2_arg_scope()):
        logits, end_points = alexnet.alexnet_v2(images, num_classes=10)

Images are RGB in [0, 255] minus (123.68, 116.78, 103.94). Signature, variable names, op names and end points
are those of research/slim/nets/alexnet.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets import alexnet_utils
from slimft.nets.spec import NetworkSpec

trunc_normal = alexnet_utils.trunc_normal


def alexnet_v2_arg_scope(weight_decay=0.0005):
    """The arg_scope AlexNet is built under: ReLU, L2 regularizer, biases of 0.1, convolutions padded, pools not.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
    """
    return alexnet_utils.arg_scope(weight_decay, tf.constant_initializer(0.1))


def arguments_for(image_size, is_training):
    """The arguments that give one row of logits for images of `image_size` pixels a side, 195 or more.

    fc6 is 5 wide and sees the image at 1/32: where more than one position comes out of it, they are averaged.
    """
    del is_training
    return {"global_pool": True} if (image_size - 163) // 32 > 1 else {}


def _features(inputs):
    """The five convolutions and three pools: 224x224 pixels become 5x5x256."""
    net = slim.conv2d(inputs, 64, [11, 11], stride=4, padding="VALID", scope="conv1")
    net = slim.max_pool2d(net, [3, 3], stride=2, scope="pool1")
    net = slim.conv2d(net, 192, [5, 5], scope="conv2")
    net = slim.max_pool2d(net, [3, 3], stride=2, scope="pool2")
    net = slim.conv2d(net, 384, [3, 3], scope="conv3")
    net = slim.conv2d(net, 384, [3, 3], scope="conv4")
    net = slim.conv2d(net, 256, [3, 3], scope="conv5")
    return slim.max_pool2d(net, [3, 3], stride=2, scope="pool5")


def alexnet_v2(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    scope="alexnet_v2",
    global_pool=False,
):
    """AlexNet with 8 weight layers.

    Args:
        inputs: float tensor ``[batch, height, width, 3]``, preprocessed; 195 pixels a side or more.
        num_classes: number of classes; 0 or None leaves fc8 out.
        is_training: whether dropout is active.
        dropout_keep_prob: probability that dropout keeps an activation of fc6 and fc7.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        scope: variable scope.
        global_pool: whether to average fc7 over all positions before fc8.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: fc7 ``[batch, rows, columns, 4096]``, with
        ``(height - 163) // 32`` rows), and a dictionary of the layers' outputs, by their scope.

    Raises:
        ValueError: the images are too small, or the logits have several positions to squeeze.
    """
    return alexnet_utils.network(
        inputs,
        _features,
        (4096, 5),
        "alexnet_v2",
        num_classes,
        is_training,
        dropout_keep_prob,
        spatial_squeeze,
        scope,
        global_pool,
    )


alexnet_v2.default_image_size = 224

SPECS = (
    NetworkSpec(
        name="alexnet_v2",
        module=__name__,
        arg_scope_name="alexnet_v2_arg_scope",
        scope="alexnet_v2",
        logits_scopes=("alexnet_v2/fc8",),
        top_scopes=("alexnet_v2/conv5", "alexnet_v2/fc6", "alexnet_v2/fc7"),
        preprocessing="mean_subtraction",
        default_image_size=224,
        min_image_size=195,
        num_imagenet_classes=1000,
        official_checkpoint=None,
        parameters=50_303_912,
        gflops=1.473,
    ),
)
