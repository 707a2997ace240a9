"""What makes networks of tables, by itself; test_mobilenet_v2.py and test_mobilenet_v3.py test what it makes."""

import inspect

from slimft.compat import slim, tf
from slimft.nets.mobilenet import mobilenet


def test_signatures():
    assert str(inspect.signature(mobilenet.mobilenet_base)) == (
        "(inputs, conv_defs, multiplier=1.0, final_endpoint=None, output_stride=None, use_explicit_padding=False, "
        "scope=None, is_training=False)"
    )
    names = list(inspect.signature(mobilenet.mobilenet).parameters)
    assert names == [
        "inputs", "num_classes", "prediction_fn", "reuse", "scope", "base_only", "use_reduce_mean_for_pooling",
        "mobilenet_args",
    ]  # fmt: skip


def test_a_pooling_of_ones_own():
    """`global_pool` calls it with windows as large as the map; without it, any size can be averaged."""
    with tf.Graph().as_default():
        seen = []
        mobilenet.global_pool(tf.zeros([1, 3, 5, 2]), pool_op=lambda net, **arguments: seen.append(arguments))
        assert seen == [{"ksize": [1, 3, 5, 1], "strides": [1, 1, 1, 1], "padding": "VALID"}]
        for size, mean, name in ((4, False, "AvgPool"), (None, False, "AvgPool_1"), (4, True, "ReduceMean")):
            pooled = mobilenet.global_pool(tf.placeholder(tf.float32, [None, size, size, 3]), mean)
            assert pooled.shape.as_list() == [None, 1, 1, 3] and pooled.op.name == name


def test_apply_activation():
    with tf.Graph().as_default():
        net = tf.zeros([1, 2])
        assert mobilenet.apply_activation(net) is net
        with slim.arg_scope([mobilenet.apply_activation], activation_fn=tf.nn.relu):
            assert mobilenet.apply_activation(net, name="act").op.name == "act"


def test_safe_arg_scope_leaves_none_out():
    with mobilenet.safe_arg_scope([slim.dropout], keep_prob=None) as scope:
        assert scope is None and slim.dropout._key_op not in slim.current_arg_scope()
    with mobilenet.safe_arg_scope([slim.dropout], keep_prob=None, is_training=False) as scope:
        assert scope[slim.dropout._key_op] == {"is_training": False}
