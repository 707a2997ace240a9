"""AlexNet against tf-slim's own, op by op and by its logits."""

import inspect
import types

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.errors import UsageError
from slimft.nets import alexnet, get_network

ANY_SIZE = (None, None, None, 3)
# torchvision's alexnet has 61,100,840: its fc6 is 6x6, not 5x5, and conv4 has 256 filters, not 384.
PARAMETERS = 61_100_840 - (36 - 25) * 256 * 4096 + 128 * (9 * 384 + 1) + 9 * 128 * 256
END_POINTS = {
    "conv1": [54, 54, 64], "pool1": [26, 26, 64], "conv2": [26, 26, 192], "pool2": [12, 12, 192],
    "conv3": [12, 12, 384], "conv4": [12, 12, 384], "conv5": [12, 12, 256], "pool5": [5, 5, 256],
    "fc6": [1, 1, 4096], "fc7": [1, 1, 4096], "fc8": [1000],
}  # fmt: skip


def images_of(*shape):
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


# The graph.


@pytest.fixture(scope="module")
def both(build):
    """The network for images of any size, ours and tf-slim's."""
    return tuple(build(package, "alexnet_v2", shape=ANY_SIZE) for package in ("slimft.nets", "tf_slim.nets"))


@pytest.fixture(scope="module")
def ours(build):
    """Ours for images of 224 pixels."""
    return build("slimft.nets", "alexnet_v2")


def test_every_op_is_tf_slims(both):
    ours, theirs = (network.graph.as_graph_def() for network in both)
    assert list(ours.node) == list(theirs.node)


def test_variables_and_collections_are_tf_slims(both, ours, collections_of):
    any_size, theirs = (collections_of(network.graph) for network in both)
    assert any_size == theirs
    assert collections_of(ours.graph) == theirs
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    names = [f"alexnet_v2/{layer}/{kind}" for layer in layers for kind in ("weights", "biases")]
    assert [name for name, _, _ in theirs["trainable_variables"]] == names
    assert len(theirs["regularization_losses"]) == 8


def test_number_of_parameters(ours):
    variables = ours.graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)
    assert sum(variable.shape.num_elements() for variable in variables) == PARAMETERS


def test_logits_scopes(ours):
    variables = ours.graph.get_collection(tf.GraphKeys.MODEL_VARIABLES)
    of_classes = [variable.op.name for variable in variables if variable.shape[-1] == 1000]
    assert of_classes == [
        f"{scope}/{kind}" for scope in get_network("alexnet_v2").logits_scopes for kind in ("weights", "biases")
    ]


def test_end_points(both, ours):
    names = [[(key, end_point.name) for key, end_point in network.end_points.items()] for network in (*both, ours)]
    assert names[0] == names[1] == names[2]
    shapes = {key: end_point.shape.as_list() for key, end_point in ours.end_points.items()}
    assert shapes == {f"alexnet_v2/{key}": [None, *shape] for key, shape in END_POINTS.items()}
    assert ours.logits is ours.end_points["alexnet_v2/fc8"]


def test_each_trainable_variable_has_a_gradient(build):
    network = build("slimft.nets", "alexnet_v2", 5, (2, 195, 195, 3), is_training=True)
    with network.graph.as_default():
        variables = tf.trainable_variables()
        assert len(variables) == 16
        assert None not in tf.gradients(tf.reduce_sum(network.logits), variables)


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
        "slimft.nets", "alexnet_v2", 5, (1, 300, 400, 3), is_training=mode, dropout_keep_prob=0.75,
        spatial_squeeze=False, scope="mine",
    )  # fmt: skip
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


@pytest.mark.parametrize("image_size", [195, 224])
def test_logits_are_tf_slims(loaded, assert_close, image_size):
    images = images_of(2, image_size, image_size, 3)
    expected = loaded.logits("tf_slim.nets", images, images.shape)
    assert expected.shape == (2, 10) and np.std(expected) > 0.1
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * np.abs(expected).max()  # they depend on the image
    assert_close(loaded.logits("slimft.nets", images, images.shape), expected, within=1e-5)
    assert_close(loaded.logits("slimft.nets", images, ANY_SIZE), expected, within=1e-5)


def test_logits_at_each_position_and_their_mean(loaded, assert_close):
    images = images_of(1, 230, 270, 3)
    expected = loaded.logits("tf_slim.nets", images, images.shape, spatial_squeeze=False)
    assert expected.shape == (1, 2, 3, 10) and np.std(expected) > 0.1
    assert_close(loaded.logits("slimft.nets", images, images.shape, spatial_squeeze=False), expected, within=1e-5)
    # fc8 is linear, so the logits of the mean are the mean of the logits.
    pooled = loaded.logits("slimft.nets", images, images.shape, global_pool=True)
    assert_close(pooled, expected.mean((1, 2)), within=1e-5)
