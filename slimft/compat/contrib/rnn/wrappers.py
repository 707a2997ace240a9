"""Cells around cells; source: TensorFlow 1.15's core_rnn_cell.py and rnn_cell.py in tensorflow/contrib/rnn."""

from __future__ import annotations

import math

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import RNNCell, assert_like_rnncell

from slimft.compat.contrib.rnn.linear import _linear
from slimft.compat.v1 import tf


class _Wrapper(RNNCell):
    """A cell with the sizes and the zero state of the one it wraps."""

    def __init__(self, cell, reuse=None):
        super().__init__(_reuse=reuse)
        assert_like_rnncell("cell", cell)
        self._cell = cell

    @property
    def state_size(self):
        return self._cell.state_size

    @property
    def output_size(self):
        return self._cell.output_size

    def zero_state(self, batch_size, dtype):
        with tf.name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            return self._cell.zero_state(batch_size, dtype)


class EmbeddingWrapper(_Wrapper):
    """Embeds ids [batch] or [batch, 1] for a cell: variable ``embedding``.

    Args:
        cell: the cell.
        embedding_classes: how many ids there are.
        embedding_size: the size of their vectors.
        initializer: of the embedding; the scope's, or uniform with variance 1.
        reuse: whether to reuse variables.
    """

    def __init__(self, cell, embedding_classes, embedding_size, initializer=None, reuse=None):
        super().__init__(cell, reuse)
        if embedding_classes <= 0 or embedding_size <= 0:
            raise ValueError(f"EmbeddingWrapper: {embedding_classes} classes of size {embedding_size}")
        self._classes, self._size, self._initializer = embedding_classes, embedding_size, initializer

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        with tf.device("/cpu:0"):
            initializer = self._initializer or tf.get_variable_scope().initializer
            initializer = initializer or tf.random_uniform_initializer(-math.sqrt(3), math.sqrt(3))
            dtype = (state[0] if isinstance(state, tuple) else state).dtype
            embedding = tf.get_variable("embedding", [self._classes, self._size], dtype, initializer)
            embedded = tf.nn.embedding_lookup(embedding, tf.reshape(inputs, [-1]))
            return self._cell(embedded, state)


class InputProjectionWrapper(_Wrapper):
    """A linear layer before a cell.

    Args:
        cell: the cell.
        num_proj: the size of the layer.
        activation: a function after it.
        input_size: ignored.
        reuse: whether to reuse variables.
    """

    def __init__(self, cell, num_proj, activation=None, input_size=None, reuse=None):
        super().__init__(cell, reuse)
        self._num_proj, self._activation = num_proj, activation

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        projected = _linear(inputs, self._num_proj, True)
        return self._cell(self._activation(projected) if self._activation else projected, state)


class OutputProjectionWrapper(_Wrapper):
    """A linear layer after a cell.

    Args:
        cell: the cell.
        output_size: the size of the layer.
        activation: a function after it.
        reuse: whether to reuse variables.
    """

    def __init__(self, cell, output_size, activation=None, reuse=None):
        super().__init__(cell, reuse)
        if output_size < 1:
            raise ValueError(f"OutputProjectionWrapper: output_size is {output_size}")
        self._output_size, self._activation = output_size, activation

    @property
    def output_size(self):
        return self._output_size

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        outputs, state = self._cell(inputs, state)
        projected = _linear(outputs, self._output_size, True)
        return self._activation(projected) if self._activation else projected, state


class HighwayWrapper(_Wrapper):
    """Mixes a cell's inputs and outputs, of one size, by gates (arXiv:1505.00387).

    Args:
        cell: the cell.
        couple_carry_transform_gates: whether outputs count 1 - what inputs count.
        carry_bias_init: what the bias of the inputs' gate begins with.
    """

    def __init__(self, cell, couple_carry_transform_gates=True, carry_bias_init=1.0):
        super().__init__(cell)
        self._coupled, self._bias = couple_carry_transform_gates, carry_bias_init

    def __call__(self, inputs, state, scope=None):
        outputs, state = self._cell(inputs, state, scope=scope)
        return tf.nest.map_structure(self._highway, inputs, outputs), state

    def _highway(self, inputs, outputs):
        inputs.shape.assert_is_compatible_with(outputs.shape)
        carry = self._gate(inputs, "carry", self._bias)
        transform = 1 - carry if self._coupled else self._gate(inputs, "transform", -self._bias)
        return inputs * carry + outputs * transform

    def _gate(self, inputs, name, bias):
        size = inputs.shape.as_list()[1]
        weights = tf.get_variable(f"{name}_w", [size, size])
        biases = tf.get_variable(f"{name}_b", [size], initializer=tf.constant_initializer(bias))
        return tf.sigmoid(tf.nn.xw_plus_b(inputs, weights, biases))


class AttentionCellWrapper(_Wrapper):
    """Attends to the outputs of the last `attn_length` steps (arXiv:1409.0473).

    The state is (the cell's, attention [batch, attn_size], outputs [batch, attn_size * attn_length]).

    Args:
        cell: the cell.
        attn_length: how many steps.
        attn_size: the size of the attention; the cell's output size by default.
        attn_vec_size: the size of the layer over cell state and outputs; `attn_size` by default.
        input_size: the size of the layer over inputs and attention; that of the inputs by default.
        state_is_tuple: False: the state is one tensor, the three side by side.
        reuse: whether to reuse variables.
    """

    def __init__(
        self,
        cell,
        attn_length,
        attn_size=None,
        attn_vec_size=None,
        input_size=None,
        state_is_tuple=True,
        reuse=None,
    ):
        super().__init__(cell, reuse)
        if tf.nest.is_nested(cell.state_size) and not state_is_tuple:
            raise ValueError(
                "AttentionCellWrapper: with state_is_tuple=False, the cell's state has to be one tensor"
            )
        if attn_length <= 0:
            raise ValueError(f"AttentionCellWrapper: attn_length is {attn_length}")
        self._length, self._state_is_tuple = attn_length, state_is_tuple
        self._size = attn_size or cell.output_size
        self._vec_size = attn_vec_size or self._size
        self._input_size = input_size

    @property
    def _sizes(self):
        return self._cell.state_size, self._size, self._size * self._length

    @property
    def state_size(self):
        return self._sizes if self._state_is_tuple else sum(self._sizes)

    @property
    def output_size(self):
        return self._size

    def zero_state(self, batch_size, dtype):
        return RNNCell.zero_state(self, batch_size, dtype)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        if not self._state_is_tuple:
            state = tf.split(state, self._sizes, 1)
        state, attention, memory = state
        memory = tf.reshape(memory, [-1, self._length, self._size])
        inputs = _linear([inputs, attention], self._input_size or inputs.shape.as_list()[1], True)
        outputs, state = self._cell(inputs, state)
        attention = self._attend(tf.concat(tf.nest.flatten(state), 1), memory)
        with tf.variable_scope("attn_output_projection"):
            outputs = _linear([outputs, attention], self._size, True)
        memory = tf.concat([memory[:, 1:], outputs[:, tf.newaxis]], 1)
        new = state, attention, tf.reshape(memory, [-1, self._length * self._size])
        return outputs, new if self._state_is_tuple else tf.concat(new, 1)

    def _attend(self, query, memory):
        with tf.variable_scope("attention"):
            kernel = tf.get_variable("attn_w", [1, 1, self._size, self._vec_size])
            vector = tf.get_variable("attn_v", [self._vec_size])
            features = tf.nn.conv2d(memory[:, :, tf.newaxis], kernel, [1, 1, 1, 1], "SAME")
            query = tf.reshape(_linear(query, self._vec_size, True), [-1, 1, 1, self._vec_size])
            weights = tf.nn.softmax(tf.reduce_sum(vector * tf.tanh(features + query), [2, 3]))
            return tf.reduce_sum(weights[:, :, tf.newaxis] * memory, 1)
