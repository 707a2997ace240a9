"""tf.contrib.rnn and tf.contrib.cudnn_rnn: cells against their equations in NumPy and against other cells."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import cudnn_rnn, rnn

RANDOM = np.random.RandomState(2)
INPUTS = RANDOM.normal(size=(3, 5)).astype(np.float32)
UNITS = 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(cell, inputs=INPUTS, scale=0.7):
    """Output, state before, state after (as lists) and variables of a step with random variables and state."""
    random = np.random.RandomState(3)
    with tf.Graph().as_default(), tf.Session() as session:
        cell = cell()
        zero = cell.zero_state(len(INPUTS), tf.float32)
        before = [random.normal(size=t.shape).astype(np.float32) for t in tf.nest.flatten(zero)]
        state = tf.nest.pack_sequence_as(zero, [tf.constant(b) for b in before])
        inputs = tf.nest.map_structure(tf.constant, inputs)
        output, after = cell(inputs, state)
        tf.nest.assert_same_structure(zero, after)
        assert output.shape[1:] == tf.TensorShape(
            [cell.output_size] if isinstance(cell.output_size, int) else cell.output_size
        )
        gradients = tf.gradients([output, *tf.nest.flatten(after)], tf.trainable_variables())
        assert all(g is not None for g in gradients) or getattr(cell, "_layer_norm", False)
        session.run(tf.global_variables_initializer())
        for v in tf.global_variables():
            v.load((scale * random.uniform(0.2, 1, size=v.shape) * random.choice([-1, 1], v.shape)), session)
        output, after = session.run([output, tf.nest.flatten(after)])
        variables = {v.op.name: v.eval(session) for v in tf.global_variables()}
    return output, before, after, variables


def normalized(x, variables, scope):
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    return x * variables[f"{scope}/gamma"] + variables[f"{scope}/beta"]


def same(results, *expected):
    for result, by_numpy in zip(results, expected):
        np.testing.assert_allclose(result, by_numpy, rtol=2e-4, atol=2e-5)


def test_the_cells_of_tensorflow_and_their_names():
    assert rnn.BasicLSTMCell is tf.nn.rnn_cell.BasicLSTMCell and rnn.static_rnn is tf.nn.static_rnn
    assert rnn.core_rnn_cell.LSTMStateTuple is tf.nn.rnn_cell.LSTMStateTuple
    assert tf.contrib.rnn.python.ops.core_rnn_cell._linear is rnn._linear
    assert tf.contrib.rnn.rnn_cell.GRUCell is tf.nn.rnn_cell.GRUCell
    with tf.Graph().as_default():
        for made in (rnn.BasicLSTMCell(4, state_is_tuple=False), rnn.MultiRNNCell([rnn.GRUCell(4)] * 2, False)):
            scope = "one" if isinstance(made, rnn.BasicLSTMCell) else "stack"
            outputs, state = tf.nn.dynamic_rnn(made, tf.zeros([2, 3, 4]), dtype=tf.float32, scope=scope)
            assert state.shape == (2, 8) and outputs.shape == (2, 3, 4)
        shapes = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
    assert shapes["one/basic_lstm_cell/kernel"] == [8, 16]
    assert shapes["stack/multi_rnn_cell/cell_0/gru_cell/candidate/bias"] == [4]


@pytest.mark.parametrize("peephole", [False, True])
def test_lstms_of_one_op_are_lstm_cells(peephole):
    def cell(kind, **kwargs):
        return step(lambda: kind(UNITS, **kwargs))

    reference = cell(rnn.LSTMCell, use_peepholes=peephole, cell_clip=0.8)
    block = cell(rnn.LSTMBlockCell, use_peephole=peephole, cell_clip=0.8)
    assert reference[3].keys() == block[3].keys()
    same([block[0], *block[2]], reference[0], *reference[2])
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(RANDOM.normal(size=(6, 3, 5)), tf.float32)
        fused = rnn.LSTMBlockFusedCell(UNITS, use_peephole=peephole)
        outputs, state = fused(x, dtype=tf.float32, sequence_length=tf.constant([6, 2, 0]))
        back, _ = rnn.TimeReversedFusedRNN(fused)(tf.unstack(x), dtype=tf.float32)
        weights = tf.trainable_variables()
        names = sorted(v.op.name for v in weights)
        plain = rnn.LSTMCell(UNITS, use_peepholes=peephole)
        cell = rnn.FusedRNNCellAdaptor(plain, use_dynamic_rnn=True)
        expected, last = cell(x, dtype=tf.float32, sequence_length=[6, 2, 0])
        copies = tf.trainable_variables("rnn/lstm_cell")
        by_name = {v.op.name.rpartition("/")[2]: v for v in weights}
        weights = [by_name[v.op.name.rpartition("/")[2]] for v in copies]
        session.run(tf.global_variables_initializer())
        session.run([copy.assign(weight) for copy, weight in zip(copies, weights)])
        gradients = [tf.gradients(tf.reduce_sum(y * y), v) for y, v in ((outputs, weights), (expected, copies))]
        (o, s, e, ls), (g, h), b = session.run([(outputs, state, expected, last), gradients, back])
    peepholes = [f"lstm_fused_cell/w_{gate}_diag" for gate in "fio"] if peephole else []
    assert names == ["lstm_fused_cell/bias", "lstm_fused_cell/kernel", *peepholes]
    same([o, *s, *g], e, *ls, *h)
    assert len(b) == 6


def test_gru_blocks_are_gru_cells():
    reference = step(lambda: rnn.GRUCell(UNITS))
    block = step(lambda: rnn.GRUBlockCellV2(UNITS))
    assert sorted(reference[3]) == sorted(block[3])
    same([block[0]], reference[0])
    assert sorted(step(lambda: rnn.GRUBlockCell(UNITS))[3]) == [
        f"gru_cell/{n}" for n in ("b_c", "b_ru", "w_c", "w_ru")
    ]


def test_layer_norm_lstm():
    output, (c, h), after, v = step(lambda: rnn.LayerNormBasicLSTMCell(UNITS, norm_gain=0.5))
    v = {name.removeprefix("layer_norm_basic_lstm_cell/"): value for name, value in v.items()}
    assert len(v) == 11
    gates = np.split(np.concatenate([INPUTS, h], 1) @ v["kernel"], 4, 1)
    i, j, f, o = (normalized(g, v, s) for g, s in zip(gates, ("input", "transform", "forget", "output")))
    c = normalized(c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j), v, "state")
    h = np.tanh(c) * sigmoid(o)
    same([output, *after], h, c, h)
    full = step(
        lambda: rnn.LayerNormLSTMCell(UNITS, layer_norm=True, use_peepholes=True, num_proj=3, cell_clip=9.0)
    )
    assert {n.partition("/")[2] for n in full[3]} - set(v) == {"bias", "projection/kernel"} | {
        f"w_{gate}_diag" for gate in "fio"
    }
    plain = step(lambda: rnn.LayerNormLSTMCell(UNITS, use_peepholes=True))
    lstm = step(lambda: rnn.LSTMCell(UNITS, use_peepholes=True))
    same([plain[0], *plain[2]], lstm[0], *lstm[2])


def test_coupled_gates():
    output, (c, m), after, v = step(
        lambda: rnn.CoupledInputForgetGateLSTMCell(UNITS, use_peepholes=True, num_proj=3, proj_clip=0.4)
    )
    v = {name.removeprefix("coupled_input_forget_gate_lstm_cell/"): value for name, value in v.items()}
    assert sorted(v) == ["B", "W_0", "W_F_diag", "W_O_diag", "W_P_0"]
    j, f, o = np.split(np.concatenate([INPUTS, m], 1) @ v["W_0"] + v["B"], 3, 1)
    keep = sigmoid(f + 1 + v["W_F_diag"] * c)
    c = keep * c + (1 - keep) * np.tanh(j)
    m = np.clip((sigmoid(o + v["W_O_diag"] * c) * np.tanh(c)) @ v["W_P_0"], -0.4, 0.4)
    same([output, *after], m, c, m)


def test_wrappers():
    output, (c,), after, v = step(lambda: rnn.OutputProjectionWrapper(rnn.BasicRNNCell(UNITS), 2, tf.nn.relu))
    state = np.tanh(
        np.concatenate([INPUTS, c], 1) @ v["output_projection_wrapper/basic_rnn_cell/kernel"]
        + v["output_projection_wrapper/basic_rnn_cell/bias"]
    )
    projected = state @ v["output_projection_wrapper/kernel"] + v["output_projection_wrapper/bias"]
    same([output, *after], np.maximum(projected, 0), state)
    _, _, _, v = step(lambda: rnn.InputProjectionWrapper(rnn.GRUCell(UNITS), 2))
    assert v["input_projection_wrapper/kernel"].shape == (5, 2)
    assert v["input_projection_wrapper/gru_cell/gates/kernel"].shape == (6, 8)
    output, _, _, v = step(lambda: rnn.EmbeddingWrapper(rnn.BasicRNNCell(UNITS), 7, 2), np.array([1, 6, 1]))
    assert v["embedding_wrapper/embedding"].shape == (7, 2) and output.shape == (3, UNITS)
    _, _, _, v = step(lambda: rnn.HighwayWrapper(rnn.BasicRNNCell(5), couple_carry_transform_gates=False))
    assert {"carry_w", "carry_b", "transform_w", "transform_b"} < set(v)


def test_attention_cell_wrapper():
    output, before, after, v = step(lambda: rnn.AttentionCellWrapper(rnn.GRUCell(UNITS), 3, attn_size=2))
    v = {name.removeprefix("attention_cell_wrapper/"): value for name, value in v.items()}
    state, read, memory = before
    memory = memory.reshape(3, 3, 2)
    scores = (
        memory @ v["attention/attn_w"][0, 0] + (after[0] @ v["attention/kernel"] + v["attention/bias"])[:, None]
    )
    scores = np.tanh(scores) @ v["attention/attn_v"]
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert v["kernel"].shape == (7, 5)
    same([after[1]], np.einsum("bs,bsd->bd", weights, memory))
    projected = np.concatenate([after[0], after[1]], 1) @ v["attn_output_projection/kernel"]
    same([output, after[2]], projected + v["attn_output_projection/bias"], np.hstack([before[2][:, 2:], output]))


def test_nas_and_others_with_one_state():
    output, (c, m), after, v = step(lambda: rnn.NASCell(UNITS, use_bias=True))
    x = np.split(INPUTS @ v["nas_cell/kernel"], 8, 1)
    h = np.split(m @ v["nas_cell/recurrent_kernel"] + v["nas_cell/bias"], 8, 1)
    l0, l2, l5, l7 = (sigmoid(x[k] + h[k]) for k in (0, 2, 5, 7))
    l1, l3 = np.maximum(x[1] + h[1], 0), np.maximum(x[3] * h[3], 0)
    l4, l6 = np.tanh(x[4] + h[4]), np.tanh(x[6] + h[6])
    c = np.tanh(np.tanh(l0 * l1) + c) * np.tanh(l2 + l3)
    m = np.tanh(c * np.tanh(np.tanh(l4 * l5) + sigmoid(l6 + l7)))
    same([output, *after], m, c, m)
    output, (state,), after, v = step(lambda: rnn.UGRNNCell(UNITS))
    g, new = np.split(np.concatenate([INPUTS, state], 1) @ v["ugrnn_cell/kernel"] + v["ugrnn_cell/bias"], 2, 1)
    same([output], sigmoid(g + 1) * state + (1 - sigmoid(g + 1)) * np.tanh(new))
    output, (state,), after, v = step(lambda: rnn.IntersectionRNNCell(UNITS, num_in_proj=UNITS))
    v = {name.removeprefix("intersection_rnn_cell/"): value for name, value in v.items()}
    x = INPUTS @ v["in_projection/kernel"] + v["in_projection/bias"]
    gh, h, gy, y = np.split(np.concatenate([x, state], 1) @ v["kernel"] + v["bias"], 4, 1)
    gh, gy = sigmoid(gh + 1), sigmoid(gy + 1)
    same([output, *after], gy * x + (1 - gy) * np.maximum(y, 0), gh * state + (1 - gh) * np.tanh(h))


def test_group_lstm():
    x = INPUTS[:, :4]
    one, lstm = step(lambda: rnn.GLSTMCell(UNITS), x), step(lambda: rnn.LSTMCell(UNITS), x)
    assert {n.partition("/")[2] for n in one[3]} == {"group0/kernel", *(f"bias_{gate}" for gate in "ijfo")}
    assert one[0].shape == lstm[0].shape
    output, (c, m), after, v = step(lambda: rnn.GLSTMCell(UNITS, number_of_groups=2, num_proj=2), x)
    v = {name.removeprefix("glstm_cell/"): value for name, value in v.items()}
    groups = [np.split(np.hstack([x[:, k : k + 1], m[:, k : k + 1]]) @ v[f"group{k}/kernel"], 4, 1) for k in (0, 1)]
    i, j, f, o = (np.hstack(parts) + v[f"bias_{n}"] for n, parts in zip("ijfo", zip(*groups)))
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
    m = (sigmoid(o) * np.tanh(c)) @ v["projection/kernel"]
    same([output, *after], m, c, m)


def test_phased_lstm():
    times = np.float32([[1.0], [7.3], [40.0]])
    output, (c, h), after, v = step(lambda: rnn.PhasedLSTMCell(UNITS, leak=0.01), (times, INPUTS), scale=3)
    v = {name.removeprefix("phased_lstm_cell/"): value for name, value in v.items()}
    seen = np.concatenate([INPUTS, h], 1)
    i, f = np.split(sigmoid(seen @ v["mask_gates/kernel"] + v["mask_gates/bias"]), 2, 1)
    new_c = c * f + i * np.tanh(seen @ v["new_input/kernel"] + v["new_input/bias"])
    new_h = np.tanh(new_c) * sigmoid(seen @ v["output_gate/kernel"] + v["output_gate/bias"])
    cycle = np.mod(times - v["phase"], v["period"]) / v["period"]
    on = v["ratio_on"]
    k = np.where(cycle < on / 2, 2 * cycle / on, np.where(cycle < on, 2 - 2 * cycle / on, 0.01 * cycle))
    h = k * new_h + (1 - k) * h
    same([output, *after], h, k * new_c + (1 - k) * c, h)


def test_convolutional_lstm():
    """With a kernel of 1 it is an LSTM at each place; a wider one, and the axes, by shape."""
    x = RANDOM.normal(size=(3, 2, 2, 5)).astype(np.float32)

    def cell():
        return rnn.Conv2DLSTMCell(input_shape=[2, 2, 5], output_channels=UNITS, kernel_shape=[1, 1])

    output, (c, h), after, v = step(cell, x)
    assert sorted(v) == ["conv_2d_lstm_cell/biases", "conv_2d_lstm_cell/kernel"]
    gates = np.concatenate([x, h], -1) @ v["conv_2d_lstm_cell/kernel"][0, 0] + v["conv_2d_lstm_cell/biases"]
    i, j, f, o = np.split(gates, 4, -1)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
    h = np.tanh(c) * sigmoid(o)
    same([output, *after], h, c, h)
    with tf.Graph().as_default():
        cell = rnn.ConvLSTMCell(1, [6, 2], 3, [5], skip_connection=True)
        outputs, state = tf.nn.dynamic_rnn(cell, tf.zeros([2, 4, 6, 2]), dtype=tf.float32)
        assert outputs.shape == (2, 4, 6, 5) and state.h.shape == (2, 6, 3)
        assert tf.trainable_variables()[0].shape == (5, 5, 12)


def test_cudnn_cells():
    output, (c, h), after, v = step(lambda: cudnn_rnn.CudnnCompatibleLSTMCell(UNITS))
    v = {name.removeprefix("cudnn_compatible_lstm_cell/"): value for name, value in v.items()}
    i, j, f, o = np.split(np.concatenate([INPUTS, h], 1) @ v["kernel"] + v["bias"], 4, 1)
    same([after[0]], sigmoid(f) * c + sigmoid(i) * np.tanh(j))
    output, (h,), _, v = step(lambda: cudnn_rnn.CudnnCompatibleGRUCell(UNITS))
    v = {name.removeprefix("cudnn_compatible_gru_cell/"): value for name, value in v.items()}
    r, u = np.split(sigmoid(np.concatenate([INPUTS, h], 1) @ v["gates/kernel"] + v["gates/bias"]), 2, 1)
    by_state = h @ v["candidate/hidden_projection/kernel"] + v["candidate/hidden_projection/bias"]
    new = INPUTS @ v["candidate/input_projection/kernel"] + v["candidate/input_projection/bias"] + r * by_state
    same([output], u * h + (1 - u) * np.tanh(new))
    with pytest.raises(NotImplementedError, match="CudnnLSTM ran on cuDNN only.*CudnnCompatibleLSTMCell"):
        cudnn_rnn.CudnnLSTM(1, 4)


def test_stacks_of_both_directions():
    x = RANDOM.normal(size=(2, 4, 5)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:

        def cells():
            return [rnn.GRUCell(3), rnn.GRUCell(2)]

        lengths = tf.constant([4, 2])
        with tf.variable_scope("dynamic"):
            dynamic = rnn.stack_bidirectional_dynamic_rnn(
                cells(), cells(), tf.constant(x), dtype=tf.float32, sequence_length=lengths
            )
        with tf.variable_scope("static"):
            static = rnn.stack_bidirectional_rnn(
                cells(), cells(), tf.unstack(tf.constant(x), axis=1), dtype=tf.float32, sequence_length=lengths
            )
        variables = [tf.trainable_variables(scope) for scope in ("dynamic", "static")]
        names = [v.op.name for v in variables[0]]
        session.run(tf.global_variables_initializer())
        for there, here in zip(*variables):
            here.load(there.eval(session), session)
        (outputs, fw, bw), (steps, *states) = session.run([dynamic, static])
    assert "dynamic/stack_bidirectional_rnn/cell_1/bidirectional_rnn/bw/gru_cell/gates/kernel" in names
    same([outputs, *fw, *bw], np.stack(steps, 1), *states[0], *states[1])
    with pytest.raises(ValueError, match="2 cells_fw, and 1 cells_bw"):
        rnn.stack_bidirectional_dynamic_rnn(cells(), cells()[:1], x)


def test_linear():
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = [tf.constant(INPUTS), tf.ones([3, 1])]
        result = rnn._linear(inputs, 2, True, 0.5)
        with pytest.raises(ValueError, match="known size"):
            rnn._linear(tf.placeholder(tf.float32, [None, None]), 2, False, scope="other")
        session.run(tf.global_variables_initializer())
        kernel, bias = tf.trainable_variables()
        assert (kernel.op.name, bias.op.name) == ("kernel", "bias")
        result, kernel, bias = session.run([result, kernel, bias])
    assert bias.tolist() == [0.5, 0.5]
    same([result], INPUTS @ kernel[:5] + kernel[5] + 0.5)


def test_the_private_and_older_places_of_cells():
    from tensorflow.python.ops import rnn_cell_impl
    from tensorflow.python.ops.rnn_cell import GRUCell, OutputProjectionWrapper

    assert rnn_cell_impl._linear is rnn._linear and rnn_cell_impl._Linear is rnn._Linear
    assert rnn_cell_impl._like_rnncell(rnn.GRUCell(2)) and not rnn_cell_impl._like_rnncell(tf.zeros)
    assert GRUCell is tf.nn.rnn_cell.GRUCell
    assert OutputProjectionWrapper is tf.nn.rnn_cell.OutputProjectionWrapper is rnn.OutputProjectionWrapper
    assert tf.nn.bidirectional_rnn is tf.nn.static_bidirectional_rnn
    assert tf.nn.seq2seq.sequence_loss is tf.contrib.legacy_seq2seq.sequence_loss
    assert not hasattr(tf.nn, "no_such_name")
    with pytest.raises(AttributeError, match="neither tf.nn.rnn_cell nor tf.contrib.rnn has NoCell"):
        tf.nn.rnn_cell.NoCell  # noqa: B018


def test_modules_of_tf_contrib_have_the_names_they_had():
    wrapper = tf.contrib.seq2seq.python.ops.attention_wrapper
    assert wrapper._BaseAttentionMechanism and wrapper._compute_attention
    assert tf.contrib.seq2seq.python.ops.decoder.dynamic_decode and tf.contrib.seq2seq.python.ops.helper.Helper
    assert tf.contrib.rnn.python.ops.rnn.stack_bidirectional_dynamic_rnn
    assert tf.contrib.legacy_seq2seq.python.ops.seq2seq.linear is rnn._linear
    assert tf.contrib.crf.python.ops.crf.viterbi_decode
