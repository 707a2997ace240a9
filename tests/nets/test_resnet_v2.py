"""ResNet V2: what it can be told, at strides and depths of one's own; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import resnet_utils, resnet_v2

UNITS = {
    "resnet_v2_50": (3, 4, 6, 3),
    "resnet_v2_101": (3, 4, 23, 3),
    "resnet_v2_152": (3, 8, 36, 3),
}
# A network with all the strides of the real ones, that builds and runs in no time.
BLOCKS = [
    resnet_v2.resnet_v2_block(f"block{i}", base_depth=i, num_units=2 if i == 1 else 1, stride=2 if i < 4 else 1)
    for i in (1, 2, 3, 4)
]
UPDATES = 2 * (3 * 5 + 1)  # the mean and variance of the units' preact, conv1 and conv2, and of postnorm


def images_of(*shape):
    return np.random.default_rng(13).standard_normal(shape, dtype=np.float32)


def small(images, num_classes=None, **arguments):
    """The small network, in inference mode and named `small` unless told otherwise."""
    arguments = {"is_training": False, "scope": "small", **arguments}
    with slim.arg_scope(resnet_v2.resnet_arg_scope()):
        return resnet_v2.resnet_v2(images, BLOCKS, num_classes, **arguments)


# The graph.


# The logits.


# The arguments.


def test_signatures_are_research_slims():
    head = "(inputs, num_classes=None, is_training=True, global_pool=True, output_stride=None, "
    for name in (*UNITS, "resnet_v2_200"):
        function = getattr(resnet_v2, name)
        assert str(inspect.signature(function)) == (
            head
            + f"spatial_squeeze=True, reuse=None, scope='{name}', final_endpoint=None)"  # The last is ours alone.
        )
        assert function.default_image_size == 224
    assert str(inspect.signature(resnet_v2.resnet_v2)) == (
        head.replace("inputs", "inputs, blocks")
        + "include_root_block=True, spatial_squeeze=True, reuse=None, scope=None, final_endpoint=None)"
    )
    assert resnet_v2.resnet_v2.default_image_size == 224
    assert resnet_v2.resnet_arg_scope is resnet_utils.resnet_arg_scope


@pytest.mark.parametrize("name, units", [*UNITS.items(), ("resnet_v2_200", (3, 24, 36, 3))])
def test_every_argument_reaches_the_network(monkeypatch, name, units):
    signature, calls = inspect.signature(resnet_v2.resnet_v2), []
    monkeypatch.setattr(
        resnet_v2, "resnet_v2", lambda *args, **kwargs: calls.append(signature.bind(*args, **kwargs))
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
        "final_endpoint": "block2",
    }
    getattr(resnet_v2, name)(**given)
    getattr(resnet_v2, name)("images")
    told, defaults = (dict(call.arguments) for call in calls)
    blocks = told.pop("blocks")
    assert told == {**given, "include_root_block": True}
    assert defaults["scope"] == name
    # Table 1 of arXiv:1512.03385 and, for 200 layers, the appendix of arXiv:1603.05027.
    assert tuple(len(block.args) for block in blocks) == units
    assert [block.args[0]["depth"] for block in blocks] == [256, 512, 1024, 2048]
    assert [[unit["stride"] for unit in block.args] for block in blocks] == [
        [1] * (n - 1) + [stride] for n, stride in zip(units, (2, 2, 2, 1))
    ]


def test_dense_features_subsampled_are_the_nominal_ones(random_weights, assert_close):
    """Atrous convolutions give the same features at more positions (He et al. have them every 32 pixels)."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [2, 65, 97, 3])
        features = {
            stride: small(images, global_pool=False, output_stride=stride, reuse=tf.AUTO_REUSE)[0]
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


@pytest.mark.parametrize(
    "output_stride, problem",
    [(2, "multiple of 4"), (6, "multiple of 4"), (12, "cannot be reached"), (64, "cannot be reached")],
)
def test_impossible_output_strides(output_stride, problem):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=problem):
        small(tf.zeros([1, 64, 64, 3]), output_stride=output_stride)


@pytest.mark.parametrize("num_classes, global_pool", [(0, True), (None, False)])
def test_without_classes_the_features_are_the_result(num_classes, global_pool):
    with tf.Graph().as_default() as graph:
        net, end_points = small(tf.zeros([2, 64, 96, 3]), num_classes, global_pool=global_pool)
    assert net.op.name == ("small/pool5" if global_pool else "small/postnorm/Relu")
    assert net.shape == ([2, 1, 1, 16] if global_pool else [2, 2, 3, 16])
    assert list(end_points)[-1] == ("global_pool" if global_pool else "small/block4")
    assert not [op.name for op in graph.get_operations() if "logits" in op.name or "predictions" in op.name]


def test_logits_at_each_position(random_weights, assert_close):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [2, 64, 96, 3])
        fetches = small(images, 5, global_pool=False, spatial_squeeze=False)
        pooled, _ = small(images, 5, reuse=True)
        with pytest.raises(ValueError, match="squeeze"):
            small(images, 5, global_pool=False, reuse=True)
    assert list(fetches[1])[-3:] == ["small/block4", "small/logits", "predictions"]
    with random_weights(graph) as (session, _):
        (logits, end_points), pooled = session.run([fetches, pooled], {images: images_of(2, 64, 96, 3)})
    assert logits.shape == (2, 2, 3, 5)
    # The logits are linear, so that those of the mean are the mean of those at each position.
    assert_close(pooled, logits.mean((1, 2)), within=1e-5)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    assert_close(end_points["predictions"], exponentials / exponentials.sum(-1, keepdims=True), within=1e-5)


def test_without_root_block():
    with tf.Graph().as_default() as graph:
        _, end_points = small(tf.zeros([1, 64, 64, 3]), 5, include_root_block=False, output_stride=8)
    assert next(iter(end_points)) == "small/block1/unit_1/bottleneck_v2/shortcut"
    assert end_points["small/block4"].shape == [1, 8, 8, 16]
    assert not [op.name for op in graph.get_operations() if op.name.startswith(("small/conv1", "small/pool1"))]


def test_scopes_and_reuse():
    with tf.Graph().as_default() as graph, tf.variable_scope("outer"):
        net, end_points = small(tf.zeros([1, 64, 64, 3]), 5, scope=None)
        assert net.op.name == "outer/resnet_v2/SpatialSqueeze"
        assert list(end_points)[0] == "outer/resnet_v2/conv1"
        variables, losses = tf.global_variables(), tf.losses.get_regularization_losses()
        _, others = small(tf.zeros([1, 64, 64, 3]), 5, scope="resnet_v2", reuse=True, is_training=True)
        assert tf.global_variables() == variables
        assert tf.losses.get_regularization_losses() == losses
        # Keys by the variables' scope, tensors of the second network.
        assert list(others) == list(end_points)
        assert all(end_point.op.name.startswith("outer/resnet_v2_1/") for end_point in others.values())
        with pytest.raises(ValueError, match="already exists"):
            small(tf.zeros([1, 64, 64, 3]), 5, scope="resnet_v2")
    assert len(graph.get_collection(tf.GraphKeys.UPDATE_OPS)) == UPDATES
