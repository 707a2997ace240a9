"""tf.contrib.legacy_seq2seq: names, values against NumPy, and that its models learn."""

import copy
import functools

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import legacy_seq2seq, rnn

RANDOM = np.random.RandomState(4)


def steps(count, batch=3):
    return [tf.constant(RANDOM.randint(0, 5, batch), tf.int32) for _ in range(count)]


def shapes():
    return {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}


def test_rnn_decoder_and_basic_model():
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = [tf.constant(RANDOM.normal(size=(2, 3)), tf.float32) for _ in range(4)]
        outputs, state = legacy_seq2seq.basic_rnn_seq2seq(inputs[:2], inputs[2:], rnn.BasicRNNCell(3))
        fed, _ = legacy_seq2seq.rnn_decoder(
            inputs[:3], tf.zeros([2, 3]), rnn.BasicRNNCell(3), loop_function=lambda prev, i: prev * i, scope="fed"
        )
        session.run(tf.global_variables_initializer())
        x, y, last, looped, v = session.run(
            [inputs, outputs, state, fed, {v.op.name: v for v in tf.trainable_variables()}]
        )
    at = ("basic_rnn_seq2seq/rnn", "basic_rnn_seq2seq/rnn_decoder", "fed")
    kernels = [v[f"{scope}/basic_rnn_cell/kernel"] for scope in at]
    assert len(v) == 6

    def run(kernel, x, h):
        return np.tanh(np.hstack([x, h]) @ kernel)

    h = run(kernels[0], x[1], run(kernels[0], x[0], np.zeros((2, 3))))
    first = run(kernels[1], x[2], h)
    np.testing.assert_allclose(y, [first, run(kernels[1], x[3], first)], rtol=1e-4)
    np.testing.assert_allclose(last, y[1])
    first = run(kernels[2], x[0], np.zeros((2, 3)))
    second = run(kernels[2], first, first)
    np.testing.assert_allclose(looped, [first, second, run(kernels[2], 2 * second, second)], rtol=1e-4)


def test_attention_decoder():
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = [tf.constant(RANDOM.normal(size=(2, 3)), tf.float32) for _ in range(2)]
        memory = tf.constant(RANDOM.normal(size=(2, 5, 4)), tf.float32)
        state = tf.constant(RANDOM.normal(size=(2, 3)), tf.float32)
        outputs, _ = legacy_seq2seq.attention_decoder(
            inputs, state, memory, rnn.BasicRNNCell(3), output_size=2, num_heads=2, initial_state_attention=True
        )
        session.run(tf.global_variables_initializer())
        v = {v.op.name.removeprefix("attention_decoder/"): v for v in tf.trainable_variables()}
        x, h, m, y, v = session.run([inputs, state, memory, outputs, v])

    def linear(scope, *parts):
        return np.hstack(parts) @ v[f"{scope}kernel"] + v[f"{scope}bias"]

    def attend(query):
        for a in (0, 1):
            score = np.tanh(m @ v[f"AttnW_{a}"][0, 0] + linear(f"Attention_{a}/", query)[:, None]) @ v[f"AttnV_{a}"]
            yield np.einsum("bs,bsd->bd", np.exp(score) / np.exp(score).sum(1, keepdims=True), m)

    read = list(attend(h))
    for i in (0, 1):
        h = np.tanh(linear("basic_rnn_cell/", linear("", x[i], *read), h))
        read = list(attend(h))
        np.testing.assert_allclose(y[i], linear("AttnOutputProjection/", h, *read), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("model", ["rnn", "tied_rnn", "attention"])
def test_models_of_symbols(model):
    name = f"embedding_{model}_seq2seq"
    symbols = (5,) if model == "tied_rnn" else (5, 5)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        source, target, feed_previous = steps(3), steps(4), tf.placeholder(tf.bool, [])
        go = [tf.zeros([3], tf.int32), *target[:3]]
        cell = rnn.MultiRNNCell([rnn.BasicLSTMCell(8)])
        outputs, state = getattr(legacy_seq2seq, name)(source, go, cell, *symbols, 6, feed_previous=feed_previous)
        assert len(outputs) == 4 and outputs[0].shape == (3, 5) and isinstance(state[0], rnn.LSTMStateTuple)
        loss = legacy_seq2seq.sequence_loss(outputs, target, [tf.ones([3])] * 4)
        train = tf.train.AdamOptimizer(0.05).minimize(loss)
        session.run(tf.global_variables_initializer())
        losses = [session.run([loss, train], {feed_previous: False})[0] for _ in range(80)]
        found, expected = session.run([outputs, target], {feed_previous: True})
        names = shapes()
    assert losses[-1] < losses[0] / 5
    assert (np.argmax(found, 2) == expected).mean() > 0.9
    if model == "tied_rnn":
        inner = f"{name}/combined_tied_rnn_seq2seq/tied_rnn_seq2seq/output_projection_wrapper"
        assert names == {
            f"{name}/embedding": [5, 6],
            f"{inner}/kernel": [8, 5],
            f"{inner}/bias": [5],
            f"{inner}/multi_rnn_cell/cell_0/basic_lstm_cell/kernel": [14, 32],
            f"{inner}/multi_rnn_cell/cell_0/basic_lstm_cell/bias": [32],
        }
    else:
        decoder = "embedding_attention_decoder" if model == "attention" else "embedding_rnn_decoder"
        inner = "attention_decoder" if model == "attention" else "rnn_decoder"
        encoder = f"{name}/rnn/embedding_wrapper"
        assert names[f"{encoder}/embedding"] == names[f"{name}/{decoder}/embedding"] == [5, 6]
        assert names[f"{encoder}/multi_rnn_cell/cell_0/basic_lstm_cell/kernel"] == [14, 32]
        assert names[f"{name}/{decoder}/{inner}/output_projection_wrapper/kernel"] == [8, 5]


def test_one_encoder_many_decoders():
    with tf.Graph().as_default():
        outputs, states = legacy_seq2seq.one2many_rnn_seq2seq(
            steps(2), {"a": steps(2), "b": steps(3)}, rnn.GRUCell(4), {"a": rnn.GRUCell(4), "b": rnn.GRUCell(4)}, 5,
            {"a": 6, "b": 7}, 3, feed_previous=True,
        )  # fmt: skip
        assert [o.shape for o in outputs["b"]] == [(3, 7)] * 3 and states["a"].shape == (3, 4)
        assert "one2many_rnn_seq2seq/one2many_decoder_b/embedding_rnn_decoder/embedding" in shapes()


def test_losses_and_buckets():
    logits = [RANDOM.normal(size=(3, 5)).astype(np.float32) for _ in range(2)]
    ids, weights = RANDOM.randint(0, 5, (2, 3)), np.float32([[1, 2, 0], [1, 0.5, 0]])
    p = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    entropy = -np.log(np.take_along_axis(p, ids[..., None], 2)[..., 0]) * weights
    with tf.Graph().as_default(), tf.Session() as session:
        arguments = [[tf.constant(step) for step in part] for part in (logits, ids, weights)]
        by_example = legacy_seq2seq.sequence_loss_by_example(*arguments)
        total = legacy_seq2seq.sequence_loss(*arguments, average_across_batch=False)

        def model(x, y):
            return legacy_seq2seq.embedding_rnn_seq2seq(x, y, rnn.GRUCell(4), 5, 5, 3)

        outputs, losses = legacy_seq2seq.model_with_buckets(
            steps(4), steps(3), steps(3), [tf.ones([3])] * 3, [(2, 2), (4, 3)], model
        )
        assert [len(o) for o in outputs] == [2, 3] and len(losses) == 2 and len(shapes()) == 12
        with pytest.raises(ValueError, match="4 encoder_inputs, and the last bucket needs 5"):
            legacy_seq2seq.model_with_buckets(steps(4), [], [], [], [(5, 5)], model)
        by_example, total = session.run([by_example, total])
    expected = entropy.sum(0) / (weights.sum(0) + 1e-12)
    np.testing.assert_allclose(by_example, expected, rtol=1e-5)
    assert total == pytest.approx(expected.sum(), rel=1e-5)


def wrapped_cell():
    return rnn.MultiRNNCell([rnn.DropoutWrapper(rnn.LSTMCell(4), 0.5), rnn.ResidualWrapper(rnn.GRUCell(4))])


@pytest.mark.parametrize("make", [lambda: rnn.NASCell(4), wrapped_cell, lambda: rnn.LayerNormBasicLSTMCell(4)])
def test_a_cell_that_has_made_its_variables_is_copied_as_it_was_before(make):
    """Each bucket's encoder is a copy of one cell; in TensorFlow 1.2 to 1.15 the second copy was a TypeError."""
    with tf.Graph().as_default():
        cell, inputs = make(), steps(4)
        model = functools.partial(
            legacy_seq2seq.embedding_attention_seq2seq,
            cell=cell,
            num_encoder_symbols=5,
            num_decoder_symbols=5,
            embedding_size=4,
        )
        with tf.variable_scope("model"):
            model(inputs[:2], inputs[2:])
        names = shapes()
        with tf.variable_scope("model", reuse=True):
            outputs, _ = model(inputs, inputs)
        assert len(outputs) == 4 and shapes() == names
        copied = copy.deepcopy(cell)
        assert not copied.built
        with tf.variable_scope("other"):
            tf.nn.static_rnn(copied, [tf.ones([3, 4])], dtype=tf.float32)
        assert {name.partition("/")[0] for name in shapes().keys() - names.keys()} == {"other"}
