"""pix2pix against NumPy, research/slim's variables and the paper's patches."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import pix2pix

IMAGES = np.random.default_rng(1).uniform(-1, 1, (2, 16, 24, 3)).astype("float32")
BLOCKS = [pix2pix.Block(4, 0), pix2pix.Block(6, 0), pix2pix.Block(8, 0)]


@pytest.fixture(autouse=True)
def graph():
    """A graph of the test's own."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


def generate(images=IMAGES, blocks=BLOCKS, **arguments):
    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        return pix2pix.pix2pix_generator(tf.convert_to_tensor(images), 3, blocks, **arguments)


def judge(images=IMAGES, num_filters=(4, 6, 8), **arguments):
    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        return pix2pix.pix2pix_discriminator(tf.convert_to_tensor(images), list(num_filters), **arguments)


def expected_variables(kernels):
    """Of convolutions of 4x4 by their scopes; those whose inputs are negative have a normalization."""
    expected = []
    for scope, (inputs, outputs) in kernels.items():
        expected.append((f"{scope}/weights", [4, 4, abs(inputs), outputs]))
        after = ("biases",) if inputs > 0 else ("InstanceNorm/beta", "InstanceNorm/gamma")
        expected += [(f"{scope}/{name}", [outputs]) for name in after]
    return expected


def test_variables_and_end_points():
    """As research/slim has them."""
    logits, end_points = generate()
    kernels = {
        **{"encoder/Conv": (3, 4), "encoder/Conv_1": (-4, 6), "encoder/Conv_2": (6, 8)},
        **{"decoder/Conv": (-8, 8), "decoder/Conv_1": (-14, 6), "decoder/Conv_2": (-10, 4)},
        "output/Conv": (4, 3),
    }
    assert [(v.op.name, v.shape.as_list()) for v in tf.global_variables()] == expected_variables(kernels)
    assert {name: tuple(value.shape.as_list()[1:]) for name, value in end_points.items()} == {
        **{"encoder0": (8, 12, 4), "encoder1": (4, 6, 6), "encoder2": (2, 3, 8)},
        **{"decoder0": (4, 6, 8), "decoder1": (8, 12, 6), "decoder2": (16, 24, 4)},
        **{"logits": (16, 24, 3), "predictions": (16, 24, 3)},
    }
    assert logits is end_points["logits"]
    with tf.Graph().as_default():
        logits, end_points = judge()
        kernels = {"conv0": (3, 4), "conv1": (-4, 6), "conv2": (-6, 8), "conv3": (8, 1)}
        assert [(v.op.name, v.shape.as_list()) for v in tf.global_variables()] == expected_variables(kernels)
        assert list(end_points) == ["conv0", "conv1", "conv2", "logits", "predictions"]
        assert end_points["conv0"].op.name.startswith("conv0_1/") and logits is end_points["logits"]


def test_the_default_blocks_are_research_slims():
    assert pix2pix._default_generator_blocks() == [
        *((64, 0.5), (128, 0.5), (256, 0.5)),
        *((512, 0), (512, 0), (512, 0), (512, 0)),
    ]


def layer(in_numpy, values, scope, x, stride=1, padding="SAME", activation=lambda x: x):
    """A convolution with what comes after it, going by its variables."""
    convolve = in_numpy.conv2d_transpose if "transpose" in scope else in_numpy.conv2d
    x = convolve(x, values[f"{scope}/weights"], stride, padding)
    if f"{scope}/biases" in values:
        return activation(x + values[f"{scope}/biases"])
    gamma, beta = (values[f"{scope}/InstanceNorm/{name}"] for name in ("gamma", "beta"))
    return activation(in_numpy.normalize(x, (1, 2), 0.00001) * gamma + beta)


def leaky(x):
    return np.maximum(x, 0.2 * x)


@pytest.mark.parametrize("method", ["nn_upsample_conv", "conv2d_transpose"])
def test_numbers_of_the_generator(graph, random_weights, in_numpy, assert_close, method):
    _, layers = generate(upsample_method=method)
    with random_weights(graph) as (session, path):
        layers = session.run(layers)
        values = {name: value.astype(np.float64) for name, value in np.load(path).items()}

    x, expected = IMAGES.astype(np.float64), {}
    for i, (suffix, activation) in enumerate((("", leaky), ("_1", leaky), ("_2", lambda x: x))):
        x = expected[f"encoder{i}"] = layer(in_numpy, values, f"encoder/Conv{suffix}", x, 2, activation=activation)
    for i, suffix in enumerate(("", "_1", "_2")):
        x = in_numpy.relu(x if i == 0 else np.concatenate([x, expected[f"encoder{2 - i}"]], 3))
        if method == "conv2d_transpose":
            x = layer(in_numpy, values, f"decoder/Conv2d_transpose{suffix}", x, 2)
        else:
            x = layer(in_numpy, values, f"decoder/Conv{suffix}", x.repeat(2, 1).repeat(2, 2))
        expected[f"decoder{i}"] = x
    expected["logits"] = layer(in_numpy, values, "output/Conv", x)
    expected["predictions"] = np.tanh(expected["logits"])
    assert layers.keys() == expected.keys()
    for name, value in layers.items():
        assert_close(value, expected[name].astype(np.float32), within=2e-5)


@pytest.mark.parametrize(("padding", "mode"), [(2, "REFLECT"), (1, "CONSTANT"), (0, "REFLECT")])
def test_numbers_of_the_discriminator(graph, random_weights, in_numpy, assert_close, padding, mode):
    images = IMAGES.repeat(3, 1).repeat(3, 2)
    _, layers = judge(images, padding=padding, pad_mode=mode)
    with random_weights(graph) as (session, path):
        layers = session.run(layers)
        values = {name: value.astype(np.float64) for name, value in np.load(path).items()}

    x, expected = images.astype(np.float64), {}
    for scope, stride in (("conv0", 2), ("conv1", 2), ("conv2", 1), ("conv3", 1)):
        x = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)], mode=mode.lower())
        x = expected[scope] = layer(
            in_numpy, values, scope, x, stride, "VALID", leaky if scope != "conv3" else lambda x: x
        )
    expected["logits"] = expected.pop("conv3")
    expected["predictions"] = 1 / (1 + np.exp(-expected["logits"]))
    assert layers.keys() == expected.keys()
    for name, value in layers.items():
        assert_close(value, expected[name].astype(np.float32), within=2e-5)


def test_the_papers_patches_have_70_pixels():
    for size, places in ((70, 1), (77, 1), (78, 2)):
        with tf.Graph().as_default():
            logits, _ = judge(tf.zeros([1, size, 70, 6]), (64, 128, 256, 512), padding=0)
            assert logits.shape.as_list() == [1, places, 1, 1]


def test_dropout_is_always_active():
    """It is the generator's noise, whatever `is_training` says."""
    _, layers = generate(blocks=[pix2pix.Block(8, 0.25), pix2pix.Block(8, 0)], is_training=False)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        first, second = session.run(layers), session.run(layers)
    np.testing.assert_array_equal(first["decoder0"], second["decoder0"])
    assert np.mean(first["decoder1"] == 0) == pytest.approx(0.75, abs=0.05)
    assert np.mean((first["decoder1"] == 0) & (second["decoder1"] == 0)) == pytest.approx(0.75**2, abs=0.05)


def test_training_lowers_the_losses():
    """Each network's loss, the other one held; gradients reach all variables."""
    _, end_points = generate()
    made = end_points["predictions"]
    with tf.variable_scope("judge"):
        of_made, _ = judge(made)
    with tf.variable_scope("judge", reuse=True):
        of_real, _ = judge()
    real, fake, fooled = (
        tf.losses.sigmoid_cross_entropy(tf.fill(tf.shape(logits), value), logits)
        for logits, value in ((of_real, 1.0), (of_made, 0.0), (of_made, 1.0))
    )
    generator = [v for v in tf.trainable_variables() if not v.op.name.startswith("judge")]
    trained = (
        (real + fake, tf.trainable_variables("judge")),
        (fooled + tf.reduce_mean(tf.abs(made - IMAGES)), generator),
    )
    steps = []
    for loss, variables in trained:
        optimizer = tf.train.AdamOptimizer(0.002, beta1=0.5)
        gradients = optimizer.compute_gradients(loss, variables)
        steps.append((loss, gradients, optimizer.apply_gradients(gradients)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for loss, gradients, step in steps:
            assert all(np.abs(gradient).max() > 0 for gradient, _ in session.run(gradients))
            before = session.run(loss)
            for _ in range(5):
                session.run(step)
            assert session.run(loss) < 0.98 * before


def test_one_size_may_be_unknown():
    logits, _ = generate(tf.placeholder(tf.float32, [None, 16, 24, 3]))
    assert logits.shape.as_list() == [None, 16, 24, 3]
    with pytest.raises(ValueError, match="only one of its batch, height and width may be unknown"):
        generate(tf.placeholder(tf.float32, [None, None, 24, 3]))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"padding": 1.5}, TypeError, "1.5"),
        ({"padding": -1}, ValueError, "negative|non-negative"),
        ({"num_filters": [4]}, ValueError, r"num_filters=\[4\]: two or more are needed"),
    ],
)
def test_what_cannot_be(arguments, error, message):
    with pytest.raises(error, match=message):
        judge(**arguments)


def test_unknown_method():
    with pytest.raises(ValueError, match=r"Unknown method: \[area\]; give nn_upsample_conv or conv2d_transpose"):
        generate(upsample_method="area")
