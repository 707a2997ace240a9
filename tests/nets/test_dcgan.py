"""DCGAN: the variables that research/slim's has, the layers in NumPy, and a step of each side's training."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import dcgan


def random(*shape):
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


def shapes(graph):
    return {v.op.name: v.shape.as_list() for v in graph.get_collection("variables")}


def normalization(scope, channels):
    """The variables of zero-debiased batch normalization, with the names that TensorFlow 1 gave them."""
    own = f"{scope}/BatchNorm"
    debiased = f"{own}/{own}/moving_mean"
    names = (f"{own}/beta", f"{own}/moving_mean", f"{own}/moving_variance", f"{debiased}/biased")
    return {**{name: [channels] for name in names}, f"{debiased}/local_step": []}


def test_generator():
    with tf.Graph().as_default() as graph:
        images, end_points = dcgan.generator(tf.zeros([2, 10]), depth=8, final_size=32, num_outputs=1)
    expected = {"Generator/deconv1/weights": [4, 4, 64, 10], **normalization("Generator/deconv1", 64)}
    expected |= {"Generator/deconv2/weights": [4, 4, 32, 64], **normalization("Generator/deconv2", 32)}
    expected |= {"Generator/deconv3/weights": [4, 4, 16, 32], **normalization("Generator/deconv3", 16)}
    expected |= {"Generator/deconv4/weights": [4, 4, 8, 16], "Generator/deconv4/biases": [8]}
    expected |= {"Generator/logits/weights": [1, 1, 8, 1], "Generator/logits/biases": [1]}
    assert list(shapes(graph).items()) == list(expected.items())
    assert {key: (end_point.op.name, end_point.shape.as_list()) for key, end_point in end_points.items()} == {
        "deconv1": ("Generator/deconv1/Relu", [2, 4, 4, 64]),
        "deconv2": ("Generator/deconv2/Relu", [2, 8, 8, 32]),
        "deconv3": ("Generator/deconv3/Relu", [2, 16, 16, 16]),
        "deconv4": ("Generator/deconv4/BiasAdd", [2, 32, 32, 8]),
        "logits": ("Generator/logits/BiasAdd", [2, 32, 32, 1]),
    }
    assert images is end_points["logits"]
    assert len(graph.get_collection(tf.GraphKeys.UPDATE_OPS)) == 6


def test_discriminator():
    with tf.Graph().as_default() as graph:
        logits, end_points = dcgan.discriminator(tf.zeros([2, 8, 8, 3]), depth=4, scope="D")
    expected = {"D/conv1/weights": [4, 4, 3, 4], "D/conv1/biases": [4]}
    expected |= {"D/conv2/weights": [4, 4, 4, 8], **normalization("D/conv2", 8)}
    expected |= {"D/conv3/weights": [4, 4, 8, 16], **normalization("D/conv3", 16)}
    expected |= {"D/Conv/weights": [1, 1, 16, 1], "D/Conv/biases": [1]}
    assert list(shapes(graph).items()) == list(expected.items())
    assert {key: (end_point.op.name, end_point.shape.as_list()) for key, end_point in end_points.items()} == {
        "conv1": ("D/conv1/LeakyRelu", [2, 4, 4, 4]),
        "conv2": ("D/conv2/LeakyRelu", [2, 2, 2, 8]),
        "conv3": ("D/conv3/LeakyRelu", [2, 1, 1, 16]),
        "logits": ("D/Reshape", [2, 1]),
    }
    assert logits is end_points["logits"]


def leaky_relu(values):
    return np.maximum(values, 0.2 * values)


@pytest.mark.parametrize("fused", [False, True])
def test_layers_in_numpy(fused, windows):
    noise, images = random(6, 5), random(6, 4, 4, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        _, made = dcgan.generator(tf.constant(noise), 4, 8, fused_batch_norm=fused)
        logits, _ = dcgan.discriminator(tf.constant(images), 4, fused_batch_norm=fused)
        _, stored = dcgan.generator(tf.constant(noise), 4, 8, is_training=False, reuse=True, fused_batch_norm=fused)
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            session.run(variable.assign(random(*variable.shape.as_list())))
        values = {v.op.name: session.run(v) for v in tf.global_variables()}
        first, logits = session.run([made["deconv1"], logits])
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        mean = session.run(slim.get_variables_by_name("Generator/deconv1/BatchNorm/moving_mean")[0])
        variance = session.run(slim.get_variables_by_name("Generator/deconv1/BatchNorm/moving_variance")[0])
        evaluated = session.run(stored["deconv1"])

    def normalized(net, scope, mean=None, variance=None):
        axes = (0, 1, 2)
        mean = net.mean(axes) if mean is None else mean
        variance = net.var(axes) if variance is None else variance
        return (net - mean) / np.sqrt(variance + 0.001) + values[f"{scope}/BatchNorm/beta"]

    # A vector is an image of one position, which each filter paints over 4x4 of them.
    painted = np.einsum("bn,ijon->bijo", noise, values["Generator/deconv1/weights"])
    np.testing.assert_allclose(first, np.maximum(normalized(painted, "Generator/deconv1"), 0), 1e-4, 1e-5)
    # Debiased, the mean after the first update is the batch's own.
    np.testing.assert_allclose(mean, painted.mean((0, 1, 2)), 1e-4, 1e-5)
    expected = np.maximum(normalized(painted, "Generator/deconv1", mean, variance), 0)
    np.testing.assert_allclose(evaluated, expected, 1e-4, 1e-4)

    def conv(net, scope):
        return np.einsum("bhwcij,ijco->bhwo", windows(net, 4, 2), values[f"Discriminator/{scope}/weights"])

    net = leaky_relu(conv(images, "conv1") + values["Discriminator/conv1/biases"])
    net = leaky_relu(normalized(conv(net, "conv2"), "Discriminator/conv2"))
    net = net[:, 0, 0] @ values["Discriminator/Conv/weights"][0, 0] + values["Discriminator/Conv/biases"]
    np.testing.assert_allclose(logits, net, 1e-4, 1e-4)


@pytest.mark.parametrize("side", ["Discriminator", "Generator"])
def test_training(side, assert_a_step_lowers):
    with tf.Graph().as_default():
        images, _ = dcgan.generator(tf.constant(random(8, 5)), depth=4, final_size=8)
        made, _ = dcgan.discriminator(tf.tanh(images), depth=4)
        real, _ = dcgan.discriminator(tf.constant(0.5 * random(8, 8, 8, 3)), depth=4, reuse=True)
        loss = tf.losses.sigmoid_cross_entropy(tf.ones_like(made) if side == "Generator" else 0 * made, made)
        if side == "Discriminator":
            loss += tf.losses.sigmoid_cross_entropy(tf.ones_like(real), real)
        assert_a_step_lowers(loss, 0.001, tf.trainable_variables(f"{side}/"))


@pytest.mark.parametrize(
    "shape, message",
    [
        ([5, 32, 32], "rank 4"),
        ([5, 32, None, 3], "not fully defined"),
        ([5, 32, 16, 3], "images of 32x16 pixels do not have equal width and height"),
        ([5, 30, 30, 3], "images of 30x30 pixels: the width is not a power of 2"),
    ],
)
def test_discriminator_refuses(shape, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        dcgan.discriminator(tf.placeholder(tf.float32, shape))


@pytest.mark.parametrize(
    "shape, final_size, message",
    [
        ([5, 32, 32], 32, "rank 2"),
        ([3, 2], 30, "final_size=30 must be a power of 2"),
        ([3, 2], 4, "final_size=4 must be greater than 8, or 8"),
    ],
)
def test_generator_refuses(shape, final_size, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        dcgan.generator(tf.zeros(shape), final_size=final_size)
