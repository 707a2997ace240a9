"""Inception V1: what it can be told, and small images; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import get_network, inception_utils, inception_v1

# Shapes, but for the batch, at 224x224: those of tf-slim's own tests (tf_slim/nets/inception_v1_test.py) and of
# table 1 of the paper.
BASE_END_POINTS = {
    "Conv2d_1a_7x7": [112, 112, 64], "MaxPool_2a_3x3": [56, 56, 64], "Conv2d_2b_1x1": [56, 56, 64],
    "Conv2d_2c_3x3": [56, 56, 192], "MaxPool_3a_3x3": [28, 28, 192], "Mixed_3b": [28, 28, 256],
    "Mixed_3c": [28, 28, 480], "MaxPool_4a_3x3": [14, 14, 480], "Mixed_4b": [14, 14, 512],
    "Mixed_4c": [14, 14, 512], "Mixed_4d": [14, 14, 512], "Mixed_4e": [14, 14, 528], "Mixed_4f": [14, 14, 832],
    "MaxPool_5a_2x2": [7, 7, 832], "Mixed_5b": [7, 7, 832], "Mixed_5c": [7, 7, 1024],
}  # fmt: skip


def images_of(*shape):
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


# The graph.


# The arguments.


def test_signatures_are_research_slims():
    assert str(inspect.signature(inception_v1.inception_v1_base)) == (
        "(inputs, final_endpoint='Mixed_5c', include_root_block=True, scope='InceptionV1')"
    )
    parameters = inspect.signature(inception_v1.inception_v1).parameters
    assert [(key, parameter.default) for key, parameter in parameters.items()] == [
        ("inputs", inspect.Parameter.empty),
        ("num_classes", 1000),
        ("is_training", True),
        ("dropout_keep_prob", 0.8),
        ("prediction_fn", slim.softmax),
        ("spatial_squeeze", True),
        ("reuse", None),
        ("scope", "InceptionV1"),
        ("global_pool", False),
        ("final_endpoint", None),  # Ours alone.
    ]
    assert inception_v1.inception_v1.default_image_size == 224
    assert inception_v1.inception_v1_arg_scope is inception_utils.inception_arg_scope
    parameters = inspect.signature(inception_utils.inception_arg_scope).parameters
    assert [(key, parameter.default) for key, parameter in parameters.items()] == [
        ("weight_decay", 0.00004),
        ("use_batch_norm", True),
        ("batch_norm_decay", 0.9997),
        ("batch_norm_epsilon", 0.001),
        ("activation_fn", tf.nn.relu),
        ("batch_norm_updates_collections", tf.GraphKeys.UPDATE_OPS),
        ("batch_norm_scale", False),
    ]


@pytest.mark.parametrize("final_endpoint", ["Conv2d_1a_7x7", "MaxPool_3a_3x3", "Mixed_4b"])
def test_base_up_to_an_end_point(final_endpoint):
    with tf.Graph().as_default() as graph:
        net, end_points = inception_v1.inception_v1_base(tf.zeros([1, 224, 224, 3]), final_endpoint)
    names = list(BASE_END_POINTS)
    names = names[: names.index(final_endpoint) + 1]
    assert {key: end_point.shape.as_list()[1:] for key, end_point in end_points.items()} == {
        name: BASE_END_POINTS[name] for name in names
    }
    assert net is end_points[final_endpoint] and list(end_points) == names
    assert {v.op.name.split("/")[1] for v in graph.get_collection("variables")} <= set(names)


def test_base_without_root_block():
    with tf.Graph().as_default() as graph:
        net, end_points = inception_v1.inception_v1_base(tf.zeros([1, 28, 28, 192]), include_root_block=False)
        with pytest.raises(ValueError, match="'MaxPool_3a_3x3'.*one of .*'Mixed_3b', 'Mixed_3c'"):
            inception_v1.inception_v1_base(tf.zeros([1, 28, 28, 192]), "MaxPool_3a_3x3", include_root_block=False)
    assert list(end_points) == list(BASE_END_POINTS)[5:]
    assert net.shape == [1, 7, 7, 1024]
    assert graph.get_collection("variables")[0].op.name == "InceptionV1/Mixed_3b/Branch_0/Conv2d_0a_1x1/weights"


def test_unknown_end_point():
    with tf.Graph().as_default() as graph:
        with pytest.raises(ValueError, match="final_endpoint='Mixed_5z': there is no such end point; give one of"):
            inception_v1.inception_v1_base(tf.zeros([1, 64, 64, 3]), "Mixed_5z")
    assert graph.get_collection("variables") == []


@pytest.mark.parametrize("num_classes, key", [(0, "AvgPool_0a_7x7"), (None, "global_pool")])
def test_without_classes_the_features_are_the_result(build, num_classes, key):
    network = build("slimft.nets", "inception_v1", num_classes, (2, 256, 288, 3), global_pool=key == "global_pool")
    assert network.logits is network.end_points[key] and list(network.end_points)[-1] == key
    assert network.logits.shape.as_list() == [2, *([1, 1] if key == "global_pool" else [2, 3]), 1024]


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
        "prediction_fn": lambda logits, scope: tf.sigmoid(logits, name=scope),
    }
    network = build("slimft.nets", "inception_v1", 5, (2, 40, 72, 3), is_training=False, **arguments)
    assert dropouts == [("Dropout_0b", 0.6, False)]
    assert network.logits.op.name == "mine/Logits/Conv2d_0c_1x1/BiasAdd"
    assert network.logits.shape.as_list() == [2, 1, 1, 5]
    assert network.end_points["Predictions"].op.name == "mine/Logits/Predictions"
    assert network.end_points["Predictions"].op.type == "Sigmoid"
    assert network.end_points["global_pool"].op.name == "mine/Logits/global_pool"
    variables = network.graph.get_collection("variables")
    assert all(variable.op.name.startswith("mine/") for variable in variables)
    assert network.graph.get_collection(tf.GraphKeys.UPDATE_OPS) == []
    again = build("slimft.nets", "inception_v1", 5, (2, 40, 72, 3), network.graph, reuse=True, **arguments)
    assert network.graph.get_collection("variables") == variables
    assert again.logits is not network.logits


@pytest.mark.parametrize(
    "arguments, kinds, activation",
    [
        ({"batch_norm_scale": True}, {"weights", "beta", "gamma", "moving_mean", "moving_variance"}, "Relu"),
        ({"use_batch_norm": False, "activation_fn": tf.nn.elu}, {"weights", "biases"}, "Elu"),
        ({"weight_decay": 0.0}, {"weights", "beta", "moving_mean", "moving_variance"}, "Relu"),
    ],
)
def test_arg_scope_arguments(arguments, kinds, activation):
    with tf.Graph().as_default() as graph, slim.arg_scope(inception_utils.inception_arg_scope(**arguments)):
        net, _ = inception_v1.inception_v1_base(tf.zeros([1, 32, 32, 3]), "Conv2d_2b_1x1")
    assert {v.op.name.rpartition("/")[2] for v in graph.get_collection("variables")} == kinds
    assert net.op.type == activation
    losses = graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert len(losses) == (0 if "weight_decay" in arguments else 2)


def test_batch_norm_settings():
    arg_scope = inception_utils.inception_arg_scope(
        batch_norm_decay=0.9, batch_norm_epsilon=0.1, batch_norm_updates_collections="mine"
    )
    settings = arg_scope[slim.arg_scope_func_key(slim.conv2d)]["normalizer_params"]
    assert settings == {"decay": 0.9, "epsilon": 0.1, "updates_collections": "mine", "fused": None, "scale": False}


# Image sizes.


def test_other_sizes_than_224_are_pooled_globally():
    for image_size in (32, 64, 97, 223, 224, 225, 256, 257, 320):
        arguments = {} if image_size == 224 else {"global_pool": True}
        assert get_network("inception_v1").arguments_for(image_size, is_training=True) == arguments


# The logits.


def test_logits_of_a_small_image_are_those_of_tf_slims_mean_features(build, random_weights, assert_close):
    from tf_slim.nets import inception_v1 as theirs

    images = images_of(2, 65, 97, 3)
    ours = build("slimft.nets", "inception_v1", 10, images.shape, is_training=False, global_pool=True)
    with ours.graph.as_default():
        with (
            slim.arg_scope(theirs.inception_v1_arg_scope()),
            slim.arg_scope([slim.batch_norm], is_training=False),
            tf.variable_scope(tf.get_variable_scope(), reuse=True),
        ):
            features, _ = theirs.inception_v1_base(images)
        logits_variables = [v for v in tf.model_variables() if v.op.name.startswith("InceptionV1/Logits")]
    with random_weights(ours.graph) as (session, _):
        logits, features, weights, biases = session.run(
            [ours.logits, features, *logits_variables], {ours.images: images}
        )
    assert features.shape == (2, 3, 4, 1024)
    assert_close(logits, features.mean((1, 2)) @ weights[0, 0] + biases, within=1e-5)
