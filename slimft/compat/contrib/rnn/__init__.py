"""What `tf.contrib.rnn` was: the cells of `tf.nn.rnn_cell` and those that only tf.contrib had, and their loops.

Variables have the names of TensorFlow 1.15, so that its checkpoints restore. Source: TensorFlow 1.15's
tensorflow/contrib/rnn/__init__.py.
"""

import sys

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import (
    BasicLSTMCell,
    BasicRNNCell,
    DeviceWrapper,
    DropoutWrapper,
    GRUCell,
    LayerRNNCell,
    LSTMCell,
    LSTMStateTuple,
    MultiRNNCell,
    ResidualWrapper,
    RNNCell,
    _concat,
    _zero_state_tensors,
)
from tensorflow.python.ops.rnn import (
    _best_effort_input_batch_size,
    _infer_state_dtype,
    _reverse_seq,
    _rnn_step,
    _transpose_batch_time,
    bidirectional_dynamic_rnn,
    dynamic_rnn,
    raw_rnn,
    static_bidirectional_rnn,
    static_rnn,
    static_state_saving_rnn,
)

from slimft.compat.contrib.rnn.block import (
    FusedRNNCell,
    FusedRNNCellAdaptor,
    GRUBlockCell,
    GRUBlockCellV2,
    LSTMBlockCell,
    LSTMBlockFusedCell,
    LSTMBlockWrapper,
    TimeReversedFusedRNN,
)
from slimft.compat.contrib.rnn.convolutional import Conv1DLSTMCell, Conv2DLSTMCell, Conv3DLSTMCell, ConvLSTMCell
from slimft.compat.contrib.rnn.gated import GLSTMCell, IntersectionRNNCell, NASCell, PhasedLSTMCell, UGRNNCell
from slimft.compat.contrib.rnn.grids import BidirectionalGridLSTMCell, GridLSTMCell, TimeFreqLSTMCell
from slimft.compat.contrib.rnn.independent import CompiledWrapper, IndRNNCell, IndyGRUCell, IndyLSTMCell, SRUCell
from slimft.compat.contrib.rnn.linear import _like_rnncell, _Linear, _linear, assert_like_rnncell
from slimft.compat.contrib.rnn.lstm import CoupledInputForgetGateLSTMCell, LayerNormBasicLSTMCell, LayerNormLSTMCell
from slimft.compat.contrib.rnn.stacks import (
    stack_bidirectional_dynamic_rnn,
    stack_bidirectional_rnn,
    transpose_batch_time,
)
from slimft.compat.contrib.rnn.wrappers import (
    AttentionCellWrapper,
    EmbeddingWrapper,
    HighwayWrapper,
    InputProjectionWrapper,
    OutputProjectionWrapper,
)

# TensorFlow 1.0 and older.
linear = _linear
state_saving_rnn = static_state_saving_rnn
bidirectional_rnn = static_bidirectional_rnn
_WEIGHTS_VARIABLE_NAME, _BIAS_VARIABLE_NAME = "kernel", "bias"
best_effort_input_batch_size = _best_effort_input_batch_size
_RNNCell, _LayerRNNCell = RNNCell, LayerRNNCell
# Modules of which each has all names of the package.
core_rnn_cell = core_rnn_cell_impl = core_rnn = rnn = rnn_cell = rnn_cell_impl = sys.modules[__name__]
lstm_ops = gru_ops = fused_rnn_cell = sys.modules[__name__]

__all__ = [
    "AttentionCellWrapper", "BasicLSTMCell", "BasicRNNCell", "BidirectionalGridLSTMCell", "CompiledWrapper",
    "GridLSTMCell", "IndRNNCell", "IndyGRUCell", "IndyLSTMCell", "SRUCell", "TimeFreqLSTMCell",
    "best_effort_input_batch_size", "Conv1DLSTMCell", "Conv2DLSTMCell", "Conv3DLSTMCell",
    "ConvLSTMCell", "CoupledInputForgetGateLSTMCell", "DeviceWrapper", "DropoutWrapper", "EmbeddingWrapper",
    "FusedRNNCell", "FusedRNNCellAdaptor", "GLSTMCell", "GRUBlockCell", "GRUBlockCellV2", "GRUCell",
    "HighwayWrapper", "InputProjectionWrapper", "IntersectionRNNCell", "LSTMBlockCell", "LSTMBlockFusedCell",
    "LSTMBlockWrapper", "LSTMCell", "LSTMStateTuple", "LayerNormBasicLSTMCell", "LayerNormLSTMCell", "LayerRNNCell",
    "MultiRNNCell", "NASCell", "OutputProjectionWrapper", "PhasedLSTMCell", "RNNCell", "ResidualWrapper",
    "TimeReversedFusedRNN", "UGRNNCell", "_Linear", "_best_effort_input_batch_size", "_concat",
    "_infer_state_dtype", "_like_rnncell", "_linear", "_reverse_seq", "_rnn_step", "_transpose_batch_time",
    "_zero_state_tensors",
    "assert_like_rnncell", "bidirectional_dynamic_rnn", "bidirectional_rnn", "core_rnn_cell", "dynamic_rnn",
    "linear", "raw_rnn", "rnn", "stack_bidirectional_dynamic_rnn", "stack_bidirectional_rnn", "state_saving_rnn",
    "static_bidirectional_rnn", "static_rnn", "static_state_saving_rnn", "transpose_batch_time",
]  # fmt: skip
