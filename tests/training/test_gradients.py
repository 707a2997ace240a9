"""The gradients of convolutions that stand in for oneDNN's."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.training.gradients import convolution_gradients


def gradients_of(build, shape, dtype, ours):
    """What a layer's gradients are, by TensorFlow or by ours; and the types of their ops."""
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(1)
        images = tf.cast(tf.constant(values), dtype)
        if ours:
            with convolution_gradients():
                outputs = build(images)
        else:
            outputs = build(images)
        loss = tf.reduce_sum(tf.sin(tf.cast(outputs, tf.float32)))
        found = tf.gradients(loss, [images, *tf.trainable_variables()])
        session.run(tf.global_variables_initializer())
        return session.run([tf.cast(one, tf.float32) for one in found]), {op.type for op in graph.get_operations()}


@pytest.mark.parametrize("size", [1, 3, 5, (1, 7)])
@pytest.mark.parametrize("side", [1, 2, 4, 8, 9])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": "VALID"}, {"rate": 2}])
def test_they_are_tensorflows(size, side, options):
    kernel = [size, size] if isinstance(size, int) else list(size)
    if options.get("padding") == "VALID" and max(kernel) > side:
        pytest.skip("nothing is left of such a map")

    def build(images):
        return slim.conv2d(images, 5, kernel, scope="conv", **options)

    (ours, ops), (theirs, _) = (gradients_of(build, [3, side, side, 4], tf.float32, ours) for ours in (True, False))
    for mine, other in zip(ours, theirs):
        np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())
    if not options:
        assert ("Conv2DBackpropFilter" in ops) == (side > 8)


def test_a_bias_of_few_outputs_is_not_fused_with_its_kernel():
    """Fused in bfloat16 on some processors, the process crashes: 64x4096 features, ten classes."""

    def build(images):
        kernel = tf.get_variable("kernel", [1, 1, 4096, 10], use_resource=True)
        biases = tf.get_variable("biases", [10], use_resource=True)
        features = tf.nn.conv2d(images, tf.cast(kernel, images.dtype), 1, "SAME")
        return tf.nn.bias_add(features, tf.cast(biases, images.dtype))

    (_, kernel, biases), ops = gradients_of(build, [64, 1, 1, 4096], tf.bfloat16, ours=True)
    assert np.isfinite(kernel).all() and np.isfinite(biases).all()
    assert "BiasAddGrad" not in ops
