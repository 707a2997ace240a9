"""The blocks of MobileNets, against NumPy and by what they leave in the graph."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets.mobilenet import conv_blocks


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def images_of(*shape):
    return np.random.default_rng(31).standard_normal(shape, dtype=np.float32)


def evaluated(*tensors):
    """The values of tensors with random variables, and those by the variables' names."""
    rng = np.random.default_rng(3)
    with tf.Session() as session:
        values = {v.op.name: rng.standard_normal(v.shape.as_list()) for v in tf.global_variables()}
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        return (*session.run(tensors), values)


def shapes():
    return {v.op.name: v.shape.as_list() for v in tf.global_variables() if v.op.name.endswith("weights")}


def test_parts_differ_by_one_multiple_at_most():
    for ways in range(1, 9):
        for multiples in range(ways, 40):
            parts = conv_blocks._split_divisible(8 * multiples, ways)
            assert len(parts) == ways and sum(parts) == 8 * multiples
            assert all(part % 8 == 0 and abs(part - 8 * multiples / ways) < 8 for part in parts)
    assert conv_blocks._split_divisible(40, 2) == [24, 16]  # The first has more.
    for number, ways in ((44, 2), (16, 3)):
        with pytest.raises(ValueError, match=f"{number} channels cannot be split into {ways} multiples of 8"):
            conv_blocks._split_divisible(number, ways)


def test_split_conv_sees_its_part_alone(graph):
    images = images_of(1, 2, 2, 40)
    net = conv_blocks.split_conv(tf.constant(images), 24, 2, "expand", activation_fn=None)
    assert [op.name for op in graph.get_operations() if op.name.endswith("_output")] == [
        "expand_part_0_output",
        "expand_part_1_output",
    ]
    assert shapes() == {"expand_part_0/weights": [1, 1, 24, 16], "expand_part_1/weights": [1, 1, 16, 8]}
    net, values = evaluated(net)
    parts = [
        part @ values[f"expand_part_{i}/weights"][0, 0] + values[f"expand_part_{i}/biases"]
        for i, part in enumerate(np.split(images, [24], axis=3))
    ]
    np.testing.assert_allclose(net, np.concatenate(parts, axis=3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("inputs, outputs", [(40, 8), (8, 40)])
def test_split_conv_does_not_split_where_parts_would_be_small(inputs, outputs):
    conv_blocks.split_conv(tf.zeros([1, 2, 2, inputs]), outputs, 2, "project")
    assert shapes() == {"project/weights": [1, 1, inputs, outputs]}


def test_split_separable_conv2d(windows):
    """Both halves have a non-linearity; the names begin with the scope, or are in one."""
    images, end_points = images_of(1, 5, 5, 3), {}
    net = conv_blocks.split_separable_conv2d(tf.constant(images), 4, scope="a", stride=2, endpoints=end_points)
    conv_blocks.split_separable_conv2d(net, 8)
    conv_blocks.split_separable_conv2d(net, 8)
    scopes = (
        "a_depthwise",
        "a_pointwise",
        *(f"{s}/{half}" for s in ("separable", "separable_1") for half in HALVES),
    )
    assert [name.rpartition("/")[0] for name in shapes()] == list(scopes)
    assert list(end_points) == ["a_depthwise", "a_pointwise"] and end_points["a_pointwise"] is net
    net, values = evaluated(net)
    weights = values["a_depthwise/depthwise_weights"][..., 0]
    x = np.einsum("bhwcij,ijc->bhwc", windows(images, 3, 2), weights) + values["a_depthwise/biases"]
    x = np.maximum(x, 0) @ values["a_pointwise/weights"][0, 0] + values["a_pointwise/biases"]
    np.testing.assert_allclose(net, np.maximum(x, 0), rtol=1e-4, atol=1e-4)


HALVES = ("depthwise", "pointwise")


@pytest.mark.parametrize("block", [conv_blocks.split_separable_conv2d, conv_blocks.expanded_conv])
def test_explicit_padding_is_alike_on_both_sides(block, graph):
    """An image of even size is padded before its first row too, where SAME pads none."""
    net = block(tf.zeros([1, 8, 8, 4]), 4, stride=2, rate=1, use_explicit_padding=True)
    assert net.shape.as_list() == [1, 4, 4, 4]
    (pad,) = (op for op in graph.get_operations() if op.type == "Pad")
    assert tf.get_static_value(pad.inputs[1]).tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]


def test_expanded_conv_end_points_and_activations(graph):
    end_points = {}
    conv_blocks.expanded_conv(
        tf.zeros([1, 8, 8, 16]),
        24,
        kernel_size=(5, 5),
        inner_activation_fn=tf.nn.elu,
        depthwise_activation_fn=tf.nn.tanh,
        project_activation_fn=tf.nn.sigmoid,
        endpoints=end_points,
    )
    assert list(end_points) == ["expansion_output", "depthwise_output", "projection_output"]
    assert shapes() == {
        "expanded_conv/expand/weights": [1, 1, 16, 96],
        "expanded_conv/depthwise/depthwise_weights": [5, 5, 96, 1],
        "expanded_conv/project/weights": [1, 1, 96, 24],
    }
    assert [op.type for op in graph.get_operations() if op.type in ("Elu", "Tanh", "Sigmoid", "Relu")] == [
        "Elu",
        "Tanh",
        "Sigmoid",
    ]


@pytest.mark.parametrize(
    "location, order",
    [
        ("input", ["depthwise", "expand", "project"]),
        ("expansion", ["expand", "depthwise", "project"]),
        ("output", ["expand", "project", "depthwise"]),
        (None, ["expand", "project"]),
    ],
)
def test_where_the_depthwise_convolution_is(location, order):
    conv_blocks.expanded_conv(tf.zeros([1, 8, 8, 16]), 24, depthwise_location=location, scope="block")
    assert [name.split("/")[1] for name in shapes()] == order


@pytest.mark.parametrize(
    "arguments, added",
    [
        ({}, True),
        ({"stride": 2}, False),
        ({"num_outputs": 8}, False),
        ({"residual": False}, False),
        ({"residual": lambda input_tensor, output_tensor: output_tensor - 2 * input_tensor}, True),
    ],
)
def test_residual(arguments, added):
    net = conv_blocks.expanded_conv(
        tf.placeholder(tf.float32, [None, None, None, 16]), **{"num_outputs": 16, **arguments}
    )
    assert (net.op.inputs[0].op.type in ("AddV2", "Sub")) == added


def test_it_expands_only_where_that_gives_more():
    conv_blocks.expanded_conv(tf.zeros([1, 4, 4, 16]), 8, expansion_size=16)
    conv_blocks.expanded_conv(tf.zeros([1, 4, 4, 16]), 8, expansion_size=17)
    assert [name for name in shapes() if "/expand/" in name] == ["expanded_conv_1/expand/weights"]
    assert conv_blocks.expand_input_by_factor(2.5)(num_inputs=24, anything="else") == 64
    assert conv_blocks.expand_input_by_factor(2.5, divisible_by=1)(num_inputs=25) == 63


@pytest.mark.parametrize("pool", [None, 2, 9])
def test_squeeze_excite(pool):
    """One weight for all of 4x4 positions, or one for each 2x2 of them, enlarged so that corners keep theirs."""
    images = images_of(1, 4, 4, 20)
    net = conv_blocks.squeeze_excite(tf.constant(images), squeeze_factor=4, pool=pool)
    assert shapes() == {
        "squeeze_excite/Conv/weights": [1, 1, 20, 8],
        "squeeze_excite/Conv_1/weights": [1, 1, 8, 20],
    }
    net, values = evaluated(net)
    size = 2 if pool == 2 else 4
    x = images.reshape(1, 4 // size, size, 4 // size, size, 20).mean((2, 4))
    for scope in ("Conv", "Conv_1"):
        weights, biases = (values[f"squeeze_excite/{scope}/{kind}"] for kind in ("weights", "biases"))
        x = x @ weights[0, 0] + biases
        x = np.maximum(x, 0) if scope == "Conv" else 1 / (1 + np.exp(-x))
    if pool == 2:
        along = np.clip([[1, 2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3, 1]], 0, 1)
        x = np.einsum("bhwc,hi,wj->bijc", x, along, along)
    np.testing.assert_allclose(net, images * x, rtol=1e-4, atol=1e-5)


def test_squeeze_excite_by_something_else():
    net = conv_blocks.squeeze_excite(tf.zeros([1, 4, 4, 8]), squeeze_input_tensor=tf.zeros([1, 2, 2, 48]))
    assert net.shape.as_list() == [1, 4, 4, 8]
    assert list(shapes().values()) == [[1, 1, 48, 16], [1, 1, 16, 8]]


def test_arg_scopes_on_the_blocks():
    with (
        slim.arg_scope([conv_blocks.split_separable_conv2d], stride=2),
        slim.arg_scope([conv_blocks.expanded_conv], split_projection=2, scope="named"),
        slim.arg_scope([conv_blocks.squeeze_excite], squeeze_factor=1),
    ):
        net = conv_blocks.split_separable_conv2d(tf.zeros([1, 8, 8, 3]), 16)
        net = conv_blocks.expanded_conv(net, 16)
        conv_blocks.squeeze_excite(net)
    assert net.shape.as_list() == [1, 4, 4, 16]
    assert {"named/project_part_1/weights", "squeeze_excite/Conv/weights"} <= shapes().keys()
    assert shapes()["squeeze_excite/Conv/weights"] == [1, 1, 16, 16]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda net: conv_blocks.expanded_conv(net, 8, depthwise_location="end"), TypeError, "not 'end'"),
        (
            lambda net: conv_blocks.expanded_conv(net, 8, padding="VALID", use_explicit_padding=True),
            TypeError,
            "in place of SAME padding; it cannot go with 'VALID'",
        ),
        (lambda net: conv_blocks.squeeze_excite(net, pool=2), ValueError, "maps of known height and width"),
    ],
)
def test_what_cannot_be(call, error, message):
    with pytest.raises(error, match=message):
        call(tf.placeholder(tf.float32, [1, None, None, 16]))
