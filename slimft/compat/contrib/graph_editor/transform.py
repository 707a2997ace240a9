"""Copies views within a graph and to others, with other inputs, or as handlers say."""

from __future__ import annotations

from slimft.compat.contrib.graph_editor import reroute, select, subgraph, util
from slimft.compat.v1 import tf


def replace_t_with_placeholder_handler(info, t):
    """A placeholder for `t` in the graph of the copy."""
    with info.graph_.as_default():
        return util.make_placeholder_from_tensor(t, scope=info.scope_)


def keep_t_if_possible_handler(info, t):
    """`t` if the copy is in the same graph, or else a placeholder for it."""
    return t if info.graph is info.graph_ else replace_t_with_placeholder_handler(info, t)


def assign_renamed_collections_handler(info, elem, elem_):
    """Puts the copy `elem_` of an operation or tensor into the collections of `elem`.

    Collections that are not `tf.GraphKeys`' are renamed as operations are.
    """
    for name in info.collections_of(elem):
        known = name in info.known_collections
        info.graph_.add_to_collection(name if known else info.new_name(name), elem_)


def transform_op_if_inside_handler(info, op, keep_if_possible=True):
    """The copy of an operation of the view; another is kept if the copy is in the same graph, or else None."""
    if op in info.ops:
        return info.transformed_ops[op]
    return op if keep_if_possible and info.graph is info.graph_ else None


def copy_op_handler(info, op, new_inputs, copy_shape=False, nodedef_fn=None):
    """A copy of an operation with other inputs.

    Args:
        info: what a `Transformer` hands to its handlers.
        op: the operation.
        new_inputs: list of tensors.
        copy_shape: whether the copy's outputs get the shapes of those of `op`.
        nodedef_fn: of a NodeDef; what it returns is made. Or None.

    Returns:
        (the copy, its outputs).

    Raises:
        TypeError: `new_inputs` is a bool, as it was `copy_shape` once.
    """
    if isinstance(new_inputs, bool):
        raise TypeError("new_inputs has to be a list of tensors")
    node_def = op.node_def
    node_def.name = info.graph_.unique_name(info.new_name(op.name))
    if nodedef_fn is not None:
        node_def = nodedef_fn(node_def)
    new = tf.Operation.from_node_def(
        node_def, info.graph_, list(new_inputs), op._output_types, [], op._input_types, None, op.op_def
    )
    if copy_shape:
        for t, t_ in zip(op.outputs, new.outputs):
            t_.set_shape(t.get_shape())
    # Until all are copied.
    new._original_op = op._original_op
    return new, new.outputs


class TransformerInfo:
    """Which operations and tensors became which.

    Args:
        info: what a `Transformer` hands to its handlers.
    """

    def __init__(self, info):
        self._graph = info.graph
        self._scope = info.scope
        self._graph_ = info.graph_
        self._scope_ = info.scope_
        self._transformed_ops = info.transformed_ops
        self._transformed_ts = info.transformed_ts

    def _map_of(self, top):
        if isinstance(top, tf.Operation):
            return self._transformed_ops
        if isinstance(top, tf.Tensor):
            return self._transformed_ts
        raise TypeError(f"expected a tensor or an operation, not {type(top).__name__}")

    def transformed(self, original, missing_fn=None):
        """What became of an operation, of a tensor, or of a tree of them.

        Args:
            original: one, or nested lists.
            missing_fn: of one that was not copied; by default None stands for it.

        Raises:
            TypeError: it is something else.
        """

        def find(top):
            there = self._map_of(top)
            return there[top] if top in there else missing_fn and missing_fn(top)

        return util.transform_tree(original, find)

    def original(self, transformed, missing_fn=None):
        """What the copies were made of; arguments and errors of `transformed`."""

        def find(top):
            for old, new in self._map_of(top).items():
                if new is top:
                    return old
            return missing_fn and missing_fn(top)

        return util.transform_tree(transformed, find)

    def __str__(self):
        lines = ["Transform result info:"]
        if self._graph is self._graph_:
            lines.append(f"  Within graph[{id(self._graph)}]{'' if self._scope_ else ' IN-PLACE'}")
        else:
            lines.append(f"  graph[{id(self._graph)}] => graph[{id(self._graph_)}]")
        if self._scope:
            lines.append(f"  from the scope: {self._scope}")
        if self._scope_:
            lines.append(f"  Scope destination: {self._scope_}")
        lines.append("Operations mapping:")
        lines += [f"  {old.name} => {new.name}" for old, new in self._transformed_ops.items()]
        return "\n".join(lines) + "\n"


class _TmpInfo:
    """What the handlers of one call of a `Transformer` know: names that end in _ are of the copy."""

    def __init__(self, sgv, dst_graph, dst_scope, src_scope):
        self.sgv = sgv
        self.sgv_inputs_set = frozenset(sgv.inputs)
        self.ops = frozenset(sgv.ops)
        self.control_outputs = util.ControlOutputs(sgv.graph)
        self.graph = sgv.graph
        self.scope = src_scope
        self.graph_ = dst_graph
        self.scope_ = dst_scope
        self.transformed_ops = {}
        self.transformed_ts = {}
        self.collections = {key: self.graph.get_collection(key) for key in self.graph.get_all_collection_keys()}
        self.known_collections = frozenset(util.get_predefined_collection_names())
        self.transform_original_op_handler = transform_op_if_inside_handler
        # (tensor that is not copied yet, what stands for its copy, operation that takes it): those of loops.
        self.tmp_cyclic_ts = []
        self._collections_by_id: dict[int, list] = {}
        for key, elements in self.collections.items():
            for number in dict.fromkeys(map(id, elements)):
                self._collections_by_id.setdefault(number, []).append(key)

    def collections_of(self, elem):
        """The names of the collections in which an operation or tensor is."""
        return self._collections_by_id.get(id(elem), ())

    def new_name(self, name):
        """The name of a copy; ValueError if `name` is not in the source scope."""
        if not name.startswith(self.scope):
            raise ValueError(f"{name} lies outside of the scope {self.scope} that is copied")
        return self.scope_ + name[len(self.scope) :]


class Transformer:
    """Copies views. What it does with each operation and tensor is in attributes that can be set:

    - `transform_op_handler(info, op, new_inputs)` makes an operation and its outputs: `copy_op_handler`.
    - `transform_control_input_handler(info, op)`: what a copy waits for, or None:
      `transform_op_if_inside_handler`.
    - `assign_collections_handler(info, elem, elem_)`: `assign_renamed_collections_handler`.
    - `transform_external_input_handler(info, t)`: what comes into the copy for an input of the view:
      `replace_t_with_placeholder_handler`.
    - `transform_external_hidden_input_handler(info, t)`: for one that a remapping has taken from the view's inputs:
      `keep_t_if_possible_handler`.
    - `transform_original_op_handler(info, op)`: of an operation's original: `transform_op_if_inside_handler`.
    """

    def __init__(self):
        self.transform_op_handler = copy_op_handler
        self.transform_control_input_handler = transform_op_if_inside_handler
        self.assign_collections_handler = assign_renamed_collections_handler
        self.transform_external_input_handler = replace_t_with_placeholder_handler
        self.transform_external_hidden_input_handler = keep_t_if_possible_handler
        self.transform_original_op_handler = transform_op_if_inside_handler

    def __call__(self, sgv, dst_graph, dst_scope, src_scope="", reuse_dst_scope=False):
        """Copies a view.

        Args:
            sgv: what `make_view` takes.
            dst_graph: the graph of the copy.
            dst_scope: the scope of the copy; "" is the root.
            src_scope: what is taken from the beginning of names before `dst_scope` is put there.
            reuse_dst_scope: whether the scope may be there already; by default a number is added to its name.

        Returns:
            (the view of the copy, `TransformerInfo`).

        Raises:
            TypeError: `dst_graph` is no graph.
            ValueError: a name is not in `src_scope`, or a handler returned the operation itself.
        """
        sgv = subgraph.make_view(sgv)
        if not isinstance(dst_graph, tf.Graph):
            raise TypeError(f"expected a graph, not {type(dst_graph).__name__}")
        src_scope, dst_scope = util.scope_finalize(src_scope), util.scope_finalize(dst_scope)
        if dst_scope and not reuse_dst_scope:
            dst_scope = util.scope_finalize(dst_graph.unique_name(dst_scope[:-1]))
        info = _TmpInfo(sgv, dst_graph, dst_scope, src_scope)
        self._copy_ops(info)
        for t, stand_in, consumer in info.tmp_cyclic_ts:
            place = list(info.transformed_ops[consumer].inputs).index(stand_in)
            info.transformed_ops[consumer]._update_input(place, info.transformed_ts[t])
        self._connect_control_inputs(info)
        return _copied_view(info, sgv), TransformerInfo(info)

    def _copy_ops(self, info):
        """Copies the operations in the order in which they were made."""
        for op in sorted(info.sgv.ops, key=lambda op: op._id):
            inputs = [self._transformed_t(info, t, op) for t in op.inputs]
            new, outputs = self.transform_op_handler(info, op, inputs)
            if new is op:
                raise ValueError(f"{op.name} cannot be its own copy")
            info.transformed_ops[op] = new
            self.assign_collections_handler(info, op, new)
            for t, t_ in zip(op.outputs, outputs):
                info.transformed_ts[t] = t_
                self.assign_collections_handler(info, t, t_)

    def _connect_control_inputs(self, info):
        for op in info.sgv.ops:
            new = info.transformed_ops[op]
            original = op._original_op and self.transform_original_op_handler(info, op._original_op)
            if original is not None:
                new._original_op = original
            controls = [self.transform_control_input_handler(info, before) for before in op.control_inputs]
            reroute.add_control_inputs(new, [before for before in controls if before is not None])

    def _transformed_t(self, info, t, consumer):
        """What the copy of `consumer` takes for `t`."""
        if t in info.transformed_ts:
            return info.transformed_ts[t]
        if t in info.sgv_inputs_set:
            return self.transform_external_input_handler(info, t)
        if t.op not in info.ops:
            return self.transform_external_hidden_input_handler(info, t)
        # Around a loop: something of the same type stands for the copy until that is made.
        if consumer.type == "Merge":
            stand_in = self._transformed_t(info, consumer.inputs[0], consumer)
        elif t.op.type == "Enter":
            stand_in = self._transformed_t(info, t.op.inputs[0], consumer)
        else:
            with info.graph_.as_default():
                stand_in = util.make_placeholder_from_tensor(t, scope=info.scope_, prefix="geph_tmp")
        info.tmp_cyclic_ts.append((t, stand_in, consumer))
        return stand_in


def _copied_view(info, sgv):
    """The view of the copy, with inputs and outputs in the order of the original's."""
    new = subgraph.SubGraphView(list(info.transformed_ops.values()))
    mapped = [
        [info.transformed_ts[t] for t in ts if t in info.transformed_ts and info.transformed_ts[t] in there]
        for ts, there in ((sgv.inputs, frozenset(new.inputs)), (sgv.outputs, frozenset(new.outputs)))
    ]
    return new.remap(*mapped)


def _view_and_graph(sgv, dst_graph):
    sgv = subgraph.make_view(sgv)
    return sgv, sgv.graph if dst_graph is None else dst_graph


def copy(sgv, dst_graph=None, dst_scope="", src_scope="", reuse_dst_scope=False):
    """Copies a view, with placeholders for what comes in.

    Args:
        sgv: what `make_view` takes.
        dst_graph: the graph of the copy; by default the same.
        dst_scope, src_scope, reuse_dst_scope: as of a `Transformer`, as are result and errors.
    """
    sgv, dst_graph = _view_and_graph(sgv, dst_graph)
    return Transformer()(sgv, dst_graph, dst_scope, src_scope, reuse_dst_scope)


def copy_with_input_replacements(
    sgv, replacement_ts, dst_graph=None, dst_scope="", src_scope="", reuse_dst_scope=False
):
    """Copies a view, with other inputs.

    Args:
        sgv: what `make_view` takes.
        replacement_ts: dictionary from inputs of the view to what comes in instead; other inputs stay, or are
            placeholders in another graph.
        dst_graph, dst_scope, src_scope, reuse_dst_scope: as of `copy`, as are result and errors.
    """
    sgv, dst_graph = _view_and_graph(sgv, dst_graph)

    def replaced(info, t):
        return replacement_ts[t] if t in replacement_ts else keep_t_if_possible_handler(info, t)

    copier = Transformer()
    copier.transform_external_input_handler = replaced
    return copier(sgv, dst_graph, dst_scope, src_scope, reuse_dst_scope)


def _add_loops(ops, control_ios):
    """Adds to the list `ops` all of the loops of which it has a part."""
    contexts = dict.fromkeys(op._get_control_flow_context() for op in ops)
    for context in contexts:
        if context is not None and context.IsWhileContext():
            enters, exits = ([t.op for t in ts] for ts in (context.loop_enters, context.loop_exits))
            util.concatenate_unique(ops, select.get_walks_intersection_ops(enters, exits, control_ios=control_ios))


def graph_replace(target_ts, replacement_ts, dst_scope="", src_scope="", reuse_dst_scope=False):
    """Computes tensors anew from others.

    Args:
        target_ts: a tensor, or nested lists of them.
        replacement_ts: dictionary from tensors on which they depend to those in their place.
        dst_scope, src_scope, reuse_dst_scope: as of a `Transformer`.

    Returns:
        The new tensors as `target_ts` has the old ones; one that does not depend on what is replaced stays.

    Raises:
        ValueError: none of the targets depends on what is replaced.
    """
    targets = util.flatten_tree(target_ts)
    control_ios = util.ControlOutputs(util.get_unique_graph(targets, check_types=tf.Tensor))
    ops = select.get_walks_intersection_ops(list(replacement_ts), targets, control_ios=control_ios)
    if not ops:
        raise ValueError("the targets do not depend on the tensors to replace")
    _add_loops(ops, control_ios)
    _, info = copy_with_input_replacements(ops, replacement_ts, None, dst_scope, src_scope, reuse_dst_scope)
    return info.transformed(target_ts, lambda original: original)
