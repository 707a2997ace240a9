"""What feeds a decoder in training; source: TensorFlow 1.15's tensorflow/contrib/seq2seq/python/ops/helper.py."""

from __future__ import annotations

from tensorflow.python.ops.rnn import _transpose_batch_time

from slimft.compat.contrib.seq2seq.helpers import Helper, draw, embedding_function
from slimft.compat.v1 import tf


def _unstack_ta(tensor):
    """An array of the steps of a tensor, time first."""
    array = tf.TensorArray(tensor.dtype, size=tf.shape(tensor)[0], element_shape=tensor.shape[1:])
    return array.unstack(tensor)


def _drawn(probability, count, seed):
    """Bools [count], each true with this probability."""
    return tf.random_uniform([count], seed=seed, dtype=probability.dtype) < probability


class TrainingHelper(Helper):
    """Feeds given inputs; samples the likeliest symbols, which are not fed.

    Args:
        inputs: tensors [batch, time, ...].
        sequence_length: int32 [batch].
        time_major: the inputs are [time, batch, ...].
        name: of the ops.
    """

    def __init__(self, inputs, sequence_length, time_major=False, name=None):
        with tf.name_scope(name, type(self).__name__, [inputs, sequence_length]):
            inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
            self._inputs = inputs
            if not time_major:
                inputs = tf.nest.map_structure(_transpose_batch_time, inputs)
            self._input_tas = tf.nest.map_structure(_unstack_ta, inputs)
            self._sequence_length = tf.convert_to_tensor(sequence_length, name="sequence_length")
            if self._sequence_length.shape.rank != 1:
                raise ValueError(f"sequence_length is not a vector, but of shape {self._sequence_length.shape}")
            self._zero_inputs = tf.nest.map_structure(lambda steps: tf.zeros_like(steps[0, :]), inputs)
            self._start_inputs = self._zero_inputs
            self._batch_size = tf.size(sequence_length)

    @property
    def inputs(self):
        """The inputs as they were given."""
        return self._inputs

    @property
    def sequence_length(self):
        """The lengths, int32 [batch]."""
        return self._sequence_length

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
        with tf.name_scope(name, "TrainingHelperInitialize"):
            finished = tf.equal(0, self._sequence_length)
            return finished, self._read(finished, 0)

    def sample(self, time, outputs, state, name=None):
        with tf.name_scope(name, "TrainingHelperSample", [time, outputs]):
            return tf.argmax(outputs, axis=-1, output_type=tf.int32)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        with tf.name_scope(name, "TrainingHelperNextInputs", [time, outputs, state]):
            finished = time + 1 >= self._sequence_length
            return finished, self._read(finished, time + 1), state

    def _read(self, finished, time):
        """The inputs at `time`, or zeros when all sequences are finished."""
        return tf.cond(
            tf.reduce_all(finished),
            lambda: self._zero_inputs,
            lambda: tf.nest.map_structure(lambda steps: steps.read(time), self._input_tas),
        )


class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """Feeds given inputs, and sometimes the embedding of a sampled symbol instead (arXiv:1506.03099).

    Samples are -1 where the given inputs are fed.

    Args:
        inputs, sequence_length, time_major, name: see `TrainingHelper`.
        embedding: a tensor [symbols, size], or a function from ids [batch] to inputs.
        sampling_probability: scalar or [batch]: how probably a sample is fed.
        seed: of the samples.
        scheduling_seed: of whether they are fed.
    """

    def __init__(
        self,
        inputs,
        sequence_length,
        embedding,
        sampling_probability,
        time_major=False,
        seed=None,
        scheduling_seed=None,
        name=None,
    ):
        self._embedding_fn = embedding_function(embedding)
        self._sampling_probability = _probability(sampling_probability)
        self._seed, self._scheduling_seed = seed, scheduling_seed
        super().__init__(inputs, sequence_length, time_major, name)

    def sample(self, time, outputs, state, name=None):
        with tf.name_scope(name, "ScheduledEmbeddingTrainingHelperSample", [time, outputs, state]):
            fed = _drawn(self._sampling_probability, self._batch_size, self._scheduling_seed)
            sample_ids = draw(outputs, self._seed)
            return tf.where(fed, sample_ids, tf.fill([self._batch_size], -1))

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        finished, inputs, state = super().next_inputs(time, outputs, state, sample_ids, name)
        embedded = self._embedding_fn(tf.maximum(sample_ids, 0))
        return finished, tf.where(sample_ids > -1, embedded, inputs), state


class ScheduledOutputTrainingHelper(TrainingHelper):
    """Feeds given inputs, and sometimes the outputs of the step before instead.

    Args:
        inputs, sequence_length, time_major, name: see `TrainingHelper`.
        sampling_probability: scalar: how probably outputs are fed.
        seed: of whether they are.
        next_inputs_fn: from outputs to inputs; by default the outputs are the inputs.
        auxiliary_inputs: of the shape of the inputs but for the last axis; appended to both.
    """

    def __init__(
        self,
        inputs,
        sequence_length,
        sampling_probability,
        time_major=False,
        seed=None,
        next_inputs_fn=None,
        auxiliary_inputs=None,
        name=None,
    ):
        self._sampling_probability = _probability(sampling_probability)
        self._seed, self._next_inputs_fn, self._auxiliary_tas = seed, next_inputs_fn, None
        if auxiliary_inputs is not None:
            inputs = tf.nest.map_structure(lambda x, y: tf.concat((x, y), -1), inputs, auxiliary_inputs)
            auxiliary = tf.nest.map_structure(tf.convert_to_tensor, auxiliary_inputs)
            if not time_major:
                auxiliary = tf.nest.map_structure(_transpose_batch_time, auxiliary)
            self._auxiliary_tas = tf.nest.map_structure(_unstack_ta, auxiliary)
        super().__init__(inputs, sequence_length, time_major, name)

    def sample(self, time, outputs, state, name=None):
        with tf.name_scope(name, "ScheduledOutputTrainingHelperSample", [time, outputs, state]):
            return tf.cast(_drawn(self._sampling_probability, self._batch_size, self._seed), tf.int32)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        finished, inputs, state = super().next_inputs(time, outputs, state, sample_ids, name)

        def mixed():
            fed = outputs if self._next_inputs_fn is None else self._next_inputs_fn(outputs)
            if self._auxiliary_tas is not None:
                auxiliary = tf.nest.map_structure(lambda steps: steps.read(time + 1), self._auxiliary_tas)
                fed = tf.nest.map_structure(lambda x, y: tf.concat((x, y), -1), fed, auxiliary)
            return tf.nest.map_structure(lambda x, y: tf.where(tf.cast(sample_ids, tf.bool), x, y), fed, inputs)

        return finished, tf.cond(tf.reduce_all(finished), lambda: inputs, mixed), state


def _probability(value):
    """A probability as a float tensor."""
    value = tf.convert_to_tensor(value, name="sampling_probability")
    if value.shape.rank not in (0, 1):
        raise ValueError(f"sampling_probability is neither scalar nor a vector, but of shape {value.shape}")
    return value
