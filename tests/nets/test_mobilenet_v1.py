"""MobileNet V1 against a NumPy network, and what it can be told; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import frozen_batch_norm, slim, tf
from slimft.nets import get_network, mobilenet_v1

PAIRS = [f"Conv2d_{i}_{half}" for i in range(1, 14) for half in ("depthwise", "pointwise")]


def images_of(*shape):
    return np.random.default_rng(23).standard_normal(shape, dtype=np.float32)


def placeholder(size, batch=None):
    return tf.placeholder(tf.float32, [batch, size, size, 3])


def base(images, **arguments):
    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=False)):
        return mobilenet_v1.mobilenet_v1_base(images, **{"depth_multiplier": 0.25, **arguments})


def randomize(session):
    """Weights at which activations keep their size, and so depend on the image and meet ReLU6's end."""
    rng, values = np.random.default_rng(5), {}
    for variable in tf.model_variables():
        shape, kind = variable.shape.as_list(), variable.op.name.rpartition("/")[2]
        value = rng.standard_normal(shape, dtype=np.float32)
        if kind in ("gamma", "moving_variance"):
            value = 1 + np.abs(value) / 4
        elif kind == "depthwise_weights":
            value *= np.sqrt(2 / 9)
        elif kind == "weights":
            value *= np.sqrt(2.5 / np.prod(shape[:-1]))
        else:
            value /= 4
        values[variable.initializer] = value
    session.run(list(values), {initializer.inputs[1]: value for initializer, value in values.items()})


# The graph.


def test_signatures():
    assert str(inspect.signature(mobilenet_v1.mobilenet_v1_base)) == (
        "(inputs, final_endpoint='Conv2d_13_pointwise', min_depth=8, depth_multiplier=1.0, conv_defs=None, "
        "output_stride=None, use_explicit_padding=False, scope=None)"
    )
    assert str(inspect.signature(mobilenet_v1.mobilenet_v1_arg_scope)).partition(", normalizer_fn=<")[0] == (
        "(is_training=True, weight_decay=4e-05, stddev=0.09, regularize_depthwise=False, batch_norm_decay=0.9997, "
        "batch_norm_epsilon=0.001, batch_norm_updates_collections='update_ops'"
    )


# The numbers.


def numpy_network(windows, values, x):
    """All layers by the paper's figure 3 and table 1, in float64, of the variables' `values`."""
    values = {name.removeprefix("MobilenetV1/"): value.astype(np.float64) for name, value in values.items()}
    x, layers = x.astype(np.float64), {}

    def add(scope, x):
        norm = {n: values[f"{scope}/BatchNorm/{n}"] for n in ("gamma", "beta", "moving_mean", "moving_variance")}
        x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 0.001) * norm["gamma"] + norm["beta"]
        layers[scope] = np.minimum(np.maximum(x, 0), 6)
        return layers[scope]

    x = add("Conv2d_0", np.einsum("bhwcij,ijco->bhwo", windows(x, 3, 2), values["Conv2d_0/weights"]))
    for i in range(1, 14):
        weights = values[f"Conv2d_{i}_depthwise/depthwise_weights"][..., 0]
        x = np.einsum("bhwcij,ijc->bhwc", windows(x, 3, 2 if i in (2, 4, 6, 12) else 1), weights)
        x = add(f"Conv2d_{i}_depthwise", x)
        x = add(f"Conv2d_{i}_pointwise", x @ values[f"Conv2d_{i}_pointwise/weights"][0, 0])
    x = layers["AvgPool_1a"] = x.mean((1, 2), keepdims=True)
    logits = values["Logits/Conv2d_1c_1x1/weights"][0, 0], values["Logits/Conv2d_1c_1x1/biases"]
    x = layers["Logits"] = x[:, 0, 0] @ logits[0] + logits[1]
    shares = np.exp(x - x.max(1, keepdims=True))
    layers["Predictions"] = shares / shares.sum(1, keepdims=True)
    return layers


@pytest.mark.parametrize("size", [32, 75])
def test_every_layer_is_numpys(size, build, windows, assert_close):
    network = build("slimft.nets", "mobilenet_v1_025", 10, (None, size, size, 3), is_training=False)
    images = 3 * images_of(2, size, size, 3)
    with network.graph.as_default(), tf.Session() as session:
        randomize(session)
        values = session.run({variable.op.name: variable for variable in tf.model_variables()})
        layers = session.run(network.end_points, {network.images: images})
    expected = numpy_network(windows, values, images)
    assert layers.keys() == expected.keys()
    assert sum(np.any(layer == 6) for layer in expected.values()) > 10
    logits = expected["Logits"]
    assert np.abs(logits[0] - logits[1]).max() > 0.05 * np.abs(logits).max()  # they depend on the image
    for name, layer in layers.items():
        assert_close(layer, expected[name].astype(np.float32), within=1e-5)


@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride_computes_the_same_at_more_positions(stride, assert_close):
    """With a padding that is alike on both sides, the strided network's values are among the atrous one's."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = placeholder(64)
        with tf.variable_scope("net") as sc:
            strided, _ = base(images, use_explicit_padding=True, scope=sc)
        with tf.variable_scope("net", reuse=True) as sc:
            dense, end_points = base(images, use_explicit_padding=True, output_stride=stride, scope=sc)
        randomize(session)
        strided, dense = session.run([strided, dense], {images: images_of(2, 64, 64, 3)})
    assert strided.shape[1:3] == (2, 2) and dense.shape[1:3] == (64 // stride, 64 // stride)
    assert_close(dense[:, :: 32 // stride, :: 32 // stride], strided, within=1e-5)
    sizes = [end_points[key].shape.as_list()[1] for key in PAIRS[1::2]]
    assert sizes == [max(64 // n, 64 // stride) for n in (2, 4, 4, 8, 8, *[16] * 6, 32, 32)]


@pytest.mark.parametrize("size, same", [(65, True), (64, False)])
def test_explicit_padding_is_same_padding_where_sizes_are_odd(size, same):
    with tf.Graph().as_default(), tf.Session() as session:
        images = placeholder(size)
        with tf.variable_scope("net") as sc:
            ours, _ = base(images, scope=sc)
        with tf.variable_scope("net", reuse=True) as sc:
            explicit, _ = base(images, use_explicit_padding=True, scope=sc)
        randomize(session)
        ours, explicit = session.run([ours, explicit], {images: images_of(1, size, size, 3)})
    assert ours.shape == explicit.shape
    assert np.allclose(ours, explicit, atol=1e-5) == same


# What it can be told.


def test_larger_images_than_224_are_pooled_globally():
    for size in (32, 33, 64, 223, 224, 225, 255, 256, 320):
        arguments = {"global_pool": True} if size > 224 else {}
        assert get_network("mobilenet_v1_025").arguments_for(size, is_training=False) == arguments


def test_pooling():
    """Up to 224 pixels the fixed window is the whole map; an unknown size is taken to be that large."""
    with tf.Graph().as_default(), tf.Session() as session, slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
        images = placeholder(96)
        arguments = {"num_classes": 0, "is_training": False}
        fixed, _ = mobilenet_v1.mobilenet_v1_025(images, **arguments)
        pooled, _ = mobilenet_v1.mobilenet_v1_025(images, global_pool=True, reuse=True, **arguments)
        unknown, _ = mobilenet_v1.mobilenet_v1_025(placeholder(None), reuse=True, **arguments)
        randomize(session)
        fixed, pooled = session.run([fixed, pooled], {images: images_of(2, 96, 96, 3)})
    assert fixed.shape == (2, 1, 1, 256)
    np.testing.assert_allclose(fixed, pooled, rtol=1e-5, atol=1e-6)
    assert unknown.op.get_attr("ksize") == [1, 7, 7, 1]


def test_dropout():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
            _, end_points = mobilenet_v1.mobilenet_v1_025(placeholder(32), 7, dropout_keep_prob=0.25)
        logits = graph.get_operation_by_name("MobilenetV1/Logits/Conv2d_1c_1x1/Conv2D")
        kept = session.run(logits.inputs[0], {end_points["AvgPool_1a"]: np.ones([8, 1, 1, 256])})
    assert set(np.unique(kept)) == {0, 4} and np.mean(kept == 0) == pytest.approx(0.75, abs=0.1)


def test_frozen_layers_normalize_as_in_evaluation():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = placeholder(32)
        spec = get_network("mobilenet_v1_025")
        with slim.arg_scope(spec.arg_scope()):
            evaluated, _ = spec.function(images, 7, is_training=False)
            with frozen_batch_norm(lambda scope: True):
                frozen, _ = spec.function(images, 7, is_training=True, dropout_keep_prob=1.0, reuse=True)
        assert graph.get_collection(tf.GraphKeys.UPDATE_OPS) == []
        randomize(session)
        evaluated, frozen = session.run([evaluated, frozen], {images: images_of(3, 32, 32, 3)})
    np.testing.assert_allclose(frozen, evaluated, rtol=1e-5, atol=1e-5)


def test_training_moves_the_averages_by_the_decay():
    """0.9997 of the old average and the rest from the batch, which here is constant."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        get_network("mobilenet_v1_025").build(tf.ones([2, 32, 32, 3]), 7, is_training=True)
        session.run(tf.global_variables_initializer())
        mean = graph.get_tensor_by_name("MobilenetV1/Conv2d_0/BatchNorm/moving_mean:0")
        weights = session.run("MobilenetV1/Conv2d_0/weights:0")
        session.run(graph.get_collection(tf.GraphKeys.UPDATE_OPS))
        moved = session.run(mean)
    # Of 16x16 positions, those of the last row and column see two rows or columns of the kernel.
    taps = [(np.s_[:3, :3], 225), (np.s_[:2, :3], 15), (np.s_[:3, :2], 15), (np.s_[:2, :2], 1)]
    batch = sum(n * weights[seen].sum((0, 1, 2)) for seen, n in taps) / 256
    np.testing.assert_allclose(moved, 0.0003 * batch, rtol=1e-3, atol=1e-6)


def test_weight_decay_is_half_the_squares():
    for regularize_depthwise, weights in ((False, "/weights"), (True, "weights")):
        with tf.Graph().as_default() as graph, tf.Session() as session:
            arg_scope = mobilenet_v1.mobilenet_v1_arg_scope(
                weight_decay=0.01, regularize_depthwise=regularize_depthwise
            )
            with slim.arg_scope(arg_scope):
                mobilenet_v1.mobilenet_v1_025(placeholder(32), 7)
            randomize(session)
            loss = session.run(tf.add_n(graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))
            decayed = [variable for variable in tf.trainable_variables() if variable.op.name.endswith(weights)]
            assert len(decayed) == (28 if regularize_depthwise else 15)
            squares = sum(np.sum(values**2.0) for values in session.run(decayed))
        np.testing.assert_allclose(loss, 0.005 * squares, rtol=1e-5)


@pytest.mark.parametrize("normalizer_fn, kinds", [(None, {"biases"}), (slim.instance_norm, {"beta", "gamma"})])
def test_another_normalization(normalizer_fn, kinds):
    with tf.Graph().as_default():
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(normalizer_fn=normalizer_fn)):
            mobilenet_v1.mobilenet_v1_base(placeholder(32), "Conv2d_1_pointwise", depth_multiplier=0.25)
        found = {variable.op.name.rpartition("/")[2] for variable in tf.model_variables()}
    assert found == {"weights", "depthwise_weights", *kinds}


def test_depths():
    with tf.Graph().as_default():
        _, end_points = base(placeholder(32), depth_multiplier=0.1, min_depth=12)
        assert [end_points[key].shape[3] for key in ("Conv2d_0", *PAIRS[1::2])] == [
            12, 12, 12, 12, 25, 25, 51, 51, 51, 51, 51, 51, 102, 102,
        ]  # fmt: skip


def test_layers_of_ones_own():
    full, separable = mobilenet_v1.Conv, mobilenet_v1.DepthSepConv
    layers = [full([3, 3], 2, 16), separable([5, 5], 2, 24), full([1, 1], 1, 9)]
    with tf.Graph().as_default():
        net, end_points = base(placeholder(32), conv_defs=layers, final_endpoint="Conv2d_2", depth_multiplier=1.0)
        shapes = {key: value.shape.as_list()[1:] for key, value in end_points.items()}
        weights = next(v for v in tf.model_variables() if v.op.name.endswith("depthwise_weights"))
    assert shapes == {
        "Conv2d_0": [16, 16, 16],
        "Conv2d_1_depthwise": [8, 8, 16],
        "Conv2d_1_pointwise": [8, 8, 24],
        "Conv2d_2": [8, 8, 9],
    }
    assert weights.shape.as_list() == [5, 5, 16, 1] and net is end_points["Conv2d_2"]


def test_final_endpoint_leaves_the_rest_out():
    with tf.Graph().as_default():
        net, end_points = base(placeholder(32), final_endpoint="Conv2d_3_depthwise")
        assert list(end_points) == ["Conv2d_0", *PAIRS[:5]] and net is end_points["Conv2d_3_depthwise"]
        assert len(tf.model_variables()) == 6 * 5


def test_without_squeeze_and_predictions():
    with tf.Graph().as_default(), slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
        logits, end_points = mobilenet_v1.mobilenet_v1_025(
            placeholder(288), 7, spatial_squeeze=False, prediction_fn=None
        )
    assert logits.shape.as_list() == [None, 2, 2, 7]  # 9x9 positions, windows of 7x7 every 2
    assert "Predictions" not in end_points


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"depth_multiplier": 0}, "depth_multiplier has to be greater than zero, not 0"),
        ({"output_stride": 4}, "output_stride has to be 8, 16 or 32, not 4"),
        ({"final_endpoint": "Conv2d_14"}, "no final_endpoint 'Conv2d_14'; there are Conv2d_0, Conv2d_1_depthwise"),
    ],
)
def test_what_cannot_be(arguments, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        base(placeholder(32), **arguments)


def test_inputs_of_another_rank():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="rank 4, not 3"):
        mobilenet_v1.mobilenet_v1(tf.zeros([32, 32, 3]))
