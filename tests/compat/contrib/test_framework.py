"""tf.contrib.framework, data, util, signal, staging and lookup under their old names."""

import numpy as np
import pytest
import tf_slim

import slimft.compat
from slimft.compat import tf


def values(dataset):
    following = tf.data.make_one_shot_iterator(dataset).get_next()
    found = []
    with tf.Session() as session:
        while True:
            try:
                found.append(session.run(following))
            except tf.errors.OutOfRangeError:
                return found


def test_arg_scope_is_the_function_and_a_module_can_be_imported_by_its_name():
    slimft.compat.install()
    try:
        names = {}
        exec(
            "from tensorflow.contrib.framework.python.ops.arg_scope import add_arg_scope\n"
            "from tensorflow.contrib.framework.python.ops import arg_scope, add_arg_scope as again\n"
            "from tensorflow.contrib.framework.python.framework import tensor_util\n"
            "from tensorflow.contrib.data import shuffle_and_repeat\n"
            "from tensorflow.contrib.util import constant_value",
            names,
        )
    finally:
        slimft.compat.uninstall()
    assert names["arg_scope"] is tf_slim.arg_scope
    assert names["add_arg_scope"] is names["again"] is tf_slim.add_arg_scope
    assert names["tensor_util"].constant_value(tf.constant(3)) == names["constant_value"](tf.constant(3)) == 3


def test_data():
    data = tf.contrib.data
    with tf.Graph().as_default():
        batches = values(data.Dataset.range(7).apply(data.batch_and_drop_remainder(3)))
        assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5]]
        ragged = tf.data.Dataset.range(1, 4).map(lambda n: tf.fill([n], n))
        (padded,) = values(ragged.apply(data.padded_batch_and_drop_remainder(2, [None])))
        assert padded.tolist() == [[1, 0], [2, 2]]
        ranges = tf.data.Dataset.range(3).apply(data.sloppy_interleave(tf.data.Dataset.range, 2))
        assert sorted(values(ranges)) == [0, 0, 1]
        assert ragged.apply(data.assert_element_shape([2])).output_shapes == [2]
        with pytest.raises(tf.errors.InvalidArgumentError):
            values(ragged.apply(data.assert_element_shape([2])))
        with pytest.raises(ValueError):
            tf.data.Dataset.range(3).apply(data.assert_element_shape([2]))


def test_framework_util_signal_staging():
    framework = tf.contrib.framework
    with tf.Graph().as_default(), tf.Session() as session:
        order = framework.argsort([3.0, 1.0, 2.0], direction="DESCENDING")
        np.testing.assert_array_equal(session.run(order), [0, 2, 1])
        area = tf.contrib.staging.StagingArea([tf.float32])
        put, get = area.put([tf.constant(2.0)]), area.get()
        session.run(put)
        assert session.run(get) in (2.0, [2.0])
        assert framework.assert_same_float_dtype([tf.zeros([]), tf.ones([])]) == tf.float32
    assert tf.contrib.signal.stft is tf.signal.stft
    assert tf.contrib.util.make_ndarray(tf.contrib.util.make_tensor_proto([1, 2])).tolist() == [1, 2]


def test_lookup():
    lookup = tf.contrib.lookup
    with tf.Graph().as_default(), tf.Session() as session:
        table = lookup.HashTable(lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64)), -1)
        ids = lookup.index_table_from_tensor(tf.constant(["x", "y"]), num_oov_buckets=1)
        tables = tf.tables_initializer()
        session.run(tables)
        assert session.run(table.lookup(tf.constant(["b", "c"]))).tolist() == [2, -1]
        assert session.run(ids.lookup(tf.constant(["y", "z"]))).tolist() == [1, 2]


def test_lookup_by_its_old_arguments():
    lookup = tf.contrib.lookup
    with tf.Graph().as_default(), tf.Session() as session:
        found = lookup.string_to_index(tf.constant(["y", "z"]), mapping=["x", "y"])
        words = lookup.index_to_string_table_from_tensor(mapping=["x", "y"], default_value="?")
        words = words.lookup(tf.constant([1, 5], tf.int64))
        table = lookup.HashTable(lookup.KeyValueTensorInitializer(["a"], tf.constant([7], tf.int64)), -1)
        session.run([tf.tables_initializer(), table.init])
        assert session.run(found).tolist() == [1, -1]
        assert session.run(words).tolist() == [b"y", b"?"]


def test_what_profiles_and_what_rewrites_for_tensorrt():
    assert tf.contrib.tfprof.model_analyzer.profile is tf.profiler.profile
    with pytest.raises(NotImplementedError, match="create_inference_graph.*without it"):
        tf.contrib.tensorrt.create_inference_graph(None, [])
    with pytest.warns(UserWarning, match="profiles nothing"), tf.contrib.tfprof.ProfileContext("/tmp/p") as context:
        context.trace_next_step()


def test_checks_of_shapes():
    framework = tf.contrib.framework
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 2])
        checked = framework.with_shape([3, 2], x)
        assert checked.shape == [3, 2]
        assert session.run(checked, {x: np.ones((3, 2))}).shape == (3, 2)
        with pytest.raises(tf.errors.InvalidArgumentError):
            session.run(checked, {x: np.ones((4, 2))})
        with pytest.raises(ValueError, match="Invalid shape"):
            framework.with_shape([3, 3], tf.zeros([3, 2]))
        assert framework.get_placeholders(tf.get_default_graph()) == [x]
        assert session.run(framework.reduce_sum_n([tf.ones([2]), tf.ones([3])])) == 5
        with pytest.raises(ValueError, match="integer type"):
            framework.assert_scalar_int(tf.constant(1.0))
        a, b = framework.remove_squeezable_dimensions(tf.zeros([2, 1]), tf.zeros([2]))
        assert a.shape == b.shape == [2]
        variable = tf.get_variable("v", [2], initializer=tf.ones_initializer())
        session.run(framework.zero_initializer(variable))
        assert session.run(variable).tolist() == [0, 0]


def test_nest_is_the_larger_one():
    nest = tf.contrib.framework.nest
    assert nest.map_structure_up_to([0, 0], lambda x: x, [(1, 2), 3]) == [(1, 2), 3]
    assert nest.flatten_up_to([0, 0], [(1, 2), 3]) == [(1, 2), 3]
    assert nest.is_sequence([1])


def test_tables_by_their_first_names(tmp_path):
    lookup = tf.contrib.lookup
    (tmp_path / "words").write_text("a\nb\n")
    with tf.Graph().as_default(), tf.Session() as session:
        of_list = lookup.string_to_index_table_from_tensor(["a", "b"])
        of_file = lookup.string_to_index_table_from_file(str(tmp_path / "words"), default_value=7)
        words = tf.constant(["b", "c"])
        session.run(tf.tables_initializer())
        assert session.run(of_list.lookup(words)).tolist() == [1, -1]
        assert session.run(of_file.lookup(words)).tolist() == [1, 7]
