"""ResNet V1: what it can be told, at strides and depths of one's own; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import resnet_utils, resnet_v1

UNITS = {
    "resnet_v1_50": (3, 4, 6, 3),
    "resnet_v1_101": (3, 4, 23, 3),
    "resnet_v1_152": (3, 8, 36, 3),
}
# A network with all the strides of the real ones, that builds and runs in no time.
BLOCKS = [
    resnet_v1.resnet_v1_block(f"block{i}", base_depth=i, num_units=2 if i == 1 else 1, stride=2 if i < 4 else 1)
    for i in (1, 2, 3, 4)
]
UPDATES = 2 * (1 + 3 * 5 + 4)  # the mean and variance of conv1, of the units' convolutions, of the shortcuts


def images_of(*shape):
    return np.random.default_rng(11).standard_normal(shape, dtype=np.float32)


def small(images, num_classes=None, arg_scope=None, **arguments):
    """The small network, in inference mode and named `small` unless told otherwise."""
    arguments = {"is_training": False, "scope": "small", **arguments}
    with slim.arg_scope(arg_scope or resnet_v1.resnet_arg_scope()):
        return resnet_v1.resnet_v1(images, BLOCKS, num_classes, **arguments)


# The graph.


# The logits.


# The arguments.


def test_the_signature_is_research_slims():
    """That of the function of any blocks; conformance/ has those of the networks."""
    assert str(inspect.signature(resnet_v1.resnet_v1)) == (
        "(inputs, blocks, num_classes=None, is_training=True, global_pool=True, output_stride=None, "
        "include_root_block=True, spatial_squeeze=True, store_non_strided_activations=False, reuse=None, "
        "scope=None, final_endpoint=None)"  # The last is ours alone.
    )
    assert resnet_v1.resnet_v1.default_image_size == 224


@pytest.mark.parametrize("name", UNITS)
def test_every_argument_reaches_the_network(monkeypatch, name):
    signature, calls = inspect.signature(resnet_v1.resnet_v1), []
    monkeypatch.setattr(
        resnet_v1, "resnet_v1", lambda *args, **kwargs: calls.append(signature.bind(*args, **kwargs))
    )
    given = {
        "inputs": "images",
        "num_classes": 7,
        "is_training": "training",
        "global_pool": "pool",
        "output_stride": 8,
        "spatial_squeeze": "squeeze",
        "reuse": "reuse",
        "scope": "mine",
        "store_non_strided_activations": "store",
        "final_endpoint": "block2",
    }
    getattr(resnet_v1, name)(**given, depth_multiplier=0.3, min_base_depth=30)
    getattr(resnet_v1, name)("images")
    for call in calls:
        call.apply_defaults()
    told, defaults = (dict(call.arguments) for call in calls)
    blocks = told.pop("blocks")
    assert told == {**given, "include_root_block": True}
    assert defaults["scope"] == name
    assert tuple(len(block.args) for block in blocks) == UNITS[name]
    # 0.3 of them, rounded down, but 30 at least.
    assert [block.args[0]["depth_bottleneck"] for block in defaults["blocks"]] == [64, 128, 256, 512]
    assert [block.args[0]["depth_bottleneck"] for block in blocks] == [30, 38, 76, 153]
    assert [block.args[-1]["depth"] for block in blocks] == [120, 152, 304, 612]


@pytest.mark.parametrize("name", UNITS)
def test_the_order_of_arguments_is_research_slims(monkeypatch, name):
    """There the deeper ones have two of them the other way around."""
    told = ("spatial_squeeze", "store_non_strided_activations")
    signature = inspect.signature(resnet_v1.resnet_v1)
    monkeypatch.setattr(resnet_v1, "resnet_v1", lambda *args: signature.bind(*args).arguments)
    arguments = getattr(resnet_v1, name)("images", 7, True, True, None, "sixth", "seventh", 4, 2, True, "mine")
    expected = ("sixth", "seventh") if name in ("resnet_v1_50", "resnet_v1_101") else ("seventh", "sixth")
    assert tuple(arguments[key] for key in told) == expected
    assert (arguments["reuse"], arguments["scope"]) == (True, "mine")


def test_output_stride_of_resnet_50(build):
    network = build(
        "slimft.nets", "resnet_v1_50", None, (1, 225, 225, 3), is_training=False, global_pool=False, output_stride=8
    )
    sizes = [network.end_points[f"resnet_v1_50/block{i}"].shape.as_list()[1] for i in (1, 2, 3, 4)]
    assert sizes == [29, 29, 29, 29]
    # An atrous convolution of rate r is one on r*r interleaved images.
    rates = [
        tf.get_static_value(op.inputs[1]).tolist()
        for op in network.graph.get_operations()
        if op.type == "SpaceToBatchND"
    ]
    assert rates == [[2, 2]] * 6 + [[4, 4]] * 3


@pytest.mark.parametrize("store_non_strided_activations", [False, True])
def test_dense_features_subsampled_are_the_nominal_ones(
    random_weights, assert_close, store_non_strided_activations
):
    """Atrous convolutions give the same features at more positions (He et al. have them every 32 pixels)."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [2, 65, 97, 3])
        features = {
            stride: small(
                images,
                global_pool=False,
                output_stride=stride,
                reuse=tf.AUTO_REUSE,
                store_non_strided_activations=store_non_strided_activations,
            )[0]
            for stride in (None, 32, 16, 8, 4)
        }
        with random_weights(graph) as (session, _):
            features = session.run(features, {images: images_of(2, 65, 97, 3)})
    nominal = features.pop(None)
    assert nominal.shape == (2, 3, 4, 16)
    assert np.std(nominal) > 0.1
    for stride, dense in features.items():
        assert dense.shape == (2, 64 // stride + 1, 96 // stride + 1, 16)
        assert_close(dense[:, :: 32 // stride, :: 32 // stride], nominal, within=1e-5)


def test_activations_stored_before_the_stride(random_weights, assert_close):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [2, 64, 64, 3])
        net, end_points = small(images, 5, reuse=tf.AUTO_REUSE)
        stored_net, stored_end_points = small(images, 5, reuse=tf.AUTO_REUSE, store_non_strided_activations=True)
        with random_weights(graph) as (session, _):
            values, stored = session.run([end_points, stored_end_points], {images: images_of(2, 64, 64, 3)})
    assert net.shape == stored_net.shape
    sizes = [[value[f"small/block{i}"].shape[1] for i in (1, 2, 3, 4)] for value in (values, stored)]
    assert sizes == [[8, 4, 2, 2], [16, 8, 4, 2]]
    for i, factor in ((1, 2), (2, 2), (3, 2), (4, 1)):
        name = f"small/block{i}"
        assert_close(stored[name][:, ::factor, ::factor], values[name], within=1e-5)
    assert_close(stored["predictions"], values["predictions"], within=1e-5)


@pytest.mark.parametrize(
    "output_stride, problem",
    [(2, "multiple of 4"), (6, "multiple of 4"), (12, "cannot be reached"), (64, "cannot be reached")],
)
@pytest.mark.parametrize("store_non_strided_activations", [False, True])
def test_impossible_output_strides(output_stride, problem, store_non_strided_activations):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=problem):
        small(
            tf.zeros([1, 64, 64, 3]),
            output_stride=output_stride,
            store_non_strided_activations=store_non_strided_activations,
        )


@pytest.mark.parametrize("num_classes, global_pool", [(0, True), (None, False)])
def test_without_classes_the_features_are_the_result(num_classes, global_pool):
    with tf.Graph().as_default() as graph:
        net, end_points = small(tf.zeros([2, 64, 96, 3]), num_classes, global_pool=global_pool)
    last = "global_pool" if global_pool else "small/block4"
    assert net is end_points[last] and list(end_points)[-1] == last
    assert net.shape == ([2, 1, 1, 16] if global_pool else [2, 2, 3, 16])
    assert not [op.name for op in graph.get_operations() if "logits" in op.name or "predictions" in op.name]


def test_logits_at_each_position():
    with tf.Graph().as_default():
        net, end_points = small(tf.zeros([2, 64, 96, 3]), 5, global_pool=False, spatial_squeeze=False)
        assert net.op.name == "small/logits/BiasAdd"
        assert net.shape == end_points["predictions"].shape == [2, 2, 3, 5]
        assert list(end_points)[-3:] == ["small/block4", "small/logits", "predictions"]
        with pytest.raises(ValueError, match="squeeze"):
            small(tf.zeros([2, 64, 96, 3]), 5, global_pool=False, scope="other")


def test_predictions_are_the_softmax_of_the_logits(random_weights, assert_close):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [2, 64, 96, 3])
        fetches = small(images, 5, global_pool=False, spatial_squeeze=False)
        with random_weights(graph) as (session, _):
            logits, end_points = session.run(fetches, {images: images_of(2, 64, 96, 3)})
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    assert_close(end_points["predictions"], exponentials / exponentials.sum(-1, keepdims=True), within=1e-5)


def test_without_root_block():
    with tf.Graph().as_default() as graph:
        _, end_points = small(tf.zeros([1, 64, 64, 3]), 5, include_root_block=False, output_stride=8)
    assert next(iter(end_points)) == "small/block1/unit_1/bottleneck_v1/shortcut"
    assert end_points["small/block4"].shape == [1, 8, 8, 16]
    assert not [op.name for op in graph.get_operations() if op.name.startswith(("small/conv1", "small/pool1"))]


def test_scopes():
    with tf.Graph().as_default(), tf.variable_scope("outer"):
        net, end_points = small(tf.zeros([1, 64, 64, 3]), 5, scope=None)
        assert net.op.name == "outer/resnet_v1/SpatialSqueeze"
        assert list(end_points)[0] == "outer/resnet_v1/conv1"
        assert list(end_points)[-2:] == ["outer/resnet_v1/spatial_squeeze", "predictions"]
        variables = len(tf.model_variables())
        _, end_points = small(tf.zeros([1, 64, 64, 3]), 5, scope=None)
        assert list(end_points)[0] == "outer/resnet_v1_1/conv1"
        assert len(tf.model_variables()) == 2 * variables


def test_reuse():
    with tf.Graph().as_default():
        _, first = small(tf.zeros([1, 64, 64, 3]), 5)
        variables, losses = tf.global_variables(), tf.losses.get_regularization_losses()
        _, end_points = small(tf.zeros([1, 64, 64, 3]), 5, reuse=True)
        assert tf.global_variables() == variables
        assert tf.losses.get_regularization_losses() == losses
        # Keys by the variables' scope, tensors of the second network.
        assert list(end_points) == list(first)
        assert all(end_point.op.name.startswith("small_1/") for end_point in end_points.values())
        with pytest.raises(ValueError, match="already exists"):
            small(tf.zeros([1, 64, 64, 3]), 5)


def test_is_training_as_a_tensor(random_weights, assert_close):
    images = images_of(4, 64, 64, 3)
    with tf.Graph().as_default() as graph:
        mode = tf.placeholder(tf.bool, [])
        nets = {
            is_training: small(images, 5, is_training=is_training, reuse=tf.AUTO_REUSE)[0]
            for is_training in (True, False, mode)
        }
        with random_weights(graph) as (session, _):
            for is_training in (True, False):
                logits, expected = session.run([nets[mode], nets[is_training]], {mode: is_training})
                assert_close(logits, expected, within=1e-6)
            assert np.abs(expected - session.run(nets[True])).max() > 0.01


@pytest.mark.parametrize("is_training, updates", [(True, UPDATES), (False, 0)])
def test_is_training_none_leaves_it_to_the_arg_scope(is_training, updates):
    with tf.Graph().as_default() as graph:
        with slim.arg_scope(resnet_v1.resnet_arg_scope()):
            with slim.arg_scope([slim.batch_norm], is_training=is_training) as arg_scope:
                pass
        small(tf.zeros([1, 64, 64, 3]), 5, arg_scope, is_training=None)
        assert len(graph.get_collection(tf.GraphKeys.UPDATE_OPS)) == updates


# What the arg_scope and resnet_utils do.


def test_arg_scope_arguments(collections_of):
    with tf.Graph().as_default() as graph:
        arg_scope = resnet_v1.resnet_arg_scope(
            weight_decay=0.0, batch_norm_scale=False, activation_fn=tf.nn.elu, batch_norm_updates_collections="mine"
        )
        small(tf.zeros([1, 64, 64, 3]), 5, arg_scope, is_training=True)
    assert graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES) == []
    assert graph.get_collection(tf.GraphKeys.UPDATE_OPS) == []
    assert len(graph.get_collection("mine")) == UPDATES
    assert not [v.op.name for v in graph.get_collection("variables") if v.op.name.endswith("gamma")]
    assert "Elu" in {op.type for op in graph.get_operations()}

    with tf.Graph().as_default() as graph:
        small(tf.zeros([1, 64, 64, 3]), 5, resnet_v1.resnet_arg_scope(use_batch_norm=False))
    kinds = {v.op.name.rpartition("/")[2] for v in graph.get_collection("variables")}
    assert kinds == {"weights", "biases"}


def test_batch_norm_settings():
    arg_scope = resnet_v1.resnet_arg_scope()
    (settings,) = (arg_scope[key] for key in arg_scope if key == slim.arg_scope_func_key(slim.batch_norm))
    assert settings == {
        "decay": 0.997,
        "epsilon": 1e-5,
        "scale": True,
        "fused": None,
        "updates_collections": tf.GraphKeys.UPDATE_OPS,
    }


def test_bounded_activations(random_weights):
    with tf.Graph().as_default() as graph:
        with slim.arg_scope(resnet_v1.resnet_arg_scope()):
            with slim.arg_scope([resnet_v1.bottleneck], use_bounded_activations=True) as arg_scope:
                pass
        bounded = small(20 * images_of(2, 64, 64, 3), arg_scope=arg_scope)[1]
        unbounded = small(20 * images_of(2, 64, 64, 3), scope="unbounded")[1]
        with random_weights(graph) as (session, _):
            bounded, unbounded = session.run([bounded, unbounded])
    assert max(value.max() for key, value in bounded.items() if "block" in key and "conv" not in key) == 6
    assert unbounded["unbounded/block1"].max() > 6


@pytest.mark.parametrize("size", [(8, 8), (9, 9), (8, 11)])
@pytest.mark.parametrize("kernel_size, stride, rate", [(3, 2, 1), (7, 2, 1), (3, 3, 1), (3, 1, 2)])
def test_conv2d_same_is_the_convolution_subsampled(size, kernel_size, stride, rate, assert_close):
    images = images_of(2, *size, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope([slim.conv2d], activation_fn=None), tf.variable_scope("net") as scope:
            strided = resnet_utils.conv2d_same(images, 4, kernel_size, stride, rate, scope="conv")
            scope.reuse_variables()
            whole = slim.conv2d(images, 4, kernel_size, rate=rate, scope="conv")
            subsampled = resnet_utils.subsample(whole, stride)
        assert (subsampled is whole) == (stride == 1)
        session.run(tf.global_variables_initializer())
        strided, subsampled, whole = session.run([strided, subsampled, whole])
    np.testing.assert_array_equal(subsampled, whole[:, ::stride, ::stride])
    assert_close(strided, subsampled, within=1e-5)
