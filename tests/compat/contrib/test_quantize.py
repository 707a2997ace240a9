"""tf.contrib.quantize against figures of TensorFlow 1.15.5, and rewritten graphs against their originals.

The weights of these networks are made of their names, so that 1.15 computed with the same ones.
"""

import zlib

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.compat.contrib.quantize import graph_matcher
from slimft.compat.legacy_names import contrib
from slimft.nets import nets_factory

quantize = contrib.quantize


def weights_of(name, shape):
    """Weights that differ from variable to variable, the same wherever they are made."""
    random = np.random.RandomState(zlib.crc32(name.encode()) % (2**31))
    if name.endswith("moving_variance"):
        return random.rand(*shape) * 0.5 + 0.3
    if name.endswith("quant/min"):
        return np.float32(-1.2)
    if name.endswith("quant/max"):
        return np.float32(1.3)
    if name.endswith("gamma"):
        return random.rand(*shape) + 0.5
    return random.randn(*shape) * 0.3


def normalized(is_training, **params):
    return {
        "normalizer_fn": slim.batch_norm,
        "normalizer_params": {"is_training": is_training, "decay": 0.9, **params},
    }


def with_biases(images, is_training):
    return slim.conv2d(images, 8, 3, activation_fn=tf.nn.relu6, scope="c")


def fused(images, is_training):
    return slim.conv2d(images, 8, 3, scope="c", **normalized(is_training, scale=True))


def unfused(images, is_training):
    return slim.conv2d(images, 8, 3, scope="n/c", **normalized(is_training, scale=True, fused=False))


def depthwise(images, is_training):
    return slim.separable_conv2d(images, None, 3, depth_multiplier=2, scope="n/dw", **normalized(is_training))


def separable(images, is_training):
    return slim.separable_conv2d(images, 8, 3, depth_multiplier=1, scope="n/sep")


def connected(images, is_training):
    return slim.fully_connected(slim.flatten(images), 8, scope="n/f", **normalized(is_training))


def residual(images, is_training):
    return tf.nn.relu(
        images + slim.conv2d(images, 3, 3, activation_fn=None, scope="n/c", **normalized(is_training))
    )


def late(images, is_training):
    first = slim.conv2d(images, 3, 3, scope="n/b", **normalized(is_training))
    second = slim.conv2d(first, 3, 3, scope="n/c", **normalized(is_training))
    return slim.conv2d(first + second, 2, 1, scope="n/d")


def joined(images, is_training):
    parts = [
        slim.conv2d(images, 3, 3, scope="n/b", **normalized(is_training)),
        slim.conv2d(images, 5, 1, scope="n/c"),
    ]
    return slim.conv2d(tf.concat(parts, 3), 2, 1, scope="n/d")


def sums(images, is_training):
    first, second = slim.conv2d(images, 3, 3, scope="n/b"), slim.conv2d(images, 3, 1, scope="n/c")
    both = tf.add(first, second)
    twice = both * 2.0
    return slim.max_pool2d(tf.multiply(twice, first, name="named") + tf.add(both, twice, name="sum"), 2)


def tf_layers(images, is_training):
    net = tf.layers.conv2d(images, 6, 3, use_bias=False)
    net = tf.nn.relu(tf.layers.batch_normalization(net, training=is_training, momentum=0.9))
    net = tf.layers.conv2d(net, 5, 3, activation=tf.nn.relu)
    net = tf.layers.batch_normalization(net, training=is_training, momentum=0.9)
    return tf.layers.dense(tf.layers.flatten(net), 3)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def built(network, is_training):
    """The images to feed, the output, and the loss of the output."""
    images = tf.placeholder(tf.float32, [4, 8, 8, 3])
    output = network(images, is_training)
    return images, output, tf.reduce_mean(tf.square(output - 0.3))


def session(names=None):
    """A session with the weights set: of the variables of these names, or of all."""
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    for variable in tf.global_variables():
        if names is None or variable.op.name in names:
            variable.load(weights_of(variable.op.name, variable.shape.as_list()), session)
    return session


def names_of_ranges():
    return {name.op.name[: -len("/min")] for name in tf.global_variables() if name.op.name.endswith("quant/min")}


# By network: the names of the ranges, the sum of the sizes of the outputs, and the losses with a delay of 2.
FIGURES = {
    "with_biases": (
        ["c/act_quant", "c/weights_quant"],
        1129.824,
        [0.788399, 0.687917, 0.628706, 0.58094, 0.744407],
    ),
    "fused": (["c/act_quant", "c/weights_quant"], 1560.594, [0.312657, 0.319866, 0.294445, 0.309475, 0.305925]),
    "unfused": (
        ["n/c/act_quant", "n/c/weights_quant"],
        2357.698,
        [0.622301, 0.575657, 0.586591, 0.589069, 0.603672],
    ),
    "depthwise": (
        ["n/dw/act_quant", "n/dw/weights_quant"],
        353.7896,
        [0.346177, 0.357729, 0.349399, 0.334868, 0.355066],
    ),
    "separable": (
        [
            "n/sep/act_quant",
            "n/sep/separable_conv2d/act_quant",
            "n/sep/separable_conv2d/weights_quant",
            "n/sep/weights_quant",
        ],
        193.4537,
        [0.0797775, 0.075968, 0.0753197, 0.0790134, 0.0783642],
    ),
    "connected": (
        ["n/f/act_quant", "n/f/weights_quant"],
        70.73329,
        [0.358917, 0.398695, 0.398793, 0.413967, 0.356422],
    ),
    "residual": (
        ["n/act_quant", "n/c/conv_quant", "n/c/weights_quant"],
        448.6826,
        [0.632181, 0.630014, 0.516893, 0.55699, 0.599083],
    ),
    "late": (
        [
            "n/b/act_quant",
            "n/b/weights_quant",
            "n/c/act_quant",
            "n/c/weights_quant",
            "n/d/act_quant",
            "n/d/weights_quant",
            "post_activation_bypass_quant",
        ],
        58.66668,
        [0.0725786, 0.0738151, 0.073499, 0.0746713, 0.0737317],
    ),
    "joined": (
        [
            "n/b/act_quant",
            "n/b/weights_quant",
            "n/c/act_quant",
            "n/c/weights_quant",
            "n/d/act_quant",
            "n/d/weights_quant",
        ],
        152.0839,
        [0.107978, 0.0981459, 0.0978087, 0.0954489, 0.0987847],
    ),
    "sums": (
        [
            "add_1/activation_AddV2_quant",
            "mul/activation_Mul_quant",
            "n/b/act_quant",
            "n/b/weights_quant",
            "n/c/act_quant",
            "n/c/weights_quant",
            "named/activation_Mul_quant",
            "post_activation_bypass_quant",
            "sum/activation_Add_quant",
        ],
        244.2451,
        [280.687, 870.173, 19.1068, 0.973118, 36.2959],
    ),
    "tf_layers": (
        [
            "conv2d/act_quant",
            "conv2d/weights_quant",
            "conv2d_1/act_quant",
            "conv2d_1/weights_quant",
            "dense/act_quant",
            "dense/weights_quant",
        ],
        33.24168,
        [3.42561, 4.40972, 7.69816, 8.51285, 2.62746],
    ),
}


@pytest.mark.parametrize("network", [globals()[name] for name in FIGURES], ids=list(FIGURES))
def test_an_evaluation_has_the_names_and_numbers_of_1_15(network):
    ranges, total, _ = FIGURES[network.__name__]
    images, output, _ = built(network, False)
    quantize.create_eval_graph()
    assert names_of_ranges() == set(ranges)
    with session() as running:
        result = running.run(output, {images: np.random.RandomState(3).randn(4, 8, 8, 3)})
    np.testing.assert_allclose(np.abs(result).sum(), total, rtol=1e-4)


@pytest.mark.parametrize("network", [globals()[name] for name in FIGURES], ids=list(FIGURES))
def test_training_has_the_losses_of_1_15(network):
    ranges, _, losses = FIGURES[network.__name__]
    images, _, loss = built(network, True)
    names = {variable.op.name for variable in tf.global_variables()}
    quantize.create_training_graph(quant_delay=2)
    assert names_of_ranges() == set(ranges)
    np.testing.assert_allclose(losses_of(images, loss, names), losses, rtol=2e-4)


def losses_of(images, loss, names, steps=5):
    """Losses of gradient descent; what moves averages runs after the loss, one op at a time, as it reads them."""
    variables, updates = tf.trainable_variables(), tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    gradients = tf.gradients(loss, variables)
    losses, random = [], np.random.RandomState(3)
    with session(names) as running:
        for _ in range(steps):
            fed = {images: random.randn(4, 8, 8, 3)}
            value, slopes = running.run([loss, gradients], fed)
            losses.append(value)
            for update in updates:
                running.run(update, fed)
            for variable, slope in zip(variables, slopes, strict=True):
                variable.load(running.run(variable) - 0.02 * slope, running)
    return losses


@pytest.mark.parametrize("network", [fused, unfused, depthwise, connected, tf_layers, separable])
def test_until_the_delay_a_network_computes_what_it_did(network):
    images, output, loss = built(network, True)
    names = {variable.op.name for variable in tf.global_variables()}
    fed = {images: np.random.RandomState(3).randn(4, 8, 8, 3)}
    of = tf.trainable_variables()
    slopes = tf.gradients(loss, of)
    with session(names) as running:
        expected = running.run([loss, *slopes], fed)
    with tf.Graph().as_default():
        images, output, loss = built(network, True)
        quantize.create_training_graph(quant_delay=2)
        slopes = tf.gradients(loss, tf.trainable_variables())
        with session(names) as running:
            first, second = (running.run([loss, *slopes], {images: next(iter(fed.values()))}) for _ in range(2))
    for one, other in zip(first, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-3)
    assert second[0] != first[0]  # The second run is step 2, which is quantized.


def test_frozen_batch_norm_no_longer_moves_its_averages():
    images, _, _ = built(fused, True)
    names = {variable.op.name for variable in tf.global_variables()}
    quantize.experimental_create_training_graph(freeze_bn_delay=3)
    average = tf.get_default_graph().get_tensor_by_name("c/BatchNorm/moving_mean:0")
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with session(names) as running:
        seen = []
        for _ in range(4):
            running.run(updates, {images: np.random.RandomState(3).randn(4, 8, 8, 3)})
            seen.append(running.run(average).copy())
    assert not np.allclose(seen[0], seen[1], rtol=1e-5)
    np.testing.assert_array_equal(seen[2], seen[3])


def test_evaluation_leaves_the_ranges_and_training_moves_them():
    images, output, _ = built(with_biases, False)
    output = tf.abs(output)  # What takes the activation takes it quantized.
    quantize.experimental_create_eval_graph(weight_bits=4)
    highest = tf.get_default_graph().get_tensor_by_name("c/act_quant/max:0")
    with session() as running:
        result = running.run(output, {images: np.ones((4, 8, 8, 3))})
        assert running.run(highest) == np.float32(1.3)
    # Of the 255 steps between the ends of the range, one is at 0.
    np.testing.assert_allclose(np.round(result * 255 / 2.5), result * 255 / 2.5, atol=1e-3)


def test_layers_out_of_scope_are_left():
    built(late, True)
    quantize.experimental_create_training_graph(scope="n/b")
    assert names_of_ranges() == {"n/b/weights_quant", "n/b/act_quant"}


def test_ranges_about_zero():
    images, _, output = built(with_biases, True)
    quantize.experimental_create_training_graph(symmetric=True, activation_bits=7)
    with session({"c/weights"}) as running:
        running.run(output, {images: np.ones((4, 8, 8, 3))})
        low, high, least, most = (
            running.run(tf.get_default_graph().get_tensor_by_name(f"c/{name}:0"))
            for name in ("weights_quant/min", "weights_quant/max", "act_quant/min", "act_quant/max")
        )
    assert low == -high
    np.testing.assert_allclose(least, -most * 128 / 126, rtol=1e-5)


def test_a_range_per_channel():
    values = np.random.RandomState(0).randn(5, 3).astype(np.float32)
    result = quantize.LastValueQuantize(tf.constant(values), per_channel=True, num_bits=4)
    with tf.Session() as running:
        running.run(tf.global_variables_initializer())
        quantized = running.run(result)
    step = (np.maximum(values.max(0), 0) - np.minimum(values.min(0), 0)) / 15
    assert np.all(np.abs(quantized - values) < 0.501 * step)
    assert all(len(set(column)) <= 5 for column in quantized.T)


def test_two_calls_change_nothing_more():
    built(late, True)
    quantize.create_training_graph()
    before = len(tf.global_variables())
    quantize.create_training_graph()
    assert len(tf.global_variables()) == before


def test_a_graph_with_an_optimizer_is_refused():
    _, _, loss = built(fused, True)
    tf.train.AdamOptimizer(0.1).minimize(loss)
    with pytest.raises(ValueError, match=r"Training op found in graph, exiting .*ApplyAdam"):
        quantize.create_training_graph()


def test_what_cannot_be_folded_is_one_line(caplog):
    images = tf.placeholder(tf.float32, [4, 3, 8, 8])
    slim.conv2d(images, 8, 3, data_format="NCHW", scope="c", **normalized(False, data_format="NCHW"))
    with pytest.raises(ValueError, match="NHWC only, unlike c/Conv2D"):
        quantize.create_eval_graph()


def test_averages_that_nobody_moves_are_an_error():
    built(lambda images, training: slim.conv2d(images, 8, 3, **normalized(training, trainable=False)), True)
    with pytest.raises(ValueError, match="updates no moving averages"):
        quantize.create_training_graph()


def test_what_is_left_is_told(monkeypatch):
    told = []
    monkeypatch.setattr(tf.logging, "warning", lambda message, *values: told.append(message % values))
    images = tf.placeholder(tf.float32, [4, 8, 8, 3])
    training = tf.placeholder(tf.bool, [])
    slim.conv2d(images, 8, 3, activation_fn=tf.nn.tanh, biases_initializer=None, scope="odd")
    slim.conv2d(images, 8, 3, scope="both", **normalized(training))
    quantize.create_training_graph()
    assert any("does not fold" in line and "both/BatchNorm" in line for line in told)
    assert any("leaves 2 layers" in line and "odd/Conv2D" in line for line in told)


def test_mobilenet_v1_has_the_variables_of_its_quantized_release():
    network = nets_factory.get_network_fn("mobilenet_v1", num_classes=5, is_training=False)
    network(tf.placeholder(tf.float32, [1, 32, 32, 3]))
    quantize.create_eval_graph()
    ranges = names_of_ranges()
    layers = ["Conv2d_0", *(f"Conv2d_{i}_{kind}" for i in range(1, 14) for kind in ("depthwise", "pointwise"))]
    scopes = [f"MobilenetV1/MobilenetV1/{layer}" for layer in layers] + ["MobilenetV1/Logits/Conv2d_1c_1x1"]
    assert ranges == {f"{scope}/{name}" for scope in scopes for name in ("weights_quant", "act_quant")}


def test_graph_matcher_finds_a_pattern():
    first = tf.nn.relu(tf.placeholder(tf.float32, [2]), name="first")
    total = tf.add(tf.constant([1.0, 2.0]), first)
    activation = graph_matcher.OpTypePattern("Relu|Relu6", name="activation")
    pattern = graph_matcher.OpTypePattern("AddV2", inputs=[activation, "*"], ordered_inputs=False)
    (match,) = graph_matcher.GraphMatcher(pattern).match_graph(tf.get_default_graph())
    assert (match.get_op(pattern), match.get_op("activation"), match.get_tensor(activation)) == (
        total.op,
        first.op,
        first,
    )
    assert match.get_op("other") is None
