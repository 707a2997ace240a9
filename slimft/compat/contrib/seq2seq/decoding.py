"""Decoding step by step; source: TensorFlow 1.15's decoder.py and basic_decoder.py in contrib/seq2seq."""

from __future__ import annotations

import collections

from tensorflow.python.framework import tensor_util
from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import _concat, assert_like_rnncell
from tensorflow.python.ops.rnn import _transpose_batch_time

from slimft.compat.contrib.seq2seq.helpers import Helper
from slimft.compat.v1 import tf


class Decoder:
    """What `dynamic_decode` runs: the interface of decoders."""

    @property
    def batch_size(self):
        """The number of sequences, an int or a scalar tensor."""
        raise NotImplementedError

    @property
    def output_size(self):
        """The size or shape of a step's outputs without the batch, a structure of ints or TensorShapes."""
        raise NotImplementedError

    @property
    def output_dtype(self):
        """The types of a step's outputs, in the structure of `output_size`."""
        raise NotImplementedError

    def initialize(self, name=None):
        """Returns (finished, inputs, state) before the first step."""
        raise NotImplementedError

    def step(self, time, inputs, state, name=None):
        """Returns (outputs, next state, next inputs, finished)."""
        raise NotImplementedError

    def finalize(self, outputs, final_state, sequence_lengths):
        """Returns (outputs, final state) made of those of all steps, time first."""
        raise NotImplementedError

    @property
    def tracks_own_finished(self):
        """Whether a sequence that was finished may go on, as beams that change places do."""
        return False


class BasicDecoderOutput(collections.namedtuple("BasicDecoderOutput", ("rnn_output", "sample_id"))):
    """A cell's outputs and what the helper sampled from them."""


class BasicDecoder(Decoder):
    """Runs a cell on what a helper gives.

    Args:
        cell: an RNN cell.
        helper: a `Helper`.
        initial_state: the cell's state before the first step.
        output_layer: a layer of `tf.layers` between the cell's output and sampling, such as a Dense for logits.
    """

    def __init__(self, cell, helper, initial_state, output_layer=None):
        assert_like_rnncell(type(self).__name__, cell)
        if not isinstance(helper, Helper):
            raise TypeError(f"BasicDecoder: helper is not a tf.contrib.seq2seq.Helper: {helper!r}")
        if output_layer is not None and not callable(output_layer):
            raise TypeError(f"BasicDecoder: output_layer is not a layer: {output_layer!r}")
        self._cell, self._helper, self._initial_state, self._output_layer = (
            cell,
            helper,
            initial_state,
            output_layer,
        )

    @property
    def batch_size(self):
        return self._helper.batch_size

    @property
    def output_size(self):
        size = layer_output_size(self._cell, self._output_layer)
        return BasicDecoderOutput(rnn_output=size, sample_id=self._helper.sample_ids_shape)

    @property
    def output_dtype(self):
        dtype = tf.nest.flatten(self._initial_state)[0].dtype
        outputs = tf.nest.map_structure(lambda _: dtype, layer_output_size(self._cell, self._output_layer))
        return BasicDecoderOutput(outputs, self._helper.sample_ids_dtype)

    def initialize(self, name=None):
        return (*self._helper.initialize(), self._initial_state)

    def step(self, time, inputs, state, name=None):
        with tf.name_scope(name, "BasicDecoderStep", (time, inputs, state)):
            outputs, state = self._cell(inputs, state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            sample_ids = self._helper.sample(time=time, outputs=outputs, state=state)
            finished, next_inputs, next_state = self._helper.next_inputs(
                time=time, outputs=outputs, state=state, sample_ids=sample_ids
            )
        return BasicDecoderOutput(outputs, sample_ids), next_state, next_inputs, finished


def layer_output_size(cell, layer):
    """The size of what `layer` makes of a cell's outputs; of the outputs themselves without one."""
    if layer is None:
        return cell.output_size

    def size(cell_size):
        shape = layer.compute_output_shape(tf.TensorShape([None]).concatenate(tf.TensorShape(cell_size)))
        return tf.TensorShape(shape)[1:]

    return tf.nest.map_structure(lambda s: size([s] if isinstance(s, int) else s), cell.output_size)


def dynamic_decode(
    decoder,
    output_time_major=False,
    impute_finished=False,
    maximum_iterations=None,
    parallel_iterations=32,
    swap_memory=False,
    scope=None,
):
    """Runs a decoder until all sequences are finished.

    Args:
        decoder: a `Decoder`.
        output_time_major: outputs are [time, batch, ...] instead of [batch, time, ...].
        impute_finished: outputs of finished sequences are 0, and their states stay; the gradients are right either
            way if the loss is masked.
        maximum_iterations: an int or a scalar tensor: the most steps to take.
        parallel_iterations, swap_memory: of `tf.while_loop`.
        scope: the variable scope; ``decoder`` by default.

    Returns:
        (outputs, final state, final sequence lengths [batch]).
    """
    if not isinstance(decoder, Decoder):
        raise TypeError(f"dynamic_decode: decoder is not a tf.contrib.seq2seq.Decoder: {decoder!r}")
    with tf.variable_scope(scope, "decoder"):
        if maximum_iterations is not None:
            maximum_iterations = tf.convert_to_tensor(maximum_iterations, tf.int32, name="maximum_iterations")
            if maximum_iterations.shape.rank != 0:
                raise ValueError("dynamic_decode: maximum_iterations is not a scalar")
        finished, inputs, state = decoder.initialize()
        if maximum_iterations is not None:
            finished = tf.logical_or(finished, 0 >= maximum_iterations)
        zeros = tf.nest.map_structure(
            lambda size, dtype: tf.zeros(_concat(decoder.batch_size, size), dtype),
            decoder.output_size,
            decoder.output_dtype,
        )
        _, arrays, state, _, _, lengths = tf.while_loop(
            lambda time, arrays, state, inputs, finished, lengths: tf.logical_not(tf.reduce_all(finished)),
            lambda *loop: _step(decoder, zeros, impute_finished, *loop),
            loop_vars=(
                tf.constant(0, name="time"), _arrays(decoder), state, inputs, finished,
                tf.zeros_like(finished, dtype=tf.int32),
            ),
            parallel_iterations=parallel_iterations,
            swap_memory=swap_memory,
            maximum_iterations=maximum_iterations,
        )  # fmt: skip
        outputs = tf.nest.map_structure(lambda array: array.stack(), arrays)
        try:
            outputs, state = decoder.finalize(outputs, state, lengths)
        except NotImplementedError:
            pass
        if not output_time_major:
            outputs = tf.nest.map_structure(_transpose_batch_time, outputs)
    return outputs, state, lengths


def _arrays(decoder):
    """An array of steps for each output."""
    batch = tensor_util.constant_value(tf.convert_to_tensor(decoder.batch_size))

    def array(size, dtype):
        shape = tf.TensorShape([batch]).concatenate(tf.TensorShape([size] if isinstance(size, int) else size))
        return tf.TensorArray(dtype, size=0, dynamic_size=True, element_shape=shape)

    return tf.nest.map_structure(array, decoder.output_size, decoder.output_dtype)


def _step(decoder, zeros, impute_finished, time, arrays, state, inputs, finished, lengths):
    """The body of the loop: a decoder's step, written to `arrays`."""
    outputs, next_state, next_inputs, next_finished = decoder.step(time, inputs, state)
    if not decoder.tracks_own_finished:
        next_finished = tf.logical_or(next_finished, finished)
    lengths = tf.where(finished, lengths, tf.fill(tf.shape(lengths), time + 1))
    for old, new in ((state, next_state), (arrays, outputs), (inputs, next_inputs)):
        tf.nest.assert_same_structure(old, new)
    if impute_finished:
        outputs = tf.nest.map_structure(lambda out, zero: tf.where(finished, zero, out), outputs, zeros)
        next_state = tf.nest.map_structure(lambda new, old: _stay(finished, new, old), next_state, state)
    arrays = tf.nest.map_structure(lambda array, out: array.write(time, out), arrays, outputs)
    return time + 1, arrays, next_state, next_inputs, next_finished, lengths


def _stay(finished, new, old):
    """The old state of finished sequences, and the new of others; what has no batch is new."""
    if isinstance(old, tf.TensorArray) or old.shape.rank == 0:
        return new
    new.set_shape(old.shape)
    return tf.where(finished, old, new)
