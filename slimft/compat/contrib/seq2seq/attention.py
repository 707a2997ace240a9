"""What a decoder attends to its memory with.

Source: TensorFlow 1.15's tensorflow/contrib/seq2seq/python/ops/attention_wrapper.py; the mechanisms are those of
arXiv:1409.0473 (Bahdanau) and arXiv:1508.04025 (Luong).
"""

from __future__ import annotations

import math

from slimft.compat.v1 import tf


class AttentionMechanism:
    """The interface of attention mechanisms."""

    @property
    def alignments_size(self):
        """How many steps the memory has."""
        raise NotImplementedError

    @property
    def state_size(self):
        """The size of the state that goes from step to step."""
        raise NotImplementedError


class _BaseAttentionMechanism(AttentionMechanism):
    """A memory, its keys, and what makes probabilities of scores.

    Subclasses are called with a query [batch, size] and the state of the step before, and return alignments
    [batch, steps] and the next state.

    Args:
        query_layer: a layer for the query, or None.
        memory: [batch, steps, ...], what is attended to.
        probability_fn: from scores and state to alignments.
        memory_sequence_length: [batch]: memory beyond is 0 and not attended to.
        memory_layer: a layer that makes keys of the memory, or None.
        check_inner_dims_defined: whether the sizes of the memory's last axes have to be known.
        score_mask_value: the score of memory beyond the length; minus infinity by default.
        custom_key_value_fn: from (keys, values) to (keys, values).
        name: of the ops.
    """

    def __init__(
        self,
        query_layer,
        memory,
        probability_fn,
        memory_sequence_length=None,
        memory_layer=None,
        check_inner_dims_defined=True,
        score_mask_value=None,
        custom_key_value_fn=None,
        name=None,
    ):
        self._query_layer, self._memory_layer = query_layer, memory_layer
        self.dtype = tf.nest.flatten(memory)[0].dtype
        if memory_layer is not None and memory_layer.dtype is not None:
            self.dtype = tf.as_dtype(memory_layer.dtype)
        if not callable(probability_fn):
            raise TypeError(f"probability_fn is not a function: {probability_fn!r}")
        self._probability_fn = lambda score, state: probability_fn(
            _maybe_mask_score(score, memory_sequence_length, score_mask_value), state
        )
        with tf.name_scope(name, "BaseAttentionMechanismInit", tf.nest.flatten(memory)):
            self._values = _prepare_memory(memory, memory_sequence_length, check_inner_dims_defined)
            self._keys = self._values if memory_layer is None else memory_layer(self._values)
            if custom_key_value_fn is not None:
                self._keys, self._values = custom_key_value_fn(self._keys, self._values)
            static, dynamic = self._keys.shape.as_list(), tf.shape(self._keys)
            self._batch_size = static[0] or dynamic[0]
            self._alignments_size = static[1] or dynamic[1]

    @property
    def memory_layer(self):
        """The layer that makes keys of the memory."""
        return self._memory_layer

    @property
    def query_layer(self):
        """The layer for the query."""
        return self._query_layer

    @property
    def values(self):
        """The memory."""
        return self._values

    @property
    def keys(self):
        """What queries are compared with."""
        return self._keys

    @property
    def batch_size(self):
        """The number of sequences, an int where it is known."""
        return self._batch_size

    @property
    def alignments_size(self):
        return self._alignments_size

    @property
    def state_size(self):
        return self._alignments_size

    def initial_alignments(self, batch_size, dtype):
        """The alignments before the first step: 0."""
        zeros = tf.zeros(tf.stack([batch_size, self._alignments_size]), dtype)
        zeros.set_shape([None, tf.TensorShape(self._keys.shape)[1]])
        return zeros

    def initial_state(self, batch_size, dtype):
        """The state before the first step: the alignments."""
        return self.initial_alignments(batch_size, dtype)


class LuongAttention(_BaseAttentionMechanism):
    """Scores are products of query and keys, which have to be of the query's size.

    Args:
        num_units: the size of the keys.
        memory, memory_sequence_length, score_mask_value, custom_key_value_fn: see `_BaseAttentionMechanism`.
        scale: whether the variable `attention_g` multiplies the scores.
        probability_fn: from scores to alignments; softmax by default.
        dtype: of the layer of the keys.
        name: of the ops.
    """

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        scale=False,
        probability_fn=None,
        score_mask_value=None,
        dtype=None,
        custom_key_value_fn=None,
        name="LuongAttention",
    ):
        super().__init__(
            query_layer=None,
            memory_layer=dense(num_units, "memory_layer", dtype),
            memory=memory,
            probability_fn=without_state(probability_fn or tf.nn.softmax),
            memory_sequence_length=memory_sequence_length,
            score_mask_value=score_mask_value,
            custom_key_value_fn=custom_key_value_fn,
            name=name,
        )
        self._num_units, self._scale, self._name = num_units, scale, name

    def __call__(self, query, state):
        with tf.variable_scope(None, "luong_attention", [query]):
            score = _luong_score(query, self._keys, self._scale)
        alignments = self._probability_fn(score, state)
        return alignments, alignments


class BahdanauAttention(_BaseAttentionMechanism):
    """Scores are the product of a vector and tanh(query + keys).

    Args:
        num_units: the size of the layers of query and keys.
        memory, memory_sequence_length, score_mask_value, custom_key_value_fn: see `_BaseAttentionMechanism`.
        normalize: weight normalization (arXiv:1602.07868) of the vector, and a bias.
        probability_fn: from scores to alignments; softmax by default.
        dtype: of the layers.
        name: of the ops.
    """

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        normalize=False,
        probability_fn=None,
        score_mask_value=None,
        dtype=None,
        custom_key_value_fn=None,
        name="BahdanauAttention",
    ):
        super().__init__(
            query_layer=dense(num_units, "query_layer", dtype),
            memory_layer=dense(num_units, "memory_layer", dtype),
            memory=memory,
            probability_fn=without_state(probability_fn or tf.nn.softmax),
            memory_sequence_length=memory_sequence_length,
            score_mask_value=score_mask_value,
            custom_key_value_fn=custom_key_value_fn,
            name=name,
        )
        self._num_units, self._normalize, self._name = num_units, normalize, name

    def __call__(self, query, state):
        with tf.variable_scope(None, "bahdanau_attention", [query]):
            query = self._query_layer(query) if self._query_layer else query
            score = _bahdanau_score(query, self._keys, bool(self._normalize))
        alignments = self._probability_fn(score, state)
        return alignments, alignments


def without_state(function):
    """`function` of scores, as one of scores and state."""
    return lambda score, _: function(score)


def dense(units, name, dtype):
    """A linear layer."""
    return tf.layers.Dense(units, name=name, use_bias=False, dtype=dtype)


def _maybe_mask_score(score, memory_sequence_length, score_mask_value):
    """Scores [batch, steps], those beyond the memory's lengths, if there are any, too low to matter."""
    if memory_sequence_length is None:
        return score
    if score_mask_value is None:
        score_mask_value = score.dtype.as_numpy_dtype(-math.inf)
    message = "attention: all of memory_sequence_length have to be above 0"
    with tf.control_dependencies([tf.assert_positive(memory_sequence_length, message=message)]):
        mask = tf.sequence_mask(memory_sequence_length, maxlen=tf.shape(score)[1])
        return tf.where(mask, score, score_mask_value * tf.ones_like(score))


# The names of the scores are private in TensorFlow 1, and copies of its mechanisms import them.
def _luong_score(query, keys, scale):
    """Scores [batch, steps] of a query [batch, units] and keys [batch, steps, units].

    Args:
        scale: the number that multiplies them or None; True makes the variable ``attention_g`` of it.

    Raises:
        ValueError: query and keys are of different sizes.
    """
    sizes = query.shape.as_list()[-1], keys.shape.as_list()[-1]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"LuongAttention: the query, a cell's output, has size {sizes[0]} and the keys have {sizes[1]}: "
            "num_units has to be the cell's output size"
        )
    score = tf.squeeze(tf.matmul(tf.expand_dims(query, 1), keys, transpose_b=True), [1])
    if scale is True:
        scale = tf.get_variable("attention_g", (), query.dtype, tf.ones_initializer())
    return score if scale is None or scale is False else scale * score


def _bahdanau_score(processed_query, keys, attention_v, attention_g=None, attention_b=None):
    """Scores [batch, steps] of a query [batch, units] and keys [batch, steps, units].

    Args:
        attention_v: the vector [units]; a bool makes a variable of it, and if True also of the two others.
        attention_g, attention_b: its norm, a scalar, and a bias [units]; None: no normalization.
    """
    if isinstance(attention_v, bool):
        normalize, dtype, units = attention_v, processed_query.dtype, keys.shape.as_list()[2]
        attention_v = tf.get_variable("attention_v", [units], dtype)
        if normalize:
            norm = tf.constant_initializer(math.sqrt(1 / units))
            attention_g = tf.get_variable("attention_g", (), dtype, norm)
            attention_b = tf.get_variable("attention_b", [units], dtype, tf.zeros_initializer())
    query = tf.expand_dims(processed_query, 1)
    if attention_g is None:
        return tf.reduce_sum(attention_v * tf.tanh(keys + query), [2])
    v = attention_g * attention_v * tf.rsqrt(tf.reduce_sum(tf.square(attention_v)))
    return tf.reduce_sum(v * tf.tanh(keys + query + attention_b), [2])


def hardmax(logits, name=None):
    """One-hot vectors of the largest of `logits` along the last axis."""
    with tf.name_scope(name, "Hardmax", [logits]):
        logits = tf.convert_to_tensor(logits, name="logits")
        depth = logits.shape.as_list()[-1] or tf.shape(logits)[-1]
        return tf.one_hot(tf.argmax(logits, -1), depth, dtype=logits.dtype)


def _prepare_memory(memory, lengths, check_inner_dims_defined):
    """The memory, 0 beyond the lengths."""
    memory = tf.nest.map_structure(lambda m: tf.convert_to_tensor(m, name="memory"), memory)
    if check_inner_dims_defined:
        for tensor in tf.nest.flatten(memory):
            if not tensor.shape[2:].is_fully_defined():
                raise ValueError(f"attention: the memory's last axes have to be known; its shape is {tensor.shape}")
    if lengths is None:
        return memory

    def masked(tensor):
        mask = tf.sequence_mask(lengths, maxlen=tf.shape(tensor)[1], dtype=tensor.dtype)
        ones = tf.ones([tensor.shape.rank - 2], tf.int32)
        return tensor * tf.reshape(mask, tf.concat((tf.shape(mask), ones), 0))

    return tf.nest.map_structure(masked, memory)
