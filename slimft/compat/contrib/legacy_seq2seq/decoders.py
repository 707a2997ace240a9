"""Encoder-decoders without attention; source: see the package."""

from __future__ import annotations

import copy

from slimft.compat.contrib.rnn.wrappers import EmbeddingWrapper, OutputProjectionWrapper
from slimft.compat.v1 import tf


def _extract_argmax_and_embed(embedding, output_projection=None, update_embedding=True):
    """A loop function that embeds the likeliest symbol of the outputs, after a projection (weights, biases).

    Without `update_embedding`, it passes no gradients.
    """

    def loop_function(prev, _):
        if output_projection is not None:
            prev = tf.nn.xw_plus_b(prev, *output_projection)
        embedded = tf.nn.embedding_lookup(embedding, tf.argmax(prev, 1))
        return embedded if update_embedding else tf.stop_gradient(embedded)

    return loop_function


def rnn_decoder(decoder_inputs, initial_state, cell, loop_function=None, scope=None):
    """Runs a cell over steps.

    Args:
        decoder_inputs: list of [batch, size].
        initial_state: the cell's.
        cell: an RNN cell.
        loop_function: from (outputs, number of the step) to the inputs of the step; then only the first of
            `decoder_inputs` is used.
        scope: variable scope; ``rnn_decoder`` by default.

    Returns:
        (list of outputs [batch, size], final state).
    """
    with tf.variable_scope(scope or "rnn_decoder"):
        state, outputs = initial_state, []
        for i, inputs in enumerate(decoder_inputs):
            if i:
                if loop_function is not None:
                    with tf.variable_scope("loop_function", reuse=True):
                        inputs = loop_function(outputs[-1], i)
                tf.get_variable_scope().reuse_variables()
            output, state = cell(inputs, state)
            outputs.append(output)
    return outputs, state


def basic_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, dtype=tf.float32, scope=None):
    """An encoder, and a decoder that begins with its state, with variables of its own.

    Args:
        encoder_inputs, decoder_inputs: lists of [batch, size].
        cell: an RNN cell; the encoder takes a copy.
        dtype: of the state.
        scope: variable scope; ``basic_rnn_seq2seq`` by default.

    Returns:
        (list of outputs, final state).
    """
    with tf.variable_scope(scope or "basic_rnn_seq2seq"):
        _, state = tf.nn.static_rnn(copy.deepcopy(cell), encoder_inputs, dtype=dtype)
        return rnn_decoder(decoder_inputs, state, cell)


def tied_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, loop_function=None, dtype=tf.float32, scope=None):
    """Encoder and decoder with the same variables; see `basic_rnn_seq2seq` and `rnn_decoder`."""
    with tf.variable_scope("combined_tied_rnn_seq2seq"):
        scope = scope or "tied_rnn_seq2seq"
        _, state = tf.nn.static_rnn(cell, encoder_inputs, dtype=dtype, scope=scope)
        tf.get_variable_scope().reuse_variables()
        return rnn_decoder(decoder_inputs, state, cell, loop_function, scope)


def check_projection(output_projection, symbols, dtype):
    """Raises ValueError unless a projection gives so many symbols."""
    if output_projection is not None:
        weights, biases = (tf.convert_to_tensor(part, dtype=dtype) for part in output_projection)
        weights.shape.assert_is_compatible_with([None, symbols])
        biases.shape.assert_is_compatible_with([symbols])


def embedding_rnn_decoder(
    decoder_inputs,
    initial_state,
    cell,
    num_symbols,
    embedding_size,
    output_projection=None,
    feed_previous=False,
    update_embedding_for_previous=True,
    scope=None,
):
    """A decoder of symbols.

    Args:
        decoder_inputs: list of int [batch].
        initial_state: the cell's.
        cell: an RNN cell.
        num_symbols: how many there are.
        embedding_size: of the variable ``embedding``.
        output_projection: (weights [size, num_symbols], biases) from outputs to logits.
        feed_previous: bool: whether the likeliest symbol is the next input.
        update_embedding_for_previous: whether gradients reach the embedding of these.
        scope: variable scope; ``embedding_rnn_decoder`` by default.

    Returns:
        (list of outputs, final state).
    """
    with tf.variable_scope(scope or "embedding_rnn_decoder") as scope:
        check_projection(output_projection, num_symbols, scope.dtype)
        embedding = tf.get_variable("embedding", [num_symbols, embedding_size])
        loop_function = None
        if feed_previous:
            loop_function = _extract_argmax_and_embed(embedding, output_projection, update_embedding_for_previous)
        embedded = [tf.nn.embedding_lookup(embedding, ids) for ids in decoder_inputs]
        return rnn_decoder(embedded, initial_state, cell, loop_function)


def decode(feed_previous, decoder):
    """Outputs and state of `decoder`, a function of a bool, for a bool or a bool tensor `feed_previous`."""
    if isinstance(feed_previous, bool):
        return decoder(feed_previous)
    structure = []

    def branch(feeds):
        # The first branch makes the variables.
        with tf.variable_scope(tf.get_variable_scope(), reuse=None if feeds else True):
            result = decoder(feeds)
        structure.append(result)
        return tf.nest.flatten(result)

    flat = tf.cond(feed_previous, lambda: branch(True), lambda: branch(False))
    return tf.nest.pack_sequence_as(structure[0], flat)


def embedding_rnn_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_encoder_symbols,
    num_decoder_symbols,
    embedding_size,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
):
    """Encoder and decoder of symbols.

    Args:
        encoder_inputs, decoder_inputs: lists of int [batch].
        cell: an RNN cell; the encoder takes a copy.
        num_encoder_symbols, num_decoder_symbols, embedding_size: of the embeddings.
        output_projection: see `embedding_rnn_decoder`; without one, the outputs are logits.
        feed_previous: bool or bool tensor, see there.
        dtype: of the state.
        scope: variable scope; ``embedding_rnn_seq2seq`` by default.

    Returns:
        (list of outputs, final state).
    """
    with tf.variable_scope(scope or "embedding_rnn_seq2seq") as scope:
        if dtype is not None:
            scope.set_dtype(dtype)
        encoder = EmbeddingWrapper(copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        _, state = tf.nn.static_rnn(encoder, encoder_inputs, dtype=dtype or scope.dtype)
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)
        return decode(
            feed_previous,
            lambda feeds: embedding_rnn_decoder(
                decoder_inputs,
                state,
                cell,
                num_decoder_symbols,
                embedding_size,
                output_projection,
                feeds,
                isinstance(feed_previous, bool),
            ),
        )


def embedding_tied_rnn_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_symbols,
    embedding_size,
    num_decoder_symbols=None,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
):
    """Encoder and decoder of symbols with the same variables.

    Args:
        num_symbols: how many there are.
        num_decoder_symbols: how many of these, the first, are in the outputs; all by default.
        scope: variable scope; ``embedding_tied_rnn_seq2seq`` by default.
        others: see `embedding_rnn_seq2seq`.

    Returns:
        (list of outputs, final state).
    """
    with tf.variable_scope(scope or "embedding_tied_rnn_seq2seq", dtype=dtype) as scope:
        dtype = scope.dtype
        check_projection(output_projection, num_symbols, dtype)
        embedding = tf.get_variable("embedding", [num_symbols, embedding_size], dtype)
        sources, targets = (
            [tf.nn.embedding_lookup(embedding, ids) for ids in steps] for steps in (encoder_inputs, decoder_inputs)
        )
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols or num_symbols)
        updates = isinstance(feed_previous, bool)

        def decoder(feeds):
            loop_function = _extract_argmax_and_embed(embedding, output_projection, updates) if feeds else None
            return tied_rnn_seq2seq(sources, targets, cell, loop_function, dtype)

        return decode(feed_previous, decoder)


def one2many_rnn_seq2seq(
    encoder_inputs,
    decoder_inputs_dict,
    enc_cell,
    dec_cells_dict,
    num_encoder_symbols,
    num_decoder_symbols_dict,
    embedding_size,
    feed_previous=False,
    dtype=None,
    scope=None,
):
    """One encoder, and several decoders by name.

    Args:
        encoder_inputs: list of int [batch].
        decoder_inputs_dict, dec_cells_dict, num_decoder_symbols_dict: of each decoder, by its name.
        enc_cell: the encoder's cell.
        scope: variable scope; ``one2many_rnn_seq2seq`` by default.
        others: see `embedding_rnn_seq2seq`.

    Returns:
        (lists of outputs by name, final states by name).
    """
    if set(dec_cells_dict) != set(decoder_inputs_dict):
        raise ValueError("one2many_rnn_seq2seq: dec_cells_dict and decoder_inputs_dict are of different names")
    outputs, states = {}, {}
    with tf.variable_scope(scope or "one2many_rnn_seq2seq", dtype=dtype) as scope:
        encoder = EmbeddingWrapper(enc_cell, num_encoder_symbols, embedding_size)
        _, state = tf.nn.static_rnn(encoder, encoder_inputs, dtype=scope.dtype)
        for name, inputs in decoder_inputs_dict.items():
            symbols = num_decoder_symbols_dict[name]
            with tf.variable_scope(f"one2many_decoder_{name}"):
                cell = OutputProjectionWrapper(dec_cells_dict[name], symbols)

                def decoder(feeds, inputs=inputs, cell=cell, symbols=symbols):
                    return embedding_rnn_decoder(inputs, state, cell, symbols, embedding_size, feed_previous=feeds)

                outputs[name], states[name] = decode(feed_previous, decoder)
    return outputs, states
