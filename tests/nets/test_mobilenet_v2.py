"""MobileNet V2 against a NumPy network, and what it and its table can be told; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import frozen_batch_norm, slim, tf
from slimft.nets.mobilenet import conv_blocks, mobilenet, mobilenet_v2

# Size and channels of each layer at 224 pixels (arXiv:1801.04381, table 2).
TABLE_2 = [
    (112, 32),
    (112, 16),
    *[(56, 24)] * 2,
    *[(28, 32)] * 3,
    *[(14, 64)] * 4,
    *[(14, 96)] * 3,
    *[(7, 160)] * 3,
    (7, 320),
    (7, 1280),
]
LAYERS = [f"layer_{i}" for i in range(1, 20)]
# The first bottleneck has an expansion of 1: it does not expand.
INNER = ["layer_2/depthwise_output", "layer_2/output"] + [
    f"layer_{i}/{kind}" for i in range(3, 19) for kind in ("expansion_output", "depthwise_output", "output")
]
UPDATES = 2 * 52


def images_of(*shape):
    return np.random.default_rng(29).standard_normal(shape, dtype=np.float32)


def placeholder(size, batch=None):
    return tf.placeholder(tf.float32, [batch, size, size, 3])


def scoped(function, *arguments, arg_scope=None, **named):
    with slim.arg_scope(arg_scope or mobilenet_v2.training_scope()):
        return function(*arguments, **named)


def base(images, **arguments):
    return scoped(mobilenet_v2.mobilenet_base, images, **{"is_training": False, **arguments})


def randomize(session):
    """Weights at which activations keep their size, and so depend on the image and meet ReLU6's end."""
    rng, values = np.random.default_rng(5), {}
    for variable in tf.model_variables():
        shape, kind = variable.shape.as_list(), variable.op.name.rpartition("/")[2]
        value = rng.standard_normal(shape, dtype=np.float32)
        if kind in ("gamma", "moving_variance"):
            value = 1 + np.abs(value) / 4
        elif kind == "depthwise_weights":
            value *= np.sqrt(2 / 9)
        elif kind == "weights":
            value *= np.sqrt(2 / np.prod(shape[:-1]))
        else:
            value /= 4
        values[variable.initializer] = value
    session.run(list(values), {initializer.inputs[1]: value for initializer, value in values.items()})


# The graph.


def test_signatures():
    assert str(inspect.signature(mobilenet_v2.training_scope)) == (
        "(is_training=True, weight_decay=4e-05, stddev=0.09, dropout_keep_prob=0.8, bn_decay=0.997)"
    )
    of_base = "(input_tensor, depth_multiplier=1.0, **kwargs)"
    assert str(inspect.signature(mobilenet_v2.mobilenet_base)) == of_base
    assert str(inspect.signature(mobilenet_v2.mobilenet_base_group_norm)) == of_base
    assert mobilenet_v2.mobilenet_v2 is mobilenet_v2.mobilenet


# The numbers.


def numpy_network(windows, values, x):
    """All layers by the paper's tables 1 and 2, in float64, of the variables' `values`."""
    values = {name.removeprefix("MobilenetV2/"): value.astype(np.float64) for name, value in values.items()}
    layers, blocks = {}, iter(["expanded_conv", *(f"expanded_conv_{i}" for i in range(1, 17))])

    def normalize(scope, x, end=6):
        norm = {n: values[f"{scope}/BatchNorm/{n}"] for n in ("gamma", "beta", "moving_mean", "moving_variance")}
        x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 0.001) * norm["gamma"] + norm["beta"]
        return x if end is None else np.clip(x, 0, end)

    x = np.einsum("bhwcij,ijco->bhwo", windows(x.astype(np.float64), 3, 2), values["Conv/weights"])
    x = layers["layer_1"] = normalize("Conv", x)
    for t, repetitions, stride in ((1, 1, 1), (6, 2, 2), (6, 3, 2), (6, 4, 2), (6, 3, 1), (6, 3, 2), (6, 1, 1)):
        for s in [stride] + [1] * (repetitions - 1):
            layer, scope, before = f"layer_{len(LAYERS & layers.keys()) + 1}", next(blocks), x
            if t > 1:
                x = normalize(f"{scope}/expand", x @ values[f"{scope}/expand/weights"][0, 0])
                layers[f"{layer}/expansion_output"] = x
            weights = values[f"{scope}/depthwise/depthwise_weights"][..., 0]
            x = normalize(f"{scope}/depthwise", np.einsum("bhwcij,ijc->bhwc", windows(x, 3, s), weights))
            layers[f"{layer}/depthwise_output"] = x
            x = normalize(f"{scope}/project", x @ values[f"{scope}/project/weights"][0, 0], end=None)
            x = x + before if x.shape == before.shape and s == 1 else x
            layers[layer] = layers[f"{layer}/output"] = x
    x = layers["layer_19"] = normalize("Conv_1", x @ values["Conv_1/weights"][0, 0])
    x = layers["global_pool"] = x.mean((1, 2), keepdims=True)
    logits = values["Logits/Conv2d_1c_1x1/weights"][0, 0], values["Logits/Conv2d_1c_1x1/biases"]
    x = layers["Logits"] = x[:, 0, 0] @ logits[0] + logits[1]
    shares = np.exp(x - x.max(1, keepdims=True))
    layers["Predictions"] = shares / shares.sum(1, keepdims=True)
    return layers


@pytest.mark.parametrize("size", [32, 75])
def test_every_layer_is_numpys(size, windows, assert_close):
    images = 3 * images_of(2, size, size, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = placeholder(size)
        _, end_points = scoped(mobilenet_v2.mobilenet_v2_035, inputs, 10, is_training=False)
        randomize(session)
        values = session.run({variable.op.name: variable for variable in tf.model_variables()})
        layers = session.run(end_points, {inputs: images})
    expected = numpy_network(windows, values, images)
    assert layers.keys() == expected.keys()
    assert sum(np.any(layer == 6) for layer in expected.values()) > 10
    logits = expected["Logits"]
    assert np.abs(logits[0] - logits[1]).max() > 0.05 * np.abs(logits).max()  # they depend on the image
    for name, layer in layers.items():
        assert_close(layer, expected[name].astype(np.float32), within=1e-4)


@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride_computes_the_same_at_more_positions(stride, assert_close):
    """With a padding that is alike on both sides, the strided network's values are among the atrous one's."""
    with tf.Graph().as_default(), tf.Session() as session:
        images, arguments = placeholder(64), {"depth_multiplier": 0.35, "use_explicit_padding": True}
        strided, _ = base(images, **arguments)
        dense, end_points = base(images, output_stride=stride, reuse=True, **arguments)
        randomize(session)
        strided, dense = session.run([strided, dense], {images: images_of(2, 64, 64, 3)})
    assert strided.shape[1:3] == (2, 2) and dense.shape[1:3] == (64 // stride, 64 // stride)
    assert_close(dense[:, :: 32 // stride, :: 32 // stride], strided, within=1e-5)
    sizes = [end_points[key].shape.as_list()[1] for key in LAYERS]
    assert sizes == [max(size * 64 // 224, 64 // stride) for size, _ in TABLE_2]


@pytest.mark.parametrize("size, same", [(65, True), (64, False)])
def test_explicit_padding_is_same_padding_where_sizes_are_odd(size, same):
    with tf.Graph().as_default(), tf.Session() as session:
        images = placeholder(size)
        ours, _ = base(images, depth_multiplier=0.35)
        explicit, _ = base(images, depth_multiplier=0.35, use_explicit_padding=True, reuse=True)
        randomize(session)
        ours, explicit = session.run([ours, explicit], {images: images_of(1, size, size, 3)})
    assert ours.shape == explicit.shape
    assert np.allclose(ours, explicit, atol=1e-4) == same


# What it can be told.


@pytest.mark.parametrize("size", [32, 33, 225, None])
def test_one_row_of_logits_for_any_size(size):
    with tf.Graph().as_default():
        logits, end_points = scoped(mobilenet_v2.mobilenet_v2_035, placeholder(size), 7, is_training=False)
    assert logits.shape.as_list() == [None, 7]
    assert end_points["global_pool"].shape.as_list() == [None, 1, 1, 1280]


def trains(graph):
    updates = len(graph.get_collection(tf.GraphKeys.UPDATE_OPS))
    dropped = [op for op in graph.get_operations() if "/Dropout/" in op.name and "andom" in op.type]
    return updates, bool(dropped)


@pytest.mark.parametrize(
    "scope, argument, expected",
    [
        ({}, {}, True),
        ({"is_training": False}, {}, False),
        ({"is_training": False}, {"is_training": True}, True),
        ({"is_training": None}, {}, True),  # slim.batch_norm's and slim.dropout's own default
        (None, {}, False),
        (None, {"is_training": True}, True),
    ],
)
def test_where_is_training_comes_from(scope, argument, expected):
    with tf.Graph().as_default() as graph:
        arguments = {"depth_multiplier": 0.35, **argument}
        if scope is None:
            mobilenet_v2.mobilenet(placeholder(32), 7, **arguments)
        else:
            arg_scope = mobilenet_v2.training_scope(**scope)
            scoped(mobilenet_v2.mobilenet, placeholder(32), 7, arg_scope=arg_scope, **arguments)
    assert trains(graph) == ((UPDATES, True) if expected else (0, False))


def test_frozen_layers_normalize_as_in_evaluation():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images, function = placeholder(32), mobilenet_v2.mobilenet_v2_035
        evaluated, _ = scoped(function, images, 7, is_training=False)
        arg_scope = mobilenet_v2.training_scope(dropout_keep_prob=1.0)
        with frozen_batch_norm(lambda scope: True):
            frozen, _ = scoped(function, images, 7, arg_scope=arg_scope, is_training=True, reuse=True)
        assert graph.get_collection(tf.GraphKeys.UPDATE_OPS) == []
        randomize(session)
        evaluated, frozen = session.run([evaluated, frozen], {images: images_of(3, 32, 32, 3)})
    np.testing.assert_allclose(frozen, evaluated, rtol=1e-4, atol=1e-4)


def test_training_scope():
    """The decay of the averages, weight decay without the depthwise weights, how weights begin, dropout."""
    scope = mobilenet_v2.training_scope(weight_decay=0.01, bn_decay=0.75, stddev=0.5, dropout_keep_prob=0.25)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        _, end_points = scoped(mobilenet_v2.mobilenet, tf.ones([2, 32, 32, 3]), 7, 0.35, arg_scope=scope)
        session.run(tf.global_variables_initializer())
        logits = graph.get_operation_by_name("MobilenetV2/Logits/Conv2d_1c_1x1/Conv2D")
        kept = session.run(logits.inputs[0], {end_points["global_pool"]: np.ones([2, 1, 1, 448])})
        losses = tf.add_n(graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
        decayed = [v for v in tf.trainable_variables() if v.op.name.endswith("/weights")]
        loss, decayed, stem = session.run([losses, decayed, "MobilenetV2/Conv/weights:0"])
        session.run(graph.get_collection(tf.GraphKeys.UPDATE_OPS))
        mean = session.run("MobilenetV2/Conv/BatchNorm/moving_mean:0")
    assert set(np.unique(kept)) == {0, 4} and np.mean(kept == 0) == pytest.approx(0.75, abs=0.1)
    np.testing.assert_allclose(loss, 0.005 * sum(np.sum(values**2.0) for values in decayed), rtol=1e-5)
    # Of 16x16 positions, those of the last row and column see two rows or columns of the kernel.
    taps = [(np.s_[:3, :3], 225), (np.s_[:2, :3], 15), (np.s_[:3, :2], 15), (np.s_[:2, :2], 1)]
    batch = sum(n * stem[seen].sum((0, 1, 2)) for seen, n in taps) / 256
    np.testing.assert_allclose(mean, 0.25 * batch, rtol=1e-4, atol=1e-6)
    # A normal distribution cut off at two standard deviations, 0.88 of them wide.
    everything = np.concatenate([values.ravel() for values in decayed])
    assert np.abs(everything).max() < 2 * 0.5 and 0.43 < everything.std() < 0.45


def test_xavier_initializer():
    with tf.Graph().as_default(), tf.Session() as session:
        scoped(mobilenet_v2.mobilenet_base, placeholder(32), arg_scope=mobilenet_v2.training_scope(stddev=-1))
        session.run(tf.global_variables_initializer())
        weights = session.run("MobilenetV2/Conv/weights:0")
    limit = np.sqrt(6 / (9 * 3 + 9 * 32))  # uniform; Glorot and Bengio's equation 16
    assert 0.9 * limit < np.abs(weights).max() <= limit


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"depth_multiplier": 0.35}, [16, 8, 8, 16, 24, 32, 56, 112, 448]),
        ({"depth_multiplier": 0.35, "finegrain_classification_mode": True}, [16, 8, 8, 16, 24, 32, 56, 112, 1280]),
        ({"depth_multiplier": 0.1, "min_depth": 12}, [12, 12, 12, 12, 12, 12, 16, 32, 128]),
        ({"depth_multiplier": 0.3, "divisible_by": 1}, [10, 8, 8, 10, 19, 29, 48, 96, 384]),
        ({"depth_multiplier": 1.4}, [48, 24, 32, 48, 88, 136, 224, 448, 1792]),
    ],
)
def test_depths(arguments, expected):
    """Rounded to multiples, but not down by more than 10 %; by hand from the paper's table 2."""
    with tf.Graph().as_default():
        _, end_points = base(placeholder(32), **arguments)
    depths = [end_points[f"layer_{i}"].shape[3] for i in (1, 2, 4, 7, 11, 14, 17, 18, 19)]
    assert depths == expected


def test_layers_of_ones_own():
    block = {"num_outputs": 24, "expansion_size": mobilenet_v2.expand_input(3)}
    spec = [
        mobilenet_v2.op(slim.conv2d, kernel_size=[5, 5], stride=2, num_outputs=16),
        mobilenet_v2.op(conv_blocks.expanded_conv, stride=2, **block),
        mobilenet_v2.op(conv_blocks.expanded_conv, **block),
        mobilenet_v2.op(slim.conv2d, kernel_size=[1, 1], num_outputs=40),
    ]
    with tf.Graph().as_default():
        net, end_points = base(placeholder(32), conv_defs={**mobilenet_v2.V2_DEF, "spec": spec})
        shapes = {v.op.name: v.shape.as_list() for v in tf.model_variables() if v.op.name.endswith("weights")}
    assert [key for key in end_points if "/" not in key] == ["layer_1", "layer_2", "layer_3", "layer_4"]
    assert net.shape.as_list() == [None, 8, 8, 40]
    assert shapes == {
        "MobilenetV2/Conv/weights": [5, 5, 3, 16],
        "MobilenetV2/expanded_conv/expand/weights": [1, 1, 16, 48],
        "MobilenetV2/expanded_conv/depthwise/depthwise_weights": [3, 3, 48, 1],
        "MobilenetV2/expanded_conv/project/weights": [1, 1, 48, 24],
        "MobilenetV2/expanded_conv_1/expand/weights": [1, 1, 24, 72],
        "MobilenetV2/expanded_conv_1/depthwise/depthwise_weights": [3, 3, 72, 1],
        "MobilenetV2/expanded_conv_1/project/weights": [1, 1, 72, 24],
        "MobilenetV2/Conv_1/weights": [1, 1, 24, 40],
    }


def test_a_layer_whose_depth_is_multiplied_otherwise():
    """And `overrides`, which come after the defaults; the table itself stays as it is."""

    def divide(params, multiplier):
        params["num_outputs"] = int(params["num_outputs"] / multiplier)

    first = mobilenet.op(slim.conv2d, kernel_size=(3, 3), multiplier_transform=divide, num_outputs=16)
    spec = [first, *mobilenet_v2.V2_DEF["spec"][2:4]]
    overrides = {(conv_blocks.expanded_conv,): {"split_expansion": 2}}
    with tf.Graph().as_default() as graph:
        _, end_points = base(
            placeholder(32),
            depth_multiplier=0.5,
            conv_defs={**mobilenet_v2.V2_DEF, "spec": spec, "overrides": overrides},
        )
    assert [end_points[f"layer_{i}"].shape[3] for i in (1, 2, 3)] == [32, 16, 16]
    assert [op.name for op in graph.get_operations() if op.type == "Conv2D" and "_part_" in op.name] == [
        f"MobilenetV2/{block}/expand_part_{i}/Conv2D"
        for block in ("expanded_conv", "expanded_conv_1")
        for i in (0, 1)
    ]
    assert first.params == {"kernel_size": (3, 3), "num_outputs": 16}


SCOPES = {
    "depths": ([mobilenet.depth_multiplier], {"min_depth": 32, "divisible_by": 16}),
    "training": ([mobilenet_v2.mobilenet, mobilenet.mobilenet_base], {"is_training": True}),
    "own": ([mobilenet_v2.mobilenet], {"num_classes": 3}),
    "blocks": ([conv_blocks.expanded_conv], {"depthwise_location": "input"}),
}


def depths_of(end_points):
    return {end_points[key].shape.as_list()[3] for key in LAYERS}


@pytest.mark.parametrize("name", SCOPES)
def test_arg_scopes_on_its_functions(name):
    functions, arguments = SCOPES[name]
    with tf.Graph().as_default() as graph, slim.arg_scope(functions, **arguments):
        logits, end_points = mobilenet_v2.mobilenet(placeholder(32), depth_multiplier=0.1)
    assert depths_of(end_points) == ({32, 128} if name == "depths" else {8, 16, 32, 128})
    assert trains(graph) == ((UPDATES, True) if name == "training" else (0, False))
    assert logits.shape[1] == (3 if name == "own" else 1001)
    # The second bottleneck halves the map, before or after it expands.
    expanded = end_points["layer_3/expansion_output"].shape[1]
    assert expanded == (8 if name == "blocks" else 16)


def test_its_own_arguments_go_before_arg_scopes():
    with tf.Graph().as_default(), slim.arg_scope([mobilenet.depth_multiplier], min_depth=32, divisible_by=16):
        _, end_points = base(placeholder(32), depth_multiplier=0.1, min_depth=24)
    assert depths_of(end_points) == {24, 32, 128}


def test_group_normalization():
    """In every group of channels of an image, what the last bottleneck gives has mean 0 and deviation 1."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = placeholder(64, 2)
        _, end_points = scoped(mobilenet_v2.mobilenet_base_group_norm, images, 0.35, groups=4)
        names = [v.op.name for v in tf.trainable_variables()]
        session.run(tf.global_variables_initializer())
        net = session.run(end_points["layer_18"], {images: images_of(2, 64, 64, 3)})
    assert not any("BatchNorm" in name for name in names)
    assert sum(name.endswith("GroupNorm/gamma") for name in names) == UPDATES / 2
    grouped = net.reshape(2, -1, 4, net.shape[3] // 4)
    np.testing.assert_allclose(grouped.mean((1, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(grouped.std((1, 3)), 1, atol=0.05)
    assert (slim.group_norm,) not in mobilenet_v2.V2_DEF_GROUP_NORM["defaults"]


def test_final_endpoint_leaves_the_rest_out():
    with tf.Graph().as_default():
        net, end_points = base(placeholder(32), final_endpoint="layer_4")
        assert list(end_points) == [*LAYERS[:4], *INNER[:8]] and net is end_points["layer_4"]
        assert len(tf.model_variables()) == (1 + 2 + 3 + 3) * 5


def test_another_activation():
    with tf.Graph().as_default() as graph:
        base(placeholder(32), activation_fn=tf.nn.elu)
    assert [op.type for op in graph.get_operations() if op.type in ("Elu", "Relu6")] == ["Elu"] * (1 + 33 + 1)


def test_without_classes_predictions_and_batch():
    with tf.Graph().as_default():
        features, end_points = scoped(mobilenet_v2.mobilenet, placeholder(32), 0, 0.35)
        assert features is end_points["global_pool"] and "Logits" not in end_points
        assert features.shape.as_list() == [None, 1, 1, 448]
        _, end_points = scoped(mobilenet_v2.mobilenet, placeholder(32), 7, 0.35, scope="b", prediction_fn=None)
        assert "Predictions" not in end_points
        with pytest.raises(ValueError, match="rank 4, not 3"):
            mobilenet_v2.mobilenet(tf.zeros([32, 32, 3]))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"depth_multiplier": 0}, "multiplier of the depths has to be greater than zero, not 0"),
        ({"multiplier": 0.5}, "takes depth_multiplier, not multiplier"),
        ({"output_stride": 7}, "output_stride has to be 1 or a multiple of 2, not 7"),
        ({"output_stride": 0}, "output_stride has to be 1 or a multiple of 2, not 0"),
        ({"output_stride": 6}, "output_stride=6 is not a product of the first layers' strides"),
    ],
)
def test_what_cannot_be(arguments, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        base(placeholder(32), **arguments)
