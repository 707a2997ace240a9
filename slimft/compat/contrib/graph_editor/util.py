"""Lists of operations and tensors, trees of them, and the graph editor's placeholders."""

from __future__ import annotations

import collections.abc

from slimft.compat.v1 import tf

_PREFIX = "geph"


def concatenate_unique(la, lb):
    """Adds to the list `la` what of `lb` is not in it, in its order, and returns `la`."""
    seen = set(la)
    for element in lb:
        if element not in seen:
            la.append(element)
            seen.add(element)
    return la


class ListView:
    """A list that can be read only.

    Raises:
        TypeError: `list_` is not a list.
    """

    def __init__(self, list_):
        if not isinstance(list_, list):
            raise TypeError(f"expected a list, not {type(list_).__name__}")
        self._list = list_

    def __iter__(self):
        return iter(self._list)

    def __len__(self):
        return len(self._list)

    def __bool__(self):
        return bool(self._list)

    def __getitem__(self, i):
        return self._list[i]

    def __add__(self, other):
        return [*self._list, *other]


def is_iterable(obj):
    """Whether `obj` has elements; a tensor has none here."""
    if isinstance(obj, tf.Tensor):
        return False
    try:
        iter(obj)
    except Exception:  # Whatever an object's own __iter__ raises.
        return False
    return True


def flatten_tree(tree, leaves=None):
    """The leaves of nested iterables and of the values of dictionaries, added to the list `leaves` or a new one."""
    leaves = [] if leaves is None else leaves
    if isinstance(tree, dict):
        tree = list(tree.values())
    if is_iterable(tree):
        for child in tree:
            flatten_tree(child, leaves)
    else:
        leaves.append(tree)
    return leaves


def transform_tree(tree, fn, iterable_type=tuple):
    """The tree of `fn` of all leaves: dictionaries, tuples, named tuples and lists keep their types.

    Args:
        tree: a leaf, or nested iterables.
        fn: of a leaf.
        iterable_type: what becomes of other iterables.
    """
    if not is_iterable(tree):
        return fn(tree)
    if isinstance(tree, dict):
        return type(tree)((key, transform_tree(child, fn)) for key, child in tree.items())
    children = [transform_tree(child, fn) for child in tree]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*children)
    if isinstance(tree, collections.abc.Sequence):
        return type(tree)(children)
    return iterable_type(children)


def check_graphs(*args):
    """Raises ValueError unless all that have a graph are of the same one."""
    graph = None
    for i, view in enumerate(args):
        graph = view.graph if graph is None else graph
        if view.graph is not None and view.graph is not graph:
            raise ValueError(f"argument {i} is of another graph")


def get_unique_graph(tops, check_types=None, none_if_empty=False):
    """The one graph of all operations and tensors of a list; a graph's is itself.

    Args:
        tops: a `tf.Graph`, or an iterable.
        check_types: of which types the elements may be; by default operations and tensors.
        none_if_empty: whether an empty list has the graph None.

    Raises:
        TypeError: an element is of another type, or `tops` has no elements to look at.
        ValueError: they are of several graphs, or there are none.
    """
    if isinstance(tops, tf.Graph):
        return tops
    if not is_iterable(tops):
        raise TypeError(f"{type(tops).__name__} is not iterable")
    if check_types is None:
        check_types = (tf.Operation, tf.Tensor)
    elif not is_iterable(check_types):
        check_types = (check_types,)
    graph = None
    for element in tops:
        if not isinstance(element, tuple(check_types)):
            allowed = " or ".join(kind.__name__ for kind in check_types)
            raise TypeError(f"expected {allowed}, not {type(element).__name__}")
        graph = element.graph if graph is None else graph
        if element.graph is not graph:
            raise ValueError(f"{element.name} does not belong to the graph of the others")
    if graph is None and not none_if_empty:
        raise ValueError("an empty list has no graph")
    return graph


def make_list_of_op(ops, check_graph=True, allow_graph=True, ignore_ts=False):
    """A list of operations: of a graph, of an iterable, or of one.

    Args:
        ops: a `tf.Graph`, an iterable of operations, or one.
        check_graph: whether to check types, and that all are of one graph.
        allow_graph: whether `ops` may be a graph.
        ignore_ts: whether tensors among them are passed over.

    Raises:
        TypeError: there is something else in `ops`, or a graph that is not allowed.
        ValueError: they are of several graphs.
    """
    return _listed(ops, tf.Operation, check_graph, allow_graph, ignore_ts, lambda g: list(g.get_operations()))


def make_list_of_t(ts, check_graph=True, allow_graph=True, ignore_ops=False):
    """A list of tensors, as `make_list_of_op` makes one of operations; `ignore_ops` is its `ignore_ts`."""
    return _listed(ts, tf.Tensor, check_graph, allow_graph, ignore_ops, get_tensors)


def _listed(elements, kind, check_graph, allow_graph, ignore_others, all_of):
    if isinstance(elements, tf.Graph):
        if not allow_graph:
            raise TypeError(f"expected {kind.__name__}s, not a whole graph")
        return all_of(elements)
    elements = list(elements) if is_iterable(elements) else [elements]
    if elements and check_graph:
        get_unique_graph(elements, None if ignore_others else kind)
    return [element for element in elements if isinstance(element, kind)]


def get_tensors(graph):
    """All outputs of the operations of a `tf.Graph`; TypeError if it is none."""
    if not isinstance(graph, tf.Graph):
        raise TypeError(f"expected a graph, not {type(graph).__name__}")
    return [t for op in graph.get_operations() for t in op.outputs]


def get_generating_ops(ts):
    """The operations of which tensors are outputs, one for each."""
    return [t.op for t in make_list_of_t(ts, allow_graph=False)]


def get_consuming_ops(ts):
    """The operations that have the tensors as inputs, each once."""
    return concatenate_unique([], (op for t in make_list_of_t(ts, allow_graph=False) for op in t.consumers()))


class ControlOutputs:
    """Which operations wait for which, by control dependencies.

    Args:
        graph: a `tf.Graph`.

    Raises:
        TypeError: it is none.
    """

    def __init__(self, graph):
        if not isinstance(graph, tf.Graph):
            raise TypeError(f"expected a graph, not {type(graph).__name__}")
        self._graph = graph
        self._control_outputs = {}
        self._version = None
        self.update()

    def update(self):
        """Looks again if the graph has got operations since."""
        if self._version != self._graph.version:
            self._control_outputs.clear()
            for op in self._graph.get_operations():
                for before in op.control_inputs:
                    concatenate_unique(self._control_outputs.setdefault(before, []), [op])
            self._version = self._graph.version
        return self

    def get_all(self):
        """A dictionary from operations to the lists of those that wait for them."""
        return self._control_outputs

    def get(self, op):
        """What waits for `op`; () if nothing does."""
        return self._control_outputs.get(op, ())

    @property
    def graph(self):
        return self._graph


def scope_finalize(scope):
    """A scope with the slash at its end, if it is not empty."""
    return f"{scope}/" if scope and not scope.endswith("/") else scope


def scope_dirname(scope):
    """What is before the last name, with its slash."""
    return scope[: scope.rfind("/") + 1]


def scope_basename(scope):
    """The last name."""
    return scope[scope.rfind("/") + 1 :]


def placeholder_name(t=None, scope=None, prefix=_PREFIX):
    """The name of a placeholder, such as ``scope/geph__relu_0``.

    Args:
        t: the tensor that it stands for, or None.
        scope: by default that of `t`; "" is the root.
        prefix: the first part.

    Raises:
        TypeError: `t` is neither.
    """
    scope = scope_finalize(scope)
    if t is None:
        return f"{scope or ''}{prefix}"
    if not isinstance(t, tf.Tensor):
        raise TypeError(f"expected a tensor, not {type(t).__name__}")
    scope = scope_dirname(t.op.name) if scope is None else scope
    name = scope_basename(t.op.name)
    return scope + (name if name.startswith(f"{prefix}__") else f"{prefix}__{name}_{t.value_index}")


def make_placeholder_from_tensor(t, scope=None, prefix=_PREFIX):
    """A placeholder of the dtype and shape of `t`, named by `placeholder_name`, in the default graph."""
    return tf.placeholder(t.dtype, t.get_shape(), placeholder_name(t, scope, prefix))


def make_placeholder_from_dtype_and_shape(dtype, shape=None, scope=None, prefix=_PREFIX):
    """A placeholder in the default graph; also called `ph`."""
    return tf.placeholder(dtype, shape, placeholder_name(scope=scope, prefix=prefix))


def get_predefined_collection_names():
    """The values of `tf.GraphKeys`."""
    keys = vars(tf.GraphKeys).items()
    return [value for key, value in keys if isinstance(value, str) and not key.startswith("__")]


def find_corresponding_elem(target, dst_graph, dst_scope="", src_scope=""):
    """The operation or tensor of another graph that has the name of `target`.

    Args:
        target: an operation or a tensor.
        dst_graph: the graph to look in.
        dst_scope: put before the name.
        src_scope: taken from the name's beginning.

    Raises:
        ValueError: the name does not begin with `src_scope`.
        TypeError: `target` is neither.
        KeyError: there is none.
    """
    name, begin = target.name, scope_finalize(src_scope)
    if not name.startswith(begin):
        raise ValueError(f"{name} does not start with {begin}")
    name = scope_finalize(dst_scope) + name[len(begin) :]
    if isinstance(target, tf.Tensor):
        return dst_graph.get_tensor_by_name(name)
    if isinstance(target, tf.Operation):
        return dst_graph.get_operation_by_name(name)
    raise TypeError(f"expected a tensor or an operation, not {type(target).__name__}")


def find_corresponding(targets, dst_graph, dst_scope="", src_scope=""):
    """`find_corresponding_elem` of all leaves of a tree."""
    return transform_tree(targets, lambda top: find_corresponding_elem(top, dst_graph, dst_scope, src_scope))
