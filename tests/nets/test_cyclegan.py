"""CycleGAN: the variables that research/slim's has, its layers in NumPy, and a step of training."""

import functools

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import cyclegan

METHODS = ("nn_upsample_conv", "bilinear_upsample_conv", "conv2d_transpose")


def random(*shape):
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


def conv(net, kernel):
    """A convolution with VALID padding."""
    windows = np.lib.stride_tricks.sliding_window_view(net, kernel.shape[:2], axis=(1, 2))
    return np.einsum("bhwcij,ijco->bhwo", windows, kernel)


def test_graph():
    with tf.Graph().as_default():
        images, end_points = cyclegan.cyclegan_generator_resnet(
            tf.placeholder(tf.float32, [None, 32, None, 3]), num_resnet_blocks=2, num_filters=4
        )
        shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
    expected = {}

    def normalized(scope, shape):
        expected[f"{scope}/weights"] = shape
        expected[f"{scope}/InstanceNorm/beta"] = expected[f"{scope}/InstanceNorm/gamma"] = shape[-1:]

    def biased(scope, shape, outputs):
        expected[f"{scope}/weights"], expected[f"{scope}/biases"] = shape, [outputs]

    normalized("input/Conv", [7, 7, 3, 4])
    normalized("encoder/Conv", [3, 3, 4, 8])
    normalized("encoder/Conv_1", [3, 3, 8, 16])
    for block in (0, 1):
        normalized(f"residual_blocks/block_{block}/Conv", [3, 3, 16, 16])
        normalized(f"residual_blocks/block_{block}/Conv_1", [3, 3, 16, 16])
    biased("decoder/decoder1/upconv/Conv2d_transpose", [3, 3, 8, 16], 8)
    biased("decoder/decoder2/upconv/Conv2d_transpose", [3, 3, 4, 8], 4)
    biased("output/Conv", [7, 7, 4, 3], 3)
    assert list(shapes.items()) == list(expected.items())
    assert {key: end_point.op.name for key, end_point in end_points.items()} == {
        "encoder_0": "input/Conv/Relu",
        "encoder_1": "encoder/Conv/Relu",
        "encoder_2": "encoder/Conv_1/Relu",
        "resnet_block_0": "residual_blocks/block_0/add",
        "resnet_block_1": "residual_blocks/block_1/add",
        "decoder1": "decoder/decoder1/upconv/strided_slice_2",
        "decoder2": "decoder/decoder2/upconv/strided_slice_2",
        "logits": "output/Reshape",
        "predictions": "output/add",
    }
    assert images is end_points["predictions"] and images.shape.as_list() == [None, 32, None, 3]


@pytest.mark.parametrize("kernel_size", [3, 4, [5, 6]])
def test_output_has_the_size_of_the_input(kernel_size):
    with tf.Graph().as_default():
        images, end_points = cyclegan.cyclegan_generator_resnet(
            tf.zeros([2, 16, 24, 3]), num_resnet_blocks=1, num_filters=2, kernel_size=kernel_size
        )
    assert images.shape == [2, 16, 24, 3] and end_points["resnet_block_0"].shape == [2, 4, 6, 8]


def test_first_layers_and_residual_block_in_numpy():
    images = random(2, 12, 16, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        predictions, end_points = cyclegan.cyclegan_generator_resnet(
            tf.constant(images),
            functools.partial(cyclegan.cyclegan_arg_scope, weights_init_stddev=0.3),
            num_resnet_blocks=1,
            num_filters=4,
            tanh_linear_slope=0.1,
        )
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():
            if "InstanceNorm" in variable.op.name:
                session.run(variable.assign(1 + random(*variable.shape.as_list())))
        values = {v.op.name: session.run(v) for v in tf.global_variables()}
        ends = session.run(end_points)

    def padded_conv(net, scope):
        kernel = values[f"{scope}/weights"]
        pad = kernel.shape[0] // 2
        return conv(np.pad(net, [(0, 0), (pad, pad), (pad, pad), (0, 0)], mode="reflect"), kernel)

    def instance_norm(net, scope):
        """Each channel of each image by itself."""
        net = (net - net.mean((1, 2), keepdims=True)) / np.sqrt(net.var((1, 2), keepdims=True) + 0.001)
        return net * values[f"{scope}/InstanceNorm/gamma"] + values[f"{scope}/InstanceNorm/beta"]

    def layer(net, scope):
        return instance_norm(padded_conv(net, scope), scope)

    first = np.maximum(layer(images, "input/Conv"), 0)
    np.testing.assert_allclose(ends["encoder_0"], first, 1e-4, 1e-4)
    halved = np.maximum(instance_norm(padded_conv(first, "encoder/Conv")[:, ::2, ::2], "encoder/Conv"), 0)
    np.testing.assert_allclose(ends["encoder_1"], halved, 1e-4, 1e-4)
    block = "residual_blocks/block_0/Conv"
    residual = layer(np.maximum(layer(ends["encoder_2"], block), 0), f"{block}_1")
    np.testing.assert_allclose(ends["resnet_block_0"], ends["encoder_2"] + residual, 1e-4, 1e-4)
    logits = padded_conv(ends["decoder2"], "output/Conv") + values["output/Conv/biases"]
    np.testing.assert_allclose(ends["logits"], logits, 1e-4, 1e-4)
    np.testing.assert_allclose(ends["predictions"], np.tanh(logits) + 0.1 * logits, 1e-4, 1e-4)
    assert predictions is end_points["predictions"]


def resized(length, factor, method, align_corners):
    """The matrix that resizes a row: what TensorFlow 1 did, without half pixels' centers."""
    size = length * factor
    places = np.arange(size) * ((length - 1) / (size - 1) if align_corners else 1 / factor)
    if method == "nn_upsample_conv":
        return np.eye(length)[np.floor(places).astype(int)]
    return np.array([np.interp(places, np.arange(length), row) for row in np.eye(length)]).T


@pytest.mark.parametrize(
    "method, arguments",
    [
        ("nn_upsample_conv", {}),
        ("bilinear_upsample_conv", {"pad_mode": "CONSTANT"}),
        ("bilinear_upsample_conv", {"align_corners": True, "pad_mode": "SYMMETRIC"}),
        ("conv2d_transpose", {}),
    ],
)
def test_upsample_in_numpy(method, arguments):
    net = random(2, 3, 4, 2)
    with tf.Graph().as_default(), tf.Session() as session, slim.arg_scope([slim.conv2d], normalizer_fn=None):
        outputs = cyclegan.cyclegan_upsample(net, 5, [2, 3], method, **arguments)
        session.run(tf.global_variables_initializer())
        kernel = session.run(tf.global_variables()[0])
        outputs = session.run(outputs)
    if method == "conv2d_transpose":
        # Each position paints 3x3 of them, 2 and 3 apart; the first row and column fall off.
        expected = np.zeros((2, 7, 12, 5))
        for row, column in np.ndindex(3, 4):
            painted = np.einsum("bc,ijoc->bijo", net[:, row, column], kernel)
            expected[:, 2 * row : 2 * row + 3, 3 * column : 3 * column + 3] += painted
        expected = expected[:, 1:, 1:]
    else:
        rows, columns = (resized(*size, method, arguments.get("align_corners", False)) for size in ((3, 2), (4, 3)))
        enlarged = np.einsum("yh,bhwc,xw->byxc", rows, net, columns)
        mode = arguments.get("pad_mode", "REFLECT").lower()
        expected = conv(np.pad(enlarged, [(0, 0), (1, 1), (1, 1), (0, 0)], mode=mode), kernel)
    np.testing.assert_allclose(outputs, np.maximum(expected, 0), 1e-4, 1e-5)


def test_arg_scope():
    arg_scope = cyclegan.cyclegan_arg_scope(False, False, 0.1, 0.5, 0.01)
    with tf.Graph().as_default(), slim.arg_scope(arg_scope):
        slim.conv2d(tf.zeros([1, 8, 8, 3]), 4, [3, 3])
        assert [v.op.name for v in tf.global_variables()] == ["Conv/weights"]
        assert len(tf.losses.get_regularization_losses()) == 1
    settings = arg_scope[slim.arg_scope_func_key(slim.conv2d)]
    assert settings["normalizer_params"]["epsilon"] == 0.1
    settings = cyclegan.cyclegan_arg_scope()[slim.arg_scope_func_key(slim.conv2d)]
    assert settings["weights_regularizer"] is None


@pytest.mark.parametrize("size, side", [((30, 32), "height"), ((32, 31), "width")])
def test_sizes_that_are_no_multiples_of_4(size, side):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=f"^The input {side} must be a multiple of 4.$"):
        cyclegan.cyclegan_generator_resnet(tf.zeros([1, *size, 3]))


def test_unknown_method():
    with tf.Graph().as_default(), pytest.raises(ValueError, match=r"Unknown method: \[cubic\]; give nn_upsample"):
        cyclegan.cyclegan_upsample(tf.zeros([1, 4, 4, 3]), 2, [2, 2], "cubic")


@pytest.mark.parametrize("method", METHODS)
def test_training(method, assert_a_step_lowers):
    with tf.Graph().as_default():
        images = tf.constant(np.tanh(random(2, 16, 16, 3)))
        made, _ = cyclegan.cyclegan_generator_resnet(
            images,
            num_resnet_blocks=1,
            num_filters=4,
            upsample_fn=functools.partial(cyclegan.cyclegan_upsample, method=method),
        )
        assert_a_step_lowers(tf.reduce_mean(tf.abs(made - images[::-1])), 0.01)
