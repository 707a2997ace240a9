"""Encoder-decoders with attention (arXiv:1412.7449); source: see the package."""

from __future__ import annotations

import copy

from slimft.compat.contrib.legacy_seq2seq.decoders import _extract_argmax_and_embed, check_projection, decode
from slimft.compat.contrib.rnn.linear import _linear
from slimft.compat.contrib.rnn.wrappers import EmbeddingWrapper, OutputProjectionWrapper
from slimft.compat.v1 import tf


class _Heads:
    """What attends to `states` [batch, steps, size], with `count` heads."""

    def __init__(self, states, count):
        self._states, self._size = states, states.shape.as_list()[2]
        self._features, self._vectors = [], []
        for head in range(count):
            kernel = tf.get_variable(f"AttnW_{head}", [1, 1, self._size, self._size])
            self._features.append(tf.nn.conv2d(states[:, :, tf.newaxis], kernel, [1, 1, 1, 1], "SAME"))
            self._vectors.append(tf.get_variable(f"AttnV_{head}", [self._size]))

    def __call__(self, query):
        """What each head reads, a list of [batch, size]."""
        query = tf.concat(tf.nest.flatten(query), 1)
        read = []
        for head, (features, vector) in enumerate(zip(self._features, self._vectors)):
            with tf.variable_scope(f"Attention_{head}"):
                y = tf.reshape(_linear(query, self._size, True), [-1, 1, 1, self._size])
                weights = tf.nn.softmax(tf.reduce_sum(vector * tf.tanh(features + y), [2, 3]))
                read.append(tf.reduce_sum(weights[:, :, tf.newaxis] * self._states, 1))
        return read


def attention_decoder(
    decoder_inputs,
    initial_state,
    attention_states,
    cell,
    output_size=None,
    num_heads=1,
    loop_function=None,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """Runs a cell over steps, and attends to `attention_states` with its state.

    Args:
        decoder_inputs: list of [batch, size].
        initial_state: the cell's.
        attention_states: [batch, steps, size].
        cell: an RNN cell.
        output_size: of the outputs; the cell's by default.
        num_heads: how often each step attends.
        loop_function: see `rnn_decoder`.
        dtype: of the variables.
        scope: variable scope; ``attention_decoder`` by default.
        initial_state_attention: whether the first step's attention is of the initial state; 0 by default.

    Returns:
        (list of outputs [batch, output_size], final state).
    """
    if not decoder_inputs:
        raise ValueError("attention_decoder: there are no decoder_inputs")
    if num_heads < 1:
        raise ValueError(f"attention_decoder: num_heads is {num_heads}; without attention, use rnn_decoder")
    size = attention_states.shape.as_list()[2]
    if size is None:
        raise ValueError(f"attention_decoder: attention_states' size is not known: {attention_states.shape}")
    output_size = cell.output_size if output_size is None else output_size
    with tf.variable_scope(scope or "attention_decoder", dtype=dtype) as scope:
        heads = _Heads(attention_states, num_heads)
        zeros = tf.zeros(tf.stack([tf.shape(decoder_inputs[0])[0], size]), scope.dtype)
        zeros.set_shape([None, size])
        state, outputs = initial_state, []
        read = heads(state) if initial_state_attention else [zeros] * num_heads
        for i, inputs in enumerate(decoder_inputs):
            if i:
                tf.get_variable_scope().reuse_variables()
                if loop_function is not None:
                    with tf.variable_scope("loop_function", reuse=True):
                        inputs = loop_function(outputs[-1], i)
            if inputs.shape.as_list()[1] is None:
                raise ValueError(f"attention_decoder: the size of {inputs.name} is not known")
            cell_output, state = cell(_linear([inputs, *read], inputs.shape.as_list()[1], True), state)
            attends_again = True if i == 0 and initial_state_attention else None
            with tf.variable_scope(tf.get_variable_scope(), reuse=attends_again):
                read = heads(state)
            with tf.variable_scope("AttnOutputProjection"):
                outputs.append(_linear([cell_output, *read], output_size, True))
    return outputs, state


def embedding_attention_decoder(
    decoder_inputs,
    initial_state,
    attention_states,
    cell,
    num_symbols,
    embedding_size,
    num_heads=1,
    output_size=None,
    output_projection=None,
    feed_previous=False,
    update_embedding_for_previous=True,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """A decoder of symbols with attention; see `attention_decoder` and `embedding_rnn_decoder`.

    Returns:
        (list of outputs, final state), under the variable scope ``embedding_attention_decoder``.
    """
    with tf.variable_scope(scope or "embedding_attention_decoder", dtype=dtype) as scope:
        check_projection(output_projection, num_symbols, scope.dtype)
        embedding = tf.get_variable("embedding", [num_symbols, embedding_size])
        loop_function = None
        if feed_previous:
            loop_function = _extract_argmax_and_embed(embedding, output_projection, update_embedding_for_previous)
        return attention_decoder(
            [tf.nn.embedding_lookup(embedding, ids) for ids in decoder_inputs],
            initial_state,
            attention_states,
            cell,
            output_size=output_size,
            num_heads=num_heads,
            loop_function=loop_function,
            initial_state_attention=initial_state_attention,
        )


def embedding_attention_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_encoder_symbols,
    num_decoder_symbols,
    embedding_size,
    num_heads=1,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
    initial_state_attention=False,
    encoder_cell=None,
):
    """Encoder, and decoder with attention to its outputs, of symbols.

    Args:
        num_heads, initial_state_attention: see `attention_decoder`.
        scope: variable scope; ``embedding_attention_seq2seq`` by default.
        encoder_cell: the encoder's cell, which some versions took; a copy of `cell` by default.
        others: see `embedding_rnn_seq2seq`.

    Returns:
        (list of outputs, final state).
    """
    with tf.variable_scope(scope or "embedding_attention_seq2seq", dtype=dtype) as scope:
        encoder = EmbeddingWrapper(encoder_cell or copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        encoded, state = tf.nn.static_rnn(encoder, encoder_inputs, dtype=scope.dtype)
        attention_states = tf.stack(encoded, 1)
        output_size = None
        if output_projection is None:
            cell, output_size = OutputProjectionWrapper(cell, num_decoder_symbols), num_decoder_symbols
        return decode(
            feed_previous,
            lambda feeds: embedding_attention_decoder(
                decoder_inputs,
                state,
                attention_states,
                cell,
                num_decoder_symbols,
                embedding_size,
                num_heads,
                output_size,
                output_projection,
                feeds,
                isinstance(feed_previous, bool),
                initial_state_attention=initial_state_attention,
            ),
        )
