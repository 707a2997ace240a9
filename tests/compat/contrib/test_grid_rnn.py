"""tf.contrib.grid_rnn and tf.contrib.rnn's grids: names and figures measured with TensorFlow 1.15.5."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import grid_rnn, rnn
from slimft.compat.legacy_names import resolve

BLOCKS = {"feature_size": 2, "frequency_skip": 2, "num_frequency_blocks": [3]}


def figures(cell):
    """The names of a cell's variables, and the sum of the magnitudes of its outputs and of each state.

    Variables are sines, as they were in 1.15.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        cell = cell()
        inputs = tf.constant(np.random.RandomState(0).normal(size=(2, 3, 6)).astype("f"))
        with tf.variable_scope("s", initializer=tf.ones_initializer()):
            results = tf.nn.dynamic_rnn(cell, inputs, dtype=tf.float32)
        variables = tf.global_variables()
        session.run(tf.global_variables_initializer())
        for i, variable in enumerate(variables):
            shape = variable.shape.as_list()
            variable.load(np.sin(np.arange(np.prod(shape)) * (i + 1)).reshape(shape) * 0.7, session)
        sums = [float(np.abs(value).sum()) for value in tf.nest.flatten(session.run(results))]
        return [variable.op.name.removeprefix("s/rnn/") for variable in variables], sums


@pytest.mark.parametrize(
    ("cell", "sums"),
    [
        (lambda: grid_rnn.Grid2BasicRNNCell(4), [14.6517, 3.9635, 5.8781]),
        (lambda: grid_rnn.Grid2BasicLSTMCell(4, tied=True, forget_bias=0.5),
         [6.3130, 5.5174, 1.8534, 1.8927, 0.8351]),
        (lambda: grid_rnn.Grid2BasicLSTMCell(4, non_recurrent_fn=tf.nn.relu, output_is_tuple=False,
                                             state_is_tuple=False), [13.2329, 2.8336]),
        (lambda: grid_rnn.Grid2LSTMCell(4, use_peepholes=True), [7.3065, 4.4085, 2.0002, 2.0135, 0.7823]),
        (lambda: grid_rnn.Grid2GRUCell(4, non_recurrent_fn=tf.nn.relu), [19.2590, 2.0934]),
        (lambda: grid_rnn.GridRNNCell(3, 3, [0, 1], [0, 2], None, [1]),
         [3.1087, 4.1331, 2.5842, 0.8600, 3.0978, 1.4133]),
        (lambda: rnn.GridLSTMCell(3, feature_size=2, frequency_skip=1, num_frequency_blocks=[5],
                                  state_is_tuple=False), [34.5327, 23.4549]),
        (lambda: rnn.GridLSTMCell(3, share_time_frequency_weights=True, use_peepholes=True, cell_clip=0.4,
                                  couple_input_forget_gates=True, feature_size=2, frequency_skip=2,
                                  num_frequency_blocks=[2, 1], start_freqindex_list=[0, 3],
                                  end_freqindex_list=[4, 6], num_unit_shards=3),
         [13.1191, 1.6311, 0.7815, 1.2188, 0.5769, 1.7168, 0.9949]),
        (lambda: rnn.BidirectionalGridLSTMCell(3, backward_slice_offset=1, **BLOCKS),
         [37.2524, 3.4304, 1.5904, 3.7364, 1.2779, 3.2493, 1.4645, 2.1839, 0.9866, 3.4238, 1.3358, 2.6159, 1.2835]),
        (lambda: rnn.TimeFreqLSTMCell(3, use_peepholes=True, feature_size=6, cell_clip=0.5), [2.7612, 2.7146]),
        (lambda: rnn.IndRNNCell(4), [13.7662, 2.6916]),
        (lambda: rnn.IndyGRUCell(4), [8.9973, 3.1474]),
        (lambda: rnn.IndyLSTMCell(4), [5.2265, 4.2797, 1.8748]),
        (lambda: rnn.SRUCell(4), [15.6953, 5.6133]),
        (lambda: rnn.CompiledWrapper(rnn.BasicLSTMCell(3)), [3.5579, 3.1379, 1.1369]),
    ],
)  # fmt: skip
def test_figures_are_those_of_1_15(cell, sums):
    np.testing.assert_allclose(figures(cell)[1], sums, atol=2e-4)


def test_variables_have_the_names_of_1_15():
    assert figures(lambda: grid_rnn.Grid2BasicLSTMCell(4, tied=True))[0] == [
        *(f"Grid2BasicLSTMCell/{name}" for name in ("project_m_0", "project_c_0")),
        *(f"Grid2BasicLSTMCell/recurrent/basic_lstm_cell/{name}" for name in ("kernel", "bias")),
    ]
    assert figures(lambda: grid_rnn.Grid2BasicRNNCell(4, non_recurrent_fn=tf.nn.relu))[0] == [
        "Grid2BasicRNNCell/project_m_0",
        *(f"Grid2BasicRNNCell/recurrent/cell_1/basic_rnn_cell/{name}" for name in ("kernel", "bias")),
        *(f"Grid2BasicRNNCell/non_recurrent/cell_0/fully_connected/{name}" for name in ("weights", "biases")),
    ]
    names, _ = figures(lambda: rnn.BidirectionalGridLSTMCell(3, **BLOCKS))
    assert names == [
        f"bidirectional_grid_lstm_cell/{way}/{name}"
        for way in ("fwd", "bwd")
        for name in ("W_f_0_0", "B_f_0", "W_t_0_0", "B_t_0")
    ]


def test_tied_layers_share_their_weights():
    """1.15 cannot build this one."""
    names, _ = figures(lambda: grid_rnn.Grid2BasicRNNCell(4, tied=True, non_recurrent_fn=tf.nn.tanh))
    assert "Grid2BasicRNNCell/non_recurrent/fully_connected/weights" in names


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="dims must be"):
        grid_rnn.GridRNNCell(3, 0)
    with pytest.raises(ValueError, match="Invalid dims"):
        grid_rnn.GridRNNCell(3, 2, [2])
    with pytest.raises(ValueError, match="num_frequency_blocks"):
        rnn.GridLSTMCell(3)
    with pytest.raises(ValueError, match="requires 3 but gets 2"):
        figures(lambda: rnn.GridLSTMCell(3, **{**BLOCKS, "num_frequency_blocks": [2]}))
    assert resolve("tensorflow.contrib.grid_rnn.python.ops.grid_rnn_cell").Grid2LSTMCell is grid_rnn.Grid2LSTMCell
