"""Of `tf.contrib.cudnn_rnn`, the cells that restore what its layers trained.

Source: TensorFlow 1.15's tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py. Its layers ran on cuDNN only,
and saved their weights in the form of these cells.
"""

from __future__ import annotations

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import GRUCell

from slimft.compat.contrib.rnn.block import LSTMBlockCell
from slimft.compat.v1 import tf

__all__ = [
    "CudnnCompatibleGRUCell", "CudnnCompatibleLSTMCell", "CudnnGRU", "CudnnLSTM", "CudnnRNNRelu", "CudnnRNNTanh",
]  # fmt: skip

CUDNN_RNN_UNIDIRECTION, CUDNN_RNN_BIDIRECTION = "unidirectional", "bidirectional"


class CudnnCompatibleLSTMCell(LSTMBlockCell):
    """An LSTM without a forget bias: what CudnnLSTM computes in one layer and direction.

    Args:
        num_units: size of state and output.
        reuse: whether to reuse variables.
    """

    def __init__(self, num_units, reuse=None):
        super().__init__(num_units, forget_bias=0, reuse=reuse, name="cudnn_compatible_lstm_cell")


class CudnnCompatibleGRUCell(GRUCell):
    """A GRU that resets after the product with the state: what CudnnGRU computes in one layer and direction.

    Args:
        num_units: size of state and output.
        reuse: whether to reuse variables.
        kernel_initializer: of the kernels.
    """

    def __init__(self, num_units, reuse=None, kernel_initializer=None):
        super().__init__(
            num_units, reuse=reuse, kernel_initializer=kernel_initializer, name="cudnn_compatible_gru_cell"
        )

    def build(self, inputs_shape):
        units, inputs = self._num_units, tf.TensorShape(inputs_shape).as_list()[-1]
        zeros, kernel = tf.zeros_initializer(), self._kernel_initializer
        self._gate_kernel = self.add_weight("gates/kernel", [inputs + units, 2 * units], initializer=kernel)
        self._gate_bias = self.add_weight("gates/bias", [2 * units], initializer=zeros)
        part = "candidate/input_projection", "candidate/hidden_projection"
        self._input = self.add_weight(f"{part[0]}/kernel", [inputs, units], initializer=kernel)
        self._hidden = self.add_weight(f"{part[1]}/kernel", [units, units], initializer=kernel)
        self._input_bias = self.add_weight(f"{part[0]}/bias", [units], initializer=zeros)
        self._hidden_bias = self.add_weight(f"{part[1]}/bias", [units], initializer=zeros)
        self.built = True

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        gates = tf.matmul(tf.concat([inputs, state], 1), self._gate_kernel)
        r, u = tf.split(tf.sigmoid(tf.nn.bias_add(gates, self._gate_bias)), 2, 1)
        by_state = r * (tf.matmul(state, self._hidden) + self._hidden_bias)
        new = self._activation(tf.matmul(inputs, self._input) + self._input_bias + by_state)
        state = (1 - u) * new + u * state
        return state, state


class _OnCudnn:
    """A layer that is gone."""

    _instead = "cells of tf.nn.rnn_cell"

    def __init__(self, *_, **__):
        raise NotImplementedError(
            f"tf.contrib.cudnn_rnn.{type(self).__name__} ran on cuDNN only, and is not here; use {self._instead}"
        )


class CudnnLSTM(_OnCudnn):
    """Not here; raises NotImplementedError."""

    _instead = (
        "tf.nn.dynamic_rnn, or stack_bidirectional_dynamic_rnn, with tf.contrib.cudnn_rnn.CudnnCompatibleLSTMCell, "
        "which restores its checkpoints, or tf.keras.layers.LSTM, which runs on cuDNN"
    )


class CudnnGRU(_OnCudnn):
    """Not here; raises NotImplementedError."""

    _instead = CudnnLSTM._instead.replace("LSTM", "GRU")


class CudnnRNNTanh(_OnCudnn):
    """Not here; raises NotImplementedError."""

    _instead = "tf.nn.dynamic_rnn with tf.nn.rnn_cell.BasicRNNCell"


class CudnnRNNRelu(_OnCudnn):
    """Not here; raises NotImplementedError."""

    _instead = "tf.nn.dynamic_rnn with tf.nn.rnn_cell.BasicRNNCell(activation=tf.nn.relu)"
