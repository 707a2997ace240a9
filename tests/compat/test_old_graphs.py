"""Graphs as other runtimes read them, and 1.15's names around freezing, after slimft.compat.install."""

import sys

import numpy as np
import pytest

import slimft.compat
from slimft.compat import slim, tf

# What TensorFlow 1.15.5 knows of these operations (its list of operations).
KNOWN_TO_1_15 = {
    "Conv2D": {"T", "data_format", "dilations", "explicit_paddings", "padding", "strides", "use_cudnn_on_gpu"},
    "DepthwiseConv2dNative": {"T", "data_format", "dilations", "padding", "strides"},
    "FusedBatchNormV3": {"T", "U", "data_format", "epsilon", "is_training"},
    "MatMul": {"T", "transpose_a", "transpose_b"},
    "MaxPool": {"T", "data_format", "ksize", "padding", "strides"},
    "VarHandleOp": {"container", "dtype", "shape", "shared_name"},
}
IMAGES = np.random.RandomState(0).rand(2, 8, 8, 3).astype(np.float32)


@pytest.fixture
def installed():
    slimft.compat.install()
    yield
    slimft.compat.uninstall()


@pytest.fixture(params=[False])
def network(request):
    """A session with a small network, from `input` to `output`; if asked for, a variable of it is a resource."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        normal = {"normalizer_fn": slim.batch_norm, "normalizer_params": {"is_training": False}}
        net = slim.max_pool2d(slim.conv2d(images, 4, 3, **normal, scope="conv"), 2)
        net = slim.separable_conv2d(net, None, 3, depth_multiplier=1, **normal)
        bias = tf.get_variable("bias", [5], use_resource=request.param, initializer=tf.ones_initializer())
        tf.nn.softmax(slim.fully_connected(slim.flatten(net), 5, activation_fn=None) + bias, name="output")
        session.run(tf.global_variables_initializer())
        yield session


def unknown_to_1_15(graph_def):
    return {(node.op, name) for node in graph_def.node if node.op in KNOWN_TO_1_15
            for name in set(node.attr) - KNOWN_TO_1_15[node.op] if not name.startswith("_")}  # fmt: skip


def values(graph_def):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run("output:0", {"input:0": IMAGES})


def read(path):
    with open(path, "rb") as file:
        return tf.GraphDef.FromString(file.read())


@pytest.mark.parametrize("network", [False, True], indirect=True, ids=["variables", "a resource"])
def test_what_is_written_has_no_later_attributes(network, tmp_path):
    later = {("FusedBatchNormV3", "exponential_avg_factor"), ("MaxPool", "explicit_paddings")}
    assert unknown_to_1_15(network.graph.as_graph_def()) >= later  # As today's TensorFlow writes it.
    expected = network.run("output:0", {"input:0": IMAGES})
    slimft.compat.install()
    try:
        frozen = tf.graph_util.convert_variables_to_constants(network, network.graph_def, ["output"])
        tf.train.write_graph(network.graph, str(tmp_path), "graph.pb", as_text=False)
        path = tf.train.Saver().save(network, str(tmp_path / "model.ckpt"))
        x, y = (network.graph.get_tensor_by_name(f"{name}:0") for name in ("input", "output"))
        tf.saved_model.simple_save(network, str(tmp_path / "saved"), {"x": x}, {"y": y})
    finally:
        slimft.compat.uninstall()
    with open(f"{path}.meta", "rb") as file:
        meta = tf.MetaGraphDef.FromString(file.read())
    for graph_def in (frozen, read(tmp_path / "graph.pb"), meta.graph_def):
        assert {node.op for node in graph_def.node} >= set(KNOWN_TO_1_15) - {"VarHandleOp"}
        assert not unknown_to_1_15(graph_def)
        assert not any(node.HasField("experimental_type") for node in graph_def.node)
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "saved" / "saved_model.pb").read_bytes())
    assert not unknown_to_1_15(saved.meta_graphs[0].graph_def)
    np.testing.assert_allclose(values(frozen), expected, atol=1e-6)
    assert unknown_to_1_15(network.graph.as_graph_def())  # And again.


def test_what_was_frozen_elsewhere_loses_them_too(network, installed):
    """Of a graph that plain TensorFlow 2 wrote."""
    slimft.compat.uninstall()
    written = network.graph.as_graph_def()
    slimft.compat.install()
    assert unknown_to_1_15(written)
    assert not unknown_to_1_15(tf.graph_util.convert_variables_to_constants(network, written, ["output"]))


def test_what_is_not_the_default_stays(installed):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.raw_ops.MaxPool(input=images, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="EXPLICIT",
                           explicit_paddings=[0, 0, 1, 1, 1, 1, 0, 0], name="output")  # fmt: skip
        graph_def = graph.as_graph_def()
    assert unknown_to_1_15(graph_def) == {("MaxPool", "explicit_paddings")}
    assert values(graph_def).shape == (2, 5, 5, 3)


def test_in_functions(installed):
    with tf.Graph().as_default() as graph:
        weights = np.ones([3, 5], np.float32)
        tf.data.Dataset.from_tensors(np.ones([2, 3], np.float32)).map(lambda x: tf.matmul(x, weights))
        functions = graph.as_graph_def().library.function
    found = [node for function in functions for node in function.node_def if node.op == "MatMul"]
    assert found and not any(set(node.attr) & {"grad_a", "grad_b"} for node in found)


def test_old_names_of_graph_util(installed):
    from tensorflow.python.client import graph_util as oldest
    from tensorflow.python.framework import graph_util, graph_util_impl

    for module in (oldest, graph_util, graph_util_impl, tf.graph_util):
        assert module.convert_variables_to_constants is tf.graph_util.convert_variables_to_constants
        assert module.remove_training_nodes and module.extract_sub_graph


@pytest.mark.parametrize("way", ["blacklist", "flag"])
def test_freeze_graph_by_the_names_of_1_15(network, installed, tmp_path, way, monkeypatch):
    from tensorflow.python.tools import freeze_graph

    checkpoint = tf.train.Saver().save(network, str(tmp_path / "model.ckpt"))
    tf.train.write_graph(network.graph, str(tmp_path), "graph.pbtxt")
    graph = str(tmp_path / "graph.pbtxt")
    frozen = str(tmp_path / "frozen.pb")
    if way == "blacklist":
        old = "", False, checkpoint, "output", "save/restore_all", "save/Const:0", frozen, True, ""
        freeze_graph.freeze_graph(graph, *old, variable_names_blacklist="conv/weights")
    else:
        flags = {"input_graph": graph, "input_checkpoint": checkpoint, "output_node_names": "output",
                 "output_graph": frozen, "variable_names_blacklist": "conv/weights"}  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["freeze_graph", *(f"--{name}={value}" for name, value in flags.items())])
        with pytest.raises(SystemExit) as end:
            freeze_graph.run_main()
        assert not end.value.code
    assert [node.name for node in read(frozen).node if node.op == "VariableV2"] == ["conv/weights"]
