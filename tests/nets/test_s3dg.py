"""S3D-G: against research/slim's variables and NumPy; what it shares with I3D is in test_i3d.py."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import i3d, s3dg

BLOCKS = ["Conv2d_2c_3x3", *(f"Mixed_{name}" for name in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"))]


def random(*shape):
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


def build(arg_scope=s3dg.s3dg_arg_scope, shape=(1, 8, 32, 32, 3), network=s3dg.s3dg, **arguments):
    with tf.Graph().as_default() as graph, slim.arg_scope(arg_scope()):
        _, end_points = network(tf.zeros(shape), **arguments)
    return graph, end_points


def blocks_with(graph, scope):
    found = {v.op.name.split("/")[1] for v in graph.get_collection("variables") if f"/{scope}/" in v.op.name}
    return [block for block in BLOCKS if block in found]


def test_signatures_are_research_slims():
    base = {
        "first_temporal_kernel_size": 3,
        "temporal_conv_startat": "Conv2d_2c_3x3",
        "gating_startat": "Conv2d_2c_3x3",
        "final_endpoint": "Mixed_5c",
        "min_depth": 16,
        "depth_multiplier": 1.0,
    }
    ends = {"data_format": "NDHWC", "scope": "InceptionV1"}
    head = {
        "dropout_keep_prob": 0.8,
        "is_training": True,
        "prediction_fn": slim.softmax,
        "spatial_squeeze": True,
        "reuse": None,
    }
    for function, expected in (
        (s3dg.s3dg_base, {**base, **ends}),
        (s3dg.s3dg, {"num_classes": 1000, **base, **head, **ends}),
        (s3dg.s3dg_arg_scope, {"batch_norm_decay": 0.999, "batch_norm_epsilon": 0.001}),
    ):
        parameters = list(inspect.signature(function).parameters.items())[1:]
        assert [(key, parameter.default) for key, parameter in parameters] == list(expected.items())


def test_variables():
    graph, end_points = build(num_classes=400)
    names = [v.op.name for v in graph.get_collection("variables")]
    # As research/slim makes them.
    normalized = ["weights", "BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance"]
    temporal, gate = ["temporal/weights", "temporal/biases"], ["self_gating/transformer_W/weights"]
    layers = {
        "Conv2d_1a_7x7": normalized,
        "Conv2d_2b_1x1": normalized,
        "Conv2d_2c_3x3": normalized + temporal + gate,
        "Mixed_3b/Branch_0/Conv2d_0a_1x1": normalized + gate,
        "Mixed_3b/Branch_1/Conv2d_0a_1x1": normalized,
        "Mixed_3b/Branch_1/Conv2d_0b_3x3": normalized + temporal + gate,
        "Mixed_3b/Branch_2/Conv2d_0a_1x1": normalized,
        "Mixed_3b/Branch_2/Conv2d_0b_3x3": normalized + temporal + gate,
        "Mixed_3b/Branch_3/Conv2d_0b_1x1": normalized + gate,
    }
    first = [f"InceptionV1/{layer}/{kind}" for layer, kinds in layers.items() for kind in kinds]
    assert names[: len(first)] == first and len(names) == 305
    assert names[-2:] == ["InceptionV1/Logits/Conv2d_0c_1x1/weights", "InceptionV1/Logits/Conv2d_0c_1x1/biases"]
    counts = {"trainable_variables": 191, "regularization_losses": 114, "update_ops": 114, "moving_vars": 114}
    assert {key: len(graph.get_collection(key)) for key in counts} == counts
    assert end_points["Conv2d_2c_3x3"].op.name == "InceptionV1/InceptionV1/Mul"
    assert blocks_with(graph, "temporal") == blocks_with(graph, "self_gating") == BLOCKS


@pytest.mark.parametrize(
    "arguments, temporal, gated",
    [
        ({"temporal_conv_startat": "Mixed_4b", "gating_startat": "Mixed_5b"}, BLOCKS[3:], BLOCKS[8:]),
        ({"temporal_conv_startat": None, "gating_startat": "none", "final_endpoint": "Mixed_3b"}, [], []),
    ],
)
def test_blocks_that_reach_over_frames_or_have_gates(arguments, temporal, gated):
    graph, _ = build(network=s3dg.s3dg_base, depth_multiplier=0.25, **arguments)
    assert blocks_with(graph, "temporal") == temporal and blocks_with(graph, "self_gating") == gated


@pytest.mark.parametrize("data_format", ["NDHWC", "NCDHW"])
def test_self_gating(data_format):
    video, weights = random(2, 3, 4, 6, 5), random(1, 1, 1, 5, 5)
    gates = 1 / (1 + np.exp(-video.mean((1, 2, 3)) @ weights[0, 0, 0]))
    with tf.Graph().as_default(), tf.Session() as session:
        # Neither square nor of known sizes.
        unknown = tf.placeholder_with_default(video, [None, None, None, None, 5])
        if data_format == "NCDHW":
            unknown = tf.ensure_shape(tf.transpose(unknown, [0, 4, 1, 2, 3]), [None, 5, None, None, None])
        with slim.arg_scope(s3dg.s3dg_arg_scope()):
            gated = s3dg.self_gating(unknown, "layer", data_format)
        (variable,) = tf.global_variables()
        assert variable.op.name == "layer/self_gating/transformer_W/weights"
        assert len(tf.losses.get_regularization_losses()) == 1
        session.run(variable.assign(weights))
        if data_format == "NCDHW":  # TensorFlow has no such convolution on CPUs.
            assert gated.shape.as_list() == [None, 5, None, None, None]
            return
        np.testing.assert_allclose(session.run(gated), video * gates[:, None, None, None], rtol=1e-5)


def test_channels_first():
    graph, end_points = build(
        shape=(2, 3, 8, 32, 48),
        num_classes=5,
        data_format="NCDHW",
        final_endpoint="Mixed_3b",
        depth_multiplier=0.25,
    )
    assert end_points["Conv2d_1a_7x7"].shape == [2, 16, 4, 16, 24]
    assert end_points["Mixed_3b"].shape == [2, 80, 4, 4, 6] and end_points["Predictions"].shape == [2, 5]
    means = {v.op.name: v.shape.as_list() for v in graph.get_collection("moving_vars")}
    assert means["InceptionV1/Conv2d_1a_7x7/BatchNorm/moving_mean"] == [16]  # Channels, not the 24 columns.


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"final_endpoint": "Mixed_6a"}, "final_endpoint='Mixed_6a': there is no such end point"),
        ({"first_temporal_kernel_size": 2}, "first_temporal_kernel_size=2 can only be 1, 3, 5 or 7"),
        ({"depth_multiplier": 0}, "depth_multiplier=0 is not greater than zero"),
        ({"data_format": "NHWC"}, "data_format='NHWC' is neither 'NDHWC' nor 'NCDHW'"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(network=s3dg.s3dg_base, **arguments)


@pytest.mark.parametrize("network", ["s3dg", "i3d"])
def test_training(network, assert_a_step_lowers):
    with tf.Graph().as_default():
        videos = tf.constant(random(4, 4, 16, 16, 3))
        if network == "s3dg":
            with slim.arg_scope(s3dg.s3dg_arg_scope()):
                logits, _ = s3dg.s3dg(
                    videos, 2, final_endpoint="Mixed_3b", depth_multiplier=0.125, min_depth=4, dropout_keep_prob=1.0
                )
        else:
            with slim.arg_scope(i3d.i3d_arg_scope(use_renorm=True, separable_conv3d=True)):
                net, _ = i3d.i3d_base(videos, "Conv2d_2c_3x3")
            logits = slim.fully_connected(tf.reduce_mean(net, [1, 2, 3]), 2, activation_fn=None)
        assert_a_step_lowers(tf.losses.sparse_softmax_cross_entropy([0, 1, 0, 1], logits), 0.01)
