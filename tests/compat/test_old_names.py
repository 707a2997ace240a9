"""Names and calls of TensorFlow 0.x and 1.x, after slimft.compat.install."""

import sys

import numpy as np
import pytest

import slimft.compat
from slimft.compat import old_names, slim, tf


@pytest.fixture
def script():
    """A function that runs lines of a script in a graph of its own and returns its names."""
    slimft.compat.install()

    def executed(*lines):
        names = {}
        with tf.Graph().as_default():
            exec("import tensorflow as tf\nimport numpy as np\n" + "\n".join(lines), names)
        return names

    yield executed
    slimft.compat.uninstall()


def value_of(tensor):
    with tf.Session(graph=tensor.graph) as session:
        return session.run(tensor)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tf.pack([1, 2])", [1, 2]),
        ("tf.unpack(tf.constant([1, 2]))[1]", 2),
        ("tf.mul(tf.sub(5, 2), tf.neg(2))", -6),
        ("tf.select([True, False], [1, 2], [3, 4])", [1, 4]),
        ("tf.batch_matmul([[[1., 2.]]], [[[3., 4.]]], adj_y=True)", [[[11.0]]]),
        ("tf.inv(4.0)", 0.25),
        ("tf.complex_abs(tf.complex(3.0, 4.0))", 5.0),
        ("tf.listdiff([1, 2, 3], [2])[0]", [1, 3]),
        ("tf.concat(1, [[[1, 2]], [[3]]])", [[1, 2, 3]]),
        ("tf.concat([[[1, 2]], [[3]]], 1)", [[1, 2, 3]]),
        ("tf.concat(values=[[1], [2]], concat_dim=0)", [1, 2]),
        ("tf.split(1, 2, [[1, 2]])[1]", [[2]]),
        ("tf.split(split_dim=1, num_split=2, value=[[1, 2]])[1]", [[2]]),
        ("tf.split([[1, 2, 3]], [1, 2], 1)[1]", [[2, 3]]),
        ("tf.zeros([4 / 2, 3])", np.zeros([2, 3])),
        ("tf.reshape(tf.range(4), [4 / 2, -1])", [[0, 1], [2, 3]]),
        ("tf.tile([1], [4 / 2])", [1, 1]),
        ("tf.fill([4 / 2], 7)", [7, 7]),
        ("tf.slice(tf.range(4), [2 / 2], [4 / 2])", [1, 2]),
        ("tf.shape(tf.random_normal([4 / 2, 3]))", [2, 3]),
        ("tf.shape(tf.image.resize_images(tf.zeros([1, 4, 4, 3]), 6, 2))", [1, 6, 2, 3]),
        ("tf.shape(tf.image.resize_images(tf.zeros([1, 4, 4, 3]), [4 / 2, 6]))", [1, 2, 6, 3]),
        ("tf.shape(tf.contrib.layers.conv2d(tf.zeros([1, 4, 4, 3]), 5, 3, 4 / 2))[1:3]", [2, 2]),
        ("tf.shape(tf.image.resize_images(tf.zeros([1, 4, 4, 3]), new_height=6, new_width=2))", [1, 6, 2, 3]),
        ("tf.sparse_concat(concat_dim=0, sp_inputs=2 * [tf.SparseTensor([[0]], [5], [1])]).values", [5, 5]),
        ("tf.sparse_split(0, 2, tf.SparseTensor([[0], [1]], [5, 6], [2]))[1].values", [6]),
        ("tf.sparse_split(split_dim=0, num_split=2, sp_input=tf.sparse.from_dense([5, 6]))[1].values", [6]),
        ("tf.nn.sigmoid_cross_entropy_with_logits([99.0], targets=[0.0])", [99.0]),
        ("tf.nn.sigmoid_cross_entropy_with_logits(logits=[99.0], targets=[0.0])", [99.0]),
        ("tf.nn.rnn_cell.BasicRNNCell(2, input_size=3).output_size * tf.constant(1)", 2),
        ("tf.nn.deconv2d(tf.ones([1, 1, 1, 1]), tf.ones([1, 1, 1, 1]), [1, 1, 1, 1], [1, 1, 1, 1])", [[[[1.0]]]]),
        ("tf.contrib.losses.sum_of_squares(tf.constant([3.0]), tf.constant([1.0]))", 4.0),
    ],
)
def test_old_calls_give_what_they_gave(script, line, expected):
    tensor = script(f"tensor = {line}")["tensor"]
    if "contrib.layers" not in line:
        np.testing.assert_array_equal(value_of(tensor), expected)
    else:
        with tf.Session(graph=tensor.graph) as session:
            np.testing.assert_array_equal(session.run(tensor), expected)


def test_sizes_of_variables_and_dimensions(script, capsys):
    names = script(
        "images = tf.placeholder(tf.float32, [None, 96 / 2, 96])",
        "half = images.get_shape()[2] / 2",
        "weights = tf.get_variable('w', [half, 8 / 2])",
        "net = tf.layers.dense(tf.zeros([2, 4]), half / 16)",
        "kernel = tf.Variable(tf.truncated_normal([6 / 2, half]))",
    )
    assert names["images"].shape.as_list() == [None, 48, 96]
    assert names["weights"].shape.as_list() == [48, 4]
    assert names["net"].shape.as_list() == [2, 3]
    assert names["kernel"].shape.as_list() == [3, 48]
    said = capsys.readouterr().err
    assert said.count("are taken as ints") == said.count("is taken as //") == 1


@pytest.mark.parametrize(
    "line", ["tf.fill([2.5], 1)", "tf.placeholder(tf.float32, [1.5])", "tf.reshape([1, 2], [0.5, 4])"]
)
def test_a_fraction_is_no_size(script, line):
    with pytest.raises((TypeError, ValueError)):
        script(line)


def test_scopes_with_values(script):
    names = script(
        "x = tf.zeros([1])",
        "with tf.name_scope('a', [x]): y = x + 1",
        "with tf.name_scope(None, 'b', [x]): z = x + 1",
        "with tf.op_scope([x], 'c'): w = x + 1",
    )
    assert [names[name].op.name for name in "yzw"] == ["a/add", "b/add", "c/add"]


@pytest.mark.parametrize("name", ["softmax", "sigmoid", "sparse_softmax"])
def test_entropies_without_names_are_refused_rather_than_swapped(script, name):
    with pytest.raises(ValueError, match="name them, labels=..., logits=..."):
        script(f"tf.nn.{name}_cross_entropy_with_logits(tf.zeros([1, 2]), tf.zeros([1, 2]))")
    script(
        "labels = tf.zeros([1], tf.int32)",
        "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.zeros([1, 2]))",
        "tf.losses.softmax_cross_entropy(tf.zeros([1, 2]), tf.zeros([1, 2]))",
    )


def test_sparse_labels_are_told_from_logits(script):
    call = "tf.nn.sparse_softmax_cross_entropy_with_logits"
    names = script(
        "logits, labels = tf.constant([[1.0, 3.0]]), np.array([0])",
        f"a, b = {call}(logits, labels), {call}(labels, logits, 'loss')",
        f"c = {call}(logits=logits, labels=labels)",
    )
    assert names["b"].op.name.startswith("loss")
    with tf.Session(graph=names["a"].graph) as session:
        a, b, c = session.run([names[name] for name in "abc"])
    assert a == b == c


def test_summaries(script, tmp_path):
    names = script(
        "tf.scalar_summary('loss', 3.0)",
        "tf.histogram_summary('weights', [1.0, 2.0])",
        "tf.image_summary('image', tf.zeros([4, 2, 2, 3]), max_images=2)",
        "merged = tf.merge_all_summaries()",
        "writer = tf.train.SummaryWriter",
    )
    found = tf.Summary.FromString(value_of(names["merged"]))
    assert [value.tag for value in found.value] == ["loss", "weights", "image/image/0", "image/image/1"]
    assert names["writer"] is tf.summary.FileWriter
    with pytest.raises(TypeError, match="one summary for each tag"):
        script("tf.scalar_summary(['a', 'b'], [1.0, 2.0])")


def test_tf_contrib_deprecated_has_them_with_their_arguments(script):
    names = script(
        "deprecated = tf.contrib.deprecated",
        "deprecated.scalar_summary('loss', 3.0)",
        "deprecated.image_summary('image', tf.zeros([4, 2, 2, 3]), max_images=1)",
        "merged = deprecated.merge_all_summaries()",
    )
    found = tf.Summary.FromString(value_of(names["merged"]))
    assert [value.tag for value in found.value] == ["loss", "image/image"]


def test_flags_without_a_definition(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py", "--old_rate=0.5", "--of_another_script"])
    names = script(
        "flags = tf.app.flags",
        "FLAGS = flags.FLAGS",
        "flags.DEFINE_float('old_rate', 0.1, '')",
        "FLAGS._parse_flags()",
        "FLAGS.old_batch_size = 3",
        "FLAGS.old_batch_size += 1",
    )
    try:
        assert (names["FLAGS"].old_batch_size, names["FLAGS"].old_rate) == (4, 0.5)
    finally:
        for name in ("old_batch_size", "old_rate"):
            delattr(names["FLAGS"], name)


def test_data_sets_with_threads(script):
    names = script(
        "data = tf.data.Dataset.range(3).map(lambda x: x * 2, num_threads=2, output_buffer_size=4)",
        "element = data.make_one_shot_iterator().get_next()",
    )
    with tf.Session(graph=names["element"].graph) as session:
        assert [session.run(names["element"]) for _ in range(3)] == [0, 2, 4]


def test_a_second_optimizer_where_variables_are_reused(script):
    names = script(
        "with tf.variable_scope('net') as scope:",
        "    w = tf.get_variable('w', [2])",
        "    scope.reuse_variables()",
        "    loss = tf.reduce_sum(tf.get_variable('w') ** 2)",
        "    first = tf.train.AdamOptimizer(0.1).minimize(loss)",
        "    second = tf.train.AdamOptimizer(0.1).minimize(loss)",
        "slots = [v.op.name for v in tf.global_variables() if 'Adam' in v.op.name]",
        "start = tf.global_variables_initializer()",
    )
    assert len(names["slots"]) == 4
    with tf.Session(graph=names["loss"].graph) as session:
        session.run(names["start"])
        session.run([names["first"], names["second"]])


def test_checkpoints_and_frozen_graphs_by_private_paths(script, tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", initializer=[1.0, 2.0])
        tf.identity(w, "out")
        session.run(w.initializer)
        path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        definition = session.graph.as_graph_def()
        names = script(
            "from tensorflow.python import pywrap_tensorflow",
            "from tensorflow.python.framework import graph_util",
            "from tensorflow.python.framework.graph_util import convert_variables_to_constants",
        )
        frozen = names["graph_util"].convert_variables_to_constants(session, definition, ["out"])
    reader = names["pywrap_tensorflow"].NewCheckpointReader(path)
    assert reader.get_variable_to_shape_map() == {"w": [2]}
    assert not any(node.op.startswith("Variable") for node in frozen.node)


def test_a_version_that_scripts_go_by():
    slimft.compat.install(version="1.15.0")
    try:
        names = {}
        exec("import tensorflow as tf\nold = tf.__version__ < '2' and tf.VERSION == tf.__version__", names)
        assert names["old"]
    finally:
        slimft.compat.uninstall()


def test_all_goes_away_again(script):
    names = [name.rpartition(".") for name in (*old_names._RENAMED, *old_names._WRITTEN)]
    slimft.compat.uninstall()
    assert not any(
        hasattr(tf, name) for package, _, name in names if not package and name in ("pack", "mul", "neg")
    )
    assert not hasattr(tf.train, "SummaryWriter")
    with tf.Graph().as_default():
        with pytest.raises((TypeError, ValueError)):
            tf.placeholder(tf.float32, [96 / 2])
        with pytest.raises((TypeError, ValueError)):
            tf.concat(0, [[1], [2]])
        slim.conv2d(tf.zeros([1, 4, 4, 3]), 2, 3)


@pytest.mark.parametrize("loss", ["nce_loss", "sampled_softmax_loss"])
def test_sampled_losses_take_inputs_before_labels_as_in_0_x(script, loss):
    names = script(
        "weights, biases, inputs = tf.ones([9, 3]), tf.zeros([9]), tf.ones([2, 3])",
        "labels = tf.constant([[1], [2]], tf.int64)",
        "sampled = (tf.constant([3, 4], tf.int64), tf.ones([2, 1]), tf.ones([2]))",
        f"old = tf.nn.{loss}(weights, biases, inputs, labels, 2, 9, sampled_values=sampled)",
        f"new = tf.nn.{loss}(weights, biases, labels, inputs, 2, 9, sampled_values=sampled)",
        "both = tf.stack([old, new])",
    )
    old, new = value_of(names["both"])
    np.testing.assert_array_equal(old, new)


def test_arguments_that_changed_nothing_are_passed_over_and_said(script, capsys):
    names = script(
        "optimizer = tf.train.SyncReplicasOptimizer(",
        "    tf.train.GradientDescentOptimizer(0.1), replicas_to_aggregate=1, replica_id=0, total_num_replicas=1)",
    )
    assert names["optimizer"] and "replica_id= is passed over" in capsys.readouterr().err


def test_tensorflows_own_modules(script, tmp_path):
    names = script(
        "from tensorflow.python import pywrap_tensorflow",
        "from tensorflow.python.eager import context",
        "from tensorflow.python.framework import common_shapes, ops, tensor_shape",
        "from tensorflow.python.layers import base",
        "from tensorflow.python.ops import constant_op, gen_nn_ops",
        "import tensorflow.python.training.training_ops as training_ops",
        "assert context.in_graph_mode() and not context.in_eager_mode()",
        "shapes = tensor_shape.scalar(), tensor_shape.vector(3), tensor_shape.matrix(2, None)",
        "ops.RegisterShape('Some')(common_shapes.unknown_shape)",
        f"writer = pywrap_tensorflow.EventsWriter({str(tmp_path / 'events')!r}.encode())",
        "writer.WriteEvent(tf.Event(step=3, summary=tf.Summary(value=[tf.Summary.Value(tag='a')])))",
        "writer.Flush(); writer.Close()",
        "gradient = gen_nn_ops._max_pool_grad",
        "try: gen_nn_ops._no_such_op",
        "except AttributeError as error: message = str(error)",
    )
    assert [shape.as_list() for shape in names["shapes"]] == [[], [3], [2, None]]
    (events,) = tmp_path.iterdir()
    assert [event.step for event in tf.train.summary_iterator(str(events))][-1] == 3
    assert names["gradient"].__name__ == "max_pool_grad"
    assert "_no_such_op" in names["message"] and names["training_ops"].apply_gradient_descent


def test_small_packages_of_contrib(script, tmp_path):
    pytest.importorskip("tensorboard")
    names = script(
        "from tensorflow.contrib.tensorboard.plugins import projector",
        "from tensorflow.contrib.compiler import jit, xla",
        "from tensorflow.contrib.learn.python.learn import monitored_session",
        "import tensorflow.contrib.tfprof.model_analyzer as analyzer",
        f"writer = tf.summary.FileWriter({str(tmp_path)!r})",
        "config = projector.ProjectorConfig(); config.embeddings.add().tensor_name = 'v'",
        "projector.visualize_embeddings(writer, config)",
        "with jit.experimental_jit_scope(): v = tf.get_variable('v', [3, 2])",
        "options = dict(tf.contrib.tfprof.model_analyzer.TRAINABLE_VARS_PARAMS_STAT_OPTIONS, output='none')",
        "found = analyzer.print_model_analysis(tf.get_default_graph(), tfprof_options=options).total_parameters",
        "strategy = tf.contrib.distribute.MirroredStrategy(num_gpus=0).num_replicas_in_sync",
        "same = monitored_session.MonitoredSession is tf.train.MonitoredSession",
    )
    assert 'tensor_name: "v"' in (tmp_path / "projector_config.pbtxt").read_text()
    assert names["found"] == 6 and names["same"] and names["strategy"] == 1


def test_flags_of_before_1_5(script, capsys):
    names = script(
        "flags = tf.app.flags",
        "flags.DEFINE_integer('old_size', float('inf'), '')",
        "flags.DEFINE_string('old_gpu', 0, '')",
        "flags.DEFINE_integer('old_count', '5', '')",
        "flags.DEFINE_string('log_dir', 'mine', '')",
        "FLAGS = flags.FLAGS",
        "FLAGS._parse_flags(['--old_gpu=2'])",
    )
    values = names["FLAGS"]
    try:
        assert (values.old_size, values.old_gpu, values.old_count) == (float("inf"), "2", 5)
        assert values.log_dir == "mine"
        assert "flag old_size: its default inf is no integer" in capsys.readouterr().err
        with pytest.raises(Exception, match="old_wrong"):
            names["flags"].DEFINE_integer("old_wrong", "many", "")
        with pytest.raises(Exception, match="defined twice"):
            names["flags"].DEFINE_integer("old_count", 1, "")
    finally:
        for name in ("old_size", "old_gpu", "old_count", "log_dir"):
            delattr(values, name)


def test_sizes_of_numpy_and_bools(script):
    names = script(
        "import numpy as np",
        "v = tf.get_variable('v', [1, True, 4])",
        "data = tf.data.Dataset.range(3).prefetch(np.int64(2)).make_one_shot_iterator().get_next()",
    )
    assert names["v"].shape.as_list() == [1, 1, 4]
    assert value_of(names["data"]) == 0


def test_what_modules_and_cells_say_of_themselves(script):
    names = script(
        "import inspect",
        "cells = [c for c in vars(tf.contrib.rnn).values()",
        "         if inspect.isclass(c) and issubclass(c, tf.contrib.rnn.RNNCell)]",
        "taken = inspect.getfullargspec(tf.contrib.rnn.GRUCell.__init__).args",
    )
    assert {"GRUCell", "LSTMCell", "MultiRNNCell"} <= {cell.__name__ for cell in names["cells"]}
    assert names["taken"][:3] == ["self", "num_units", "activation"]
