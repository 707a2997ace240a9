"""Inception V3: what it can be told, and images of other sizes; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.errors import UsageError
from slimft.nets import get_network, inception_utils, inception_v3

# Shapes, but for the batch, at 299x299: table 1 of the paper, and research/slim's own tests
# (research/slim/nets/inception_v3_test.py).
BASE_END_POINTS = {
    "Conv2d_1a_3x3": [149, 149, 32], "Conv2d_2a_3x3": [147, 147, 32], "Conv2d_2b_3x3": [147, 147, 64],
    "MaxPool_3a_3x3": [73, 73, 64], "Conv2d_3b_1x1": [73, 73, 80], "Conv2d_4a_3x3": [71, 71, 192],
    "MaxPool_5a_3x3": [35, 35, 192], "Mixed_5b": [35, 35, 256], "Mixed_5c": [35, 35, 288],
    "Mixed_5d": [35, 35, 288], "Mixed_6a": [17, 17, 768], "Mixed_6b": [17, 17, 768], "Mixed_6c": [17, 17, 768],
    "Mixed_6d": [17, 17, 768], "Mixed_6e": [17, 17, 768], "Mixed_7a": [8, 8, 1280], "Mixed_7b": [8, 8, 2048],
    "Mixed_7c": [8, 8, 2048],
}  # fmt: skip
# With 1000 classes, without the auxiliary logits: Keras' InceptionV3, all and trainable.
KERAS_TOTAL, KERAS_TRAINABLE = 23_851_784, 23_817_352


def images_of(*shape):
    return np.random.default_rng(6).standard_normal(shape, dtype=np.float32)


# The graph.


@pytest.mark.parametrize(
    "image_size, arguments",
    [
        (107, {"is_training": False, "create_aux_logits": False}),
        (None, {"spatial_squeeze": False, "depth_multiplier": 0.3, "min_depth": 20}),
    ],
)
def test_every_op_is_tf_slims_at_other_sizes(build, image_size, arguments):
    shape = (2, image_size, image_size, 3)
    ours, theirs = (
        build(package, "inception_v3", 7, shape, **arguments).graph.as_graph_def()
        for package in ("slimft.nets", "tf_slim.nets")
    )
    assert list(ours.node) == list(theirs.node)


# The arguments.


def test_signatures_are_research_slims():
    assert str(inspect.signature(inception_v3.inception_v3_base)) == (
        "(inputs, final_endpoint='Mixed_7c', min_depth=16, depth_multiplier=1.0, scope=None)"
    )
    parameters = inspect.signature(inception_v3.inception_v3).parameters
    assert [(key, parameter.default) for key, parameter in parameters.items()] == [
        ("inputs", inspect.Parameter.empty), ("num_classes", 1000), ("is_training", True),
        ("dropout_keep_prob", 0.8), ("min_depth", 16), ("depth_multiplier", 1.0), ("prediction_fn", slim.softmax),
        ("spatial_squeeze", True), ("reuse", None), ("create_aux_logits", True), ("scope", "InceptionV3"),
        ("global_pool", False), ("final_endpoint", None),  # The last is ours alone.
    ]  # fmt: skip
    assert inception_v3.inception_v3.default_image_size == 299
    assert inception_v3.inception_v3_arg_scope is inception_utils.inception_arg_scope


@pytest.mark.parametrize("final_endpoint", ["Conv2d_1a_3x3", "MaxPool_5a_3x3", "Mixed_6a", "Mixed_7a"])
def test_base_up_to_an_end_point(final_endpoint):
    with tf.Graph().as_default() as graph:
        net, end_points = inception_v3.inception_v3_base(tf.zeros([1, 299, 299, 3]), final_endpoint)
    names = list(BASE_END_POINTS)
    names = names[: names.index(final_endpoint) + 1]
    assert {key: end_point.shape.as_list()[1:] for key, end_point in end_points.items()} == {
        name: BASE_END_POINTS[name] for name in names
    }
    assert net is end_points[final_endpoint] and list(end_points) == names
    assert {v.op.name.split("/")[1] for v in graph.get_collection("variables")} <= set(names)


def test_unknown_end_point():
    with tf.Graph().as_default() as graph:
        with pytest.raises(ValueError, match="final_endpoint='AuxLogits': there is no such end point; give one of"):
            inception_v3.inception_v3_base(tf.zeros([1, 299, 299, 3]), "AuxLogits")
    assert graph.get_collection("variables") == []


@pytest.mark.parametrize("function", [inception_v3.inception_v3, inception_v3.inception_v3_base])
@pytest.mark.parametrize("depth_multiplier", [0, -0.1])
def test_impossible_depth_multipliers(function, depth_multiplier):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=f"={depth_multiplier} is not greater than zero"):
        function(tf.zeros([1, 299, 299, 3]), depth_multiplier=depth_multiplier)


def test_without_classes_the_features_are_the_result(build):
    network = build("slimft.nets", "inception_v3", 0, (2, 363, 427, 3))
    assert network.logits is network.end_points["AvgPool_1a"]
    assert list(network.end_points) == [*BASE_END_POINTS, "AvgPool_1a"]
    assert network.end_points["Mixed_7c"].shape.as_list() == [2, 10, 12, 2048]
    assert network.logits.shape.as_list() == [2, 2, 3, 2048]  # windows of 8x8 are 2 apart


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
    shape = (2, 75, 107, 3)
    network = build("slimft.nets", "inception_v3", 5, shape, is_training=False, **arguments)
    assert dropouts == [("Dropout_1b", 0.6, False)]
    assert network.logits.op.name == "mine/Logits/Conv2d_1c_1x1/BiasAdd"
    assert network.logits.shape.as_list() == [2, 1, 1, 5]
    assert network.end_points["AuxLogits"].shape.as_list() == [2, 1, 1, 5]
    assert network.end_points["global_pool"].op.name == "mine/Logits/GlobalPool"
    assert network.end_points["Predictions"].op.name == "mine/Predictions"
    assert network.end_points["Predictions"].op.type == "Sigmoid"
    assert network.end_points["Conv2d_4a_3x3"].shape[-1] == 24  # 19, were it not for min_depth
    assert network.end_points["Mixed_7c"].shape[-1] == 32 + 4 * 38 + 24
    variables = network.graph.get_collection("variables")
    assert all(variable.op.name.startswith("mine/") for variable in variables)
    assert network.graph.get_collection(tf.GraphKeys.UPDATE_OPS) == []
    build("slimft.nets", "inception_v3", 5, shape, network.graph, reuse=True, **arguments)
    assert network.graph.get_collection("variables") == variables


# Image sizes.


@pytest.mark.parametrize("image_size, window, kernel", [(75, 3, 1), (106, 4, 1), (347, 5, 5)])
def test_logits_to_train_at_any_size(image_size, window, kernel):
    with tf.Graph().as_default() as graph:
        logits, end_points = get_network("inception_v3").build(tf.zeros([2, image_size, image_size, 3]), 5, True)
    assert logits.shape.as_list() == end_points["AuxLogits"].shape.as_list() == [2, 5]
    scope = f"InceptionV3/AuxLogits/AvgPool_1a_{window}x{window}/AvgPool"
    assert graph.get_operation_by_name(scope).get_attr("ksize") == [1, window, window, 1]
    weights = [v for v in graph.get_collection("variables") if "AuxLogits/Conv2d_2a_" in v.op.name][0]
    assert weights.op.name == f"InceptionV3/AuxLogits/Conv2d_2a_{kernel}x{kernel}/weights"
    assert weights.shape == [kernel, kernel, 128, 768]


def test_maps_larger_than_the_window_are_pooled_globally():
    spec = get_network("inception_v3")
    for image_size, global_pool in ((75, False), (299, False), (330, False), (331, True), (600, True)):
        for is_training in (False, True):
            arguments = spec.arguments_for(image_size, is_training)
            assert arguments == {"create_aux_logits": is_training, "global_pool": global_pool}
    with tf.Graph().as_default():
        # The reductions alone say how large Mixed_7c is.
        sizes = []
        for image_size in (330, 331):
            net = tf.zeros([1, image_size, image_size, 1])
            for stride in (2, 1, 2, 1, 2, 2, 2):
                net = tf.nn.max_pool2d(net, 3, stride, "VALID")
            sizes.append(net.shape[1])
    assert sizes == [8, 9]


def test_images_too_small(build):
    with pytest.raises(UsageError, match="image_size=74 is too small for inception_v3, which needs at least 75"):
        get_network("inception_v3").arguments_for(74, is_training=False)
    with pytest.raises(ValueError, match="Negative dimension size"):
        build("slimft.nets", "inception_v3", 5, (2, 74, 74, 3), create_aux_logits=False)
    # Training at 75 to 106 pixels is what research/slim's cannot do.
    with pytest.raises(ValueError, match="Negative dimension size"):
        build("tf_slim.nets", "inception_v3", 5, (2, 106, 106, 3))


# The logits.


def test_logits_of_a_large_image_are_the_mean_of_those_at_each_position(build, random_weights, assert_close):
    graph, images = tf.Graph(), images_of(1, 363, 363, 3)
    arguments = {"is_training": False, "depth_multiplier": 0.1}
    pooled = build("slimft.nets", "inception_v3", 10, images.shape, graph, global_pool=True, **arguments)
    theirs = build(
        "tf_slim.nets", "inception_v3", 10, images.shape, graph, spatial_squeeze=False, reuse=True, **arguments
    )
    with random_weights(graph) as (session, _):
        fetches = [pooled.end_points[key] for key in ("AuxLogits", "global_pool")]
        expected = [theirs.end_points[key] for key in ("AuxLogits", "Mixed_7c")]
        results, expected = session.run([fetches, expected], {pooled.images: images, theirs.images: images})
    assert expected[0].shape == (1, 2, 2, 10) and expected[1].shape[:3] == (1, 10, 10)
    assert_close(results[0], expected[0].mean((1, 2)), within=1e-5)
    assert_close(results[1], expected[1].mean((1, 2), keepdims=True), within=1e-5)
