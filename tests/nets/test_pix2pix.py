"""pix2pix: the variables that research/slim's has, the paper's patches, and a step of training."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import pix2pix

BLOCKS = [pix2pix.Block(4, 0.5), pix2pix.Block(6, 0), pix2pix.Block(8, 0)]


def random(*shape):
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


def shapes():
    return {v.op.name: v.shape.as_list() for v in tf.global_variables()}


def normalized(scope, shape, channels=None):
    channels = [channels or shape[-1]]
    return {
        f"{scope}/weights": shape, f"{scope}/InstanceNorm/beta": channels, f"{scope}/InstanceNorm/gamma": channels
    }  # fmt: skip


def biased(scope, shape):
    return {f"{scope}/weights": shape, f"{scope}/biases": shape[-1:]}


@pytest.mark.parametrize("method", ["nn_upsample_conv", "conv2d_transpose"])
def test_generator(method):
    transposed = method == "conv2d_transpose"
    with tf.Graph().as_default(), slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        images = tf.placeholder(tf.float32, [None, 16, 24, 3])
        logits, end_points = pix2pix.pix2pix_generator(images, 2, BLOCKS, method)
        found = shapes()
    expected = biased("encoder/Conv", [4, 4, 3, 4])
    expected |= normalized("encoder/Conv_1", [4, 4, 4, 6])
    expected |= biased("encoder/Conv_2", [4, 4, 6, 8])
    for i, (inputs, outputs) in enumerate([(8, 8), (8 + 6, 6), (6 + 4, 4)]):
        scope = ("decoder/Conv2d_transpose" if transposed else "decoder/Conv") + (f"_{i}" if i else "")
        expected |= normalized(scope, [4, 4, *((outputs, inputs) if transposed else (inputs, outputs))], outputs)
    expected |= biased("output/Conv", [4, 4, 4, 2])
    assert list(found.items()) == list(expected.items())
    assert {key: end_point.op.name for key, end_point in end_points.items() if key[:7] != "decoder"} == {
        "encoder0": "encoder/Conv/LeakyRelu",
        "encoder1": "encoder/Conv_1/LeakyRelu",
        "encoder2": "encoder/Conv_2/BiasAdd",
        "logits": "output/Reshape",
        "predictions": "output/Tanh",
    }
    assert [key for key in end_points if key[:7] == "decoder"] == ["decoder0", "decoder1", "decoder2"]
    assert end_points["encoder2"].shape.as_list() == [None, 2, 3, 8]
    assert logits is end_points["logits"] and logits.shape.as_list() == [None, 16, 24, 2]


def test_default_blocks():
    blocks = pix2pix._default_generator_blocks()
    assert [block.num_filters for block in blocks] == [64, 128, 256, 512, 512, 512, 512]
    assert [block.decoder_keep_prob for block in blocks] == [0.5, 0.5, 0.5, 0, 0, 0, 0]


def test_only_dropout_is_random_and_it_is_so_always():
    with tf.Graph().as_default(), tf.Session() as session, slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        _, end_points = pix2pix.pix2pix_generator(tf.constant(random(1, 8, 8, 3)), 2, BLOCKS, is_training=False)
        session.run(tf.global_variables_initializer())
        once, again = (session.run(end_points) for _ in range(2))
    same = {key for key in once if np.array_equal(once[key], again[key])}
    assert same == set(once) - {"decoder2", "logits", "predictions"}
    assert 0.2 < np.mean(once["decoder2"] == 0) < 0.8


def test_upsampling_in_numpy():
    net = random(2, 3, 4, 2)
    with tf.Graph().as_default(), tf.Session() as session:
        repeated = pix2pix.upsample(net, 3, [2, 3])
        painted = pix2pix.upsample(net, 3, [2, 2], "conv2d_transpose")
        session.run(tf.global_variables_initializer())
        kernel, _, transposed, _ = session.run(tf.global_variables())
        repeated, painted = session.run([repeated, painted])
        with pytest.raises(ValueError, match=r"Unknown method: \[cubic\]; give nn_upsample_conv or conv2d_transp"):
            pix2pix.upsample(net, 3, [2, 2], "cubic")
    # SAME padding of 4x4: one before, two after.
    enlarged = np.pad(net.repeat(2, 1).repeat(3, 2), [(0, 0), (1, 2), (1, 2), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(enlarged, (4, 4), axis=(1, 2))
    np.testing.assert_allclose(repeated, np.einsum("bhwcij,ijco->bhwo", windows, kernel), 1e-4, 1e-5)
    expected = np.zeros((2, 8, 10, 3))
    for row, column in np.ndindex(3, 4):
        position = np.einsum("bc,ijoc->bijo", net[:, row, column], transposed)
        expected[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += position
    np.testing.assert_allclose(painted, expected[:, 1:-1, 1:-1], 1e-4, 1e-5)


def test_discriminator():
    with tf.Graph().as_default(), slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        logits, end_points = pix2pix.pix2pix_discriminator(tf.zeros([2, 64, 64, 3]), [4, 6, 8])
        found = shapes()
    expected = biased("conv0", [4, 4, 3, 4]) | normalized("conv1", [4, 4, 4, 6])
    expected |= normalized("conv2", [4, 4, 6, 8]) | biased("conv3", [4, 4, 8, 1])
    assert list(found.items()) == list(expected.items())
    assert {key: (end_point.op.name, end_point.shape.as_list()) for key, end_point in end_points.items()} == {
        "conv0": ("conv0_1/LeakyRelu", [2, 33, 33, 4]),
        "conv1": ("conv1_1/LeakyRelu", [2, 17, 17, 6]),
        "conv2": ("conv2_1/LeakyRelu", [2, 18, 18, 8]),
        "logits": ("conv3_1/BiasAdd", [2, 19, 19, 1]),
        "predictions": ("Sigmoid", [2, 19, 19, 1]),
    }
    assert logits is end_points["logits"]


def test_a_logit_sees_a_patch_of_70x70():
    """The paper's PatchGAN; what a logit depends on has a gradient."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(random(1, 128, 128, 3))
        logits, _ = pix2pix.pix2pix_discriminator(images, [2, 2, 2, 2], pad_mode="CONSTANT")
        (gradients,) = tf.gradients(logits[:, 9, 9], images)
        session.run(tf.global_variables_initializer())
        seen = np.abs(session.run(gradients)).sum((0, 3))
    rows, columns = np.nonzero(seen.sum(1))[0], np.nonzero(seen.sum(0))[0]
    assert list(rows) == list(range(rows[0], rows[0] + 70))
    assert list(columns) == list(range(columns[0], columns[0] + 70))


@pytest.mark.parametrize("padding, error", [(1.5, TypeError), (-1, ValueError)])
def test_wrong_padding(padding, error):
    with tf.Graph().as_default(), pytest.raises(error):
        pix2pix.pix2pix_discriminator(tf.zeros([1, 64, 64, 3]), [4, 6], padding=padding)


@pytest.mark.parametrize("padding, rows", [(0, 8), (1, 14), (2, 19)])
def test_padding(padding, rows):
    with tf.Graph().as_default():
        logits, _ = pix2pix.pix2pix_discriminator(tf.zeros([1, 64, 64, 3]), [4, 6, 8], padding)
    assert logits.shape == [1, rows, rows, 1]


def test_training(assert_a_step_lowers):
    with tf.Graph().as_default(), slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        images = tf.constant(np.tanh(random(2, 16, 16, 3)))
        blocks = [block._replace(decoder_keep_prob=0) for block in BLOCKS]
        _, end_points = pix2pix.pix2pix_generator(images, 3, blocks)
        judged, _ = pix2pix.pix2pix_discriminator(end_points["predictions"], [4, 6])
        loss = tf.reduce_mean(tf.abs(end_points["predictions"] - images[::-1]))
        loss += tf.losses.sigmoid_cross_entropy(tf.ones_like(judged), judged)
        assert_a_step_lowers(loss, 0.01)
