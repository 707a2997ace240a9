"""What AlexNet and OverFeat share: the arg_scope, and all that follows their convolutions."""

import functools

from slimft.compat import slim, tf
from slimft.nets.fully_connected import fully_connected_conv2d

# Of a standard deviation, as scripts call it.
trunc_normal = functools.partial(tf.truncated_normal_initializer, 0.0)


def arg_scope(weight_decay, biases_initializer):
    """The arg_scope of both: ReLU, L2 regularizer, convolutions padded, pools not.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        biases_initializer: what biases begin with, but for those of the fully connected layers.
    """
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            activation_fn=tf.nn.relu,
            biases_initializer=biases_initializer,
            weights_regularizer=slim.l2_regularizer(weight_decay),
        ),
        slim.arg_scope([slim.conv2d], padding="SAME"),
        slim.arg_scope([slim.max_pool2d], padding="VALID") as scope,
    ):
        return scope


def network(
    inputs,
    features,
    fc6,
    name,
    num_classes,
    is_training,
    dropout_keep_prob,
    spatial_squeeze,
    scope,
    global_pool,
    fc_conv_padding="VALID",
):
    """The whole network; what is not explained here is as in `slimft.nets.alexnet.alexnet_v2`.

    Args:
        features: ``features(inputs)``, the layers up to pool5.
        fc6: number of filters of fc6, and their height and width.
        name: of the variable scope where `scope` is None.
        fc_conv_padding: padding of fc6.
    """
    with tf.variable_scope(scope, name, [inputs]) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        with slim.arg_scope(
            [slim.conv2d, slim.fully_connected, slim.max_pool2d], outputs_collections=end_points_collection
        ):
            net = features(inputs)
            with slim.arg_scope(
                [slim.conv2d],
                weights_initializer=trunc_normal(0.005),
                biases_initializer=tf.constant_initializer(0.1),
            ):
                net = fully_connected_conv2d(net, *fc6, fc_conv_padding, scope="fc6")
                net = slim.dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout6")
                net = fully_connected_conv2d(net, 4096, 1, "SAME", scope="fc7")
                end_points = slim.utils.convert_collection_to_dict(end_points_collection)
                if global_pool:
                    net = tf.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
                    end_points["global_pool"] = net
                if not num_classes:
                    return net, end_points
                net = slim.dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout7")
                net = slim.conv2d(
                    net,
                    num_classes,
                    [1, 1],
                    activation_fn=None,
                    normalizer_fn=None,
                    biases_initializer=tf.zeros_initializer(),
                    scope="fc8",
                )
                if spatial_squeeze:
                    net = tf.squeeze(net, [1, 2], name="fc8/squeezed")
                end_points[sc.name + "/fc8"] = net
                return net, end_points
