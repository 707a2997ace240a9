"""Views of parts of a graph: their operations, what comes in and what goes out."""

from __future__ import annotations

from slimft.compat.contrib.graph_editor import select, util
from slimft.compat.v1 import tf


class SubGraphView:
    """Some operations of a graph, with lists of the tensors that come in and go out.

    A tensor that goes straight through, without an operation of the view, is a passthrough. Views are not changed
    but copied, except by the functions that rewire the graph under them; they do not follow other changes of it.

    Args:
        inside_ops: the operations: a graph, a list or one.
        passthrough_ts: tensors; those that an operation of the view makes or takes are passed over.

    Raises:
        TypeError: they are something else.
        ValueError: they are of several graphs.
    """

    def __init__(self, inside_ops=(), passthrough_ts=()):
        self._ops = util.make_list_of_op(inside_ops)
        passthrough_ts = util.make_list_of_t(passthrough_ts)
        self._graph = util.get_unique_graph([*self._ops, *passthrough_ts], none_if_empty=True)
        inputs, outputs, inside = select.compute_boundary_ts(self._ops)
        connected = {*inputs, *outputs, *inside}
        self._passthrough_ts = [t for t in passthrough_ts if t not in connected]
        self._input_ts = inputs + self._passthrough_ts
        self._output_ts = outputs + self._passthrough_ts

    def __copy__(self):
        new = type(self).__new__(type(self))
        new._assign_from(self)
        return new

    def _assign_from(self, other):
        if not isinstance(other, SubGraphView):
            raise TypeError(f"expected a SubGraphView, not {type(other).__name__}")
        self._graph = other._graph
        self._ops = list(other._ops)
        self._passthrough_ts = list(other._passthrough_ts)
        self._input_ts = list(other._input_ts)
        self._output_ts = list(other._output_ts)

    def copy(self):
        """Another view of the same operations."""
        return self.__copy__()

    def remap_default(self, remove_input_map=True, remove_output_map=True):
        """A view with the inputs and the outputs that it has without remapping."""
        new = self.copy()
        inputs, outputs, _ = select.compute_boundary_ts(self._ops)
        if remove_input_map:
            new._input_ts = inputs + new._passthrough_ts
        if remove_output_map:
            new._output_ts = outputs + new._passthrough_ts
        return new

    def remap_inputs(self, new_input_indices):
        """A view with some of the inputs, in a new order: indices or tensors, each at most once, or ValueError."""
        return self.remap(new_input_indices)

    def remap_outputs(self, new_output_indices):
        """A view with some of the outputs, in a new order: indices or tensors, also repeated, or ValueError."""
        return self.remap(None, new_output_indices)

    def remap(self, new_input_indices=None, new_output_indices=None):
        """`remap_inputs` and `remap_outputs` in one; None leaves them as they are."""
        new = self.copy()
        if new_input_indices is not None:
            new._input_ts = _picked(new_input_indices, self._input_ts, repetition=False)
        if new_output_indices is not None:
            new._output_ts = _picked(new_output_indices, self._output_ts, repetition=True)
        return new

    def remap_outputs_make_unique(self):
        """A view with each output once."""
        new = self.copy()
        new._output_ts = util.concatenate_unique([], self._output_ts)
        return new

    def remap_outputs_to_consumers(self):
        """A view with each output as often as operations take it."""
        new = self.remap_outputs_make_unique()
        new._output_ts = [t for t in new._output_ts for _ in t.consumers()]
        return new

    def remove_unused_ops(self, control_inputs=True):
        """A view of the operations that its inputs or outputs depend on, or that depend on them."""
        new = self.copy()
        used = select.get_walks_union_ops(
            self.connected_inputs, self.connected_outputs, within_ops=self._ops, control_inputs=control_inputs
        )
        used = frozenset(used)
        new._ops = [op for op in self._ops if op in used]
        return new

    def find_op_by_name(self, op_name):
        """The operation of this name; ValueError if it is not in the view."""
        for op in self._ops:
            if op.name == op_name:
                return op
        raise ValueError(f"the subgraph has no operation {op_name}")

    def __str__(self):
        if not self:
            return "SubGraphView: empty"
        lines = [f"SubGraphView (graphid={id(self.graph)}):"]
        through = frozenset(self._passthrough_ts)
        for title, elements in (("ops", self._ops), ("inputs", self._input_ts), ("outputs", self._output_ts)):
            lines.append(f"** {title}[{len(elements)}]:" if elements else f"** {title}: empty")
            lines += [f"  {element.name}{' *' if element in through else ''}" for element in elements]
        return "\n".join(lines) + "\n"

    @property
    def graph(self):
        """The graph; None of an empty view."""
        return self._graph

    @property
    def ops(self):
        """The list of operations."""
        return self._ops

    @property
    def inputs(self):
        """The tensors that come in."""
        return util.ListView(self._input_ts)

    @property
    def connected_inputs(self):
        """The list of inputs that an operation of the view takes."""
        return [t for t in self._input_ts if t not in self._passthrough_ts]

    @property
    def outputs(self):
        """The tensors that go out."""
        return util.ListView(self._output_ts)

    @property
    def connected_outputs(self):
        """The list of outputs that an operation of the view makes."""
        return [t for t in self._output_ts if t not in self._passthrough_ts]

    @property
    def passthroughs(self):
        """The tensors that go straight through."""
        return util.ListView(self._passthrough_ts)

    def __bool__(self):
        return self._graph is not None

    def op(self, op_id):
        """The operation of an index."""
        return self._ops[op_id]

    def is_passthrough(self, t):
        """Whether a tensor goes straight through."""
        return t in self._passthrough_ts

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        pass

    def input_index(self, t):
        """Which of the inputs `t` is; ValueError if it is none."""
        return _index(t, self._input_ts, "inputs")

    def output_index(self, t):
        """Which of the outputs `t` is; ValueError if it is none."""
        return _index(t, self._output_ts, "outputs")

    def consumers(self):
        """The list of operations outside of the view that take its outputs."""
        own = frozenset(self._ops)
        return [op for op in util.get_consuming_ops(self._output_ts) if op not in own]


def _index(t, ts, which):
    if t not in ts:
        raise ValueError(f"{t.name} is not among the {which} of the subgraph")
    return ts.index(t)


def _picked(indices, ts, repetition):
    """Those of `ts` that `indices` say, which are integers or tensors."""
    indices = [index if isinstance(index, int) else ts.index(index) for index in indices]
    for index in indices:
        if not 0 <= index < len(ts):
            raise ValueError(f"{index} is not in the range of 0 to {len(ts) - 1}")
    if not repetition and len(set(indices)) != len(indices):
        raise ValueError(f"an input is there several times: {indices}")
    return [ts[index] for index in indices]


def make_view(*args, **kwargs):
    """A view of operations, tensors and regular expressions; also called `sgv`.

    Args:
        *args: what `select_ops_and_ts` takes; the tensors become passthroughs. Or one view, which is returned.
        **kwargs: `graph`, for regular expressions and to check, and `positive_filter`.

    Raises:
        TypeError: there is something else in `args`, or `graph` is none.
        ValueError: the operations are of another graph, or a regular expression is given without one.
    """
    graph = kwargs.get("graph")
    view = args[0] if len(args) == 1 and isinstance(args[0], SubGraphView) else None
    if view is None:
        view = SubGraphView(*select.select_ops_and_ts(*args, **kwargs))
    if graph is not None and view.graph is not None:
        if not isinstance(graph, tf.Graph):
            raise TypeError(f"expected a graph, not {type(graph).__name__}")
        if view.graph is not graph:
            raise ValueError("the subgraph is of another graph")
    return view


def make_view_from_scope(scope, graph):
    """The view of the operations of a name scope; also called `sgv_scope`."""
    return SubGraphView(select.get_name_scope_ops(graph, scope))
