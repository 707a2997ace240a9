"""LSTMs of convolutions (arXiv:1506.04214); source: TensorFlow 1.15's contrib/rnn/python/ops/rnn_cell.py."""

from __future__ import annotations

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import LSTMStateTuple, RNNCell

from slimft.compat.v1 import tf


class ConvLSTMCell(RNNCell):
    """An LSTM whose products are convolutions.

    Args:
        conv_ndims: 1, 2 or 3.
        input_shape: of the inputs without the batch, channels last.
        output_channels: int.
        kernel_shape: `conv_ndims` ints.
        use_bias: whether there is a bias, ``biases``.
        skip_connection: whether the inputs are appended to the output.
        forget_bias: added to the forget gate.
        initializers: ignored, as in TensorFlow 1.
        name: of the layer.

    Raises:
        ValueError: `input_shape` is not of `conv_ndims` axes and channels.
    """

    def __init__(
        self,
        conv_ndims,
        input_shape,
        output_channels,
        kernel_shape,
        use_bias=True,
        skip_connection=False,
        forget_bias=1.0,
        initializers=None,
        name="conv_lstm_cell",
    ):
        super().__init__(name=name)
        if conv_ndims != len(input_shape) - 1:
            raise ValueError(f"ConvLSTMCell: input_shape {input_shape} is not of {conv_ndims} axes and channels")
        self._ndims, self._use_bias, self._skip_connection = conv_ndims, use_bias, skip_connection
        self._channels, self._forget_bias = output_channels, forget_bias
        self._get_kernel_shape = lambda: list(kernel_shape)
        self._get_shape = lambda channels: tf.TensorShape([*list(input_shape)[:-1], channels])
        self._input_channels = list(input_shape)[-1]

    @property
    def output_size(self):
        return self._get_shape(self._channels + (self._input_channels if self._skip_connection else 0))

    @property
    def state_size(self):
        shape = self._get_shape(self._channels)
        return LSTMStateTuple(shape, shape)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state, scope=None):
        c, h = state
        seen = tf.concat([inputs, h], -1)
        shape = [*self._get_kernel_shape(), seen.shape.as_list()[-1], 4 * self._channels]
        kernel = tf.get_variable("kernel", shape, inputs.dtype)
        gates = tf.nn.convolution(seen, kernel, "SAME")
        if self._use_bias:
            gates += tf.get_variable("biases", shape[-1:], inputs.dtype, tf.zeros_initializer())
        i, j, f, o = tf.split(gates, 4, -1)
        c = tf.sigmoid(f + self._forget_bias) * c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.tanh(c) * tf.sigmoid(o)
        output = tf.concat([h, inputs], -1) if self._skip_connection else h
        # TensorFlow 1 puts the output with the inputs into the state, which then does not fit the next step.
        return output, LSTMStateTuple(c, h)


class Conv1DLSTMCell(ConvLSTMCell):
    """A `ConvLSTMCell` over one axis; takes its arguments."""

    def __init__(self, name="conv_1d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=1, name=name, **kwargs)


class Conv2DLSTMCell(ConvLSTMCell):
    """A `ConvLSTMCell` over two axes; takes its arguments."""

    def __init__(self, name="conv_2d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=2, name=name, **kwargs)


class Conv3DLSTMCell(ConvLSTMCell):
    """A `ConvLSTMCell` over three axes; takes its arguments."""

    def __init__(self, name="conv_3d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=3, name=name, **kwargs)
