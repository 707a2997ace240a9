"""LSTMs with layer normalization or coupled gates; source: TensorFlow 1.15's contrib/rnn/python/ops/rnn_cell.py.

Layer normalization: arXiv:1607.06450. Gates are in the order i (input), j (new values), f (forget), o (output).
"""

from __future__ import annotations

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import LSTMStateTuple, RNNCell

from slimft.compat.contrib.rnn.linear import _linear
from slimft.compat.v1 import tf


def layer_norm(inputs, scope, gain, shift):
    """Normalizes each row of `inputs`; variables ``gamma`` and ``beta``, which begin with gain and shift."""
    size = inputs.shape[-1:]
    with tf.variable_scope(scope):
        gamma = tf.get_variable("gamma", size, inputs.dtype, tf.constant_initializer(gain))
        beta = tf.get_variable("beta", size, inputs.dtype, tf.constant_initializer(shift))
    mean, variance = tf.nn.moments(inputs, [-1], keep_dims=True)
    # The epsilon of tf.contrib.layers.layer_norm.
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


class _LSTM(RNNCell):
    """A cell with the state of an LSTM."""

    def __init__(self, num_units, num_proj=None, state_is_tuple=True, **kwargs):
        super().__init__(**kwargs)
        self._num_units, self._num_proj, self._state_is_tuple = num_units, num_proj, state_is_tuple

    def _norm(self, inp, scope, dtype=None):
        """Normalizes if the cell does; some override it."""
        return layer_norm(inp, scope, self._norm_gain, self._norm_shift) if self._layer_norm else inp

    @property
    def state_size(self):
        sizes = self._num_units, self.output_size
        return LSTMStateTuple(*sizes) if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        return self._num_proj or self._num_units


class LayerNormBasicLSTMCell(_LSTM):
    """An LSTM with layer normalization and recurrent dropout (arXiv:1603.05118).

    Args:
        num_units: size of state and output.
        forget_bias: added to the forget gate.
        input_size: ignored.
        activation: of new values and output.
        layer_norm: whether to normalize gates and state.
        norm_gain, norm_shift: what ``gamma`` and ``beta`` begin with.
        dropout_keep_prob: float or tensor: how probably new values are kept.
        dropout_prob_seed: its seed.
        reuse: whether to reuse variables.
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        input_size=None,
        activation=tf.tanh,
        layer_norm=True,
        norm_gain=1.0,
        norm_shift=0.0,
        dropout_keep_prob=1.0,
        dropout_prob_seed=None,
        reuse=None,
    ):
        super().__init__(num_units, _reuse=reuse)
        self._forget_bias, self._activation, self._layer_norm = forget_bias, activation, layer_norm
        self._norm_gain, self._norm_shift = norm_gain, norm_shift
        self._keep_prob, self._seed = dropout_keep_prob, dropout_prob_seed

    def _linear(self, args):
        """The gates of inputs and state side by side; some override it."""
        size = 4 * self._num_units
        gates = tf.matmul(args, tf.get_variable("kernel", [args.shape.as_list()[-1], size], args.dtype))
        # The bias begins as the kernel does, at random, as in TensorFlow 1.
        return gates if self._layer_norm else gates + tf.get_variable("bias", [size], args.dtype)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        c, h = state
        gates = self._linear(tf.concat([inputs, h], 1))
        names = "input", "transform", "forget", "output"
        i, j, f, o = (self._norm(gate, name) for gate, name in zip(tf.split(gates, 4, 1), names))
        new = self._activation(j)
        if not isinstance(self._keep_prob, (float, int)) or self._keep_prob < 1:
            new = tf.nn.dropout(new, keep_prob=self._keep_prob, seed=self._seed)
        c = self._norm(c * tf.sigmoid(f + self._forget_bias) + tf.sigmoid(i) * new, "state")
        h = self._activation(c) * tf.sigmoid(o)
        return h, LSTMStateTuple(c, h)


class LayerNormLSTMCell(_LSTM):
    """An LSTM with layer normalization, peepholes and a projection.

    Args:
        num_units: size of the state.
        use_peepholes: whether gates see the state.
        cell_clip: the state stays within plus and minus this.
        initializer: of the weights.
        num_proj: size of a projection of the output, with `proj_clip` as its clip.
        forget_bias: added to the forget gate.
        activation: of new values and output; tanh by default.
        layer_norm, norm_gain, norm_shift: see `LayerNormBasicLSTMCell`.
        reuse: whether to reuse variables.
    """

    def __init__(
        self,
        num_units,
        use_peepholes=False,
        cell_clip=None,
        initializer=None,
        num_proj=None,
        proj_clip=None,
        forget_bias=1.0,
        activation=None,
        layer_norm=False,
        norm_gain=1.0,
        norm_shift=0.0,
        reuse=None,
    ):
        super().__init__(num_units, num_proj, _reuse=reuse)
        self._use_peepholes, self._cell_clip, self._proj_clip = use_peepholes, cell_clip, proj_clip
        self._initializer, self._forget_bias, self._activation = initializer, forget_bias, activation or tf.tanh
        self._layer_norm, self._norm_gain, self._norm_shift = layer_norm, norm_gain, norm_shift

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        c, m = state
        with tf.variable_scope(tf.get_variable_scope(), initializer=self._initializer):
            gates = _linear([inputs, m], 4 * self._num_units, False)
            bias = tf.get_variable("bias", [4 * self._num_units], inputs.dtype, tf.zeros_initializer())
            if not self._layer_norm:  # With it, TensorFlow 1 makes the bias and does not add it.
                gates = tf.nn.bias_add(gates, bias)
            names = "input", "transform", "forget", "output"
            i, j, f, o = (self._norm(gate, name) for gate, name in zip(tf.split(gates, 4, 1), names))
            peep = [0, 0, 0]
            if self._use_peepholes:
                peep = [tf.get_variable(f"w_{gate}_diag", [self._num_units], inputs.dtype) for gate in "fio"]
            keep = tf.sigmoid(f + self._forget_bias + peep[0] * c)
            c = self._norm(keep * c + tf.sigmoid(i + peep[1] * c) * self._activation(j), "state")
            if self._cell_clip is not None:
                c = tf.clip_by_value(c, -self._cell_clip, self._cell_clip)
            m = tf.sigmoid(o + peep[2] * c) * self._activation(c)
            if self._num_proj is not None:
                with tf.variable_scope("projection"):
                    m = _linear(m, self._num_proj, False)
                if self._proj_clip is not None:
                    m = tf.clip_by_value(m, -self._proj_clip, self._proj_clip)
        return m, LSTMStateTuple(c, m)


class CoupledInputForgetGateLSTMCell(_LSTM):
    """An LSTM whose input gate is 1 - its forget gate (arXiv:1503.04069).

    Args:
        num_unit_shards, num_proj_shards: 1; the weights are one variable.
        state_is_tuple: False: the state is one tensor.
        others: see `LayerNormLSTMCell`.

    Raises:
        ValueError: weights are to be of several shards.
    """

    def __init__(
        self,
        num_units,
        use_peepholes=False,
        initializer=None,
        num_proj=None,
        proj_clip=None,
        num_unit_shards=1,
        num_proj_shards=1,
        forget_bias=1.0,
        state_is_tuple=True,
        activation=tf.tanh,
        reuse=None,
        layer_norm=False,
        norm_gain=1.0,
        norm_shift=0.0,
    ):
        super().__init__(num_units, num_proj, state_is_tuple, _reuse=reuse)
        if num_unit_shards != 1 or num_proj_shards != 1:
            raise ValueError("CoupledInputForgetGateLSTMCell: weights in several shards are not supported")
        self._use_peepholes, self._proj_clip = use_peepholes, proj_clip
        self._forget_bias, self._activation = forget_bias, activation
        self._layer_norm, self._norm_gain, self._norm_shift = layer_norm, norm_gain, norm_shift

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        units, dtype = self._num_units, inputs.dtype
        c, m = state if self._state_is_tuple else tf.split(state, [units, self.output_size], 1)
        # A shard is a variable of its own with its number at the end.
        weights = tf.get_variable("W_0", [inputs.shape.as_list()[1] + self.output_size, 3 * units], dtype)
        bias = tf.get_variable("B", [3 * units], dtype, tf.zeros_initializer())
        gates = tf.matmul(tf.concat([inputs, m], 1), weights)
        if not self._layer_norm:
            gates = tf.nn.bias_add(gates, bias)
        names = "transform", "forget", "output"
        j, f, o = (self._norm(gate, name) for gate, name in zip(tf.split(gates, 3, 1), names))
        peep = [0, 0]
        if self._use_peepholes:
            peep = [tf.get_variable(f"W_{gate}_diag", [units], dtype) for gate in "FO"]
        keep = tf.sigmoid(f + self._forget_bias + peep[0] * c)
        c = self._norm(keep * c + (1 - keep) * self._activation(j), "state")
        m = tf.sigmoid(o + peep[1] * c) * self._activation(c)
        if self._num_proj is not None:
            m = tf.matmul(m, tf.get_variable("W_P_0", [units, self._num_proj], dtype))
            if self._proj_clip is not None:
                m = tf.clip_by_value(m, -self._proj_clip, self._proj_clip)
        return m, LSTMStateTuple(c, m) if self._state_is_tuple else tf.concat([c, m], 1)
