"""CifarNet, as TensorFlow's tutorial on CIFAR-10 had it, under TF-Slim's names.

Krizhevsky's cuda-convnet with two convolutions, local response normalization and two fully connected layers.

    with slim.arg_scope(cifarnet.cifarnet_arg_scope()):
        logits, end_points = cifarnet.cifarnet(images, num_classes=10, is_training=True)

Images are 32x32, RGB, each with its own mean subtracted and divided by its own deviation. At another size fc3 has
another shape. Signature, variable names, op names and end points are those of research/slim/nets/cifarnet.py
(github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets import alexnet_utils
from slimft.nets.spec import NetworkSpec

trunc_normal = alexnet_utils.trunc_normal


def cifarnet_arg_scope(weight_decay=0.004):
    """The arg_scope CifarNet is built under: ReLU; fully connected layers have biases of 0.1 and L2 regularizers.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` of the fully connected layers in the loss.
    """
    with (
        slim.arg_scope([slim.conv2d], weights_initializer=trunc_normal(0.05), activation_fn=tf.nn.relu),
        slim.arg_scope(
            [slim.fully_connected],
            biases_initializer=tf.constant_initializer(0.1),
            weights_initializer=trunc_normal(0.04),
            weights_regularizer=slim.l2_regularizer(weight_decay),
            activation_fn=tf.nn.relu,
        ) as arg_scope,
    ):
        return arg_scope


def _normalize(net, name):
    """Local response normalization over 9 channels."""
    return tf.nn.lrn(net, 4, bias=1.0, alpha=0.001 / 9, beta=0.75, name=name)


def cifarnet(
    images, num_classes=10, is_training=False, dropout_keep_prob=0.5, prediction_fn=slim.softmax, scope="CifarNet"
):
    """CifarNet with 5 weight layers.

    Args:
        images: float tensor ``[batch, height, width, channels]``, preprocessed; 4 pixels a side or more.
        num_classes: number of classes; 0 or None leaves the logits out.
        is_training: whether dropout is active.
        dropout_keep_prob: probability that dropout keeps an activation of fc3.
        prediction_fn: makes the end point ``Predictions`` of the logits.
        scope: variable scope.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: fc4 ``[batch, 192]``), and a dictionary of the
        layers' outputs.
    """
    end_points = {}
    with tf.variable_scope(scope, "CifarNet", [images]):
        net = end_points["conv1"] = slim.conv2d(images, 64, [5, 5], scope="conv1")
        net = end_points["pool1"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool1")
        net = _normalize(net, "norm1")
        net = end_points["conv2"] = slim.conv2d(net, 64, [5, 5], scope="conv2")
        net = _normalize(net, "norm2")
        net = end_points["pool2"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool2")
        net = end_points["Flatten"] = slim.flatten(net)
        net = end_points["fc3"] = slim.fully_connected(net, 384, scope="fc3")
        net = slim.dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout3")
        net = end_points["fc4"] = slim.fully_connected(net, 192, scope="fc4")
        if not num_classes:
            return net, end_points
        logits = end_points["Logits"] = slim.fully_connected(
            net,
            num_classes,
            biases_initializer=tf.zeros_initializer(),
            weights_initializer=trunc_normal(1 / 192),
            weights_regularizer=None,
            activation_fn=None,
            scope="logits",
        )
        end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


cifarnet.default_image_size = 32

SPECS = (
    NetworkSpec(
        name="cifarnet",
        module=__name__,
        arg_scope_name="cifarnet_arg_scope",
        scope="CifarNet",
        logits_scopes=("CifarNet/logits",),
        top_scopes=("CifarNet/fc3", "CifarNet/fc4"),
        preprocessing="cifarnet",
        default_image_size=32,
        min_image_size=4,
        is_of_one_size=True,
        num_imagenet_classes=10,
        official_checkpoint=None,
        parameters=1_756_426,
        gflops=0.066,
    ),
)
