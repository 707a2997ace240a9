"""Fully connected layers as TF-Slim has them, convolutions, computed as the matrix products they are."""

from slimft.compat import scoped_argument, slim, tf


def fully_connected_conv2d(net, num_outputs, size, padding, scope):
    """A `slim.conv2d` of a `size` x `size` kernel, computed as the matrix product it is where it is one.

    That is where each position of the result sees one position of the map (a 1x1 kernel) or all of it, once
    (a 7x7 kernel on 7x7, or on a 1x1 map that it pads, where it counts only the tap that meets the map).
    Convolutions with a 1x1 result are slow in TensorFlow; laying all positions of the batch along one row makes
    a training step of 32 images of 32x32 pixels about twice as fast. Variables and results are the same.
    """
    height, width = net.shape.as_list()[1:3]
    known = height is not None and width is not None
    if known and size == 1:
        rows, columns = height, width
    elif known and (height, width) == {"VALID": (size, size), "SAME": (1, 1)}.get(padding):
        rows, columns = 1, 1
    else:
        return slim.conv2d(net, num_outputs, [size, size], padding=padding, scope=scope)
    first, last = (size - height // rows) // 2, (size + height // rows) // 2
    taps = (last - first) ** 2
    regularizer = scoped_argument(slim.conv2d, "weights_regularizer", None)
    variables_collections = scoped_argument(slim.conv2d, "variables_collections", None)
    collections = slim.utils.get_variable_collections(variables_collections, "weights") or []

    def as_1x1(getter, name, shape=None, **kwargs):
        """Makes the variable with its own shape, and gives the layer what it needs of it.

        The whole variable is what weight decay and collections are about, and only where it is made.
        """
        if not name.endswith("/weights"):
            return getter(name, shape=shape, **kwargs)
        depth = shape[2] // taps
        kwargs |= {"regularizer": regularizer, "collections": [*kwargs["collections"], *collections]}
        kernel = getter(name, shape=[size, size, depth, shape[3]], **kwargs)
        return tf.reshape(kernel[first:last, first:last], [1, 1, taps * depth, shape[3]])

    activation_fn = scoped_argument(slim.conv2d, "activation_fn", tf.nn.relu)

    def activate_positions(net):
        net = tf.reshape(net, [-1, rows, columns, num_outputs])
        return net if activation_fn is None else activation_fn(net)

    positions = tf.reshape(net, [1, 1, -1, taps * net.shape.as_list()[3]])
    with tf.variable_scope(tf.get_variable_scope(), custom_getter=as_1x1, auxiliary_name_scope=False):
        return slim.conv2d(
            positions,
            num_outputs,
            [1, 1],
            activation_fn=activate_positions,
            weights_regularizer=None,
            variables_collections={"biases": slim.utils.get_variable_collections(variables_collections, "biases")},
            scope=scope,
        )
