"""DCGAN against NumPy, research/slim's variables and what the paper has it do: learn."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import dcgan

NOISE = np.random.default_rng(1).standard_normal((6, 5), dtype=np.float32)
IMAGES = np.random.default_rng(2).uniform(-1, 1, (6, 16, 16, 3)).astype("float32")


@pytest.fixture(autouse=True)
def graph():
    """A graph of the test's own."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


def layers_of(variables):
    """Their shapes by name, without those of batch_norm."""
    return {v.op.name: tuple(v.shape.as_list()) for v in variables if "BatchNorm" not in v.op.name}


def test_variables_and_end_points():
    """As research/slim has them."""
    images, end_points = dcgan.generator(tf.constant(NOISE), depth=4, final_size=16)
    assert layers_of(tf.global_variables()) == {
        "Generator/deconv1/weights": (4, 4, 16, 5),
        "Generator/deconv2/weights": (4, 4, 8, 16),
        "Generator/deconv3/weights": (4, 4, 4, 8),
        "Generator/deconv3/biases": (4,),
        "Generator/logits/weights": (1, 1, 4, 3),
        "Generator/logits/biases": (3,),
    }
    assert {name: tuple(value.shape.as_list()) for name, value in end_points.items()} == {
        "deconv1": (6, 4, 4, 16),
        "deconv2": (6, 8, 8, 8),
        "deconv3": (6, 16, 16, 4),
        "logits": (6, 16, 16, 3),
    }
    logits, end_points = dcgan.discriminator(images, depth=4)
    assert layers_of(slim.get_variables("Discriminator")) == {
        "Discriminator/conv1/weights": (4, 4, 3, 4),
        "Discriminator/conv1/biases": (4,),
        "Discriminator/conv2/weights": (4, 4, 4, 8),
        "Discriminator/conv3/weights": (4, 4, 8, 16),
        "Discriminator/conv4/weights": (4, 4, 16, 32),
        "Discriminator/Conv/weights": (1, 1, 32, 1),
        "Discriminator/Conv/biases": (1,),
    }
    # What debiases an average is named after it once more. Its checkpoints have these names.
    scope = "Generator/deconv1/BatchNorm"
    names = ["beta", "moving_mean", "moving_variance"]
    names += [f"{scope}/moving_mean/{name}" for name in ("biased", "local_step")]
    assert [v.op.name for v in slim.get_model_variables(scope)] == [f"{scope}/{name}" for name in names]
    assert list(end_points) == ["conv1", "conv2", "conv3", "conv4", "logits"] and logits.shape == (6, 1)
    assert end_points["logits"] is logits and logits.op.name == "Discriminator/Reshape"
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * (2 + 3)


def batch_norm(in_numpy, x, values, scope, is_training):
    """slim's defaults: an epsilon of 0.001, a beta and no gamma."""
    values = {name: values[f"{scope}/BatchNorm/{name}"] for name in ("beta", "moving_mean", "moving_variance")}
    if is_training:
        return in_numpy.normalize(x, (0, 1, 2), 0.001) + values["beta"]
    return (x - values["moving_mean"]) / np.sqrt(values["moving_variance"] + 0.001) + values["beta"]


@pytest.mark.parametrize(("is_training", "fused"), [(True, False), (False, False), (True, True)])
def test_numbers(graph, random_weights, in_numpy, assert_close, is_training, fused):
    arguments = {"depth": 4, "is_training": is_training, "fused_batch_norm": fused}
    _, made = dcgan.generator(tf.constant(NOISE), final_size=16, **arguments)
    _, judged = dcgan.discriminator(tf.constant(IMAGES), **arguments)
    with random_weights(graph) as (session, path):
        made, judged = session.run([made, judged])
        values = {name: value.astype(np.float64) for name, value in np.load(path).items()}

    def normalized(x, scope):
        return batch_norm(in_numpy, x, values, scope, is_training)

    net, expected = NOISE[:, None, None, :].astype(np.float64), {}
    for i in (1, 2, 3):
        scope = f"Generator/deconv{i}"
        how = (1, "VALID") if i == 1 else (2, "SAME")
        net = in_numpy.conv2d_transpose(net, values[f"{scope}/weights"], *how)
        net = net + values[f"{scope}/biases"] if i == 3 else in_numpy.relu(normalized(net, scope))
        expected[f"deconv{i}"] = net
    expected["logits"] = net @ values["Generator/logits/weights"][0, 0] + values["Generator/logits/biases"]
    for name, value in expected.items():
        assert_close(made[name], value.astype(np.float32), within=1e-5)

    net, expected = IMAGES.astype(np.float64), {}
    for i in (1, 2, 3, 4):
        scope = f"Discriminator/conv{i}"
        net = in_numpy.conv2d(net, values[f"{scope}/weights"], 2)
        net = net + values[f"{scope}/biases"] if i == 1 else normalized(net, scope)
        net = expected[f"conv{i}"] = in_numpy.relu(net, 0.2)
    logits = net[:, 0, 0] @ values["Discriminator/Conv/weights"][0, 0] + values["Discriminator/Conv/biases"]
    expected["logits"] = logits
    for name, value in expected.items():
        assert_close(judged[name], value.astype(np.float32), within=1e-5)


def test_averages_of_means_have_no_bias_of_their_beginning(graph):
    """After one batch, the debiased moving mean is that batch's; 0.999 of the moving variance is what it was."""
    dcgan.generator(tf.constant(NOISE), depth=4, final_size=8)
    deconv = graph.get_tensor_by_name("Generator/deconv1/conv2d_transpose:0")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        batch = session.run(deconv).astype(np.float64)
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        mean, variance = session.run(
            [f"Generator/deconv1/BatchNorm/moving_{name}:0" for name in ("mean", "variance")]
        )
    np.testing.assert_allclose(mean, batch.mean((0, 1, 2)), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(variance, 0.999 + 0.001 * batch.var((0, 1, 2)), rtol=1e-5)


def test_training_lowers_both_losses(graph):
    """Each network's loss, the other one held; gradients reach all variables."""
    made, _ = dcgan.generator(tf.constant(NOISE), depth=4, final_size=8)
    of_made, _ = dcgan.discriminator(tf.tanh(made), depth=4)
    of_real, _ = dcgan.discriminator(tf.constant(IMAGES[:, :8, :8]), depth=4, reuse=True)

    def loss_of(logits, real):
        return tf.losses.sigmoid_cross_entropy(tf.fill([6, 1], real), logits)

    losses = {"Discriminator": loss_of(of_real, 1) + loss_of(of_made, 0), "Generator": loss_of(of_made, 1)}
    steps, gradients = {}, {}
    for scope, loss in losses.items():
        optimizer = tf.train.AdamOptimizer(0.002, beta1=0.5)
        gradients[scope] = optimizer.compute_gradients(loss, tf.trainable_variables(scope))
        steps[scope] = optimizer.apply_gradients(gradients[scope])
        assert all(gradient is not None for gradient, _ in gradients[scope])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for scope, loss in losses.items():
            assert all(np.abs(gradient).max() > 0 for gradient, _ in session.run(gradients[scope]))
            before = session.run(loss)
            for _ in range(5):
                session.run(steps[scope])
            assert session.run(loss) < 0.98 * before


def test_a_penalty_on_gradients_can_be_trained(graph):
    """As WGAN-GP has it: gradients of gradients go through the batch normalization that is the default."""
    images = tf.constant(IMAGES[:, :8, :8])
    logits, _ = dcgan.discriminator(images, depth=4)
    penalty = tf.reduce_mean(tf.square(tf.norm(tf.gradients(logits, images)[0], axis=(1, 2)) - 1))
    weights = [v for v in tf.trainable_variables() if v.op.name.endswith("weights")]
    gradients = tf.gradients(penalty, weights)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert all(np.abs(gradient).max() > 0 for gradient in session.run(gradients))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([5, 32, 32], "rank 4"),
        ([5, 32, None, 3], "fully defined"),
        ([5, 32, 16, 3], "do not have equal width and height: 16 and 32"),
        ([5, 30, 30, 3], "width is not a power of 2: 30"),
    ],
)
def test_images_that_cannot_be_judged(shape, message):
    with pytest.raises(ValueError, match=message):
        dcgan.discriminator(tf.placeholder(tf.float32, shape))


@pytest.mark.parametrize(
    ("shape", "final_size", "message"),
    [
        ([5, 32, 32], 32, "rank 2"),
        ([3, 2], 30, "final_size=30: it must be a power of 2"),
        ([3, 2], 0, "final_size=0: it must be a power of 2"),
        ([3, 2], 4, "final_size=4: it must be greater than 8, or 8"),
    ],
)
def test_images_that_cannot_be_made(shape, final_size, message):
    with pytest.raises(ValueError, match=message):
        dcgan.generator(tf.zeros(shape), final_size=final_size)
