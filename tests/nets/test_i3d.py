"""I3D, and what it shares with S3D-G: against Inception V1, research/slim's variables and NumPy."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import i3d, i3d_utils, inception_v1, s3dg
from slimft.nets.registry import arg_scope_call

# The end points at 64 frames of 224x224, as the paper's figure 3 and research/slim's tests have them.
END_POINTS = {
    "Conv2d_1a_7x7": [32, 112, 112, 64], "MaxPool_2a_3x3": [32, 56, 56, 64], "Conv2d_2b_1x1": [32, 56, 56, 64],
    "Conv2d_2c_3x3": [32, 56, 56, 192], "MaxPool_3a_3x3": [32, 28, 28, 192], "Mixed_3b": [32, 28, 28, 256],
    "Mixed_3c": [32, 28, 28, 480], "MaxPool_4a_3x3": [16, 14, 14, 480], "Mixed_4b": [16, 14, 14, 512],
    "Mixed_4c": [16, 14, 14, 512], "Mixed_4d": [16, 14, 14, 512], "Mixed_4e": [16, 14, 14, 528],
    "Mixed_4f": [16, 14, 14, 832], "MaxPool_5a_2x2": [8, 7, 7, 832], "Mixed_5b": [8, 7, 7, 832],
    "Mixed_5c": [8, 7, 7, 1024], "Logits": [400], "Predictions": [400],
}  # fmt: skip


def random(*shape):
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def graph_and_ends():
    with tf.Graph().as_default() as graph, slim.arg_scope(i3d.i3d_arg_scope()):
        _, end_points = i3d.i3d(tf.zeros([1, 64, 224, 224, 3]), 400)
    return graph, end_points


def test_end_points(graph_and_ends):
    _, end_points = graph_and_ends
    assert {key: end_point.shape.as_list()[1:] for key, end_point in end_points.items()} == END_POINTS
    assert list(end_points) == list(END_POINTS)
    # As research/slim's: the base is in the name scope of its own call.
    assert end_points["Mixed_3b"].op.name == "InceptionV1/InceptionV1/Mixed_3b/concat"
    assert end_points["Conv2d_2c_3x3"].op.name == "InceptionV1/InceptionV1/Conv2d_2c_3x3/Relu"
    assert end_points["Logits"].op.name == "InceptionV1/Logits/SpatialSqueeze"


def test_variables(graph_and_ends):
    graph, _ = graph_and_ends
    shapes = {v.op.name.removeprefix("InceptionV1/"): v.shape.as_list() for v in graph.get_collection("variables")}
    layers = ["Conv2d_1a_7x7", "Conv2d_2b_1x1", "Conv2d_2c_3x3"]
    for module in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"):
        convs = ("0/Conv2d_0a_1x1", "1/Conv2d_0a_1x1", "1/Conv2d_0b_3x3", "2/Conv2d_0a_1x1", "2/Conv2d_0b_3x3")
        layers += [f"Mixed_{module}/Branch_{conv}" for conv in (*convs, "3/Conv2d_0b_1x1")]
    of_layer = ("weights", "BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance")
    names = [f"{layer}/{kind}" for layer in layers for kind in of_layer]
    assert list(shapes) == [*names, "Logits/Conv2d_0c_1x1/weights", "Logits/Conv2d_0c_1x1/biases"]
    assert shapes["Conv2d_1a_7x7/weights"] == [7, 7, 7, 3, 64]
    assert shapes["Mixed_5c/Branch_1/Conv2d_0b_3x3/weights"] == [3, 3, 3, 192, 384]
    assert shapes["Logits/Conv2d_0c_1x1/weights"] == [1, 1, 1, 1024, 400]
    assert {key: len(graph.get_collection(key)) for key in ("model_variables", "moving_vars", "update_ops")} == {
        "model_variables": 230, "moving_vars": 114, "update_ops": 114
    }  # fmt: skip
    assert len(graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 58


def test_signatures_are_research_slims():
    assert str(inspect.signature(i3d.i3d_arg_scope)) == (
        "(weight_decay=1e-07, batch_norm_decay=0.999, batch_norm_epsilon=0.001, use_renorm=False, "
        "separable_conv3d=False)"
    )
    assert str(inspect.signature(i3d.i3d_base)) == ("(inputs, final_endpoint='Mixed_5c', scope='InceptionV1')")
    parameters = inspect.signature(i3d.i3d).parameters
    assert [(key, parameter.default) for key, parameter in list(parameters.items())[1:]] == [
        ("num_classes", 1000),
        ("dropout_keep_prob", 0.8),
        ("is_training", True),
        ("prediction_fn", slim.softmax),
        ("spatial_squeeze", True),
        ("reuse", None),
        ("scope", "InceptionV1"),
    ]
    assert i3d.i3d.default_image_size == s3dg.s3dg.default_image_size == 224


@pytest.mark.parametrize("name", ["i3d", "s3dg"])
def test_without_motion_it_is_inception_v1(name, random_weights, assert_close):
    """A video of one picture, and kernels that see one frame: the paper's bootstrapping from an image network."""
    image = random(1, 64, 64, 3)
    with tf.Graph().as_default() as graph:
        with slim.arg_scope(inception_v1.inception_v1_arg_scope()):
            expected, _ = inception_v1.inception_v1(image, 7, is_training=False, global_pool=True, scope="image")
        video = np.repeat(image[:, None], 8, axis=1)
        if name == "i3d":
            with slim.arg_scope(i3d.i3d_arg_scope()):
                logits, _ = i3d.i3d(video, 7, is_training=False)
        else:
            with slim.arg_scope(s3dg.s3dg_arg_scope()):
                logits, _ = s3dg.s3dg(video, 7, gating_startat=None, is_training=False)
        inflated = []
        of_image = {v.op.name: v for v in tf.global_variables() if v.op.name.startswith("image/")}
        temporal = [v for v in tf.global_variables() if "/temporal/" in v.op.name]
        for variable in tf.global_variables():
            source = variable.op.name.replace("InceptionV1/", "image/")
            source = source.replace("Mixed_5b/Branch_2/Conv2d_0b_3x3", "Mixed_5b/Branch_2/Conv2d_0a_3x3")
            if variable.op.name in of_image or variable in temporal:
                continue
            value = of_image[source].read_value()
            if value.shape.ndims == 4:
                frames = variable.shape.as_list()[0]
                value = tf.pad(value[None], [[frames // 2, frames // 2], *[[0, 0]] * 4])
            inflated.append(tf.assign(variable, value))
    with random_weights(graph) as (session, _):
        session.run([tf.variables_initializer(temporal), *inflated])
        values, expected = session.run([logits, expected])
    assert len(inflated) == 230 and len(temporal) == (38 if name == "s3dg" else 0)
    assert_close(values, expected, within=1e-5)


def convolved(video, kernel):
    """A convolution with SAME padding and odd kernels, over whatever dimensions `kernel` has."""
    video = np.pad(video, [(0, 0), *((size // 2, size // 2) for size in kernel.shape[:3]), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(video, kernel.shape[:3], axis=(1, 2, 3))
    return np.einsum("bthwcijk,ijkco->bthwo", windows, kernel)


def test_separable_convolution():
    video = random(2, 5, 4, 6, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        net = i3d_utils.conv3d_spatiotemporal(
            video, 4, [3, 3, 3], activation_fn=tf.nn.relu, separable=True, scope="conv"
        )
        strided = i3d_utils.conv3d_spatiotemporal(video, 4, [3, 3, 3], stride=2, separable=True, scope="strided")
        by_axis = i3d_utils.conv3d_spatiotemporal(video, 4, [3, 3, 3], [1, 2, 3], separable=True, scope="by_axis")
        spatial, biases, temporal, temporal_biases = tf.global_variables()[:4]
        assert [v.op.name for v in tf.global_variables()[:4]] == [
            "conv/weights", "conv/biases", "conv/temporal/weights", "conv/temporal/biases"
        ]  # fmt: skip
        session.run(tf.global_variables_initializer())
        over_space = np.maximum(convolved(video, session.run(spatial)), 0)
        np.testing.assert_allclose(session.run(net), over_space, rtol=1e-5, atol=1e-5)  # First the identity.
        session.run([
            biases.assign(random(4)), temporal.assign(random(3, 1, 1, 4, 4)), temporal_biases.assign(-random(4))
        ])  # fmt: skip
        over_space = np.maximum(convolved(video, session.run(spatial)) + random(4), 0)
        expected = np.maximum(convolved(over_space, random(3, 1, 1, 4, 4)) - random(4), 0)
        np.testing.assert_allclose(session.run(net), expected, rtol=1e-4, atol=1e-5)
    assert strided.shape == [2, 3, 2, 3, 4] and by_axis.shape == [2, 5, 2, 2, 4]


@pytest.mark.parametrize(
    "shape, dtype, message",
    [
        ([3, 1, 1, 4, 4], tf.float64, "float32 or tf.bfloat16"),
        ([1, 1, 4, 4], tf.float32, r"5 dimensions, not of shape \[1, 1, 4, 4\]"),
        ([3, 1, 1, 4, 5], tf.float32, "odd number of frames, not of shape"),
        ([3, 3, 1, 4, 4], tf.float32, "odd number of frames, not of shape"),
        ([2, 1, 1, 4, 4], tf.float32, "odd number of frames, not of shape"),
    ],
)
def test_center_initializer_refuses(shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        i3d_utils.center_initializer()(shape, dtype)


def test_reduced_kernel_size():
    for frames, expected in ((1, [1, 7, 4]), (9, [2, 7, 4]), (None, [2, 7, 7])):
        with tf.Graph().as_default():
            net = tf.placeholder(tf.float32, [None, frames, 8, 4, 3])
            assert i3d_utils.reduced_kernel_size_3d(net, [2, 7, 7]) == expected
    with pytest.raises(ValueError, match="give three sizes and 5 dimensions"):
        i3d_utils.reduced_kernel_size_3d(net, [7, 7])


def test_the_scope_stays_inception_v1s():
    assert arg_scope_call(["InceptionV1/Conv2d_1a_7x7/weights"]) == "inception_v1.inception_v1_arg_scope()"
