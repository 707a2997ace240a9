"""tensorflow.tools.graph_transforms, against the graph untransformed and what TensorFlow 1.15 gave."""

import numpy as np
import pytest

import slimft.compat
from slimft.compat import slim, tf
from slimft.errors import UsageError

draws = np.random.RandomState(0)
IMAGES = draws.rand(2, 8, 8, 3).astype(np.float32)
PIPELINE = (
    "strip_unused_nodes(type=float, shape=\"1,8,8,3\") remove_nodes(op=Identity, op=CheckNumerics) "
    "fold_constants(ignore_errors=true) fold_batch_norms fold_old_batch_norms"
)  # fmt: skip


@pytest.fixture
def transformed():
    """TransformGraph as scripts import it."""
    slimft.compat.install()
    from tensorflow.tools.graph_transforms import TransformGraph

    yield TransformGraph
    slimft.compat.uninstall()


@pytest.fixture(scope="module")
def frozen():
    """A small network with batch norm and random statistics, frozen."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        normal = {"normalizer_fn": slim.batch_norm, "normalizer_params": {"is_training": False, "scale": True}}
        net = slim.conv2d(images, 4, 3, **normal)
        net = slim.separable_conv2d(net, None, 3, depth_multiplier=2, **normal)
        net = slim.fully_connected(slim.flatten(net), 5, activation_fn=None)
        tf.nn.softmax(net * tf.cast(tf.range(1, 6), tf.float32) * 0.1, name="output")
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            if "BatchNorm" in variable.name:
                session.run(variable.assign(draws.uniform(0.5, 1.5, variable.shape)))
        return tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["output"])


def values(graph_def):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run("output:0", {"input:0": IMAGES})


def ops(graph_def):
    return [node.op for node in graph_def.node]


def test_what_scripts_ask_for_most(transformed, frozen):
    before = frozen.SerializeToString(deterministic=True)
    made = transformed(frozen, ["input"], ["output"], [PIPELINE])
    assert frozen.SerializeToString(deterministic=True) == before
    np.testing.assert_allclose(values(made), values(frozen), atol=1e-6)
    assert not {"FusedBatchNormV3", "Identity", "Range", "Cast"} & set(ops(made))
    assert {"FusedBatchNormV3", "Identity", "Range", "Cast"} <= set(ops(frozen))


@pytest.mark.parametrize(
    "transform",
    ["strip_unused_nodes", "merge_duplicate_nodes", "sort_by_execution_order", "remove_device",
     'set_device(device="/cpu:0", if_default=true)', "add_default_attributes", "fold_constants", "fold_batch_norms",
     "remove_attribute(attribute_name=_output_shapes)", "remove_nodes(op=Identity)"],
)  # fmt: skip
def test_the_values_stay(transformed, frozen, transform):
    made = transformed(frozen, ["input:0"], ["output:0"], [transform])
    np.testing.assert_allclose(values(made), values(frozen), atol=1e-6)


def test_a_factor_goes_into_the_weights(transformed):
    with tf.Graph().as_default() as graph:
        net = tf.nn.conv2d(
            tf.placeholder(tf.float32, [None, 8, 8, 3], name="input"), IMAGES[:, :2, :3, :], 1, "SAME"
        )
        net = tf.nn.depthwise_conv2d(net * [1.0, 2.0, 3.0], IMAGES[:, :2, :3, :2], [1, 1, 1, 1], "SAME")
        tf.identity(net * np.arange(6, dtype=np.float32), name="output")
    made = transformed(graph.as_graph_def(), ["input"], ["output"], ["fold_batch_norms"])
    np.testing.assert_allclose(values(made), values(graph.as_graph_def()), atol=1e-5)
    assert ops(made).count("Mul") == 0 and ops(graph.as_graph_def()).count("Mul") == 2


def test_an_input_within_the_graph(transformed):
    """What comes before it goes away; of another type it is a placeholder of what is asked for."""
    with tf.Graph().as_default() as graph:
        decoded = tf.decode_raw(tf.placeholder(tf.string, [], name="bytes"), tf.uint8, name="input")
        tf.identity(tf.cast(decoded, tf.float32) + 1, name="output")
    made = transformed(
        graph.as_graph_def(), ["input"], ["output"], ['strip_unused_nodes(type=uint8, shape="-1,2")']
    )
    node = next(node for node in made.node if node.name == "input")
    assert node.op == "Placeholder" and node.attr["dtype"].type == tf.uint8.as_datatype_enum
    assert [dim.size for dim in node.attr["shape"].shape.dim] == [-1, 2]
    assert "bytes" not in {node.name for node in made.node}


def test_duplicates_are_merged_and_random_numbers_are_not(transformed):
    with tf.Graph().as_default() as graph:
        parts = [tf.square(tf.constant([1.0, 2.0])) for _ in range(2)] + [tf.random_uniform([2]) for _ in range(2)]
        tf.add_n(parts, name="output")
    made = transformed(graph.as_graph_def(), [], ["output"], ["merge_duplicate_nodes"])
    assert ops(made).count("Square") == 1 and ops(made).count("RandomUniform") == 2
    made = transformed(graph.as_graph_def(), [], ["output"], ["fold_constants"])
    assert ops(made).count("Square") == 0 and ops(made).count("RandomUniform") == 2


def test_names(transformed):
    with tf.Graph().as_default() as graph:
        tf.identity(tf.constant(1.0, name="one"), name="output")
    transforms = (
        "rename_node(old_node_name=one, new_node_name=two) rename_op(old_op_name=Identity, new_op_name=Snapshot)"
    )
    made = transformed(graph.as_graph_def(), [], ["output"], transforms.split(" rename_op")[:1])
    assert [(node.name, list(node.input)) for node in made.node] == [("two", []), ("output", ["two"])]
    assert ops(transformed(graph.as_graph_def(), [], ["output"], [transforms])) == ["Const", "Snapshot"]


# What TransformGraph of TensorFlow 1.15.5 made of 24 values: the first and last three bytes, the range, and the
# first and last value rounded to 5 steps.
@pytest.mark.parametrize(
    ("weights", "quantized", "span", "rounded"),
    [
        (np.linspace(-1, 2, 24), [0, 11, 22, 233, 244, 255], (-1, 2), (-0.7, 2.3)),
        (np.linspace(1, 2, 24), [128, 133, 139, 244, 249, 255], (0, 2), (1.1, 2.1)),
        (np.linspace(-2, -1, 24), [0, 6, 11, 116, 122, 127], (-2, 0), (-1.8, -1.0)),
        (np.full(24, 3.0), [255] * 6, (0, 3), (3.3, 3.3)),
        (np.zeros(24), [0] * 6, (0, 1), (0, 0)),  # Where 1.15 made NaN.
    ],
    ids=["both signs", "positive", "negative", "all the same", "zero"],
)
def test_weights_in_few_values(transformed, weights, quantized, span, rounded):
    with tf.Graph().as_default() as graph:
        tf.identity(tf.constant(weights.astype(np.float32), name="w"), name="output")
    made = transformed(graph.as_graph_def(), [], ["output"], ["quantize_weights(minimum_size=16)"])
    arrays = {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in made.node if node.op == "Const"}
    stored = arrays["w_quantized_const"].astype(np.uint8)
    assert [*stored[:3], *stored[-3:]] == quantized
    np.testing.assert_allclose([arrays["w_quantized_min"], arrays["w_quantized_max"]], span, atol=1e-6)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(made, name="")
        np.testing.assert_allclose(session.run("w:0"), weights, atol=(span[1] - span[0]) / 255)
    made = transformed(graph.as_graph_def(), [], ["output"], ["round_weights(num_steps=5)"])
    array = tf.make_ndarray(made.node[0].attr["value"].tensor)
    np.testing.assert_allclose(array[[0, -1]], rounded, atol=1e-6)


def test_what_made_graphs_faster_is_passed_over(transformed, frozen, capsys):
    made = transformed(frozen, ["input"], ["output"], ["quantize_weights", "quantize_nodes"])
    assert "quantize_nodes is passed over" in capsys.readouterr().err
    assert ops(made).count("Dequantize") == 1


@pytest.mark.parametrize(
    ("transforms", "outputs", "words"),
    [
        (["insert_logging"], ["output"], "insert_logging was TensorFlow 1's own.*fold_constants"),
        (["fold_constants"], ["outptu"], "no node 'outptu'"),
        (["round_weights(5)"], ["output"], "parameter=value"),
        (["(fold)"], ["output"], "is no transform"),
    ],
)
def test_what_cannot_be_done_is_one_line(transformed, frozen, transforms, outputs, words):
    with pytest.raises(UsageError, match=words) as error:
        transformed(frozen, ["input"], outputs, transforms)
    assert "\n" not in str(error.value)


def test_errors_can_be_ignored(transformed, frozen, capsys):
    made = transformed(frozen, ["input"], ["output"], ["insert_logging(ignore_errors=true)"])
    assert made == frozen and "insert_logging is passed over" in capsys.readouterr().err
