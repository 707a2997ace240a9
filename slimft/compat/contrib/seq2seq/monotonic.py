"""Monotonic attention (Raffel et al., arXiv:1704.00784).

Source: TensorFlow 1.15's tensorflow/contrib/seq2seq/python/ops/attention_wrapper.py.
"""

from __future__ import annotations

import functools

import numpy as np

from slimft.compat.contrib.seq2seq.attention import (
    _bahdanau_score,
    _BaseAttentionMechanism,
    _luong_score,
    dense,
)
from slimft.compat.v1 import tf


def safe_cumprod(x, *args, **kwargs):
    """Cumulative products of numbers of [0, 1], in logarithms; takes the arguments of `tf.cumsum`."""
    with tf.name_scope(None, "SafeCumprod", [x]):
        x = tf.convert_to_tensor(x, name="x")
        tiny = np.finfo(x.dtype.as_numpy_dtype).tiny
        return tf.exp(tf.cumsum(tf.log(tf.clip_by_value(x, tiny, 1)), *args, **kwargs))


def monotonic_attention(p_choose_i, previous_attention, mode):
    """The alignments of a step.

    Args:
        p_choose_i: [batch, steps], how probably each step of the memory is stopped at.
        previous_attention: [batch, steps], the alignments of the step before.
        mode: ``recursive`` (exact), ``parallel`` (fast, inexact for probabilities near 0 or 1) or ``hard``
            (probabilities are 0 or 1).

    Returns:
        [batch, steps].
    """
    p = tf.convert_to_tensor(p_choose_i, name="p_choose_i")
    previous = tf.convert_to_tensor(previous_attention, name="previous_attention")
    if mode == "recursive":
        passed = tf.concat([tf.ones_like(p[:, :1]), 1 - p[:, :-1]], 1)
        reached = tf.scan(
            lambda q, step: step[0] * q + step[1],
            [tf.transpose(passed), tf.transpose(previous)],
            tf.zeros_like(p[:, 0]),
        )
        return p * tf.transpose(reached)
    if mode == "parallel":
        passed = safe_cumprod(1 - p, axis=1, exclusive=True)
        return p * passed * tf.cumsum(previous / tf.clip_by_value(passed, 1e-10, 1.0), axis=1)
    if mode == "hard":
        p *= tf.cumsum(previous, axis=1)
        return p * tf.cumprod(1 - p, axis=1, exclusive=True)
    raise ValueError(f"monotonic_attention: mode is 'recursive', 'parallel' or 'hard', and not {mode!r}")


def _monotonic_probability_fn(score, previous_alignments, sigmoid_noise, mode, seed=None):
    """Alignments of scores [batch, steps]."""
    if sigmoid_noise > 0:
        score += sigmoid_noise * tf.random_normal(tf.shape(score), dtype=score.dtype, seed=seed)
    p = tf.cast(score > 0, score.dtype) if mode == "hard" else tf.sigmoid(score)
    return monotonic_attention(p, previous_alignments, mode)


class _BaseMonotonicAttentionMechanism(_BaseAttentionMechanism):
    """A mechanism that begins at the first step of the memory.

    Args:
        noise: arguments of `_monotonic_probability_fn`.
        score_bias_init: what the bias of the scores begins with.
        others: see `_BaseAttentionMechanism`.
    """

    def __init__(self, noise, score_bias_init, **others):
        super().__init__(probability_fn=functools.partial(_monotonic_probability_fn, **noise), **others)
        self._score_bias_init = score_bias_init

    def initial_alignments(self, batch_size, dtype):
        return tf.one_hot(tf.zeros([batch_size], tf.int32), self._alignments_size, dtype=dtype)

    def __call__(self, query, state):
        with tf.variable_scope(None, self._scope, [query]):
            score = self._score(query)
            initial = tf.constant_initializer(self._score_bias_init)
            score += tf.get_variable("attention_score_bias", (), query.dtype, initial)
        alignments = self._probability_fn(score, state)
        return alignments, alignments


class BahdanauMonotonicAttention(_BaseMonotonicAttentionMechanism):
    """Monotonic attention with Bahdanau's scores.

    Args:
        num_units, memory, memory_sequence_length, normalize, dtype, name: see `BahdanauAttention`.
        score_mask_value: see `BahdanauAttention`.
        sigmoid_noise: standard deviation of noise added to scores, for training.
        sigmoid_noise_seed: its seed.
        score_bias_init: what the bias of the scores begins with.
        mode: see `monotonic_attention`.
    """

    _scope = "bahdanau_monotonic_attention"

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        normalize=False,
        score_mask_value=None,
        sigmoid_noise=0.0,
        sigmoid_noise_seed=None,
        score_bias_init=0.0,
        mode="parallel",
        dtype=None,
        name="BahdanauMonotonicAttention",
    ):
        super().__init__(
            query_layer=dense(num_units, "query_layer", dtype),
            memory_layer=dense(num_units, "memory_layer", dtype),
            memory=memory,
            noise={"sigmoid_noise": sigmoid_noise, "mode": mode, "seed": sigmoid_noise_seed},
            score_bias_init=score_bias_init,
            memory_sequence_length=memory_sequence_length,
            score_mask_value=score_mask_value,
            name=name,
        )
        self._num_units, self._normalize = num_units, normalize

    def _score(self, query):
        return _bahdanau_score(self._query_layer(query), self._keys, bool(self._normalize))


class LuongMonotonicAttention(_BaseMonotonicAttentionMechanism):
    """Monotonic attention with Luong's scores.

    Args:
        num_units, memory, memory_sequence_length, scale, dtype, name: see `LuongAttention`.
        others: see `BahdanauMonotonicAttention`.
    """

    _scope = "luong_monotonic_attention"

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        scale=False,
        score_mask_value=None,
        sigmoid_noise=0.0,
        sigmoid_noise_seed=None,
        score_bias_init=0.0,
        mode="parallel",
        dtype=None,
        name="LuongMonotonicAttention",
    ):
        super().__init__(
            query_layer=None,
            memory_layer=dense(num_units, "memory_layer", dtype),
            memory=memory,
            noise={"sigmoid_noise": sigmoid_noise, "mode": mode, "seed": sigmoid_noise_seed},
            score_bias_init=score_bias_init,
            memory_sequence_length=memory_sequence_length,
            score_mask_value=score_mask_value,
            name=name,
        )
        self._num_units, self._scale = num_units, scale

    def _score(self, query):
        return _luong_score(query, self._keys, self._scale)
