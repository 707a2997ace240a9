"""Inception V2: what only it can be told; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import get_network, inception_utils, inception_v2


def images_of(*shape):
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


def test_signatures_are_research_slims():
    assert str(inspect.signature(inception_v2.inception_v2_base)) == (
        "(inputs, final_endpoint='Mixed_5c', min_depth=16, depth_multiplier=1.0, use_separable_conv=True, "
        "data_format='NHWC', include_root_block=True, scope=None)"
    )
    assert inception_v2.inception_v2_arg_scope is inception_utils.inception_arg_scope


def test_base_without_root_block():
    with tf.Graph().as_default() as graph:
        net, end_points = inception_v2.inception_v2_base(tf.zeros([1, 28, 28, 192]), include_root_block=False)
        with pytest.raises(ValueError, match="'MaxPool_3a_3x3'.*one of .*'Mixed_3b', 'Mixed_3c'"):
            inception_v2.inception_v2_base(tf.zeros([1, 28, 28, 192]), "MaxPool_3a_3x3", include_root_block=False)
    modules = ["3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b", "5c"]
    assert list(end_points) == [f"Mixed_{module}" for module in modules]
    assert net.shape == [1, 7, 7, 1024]
    assert graph.get_collection("variables")[0].op.name == "InceptionV2/Mixed_3b/Branch_0/Conv2d_0a_1x1/weights"


@pytest.mark.parametrize(
    "arguments, variables",
    [
        ({}, {"depthwise_weights": [7, 7, 3, 8], "pointwise_weights": [1, 1, 24, 64], "biases": [64]}),
        (
            # No more than int(20 / 3) filters for each of three channels, so that the sums are not fewer.
            {"depth_multiplier": 0.01, "min_depth": 20},
            {"depthwise_weights": [7, 7, 3, 6], "pointwise_weights": [1, 1, 18, 20], "biases": [20]},
        ),
        (
            {"use_separable_conv": False},
            {
                "weights": [7, 7, 3, 64],
                **{f"BatchNorm/{name}": [64] for name in ("beta", "moving_mean", "moving_variance")},
            },
        ),
    ],
)
def test_the_first_convolution(arguments, variables):
    with tf.Graph().as_default() as graph, slim.arg_scope(inception_v2.inception_v2_arg_scope()):
        net, _ = inception_v2.inception_v2_base(tf.zeros([1, 32, 32, 3]), "Conv2d_1a_7x7", **arguments)
        found = {v.op.name: v.shape.as_list() for v in graph.get_collection("variables")}
    assert found == {f"InceptionV2/Conv2d_1a_7x7/{name}": shape for name, shape in variables.items()}
    assert net.shape[1:3] == [16, 16] and net.op.type == "Relu"


@pytest.mark.parametrize("depth_multiplier", [0, -0.1])
def test_impossible_depth_multipliers(depth_multiplier):
    for function in (inception_v2.inception_v2, inception_v2.inception_v2_base):
        with tf.Graph().as_default(), pytest.raises(ValueError, match="is not greater than zero"):
            function(tf.zeros([1, 32, 32, 3]), depth_multiplier=depth_multiplier)


def test_nchw_is_nhwc_transposed(assert_close):
    """Batch normalization too; TensorFlow is told to compute NCHW on a CPU, by NHWC."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.cpu_layout_conversion = config.graph_options.rewrite_options.NCHW_TO_NHWC
    images = images_of(2, 35, 41, 3)
    with tf.Graph().as_default() as graph, slim.arg_scope(inception_v2.inception_v2_arg_scope()):
        inputs, nets = tf.placeholder(tf.float32, images.shape), []
        for data_format, permutation in (("NHWC", [0, 1, 2, 3]), ("NCHW", [0, 3, 1, 2])):
            with tf.variable_scope("mine", reuse=bool(nets)) as scope:
                net, end_points = inception_v2.inception_v2_base(
                    tf.transpose(inputs, permutation),
                    "Mixed_4a",
                    min_depth=4,
                    depth_multiplier=0.2,
                    use_separable_conv=False,
                    data_format=data_format,
                    scope=scope,
                )
            nets.append(net)
    assert end_points["MaxPool_3a_3x3"].shape.as_list() == [2, 38, 5, 6]
    with tf.Session(graph=graph, config=config) as session:
        session.run([variable.initializer for variable in graph.get_collection("variables")])
        nhwc, nchw = session.run(nets, {inputs: images})
    assert nhwc.shape == (2, 3, 3, 113) and np.std(nhwc) > 0
    assert_close(nchw.transpose(0, 2, 3, 1), nhwc, within=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"data_format": "CHWN"}, "data_format='CHWN' is neither 'NHWC' nor 'NCHW'"),
        ({"data_format": "NCHW"}, "data_format='NCHW' needs use_separable_conv=False"),
    ],
)
def test_data_formats_that_cannot_be(arguments, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        inception_v2.inception_v2_base(tf.zeros([1, 32, 32, 3]), **arguments)


def test_every_argument_reaches_the_network(build, monkeypatch):
    dropouts = []

    @slim.add_arg_scope
    def dropout(net, keep_prob, is_training, scope):
        dropouts.append((scope, keep_prob, is_training))
        return net

    monkeypatch.setattr(slim, "dropout", dropout)
    arguments = {
        "dropout_keep_prob": 0.6,
        "spatial_squeeze": False,
        "scope": "mine",
        "global_pool": True,
        "min_depth": 24,
        "depth_multiplier": 0.1,
        "prediction_fn": lambda logits, scope: tf.sigmoid(logits, name=scope),
    }
    network = build("slimft.nets", "inception_v2", 5, (2, 75, 300, 3), is_training=False, **arguments)
    assert dropouts == [("Dropout_1b", 0.6, False)]
    assert network.logits.op.name == "mine/Logits/Conv2d_1c_1x1/BiasAdd"
    assert network.logits.shape.as_list() == [2, 1, 1, 5]
    assert network.end_points["global_pool"].op.name == "mine/Logits/global_pool"
    assert network.end_points["Predictions"].op.name == "mine/Predictions"
    assert network.end_points["Predictions"].op.type == "Sigmoid"
    assert network.end_points["Mixed_5c"].shape[-1] == 35 + 32 + 24 + 24
    variables = network.graph.get_collection("variables")
    assert all(variable.op.name.startswith("mine/") for variable in variables)
    build("slimft.nets", "inception_v2", 5, (2, 75, 300, 3), network.graph, reuse=True, **arguments)
    assert network.graph.get_collection("variables") == variables


def test_maps_larger_than_the_window_are_pooled_globally():
    for image_size, global_pool in ((32, False), (224, False), (225, True), (600, True)):
        assert get_network("inception_v2").arguments_for(image_size, True) == {"global_pool": global_pool}
        map_size = image_size
        for _ in range(5):
            map_size = -(-map_size // 2)
        assert (map_size > 7) == global_pool


def test_windows_no_larger_than_the_map():
    """Smaller ones where the map is, 7x7 where its size is unknown."""
    with tf.Graph().as_default():
        for size, window in (((3, 9), "3x7"), ((None, 9), "7x7")):
            end_points = {}
            net = inception_utils.average_windows(tf.placeholder(tf.float32, [1, *size, 8]), [7, 7], end_points)
            assert net.op.name == f"AvgPool_1a_{window}/AvgPool" and end_points == {"AvgPool_1a": net}
