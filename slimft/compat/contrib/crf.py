"""Linear-chain conditional random fields: what `tf.contrib.crf` was.

Potentials are [batch, time, tags] floats, transitions [tags, tags] from the row's tag to the column's. Sequences of
length 0 have score and norm 0. Source: TensorFlow 1.15's tensorflow/contrib/crf/python/ops/crf.py.
"""

from __future__ import annotations

import numpy as np
from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import RNNCell

from slimft.compat.v1 import tf

__all__ = [
    "CrfDecodeBackwardRnnCell", "CrfDecodeForwardRnnCell", "CrfForwardRnnCell", "crf_binary_score", "crf_decode",
    "crf_log_likelihood", "crf_log_norm", "crf_multitag_sequence_score", "crf_sequence_score", "crf_unary_score",
    "viterbi_decode",
]  # fmt: skip


def crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params):
    """The scores [batch] of given tags, int [batch, time]: potentials and transitions summed."""
    unary = crf_unary_score(tag_indices, sequence_lengths, inputs)
    return unary + crf_binary_score(tag_indices, sequence_lengths, transition_params)


def crf_multitag_sequence_score(inputs, tag_bitmap, sequence_lengths, transition_params):
    """The log of the summed exp(scores) of all sequences whose tags are allowed in a bool [batch, time, tags]."""
    allowed = tf.cast(tag_bitmap, tf.bool)
    return crf_log_norm(
        tf.where(allowed, inputs, tf.fill(tf.shape(inputs), tf.constant(-float("inf"), inputs.dtype))),
        sequence_lengths,
        transition_params,
    )


def crf_log_norm(inputs, sequence_lengths, transition_params):
    """The log of the summed exp(scores) of all tag sequences, [batch]."""
    lengths = tf.cast(sequence_lengths, tf.int32)
    _, alphas = _forward(CrfForwardRnnCell(transition_params), inputs, lengths, inputs.dtype)
    norm = tf.reduce_logsumexp(alphas, [1])
    return tf.where(lengths <= 0, tf.zeros_like(norm), norm)


def crf_log_likelihood(inputs, tag_indices, sequence_lengths, transition_params=None):
    """How likely given tags are.

    Args:
        inputs: [batch, time, tags].
        tag_indices: int [batch, time].
        sequence_lengths: int [batch].
        transition_params: [tags, tags]; by default a new variable ``transitions``.

    Returns:
        (log-likelihoods [batch], transitions).
    """
    if transition_params is None:
        tags = inputs.shape.as_list()[2]
        transition_params = tf.get_variable("transitions", [tags, tags])
    score = crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params)
    return score - crf_log_norm(inputs, sequence_lengths, transition_params), transition_params


def crf_unary_score(tag_indices, sequence_lengths, inputs):
    """The summed potentials of given tags, [batch]."""
    picked = tf.gather(inputs, tf.cast(tag_indices, tf.int32), axis=2, batch_dims=2)
    return tf.reduce_sum(picked * _mask(sequence_lengths, tf.shape(inputs)[1], inputs.dtype), 1)


def crf_binary_score(tag_indices, sequence_lengths, transition_params):
    """The summed transitions of given tags, [batch]."""
    transitions = tf.convert_to_tensor(transition_params)
    tags = tf.cast(tag_indices, tf.int32)
    pairs = tf.stack([tags[:, :-1], tags[:, 1:]], axis=2)
    mask = _mask(sequence_lengths, tf.shape(tags)[1], transitions.dtype)
    return tf.reduce_sum(tf.gather_nd(transitions, pairs) * mask[:, 1:], 1)


def _mask(lengths, time, dtype):
    """1 within the lengths, 0 beyond; [batch, time]."""
    return tf.sequence_mask(lengths, maxlen=time, dtype=dtype)


def _forward(cell, inputs, lengths, dtype):
    """Runs a cell along [batch, time, tags]; the first step's inputs are its state.

    Returns:
        (outputs [time, batch, tags] of `dtype`, those at time 0 being 0; state [batch, tags] at the lengths).
    """
    first = inputs[:, 0]

    def step(carried, inputs):
        time, _, state = carried
        outputs, new = cell(inputs, state)
        # All that is scanned over has a step, so that sequences of one step are like others.
        begun = tf.logical_and(time > 0, time < lengths)
        return time + 1, outputs, tf.where(begun, new, state)

    start = (tf.constant(0), tf.zeros_like(first, dtype), first)
    _, outputs, states = tf.scan(step, tf.transpose(inputs, [1, 0, 2]), start)
    return outputs, states[-1]


class _Chain(RNNCell):
    """A step along a chain; its state is [batch, tags].

    Args:
        transition_params: [tags, tags].
    """

    def __init__(self, transition_params):
        super().__init__()
        # As a plain attribute, a variable would become one of the layer's own.
        self._get_transitions = lambda: tf.expand_dims(transition_params, 0)
        self._num_tags = int(transition_params.shape.as_list()[0])

    @property
    def state_size(self):
        return self._num_tags

    @property
    def output_size(self):
        return self._num_tags


class CrfForwardRnnCell(_Chain):
    """The log-sums of all sequences that end in each tag."""

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        alphas = inputs + tf.reduce_logsumexp(tf.expand_dims(state, 2) + self._get_transitions(), [1])
        return alphas, alphas


class CrfDecodeForwardRnnCell(_Chain):
    """The best scores of the sequences that end in each tag; outputs where these came from."""

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        scores = tf.expand_dims(state, 2) + self._get_transitions()
        return tf.argmax(scores, axis=1, output_type=tf.int32), inputs + tf.reduce_max(scores, [1])


class CrfDecodeBackwardRnnCell(RNNCell):
    """Follows back where tags came from; state and output are tags, int32 [batch, 1].

    Args:
        num_tags: how many there are.
    """

    def __init__(self, num_tags):
        super().__init__()
        self._num_tags = num_tags

    @property
    def state_size(self):
        return 1

    @property
    def output_size(self):
        return 1

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        before = tf.gather(inputs, tf.squeeze(state, [1]), axis=1, batch_dims=1)
        before = tf.expand_dims(before, -1)
        return before, before


def crf_decode(potentials, transition_params, sequence_length):
    """The best tags.

    Args:
        potentials: [batch, time, tags].
        transition_params: [tags, tags].
        sequence_length: int [batch].

    Returns:
        (tags int32 [batch, time], 0 beyond the length; their scores [batch]).
    """
    lengths = tf.cast(sequence_length, tf.int32)
    with tf.name_scope("crf_decode"):
        forward = CrfDecodeForwardRnnCell(transition_params)
        sources, scores = _forward(forward, potentials, lengths, tf.int32)
        last = tf.argmax(scores, axis=1, output_type=tf.int32)[:, tf.newaxis]
        backward = CrfDecodeBackwardRnnCell(forward.output_size)

        def step(carried, sources):
            time, after, _ = carried
            before, _ = backward(sources, after)
            return time - 1, tf.where(time < lengths, before, after), after

        # sources[time] are the tags of the step before.
        start = (tf.shape(sources)[0] - 1, last, last)
        _, _, tags = tf.scan(step, sources, start, reverse=True)
    tags = tf.transpose(tf.squeeze(tags, [2]))
    return tags * _mask(lengths, tf.shape(tags)[1], tf.int32), tf.reduce_max(scores, axis=1)


def viterbi_decode(score, transition_params):
    """The best tags of one sequence, in NumPy.

    Args:
        score: array [time, tags].
        transition_params: array [tags, tags].

    Returns:
        (list of `time` tags, their score).
    """
    score = np.asarray(score)
    best = score[0]
    sources = []
    for step in score[1:]:
        paths = best[:, np.newaxis] + transition_params
        sources.append(np.argmax(paths, 0))
        best = step + np.max(paths, 0)
    tags = [int(np.argmax(best))]
    for source in reversed(sources):
        tags.append(int(source[tags[-1]]))
    return tags[::-1], np.max(best)
