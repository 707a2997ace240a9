"""What feeds a decoder that reads its own outputs; source: TensorFlow 1.15's contrib/seq2seq helper.py."""

from __future__ import annotations

from slimft.compat.v1 import tf


class Helper:
    """The interface of helpers: they sample from a step's outputs, and make of it the inputs of the next."""

    @property
    def batch_size(self):
        """The number of sequences."""
        raise NotImplementedError

    @property
    def sample_ids_shape(self):
        """The shape of a sample without the batch."""
        raise NotImplementedError

    @property
    def sample_ids_dtype(self):
        """The type of a sample."""
        raise NotImplementedError

    def initialize(self, name=None):
        """Returns (finished, inputs of the first step)."""
        raise NotImplementedError

    def sample(self, time, outputs, state, name=None):
        """Returns the samples of a step's outputs."""
        raise NotImplementedError

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """Returns (finished, next inputs, next state)."""
        raise NotImplementedError


class CustomHelper(Helper):
    """A helper of three functions.

    Args:
        initialize_fn: returns (finished, inputs).
        sample_fn: called with time, outputs and state by name; returns samples.
        next_inputs_fn: called with time, outputs, state and sample_ids by name; returns (finished, inputs, state).
        sample_ids_shape: the shape of a sample; scalar by default.
        sample_ids_dtype: its type; int32 by default.
    """

    def __init__(self, initialize_fn, sample_fn, next_inputs_fn, sample_ids_shape=None, sample_ids_dtype=None):
        self._initialize_fn, self._sample_fn, self._next_inputs_fn = initialize_fn, sample_fn, next_inputs_fn
        self._batch_size = None
        self._sample_ids_shape = tf.TensorShape(sample_ids_shape or [])
        self._sample_ids_dtype = sample_ids_dtype or tf.int32

    @property
    def batch_size(self):
        if self._batch_size is None:
            raise ValueError("CustomHelper: batch_size is known only after initialize was called")
        return self._batch_size

    @property
    def sample_ids_shape(self):
        return self._sample_ids_shape

    @property
    def sample_ids_dtype(self):
        return self._sample_ids_dtype

    def initialize(self, name=None):
        with tf.name_scope(name, "CustomHelperInitialize"):
            finished, inputs = self._initialize_fn()
            if self._batch_size is None:
                self._batch_size = tf.size(finished)
        return finished, inputs

    def sample(self, time, outputs, state, name=None):
        with tf.name_scope(name, "CustomHelperSample", (time, outputs, state)):
            return self._sample_fn(time=time, outputs=outputs, state=state)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        with tf.name_scope(name, "CustomHelperNextInputs", (time, outputs, state)):
            return self._next_inputs_fn(time=time, outputs=outputs, state=state, sample_ids=sample_ids)


class GreedyEmbeddingHelper(Helper):
    """Takes the likeliest symbol of each step, and its embedding as the next inputs.

    Args:
        embedding: a tensor [symbols, size], or a function from ids [batch] to inputs.
        start_tokens: int32 [batch], the first symbols.
        end_token: int32 scalar, the symbol that ends a sequence.
    """

    def __init__(self, embedding, start_tokens, end_token):
        self._embedding_fn = embedding_function(embedding)
        self._start_tokens = tf.convert_to_tensor(start_tokens, tf.int32, name="start_tokens")
        self._end_token = tf.convert_to_tensor(end_token, tf.int32, name="end_token")
        if self._start_tokens.shape.rank != 1:
            raise ValueError(f"start_tokens are not a vector, but of shape {self._start_tokens.shape}")
        if self._end_token.shape.rank != 0:
            raise ValueError(f"end_token is not a scalar, but of shape {self._end_token.shape}")
        self._batch_size = tf.size(start_tokens)
        self._start_inputs = self._embedding_fn(self._start_tokens)

    @property
    def batch_size(self):
        return self._batch_size

    @property
    def sample_ids_shape(self):
        return tf.TensorShape([])

    @property
    def sample_ids_dtype(self):
        return tf.int32

    def initialize(self, name=None):
        return tf.tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        if not tf.is_tensor(outputs):
            raise TypeError(f"{type(self).__name__}: outputs are not one tensor: {type(outputs).__name__}")
        return tf.argmax(outputs, axis=-1, output_type=tf.int32)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        finished = tf.equal(sample_ids, self._end_token)
        inputs = tf.cond(
            tf.reduce_all(finished), lambda: self._start_inputs, lambda: self._embedding_fn(sample_ids)
        )
        return finished, inputs, state


class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """Draws each symbol from the softmax of the outputs.

    Args:
        embedding, start_tokens, end_token: see `GreedyEmbeddingHelper`.
        softmax_temperature: what the logits are divided by; 1 by default.
        seed: of the draws.
    """

    def __init__(self, embedding, start_tokens, end_token, softmax_temperature=None, seed=None):
        super().__init__(embedding, start_tokens, end_token)
        self._softmax_temperature, self._seed = softmax_temperature, seed

    def sample(self, time, outputs, state, name=None):
        if not tf.is_tensor(outputs):
            raise TypeError(f"{type(self).__name__}: outputs are not one tensor: {type(outputs).__name__}")
        logits = outputs if self._softmax_temperature is None else outputs / self._softmax_temperature
        return draw(logits, self._seed)


class InferenceHelper(Helper):
    """Feeds samples, as they are or what `next_inputs_fn` makes of them, as the next inputs.

    Args:
        sample_fn: from outputs to samples.
        sample_shape: the shape of a sample without the batch.
        sample_dtype: its type.
        start_inputs: [batch, ...], the first inputs.
        end_fn: from samples to bools [batch]: which sequences end.
        next_inputs_fn: from samples to inputs.
    """

    def __init__(self, sample_fn, sample_shape, sample_dtype, start_inputs, end_fn, next_inputs_fn=None):
        self._sample_fn, self._end_fn, self._next_inputs_fn = sample_fn, end_fn, next_inputs_fn
        self._sample_shape, self._sample_dtype = tf.TensorShape(sample_shape), sample_dtype
        self._start_inputs = tf.convert_to_tensor(start_inputs, name="start_inputs")
        self._batch_size = tf.shape(start_inputs)[0]

    @property
    def batch_size(self):
        return self._batch_size

    @property
    def sample_ids_shape(self):
        return self._sample_shape

    @property
    def sample_ids_dtype(self):
        return self._sample_dtype

    def initialize(self, name=None):
        return tf.tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        return self._sample_fn(outputs)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        inputs = sample_ids if self._next_inputs_fn is None else self._next_inputs_fn(sample_ids)
        return self._end_fn(sample_ids), inputs, state


def embedding_function(embedding):
    """`embedding` if it is a function, else the function that looks ids up in it."""
    return embedding if callable(embedding) else lambda ids: tf.nn.embedding_lookup(embedding, ids)


def draw(logits, seed):
    """A class for each row of `logits` [batch, classes], int32."""
    return tf.squeeze(tf.random.categorical(logits, 1, seed=seed, dtype=tf.int32), axis=1)
