"""LSTMs over time and frequency; source: TensorFlow 1.15's tensorflow/contrib/rnn/python/ops/rnn_cell.py."""

from __future__ import annotations

import collections

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import RNNCell

from slimft.compat.v1 import tf


def _sharded(name, shape, dtype, shards):
    """A matrix whose rows are in that many variables, as even as can be; one of that name if it is one."""
    if shards > shape[0]:
        raise ValueError(f"{name}: {shape[0]} rows cannot be in {shards} variables")
    if shards == 1:
        return tf.get_variable(f"{name}_0", shape, dtype)
    rows, more = divmod(shape[0], shards)
    parts = [tf.get_variable(f"{name}_{i}", [rows + (i < more), shape[1]], dtype) for i in range(shards)]
    return tf.concat(parts, 0)


def _clipped(c, limit):
    return c if limit is None else tf.clip_by_value(c, -limit, limit)


def _slices(inputs, begin, count, skip, size):
    return [inputs[:, begin + i * skip : begin + i * skip + size] for i in range(count)]


class TimeFreqLSTMCell(RNNCell):
    """An LSTM that goes through the frequencies of each step, with the same weights (arXiv:1604.06985).

    Args:
        num_units: size of each frequency's output.
        use_peepholes: whether gates see the cell.
        cell_clip: limit of the cell's values.
        initializer: of weights.
        num_unit_shards: in how many variables the weights are.
        forget_bias: added to the forget gate.
        feature_size: how many inputs make a frequency.
        frequency_skip: how many inputs further the next begins.
        reuse: whether to reuse variables.
    """

    def __init__(
        self, num_units, use_peepholes=False, cell_clip=None, initializer=None, num_unit_shards=1, forget_bias=1.0,
        feature_size=None, frequency_skip=1, reuse=None,
    ):  # fmt: skip
        super().__init__(_reuse=reuse)
        self._num_units, self._use_peepholes, self._cell_clip = num_units, use_peepholes, cell_clip
        self._shards, self._forget_bias = num_unit_shards, forget_bias
        self._feature_size, self._frequency_skip = feature_size, frequency_skip

    @property
    def output_size(self):
        return self._num_units

    @property
    def state_size(self):
        return 2 * self._num_units

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        width, size, dtype = inputs.shape.with_rank(2)[1], self._num_units, inputs.dtype
        if width is None:
            raise ValueError("the size of the inputs has to be known")
        count = (int(width) - self._feature_size) // self._frequency_skip + 1
        weights = _sharded("W", [self._feature_size + 2 * size, 4 * size], dtype, self._shards)
        bias = tf.get_variable("B", [4 * size], dtype, tf.zeros_initializer())
        w_f = w_i = w_o = 0.0
        if self._use_peepholes:
            w_f, w_i, w_o = (tf.get_variable(f"W_{gate}_diag", [size], dtype) for gate in "FIO")
        before = tf.zeros([tf.shape(inputs)[0], size], dtype)
        outputs, states = [], []
        for i, feature in enumerate(_slices(inputs, 0, count, self._frequency_skip, self._feature_size)):
            c, m = (state[:, (2 * i + j) * size : (2 * i + j + 1) * size] for j in range(2))
            gates = tf.nn.bias_add(tf.matmul(tf.concat([feature, m, before], 1), weights), bias)
            i_gate, j_gate, f_gate, o_gate = tf.split(gates, 4, 1)
            kept = tf.sigmoid(f_gate + self._forget_bias + w_f * c) * c
            c = _clipped(kept + tf.sigmoid(i_gate + w_i * c) * tf.tanh(j_gate), self._cell_clip)
            before = tf.sigmoid(o_gate + w_o * c) * tf.tanh(c)
            outputs.append(before)
            states += [c, before]
        return tf.concat(outputs, 1), tf.concat(states, 1)


class GridLSTMCell(RNNCell):
    """Two LSTMs, one through time and one through frequencies, that see each other (arXiv:1507.01526).

    Args:
        num_units: size of each LSTM's output.
        use_peepholes: whether gates see both cells.
        share_time_frequency_weights: whether both have the same weights.
        cell_clip: limit of the cells' values.
        initializer: of weights.
        num_unit_shards: in how many variables the weights are.
        forget_bias: added to the forget gates.
        feature_size: how many inputs make a frequency.
        frequency_skip: how many inputs further the next begins.
        num_frequency_blocks: a list: how many frequencies each block has; it is needed.
        start_freqindex_list: the first input of each block.
        end_freqindex_list: that after its last.
        couple_input_forget_gates: whether the forget gate is 1 - the input gate.
        state_is_tuple: whether states are named tuples; otherwise one tensor.
        reuse: whether to reuse variables.
    """

    def __init__(
        self, num_units, use_peepholes=False, share_time_frequency_weights=False, cell_clip=None, initializer=None,
        num_unit_shards=1, forget_bias=1.0, feature_size=None, frequency_skip=None, num_frequency_blocks=None,
        start_freqindex_list=None, end_freqindex_list=None, couple_input_forget_gates=False, state_is_tuple=True,
        reuse=None,
    ):  # fmt: skip
        super().__init__(_reuse=reuse)
        if num_frequency_blocks is None:
            raise ValueError("Must specify num_frequency_blocks")
        self._num_units, self._use_peepholes, self._cell_clip = num_units, use_peepholes, cell_clip
        self._shares, self._couples = share_time_frequency_weights, couple_input_forget_gates
        self._shards = num_unit_shards
        self._forget_bias, self._feature_size, self._frequency_skip = forget_bias, feature_size, frequency_skip
        self._blocks = [int(count) for count in num_frequency_blocks]
        self._starts, self._ends = start_freqindex_list, end_freqindex_list
        self._state_tuple_type = self._tuple_type("GridLSTMStateTuple", ["state"]) if state_is_tuple else None

    def _tuple_type(self, name, prefixes):
        return collections.namedtuple(
            name,
            [
                f"{prefix}_f{i:02d}_b{block:02d}_{part}"
                for prefix in prefixes
                for block, count in enumerate(self._blocks)
                for i in range(count)
                for part in "cm"
            ],
        )

    @property
    def output_size(self):
        return self._num_units * sum(self._blocks) * 2

    @property
    def state_size(self):
        if self._state_tuple_type is None:
            return self.output_size
        return self._state_tuple_type(*[self._num_units] * len(self._state_tuple_type._fields))

    @property
    def state_tuple_type(self):
        """The named tuple of states."""
        return self._state_tuple_type

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        outputs, states = [], []
        for block, features in enumerate(self._features(inputs)):
            output, new = self._through(features, block, state, "state")
            outputs += output
            states += new
        if self._state_tuple_type is None:
            return tf.concat(outputs, 1), tf.concat(states, 1)
        return tf.concat(outputs, 1), self._state_tuple_type(*states)

    def _features(self, inputs, offset=0):
        """For each block the inputs ``[batch, feature_size]`` of its frequencies."""
        width = inputs.shape.with_rank(2)[1]
        if width is None:
            raise ValueError("the size of the inputs has to be known")
        if offset:
            inputs = tf.pad(inputs, [[0, 0], [max(-offset, 0), max(offset, 0)]])
        ranges = list(zip(self._starts, self._ends)) if self._starts else [(0, int(width))]
        if len(ranges) != len(self._blocks) or len(self._starts or ()) != len(self._ends or ()):
            raise ValueError(
                "num_frequency_blocks, start_freqindex_list and end_freqindex_list have other lengths: "
                f"{self._blocks}, {self._starts}, {self._ends}"
            )
        features = []
        for (start, end), count in zip(ranges, self._blocks):
            fitting = (end - start - self._feature_size) // self._frequency_skip + 1
            if fitting != count:
                raise ValueError(f"Invalid num_frequency_blocks, requires {fitting} but gets {count}")
            features.append(
                _slices(inputs, start + max(offset, 0), count, self._frequency_skip, self._feature_size)
            )
        return features

    def _peepholes(self, kinds, block, dtype):
        """Weights by kind, such as freqf, and gate; none are 0."""
        if not self._use_peepholes:
            return collections.defaultdict(float)
        gates = "IO" if self._couples else "FIO"
        return {
            (kind, gate): tf.get_variable(f"W_{gate}_diag_{kind}_{block}", [self._num_units], dtype)
            for pair in kinds
            for gate in gates
            for kind in (f"{pair}f", f"{pair}t")
        }

    def _through(self, features, block, state, prefix):
        """The outputs and states of a block's frequencies, one after the other."""
        size, dtype = self._num_units, features[0].dtype
        gates = 3 if self._couples else 4
        kinds = ["freq"] if self._shares else ["freq", "time"]
        weights = {}
        for kind in kinds:
            shape = [self._feature_size + 2 * size, gates * size]
            matrix = _sharded(f"W_{kind[0]}_{block}", shape, dtype, self._shards)
            bias = tf.get_variable(f"B_{kind[0]}_{block}", [gates * size], dtype, tf.zeros_initializer())
            weights[kind] = matrix, bias
        peepholes = self._peepholes(kinds, block, dtype)
        c_freq = m_freq = tf.zeros([tf.shape(features[0])[0], size], dtype)
        outputs, states = [], []
        for i, feature in enumerate(features):
            c_time, m_time = self._state_of(state, f"{prefix}_f{i:02d}_b{block:02d}", i)
            inputs = tf.concat([feature, m_time, m_freq], 1)
            split = {
                kind: tf.split(tf.nn.bias_add(tf.matmul(inputs, matrix), bias), gates, 1)
                for kind, (matrix, bias) in weights.items()
            }
            cells = c_freq, c_time
            c_freq = self._cell(split["freq"], peepholes, "freq", cells, c_freq)
            c_time = self._cell(split[kinds[-1]], peepholes, kinds[-1], cells, c_time)
            cells = c_freq, c_time
            m_freq = self._gate(split["freq"][-1], peepholes, "freq", "O", cells) * tf.tanh(c_freq)
            m_time = self._gate(split[kinds[-1]][-1], peepholes, kinds[-1], "O", cells) * tf.tanh(c_time)
            outputs += [m_time, m_freq]
            states += [c_time, m_time]
        return outputs, states

    def _state_of(self, state, name, i):
        if self._state_tuple_type is not None:
            return getattr(state, f"{name}_c"), getattr(state, f"{name}_m")
        size = self._num_units
        return [state[:, (2 * i + j) * size : (2 * i + j + 1) * size] for j in range(2)]

    @staticmethod
    def _gate(value, peepholes, kind, gate, cells):
        return tf.sigmoid(value + peepholes[f"{kind}f", gate] * cells[0] + peepholes[f"{kind}t", gate] * cells[1])

    def _cell(self, split, peepholes, kind, cells, before):
        """The new cell of one of both LSTMs."""
        added = self._gate(split[0], peepholes, kind, "I", cells)
        kept = 1.0 - added if self._couples else self._gate(
            split[2] + self._forget_bias, peepholes, kind, "F", cells
        )  # fmt: skip
        return _clipped(kept * before + added * tf.tanh(split[1]), self._cell_clip)


class BidirectionalGridLSTMCell(GridLSTMCell):
    """A `GridLSTMCell` that goes through the frequencies in both directions.

    Args:
        num_units: see `GridLSTMCell`, also for the others.
        backward_slice_offset: by how many inputs the backward direction begins later.
    """

    def __init__(
        self, num_units, use_peepholes=False, share_time_frequency_weights=False, cell_clip=None, initializer=None,
        num_unit_shards=1, forget_bias=1.0, feature_size=None, frequency_skip=None, num_frequency_blocks=None,
        start_freqindex_list=None, end_freqindex_list=None, couple_input_forget_gates=False,
        backward_slice_offset=0, reuse=None,
    ):  # fmt: skip
        super().__init__(
            num_units, use_peepholes, share_time_frequency_weights, cell_clip, initializer, num_unit_shards,
            forget_bias, feature_size, frequency_skip, num_frequency_blocks, start_freqindex_list,
            end_freqindex_list, couple_input_forget_gates, True, reuse,
        )  # fmt: skip
        self._offset = int(backward_slice_offset)
        prefixes = ["fwd_state", "bwd_state"]
        self._state_tuple_type = self._tuple_type("BidirectionalGridLSTMStateTuple", prefixes)

    @property
    def output_size(self):
        return 2 * super().output_size

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, state):
        outputs, states = [], []
        for scope, offset in (("fwd", 0), ("bwd", self._offset)):
            with tf.variable_scope(scope):
                for block, features in enumerate(self._features(inputs, offset)):
                    ordered = features if scope == "fwd" else features[::-1]
                    output, new = self._through(ordered, block, state, f"{scope}_state")
                    outputs += output
                    states += new
        return tf.concat(outputs, 1), self._state_tuple_type(*states)
