"""A cell with attention; source: TensorFlow 1.15's tensorflow/contrib/seq2seq/python/ops/attention_wrapper.py."""

from __future__ import annotations

import collections

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import (
    RNNCell,
    _zero_state_tensors,
    assert_like_rnncell,
)

from slimft.compat.contrib.seq2seq.attention import AttentionMechanism
from slimft.compat.v1 import tf

_TILE = (
    "with a BeamSearchDecoder, encoder outputs, their lengths and the initial state have to be tiled by "
    "tf.contrib.seq2seq.tile_batch(..., multiplier=beam_width), and batch_size is batch * beam_width"
)


class AttentionWrapperState(
    collections.namedtuple(
        "AttentionWrapperState",
        ("cell_state", "attention", "time", "alignments", "alignment_history", "attention_state"),
    )
):
    """The state of an `AttentionWrapper`: the cell's, and the attention of the step before."""

    def clone(self, **kwargs):
        """The state with some parts replaced, such as `cell_state` by an encoder's; these keep known shapes.

        Raises:
            ValueError: a replacement is of another shape.
        """

        def shaped(old, new):
            if tf.is_tensor(old) and tf.is_tensor(new):
                if not old.shape.is_compatible_with(new.shape):
                    raise ValueError(
                        f"AttentionWrapperState.clone: the new {new.name} of shape {new.shape} does not fit "
                        f"{old.name} of shape {old.shape}; {_TILE}"
                    )
                new = tf.identity(new) if old.shape != new.shape else new
                new.set_shape(old.shape)
            return new

        return tf.nest.map_structure(shaped, self, self._replace(**kwargs))


class AttentionWrapper(RNNCell):
    """Wraps a cell: its output queries the memory; what is found goes into the output and the next step's input.

    Args:
        cell: an RNN cell.
        attention_mechanism: an `AttentionMechanism`, or several in a list.
        attention_layer_size: the size of a linear layer over the cell's output and the context that the mechanism
            gives; None: the context is the attention. A list for several.
        alignment_history: whether the state holds the alignments of all steps.
        cell_input_fn: from inputs and attention to the cell's inputs; both side by side by default.
        output_attention: the output is the attention; False: the cell's output.
        initial_cell_state: the cell's part of `zero_state`.
        name: of the layer.
        attention_layer: a layer, or several, instead of `attention_layer_size`.
        attention_fn: instead of `_compute_attention`, with its arguments and results.
    """

    def __init__(
        self,
        cell,
        attention_mechanism,
        attention_layer_size=None,
        alignment_history=False,
        cell_input_fn=None,
        output_attention=True,
        initial_cell_state=None,
        name=None,
        attention_layer=None,
        attention_fn=None,
    ):
        super().__init__(name=name)
        assert_like_rnncell("cell", cell)
        self._is_multi = isinstance(attention_mechanism, (list, tuple))
        mechanisms = tuple(attention_mechanism) if self._is_multi else (attention_mechanism,)
        for mechanism in mechanisms:
            if not isinstance(mechanism, AttentionMechanism):
                raise TypeError(f"AttentionWrapper: attention_mechanism is none: {mechanism!r}")
        if cell_input_fn is not None and not callable(cell_input_fn):
            raise TypeError(f"AttentionWrapper: cell_input_fn is not a function: {cell_input_fn!r}")
        self._cell, self._attention_mechanisms = cell, mechanisms
        self._cell_input_fn = cell_input_fn or (lambda inputs, attention: tf.concat([inputs, attention], -1))
        self._output_attention, self._alignment_history = output_attention, alignment_history
        self._attention_fn = attention_fn or _compute_attention
        self._set_layers(attention_layer_size, attention_layer)
        self._initial_cell_state = None
        if initial_cell_state is not None:
            batch_size = _batch_size(tf.nest.flatten(initial_cell_state)[-1])
            with tf.name_scope(name, "AttentionWrapperInit"):
                self._initial_cell_state = self._checked(initial_cell_state, batch_size, "initial_cell_state")

    def _set_layers(self, sizes, layers):
        """The attention layers and the size of the attention."""
        mechanisms = self._attention_mechanisms
        if sizes is not None and layers is not None:
            raise ValueError("AttentionWrapper: attention_layer_size and attention_layer exclude each other")
        self._attention_layers = None
        contexts = [mechanism.values.shape.as_list()[-1] for mechanism in mechanisms]
        self._attention_layer_size = None if None in contexts else sum(contexts)
        if sizes is not None:
            sizes = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
            self._attention_layers = tuple(
                tf.layers.Dense(size, name="attention_layer", use_bias=False, dtype=mechanism.dtype)
                for size, mechanism in zip(sizes, mechanisms)
            )
            self._attention_layer_size = sum(sizes)
        elif layers is not None:
            self._attention_layers = tuple(layers) if isinstance(layers, (list, tuple)) else (layers,)
            # The sizes of the layer's outputs, from those of its inputs.
            shapes = [
                layer.compute_output_shape(tf.TensorShape([None, self._cell.output_size + context]))
                for layer, context in zip(self._attention_layers, contexts)
            ]
            self._attention_layer_size = sum(tf.TensorShape(shape).as_list()[-1] for shape in shapes)
        given = sizes if sizes is not None else self._attention_layers
        if given is not None and len(given) != len(mechanisms):
            raise ValueError(
                f"AttentionWrapper: {len(mechanisms)} attention mechanisms, and {len(given)} attention layers"
            )

    def _checked(self, tensors, batch_size, what):
        """`tensors`, once the batch is seen to be that of the memory."""
        message = f"AttentionWrapper {self.name}: {what} is not of the memory's batch size; {_TILE}"
        with tf.control_dependencies(
            [tf.assert_equal(batch_size, m.batch_size, message=message) for m in self._attention_mechanisms]
        ):
            return tf.nest.map_structure(tf.identity, tensors)

    def _item_or_tuple(self, values):
        """A tuple if there are several mechanisms."""
        values = tuple(values)
        return values if self._is_multi else values[0]

    @property
    def output_size(self):
        return self._attention_layer_size if self._output_attention else self._cell.output_size

    @property
    def state_size(self):
        mechanisms = self._attention_mechanisms
        return AttentionWrapperState(
            cell_state=self._cell.state_size,
            time=tf.TensorShape([]),
            attention=self._attention_layer_size,
            alignments=self._item_or_tuple(m.alignments_size for m in mechanisms),
            attention_state=self._item_or_tuple(m.state_size for m in mechanisms),
            alignment_history=self._item_or_tuple(
                m.alignments_size if self._alignment_history else () for m in mechanisms
            ),
        )

    def zero_state(self, batch_size, dtype):
        """The state before the first step.

        Raises:
            InvalidArgumentError: when it is run, if `batch_size` is not the memory's.
        """
        mechanisms = self._attention_mechanisms
        with tf.name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            cell_state = self._initial_cell_state
            if cell_state is None:
                cell_state = self._cell.zero_state(batch_size, dtype)
            alignments = [m.initial_alignments(batch_size, dtype) for m in mechanisms]
            return AttentionWrapperState(
                cell_state=self._checked(cell_state, batch_size, "zero_state's batch_size"),
                time=tf.zeros([], tf.int32),
                attention=_zero_state_tensors(self._attention_layer_size, batch_size, dtype),
                alignments=self._item_or_tuple(alignments),
                attention_state=self._item_or_tuple(m.initial_state(batch_size, dtype) for m in mechanisms),
                alignment_history=self._item_or_tuple(
                    tf.TensorArray(dtype, size=0, dynamic_size=True, element_shape=initial.shape)
                    if self._alignment_history
                    else ()
                    for initial in alignments
                ),
            )

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        """A step: inputs [batch, size] and an `AttentionWrapperState` to the output and the next state."""
        if not isinstance(state, AttentionWrapperState):
            raise TypeError(
                f"AttentionWrapper: the state is no AttentionWrapperState but a {type(state).__name__}; take "
                "zero_state(...).clone(cell_state=encoder_state)"
            )
        cell_output, cell_state = self._cell(self._cell_input_fn(inputs, state.attention), state.cell_state)
        cell_output = self._checked(cell_output, _batch_size(cell_output), "the cell's output")
        as_list = (lambda value: value) if self._is_multi else (lambda value: [value])
        states, histories = as_list(state.attention_state), as_list(state.alignment_history)
        layers = self._attention_layers or [None] * len(self._attention_mechanisms)
        attentions, all_alignments, next_states = zip(
            *(
                self._attention_fn(mechanism, cell_output, attention_state, layer)
                for mechanism, attention_state, layer in zip(self._attention_mechanisms, states, layers)
            )
        )
        if self._alignment_history:
            histories = [h.write(state.time, a) for h, a in zip(histories, all_alignments)]
        attention = tf.concat(attentions, 1)
        next_state = AttentionWrapperState(
            time=state.time + 1,
            cell_state=cell_state,
            attention=attention,
            attention_state=self._item_or_tuple(next_states),
            alignments=self._item_or_tuple(all_alignments),
            alignment_history=self._item_or_tuple(histories),
        )
        return attention if self._output_attention else cell_output, next_state


def _batch_size(tensor):
    """The size of a tensor's first axis, an int where it is known."""
    return tensor.shape.as_list()[0] or tf.shape(tensor)[0]


def _compute_attention(attention_mechanism, cell_output, attention_state, attention_layer):
    """Returns (attention, alignments, next attention state) for the query `cell_output`."""
    alignments, next_state = attention_mechanism(cell_output, state=attention_state)
    context = tf.squeeze(tf.matmul(tf.expand_dims(alignments, 1), attention_mechanism.values), [1])
    attention = context if attention_layer is None else attention_layer(tf.concat([cell_output, context], 1))
    return attention, alignments, next_state
