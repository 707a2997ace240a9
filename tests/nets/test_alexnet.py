"""AlexNet: what it can be told, and its logits at many positions; see conformance/ for the rest."""

import inspect
import types

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.errors import UsageError
from slimft.nets import alexnet, get_network

ANY_SIZE = (None, None, None, 3)


def images_of(*shape):
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


# The graph.


# The arguments.


def test_signatures_are_research_slims():
    parameters = inspect.signature(alexnet.alexnet_v2).parameters
    assert [(key, parameter.default) for key, parameter in parameters.items()] == [
        ("inputs", inspect.Parameter.empty),
        ("num_classes", 1000),
        ("is_training", True),
        ("dropout_keep_prob", 0.5),
        ("spatial_squeeze", True),
        ("scope", "alexnet_v2"),
        ("global_pool", False),
    ]
    assert alexnet.alexnet_v2.default_image_size == 224
    assert str(inspect.signature(alexnet.alexnet_v2_arg_scope)) == "(weight_decay=0.0005)"


@pytest.mark.parametrize("num_classes, global_pool", [(0, False), (None, True)])
def test_without_classes_fc7_is_the_result(build, num_classes, global_pool):
    network = build("slimft.nets", "alexnet_v2", num_classes, (1, 260, 260, 3), global_pool=global_pool)
    key = "global_pool" if global_pool else "alexnet_v2/fc7"
    assert network.logits is network.end_points[key] and list(network.end_points)[-1] == key
    assert network.logits.shape.as_list() == [1, *([1, 1] if global_pool else [3, 3]), 4096]
    assert not [op.name for op in network.graph.get_operations() if "fc8" in op.name or "dropout7" in op.name]


def test_every_argument_reaches_the_network(build, monkeypatch):
    dropouts = []

    def dropout(net, keep_prob, is_training, scope):
        dropouts.append((scope, keep_prob, is_training))
        return net

    monkeypatch.setattr(slim, "dropout", dropout)
    mode = object()
    # The shapes of research/slim's own test of a fully convolutional AlexNet.
    network = build(
        "slimft.nets",
        "alexnet_v2",
        5,
        (1, 300, 400, 3),
        is_training=mode,
        dropout_keep_prob=0.75,
        spatial_squeeze=False,
        scope="mine",
    )
    assert dropouts == [("dropout6", 0.75, mode), ("dropout7", 0.75, mode)]
    assert network.logits.op.name == "mine/fc8/BiasAdd"
    assert network.logits.shape.as_list() == [1, 4, 7, 5]
    variables = network.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
    assert all(variable.op.name.startswith("mine/") for variable in variables)


def test_weight_decay():
    losses = []
    for arg_scope in (alexnet.alexnet_v2_arg_scope(weight_decay=0.25), alexnet.alexnet_v2_arg_scope()):
        with tf.Graph().as_default(), tf.Session() as session, slim.arg_scope(arg_scope):
            slim.conv2d(tf.zeros([1, 8, 8, 2]), 3, [3, 3], weights_initializer=tf.ones_initializer())
            session.run(tf.global_variables_initializer())
            losses.append(session.run(tf.losses.get_regularization_loss()))
    np.testing.assert_allclose(losses, [0.25 * 54 / 2, 0.0005 * 54 / 2], rtol=1e-6)


# Image sizes.


@pytest.mark.parametrize("image_size", [195, 224, 226, 227, 300])
def test_one_row_of_logits_at_any_size(image_size):
    with tf.Graph().as_default():
        logits, end_points = get_network("alexnet_v2").build(tf.zeros([2, image_size, image_size, 3]), 5, True)
    assert logits.shape.as_list() == [2, 5]
    # Where there is one position the network is as it always was.
    assert ("global_pool" in end_points) == (end_points["alexnet_v2/fc7"].shape[1] > 1)


def test_images_too_small(build):
    with pytest.raises(UsageError, match="image_size=194 is too small for alexnet_v2, which needs at least 195"):
        get_network("alexnet_v2").arguments_for(194, is_training=True)
    for package in ("slimft.nets", "tf_slim.nets"):
        with pytest.raises(ValueError, match="Negative dimension size"):
            build(package, "alexnet_v2", 5, (2, 194, 194, 3))
        build(package, "alexnet_v2", 5, (2, 195, 195, 3))


# The logits.


@pytest.fixture(scope="module")
def loaded(build, random_weights):
    """A session with random weights; `logits` runs the network, ours or tf-slim's, on images."""
    graph = build("slimft.nets", "alexnet_v2", 10).graph
    with random_weights(graph) as (session, _):

        def logits(package, images, shape, **arguments):
            with graph.as_default(), tf.variable_scope(tf.get_variable_scope(), reuse=True):
                network = build(package, "alexnet_v2", 10, shape, graph, is_training=False, **arguments)
            return session.run(network.logits, {network.images: images})

        yield types.SimpleNamespace(logits=logits)


def test_logits_at_each_position_and_their_mean(loaded, assert_close):
    images = images_of(1, 230, 270, 3)
    expected = loaded.logits("tf_slim.nets", images, images.shape, spatial_squeeze=False)
    assert expected.shape == (1, 2, 3, 10) and np.std(expected) > 0.1
    assert_close(loaded.logits("slimft.nets", images, images.shape, spatial_squeeze=False), expected, within=1e-5)
    # fc8 is linear, so the logits of the mean are the mean of the logits.
    pooled = loaded.logits("slimft.nets", images, images.shape, global_pool=True)
    assert_close(pooled, expected.mean((1, 2)), within=1e-5)
