"""What only MobileNet V3 and EdgeTPU have: gates, hard swish, their tables; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import get_network
from slimft.nets.mobilenet import conv_blocks, mobilenet, mobilenet_v3


def placeholder(size):
    return tf.placeholder(tf.float32, [1, size, size, 3])


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def test_signatures():
    for function, signature in (
        (mobilenet_v3.mobilenet_base, "(input_tensor, depth_multiplier=1.0, **kwargs)"),
        (mobilenet_v3.wrapped_partial, "(func, new_defaults=None, **kwargs)"),
        (mobilenet_v3.mbv3_fused, "(ef, n, k, s=1, **kwargs)"),
        (mobilenet_v3.reduce_to_1x1, "(input_tensor, default_size=7, **kwargs)"),
    ):
        assert str(inspect.signature(function)) == signature
    assert list(inspect.signature(mobilenet_v3.mbv3_op).parameters) == ["ef", "n", "k", "s", "act", "se", "kwargs"]
    assert mobilenet_v3.training_scope is mobilenet.training_scope
    for name in ("large", "small", "large_minimalistic", "small_minimalistic", "edge_tpu", "edge_tpu_075"):
        registered = f"mobilenet_v3_{name}".replace("v3_edge_tpu", "edgetpu")
        assert getattr(mobilenet_v3, name) is get_network(registered).function


def test_hard_swish_and_the_gate():
    x = np.linspace(-5, 5, 41, dtype=np.float32)
    swish = mobilenet_v3.hard_swish(tf.constant(x))
    assert swish.op.name.startswith("hard_swish/")
    # The gate is the hard sigmoid of a sum over channels that are made to be x.
    images = tf.constant(np.tile(x[:, None, None, None], [1, 1, 1, 8]))
    gated = mobilenet_v3.squeeze_excite(images, inner_activation_fn=None)
    assert tf.global_variables()[0].shape.as_list() == [1, 1, 8, 8]
    with tf.Session() as session:
        for variable in tf.global_variables():
            eye = np.eye(8).reshape(1, 1, 8, 8)
            variable.load(eye if variable.shape.rank == 4 else np.zeros(8), session)
        swish, gated = session.run([swish, gated])
    expected = x * np.clip(x + 3, 0, 6) / 6
    np.testing.assert_allclose(swish, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gated, np.tile(expected[:, None, None, None], [1, 1, 1, 8]), rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_edgetpu"])
def test_what_top_is_for_each_end_point(name):
    """The layers at an end point's resolution up to it; those after the pooling count as of the map before it."""
    spec = get_network(name)
    with slim.arg_scope(spec.arg_scope()):
        _, end_points = spec.function(placeholder(64), None)
    layers = [end_points[end] for end in spec.final_endpoints]
    assert len(layers) == sum(key.startswith("layer_") and "/" not in key for key in end_points)
    sizes = [max(int(layer.shape[1]), 2) for layer in layers]
    scopes = [layer.op.name.split("/")[1] for layer in layers]
    for i, (end, top) in enumerate(spec.final_endpoints.items()):
        at_its_size = [scope for scope, size in zip(scopes[: i + 1], sizes) if size == sizes[i]]
        assert top == tuple(f"{spec.scope}/{scope}" for scope in at_its_size if scope != "AvgPool2D"), end


def test_any_size_gives_one_row_of_logits_but_an_unknown_one_may_be_too_large():
    for size, shape in ((32, [1, 7]), (96, [1, 7]), (225, [1, 7]), (None, [1, 7])):
        logits, end_points = mobilenet_v3.small_minimalistic(placeholder(size), 7, reuse=tf.AUTO_REUSE)
        assert logits.shape.as_list() == shape
        assert end_points["layer_14"].shape.as_list()[1] == (None if size is None else 1)
    pool = [op for op in tf.get_default_graph().get_operations() if op.name.endswith("AvgPool2D/AvgPool")][-1]
    assert pool.get_attr("ksize") == [1, 7, 7, 1]


def test_detection_halves_the_last_layers():
    for table, half, start, end in (
        (mobilenet_v3.V3_LARGE, mobilenet_v3.V3_LARGE_DETECTION, 13, 16),
        (mobilenet_v3.V3_SMALL, mobilenet_v3.V3_SMALL_DETECTION, 9, 12),
    ):
        for i, (layer, halved) in enumerate(zip(table["spec"], half["spec"], strict=True)):
            share = 0.5 if start <= i <= end else 1
            params = {**layer.params, "num_outputs": layer.params.get("num_outputs", 0) * share}
            assert {"num_outputs": 0, **halved.params} == params


def test_multiplied_depths_leave_the_last_layer_where_it_is_to_stay():
    arguments = {"depth_multiplier": 0.5, "base_only": True}
    _, of_all = mobilenet_v3.small_minimalistic(placeholder(32), **arguments)
    _, but_the_last = mobilenet_v3.small_minimalistic(
        placeholder(32), finegrain_classification_mode=True, scope="b", **arguments
    )
    for end_points, features in ((of_all, 512), (but_the_last, 1024)):
        depths = [end_points[f"layer_{i}"].shape.as_list()[3] for i in (1, 12, 13, 15)]
        assert depths == [8, 48, 288, features]


def test_group_normalization():
    mobilenet_v3.small(placeholder(32), use_groupnorm=True, groups=4)
    names = [variable.op.name for variable in tf.global_variables()]
    assert sum(name.endswith("/GroupNorm/gamma") for name in names) == 34
    assert not any("BatchNorm" in name for name in names)


def test_the_scope_of_edgetpu_is_a_default():
    with slim.arg_scope([mobilenet_v3.mobilenet], num_classes=3):
        logits, _ = mobilenet_v3.edge_tpu(placeholder(32), final_endpoint="layer_2")
        mobilenet_v3.edge_tpu(placeholder(32), final_endpoint="layer_2", scope="other")
    scopes = {variable.op.name.split("/")[0] for variable in tf.global_variables()}
    assert scopes == {"MobilenetEdgeTPU", "other"} and logits.shape[1] == 3


@pytest.mark.parametrize(
    "function, stride, last, arguments",
    [
        (mobilenet_v3.small, 8, 1, {}),
        (mobilenet_v3.small, 16, 1, {"use_explicit_padding": True}),
        (mobilenet_v3.edge_tpu, 8, 8, {}),
    ],
)
def test_output_stride_and_explicit_padding_keep_sizes(function, stride, last, arguments):
    """Also where a table has kernels, and pools at its end."""
    net, end_points = function(placeholder(64), base_only=True, output_stride=stride, **arguments)
    sizes = [int(end_points[f"layer_{i}"].shape[1]) for i in range(1, 13)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 32 and sizes[-1] == 64 // stride
    assert net.shape.as_list()[1:3] == [last, last]


def test_fused_blocks_cannot_be_told_a_stride():
    with pytest.raises(ValueError, match="output_stride=4: layer_7 strides whatever it is told"):
        mobilenet_v3.edge_tpu(placeholder(64), base_only=True, output_stride=4)
    with pytest.raises(ValueError, match="takes depth_multiplier, not multiplier"):
        mobilenet_v3.small(placeholder(64), multiplier=0.5)


def test_arg_scopes_on_what_it_is_made_of():
    with (
        slim.arg_scope([conv_blocks.squeeze_excite], divisible_by=64),
        slim.arg_scope([mobilenet.depth_multiplier], min_depth=24),
    ):
        mobilenet_v3.small(placeholder(32), final_endpoint="layer_2")
    shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    assert shapes["MobilenetV3/Conv/weights"] == [3, 3, 3, 24]
    assert shapes["MobilenetV3/expanded_conv/squeeze_excite/Conv/weights"] == [1, 1, 24, 64]
