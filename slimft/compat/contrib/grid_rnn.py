"""What `tf.contrib.grid_rnn` was: cells of several dimensions, of which each is a cell (arXiv:1507.01526).

Source of names, arguments and of the variables: TensorFlow 1.15's
tensorflow/contrib/grid_rnn/python/ops/grid_rnn_cell.py.
"""

from __future__ import annotations

import functools
import sys

import tf_slim

from slimft.compat.contrib import rnn
from slimft.compat.v1 import tf

grid_rnn_cell = sys.modules[__name__]

__all__ = [
    "Grid1BasicLSTMCell", "Grid1BasicRNNCell", "Grid1LSTMCell", "Grid2BasicLSTMCell", "Grid2BasicRNNCell",
    "Grid2GRUCell", "Grid2LSTMCell", "Grid3LSTMCell", "GridRNNCell", "grid_rnn_cell",
]  # fmt: skip


class GridRNNCell(rnn.RNNCell):
    """A cell of several dimensions. In a step each sees the outputs of those before it.

    Args:
        num_units: size of each dimension's output.
        num_dims: how many dimensions there are.
        input_dims: the number of the one that gets the input, or a list.
        output_dims: the one whose output is the cell's, or a list.
        priority_dims: those that come last in a step, and so see the new outputs of the others.
        non_recurrent_dims: those that are a fully connected layer.
        tied: whether all dimensions have the same weights.
        cell_fn: a function of `num_units` that returns a dimension's cell; by default LSTMCell.
        non_recurrent_fn: the activation of those layers; by default relu.
        state_is_tuple: whether states are tuples; otherwise one tensor.
        output_is_tuple: whether outputs are tuples; otherwise one tensor.

    Raises:
        TypeError: `cell_fn` returns no cell.
        ValueError: there are no dimensions, or one has another number.
    """

    def __init__(
        self, num_units, num_dims=1, input_dims=None, output_dims=None, priority_dims=None, non_recurrent_dims=None,
        tied=False, cell_fn=None, non_recurrent_fn=None, state_is_tuple=True, output_is_tuple=True,
    ):  # fmt: skip
        super().__init__()
        if num_dims < 1:
            raise ValueError(f"dims must be >= 1: {num_dims}")
        self._num_units, self._num_dims, self._tied = num_units, num_dims, tied
        self._inputs, self._outputs, self._priority, self._layers_at = (
            _dimensions(given, num_dims) for given in (input_dims, output_dims, priority_dims, non_recurrent_dims)
        )
        self._recurrent = [i for i in range(num_dims) if i not in self._layers_at]
        self._activation = non_recurrent_fn or tf.nn.relu
        self._state_is_tuple, self._output_is_tuple = state_is_tuple, output_is_tuple
        default = functools.partial(rnn.LSTMCell, state_is_tuple=state_is_tuple)
        cells = [(cell_fn or default)(num_units) for _ in range(1 if tied else num_dims)]
        if not isinstance(cells[0], rnn.RNNCell):
            raise TypeError(f"cell_fn gives a {type(cells[0]).__name__}, and no RNNCell")
        self._grid = cells * num_dims if tied else cells

    @property
    def output_size(self):
        size = self._grid[0].output_size
        return (size,) * len(self._outputs) if self._output_is_tuple else size * len(self._outputs)

    @property
    def state_size(self):
        size = self._grid[0].state_size
        return (size,) * len(self._recurrent) if self._state_is_tuple else self._size() * len(self._recurrent)

    def _size(self):
        size = self._grid[0].state_size
        return sum(size) if isinstance(size, tuple) else size

    def __call__(self, inputs, state, scope=None):
        """A step; see `tf.nn.rnn_cell.RNNCell`."""
        with tf.variable_scope(scope or type(self).__name__):
            c, m = self._states(state)
            self._project(inputs, c, m)
            outputs, states = [None] * self._num_dims, [None] * self._num_dims
            others = [i for i in range(self._num_dims) if i not in self._priority]
            made = set()
            self._run(others, c, m, outputs, states, made)
            self._run(self._priority, c, m, outputs, states, made)
            output = tuple(outputs[i] for i in self._outputs)
            if not self._output_is_tuple:
                output = tf.concat(output, 1) if output else tf.zeros([0, 0], inputs.dtype)
            state = tuple(states[i] for i in self._recurrent)
            if not self._state_is_tuple:
                parts = [part for whole in state for part in (whole if isinstance(whole, tuple) else (whole,))]
                state = tf.concat(parts, 1) if parts else tf.zeros([0, 0], inputs.dtype)
        return output, state

    def _states(self, state):
        """What each dimension remembers, which is None for cells of one state, and its last output."""
        c, m = [None] * self._num_dims, [None] * self._num_dims
        size = self._size()
        has_c = size > self._num_units
        if self._state_is_tuple and len(state) != len(self._recurrent):
            raise ValueError(
                f"the state has {len(state)} parts, and {len(self._recurrent)} dimensions are recurrent"
            )
        for place, i in enumerate(self._recurrent):
            if self._state_is_tuple:
                whole = state[place]
            else:
                whole = state[:, place * size : (place + 1) * size]
                whole = (whole[:, : self._num_units], whole[:, self._num_units :]) if has_c else whole
            c[i], m[i] = whole if has_c else (None, whole)
        return c, m

    def _project(self, inputs, c, m):
        """Puts projections of the input in place of the states of the dimensions that get it."""
        if inputs is None or not self._inputs or (not isinstance(inputs, tuple) and not int(inputs.shape[1])):
            return
        parts = inputs if isinstance(inputs, tuple) else tf.split(inputs, len(self._inputs), 1)
        if len(parts) != len(self._inputs):
            raise ValueError(f"there are {len(parts)} inputs for {len(self._inputs)} input dimensions")
        has_c = self._size() > self._num_units
        for part, i in zip(parts, self._inputs):
            shape = [int(part.shape[1]), self._num_units]
            m[i] = tf.matmul(part, tf.get_variable(f"project_m_{i}", shape, part.dtype))
            if has_c:
                c[i] = tf.matmul(part, tf.get_variable(f"project_c_{i}", shape, part.dtype))

    def _run(self, dimensions, c, m, outputs, states, made):
        """The new outputs and states of some dimensions, which see what was there before these.

        Dimensions that are tied take the variables of those of their kind, of which `made` keeps account.
        """
        if not dimensions:
            return
        seen = [m[i] if outputs[i] is None else outputs[i] for i in range(self._num_dims)]
        last = seen[-1]
        others = tf.concat(seen[:-1], 1) if self._num_dims > 1 else tf.zeros([tf.shape(last)[0], 0], last.dtype)
        others.set_shape([None, self._num_units * (self._num_dims - 1)])
        for i in dimensions:
            kind = "recurrent" if i in self._recurrent else "non_recurrent"
            with tf.variable_scope(kind if self._tied else f"{kind}/cell_{i}") as scope:
                if self._tied and kind in made:
                    scope.reuse_variables()
                made.add(kind)
                if kind == "recurrent":
                    state = last if c[i] is None else (c[i], last)
                    outputs[i], states[i] = self._grid[i](others, state)
                else:
                    outputs[i] = tf_slim.fully_connected(
                        tf.concat([others, last], 1), self._num_units, self._activation,
                        weights_initializer=scope.initializer or tf_slim.xavier_initializer(),
                        weights_regularizer=scope.regularizer,
                    )  # fmt: skip


def _dimensions(given, count):
    """The dimensions' numbers as a sorted list."""
    numbers = [] if given is None else sorted({*given} if isinstance(given, (list, tuple)) else {given})
    if any(i < 0 or i >= count for i in numbers):
        raise ValueError(f"Invalid dims: {numbers}. Must be in [0, {count})")
    return numbers


class _Grid(GridRNNCell):
    """A cell of the dimensions `_dims` whose first gets the input, gives the output and has priority."""

    _dims = 1

    def __init__(self, num_units, cell_fn, tied=False, non_recurrent_fn=None, **are_tuples):
        super().__init__(
            num_units, self._dims, 0, 0, 0, None if non_recurrent_fn is None else 0, tied, cell_fn,
            non_recurrent_fn, **are_tuples,
        )  # fmt: skip


class Grid1BasicRNNCell(_Grid):
    """One dimension of BasicRNNCell."""

    def __init__(self, num_units, state_is_tuple=True, output_is_tuple=True):
        super().__init__(
            num_units, rnn.BasicRNNCell, state_is_tuple=state_is_tuple, output_is_tuple=output_is_tuple
        )


class Grid2BasicRNNCell(_Grid):
    """Two dimensions of BasicRNNCell."""

    _dims = 2

    def __init__(self, num_units, tied=False, non_recurrent_fn=None, state_is_tuple=True, output_is_tuple=True):
        are_tuples = {"state_is_tuple": state_is_tuple, "output_is_tuple": output_is_tuple}
        super().__init__(num_units, rnn.BasicRNNCell, tied, non_recurrent_fn, **are_tuples)


class Grid1BasicLSTMCell(_Grid):
    """One dimension of BasicLSTMCell."""

    def __init__(self, num_units, forget_bias=1, state_is_tuple=True, output_is_tuple=True):
        are_tuples = {"state_is_tuple": state_is_tuple, "output_is_tuple": output_is_tuple}
        super().__init__(num_units, functools.partial(rnn.BasicLSTMCell, forget_bias=forget_bias), **are_tuples)


class Grid2BasicLSTMCell(_Grid):
    """Two dimensions of BasicLSTMCell."""

    _dims = 2

    def __init__(
        self, num_units, tied=False, non_recurrent_fn=None, forget_bias=1, state_is_tuple=True, output_is_tuple=True
    ):
        are_tuples = {"state_is_tuple": state_is_tuple, "output_is_tuple": output_is_tuple}
        cell_fn = functools.partial(rnn.BasicLSTMCell, forget_bias=forget_bias)
        super().__init__(num_units, cell_fn, tied, non_recurrent_fn, **are_tuples)


class Grid1LSTMCell(_Grid):
    """One dimension of LSTMCell."""

    def __init__(self, num_units, use_peepholes=False, forget_bias=1.0, state_is_tuple=True, output_is_tuple=True):
        are_tuples = {"state_is_tuple": state_is_tuple, "output_is_tuple": output_is_tuple}
        cell_fn = functools.partial(rnn.LSTMCell, forget_bias=forget_bias, use_peepholes=use_peepholes)
        super().__init__(num_units, cell_fn, **are_tuples)


class Grid2LSTMCell(_Grid):
    """Two dimensions of LSTMCell."""

    _dims = 2

    def __init__(
        self, num_units, tied=False, non_recurrent_fn=None, use_peepholes=False, forget_bias=1.0,
        state_is_tuple=True, output_is_tuple=True,
    ):  # fmt: skip
        are_tuples = {"state_is_tuple": state_is_tuple, "output_is_tuple": output_is_tuple}
        cell_fn = functools.partial(rnn.LSTMCell, forget_bias=forget_bias, use_peepholes=use_peepholes)
        super().__init__(num_units, cell_fn, tied, non_recurrent_fn, **are_tuples)


class Grid3LSTMCell(Grid2LSTMCell):
    """Three dimensions of LSTMCell."""

    _dims = 3


class Grid2GRUCell(_Grid):
    """Two dimensions of GRUCell."""

    _dims = 2

    def __init__(self, num_units, tied=False, non_recurrent_fn=None, state_is_tuple=True, output_is_tuple=True):
        are_tuples = {"state_is_tuple": state_is_tuple, "output_is_tuple": output_is_tuple}
        super().__init__(num_units, rnn.GRUCell, tied, non_recurrent_fn, **are_tuples)
