"""DenseNet against a NumPy network, DenseNet-161, and what it can be told; see conformance/ for the rest.

conformance/networks/densenet.py says where densenet_variables.json is from.
"""

import inspect
import json
import pathlib

import numpy as np
import pytest

from slimft.compat import dropout_seed, frozen_batch_norm, slim, tf
from slimft.nets import densenet

PORT = json.loads(pathlib.Path(__file__).with_name("densenet_variables.json").read_text(encoding="utf-8"))
NAMES = ("densenet121", "densenet161", "densenet169")
# Of DenseNet-161, which the registry does not have; the number of parameters, with 1000 classes, is torchvision's.
BLOCKS, PARAMETERS = (6, 12, 36, 24), 28_681_000
# A network with all the strides of the real ones, that builds and runs in no time.
SMALL = {"reduction": 0.5, "growth_rate": 4, "num_filters": 6, "num_layers": [2, 1, 1, 2]}


def images_of(*shape):
    return np.random.default_rng(31).standard_normal(shape, dtype=np.float32)


def placeholder(size, batch=None):
    return tf.placeholder(tf.float32, [batch, size, size, 3])


def small(images, num_classes=7, arg_scope=None, **arguments):
    """The small network, in inference mode and named `small` unless told otherwise."""
    arguments = {"is_training": False, "scope": "small", **SMALL, **arguments}
    with slim.arg_scope(arg_scope or densenet.densenet_arg_scope()):
        return densenet.densenet(images, num_classes, **arguments)


def randomize(session):
    rng, values = np.random.default_rng(5), {}
    for variable in tf.model_variables():
        shape, kind = variable.shape.as_list(), variable.op.name.rpartition("/")[2]
        value = rng.standard_normal(shape, dtype=np.float32)
        if kind in ("gamma", "moving_variance"):
            value = 1 + np.abs(value) / 4
        else:
            value *= np.sqrt(2 / np.prod(shape[:-1])) if kind == "weights" else 0.25
        values[variable.initializer] = value
    session.run(list(values), {initializer.inputs[1]: value for initializer, value in values.items()})


def flat(tree, scope):
    """The shapes of `tree`, a dictionary a scope, by whole name."""
    if isinstance(tree, list):
        return {scope: tree}
    return {name: shape for key in tree for name, shape in flat(tree[key], f"{scope}/{key}").items()}


# The graph.


@pytest.fixture(scope="module")
def network():
    """DenseNet-161 as the port has it: its graph, logits and end points."""
    with tf.Graph().as_default() as graph, slim.arg_scope(densenet.densenet_arg_scope()):
        logits, end_points = densenet.densenet161(placeholder(224))
    return graph, logits, end_points


def test_variables_of_161_are_the_ports(network, collections_of):
    seen = collections_of(network[0])
    shapes = {variable: shape for variable, shape, _ in seen["model_variables"]}
    assert shapes == flat(PORT["densenet161"], "densenet161")
    assert len(shapes) == len(seen["variables"])
    layers = 1 + 2 * sum(BLOCKS) + 3
    assert len(seen["regularization_losses"]) == layers + 1
    assert len(seen["update_ops"]) == 2 * (layers + 1)  # each convolution's own, and the one before the logits
    assert sum(np.prod(shape) for _, shape, _ in seen["trainable_variables"]) == PARAMETERS
    of_classes = [variable for variable, shape in shapes.items() if shape[-1] == 1000]
    assert of_classes == ["densenet161/logits/weights", "densenet161/logits/biases"]


def test_end_points_of_161(network):
    _, logits, end_points = network
    shapes = {key.removeprefix("densenet161/"): value.shape.as_list()[1:] for key, value in end_points.items()}
    expected, depth = {"conv1": [112, 112, 96]}, 96
    for block, (layers, size) in enumerate(zip(BLOCKS, (56, 28, 14, 7)), start=1):
        for layer in range(1, layers + 1):
            # Each layer adds its growth rate, 48.
            depth += 48
            scope = f"dense_block{block}/conv_block{layer}"
            expected |= {f"{scope}/{key}": [size, size, 4 * 48] for key in ("x1/Conv", "x1")}
            expected |= {f"{scope}/{key}": [size, size, 48] for key in ("x2/Conv", "x2")}
            expected[scope] = [size, size, depth]
        expected[f"dense_block{block}"] = [size, size, depth]
        if block < 4:
            # A transition halves channels, height and width.
            depth //= 2
            scope = f"transition_block{block}"
            expected |= {f"{scope}/{key}": [size, size, depth] for key in ("blk/Conv", "blk")}
            expected[scope] = [size // 2, size // 2, depth]
    expected |= {"logits": [1, 1, 1000], "predictions": [1, 1, 1000]}
    assert list(shapes.items()) == list(expected.items())
    assert end_points["densenet161/logits"] is logits and logits.op.name == "densenet161/logits/BiasAdd"


def test_signatures():
    for name in NAMES:
        function = getattr(densenet, name)
        assert str(inspect.signature(function)) == (
            "(inputs, num_classes=1000, data_format='NHWC', is_training=True, reuse=None, spatial_squeeze=False)"
        )
        assert function.default_image_size == 224 and function.__name__ == name
        assert getattr(densenet, name.replace("net", "net_")) is function
    assert str(inspect.signature(densenet.densenet)) == (
        "(inputs, num_classes=1000, reduction=None, growth_rate=None, num_filters=None, num_layers=None, "
        "dropout_rate=None, data_format='NHWC', is_training=True, reuse=None, scope=None, spatial_squeeze=False)"
    )
    assert str(inspect.signature(densenet.densenet_arg_scope)) == (
        "(weight_decay=0.0001, batch_norm_decay=0.99, batch_norm_epsilon=1.1e-05, data_format='NHWC')"
    )


# The numbers.


def numpy_network(windows, values, x):
    """What the small network makes of images, by the paper's section 3, in float64; by end point."""
    values = {name.removeprefix("small/"): value.astype(np.float64) for name, value in values.items()}
    layers = {}

    def conv(scope, x, stride=1):
        weights = values[f"{scope}/weights"]
        layers[scope] = np.einsum("bhwcij,ijco->bhwo", windows(x, len(weights), stride), weights)
        return layers[scope]

    def normalize(scope, x):
        norm = {n: values[f"{scope}/{n}"] for n in ("gamma", "beta", "moving_mean", "moving_variance")}
        x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1.1e-5) * norm["gamma"] + norm["beta"]
        return np.maximum(x, 0)

    def composite(scope, x):
        layers[scope] = conv(f"{scope}/Conv", normalize(f"{scope}/BatchNorm", x))
        return layers[scope]

    x = normalize("BatchNorm", conv("conv1", x.astype(np.float64), stride=2))
    x = windows(x, 3, 2, outside=-np.inf).max((4, 5))
    for block, repetitions in enumerate(SMALL["num_layers"], start=1):
        for layer in range(1, repetitions + 1):
            scope = f"dense_block{block}/conv_block{layer}"
            new = composite(f"{scope}/x2", composite(f"{scope}/x1", x))
            x = layers[scope] = np.concatenate([x, new], axis=3)
        layers[f"dense_block{block}"] = x
        if block < 4:
            x = composite(f"transition_block{block}/blk", x)
            batch, rows, columns, depth = (n // 2 if i in (1, 2) else n for i, n in enumerate(x.shape))
            x = x[:, : 2 * rows, : 2 * columns].reshape(batch, rows, 2, columns, 2, depth).mean((2, 4))
            layers[f"transition_block{block}"] = x
    x = normalize("final_block/BatchNorm", x).mean((1, 2), keepdims=True)
    x = layers["logits"] = x @ values["logits/weights"][0, 0] + values["logits/biases"]
    shares = np.exp(x - x.max(3, keepdims=True))
    return {f"small/{name}": layer for name, layer in layers.items()} | {
        "predictions": shares / shares.sum(3, keepdims=True)
    }


@pytest.mark.parametrize("size", [32, 75])
def test_every_layer_is_numpys(size, windows, assert_close):
    images = images_of(2, size, size, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = placeholder(size)
        _, end_points = small(inputs)
        randomize(session)
        values = session.run({variable.op.name: variable for variable in tf.model_variables()})
        layers = session.run(end_points, {inputs: images})
    expected = numpy_network(windows, values, images)
    assert layers.keys() == expected.keys()
    logits = expected["small/logits"]
    assert np.abs(logits[0] - logits[1]).max() > 0.05 * np.abs(logits).max()  # they depend on the image
    for name, layer in layers.items():
        assert_close(layer, expected[name].astype(np.float32), within=1e-5)


# What it can be told.


@pytest.mark.parametrize("size", [32, 33, 225])
@pytest.mark.parametrize("spatial_squeeze, shape", [(False, [None, 1, 1, 7]), (True, [None, 7])])
def test_logits_for_any_size(size, spatial_squeeze, shape):
    with tf.Graph().as_default():
        logits, end_points = small(placeholder(size), spatial_squeeze=spatial_squeeze)
    assert logits.shape.as_list() == end_points["predictions"].shape.as_list() == shape


def test_frozen_layers_normalize_as_in_evaluation():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = placeholder(32)
        evaluated, _ = small(images)
        with frozen_batch_norm(lambda scope: True):
            frozen, _ = small(images, is_training=True, reuse=True)
        assert graph.get_collection(tf.GraphKeys.UPDATE_OPS) == []
        randomize(session)
        evaluated, frozen = session.run([evaluated, frozen], {images: images_of(3, 32, 32, 3)})
    np.testing.assert_allclose(frozen, evaluated, rtol=1e-5, atol=1e-6)


def test_arg_scope():
    """The decay of the averages, and weight decay of all weights alike."""
    scope = densenet.densenet_arg_scope(weight_decay=0.01, batch_norm_decay=0.75)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = images_of(2, 32, 32, 3)
        _, end_points = small(tf.constant(images), is_training=True, arg_scope=scope)
        randomize(session)
        mean = graph.get_tensor_by_name("small/BatchNorm/moving_mean:0")
        losses = tf.add_n(graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
        weights = [v for v in tf.trainable_variables() if v.op.name.endswith("/weights")]
        before, batch, loss, weights = session.run([mean, end_points["small/conv1"], losses, weights])
        session.run(graph.get_collection(tf.GraphKeys.UPDATE_OPS))
        after = session.run(mean)
    np.testing.assert_allclose(after, 0.75 * before + 0.25 * batch.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(loss, 0.005 * sum(np.sum(values**2.0) for values in weights), rtol=1e-5)


@pytest.mark.parametrize("is_training", [True, False])
def test_dropout_follows_the_blocks_convolutions(is_training):
    """In training it drops about its share of each convolution's results, as the seed says."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(images_of(2, 64, 64, 3))
        with dropout_seed([3, 4]):
            _, end_points = small(images, dropout_rate=0.25, is_training=is_training)
        randomize(session)
        outputs = [end_points[f"small/dense_block1/conv_block1/x1{part}"] for part in ("", "/Conv")]
        kept, whole = session.run(outputs)
        again = session.run(outputs[0])
    assert np.mean(kept[whole != 0] == 0) == pytest.approx(0.25 if is_training else 0, abs=0.03)
    np.testing.assert_allclose(kept[kept != 0], whole[kept != 0] / (0.75 if is_training else 1), rtol=1e-5)
    np.testing.assert_array_equal(kept, again)


@pytest.mark.parametrize("transposes", [True, False])
def test_channels_first(transposes):
    """The argument transposes the inputs; under an arg_scope of that format they come transposed."""
    shape = [None, 64, 64, 3] if transposes else [None, 3, 64, 64]
    with tf.Graph().as_default() as graph:
        logits, end_points = small(
            tf.placeholder(tf.float32, shape),
            data_format="NCHW" if transposes else "NHWC",
            arg_scope=None if transposes else densenet.densenet_arg_scope(data_format="NCHW"),
        )
        shapes = {v.op.name: v.shape.as_list() for v in tf.model_variables()}
    formats = {op.get_attr("data_format") for op in graph.get_operations() if op.type in ("Conv2D", "AvgPool")}
    assert formats == {b"NCHW"}
    assert end_points["small/dense_block1"].shape.as_list() == [None, 6 + 2 * 4, 16, 16]
    assert logits.shape.as_list() == end_points["predictions"].shape.as_list() == [None, 1, 1, 7]
    with tf.Graph().as_default():
        small(placeholder(64))
        assert shapes == {v.op.name: v.shape.as_list() for v in tf.model_variables()}


def test_without_classes():
    with tf.Graph().as_default():
        features, end_points = small(placeholder(32), num_classes=None)
        assert features.shape.as_list() == [None, 1, 1, 12]  # 6 + 8, halved, + 4, halved, + 4, halved, + 8
        assert "predictions" not in end_points and "small/logits" not in end_points


def test_a_missing_number():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="needs its reduction, growth_rate"):
        small(placeholder(32), growth_rate=None)
