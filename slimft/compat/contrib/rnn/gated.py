"""Cells of other architectures; source: TensorFlow 1.15's tensorflow/contrib/rnn/python/ops/rnn_cell.py."""

from __future__ import annotations

import math

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import LSTMStateTuple, RNNCell

from slimft.compat.contrib.rnn.linear import _linear
from slimft.compat.contrib.rnn.lstm import _LSTM
from slimft.compat.v1 import tf


class NASCell(_LSTM):
    """The cell that architecture search found (arXiv:1611.01578).

    Args:
        num_units: size of the state.
        num_proj: size of a projection of the output.
        use_bias: whether there is a bias.
        reuse: whether to reuse variables.
    """

    def __init__(self, num_units, num_proj=None, use_bias=False, reuse=None, **kwargs):
        super().__init__(num_units, num_proj, _reuse=reuse)
        self._use_bias = kwargs.pop("use_biases", use_bias)
        if kwargs:
            raise TypeError(f"NASCell: no argument {', '.join(kwargs)}")

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        c, m = state
        size, dtype = 8 * self._num_units, inputs.dtype
        by_state = tf.matmul(m, tf.get_variable("recurrent_kernel", [self.output_size, size], dtype))
        by_input = tf.matmul(inputs, tf.get_variable("kernel", [inputs.shape.as_list()[1], size], dtype))
        if self._use_bias:
            by_state += tf.get_variable("bias", [size], dtype, tf.zeros_initializer())
        x, h = tf.split(by_input, 8, 1), tf.split(by_state, 8, 1)
        first = [
            tf.sigmoid(x[0] + h[0]), tf.nn.relu(x[1] + h[1]), tf.sigmoid(x[2] + h[2]), tf.nn.relu(x[3] * h[3]),
            tf.tanh(x[4] + h[4]), tf.sigmoid(x[5] + h[5]), tf.tanh(x[6] + h[6]), tf.sigmoid(x[7] + h[7]),
        ]  # fmt: skip
        c = tf.tanh(tf.tanh(first[0] * first[1]) + c) * tf.tanh(first[2] + first[3])
        m = tf.tanh(c * tf.tanh(tf.tanh(first[4] * first[5]) + tf.sigmoid(first[6] + first[7])))
        if self._num_proj is not None:
            m = tf.matmul(m, tf.get_variable("projection_weights", [self._num_units, self._num_proj], dtype))
        return m, LSTMStateTuple(c, m)


class _OneState(RNNCell):
    """A cell with a state of the size of its output."""

    def __init__(self, num_units, initializer, forget_bias, reuse):
        super().__init__(_reuse=reuse)
        self._num_units, self._initializer, self._forget_bias = num_units, initializer, forget_bias

    @property
    def state_size(self):
        return self._num_units

    @property
    def output_size(self):
        return self._num_units


class UGRNNCell(_OneState):
    """A cell with one gate (arXiv:1611.09913).

    Args:
        num_units: size of state and output.
        initializer: of the weights.
        forget_bias: added to the gate.
        activation: of new values.
        reuse: whether to reuse variables.
    """

    def __init__(self, num_units, initializer=None, forget_bias=1.0, activation=tf.tanh, reuse=None):
        super().__init__(num_units, initializer, forget_bias, reuse)
        self._activation = activation

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        with tf.variable_scope(tf.get_variable_scope(), initializer=self._initializer):
            gate, new = tf.split(_linear([inputs, state], 2 * self._num_units, True), 2, 1)
        gate = tf.sigmoid(gate + self._forget_bias)
        state = gate * state + (1 - gate) * self._activation(new)
        return state, state


class IntersectionRNNCell(_OneState):
    """The +RNN, with gates along time and along depth (arXiv:1611.09913).

    Args:
        num_units: size of state, output and, without `num_in_proj`, inputs.
        num_in_proj: `num_units` to project inputs of another size, as in the first layer.
        initializer: of the weights.
        forget_bias: added to the gates.
        y_activation: of what goes up.
        reuse: whether to reuse variables.
    """

    def __init__(
        self,
        num_units,
        num_in_proj=None,
        initializer=None,
        forget_bias=1.0,
        y_activation=tf.nn.relu,
        reuse=None,
    ):
        super().__init__(num_units, initializer, forget_bias, reuse)
        self._num_in_proj, self._y_activation = num_in_proj, y_activation

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        with tf.variable_scope(tf.get_variable_scope(), initializer=self._initializer):
            size = inputs.shape.as_list()[1]
            if size != self._num_units:
                if not self._num_in_proj:
                    raise ValueError(
                        f"IntersectionRNNCell: inputs have size {size} and the cell {self._num_units}; "
                        "give num_in_proj=num_units"
                    )
                with tf.variable_scope("in_projection"):
                    inputs = _linear(inputs, self._num_units, True)
            gate_h, h, gate_y, y = tf.split(_linear([inputs, state], 4 * self._num_units, True), 4, 1)
        gate_h, gate_y = tf.sigmoid(gate_h + self._forget_bias), tf.sigmoid(gate_y + self._forget_bias)
        new_y = gate_y * inputs + (1 - gate_y) * self._y_activation(y)
        return new_y, gate_h * state + (1 - gate_h) * tf.tanh(h)


class PhasedLSTMCell(_LSTM):
    """An LSTM whose gates open and close with the time, for events (arXiv:1610.09513).

    Inputs are (times [batch, 1], features [batch, size]).

    Args:
        num_units: size of state and output.
        use_peepholes: whether gates see the state.
        leak: what passes a closed gate.
        ratio_on: the part of a period in which the gate is open.
        trainable_ratio_on: whether it is trained.
        period_init_min, period_init_max: between these, periods begin.
        reuse: whether to reuse variables.
    """

    def __init__(
        self,
        num_units,
        use_peepholes=False,
        leak=0.001,
        ratio_on=0.1,
        trainable_ratio_on=True,
        period_init_min=1.0,
        period_init_max=1000.0,
        reuse=None,
    ):
        super().__init__(num_units, _reuse=reuse)
        self._use_peepholes, self._leak = use_peepholes, leak
        self._ratio_on, self._trainable_ratio_on = ratio_on, trainable_ratio_on
        self._period_range = math.log(period_init_min), math.log(period_init_max)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        c, h = state
        time, x = inputs
        units = self._num_units
        with tf.variable_scope("mask_gates"):
            seen = [x, h, c] if self._use_peepholes else [x, h]
            i, f = tf.split(tf.sigmoid(_linear(seen, 2 * units, True)), 2, 1)
        with tf.variable_scope("new_input"):
            new_c = c * f + i * tf.tanh(_linear([x, h], units, True))
        with tf.variable_scope("output_gate"):
            seen = [x, h, new_c] if self._use_peepholes else [x, h]
            new_h = tf.tanh(new_c) * tf.sigmoid(_linear(seen, units, True))
        k = self._opening(time)
        c, h = k * new_c + (1 - k) * c, k * new_h + (1 - k) * h
        return h, LSTMStateTuple(c, h)

    def _opening(self, time):
        """How far the gates are open, [batch, units]."""
        units, (low, high) = [self._num_units], self._period_range

        def exponential(shape, dtype=tf.float32, partition_info=None):
            return tf.exp(tf.random_uniform(shape, low, high, dtype))

        period = tf.get_variable("period", units, initializer=exponential)

        def up_to_period(shape, dtype=tf.float32, partition_info=None):
            return tf.random_uniform(shape, 0, 1, dtype) * period.initialized_value()

        phase = tf.get_variable("phase", units, initializer=up_to_period)
        constant = tf.constant_initializer(self._ratio_on)
        ratio_on = tf.get_variable("ratio_on", units, initializer=constant, trainable=self._trainable_ratio_on)
        wide_period = tf.cast(period, time.dtype)
        shifted = time - tf.cast(phase, time.dtype)
        # The remainder, with the gradient of what it is the remainder of.
        rest = tf.stop_gradient(tf.math.floormod(shifted, wide_period) - shifted) + shifted
        cycle = tf.cast(rest / wide_period, tf.float32)
        up = 2 * cycle / ratio_on
        open_ = tf.where(cycle < ratio_on * tf.ones_like(cycle), 2 - up, self._leak * cycle)
        return tf.where(cycle < 0.5 * ratio_on * tf.ones_like(cycle), up, open_)


class GLSTMCell(_LSTM):
    """An LSTM of groups of units that see only their part of the inputs (arXiv:1703.10722).

    Args:
        num_units: size of the state.
        initializer: of the weights.
        num_proj: size of a projection of the output.
        number_of_groups: a divisor of `num_units` and `num_proj`.
        forget_bias: added to the forget gate.
        activation: of the output.
        reuse: whether to reuse variables.

    Raises:
        ValueError: it is no divisor.
    """

    def __init__(
        self,
        num_units,
        initializer=None,
        num_proj=None,
        number_of_groups=1,
        forget_bias=1.0,
        activation=tf.tanh,
        reuse=None,
    ):
        super().__init__(num_units, num_proj, _reuse=reuse)
        if num_units % number_of_groups or (num_proj or 0) % number_of_groups:
            raise ValueError(f"GLSTMCell: {number_of_groups} groups do not divide {num_units} units or {num_proj}")
        self._groups, self._initializer = number_of_groups, initializer
        self._forget_bias, self._activation = forget_bias, activation

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        c, m = state
        group_inputs, group_units = self.output_size // self._groups, self._num_units // self._groups
        with tf.variable_scope(tf.get_variable_scope(), initializer=self._initializer):
            groups = []
            for group in range(self._groups):
                with tf.variable_scope(f"group{group}"):
                    here = slice(group * group_inputs, (group + 1) * group_inputs)
                    gates = _linear([inputs[:, here], m[:, here]], 4 * group_units, False)
                    groups.append(tf.split(gates, 4, 1))
            i, j, f, o = (
                tf.concat(parts, 1)
                + tf.get_variable(f"bias_{name}", [self._num_units], inputs.dtype, tf.zeros_initializer())
                for name, parts in zip("ijfo", zip(*groups))
            )
        c = tf.sigmoid(f + self._forget_bias) * c + tf.sigmoid(i) * tf.tanh(j)
        m = tf.sigmoid(o) * self._activation(c)
        if self._num_proj is not None:
            with tf.variable_scope("projection"):
                m = _linear(m, self._num_proj, False)
        return m, LSTMStateTuple(c, m)
