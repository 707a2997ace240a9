"""CycleGAN's generator against NumPy, research/slim's variables and what it can be told."""

import functools

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import cyclegan

IMAGES = np.random.default_rng(1).uniform(-1, 1, (2, 8, 12, 3)).astype("float32")
SMALL = {"num_filters": 4, "num_resnet_blocks": 2}


@pytest.fixture(autouse=True)
def graph():
    """A graph of the test's own."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


def test_variables_and_end_points():
    """As research/slim has them; transposed convolutions have biases, those before a normalization none."""
    images, end_points = cyclegan.cyclegan_generator_resnet(tf.constant(IMAGES), **SMALL)
    convs = {"input/Conv": (7, 3, 4), "encoder/Conv": (3, 4, 8), "encoder/Conv_1": (3, 8, 16)}
    for block in (0, 1):
        for conv in ("Conv", "Conv_1"):
            convs[f"residual_blocks/block_{block}/{conv}"] = (3, 16, 16)
    expected = []
    for scope, (size, inputs, outputs) in convs.items():
        expected.append((f"{scope}/weights", [size, size, inputs, outputs]))
        expected += [(f"{scope}/InstanceNorm/{name}", [outputs]) for name in ("beta", "gamma")]
    expected += [
        ("decoder/decoder1/upconv/Conv2d_transpose/weights", [3, 3, 8, 16]),
        ("decoder/decoder1/upconv/Conv2d_transpose/biases", [8]),
        ("decoder/decoder2/upconv/Conv2d_transpose/weights", [3, 3, 4, 8]),
        ("decoder/decoder2/upconv/Conv2d_transpose/biases", [4]),
        ("output/Conv/weights", [7, 7, 4, 3]),
        ("output/Conv/biases", [3]),
    ]
    assert [(v.op.name, v.shape.as_list()) for v in tf.global_variables()] == expected
    assert tf.trainable_variables() == tf.model_variables() == tf.global_variables()
    assert {name: tuple(value.shape.as_list()[1:]) for name, value in end_points.items()} == {
        "encoder_0": (8, 12, 4),
        "encoder_1": (4, 6, 8),
        "encoder_2": (2, 3, 16),
        "resnet_block_0": (2, 3, 16),
        "resnet_block_1": (2, 3, 16),
        "decoder1": (4, 6, 8),
        "decoder2": (8, 12, 4),
        "logits": (8, 12, 3),
        "predictions": (8, 12, 3),
    }
    assert images is end_points["predictions"]
    assert end_points["decoder1"].op.name == "decoder/decoder1/upconv/strided_slice_2"


def reflect(x, margin):
    return np.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)], mode="reflect")


def enlarged(x, method):
    """Twice as large: repeated, or with means of neighbours in between (the last ones repeated)."""
    for axis in (1, 2):
        following = x
        if method == "bilinear_upsample_conv":
            after = np.take(x, [*range(1, x.shape[axis]), x.shape[axis] - 1], axis)
            following = (x + after) / 2
        x = np.stack([x, following], axis + 1).reshape([2 * n if i == axis else n for i, n in enumerate(x.shape)])
    return x


def numpy_network(in_numpy, values, x, method):
    conv2d, relu, layers = in_numpy.conv2d, in_numpy.relu, {}

    def conv(x, scope, stride=1, margin=1, activation=relu):
        x = conv2d(reflect(x, margin), values[f"{scope}/weights"], stride, "VALID")
        gamma, beta = (values[f"{scope}/InstanceNorm/{name}"] for name in ("gamma", "beta"))
        return activation(in_numpy.normalize(x, (1, 2), 0.001) * gamma + beta)

    x = layers["encoder_0"] = conv(x, "input/Conv", margin=3)
    x = layers["encoder_1"] = conv(x, "encoder/Conv", 2)
    x = layers["encoder_2"] = conv(x, "encoder/Conv_1", 2)
    for i in (0, 1):
        scope = f"residual_blocks/block_{i}"
        x = x + conv(conv(x, f"{scope}/Conv"), f"{scope}/Conv_1", activation=lambda x: x)
        layers[f"resnet_block_{i}"] = x
    for name in ("decoder1", "decoder2"):
        scope = f"decoder/{name}/upconv"
        if method == "conv2d_transpose":
            scope = f"{scope}/Conv2d_transpose"
            x = in_numpy.conv2d_transpose(x, values[f"{scope}/weights"], 2, "VALID")
            x = relu(x + values[f"{scope}/biases"])[:, 1:, 1:]
        else:
            x = conv(enlarged(x, method), f"{scope}/Conv")
        layers[name] = x
    x = conv2d(reflect(x, 3), values["output/Conv/weights"], 1, "VALID") + values["output/Conv/biases"]
    return {**layers, "logits": x, "predictions": np.tanh(x) + 0.1 * x}


@pytest.mark.parametrize("method", ["conv2d_transpose", "nn_upsample_conv", "bilinear_upsample_conv"])
def test_numbers(graph, random_weights, in_numpy, assert_close, method):
    upsample = functools.partial(cyclegan.cyclegan_upsample, method=method)
    _, layers = cyclegan.cyclegan_generator_resnet(
        tf.constant(IMAGES), upsample_fn=upsample, tanh_linear_slope=0.1, **SMALL
    )
    with random_weights(graph) as (session, path):
        layers = session.run(layers)
        values = {name: value.astype(np.float64) for name, value in np.load(path).items()}
    expected = numpy_network(in_numpy, values, IMAGES.astype(np.float64), method)
    assert layers.keys() == expected.keys()
    for name, layer in layers.items():
        assert_close(layer, expected[name].astype(np.float32), within=2e-5)


def test_training_lowers_the_loss():
    """And gradients reach all variables."""
    images, _ = cyclegan.cyclegan_generator_resnet(tf.constant(IMAGES), num_filters=4, num_resnet_blocks=1)
    loss = tf.reduce_mean(tf.abs(images - IMAGES))
    optimizer = tf.train.AdamOptimizer(0.002, beta1=0.5)
    gradients = optimizer.compute_gradients(loss)
    step = optimizer.apply_gradients(gradients)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert all(np.abs(gradient).max() > 0 for gradient, _ in session.run(gradients))
        before = session.run(loss)
        for _ in range(5):
            session.run(step)
        assert session.run(loss) < 0.98 * before


@pytest.mark.parametrize("kernel_size", [4, 5, (3, 6)])
def test_images_keep_their_size(kernel_size):
    """Of any kernel, and where height or width are known only when it runs."""
    images = tf.placeholder(tf.float32, [None, 16, None, 2])
    arguments = {"kernel_size": kernel_size, "num_filters": 2, "num_resnet_blocks": 1}
    made, _ = cyclegan.cyclegan_generator_resnet(images, **arguments)
    assert made.shape.as_list() == [None, 16, None, 2]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(made, {images: np.zeros([1, 16, 20, 2])}).shape == (1, 16, 20, 2)


def test_the_arg_scope_is_the_one_that_is_given():
    """One that surrounds the network is without effect; one without weight decay has no losses."""
    arg_scope_fn = functools.partial(cyclegan.cyclegan_arg_scope, False, False, weight_decay=0.1)
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):
        cyclegan.cyclegan_generator_resnet(tf.constant(IMAGES), arg_scope_fn, **SMALL)
        assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 3 + 4 + 1
        with tf.variable_scope("other"):
            cyclegan.cyclegan_generator_resnet(tf.constant(IMAGES), **SMALL)
    assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 8
    assert not [v for v in tf.global_variables() if "BatchNorm" in v.op.name]
    assert {v.op.name.split("/")[0] for v in tf.global_variables() if "Norm" in v.op.name} == {"other"}


@pytest.mark.parametrize(("height", "width", "wrong"), [(30, 32, "height"), (None, 31, "width")])
def test_sizes_that_do_not_halve_twice(height, width, wrong):
    with pytest.raises(ValueError, match=f"The input {wrong} must be a multiple of 4, not 3[01]"):
        cyclegan.cyclegan_generator_resnet(tf.placeholder(tf.float32, [None, height, width, 3]))


def test_unknown_method():
    with pytest.raises(ValueError, match=r"Unknown method: \[area\]; give nn_upsample_conv"):
        cyclegan.cyclegan_upsample(tf.zeros([1, 8, 8, 3]), 3, [2, 2], "area")
