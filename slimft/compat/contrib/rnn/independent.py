"""Cells whose units see only their own state; source: TensorFlow 1.15's contrib/rnn/python/ops/rnn_cell.py."""

from __future__ import annotations

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import LayerRNNCell, LSTMStateTuple

from slimft.compat.contrib.rnn.wrappers import _Wrapper
from slimft.compat.v1 import tf


class _Independent(LayerRNNCell):
    """What these cells share: a state of `num_units`, and variables by name."""

    def __init__(
        self, num_units, activation=None, reuse=None, kernel_initializer=None, bias_initializer=None, name=None,
        dtype=None, **kwargs,
    ):  # fmt: skip
        super().__init__(_reuse=reuse, name=name, dtype=dtype, **kwargs)
        self.input_spec = tf.layers.InputSpec(ndim=2)
        self._num_units, self._activation = num_units, activation or tf.tanh
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer

    @property
    def state_size(self):
        return self._num_units

    @property
    def output_size(self):
        return self._num_units

    def build(self, inputs_shape):
        if inputs_shape[1] is None:
            raise ValueError(f"the last size of the inputs has to be known: {inputs_shape}")
        self._add(int(inputs_shape[1]))
        self.built = True

    def _weights(self, prefix, depth, size, bias, kernel="kernel_w"):
        """The weights of inputs, of the unit's own state, and the bias."""
        own = tf.random_uniform_initializer(-1, 1)
        return (
            self.add_weight(f"{prefix}{kernel}", shape=[depth, size], initializer=self._kernel_initializer),
            self.add_weight(f"{prefix}kernel_u", shape=[1, size], initializer=own),
            self.add_weight(f"{prefix}bias", shape=[size], initializer=self._bias_initializer or bias),
        )

    @staticmethod
    def _linear(inputs, state, weights):
        kernel, own, bias = weights
        return tf.nn.bias_add(tf.matmul(inputs, kernel) + state * own, bias)


class IndRNNCell(_Independent):
    """An RNN cell of this kind (arXiv:1803.04831)."""

    def __init__(self, num_units, activation=None, reuse=None, name=None, dtype=None):
        super().__init__(num_units, activation, reuse, name=name, dtype=dtype)

    def _add(self, depth):
        self._all = self._weights("", depth, self._num_units, tf.zeros_initializer())

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        output = self._activation(self._linear(inputs, state, self._all))
        return output, output


class IndyGRUCell(_Independent):
    """A GRU cell of this kind."""

    def _add(self, depth):
        size = self._num_units
        self._gates = self._weights("gates/", depth, 2 * size, tf.ones_initializer())
        self._candidate = self._weights("candidate/", depth, size, tf.zeros_initializer(), "kernel")

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        r, u = tf.split(tf.sigmoid(self._linear(inputs, tf.tile(state, [1, 2]), self._gates)), 2, 1)
        output = u * state + (1 - u) * self._activation(self._linear(inputs, r * state, self._candidate))
        return output, output


class IndyLSTMCell(_Independent):
    """An LSTM cell of this kind (arXiv:1903.08023)."""

    def __init__(
        self, num_units, forget_bias=1.0, activation=None, reuse=None, kernel_initializer=None,
        bias_initializer=None, name=None, dtype=None,
    ):  # fmt: skip
        super().__init__(num_units, activation, reuse, kernel_initializer, bias_initializer, name, dtype)
        self._forget_bias = forget_bias

    @property
    def state_size(self):
        return LSTMStateTuple(self._num_units, self._num_units)

    def _add(self, depth):
        self._all = self._weights("", depth, 4 * self._num_units, tf.zeros_initializer())

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        c, h = state
        i, j, f, o = tf.split(self._linear(inputs, tf.tile(h, [1, 4]), self._all), 4, 1)
        c = c * tf.sigmoid(f + self._forget_bias) + tf.sigmoid(i) * self._activation(j)
        h = self._activation(c) * tf.sigmoid(o)
        return h, LSTMStateTuple(c, h)


class SRUCell(_Independent):
    """The simple recurrent unit (arXiv:1709.02755)."""

    def __init__(self, num_units, activation=None, reuse=None, name=None, **kwargs):
        super().__init__(num_units, activation, reuse, name=name, **kwargs)

    def _add(self, depth):
        self._kernel = self.add_weight("kernel", shape=[depth, 4 * self._num_units])
        self._bias = self.add_weight("bias", shape=[2 * self._num_units], initializer=tf.zeros_initializer())

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        new, f, r, kept = tf.split(tf.matmul(inputs, self._kernel), 4, 1)
        f, r = tf.split(tf.sigmoid(tf.nn.bias_add(tf.concat([f, r], 1), self._bias)), 2, 1)
        c = f * state + (1.0 - f) * new
        return r * self._activation(c) + (1.0 - r) * kept, c


class CompiledWrapper(_Wrapper):
    """A cell as it is. TensorFlow 1 compiled its ops by XLA; today `TF_XLA_FLAGS` says what is compiled.

    Args:
        cell: the cell.
        compile_stateful: was whether random numbers are compiled too.
    """

    def __init__(self, cell, compile_stateful=False):
        super().__init__(cell)

    def __call__(self, inputs, state, scope=None):
        return self._cell(inputs, state, scope=scope)
