"""Beam search; source: TensorFlow 1.15's tensorflow/contrib/seq2seq/python/ops/beam_search_decoder.py."""

from __future__ import annotations

import collections

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import assert_like_rnncell

from slimft.compat.contrib.seq2seq import beams
from slimft.compat.contrib.seq2seq.decoding import Decoder
from slimft.compat.contrib.seq2seq.helpers import embedding_function
from slimft.compat.contrib.seq2seq.wrapper import AttentionWrapperState
from slimft.compat.v1 import tf


class BeamSearchDecoderState(
    collections.namedtuple(
        "BeamSearchDecoderState",
        ("cell_state", "log_probs", "finished", "lengths", "accumulated_attention_probs"),
    )
):
    """The state of a beam search; all of it [batch, beams, ...]."""


class BeamSearchDecoderOutput(
    collections.namedtuple("BeamSearchDecoderOutput", ("scores", "predicted_ids", "parent_ids"))
):
    """A step's beams, [batch, beams] each: scores, symbols, and the beams before that they go on from."""


class FinalBeamSearchDecoderOutput(
    collections.namedtuple("FinalBeamDecoderOutput", ("predicted_ids", "beam_search_decoder_output"))
):
    """The sequences [batch, time, beams], best beam first, and the steps they come from."""


class BeamSearchDecoder(Decoder):
    """Keeps the likeliest sequences of each step.

    Args:
        cell: an RNN cell; the memory of an `AttentionWrapper` and the initial state are to be of batch * beam_width
            entries: see `tile_batch`.
        embedding: a tensor [symbols, size], or a function from ids to inputs.
        start_tokens: int32 [batch].
        end_token: int32 scalar.
        initial_state: the cell's state, of batch * beam_width entries.
        beam_width: how many sequences are kept.
        output_layer: a layer from the cell's outputs to logits.
        length_penalty_weight: log-probabilities are divided by ((5 + length) / 6) ** weight (arXiv:1609.08144).
        coverage_penalty_weight: weight of the penalty for memory that was not attended to.
        reorder_tensor_arrays: whether the alignment history in the final state, then a tensor [time,
            batch * beams, steps], follows the final beams.
    """

    def __init__(
        self,
        cell,
        embedding,
        start_tokens,
        end_token,
        initial_state,
        beam_width,
        output_layer=None,
        length_penalty_weight=0.0,
        coverage_penalty_weight=0.0,
        reorder_tensor_arrays=True,
    ):
        assert_like_rnncell("cell", cell)
        if output_layer is not None and not callable(output_layer):
            raise TypeError(f"BeamSearchDecoder: output_layer is not a layer: {output_layer!r}")
        self._cell, self._output_layer = cell, output_layer
        self._embedding_fn = embedding_function(embedding)
        self._start_tokens = tf.convert_to_tensor(start_tokens, tf.int32, name="start_tokens")
        self._end_token = tf.convert_to_tensor(end_token, tf.int32, name="end_token")
        if self._start_tokens.shape.rank != 1:
            raise ValueError(f"start_tokens are not a vector, but of shape {self._start_tokens.shape}")
        if self._end_token.shape.rank != 0:
            raise ValueError(f"end_token is not a scalar, but of shape {self._end_token.shape}")
        self._batch_size = self._start_tokens.shape.as_list()[0] or tf.size(start_tokens)
        self._beam_width = beam_width
        self._length_penalty_weight = length_penalty_weight
        self._coverage_penalty_weight = coverage_penalty_weight
        self._reorder_tensor_arrays = reorder_tensor_arrays
        self._dtype = tf.nest.flatten(initial_state)[0].dtype
        self._initial_cell_state = tf.nest.map_structure(self._split, initial_state)
        tokens = tf.tile(tf.expand_dims(self._start_tokens, 1), [1, beam_width])
        self._start_inputs = self._embedding_fn(tokens)

    def _split(self, tensor):
        return beams.split(tensor, self._batch_size, self._beam_width)

    def _merge(self, tensor):
        return beams.merge(tensor, self._beam_width)

    @property
    def batch_size(self):
        return self._batch_size

    @property
    def tracks_own_finished(self):
        return True

    @property
    def output_size(self):
        return BeamSearchDecoderOutput(*[tf.TensorShape([self._beam_width])] * 3)

    @property
    def output_dtype(self):
        return BeamSearchDecoderOutput(self._dtype, tf.int32, tf.int32)

    def initialize(self, name=None):
        # Until the beams part, all but the first of them are impossible.
        first = tf.zeros([self._batch_size], tf.int32)
        finished = tf.one_hot(first, self._beam_width, on_value=False, off_value=True, dtype=tf.bool)
        lowest = tf.constant(-float("inf"), self._dtype)
        zero = tf.constant(0, self._dtype)
        attended = _attention(self._initial_cell_state, self._coverage_penalty_weight)
        state = BeamSearchDecoderState(
            cell_state=self._initial_cell_state,
            log_probs=tf.one_hot(first, self._beam_width, on_value=zero, off_value=lowest, dtype=self._dtype),
            finished=finished,
            lengths=tf.zeros([self._batch_size, self._beam_width], tf.int64),
            accumulated_attention_probs=() if attended is None else attended,
        )
        return finished, self._start_inputs, state

    def step(self, time, inputs, state, name=None):
        with tf.name_scope(name, "BeamSearchDecoderStep", (time, inputs, state)):
            cell_inputs = tf.nest.map_structure(self._merge, inputs)
            cell_state = tf.nest.map_structure(self._merge, state.cell_state)
            logits, cell_state = self._cell(cell_inputs, cell_state)
            if self._output_layer is not None:
                logits = self._output_layer(logits)
            logits = self._split(logits)
            cell_state = tf.nest.map_structure(self._split, cell_state)
            outputs, state = self._beam_step(logits, cell_state, state)
            ids = outputs.predicted_ids
            next_inputs = tf.cond(
                tf.reduce_all(state.finished), lambda: self._start_inputs, lambda: self._embedding_fn(ids)
            )
        return outputs, state, next_inputs, state.finished

    def _beam_step(self, logits, cell_state, state):
        """The best continuations of all beams, given logits [batch, beams, symbols]."""
        symbols = logits.shape.as_list()[-1] or tf.shape(logits)[-1]
        total = state.log_probs[:, :, tf.newaxis] + self._step_log_probs(logits, state.finished, symbols)
        going_on = tf.cast(tf.logical_not(state.finished), tf.int64)
        # The end token does not count in the length that is penalized.
        counted = tf.one_hot(self._end_token, symbols, on_value=0, off_value=1, dtype=tf.int64)
        lengths = state.lengths[:, :, tf.newaxis] + going_on[:, :, tf.newaxis] * counted
        attended = _attention(cell_state, self._coverage_penalty_weight)
        if attended is not None:
            still = tf.cast(going_on, attended.dtype)[:, :, tf.newaxis]
            attended = state.accumulated_attention_probs + attended * still
        scores = self._scores(total, lengths, state.finished, attended)
        flat = tf.reshape(scores, [self._batch_size, self._beam_width * symbols])
        best, places = tf.nn.top_k(flat, k=self._beam_width)
        ids, parents = places % symbols, places // symbols
        finished = beams.chosen(state.finished, parents)
        next_state = BeamSearchDecoderState(
            cell_state=tf.nest.map_structure(lambda t: beams.chosen(t, parents), cell_state),
            log_probs=tf.gather(tf.reshape(total, tf.shape(flat)), places, batch_dims=1),
            finished=tf.logical_or(finished, tf.equal(ids, self._end_token)),
            lengths=beams.chosen(state.lengths + going_on, parents),
            accumulated_attention_probs=() if attended is None else beams.chosen(attended, parents),
        )
        for new, old in zip(next_state[1:4], state[1:4]):
            new.set_shape(old.shape)
        for tensor in (best, ids, parents):
            tensor.set_shape(state.finished.shape)
        return BeamSearchDecoderOutput(best, ids, parents), next_state

    def _step_log_probs(self, logits, finished, symbols):
        """Log-probabilities of the next symbols; a finished beam only repeats the end token."""
        log_probs = tf.nn.log_softmax(logits)
        only_end = tf.one_hot(
            self._end_token, symbols, on_value=tf.constant(0, logits.dtype), off_value=logits.dtype.min,
            dtype=logits.dtype,
        )  # fmt: skip
        mask = tf.cast(finished, logits.dtype)[:, :, tf.newaxis]
        return (1 - mask) * log_probs + mask * only_end

    def _scores(self, log_probs, lengths, finished, attended):
        """What beams are ordered by: log-probabilities with the penalties."""
        scores = log_probs
        weight = tf.convert_to_tensor(self._length_penalty_weight, dtype=scores.dtype)
        if tf.get_static_value(weight) != 0:
            scores /= ((5 + tf.cast(lengths, scores.dtype)) / 6) ** weight
        if attended is None:
            return scores
        # What was never attended to lies beyond the memory's length.
        attended = tf.where(tf.equal(attended, 0), tf.ones_like(attended), attended)
        penalty = tf.reduce_sum(tf.log(tf.minimum(attended, 1)), 2) * tf.cast(finished, attended.dtype)
        return scores + self._coverage_penalty_weight * penalty[:, :, tf.newaxis]

    def finalize(self, outputs, final_state, sequence_lengths):
        longest = tf.cast(tf.reduce_max(final_state.lengths, axis=1), tf.int32)
        ids = beams.gather_tree(outputs.predicted_ids, outputs.parent_ids, longest, self._end_token)
        if self._reorder_tensor_arrays:
            cell_state = tf.nest.map_structure(
                lambda t: self._followed(t, outputs.parent_ids, final_state.lengths), final_state.cell_state
            )
            final_state = final_state._replace(cell_state=cell_state)
        return FinalBeamSearchDecoderOutput(ids, outputs), final_state

    def _followed(self, steps, parent_ids, lengths):
        """An array of steps of [batch * beams, ...], as a tensor that follows the final beams."""
        if not isinstance(steps, tf.TensorArray):
            return steps
        stacked = steps.stack()
        shape = tf.shape(stacked)
        split = tf.reshape(stacked, tf.concat((shape[:1], [-1, self._beam_width], shape[2:]), 0))
        result = tf.reshape(beams.gather_tree_from_array(split, parent_ids, lengths), shape)
        result.set_shape(stacked.shape)
        return result


def _attention(cell_state, weight):
    """The alignments [batch, beams, steps] in a cell's state, their mean if there are several; None at weight 0.

    Raises:
        ValueError: there is no attention in the state.
    """
    if not tf.is_tensor(weight) and weight == 0:
        return None
    states = [cell_state] if isinstance(cell_state, AttentionWrapperState) else cell_state
    found = [s.alignments for s in states if isinstance(s, AttentionWrapperState)]
    if not found:
        raise ValueError("BeamSearchDecoder: coverage_penalty_weight is for cells with attention, which none is")
    means = [tf.add_n(list(a)) / len(a) if isinstance(a, tuple) else a for a in found]
    return tf.add_n(means) / len(means)
