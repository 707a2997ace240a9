"""LeNet, as TensorFlow's tutorial on MNIST had it, under TF-Slim's names.

After LeCun et al., "Gradient-based learning applied to document recognition" (1998), with more filters, ReLU,
maximum pooling and dropout.

    with slim.arg_scope(lenet.lenet_arg_scope()):
        logits, end_points = lenet.lenet(images, num_classes=10, is_training=True)

Images are 28x28, grey, of one channel: (pixels - 128) / 128. At another size fc3 has another shape. Signature,
variable names, op names and end points are those of research/slim/nets/lenet.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets.spec import NetworkSpec


def lenet_arg_scope(weight_decay=0.0):
    """The arg_scope LeNet is built under: ReLU, weights that begin with a deviation of 0.1, L2 regularizer.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
    """
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        weights_initializer=tf.truncated_normal_initializer(stddev=0.1),
        activation_fn=tf.nn.relu,
    ) as arg_scope:
        return arg_scope


def lenet(
    images, num_classes=10, is_training=False, dropout_keep_prob=0.5, prediction_fn=slim.softmax, scope="LeNet"
):
    """LeNet with 4 weight layers.

    Args:
        images: float tensor ``[batch, height, width, channels]``, preprocessed; 4 pixels a side or more.
        num_classes: number of classes; 0 or None leaves the logits out.
        is_training: whether dropout is active.
        dropout_keep_prob: probability that dropout keeps an activation of fc3.
        prediction_fn: makes the end point ``Predictions`` of the logits.
        scope: variable scope.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: fc3 ``[batch, 1024]``), and a dictionary of the
        layers' outputs.
    """
    end_points = {}
    with tf.variable_scope(scope, "LeNet", [images]):
        net = end_points["conv1"] = slim.conv2d(images, 32, [5, 5], scope="conv1")
        net = end_points["pool1"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool1")
        net = end_points["conv2"] = slim.conv2d(net, 64, [5, 5], scope="conv2")
        net = end_points["pool2"] = slim.max_pool2d(net, [2, 2], stride=2, scope="pool2")
        net = end_points["Flatten"] = slim.flatten(net)
        net = end_points["fc3"] = slim.fully_connected(net, 1024, scope="fc3")
        if not num_classes:
            return net, end_points
        net = end_points["dropout3"] = slim.dropout(
            net, dropout_keep_prob, is_training=is_training, scope="dropout3"
        )
        logits = end_points["Logits"] = slim.fully_connected(net, num_classes, activation_fn=None, scope="fc4")
    end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


lenet.default_image_size = 28

SPECS = (
    NetworkSpec(
        name="lenet",
        module=__name__,
        arg_scope_name="lenet_arg_scope",
        scope="LeNet",
        logits_scopes=("LeNet/fc4",),
        top_scopes=("LeNet/fc3",),
        preprocessing="lenet",
        channels=1,
        default_image_size=28,
        min_image_size=4,
        is_of_one_size=True,
        num_imagenet_classes=10,
        official_checkpoint=None,
        parameters=3_274_634,
        gflops=0.028,
    ),
)
