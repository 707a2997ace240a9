"""Which operations and tensors of a graph: by name, by filter, by walks along its edges.

Operations are given as lists, as one, or as a whole `tf.Graph`; what is neither is a TypeError.
"""

from __future__ import annotations

import re

from slimft.compat.contrib.graph_editor import util
from slimft.compat.v1 import tf


def can_be_regex(obj):
    """Whether `obj` is a string or a compiled regular expression."""
    return isinstance(obj, (str, re.Pattern))


def make_regex(obj):
    """A compiled regular expression of a string or of one; ValueError if it is neither."""
    if not can_be_regex(obj):
        raise ValueError(f"expected a string or a regular expression, not {type(obj).__name__}")
    return re.compile(obj)


def _inputs_of(ops):
    return util.concatenate_unique([], (t for op in ops for t in op.inputs))


def _outputs_of(ops):
    return [t for op in ops for t in op.outputs]


def filter_ts(ops, positive_filter):
    """The inputs and outputs of operations of which `positive_filter` is true; all of them if it is True."""
    ops = util.make_list_of_op(ops)
    ts = util.concatenate_unique(_inputs_of(ops), _outputs_of(ops))
    return ts if positive_filter is True else [t for t in ts if positive_filter(t)]


def filter_ts_from_regex(ops, regex):
    """The inputs and outputs of operations in whose names `regex` is found; names are like ``conv/weights:0``."""
    regex = make_regex(regex)
    return filter_ts(ops, lambda t: regex.search(t.name))


def filter_ops(ops, positive_filter):
    """The operations of which `positive_filter` is true; all of them if it is True."""
    ops = util.make_list_of_op(ops)
    return ops if positive_filter is True else [op for op in ops if positive_filter(op)]


def filter_ops_from_regex(ops, regex):
    """The operations in whose names `regex` is found."""
    regex = make_regex(regex)
    return filter_ops(ops, lambda op: regex.search(op.name))


def get_name_scope_ops(ops, scope):
    """The operations of a name scope, and the one of just this name."""
    return filter_ops_from_regex(ops, f"^{scope.removesuffix('/') if scope else scope}(/.*)?$")


def check_cios(control_inputs=False, control_outputs=None, control_ios=None):
    """Along which control edges to go.

    Args:
        control_inputs: whether back along them.
        control_outputs: a `ControlOutputs` to go forward along, or None.
        control_ios: a `ControlOutputs` for both, in the place of the other two.

    Returns:
        (control_inputs, control_outputs), the latter up to date.

    Raises:
        TypeError: what is given is no `ControlOutputs`.
        ValueError: both `control_outputs` and `control_ios` are given.
    """
    for given in (control_outputs, control_ios):
        if given is not None and not isinstance(given, util.ControlOutputs):
            raise TypeError(f"expected a ControlOutputs, not {type(given).__name__}")
    if control_ios is not None:
        if control_outputs is not None:
            raise ValueError("control_outputs and control_ios cannot both be given")
        control_inputs, control_outputs = True, control_ios
    if control_outputs is not None:
        control_outputs.update()
    return control_inputs, control_outputs


def get_ops_ios(ops, control_inputs=False, control_outputs=None, control_ios=None):
    """The operations next to the given ones, on either side; the last three arguments are `check_cios`'s."""
    control_inputs, control_outputs = check_cios(control_inputs, control_outputs, control_ios)
    found = {}
    for op in util.make_list_of_op(ops):
        found.update(dict.fromkeys(t.op for t in op.inputs))
        found.update(dict.fromkeys(_after(op, (), control_outputs)))
        found.update(dict.fromkeys(op.control_inputs if control_inputs else ()))
    return list(found)


def compute_boundary_ts(ops):
    """Which tensors come into a set of operations, which go out, and which are inside.

    Returns:
        (inputs that none of the operations has made; outputs that others take, or none; inputs that one of them has
        made). A tensor that both the operations and others take is in the second and in the third.
    """
    ops = util.make_list_of_op(ops)
    inputs, outputs = _inputs_of(ops), _outputs_of(ops)
    made, own = frozenset(outputs), frozenset(ops)
    inside = [t for t in inputs if t in made]
    hidden = {t for t in inside if own.issuperset(t.consumers())}
    return [t for t in inputs if t not in made], [t for t in outputs if t not in hidden], inside


def get_within_boundary_ops(
    ops, seed_ops, boundary_ops=(), inclusive=True, control_inputs=False, control_outputs=None, control_ios=None
):
    """The operations that can be reached from `seed_ops`, in either direction, without crossing a boundary.

    Args:
        ops: what is returned is of these, in their order.
        seed_ops: from where.
        boundary_ops: where to stop.
        inclusive: whether those of the boundary are in the result.
        control_inputs, control_outputs, control_ios: `check_cios`'s.

    Raises:
        ValueError: an operation is both a seed and on the boundary.
    """
    control_inputs, control_outputs = check_cios(control_inputs, control_outputs, control_ios)
    ops = util.make_list_of_op(ops)
    reached = set(util.make_list_of_op(seed_ops, allow_graph=False))
    boundary = set(util.make_list_of_op(boundary_ops))
    if boundary & reached:
        raise ValueError("an operation is both a seed and on the boundary")
    wave = reached
    while wave:
        near = set(get_ops_ios(wave, control_inputs, control_outputs)) - reached
        wave = near - boundary
        reached = reached | (near if inclusive else wave)
    return [op for op in ops if op in reached]


def _after(op, stop_at_ts, control_outputs):
    """The operations that take what `op` makes, and those that wait for it."""
    for t in op.outputs:
        if t not in stop_at_ts:
            yield from t.consumers()
    if control_outputs is not None:
        yield from control_outputs.get(op)


def _before(op, stop_at_ts, control_inputs):
    """The operations that make what `op` takes, and those it waits for."""
    for t in op.inputs:
        if t not in stop_at_ts:
            yield t.op
    if control_inputs:
        yield from op.control_inputs


def _walk(seed_ops, ops_of_ts, neighbours, inclusive, within_ops, within_ops_fn):
    """The operations on all walks from `seed_ops`, wave after wave."""
    seeds = list(seed_ops) if util.is_iterable(seed_ops) else [seed_ops]
    if not seeds:
        return []
    if isinstance(seeds[0], tf.Tensor):
        seeds = ops_of_ts(seeds)
    seeds = util.concatenate_unique([], util.make_list_of_op(seeds, allow_graph=False))
    within = frozenset(util.make_list_of_op(within_ops, allow_graph=False)) if within_ops else within_ops
    if within:
        seeds = [op for op in seeds if op in within]
    reached = dict.fromkeys(seeds)
    wave = seeds
    while wave:
        wave = [
            near
            for near in dict.fromkeys(near for op in wave for near in neighbours(op))
            if near not in reached
            and (within is None or near in within)
            and (within_ops_fn is None or within_ops_fn(near))
        ]
        reached.update(dict.fromkeys(wave))
    return list(reached)[0 if inclusive else len(seeds) :]


def get_forward_walk_ops(
    seed_ops, inclusive=True, within_ops=None, within_ops_fn=None, stop_at_ts=(), control_outputs=None
):
    """The operations that depend on the given ones.

    Args:
        seed_ops: operations; or tensors, which stand for what takes them.
        inclusive: whether `seed_ops` are in the result.
        within_ops: the operations that a walk may pass; by default all.
        within_ops_fn: a function that is true of those, or None.
        stop_at_ts: tensors beyond which a walk does not go.
        control_outputs: a `ControlOutputs` to go along as well, or None.

    Returns:
        A list, nearest first.
    """
    _, control_outputs = check_cios(False, control_outputs)
    stops = frozenset(util.make_list_of_t(stop_at_ts))
    return _walk(
        seed_ops, util.get_consuming_ops, lambda op: _after(op, stops, control_outputs), inclusive, within_ops,
        within_ops_fn,
    )  # fmt: skip


def get_backward_walk_ops(
    seed_ops, inclusive=True, within_ops=None, within_ops_fn=None, stop_at_ts=(), control_inputs=False
):
    """The operations on which the given ones depend.

    Args:
        seed_ops: operations; or tensors, which stand for what makes them.
        inclusive, within_ops, within_ops_fn, stop_at_ts: as in `get_forward_walk_ops`.
        control_inputs: whether to go along control dependencies as well.

    Returns:
        A list, nearest first.
    """
    stops = frozenset(util.make_list_of_t(stop_at_ts))
    return _walk(
        seed_ops, util.get_generating_ops, lambda op: _before(op, stops, control_inputs), inclusive, within_ops,
        within_ops_fn,
    )  # fmt: skip


def _walks(
    forward_seed_ops, backward_seed_ops, forward_inclusive=True, backward_inclusive=True, within_ops=None,
    within_ops_fn=None, control_inputs=False, control_outputs=None, control_ios=None,
):  # fmt: skip
    control_inputs, control_outputs = check_cios(control_inputs, control_outputs, control_ios)
    forward = get_forward_walk_ops(
        forward_seed_ops, forward_inclusive, within_ops, within_ops_fn, control_outputs=control_outputs
    )
    backward = get_backward_walk_ops(
        backward_seed_ops, backward_inclusive, within_ops, within_ops_fn, control_inputs=control_inputs
    )
    return forward, backward


def get_walks_intersection_ops(
    forward_seed_ops, backward_seed_ops, forward_inclusive=True, backward_inclusive=True, within_ops=None,
    within_ops_fn=None, control_inputs=False, control_outputs=None, control_ios=None,
):  # fmt: skip
    """The operations that depend on `forward_seed_ops` and on which `backward_seed_ops` depend.

    The arguments are those of `get_forward_walk_ops` and `get_backward_walk_ops`, and of `check_cios`.
    """
    forward, backward = _walks(
        forward_seed_ops, backward_seed_ops, forward_inclusive, backward_inclusive, within_ops, within_ops_fn,
        control_inputs, control_outputs, control_ios,
    )  # fmt: skip
    backward = frozenset(backward)
    return [op for op in forward if op in backward]


def get_walks_union_ops(
    forward_seed_ops, backward_seed_ops, forward_inclusive=True, backward_inclusive=True, within_ops=None,
    within_ops_fn=None, control_inputs=False, control_outputs=None, control_ios=None,
):  # fmt: skip
    """The operations of a walk forward and of one backward; the arguments of `get_walks_intersection_ops`."""
    return util.concatenate_unique(
        *_walks(
            forward_seed_ops, backward_seed_ops, forward_inclusive, backward_inclusive, within_ops, within_ops_fn,
            control_inputs, control_outputs, control_ios,
        )
    )  # fmt: skip


def _selected(args, graph, positive_filter, restrict, kind, from_regex, listed):
    """What `select_ops` and `select_ts` return; `kind` is what a pattern begins with: ``ops`` or ``ts``."""
    if graph is not None and not isinstance(graph, tf.Graph):
        raise TypeError(f"expected a graph, not {type(graph).__name__}")
    found = []
    for arg in args:
        if can_be_regex(arg):
            if graph is None:
                raise ValueError("a regular expression needs the argument graph")
            regex = make_regex(arg)
            marked = re.match(r"\(\?#(ops|ts)\)", regex.pattern)
            if (marked and marked[1] != kind) or (restrict and not marked):
                continue
            elements = from_regex(graph, regex)
        else:
            elements = listed(arg)
        if positive_filter is not None:
            elements = filter(positive_filter, elements)
        util.concatenate_unique(found, elements)
    return found


def select_ops(*args, graph=None, positive_filter=None, restrict_ops_regex=False, restrict_ts_regex=False):
    """Operations by regular expressions or as they are given.

    Args:
        *args: operations and lists of them, and regular expressions; tensors are passed over, and patterns that
            begin with ``(?#ts)``.
        graph: where regular expressions look.
        positive_filter: true of the operations to keep, or None.
        restrict_ops_regex: whether patterns that do not begin with ``(?#ops)`` are passed over.
        restrict_ts_regex: of `select_ts`.

    Returns:
        A list without repetitions.

    Raises:
        TypeError: there is something else in `args`, or `graph` is none.
        ValueError: a regular expression is given without a graph.
    """
    return _selected(
        args, graph, positive_filter, restrict_ops_regex, "ops", filter_ops_from_regex,
        lambda arg: util.make_list_of_op(arg, ignore_ts=True),
    )  # fmt: skip


def select_ts(*args, graph=None, positive_filter=None, restrict_ops_regex=False, restrict_ts_regex=False):
    """Tensors, as `select_ops` selects operations; their patterns begin with ``(?#ts)``."""
    return _selected(
        args, graph, positive_filter, restrict_ts_regex, "ts", filter_ts_from_regex,
        lambda arg: util.make_list_of_t(arg, ignore_ops=True),
    )  # fmt: skip


def select_ops_and_ts(*args, graph=None, positive_filter=None):
    """(operations, tensors): patterns are of operations unless they begin with ``(?#ts)``."""
    given = {"graph": graph, "positive_filter": positive_filter}
    return select_ops(*args, **given), select_ts(*args, restrict_ts_regex=True, **given)
