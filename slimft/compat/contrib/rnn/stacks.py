"""Several bidirectional layers; source: TensorFlow 1.15's tensorflow/contrib/rnn/python/ops/rnn.py."""

from __future__ import annotations

from tensorflow.python.ops.rnn import _transpose_batch_time as transpose_batch_time

from slimft.compat.v1 import tf

__all__ = ["stack_bidirectional_dynamic_rnn", "stack_bidirectional_rnn", "transpose_batch_time"]


def _check(cells_fw, cells_bw, states_fw, states_bw):
    """Raises ValueError unless there are as many cells and states for one direction as for the other."""
    for name, cells in (("cells_fw", cells_fw), ("cells_bw", cells_bw)):
        if not cells or not isinstance(cells, list):
            raise ValueError(f"stack_bidirectional_rnn: {name} is no list with a cell for each layer: {cells!r}")
    if len(cells_fw) != len(cells_bw):
        raise ValueError(f"stack_bidirectional_rnn: {len(cells_fw)} cells_fw, and {len(cells_bw)} cells_bw")
    for name, states in (("initial_states_fw", states_fw), ("initial_states_bw", states_bw)):
        if states is not None and (not isinstance(states, (list, tuple)) or len(states) != len(cells_fw)):
            raise ValueError(f"stack_bidirectional_rnn: {name} has to be a list with a state for each layer")


def _stack(layer, cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope):
    """The outputs of the last layer and both directions' states; `layer` makes one in its scope."""
    _check(cells_fw, cells_bw, initial_states_fw, initial_states_bw)
    states_fw, states_bw = [], []
    with tf.variable_scope(scope or "stack_bidirectional_rnn"):
        for i, (cell_fw, cell_bw) in enumerate(zip(cells_fw, cells_bw)):
            with tf.variable_scope(f"cell_{i}") as cell_scope:
                inputs, state_fw, state_bw = layer(
                    cell_scope,
                    inputs,
                    cell_fw=cell_fw,
                    cell_bw=cell_bw,
                    initial_state_fw=initial_states_fw and initial_states_fw[i],
                    initial_state_bw=initial_states_bw and initial_states_bw[i],
                )
            states_fw.append(state_fw)
            states_bw.append(state_bw)
    return inputs, tuple(states_fw), tuple(states_bw)


def stack_bidirectional_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
    scope=None,
):
    """Bidirectional layers over a list of steps, each on the outputs of both directions of the one below.

    Args:
        cells_fw, cells_bw: lists of cells, one for each layer.
        inputs: list of tensors [batch, size].
        initial_states_fw, initial_states_bw: lists of states; 0 by default.
        dtype: of the states, if none are given.
        sequence_length: [batch].
        scope: variable scope; ``stack_bidirectional_rnn`` by default.

    Returns:
        (list of outputs [batch, fw + bw], forward states, backward states), states in a tuple for the layers.
    """

    def layer(scope, inputs, **arguments):
        return tf.nn.static_bidirectional_rnn(
            inputs=inputs, sequence_length=sequence_length, dtype=dtype, scope=scope, **arguments
        )

    return _stack(layer, cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope)


def stack_bidirectional_dynamic_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
    parallel_iterations=None,
    time_major=False,
    scope=None,
    swap_memory=False,
):
    """Bidirectional layers over a tensor, each on the outputs of both directions of the one below.

    Args:
        inputs: [batch, time, size], or time first with `time_major`.
        parallel_iterations, swap_memory: of the loops.
        others: see `stack_bidirectional_rnn`.

    Returns:
        (outputs [batch, time, fw + bw], forward states, backward states), states in a tuple for the layers.
    """

    def layer(_, inputs, **arguments):
        outputs, states = tf.nn.bidirectional_dynamic_rnn(
            inputs=inputs, sequence_length=sequence_length, dtype=dtype, parallel_iterations=parallel_iterations,
            swap_memory=swap_memory, time_major=time_major, **arguments,
        )  # fmt: skip
        return (tf.concat(outputs, 2), *states)

    return _stack(layer, cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope)
