"""Cuts views out of a graph, connects them and bypasses them.

Views are what `make_view` takes; those that are views already are changed along with the graph.
"""

from __future__ import annotations

from slimft.compat.contrib.graph_editor import reroute, select, subgraph, util
from slimft.compat.v1 import tf


def detach_control_inputs(sgv):
    """Lets no operation of a view wait for one outside of it."""
    sgv = subgraph.make_view(sgv)
    own = frozenset(sgv.ops)
    for op in sgv.ops:
        reroute.remove_control_inputs(op, [cop for cop in op.control_inputs if cop not in own])


def detach_control_outputs(sgv, control_outputs):
    """Lets no operation outside of a view wait for one of it.

    Args:
        sgv: the view.
        control_outputs: a `ControlOutputs`; TypeError if it is none.
    """
    if not isinstance(control_outputs, util.ControlOutputs):
        raise TypeError(f"expected a ControlOutputs, not {type(control_outputs).__name__}")
    control_outputs.update()
    sgv = subgraph.make_view(sgv)
    own = frozenset(sgv.ops)
    for op in sgv.ops:
        for cop in control_outputs.get(op):
            if cop not in own:
                reroute.remove_control_inputs(cop, op)


def detach_inputs(sgv, control_inputs=False):
    """Puts placeholders in the place of what comes into a view.

    Args:
        sgv: the view.
        control_inputs: whether its operations wait no more for others outside, either.

    Returns:
        (the view, list of the placeholders).
    """
    sgv = subgraph.make_view(sgv)
    with sgv.graph.as_default():
        placeholders = [tf.placeholder(t.dtype, name=util.placeholder_name(t)) for t in sgv.inputs]
    reroute.swap_inputs(sgv, placeholders)
    if control_inputs:
        detach_control_inputs(sgv)
    return sgv, placeholders


def detach_outputs(sgv, control_outputs=None):
    """Gives placeholders to what takes the outputs of a view.

    Args:
        sgv: the view.
        control_outputs: a `ControlOutputs`, so that others wait no more for its operations, either; or None.

    Returns:
        (a view of the outputs that were taken, list of the placeholders).
    """
    sgv = subgraph.make_view(sgv)
    taken = sgv.remap_outputs([i for i, t in enumerate(sgv.outputs) if t.consumers()])
    consumers = subgraph.SubGraphView(taken.consumers())
    outputs = frozenset(taken.outputs)
    consumers = consumers.remap_inputs([i for i, t in enumerate(consumers.inputs) if t in outputs])
    with taken.graph.as_default():
        placeholders = [util.make_placeholder_from_tensor(t) for t in consumers.inputs]
    reroute.swap_outputs(taken, placeholders)
    if control_outputs is not None:
        detach_control_outputs(taken, control_outputs)
    return taken, placeholders


def detach(sgv, control_inputs=False, control_outputs=None, control_ios=None):
    """`detach_inputs` and `detach_outputs`; the last three arguments are `check_cios`'s.

    Returns:
        (the view, list of placeholders that come in, list of those that others take).
    """
    control_inputs, control_outputs = select.check_cios(control_inputs, control_outputs, control_ios)
    _, inputs = detach_inputs(sgv, control_inputs)
    _, outputs = detach_outputs(sgv, control_outputs)
    return sgv, inputs, outputs


def connect(sgv0, sgv1, disconnect_first=False):
    """Lets the outputs of `sgv0` into `sgv1`.

    Args:
        sgv0, sgv1: views.
        disconnect_first: whether others lose the outputs of `sgv0`.

    Returns:
        Both views.
    """
    sgv0, sgv1 = subgraph.make_view(sgv0), subgraph.make_view(sgv1)
    util.check_graphs(sgv0, sgv1)
    if disconnect_first:
        detach_outputs(sgv0)
    reroute.reroute_inputs(subgraph.SubGraphView(passthrough_ts=sgv0.outputs), sgv1)
    return sgv0, sgv1


def bypass(sgv):
    """Gives what comes into a view to what takes its outputs.

    Returns:
        (the view, list of the placeholders that come into it now).
    """
    sgv = subgraph.make_view(sgv)
    inputs = list(sgv.inputs)
    sgv, placeholders = detach_inputs(sgv)
    reroute.reroute_ts(inputs, sgv.outputs)
    return sgv, placeholders
