"""What `tf.contrib.copy_graph` was: operations and variables copied to another graph.

Source of names: TensorFlow 1.15's tensorflow/contrib/copy_graph.
"""

from __future__ import annotations

from slimft.compat.v1 import tf

__all__ = ["copy_op_to_graph", "copy_variable_to_graph", "get_copied_op"]


def copy_variable_to_graph(org_instance, to_graph, scope=""):
    """A variable of the same name, initial value and collections in another graph.

    Args:
        org_instance: the variable; TypeError if it is none.
        to_graph: the graph.
        scope: put before the name, and before those of collections other than of global and trainable variables.
    """
    if not isinstance(org_instance, tf.Variable):
        raise TypeError(f"expected a variable, not {type(org_instance).__name__}")
    graph = org_instance.graph
    keys = (tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.TRAINABLE_VARIABLES)
    collections = [key if key in keys else _scoped(key, scope) for key in _collections_of(org_instance)]
    with graph.as_default(), tf.Session() as session:
        value = session.run(org_instance.initialized_value())
    with to_graph.as_default():
        return tf.Variable(
            value, trainable=tf.GraphKeys.TRAINABLE_VARIABLES in _collections_of(org_instance),
            name=_scoped(org_instance.op.name, scope), collections=collections, validate_shape=False,
        )  # fmt: skip


def copy_op_to_graph(org_instance, to_graph, variables, scope=""):
    """An operation or tensor in another graph, with all on which it depends.

    Args:
        org_instance: the operation or tensor; TypeError if it is neither.
        to_graph: the graph. What is there under the name already is taken.
        variables: those that `copy_variable_to_graph` has made there.
        scope: put before the names.
    """
    if not isinstance(org_instance, (tf.Tensor, tf.Operation)):
        raise TypeError(f"expected a tensor or an operation, not {type(org_instance).__name__}")
    name = _scoped(org_instance.name, scope)
    for variable in variables:
        if variable.name == name:
            return to_graph.get_tensor_by_name(name)
    try:
        return to_graph.as_graph_element(name)
    except (KeyError, ValueError):
        pass
    collections = [_scoped(key, scope) for key in _collections_of(org_instance)]
    if isinstance(org_instance, tf.Tensor):
        op = copy_op_to_graph(org_instance.op, to_graph, variables, scope)
        copy = op.outputs[org_instance.value_index]
        for key in collections:
            to_graph.add_to_collection(key, copy)
        return copy
    original = org_instance._original_op
    original = original and copy_op_to_graph(original, to_graph, variables, scope)
    before = [copy_op_to_graph(op, to_graph, variables, scope) for op in org_instance.control_inputs]
    inputs = [copy_op_to_graph(t, to_graph, variables, scope) for t in org_instance.inputs]
    node_def = org_instance.node_def
    node_def.name = name
    copy = tf.Operation.from_node_def(
        node_def, to_graph, inputs, org_instance._output_types, before, org_instance._input_types, original,
        org_instance.op_def,
    )  # fmt: skip
    to_graph._record_op_seen_by_control_dependencies(copy)
    to_graph._apply_device_functions(copy)
    return copy


def get_copied_op(org_instance, graph, scope=""):
    """The copy of an operation or tensor in another graph; KeyError if there is none."""
    return graph.as_graph_element(_scoped(org_instance.name, scope))


def _scoped(name, scope):
    return f"{scope}/{name}" if scope else name


def _collections_of(element):
    graph = element.graph
    keys = graph.get_all_collection_keys()
    return [key for key in keys if any(other is element for other in graph.get_collection_ref(key))]
