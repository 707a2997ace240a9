"""Cells that were one op, and cells over all steps; source: TensorFlow 1.15's lstm_ops.py, gru_ops.py and
fused_rnn_cell.py in tensorflow/contrib/rnn. The ops of single steps have no gradients any more: here these are
ordinary ops of the same values.
"""

from __future__ import annotations

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import LayerRNNCell, LSTMStateTuple
from tensorflow.python.layers import base

from slimft.compat.v1 import tf


def _lstm_weights(layer, input_size):
    """Makes the variables of an LSTM in a layer, with the names of `tf.nn.rnn_cell.LSTMCell`."""
    units = layer._num_units
    layer._kernel = layer.add_weight("kernel", [input_size + units, 4 * units])
    layer._bias = layer.add_weight("bias", [4 * units], initializer=tf.zeros_initializer())
    layer._peepholes = None
    if layer._use_peephole:
        layer._peepholes = [layer.add_weight(f"w_{gate}_diag", [units]) for gate in "fio"]


class LSTMBlockCell(LayerRNNCell):
    """An LSTM; has the variables of `tf.nn.rnn_cell.LSTMCell`.

    Args:
        num_units: size of state and output.
        forget_bias: added to the forget gate.
        cell_clip: the state stays within plus and minus this.
        use_peephole: whether gates see the state.
        dtype: of the variables.
        reuse: whether to reuse variables.
        name: of the layer.
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        cell_clip=None,
        use_peephole=False,
        dtype=None,
        reuse=None,
        name="lstm_cell",
    ):
        super().__init__(_reuse=reuse, dtype=dtype, name=name)
        self._num_units, self._forget_bias = num_units, forget_bias
        self._cell_clip, self._use_peephole = cell_clip, use_peephole
        # Some add a scope's name here; the names of variables are not looked up in it.
        self._names = {"W": "kernel", "b": "bias", "scope": name}

    @property
    def state_size(self):
        return LSTMStateTuple(self._num_units, self._num_units)

    @property
    def output_size(self):
        return self._num_units

    def build(self, inputs_shape):
        _lstm_weights(self, tf.TensorShape(inputs_shape).as_list()[1])
        self.built = True

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        c, h = state
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, h], 1), self._kernel), self._bias)
        i, j, f, o = tf.split(gates, 4, 1)
        peep_f, peep_i, peep_o = self._peepholes or (0, 0, 0)
        keep = tf.sigmoid(f + self._forget_bias + peep_f * c)
        c = keep * c + tf.sigmoid(i + peep_i * c) * tf.tanh(j)
        if self._cell_clip is not None and self._cell_clip > 0:
            c = tf.clip_by_value(c, -self._cell_clip, self._cell_clip)
        h = tf.tanh(c) * tf.sigmoid(o + peep_o * c)
        return h, LSTMStateTuple(c, h)


class GRUBlockCell(LayerRNNCell):
    """A GRU, with variables ``w_ru``, ``b_ru``, ``w_c`` and ``b_c``.

    Args:
        num_units: size of state and output; `cell_size` is its older name.
        reuse: whether to reuse variables.
        name: of the layer.
    """

    _names = "w_ru", "b_ru", "w_c", "b_c"

    def __init__(self, num_units=None, cell_size=None, reuse=None, name="gru_cell"):
        super().__init__(_reuse=reuse, name=name)
        if (num_units is None) == (cell_size is None):
            raise ValueError("GRUBlockCell: give num_units, or cell_size, its older name")
        self._num_units = num_units or cell_size

    @property
    def state_size(self):
        return self._num_units

    @property
    def output_size(self):
        return self._num_units

    def build(self, inputs_shape):
        units = self._num_units
        rows = tf.TensorShape(inputs_shape).as_list()[1] + units
        w_ru, b_ru, w_c, b_c = self._names
        self._gate_kernel = self.add_weight(w_ru, [rows, 2 * units])
        self._gate_bias = self.add_weight(b_ru, [2 * units], initializer=tf.ones_initializer())
        self._candidate_kernel = self.add_weight(w_c, [rows, units])
        self._candidate_bias = self.add_weight(b_c, [units], initializer=tf.zeros_initializer())
        self.built = True

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        gates = tf.matmul(tf.concat([inputs, state], 1), self._gate_kernel)
        r, u = tf.split(tf.sigmoid(tf.nn.bias_add(gates, self._gate_bias)), 2, 1)
        new = tf.matmul(tf.concat([inputs, r * state], 1), self._candidate_kernel)
        state = u * state + (1 - u) * tf.tanh(tf.nn.bias_add(new, self._candidate_bias))
        return state, state


class GRUBlockCellV2(GRUBlockCell):
    """A `GRUBlockCell` with the variables of `tf.nn.rnn_cell.GRUCell`."""

    _names = "gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias"


class FusedRNNCell:
    """The interface of what runs over all steps at once."""

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        """Returns (outputs, final state) for inputs [time, batch, size], or a list of [batch, size]."""
        raise NotImplementedError


class FusedRNNCellAdaptor(FusedRNNCell):
    """Runs a cell over all steps.

    Args:
        cell: an RNN cell.
        use_dynamic_rnn: by `tf.nn.dynamic_rnn` instead of `static_rnn`.
    """

    def __init__(self, cell, use_dynamic_rnn=False):
        self._cell, self._use_dynamic_rnn = cell, use_dynamic_rnn

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        is_list = isinstance(inputs, list)
        arguments = {
            "initial_state": initial_state,
            "dtype": dtype,
            "sequence_length": sequence_length,
            "scope": scope,
        }
        if self._use_dynamic_rnn:
            inputs = tf.stack(inputs) if is_list else inputs
            outputs, state = tf.nn.dynamic_rnn(self._cell, inputs, time_major=True, **arguments)
            return tf.unstack(outputs) if is_list else outputs, state
        outputs, state = tf.nn.static_rnn(self._cell, inputs if is_list else tf.unstack(inputs), **arguments)
        return outputs if is_list else tf.stack(outputs), state


class TimeReversedFusedRNN(FusedRNNCell):
    """Runs a `FusedRNNCell` from the last step to the first; outputs are in the order of the inputs.

    Args:
        cell: a `FusedRNNCell`.
    """

    def __init__(self, cell):
        self._cell = cell

    def _reversed(self, steps, lengths):
        if isinstance(steps, list):
            return steps[::-1]
        return tf.reverse(steps, [0]) if lengths is None else tf.reverse_sequence(steps, lengths, 0, 1)

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        kwargs = {} if scope is None else {"scope": scope}
        outputs, state = self._cell(
            self._reversed(inputs, sequence_length),
            initial_state=initial_state,
            dtype=dtype,
            sequence_length=sequence_length,
            **kwargs,
        )
        return self._reversed(outputs, sequence_length), state


class LSTMBlockWrapper(base.Layer):
    """What an LSTM over all steps has around its op; subclasses have `num_units` and `_call_cell`."""

    @property
    def num_units(self):
        """The size of state and output."""
        raise NotImplementedError

    def _call_cell(self, inputs, initial_cell_state, initial_output, dtype, sequence_length):
        """Returns (states, outputs), [time, batch, units] each."""
        raise NotImplementedError

    def __call__(self, inputs, *args, **kwargs):
        if not isinstance(inputs, (list, tuple)):
            return super().__call__(inputs, *args, **kwargs)
        outputs, state = super().__call__(tf.stack(inputs), *args, **kwargs)
        return tf.unstack(outputs), state

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, initial_state=None, dtype=None, sequence_length=None):
        """Runs over all steps.

        Args:
            inputs: [time, batch, size], or a list of [batch, size].
            initial_state: (state, output) [batch, units]; 0 by default.
            dtype: of these; that of the inputs by default.
            sequence_length: [batch].

        Returns:
            (outputs [time, batch, units], or a list; LSTMStateTuple of the last steps).
        """
        time, batch = (
            known or dynamic for known, dynamic in zip(inputs.shape.as_list()[:2], tf.unstack(tf.shape(inputs)))
        )
        dtype = tf.as_dtype(dtype or (inputs.dtype if initial_state is None else initial_state[0].dtype))
        if initial_state is None:
            zeros = tf.zeros(tf.stack([batch, self.num_units]), dtype)
            initial_state = zeros, zeros
        if len(initial_state) != 2:
            raise ValueError("LSTMBlockFusedCell: initial_state is a pair of state and output")
        if sequence_length is not None:
            sequence_length = tf.convert_to_tensor(sequence_length)
        states, outputs = self._call_cell(inputs, *initial_state, dtype, sequence_length)
        if sequence_length is None:
            return outputs, LSTMStateTuple(states[-1], outputs[-1])
        outputs *= tf.transpose(tf.sequence_mask(sequence_length, time, dtype))[:, :, tf.newaxis]
        # At `length` in these is the last step; where that is 0, the initial state.
        places = tf.stack([tf.cast(sequence_length, tf.int32), tf.range(batch)], 1)
        last = [
            tf.gather_nd(tf.concat([initial[tf.newaxis], steps], 0), places)
            for initial, steps in zip(initial_state, (states, outputs))
        ]
        return outputs, LSTMStateTuple(*last)


class LSTMBlockFusedCell(LSTMBlockWrapper):
    """An LSTM over all steps in one op, whose gradients are as without `cell_clip`, as in TensorFlow 1.

    Args:
        num_units, forget_bias, cell_clip, use_peephole, reuse, dtype, name: see `LSTMBlockCell`.
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        cell_clip=None,
        use_peephole=False,
        reuse=None,
        dtype=None,
        name="lstm_fused_cell",
    ):
        super().__init__(_reuse=reuse, name=name, dtype=dtype)
        self._num_units, self._forget_bias = num_units, forget_bias
        self._cell_clip = -1 if cell_clip is None else cell_clip
        self._use_peephole = use_peephole

    @property
    def num_units(self):
        return self._num_units

    def build(self, input_shape):
        _lstm_weights(self, tf.TensorShape(input_shape).as_list()[2])
        self.built = True

    def _call_cell(self, inputs, initial_cell_state, initial_output, dtype=None, sequence_length=None):
        longest = tf.shape(inputs)[0] if sequence_length is None else tf.reduce_max(sequence_length)
        wcf, wci, wco = self._peepholes or [tf.zeros([self._num_units], inputs.dtype)] * 3
        steps = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(longest, tf.int64),
            x=inputs,
            cs_prev=initial_cell_state,
            h_prev=initial_output,
            w=self._kernel,
            wci=wci,
            wcf=wcf,
            wco=wco,
            b=self._bias,
            forget_bias=self._forget_bias,
            cell_clip=self._cell_clip,
            use_peephole=self._use_peephole,
        )
        return steps.cs, steps.h
