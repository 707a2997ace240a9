"""tf.contrib.graph_editor: lists, names and wiring are those that TensorFlow 1.15 gave for the same graph."""

import importlib

import numpy as np
import pytest

import slimft.compat
from slimft.compat import tf

ge = tf.contrib.graph_editor


def names(elements):
    return [element.name for element in elements]


def wiring(graph):
    return {op.name: names(op.inputs) for op in graph.get_operations() if op.inputs}


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        a = tf.constant([1.0, 1.0], name="a")
        with tf.name_scope("foo"):
            b = tf.constant([2.0, 2.0], name="b")
            c = tf.add(a, b, name="c")
            d = tf.constant([3.0, 3.0], name="d")
            with tf.name_scope("bar"):
                tf.add(c, d, name="e")
                h = tf.add(c, tf.add(c, d, name="f"), name="h")
                with tf.control_dependencies([c.op]):
                    tf.identity(h, name="i")
        yield graph


def tensors(graph, *of):
    return [graph.get_tensor_by_name(f"{name}:0") for name in of]


def test_selection_by_name(graph):
    assert names(ge.select_ops("^foo/bar", graph=graph)) == ["foo/bar/e", "foo/bar/f", "foo/bar/h", "foo/bar/i"]
    ops, ts = ge.select_ops_and_ts("foo/c", "(?#ts)foo/d.*", graph=graph)
    assert (names(ops), names(ts)) == (["foo/c"], ["foo/d:0"])
    assert ge.select_ts("foo.*", graph=graph, restrict_ts_regex=True) == []
    assert names(ge.filter_ops_from_regex(graph, "(e|f)$")) == ["foo/bar/e", "foo/bar/f"]
    assert names(ge.filter_ts_from_regex(graph, "foo/(d|bar/f)")) == ["foo/d:0", "foo/bar/f:0"]
    c, f = (t.op for t in tensors(graph, "foo/c", "foo/bar/f"))
    assert list(map(names, ge.compute_boundary_ts([c, f]))) == [
        ["a:0", "foo/b:0", "foo/d:0"], ["foo/c:0", "foo/bar/f:0"], ["foo/c:0"],
    ]  # fmt: skip
    assert names(ge.get_consuming_ops([c.outputs[0]])) == ["foo/bar/e", "foo/bar/f", "foo/bar/h"]


def test_walks(graph):
    a, c, d, f, h, i = tensors(graph, "a", "foo/c", "foo/d", "foo/bar/f", "foo/bar/h", "foo/bar/i")
    bar = [f"foo/bar/{name}" for name in "efhi"]
    assert sorted(names(ge.get_forward_walk_ops([c]))) == bar
    assert sorted(names(ge.get_forward_walk_ops(a.op))) == ["a", *bar, "foo/c"]
    assert sorted(names(ge.get_backward_walk_ops([h], inclusive=False))) == [
        "a",
        "foo/b",
        "foo/bar/f",
        "foo/c",
        "foo/d",
    ]
    assert sorted(names(ge.get_backward_walk_ops([h], stop_at_ts=[c]))) == ["foo/bar/f", "foo/bar/h", "foo/d"]
    waiting = ge.get_backward_walk_ops([i], stop_at_ts=[h], control_inputs=True)
    assert sorted(names(waiting)) == ["a", "foo/b", "foo/bar/i", "foo/c"]
    assert sorted(names(ge.get_walks_intersection_ops([c], [h]))) == ["foo/bar/f", "foo/bar/h"]
    control_ios = ge.ControlOutputs(graph)
    around = ge.get_walks_intersection_ops([c.op], [i.op], control_ios=control_ios)
    assert sorted(names(around)) == ["foo/bar/f", "foo/bar/h", "foo/bar/i", "foo/c"]
    within = ge.get_within_boundary_ops(graph, f.op, c.op, inclusive=False, control_ios=control_ios)
    assert names(within) == ["foo/d", *bar]
    with pytest.raises(ValueError, match="boundary"):
        ge.get_within_boundary_ops(graph, d.op, [d.op])


def test_views(graph):
    view = ge.sgv_scope("foo/bar", graph)
    assert (names(view.inputs), names(view.outputs)) == (["foo/c:0", "foo/d:0"], ["foo/bar/e:0", "foo/bar/i:0"])
    assert names(view.remap_inputs([1, 0]).inputs) == ["foo/d:0", "foo/c:0"]
    assert names(view.remap([0], [1]).remap_default().inputs) == ["foo/c:0", "foo/d:0"]
    a, e = tensors(graph, "a", "foo/bar/e")
    other = ge.sgv(e.op, a)
    assert (names(other.inputs), names(other.passthroughs)) == (["foo/c:0", "foo/d:0", "a:0"], ["a:0"])
    assert "** ops[1]:\n  foo/bar/e\n" in str(other)
    assert str(ge.SubGraphView()) == "SubGraphView: empty"
    for bad in (lambda: view.remap_inputs([0, 0]), lambda: view.remap_outputs([2]), lambda: view.input_index(a)):
        with pytest.raises(ValueError):
            bad()


def test_copies_have_the_names_of_1_15(graph):
    view = ge.sgv_scope("foo/bar", graph)
    copy, info = ge.copy(view, dst_scope="new")
    assert names(copy.ops) == ["new/foo/bar/e", "new/foo/bar/f", "new/foo/bar/h", "new/foo/bar/i"]
    h, i = tensors(graph, "foo/bar/h", "foo/bar/i")
    assert info.transformed([h])[0].name == "new/foo/bar/h:0"
    assert info.original(copy.outputs[1]) is i
    assert names(info.transformed(i.op).control_inputs) == ["foo/c"]
    assert names(ge.copy(view, dst_scope="new")[0].ops)[0] == "new_1/foo/bar/e"
    again, _ = ge.copy(view, dst_scope="new", src_scope="foo/bar", reuse_dst_scope=True)
    assert names(again.ops)[0] == "new/e"
    assert names(ge.copy(view)[0].ops)[0] == "foo/bar/e_1"
    other = tf.Graph()
    assert "k/geph__c_0" in names(ge.copy(view, other, dst_scope="k")[0].graph.get_operations())


def test_tensors_are_computed_anew(graph):
    a, b, c, d, e, h = tensors(graph, "a", "foo/b", "foo/c", "foo/d", "foo/bar/e", "foo/bar/h")
    new, [other] = ge.graph_replace([h, [e]], {a: b, d: b}, dst_scope="r")
    assert (new.name, other.name) == ("r/foo/bar/h:0", "r/foo/bar/e:0")
    with tf.Session() as session:
        found = session.run([new, other, ge.graph_replace(h, {c: d}), h])
    np.testing.assert_array_equal(found, [[10, 10], [6, 6], [9, 9], [9, 9]])
    with pytest.raises(ValueError, match="do not depend"):
        ge.graph_replace(a, {h: a})


@pytest.mark.parametrize(
    "kind, expected", [("while_loop", 759375.0), ("cond", 16.0), ("cond_in_while_loop", 270.0)]
)
def test_control_flow_is_copied_whole(kind, expected):
    with tf.Graph().as_default():
        x = tf.constant(2.0)
        product = x * tf.Variable(3.0)
        tf.add_to_collection("mine", product)
        if kind == "while_loop":
            y = tf.while_loop(lambda i, _: i < 4, lambda i, a: (i + 1, a * product), [0, product])[1]
        elif kind == "cond":
            y = tf.cond(product > 5, lambda: product + 1, lambda: product - 1)
        else:

            def body(i, a):
                return i + 1, tf.cond(a > 50, lambda: a + product, lambda: a * product)

            y = tf.while_loop(lambda i, _: i < 4, body, [0, product])[1]
        new = ge.graph_replace(y, {x: tf.constant(5.0)}, dst_scope="rep")
        assert names(tf.get_collection("rep/mine")) == [f"rep/{product.name}"]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            assert session.run(new) == expected


def test_rerouting(graph):
    a, d = tensors(graph, "a", "foo/d")
    assert ge.swap_ts([a], [d]) == 3
    assert wiring(graph)["foo/c"] == ["foo/d:0", "foo/b:0"]
    assert wiring(graph)["foo/bar/e"] == ["foo/c:0", "a:0"]
    assert ge.reroute_ts([d], [a], can_modify=graph.get_operation_by_name("foo/bar/f")) == 1
    assert wiring(graph)["foo/bar/f"] == ["foo/c:0", "foo/d:0"]
    with pytest.raises(ValueError, match="1 tensors on one side and 2"):
        ge.swap_ts([a], [a, d])


@pytest.mark.parametrize(
    "what, inputs_x, inputs_y, outputs_x, outputs_y",
    [
        ("swap_inputs", "y", "x", "x", "y"),
        ("reroute_inputs", "x", "x", "x", "y"),
        ("swap_outputs", "x", "y", "y", "x"),
        ("reroute_outputs", "x", "y", "x", "x"),
        ("swap_ios", "y", "x", "y", "x"),
        ("reroute_ios", "x", "x", "x", "x"),
    ],
)
def test_rerouting_of_views(what, inputs_x, inputs_y, outputs_x, outputs_y):
    with tf.Graph().as_default() as graph:
        sums = []
        for name in "xy":
            sums.append(tf.add(tf.constant(1.0, name=f"{name}0"), tf.constant(2.0, name=f"{name}1"), name=name))
            tf.negative(sums[-1], name=f"{name}n")
        getattr(ge, what)(*(ge.sgv(t.op) for t in sums))
    found = wiring(graph)
    assert (found["x"], found["y"]) == ([f"{inputs_x}0:0", f"{inputs_x}1:0"], [f"{inputs_y}0:0", f"{inputs_y}1:0"])
    assert (found["xn"], found["yn"]) == ([f"{outputs_x}:0"], [f"{outputs_y}:0"])


def test_cutting_out_and_bypassing(graph):
    c, f = (t.op for t in tensors(graph, "foo/c", "foo/bar/f"))
    _, inputs, outputs = ge.detach(ge.sgv(c, f), control_ios=ge.ControlOutputs(graph))
    assert names(inputs) == ["geph__a_0:0", "foo/geph__b_0:0", "foo/geph__d_0:0"]
    assert names(outputs) == ["foo/geph__c_0:0", "foo/bar/geph__f_0:0"]
    assert wiring(graph)["foo/bar/h"] == ["foo/geph__c_0:0", "foo/bar/geph__f_0:0"]
    assert graph.get_operation_by_name("foo/bar/i").control_inputs == []
    with tf.Session() as session:
        np.testing.assert_array_equal(session.run("foo/bar/h:0", dict(zip(outputs, ([1, 2], [3, 4])))), [4, 6])
    view, _ = ge.bypass(ge.sgv(graph.get_operation_by_name("foo/bar/h")).remap_inputs([0]))
    assert wiring(graph)["foo/bar/i"] == ["foo/geph__c_0:0"]


def test_control_inputs(graph):
    i, a, c = (graph.get_operation_by_name(name) for name in ("foo/bar/i", "a", "foo/c"))
    ge.add_control_inputs(i, [a])
    with pytest.raises(ValueError, match="already"):
        ge.add_control_inputs(i, a)
    ge.remove_control_inputs(i, c)
    assert names(i.control_inputs) == ["a"]
    with pytest.raises(ValueError, match="foo/c is not a control input"):
        ge.remove_control_inputs(i, c)


def test_modules_are_found_and_operations_have_their_list_of_outputs(graph):
    slimft.compat.install()
    try:
        util = importlib.import_module("tensorflow.contrib.graph_editor.util")
        assert util.ListView([1])[0] == 1
        assert ge.util is util
        assert names(graph.get_operation_by_name("a")._outputs) == ["a:0"]
    finally:
        slimft.compat.uninstall()
