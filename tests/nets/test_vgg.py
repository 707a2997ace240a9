"""VGG: what it can be told, images of other sizes, fc6 and fc7 as products; see conformance/ for the rest."""

import types

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import get_network, vgg
from slimft.nets.fully_connected import fully_connected_conv2d

ALL_NAMES = ("vgg_a", "vgg_16", "vgg_19", "vgg_postech")
VGG_16_END_POINTS = [
    "vgg_16/conv1/conv1_1", "vgg_16/conv1/conv1_2", "vgg_16/pool1",
    "vgg_16/conv2/conv2_1", "vgg_16/conv2/conv2_2", "vgg_16/pool2",
    "vgg_16/conv3/conv3_1", "vgg_16/conv3/conv3_2", "vgg_16/conv3/conv3_3", "vgg_16/pool3",
    "vgg_16/conv4/conv4_1", "vgg_16/conv4/conv4_2", "vgg_16/conv4/conv4_3", "vgg_16/pool4",
    "vgg_16/conv5/conv5_1", "vgg_16/conv5/conv5_2", "vgg_16/conv5/conv5_3", "vgg_16/pool5",
    "vgg_16/fc6", "vgg_16/fc7", "vgg_16/fc8",
]  # fmt: skip
ANY_SIZE = (None, None, None, 3)


def images_of(*shape):
    return np.random.default_rng(7).standard_normal(shape, dtype=np.float32)


# The graph.


@pytest.fixture(scope="module")
def both(build):
    """VGG-16 for images of any size, ours and tf-slim's."""
    return tuple(build(package, "vgg_16", shape=ANY_SIZE) for package in ("slimft.nets", "tf_slim.nets"))


def test_every_op_is_tf_slims_with_a_tensor_for_is_training(build):
    graphs = []
    for package in ("slimft.nets", "tf_slim.nets"):
        with tf.Graph().as_default() as graph:
            is_training = tf.placeholder(tf.bool, [])
        build(package, "vgg_16", 1000, ANY_SIZE, graph, is_training=is_training)
        graphs.append(graph.as_graph_def())
    assert list(graphs[0].node) == list(graphs[1].node)


@pytest.mark.parametrize("size", [32, 96, 224])
def test_knowing_the_size_changes_no_variable_and_no_name(both, build, collections_of, size):
    _, theirs = both
    arguments = get_network("vgg_16").arguments_for(size, is_training=False)
    ours = build("slimft.nets", "vgg_16", shape=(None, size, size, 3), **arguments)
    assert collections_of(ours.graph) == collections_of(theirs.graph)
    ops, their_ops = ({op.name: op.type for op in network.graph.get_operations()} for network in (ours, theirs))
    # But for the convolutions that are matrix products.
    lacking = {name for name in their_ops.items() - ops.items() if "/kernel/Regularizer/" not in name[0]}
    products = {("vgg_16/fc6/Conv2D", "Conv2D"), ("vgg_16/fc7/Conv2D", "Conv2D")}
    assert lacking == (products if size != 96 else {("vgg_16/fc7/Conv2D", "Conv2D")})
    assert ops["vgg_16/fc7/MatMul"] == "MatMul"
    end_points = {key: value.name for key, value in ours.end_points.items() if key != "global_pool"}
    assert end_points == {key: value.name for key, value in theirs.end_points.items()}


def test_end_points_and_op_names_of_vgg_16(build):
    network = build("slimft.nets", "vgg_16", num_classes=10, global_pool=True)
    assert list(network.end_points) == [*VGG_16_END_POINTS[:-1], "global_pool", "vgg_16/fc8"]
    ops = {key: end_point.op.name for key, end_point in network.end_points.items()}
    assert ops["vgg_16/conv5/conv5_3"] == "vgg_16/conv5/conv5_3/Relu"
    assert ops["vgg_16/pool5"] == "vgg_16/pool5/MaxPool"
    assert ops["vgg_16/fc6"] == "vgg_16/fc6/Relu"
    assert ops["vgg_16/fc7"] == "vgg_16/fc7/Relu"
    assert ops["global_pool"] == "vgg_16/global_pool"
    assert ops["vgg_16/fc8"] == "vgg_16/fc8/squeezed"
    shapes = {key: end_point.shape.as_list() for key, end_point in network.end_points.items()}
    assert shapes["vgg_16/conv1/conv1_2"] == [None, 224, 224, 64]
    assert shapes["vgg_16/pool5"] == [None, 7, 7, 512]
    assert shapes["vgg_16/fc7"] == shapes["global_pool"] == [None, 1, 1, 4096]
    assert shapes["vgg_16/fc8"] == [None, 10]


# The network of POSTECH's course, which tf-slim does not have.


def test_logits_of_vgg_postech(build, random_weights, monkeypatch, assert_close):
    """Against its layers written with TensorFlow alone; the widths are small, but not alike."""
    monkeypatch.setattr(vgg, "_WIDTHS", (4, 6, 8, 6, 4))
    arguments = get_network("vgg_postech").arguments_for(64, is_training=False)
    network = build("slimft.nets", "vgg_postech", 10, (2, 64, 64, 3), is_training=False, **arguments)
    with network.graph.as_default():
        net, variables = network.images, iter(tf.model_variables())
        for convolutions in (2, 3, 4, 5, 5):
            for _ in range(convolutions):
                net = tf.nn.relu(tf.nn.conv2d(net, next(variables), 1, "SAME") + next(variables))
            net = tf.nn.max_pool2d(net, 2, 2, "VALID")
        for _ in ("fc6", "fc7"):
            net = tf.nn.relu(tf.nn.conv2d(net, next(variables), 1, "SAME") + next(variables))
        expected = tf.reduce_mean(net, [1, 2]) @ next(variables)[0, 0] + next(variables)
    with random_weights(network.graph) as (session, _):
        logits, expected = session.run([network.logits, expected], {network.images: images_of(2, 64, 64, 3)})
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * np.abs(expected).max()  # they depend on the image
    assert_close(logits, expected, within=1e-5)


# Without its top, as tutorials of transfer learning have it.


@pytest.mark.parametrize("name, layers", [("vgg_16", 13), pytest.param("vgg_19", 16, marks=pytest.mark.slow)])
def test_up_to_pool5_it_is_keras_network_without_top(
    build, random_weights, keras_logits, assert_close, name, layers
):
    network = build("slimft.nets", name, None, (None, 64, 64, 3), is_training=False, final_endpoint="pool5")
    with network.graph.as_default():
        assert len(tf.global_variables()) == 2 * layers
    pixels = images_of(2, 64, 64, 3)
    with random_weights(network.graph) as (session, variables):
        features = session.run(network.logits, {network.images: pixels})
        expected = keras_logits(name, variables, pixels)
    assert expected.shape == (2, 2, 2, 512) and np.std(expected) > 0
    assert_close(features, expected, within=1e-5)


# The arguments.


def test_the_papers_names():
    assert vgg.vgg_d is vgg.vgg_16
    assert vgg.vgg_e is vgg.vgg_19


@pytest.mark.parametrize(
    "name, num_classes", [("vgg_a", 0), ("vgg_16", None), ("vgg_19", 0), ("vgg_postech", None)]
)
def test_without_classes_fc7_is_the_result(build, name, num_classes):
    network = build("slimft.nets", name, num_classes)
    assert network.logits is network.end_points[f"{name}/fc7"]
    assert list(network.end_points)[-1] == f"{name}/fc7"
    assert not [op.name for op in network.graph.get_operations() if "fc8" in op.name or "dropout7" in op.name]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_argument_reaches_the_network(build, monkeypatch, name):
    dropouts = []

    def dropout(net, keep_prob, is_training, scope):
        dropouts.append((scope, keep_prob, is_training))
        return net

    monkeypatch.setattr(slim, "dropout", dropout)
    mode = object()
    network = build(
        "slimft.nets",
        name,
        5,
        (2, 320, 288, 3),
        is_training=mode,
        dropout_keep_prob=0.75,
        spatial_squeeze=False,
        scope="mine",
        fc_conv_padding="SAME",
    )
    assert dropouts == [("dropout6", 0.75, mode), ("dropout7", 0.75, mode)]
    assert network.logits.op.name == "mine/fc8/BiasAdd"
    assert network.logits.shape.as_list() == [2, 10, 9, 5]
    assert network.end_points["mine/fc8"] is network.logits
    variables = network.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
    assert all(variable.op.name.startswith("mine/") for variable in variables)


def test_a_scope_in_a_scope_and_twice_the_default_one(build):
    with tf.Graph().as_default() as graph, tf.variable_scope("outer"):
        logits, end_points = vgg.vgg_a(tf.zeros([1, 224, 224, 3]), 5, scope=None)
        _, others = vgg.vgg_a(tf.zeros([1, 224, 224, 3]), 5, scope=None)
    assert logits.op.name == "outer/vgg_a/fc8/squeezed"
    assert list(end_points)[-1] == "outer/vgg_a/fc8"
    assert list(others)[-1] == "outer/vgg_a_1/fc8"
    assert len(graph.get_collection(tf.GraphKeys.MODEL_VARIABLES)) == 2 * 22


def test_logits_of_many_positions_cannot_be_squeezed(build):
    with pytest.raises(ValueError, match="squeeze"):
        build("slimft.nets", "vgg_a", 5, (2, 256, 256, 3))


# The logits.


@pytest.fixture(scope="module")
def loaded(request, build, random_weights):
    """A network in a session with random weights; `again` builds it, or tf-slim's, on the same ones."""
    name = request.param
    network = build("slimft.nets", name, 10, is_training=False)

    def again(package="slimft.nets", shape=(None, 224, 224, 3), **arguments):
        with network.graph.as_default(), tf.variable_scope(tf.get_variable_scope(), reuse=True):
            return build(package, name, 10, shape, network.graph, is_training=False, **arguments)

    with random_weights(network.graph) as (session, variables):

        def run(network, images):
            return session.run(network.logits, {network.images: images})

        yield types.SimpleNamespace(name=name, network=network, variables=variables, again=again, run=run)


@pytest.mark.parametrize("loaded", ["vgg_16"], indirect=True)
def test_logits_are_tf_slims_at_each_position(loaded, assert_close):
    images = images_of(1, 224, 256, 3)
    theirs = loaded.again("tf_slim.nets", ANY_SIZE, spatial_squeeze=False)
    expected = loaded.run(theirs, images)
    assert expected.shape == (1, 1, 2, 10)
    logits = loaded.run(loaded.again(shape=images.shape, spatial_squeeze=False), images)
    assert_close(logits, expected, within=1e-5)
    same = loaded.again(shape=images.shape, spatial_squeeze=False, fc_conv_padding="SAME")
    same_logits = loaded.run(same, images)
    assert same_logits.shape == (1, 7, 8, 10)
    assert_close(same_logits[:, 3:4, 3:5], expected, within=1e-5)  # where fc6 meets no padding


@pytest.mark.parametrize("loaded", ["vgg_16"], indirect=True)
@pytest.mark.parametrize("height, width", [(32, 32), (64, 96)])
def test_logits_of_small_images_are_those_of_convolutions(loaded, height, width, assert_close):
    images = images_of(2, height, width, 3)
    pooled = loaded.again(shape=images.shape, fc_conv_padding="SAME", global_pool=True)
    logits = loaded.run(pooled, images)
    assert logits.shape == (2, 10) and np.std(logits) > 0.1
    convolutions = loaded.again(shape=ANY_SIZE, fc_conv_padding="SAME", spatial_squeeze=False)
    at_each_position = loaded.run(convolutions, images)
    assert at_each_position.shape == (2, height // 32, width // 32, 10)
    # fc8 is linear, so the logits of the mean are the mean of the logits.
    assert_close(logits, at_each_position.mean((1, 2)), within=1e-5)


# fc6 and fc7 as matrix products.

PRODUCTS = [
    (7, "SAME", 1, 1),
    (7, "VALID", 7, 7),
    (6, "SAME", 1, 1),
    (5, "VALID", 5, 5),
    (1, "SAME", 1, 1),
    (1, "SAME", 3, 2),
    (1, "VALID", 2, 4),
]
CONVOLUTIONS = [(7, "SAME", 2, 2), (7, "SAME", 1, 2), (7, "SAME", 7, 7), (7, "VALID", 7, 8), (5, "VALID", 7, 6)]
CONVOLUTIONS += [(6, "SAME", 2, 1), (6, "SAME", 3, 3), (6, "SAME", 4, 5)]  # As OverFeat's.


def fully_connected(session, size, padding, shape, features, arguments):
    """Runs one such layer with fixed variables; returns its result, a loss and all gradients."""
    with slim.arg_scope(vgg.vgg_arg_scope(0.1)), slim.arg_scope([slim.conv2d], **arguments):
        with tf.variable_scope("net"):
            net = tf.placeholder(tf.float32, shape)
            outputs = fully_connected_conv2d(net, 8, size, padding, scope="fc")
    assert outputs.shape.as_list()[-1] == 8
    variables = tf.trainable_variables()
    assert variables[0].op.name == "net/fc/weights" and variables[0].shape == [size, size, 3, 8]
    wave = tf.sin(tf.cast(tf.range(tf.size(outputs)), tf.float32))
    loss = tf.reduce_sum(tf.reshape(outputs, [-1]) * wave) + tf.losses.get_regularization_loss()
    session.run(tf.global_variables_initializer())
    for variable in variables:
        variable.load(0.3 * images_of(*variable.shape.as_list()), session)
    return session.run([outputs, loss, *tf.gradients(loss, [net, *variables])], {net: features})


@pytest.mark.parametrize("size, padding, height, width", PRODUCTS + CONVOLUTIONS)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"activation_fn": None, "biases_initializer": None, "weights_regularizer": None},
        {"activation_fn": tf.nn.elu, "normalizer_fn": slim.batch_norm},
    ],
    ids=["as in VGG", "linear", "batch_norm"],
)
def test_a_matrix_product_is_the_convolution(size, padding, height, width, arguments, assert_close):
    features = images_of(4, height, width, 3)
    results = []
    for shape in ([None, height, width, 3], ANY_SIZE):
        with tf.Graph().as_default() as graph, tf.Session() as session:
            results.append(fully_connected(session, size, padding, shape, features, arguments))
            is_product = (size, padding, height, width) in PRODUCTS and shape is not ANY_SIZE
            (op,) = (op for op in graph.get_operations() if op.name in ("net/fc/Conv2D", "net/fc/MatMul"))
            assert op.type == ("MatMul" if is_product else "Conv2D")
            if not is_product:
                reached = size if shape is ANY_SIZE or padding == "VALID" else min(size, 2 * max(height, width) - 1)
                assert op.inputs[1].shape.as_list()[:2] == [reached, reached]
            assert not [op.name for op in graph.get_operations() if op.name.startswith("net_1")]
    for of_product, of_convolution in zip(*results):
        assert_close(of_product, of_convolution, within=1e-5)


@pytest.mark.parametrize("collections", [["mine"], {"weights": ["mine"], "biases": ["other"]}, None])
@pytest.mark.parametrize("size, padding, height, width", PRODUCTS[:5])
def test_a_matrix_product_keeps_collections_and_reuse(size, padding, height, width, collections_of, collections):
    seen = []
    for shape in ([4, height, width, 3], ANY_SIZE):
        with tf.Graph().as_default() as graph, tf.variable_scope("net") as scope:
            with (
                slim.arg_scope(vgg.vgg_arg_scope()),
                slim.arg_scope([slim.conv2d], variables_collections=collections, outputs_collections="outputs"),
            ):
                first = fully_connected_conv2d(tf.placeholder(tf.float32, shape), 8, size, padding, scope="fc")
                scope.reuse_variables()
                second = fully_connected_conv2d(tf.placeholder(tf.float32, shape), 8, size, padding, scope="fc")
        assert len(graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 1
        assert graph.get_collection("outputs") == [first, second]
        names = [[v.op.name for v in graph.get_collection(key)] for key in ("mine", "other")]
        seen.append([collections_of(graph), names, first.name, second.name])
    assert seen[0] == seen[1]


def test_fc6_of_a_small_map_is_refused_with_valid_padding():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="Negative dimension size"):
        fully_connected_conv2d(tf.zeros([1, 3, 3, 3]), 8, 7, "VALID", scope="fc6")
