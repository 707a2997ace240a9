"""Rewires: which operations take which tensors, and wait for which operations.

Views are what `make_view` takes; those that are views already are changed along with the graph.
"""

from __future__ import annotations

from slimft.compat.contrib.graph_editor import subgraph, util
from slimft.compat.v1 import tf


def _check_compatible(ts0, ts1):
    """Raises ValueError unless the lists fit each other in length, dtypes and shapes."""
    if len(ts0) != len(ts1):
        raise ValueError(f"there are {len(ts0)} tensors on one side and {len(ts1)} on the other")
    for t0, t1 in zip(ts0, ts1):
        if not t0.dtype.is_compatible_with(t1.dtype):
            raise ValueError(f"{t0.name} is of {t0.dtype}, which is not compatible with {t1.dtype} of {t1.name}")
        shape0, shape1 = t0.get_shape(), t1.get_shape()
        if not shape0.is_compatible_with(shape1):
            raise ValueError(f"{t0.name} is of shape {shape0}, which is not compatible with {shape1} of {t1.name}")


def _reroute(ts0, ts1, both, can_modify, cannot_modify):
    """Gives each of `ts0` to what takes that of `ts1`, and if `both`, the other way round; returns how many."""
    ts0, ts1 = util.make_list_of_t(ts0), util.make_list_of_t(ts1)
    _check_compatible(ts0, ts1)
    allowed = None if can_modify is None else frozenset(util.make_list_of_op(can_modify))
    forbidden = frozenset(util.make_list_of_op(cannot_modify or ()))
    # Before any is changed, as a tensor may be in several pairs.
    consumers = {t: list(dict.fromkeys(t.consumers())) for t in (*ts0, *ts1)}
    changed = 0
    for t0, t1 in zip(ts0, ts1):
        moves = [(t0, t1, i, op) for op in consumers[t1] for i in _places(t1, op)]
        if both:
            moves += [(t1, t0, i, op) for op in consumers[t0] for i in _places(t0, op)]
        for new, _, place, op in moves if t0 is not t1 else ():
            if op not in forbidden and (allowed is None or op in allowed):
                op._update_input(place, new)
                changed += 1
    return changed


def _places(t, op):
    return [i for i, taken in enumerate(op.inputs) if taken is t]


def swap_ts(ts0, ts1, can_modify=None, cannot_modify=None):
    """What takes the first tensors takes the second ones from now on, and the other way round.

    Args:
        ts0, ts1: tensors, in pairs.
        can_modify: the operations that may be changed; by default all.
        cannot_modify: operations that may not.

    Returns:
        How many inputs of operations were changed.

    Raises:
        TypeError: they are no tensors, or no operations.
        ValueError: their number, dtypes or shapes do not fit.
    """
    return _reroute(ts0, ts1, True, can_modify, cannot_modify)


def reroute_ts(ts0, ts1, can_modify=None, cannot_modify=None):
    """What takes the tensors `ts1` takes `ts0` from now on; arguments, result and errors of `swap_ts`."""
    return _reroute(ts0, ts1, False, can_modify, cannot_modify)


def _views(sgv0, sgv1):
    sgv0, sgv1 = subgraph.make_view(sgv0), subgraph.make_view(sgv1)
    util.check_graphs(sgv0, sgv1)
    return sgv0, sgv1


def _follow(to, since, before):
    """Where outputs of the view `to` are passthroughs of `before`, they become what `since` has there."""
    for i, t in enumerate(to._output_ts):
        if t in before._passthrough_ts:
            to._output_ts[i] = since[before._input_ts.index(t)]


def _reroute_inputs(sgv0, sgv1, both):
    sgv0, sgv1 = _views(sgv0, sgv1)
    through = util.get_consuming_ops(sgv0.passthroughs) + util.get_consuming_ops(sgv1.passthroughs)
    _reroute(sgv0.inputs, sgv1.inputs, both, sgv0.ops + sgv1.ops + through, None)
    new0, new1 = sgv0.copy(), sgv1.copy()
    new1._input_ts, new1._passthrough_ts = list(sgv0._input_ts), list(sgv0._passthrough_ts)
    if both:
        new0._input_ts, new0._passthrough_ts = list(sgv1._input_ts), list(sgv1._passthrough_ts)
    _follow(new1, new1._input_ts, new0)
    if both:
        _follow(new0, new0._input_ts, new1)
    sgv0._assign_from(new0)
    sgv1._assign_from(new1)
    return sgv0, sgv1


def _reroute_outputs(sgv0, sgv1, both):
    sgv0, sgv1 = _views(sgv0, sgv1)
    _reroute(sgv0.outputs, sgv1.outputs, both, None, sgv0.ops + sgv1.ops)
    return sgv0, sgv1


def swap_inputs(sgv0, sgv1):
    """Swaps what comes into two views; returns both."""
    return _reroute_inputs(sgv0, sgv1, True)


def reroute_inputs(sgv0, sgv1):
    """Lets into the view `sgv1` what comes into `sgv0`; returns both."""
    return _reroute_inputs(sgv0, sgv1, False)


def swap_outputs(sgv0, sgv1):
    """Swaps what takes the outputs of two views; returns both."""
    return _reroute_outputs(sgv0, sgv1, True)


def reroute_outputs(sgv0, sgv1):
    """Gives the outputs of the view `sgv0` to what takes those of `sgv1`; returns both."""
    return _reroute_outputs(sgv0, sgv1, False)


def swap_ios(sgv0, sgv1):
    """`swap_outputs` and `swap_inputs`; returns both views."""
    return _reroute_inputs(*_reroute_outputs(sgv0, sgv1, True), True)


def reroute_ios(sgv0, sgv1):
    """`reroute_outputs` and `reroute_inputs`; returns both views."""
    return _reroute_inputs(*_reroute_outputs(sgv0, sgv1, False), False)


def _controls(op, cops):
    if not isinstance(op, tf.Operation):
        raise TypeError(f"expected an operation, not {type(op).__name__}")
    return util.make_list_of_op(cops, allow_graph=False)


def remove_control_inputs(op, cops):
    """Lets `op` wait for the operations `cops` no more.

    Raises:
        TypeError: they are no operations.
        ValueError: it does not wait for one of them.
    """
    cops = _controls(op, cops)
    before = list(op.control_inputs)
    for cop in cops:
        if cop not in before:
            raise ValueError(f"{cop.name} is not a control input, as seen from {op.name}")
    op._remove_all_control_inputs()
    op._add_control_inputs([cop for cop in before if cop not in cops])


def add_control_inputs(op, cops):
    """Lets `op` wait for the operations `cops`.

    Raises:
        TypeError: they are no operations.
        ValueError: it waits for one of them already.
    """
    cops = _controls(op, cops)
    before = frozenset(op.control_inputs)
    for cop in cops:
        if cop in before:
            raise ValueError(f"{cop.name} is a control input of {op.name} already")
    op._add_control_inputs(cops)
