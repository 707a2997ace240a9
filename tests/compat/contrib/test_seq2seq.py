"""tf.contrib.seq2seq: values against NumPy and against all sequences, names and training of an encoder-decoder."""

import itertools

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import seq2seq

RANDOM = np.random.RandomState(1)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def run(fetches, feed_dict=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches, feed_dict)


class Chain(tf.nn.rnn_cell.RNNCell):
    """A cell whose logits are a table's row for the symbol that was fed; the state counts steps."""

    def __init__(self, table):
        super().__init__()
        self._table = np.float32(table)

    state_size = property(lambda self: 1)
    output_size = property(lambda self: len(self._table))

    def call(self, inputs, state):
        return tf.matmul(inputs, tf.constant(self._table)), state + 1


def all_sequences(table, steps, weight):
    """The scores of all sequences that end in 0 or are `steps` long.

    As in TensorFlow 1, the end counts in a length only once a step was taken after it.
    """
    log_p = np.log(softmax(table))
    found = {}
    for tags in itertools.product(range(len(table)), repeat=steps):
        tags = tags[: tags.index(0) + 1] if 0 in tags else tags
        length = len(tags) - (tags[-1] == 0 and len(tags) == steps)
        total = sum(log_p[a, b] for a, b in zip((1, *tags), tags))
        found[tags] = total / ((5 + length) / 6) ** weight
    return found


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_wide_beam_search_finds_the_likeliest_of_all_sequences(weight):
    table = RANDOM.normal(size=(4, 4)) * 2
    beam = 200  # More than there are prefixes of three symbols.
    with tf.Graph().as_default():
        decoder = seq2seq.BeamSearchDecoder(
            Chain(table), tf.eye(4), tf.fill([2], 1), 0, tf.zeros([2 * beam, 1]), beam, None, weight
        )
        outputs, state, _ = seq2seq.dynamic_decode(decoder, maximum_iterations=4)
        ids, scores, lengths = run(
            [outputs.predicted_ids, outputs.beam_search_decoder_output.scores, state.lengths]
        )
    expected = all_sequences(table, 4, weight)
    seen = set()
    for place, best in enumerate(sorted(expected.values(), reverse=True)[:20]):
        tags = tuple(ids[0, :, place])
        tags = tags[: tags.index(0) + 1] if 0 in tags else tags
        seen.add(tags)
        assert expected[tags] == pytest.approx(best, abs=1e-4)  # Others may be as likely.
        assert scores[1, -1, place] == pytest.approx(best, abs=1e-4)
        assert lengths[0, place] == len(tags) and not ids[0, len(tags) :, place].any()
    assert len(seen) == 20


def test_gather_tree():
    """By hand: the last step's beams come from beams 1 and 0, these both from 1."""
    ids = [[[1, 2]], [[3, 4]], [[5, 9]], [[9, 6]]]
    parents = [[[0, 0]], [[1, 1]], [[1, 0]], [[1, 0]]]
    with tf.Graph().as_default():
        tree = seq2seq.gather_tree(ids, parents, [4], end_token=9)
        short = seq2seq.gather_tree(ids, parents, [2], end_token=9)
        tiled = seq2seq.tile_batch((tf.constant([[1, 2], [3, 4]]), tf.constant([5, 6])), 2)
        tree, short, tiled = run([tree, short, tiled])
    assert tree[:, 0].T.tolist() == [[2, 3, 9, 9], [2, 4, 5, 6]]
    assert short[:, 0].T.tolist() == [[2, 3, 9, 9], [2, 4, 9, 9]]
    assert tiled[0].tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]] and tiled[1].tolist() == [5, 5, 6, 6]


@pytest.mark.parametrize("option", [False, True])
def test_attention(option):
    memory = RANDOM.normal(size=(2, 3, 4)).astype(np.float32)
    query = RANDOM.normal(size=(2, 5)).astype(np.float32)
    lengths = np.array([3, 2])
    masked = memory * (np.arange(3) < lengths[:, None])[..., None]
    with tf.Graph().as_default():
        luong = seq2seq.LuongAttention(5, memory, lengths, scale=option)
        bahdanau = seq2seq.BahdanauAttention(6, memory, lengths, normalize=option)
        state = luong.initial_state(2, tf.float32)
        results = [mechanism(tf.constant(query), state)[0] for mechanism in (luong, bahdanau)]
        variables = {v.op.name: v for v in tf.trainable_variables()}
        (by_luong, by_bahdanau), v = run([results, variables])
    score = np.einsum("bq,bsq->bs", query, masked @ v["memory_layer/kernel"])
    score[1, 2] = -np.inf
    np.testing.assert_allclose(by_luong, softmax(score), atol=1e-5)
    keys = masked @ v["memory_layer_1/kernel"]
    query = (query @ v["bahdanau_attention/query_layer/kernel"])[:, None]
    vector, bias = v["bahdanau_attention/attention_v"], 0
    if option:
        assert v["luong_attention/attention_g"] == 1
        assert v["bahdanau_attention/attention_g"] == pytest.approx(6**-0.5)
        bias = v["bahdanau_attention/attention_b"]
        vector = 6**-0.5 * vector / np.linalg.norm(vector)
    score = np.tanh(keys + query + bias) @ vector
    score[1, 2] = -np.inf
    np.testing.assert_allclose(by_bahdanau, softmax(score), atol=1e-5)


def test_monotonic_attention():
    p = RANDOM.uniform(0.2, 0.8, (2, 4)).astype(np.float32)
    before = softmax(RANDOM.normal(size=(2, 4))).astype(np.float32)
    expected = np.zeros_like(p)
    for start, stop in itertools.product(range(4), repeat=2):
        if start <= stop:  # From `start`, all before `stop` are passed over.
            expected[:, stop] += before[:, start] * np.prod(1 - p[:, start:stop], 1) * p[:, stop]
    with tf.Graph().as_default():
        hard = seq2seq.monotonic_attention(np.float32([[0, 1, 1, 0]]), np.float32([[0, 0, 1, 0]]), "hard")
        mechanism = seq2seq.LuongMonotonicAttention(3, tf.ones([2, 4, 3]), scale=True, score_bias_init=-1.0)
        alignments, _ = mechanism(tf.ones([2, 3]), mechanism.initial_state(2, tf.float32))
        soft = [seq2seq.monotonic_attention(p, before, mode) for mode in ("recursive", "parallel")]
        names = {v.op.name for v in tf.trainable_variables()}
        soft, hard, alignments = run([soft, hard, alignments])
    np.testing.assert_allclose(soft, [expected, expected], rtol=1e-4)
    assert hard.tolist() == [[0, 0, 1, 0]]
    assert (alignments.sum(1) < 1 + 1e-5).all()
    assert {f"luong_monotonic_attention/attention_{n}" for n in ("score_bias", "g")} < names


def test_loss_functions_of_tensorflow_1_0():
    """They call the logits inputs."""
    with tf.Graph().as_default():
        logits, targets, weights = (
            [tf.constant([[1.0, 3.0]])],
            [tf.constant([[0.0, 1.0]])],
            [tf.constant([[1.0, 1.0]])],
        )

        def of_1_0(labels, inputs):
            return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=inputs)

        def of_1_2(labels, logits):
            return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)

        both = [
            tf.contrib.legacy_seq2seq.sequence_loss(logits, targets, weights, softmax_loss_function=function)
            for function in (of_1_0, of_1_2)
        ]
        with tf.Session() as session:
            first, second = session.run(both)
    assert first == second > 0


def test_sequence_loss():
    logits = RANDOM.normal(size=(2, 3, 4)).astype(np.float32)
    targets, weights = RANDOM.randint(0, 4, (2, 3)), np.float32([[1, 1, 0.5], [2, 0, 0]])
    entropy = -np.log(np.take_along_axis(softmax(logits), targets[..., None], 2)[..., 0]) * weights
    with tf.Graph().as_default():
        arguments = tf.constant(logits), tf.constant(targets), tf.constant(weights)
        losses = run([
            seq2seq.sequence_loss(*arguments),
            seq2seq.sequence_loss(*arguments, average_across_batch=False),
            seq2seq.sequence_loss(*arguments, average_across_timesteps=False),
            seq2seq.sequence_loss(*arguments, average_across_timesteps=False, average_across_batch=False),
            seq2seq.sequence_loss(*arguments, False, False, True, True),
        ])  # fmt: skip
    expected = [
        entropy.sum() / weights.sum(), entropy.sum(1) / weights.sum(1), entropy.sum(0) / weights.sum(0), entropy,
        entropy.sum() / 4,
    ]  # fmt: skip
    for loss, by_numpy in zip(losses, expected):
        np.testing.assert_allclose(loss, by_numpy, rtol=1e-5)


def test_helpers():
    table = np.full((4, 4), -9.0)
    table[[1, 2, 3], [2, 3, 0]] = 9  # 1, 2, 3, 0.
    with tf.Graph().as_default():
        inputs, lengths = tf.one_hot([[1, 1, 1], [3, 2, 1]], 4), [3, 2]

        def decoded(helper, **kwargs):
            decoder = seq2seq.BasicDecoder(Chain(table), helper, tf.zeros([2, 1]))
            outputs, state, ends = seq2seq.dynamic_decode(decoder, maximum_iterations=6, **kwargs)
            return outputs, state, ends

        def custom_next(time, outputs, state, sample_ids):
            return tf.fill([2], time >= 1), tf.one_hot(sample_ids, 4), state

        outputs = run([
            decoded(seq2seq.TrainingHelper(inputs, lengths), impute_finished=True),
            decoded(seq2seq.GreedyEmbeddingHelper(tf.eye(4), tf.constant([1, 3]), 0)),
            decoded(seq2seq.SampleEmbeddingHelper(tf.eye(4), tf.constant([1, 3]), 0, 0.5), output_time_major=True),
            decoded(seq2seq.ScheduledEmbeddingTrainingHelper(inputs, lengths, tf.eye(4), 1.0)),
            decoded(seq2seq.ScheduledEmbeddingTrainingHelper(inputs, lengths, tf.eye(4), 0.0)),
            decoded(seq2seq.ScheduledOutputTrainingHelper(inputs, lengths, 1.0, next_inputs_fn=tf.nn.softmax)),
            decoded(seq2seq.CustomHelper(
                lambda: (tf.fill([2], False), tf.one_hot([1, 2], 4)),
                lambda time, outputs, state: tf.argmax(outputs, 1, output_type=tf.int32), custom_next,
            )),
            decoded(seq2seq.InferenceHelper(
                lambda outputs: tf.nn.softmax(outputs), [4], tf.float32, tf.one_hot([1, 2], 4),
                lambda sample: sample[:, 0] > 0.5,
            )),
        ])  # fmt: skip
    training, greedy, sampled, fed, not_fed, by_output, custom, inference = outputs
    assert training[0].sample_id[0].tolist() == [2, 2, 2] and training[0].sample_id[1].tolist() == [0, 3, 0]
    assert training[1].tolist() == [[3], [2]] and training[2].tolist() == [3, 2]  # Finished states stay.
    assert greedy[0].sample_id[0].tolist() == [2, 3, 0] and greedy[2].tolist() == [3, 1]
    assert sampled[0].sample_id[:, 0].tolist() == [2, 3, 0]
    assert fed[0].sample_id[0].tolist() == [2, 3, 0] and set(not_fed[0].sample_id.ravel()) == {-1}
    np.testing.assert_allclose(not_fed[0].rnn_output[0], table[[1, 1, 1]])
    np.testing.assert_allclose(by_output[0].rnn_output[0], table[[1, 2, 3]], atol=1e-4)
    assert custom[0].sample_id.tolist() == [[2, 3], [3, 0]]
    assert inference[0].sample_id.argmax(2)[0].tolist() == [2, 3, 0]


class Translator:
    """An encoder-decoder that learns to repeat what it reads."""

    def __init__(self, beam_width=3):
        self.source, self.lengths = tf.placeholder(tf.int32, [None, None]), tf.placeholder(tf.int32, [None])
        self.embedding = tf.get_variable("embedding", [6, 8])
        cells = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.BasicLSTMCell(16) for _ in range(2)])
        inputs = tf.nn.embedding_lookup(self.embedding, self.source)
        memory, states = tf.nn.dynamic_rnn(cells, inputs, self.lengths, dtype=tf.float32)
        self.cell, self.dense = tf.nn.rnn_cell.BasicLSTMCell(16), tf.layers.Dense(6, name="logits")
        batch = tf.shape(self.source)[0]
        target = tf.concat([tf.ones([batch, 1], tf.int32), self.source], 1)
        helper = seq2seq.TrainingHelper(tf.nn.embedding_lookup(self.embedding, target), self.lengths + 1)
        self.training = self.decode(memory, states[-1], lambda: helper)
        expected = tf.concat([self.source, tf.zeros([batch, 1], tf.int32)], 1)
        weights = tf.sequence_mask(self.lengths + 1, tf.shape(expected)[1], tf.float32)
        self.loss = seq2seq.sequence_loss(self.training[0].rnn_output, expected, weights)
        start = tf.ones([batch], tf.int32)
        self.greedy = self.decode(
            memory, states[-1], lambda: seq2seq.GreedyEmbeddingHelper(self.embedding, start, 0), reuse=True
        )
        tiled = seq2seq.tile_batch((memory, states[-1]), beam_width)
        self.beams = self.decode(*tiled, None, beam_width, start, reuse=True)

    def decode(self, memory, state, helper, beams=1, start=None, reuse=None):
        with tf.variable_scope(tf.get_variable_scope(), reuse=reuse):
            lengths = seq2seq.tile_batch(self.lengths, beams)
            attention = seq2seq.LuongAttention(16, memory, lengths)
            cell = seq2seq.AttentionWrapper(self.cell, attention, 16, alignment_history=True)
            initial = cell.zero_state(tf.shape(memory)[0], tf.float32).clone(cell_state=state)
            if helper is None:
                decoder = seq2seq.BeamSearchDecoder(
                    cell, self.embedding, start, 0, initial, beams, self.dense, coverage_penalty_weight=0.1
                )
            else:
                decoder = seq2seq.BasicDecoder(cell, helper(), initial, self.dense)
            return seq2seq.dynamic_decode(decoder, maximum_iterations=7)


def test_an_encoder_decoder_learns_to_repeat_and_is_restored(tmp_path):
    source, lengths = RANDOM.randint(2, 6, (16, 5)), np.full(16, 5)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        model = Translator()
        step = tf.train.AdamOptimizer(0.02).minimize(model.loss)
        session.run(tf.global_variables_initializer())
        feed = {model.source: source, model.lengths: lengths}
        losses = [session.run([model.loss, step], feed)[0] for _ in range(150)]
        path = tf.train.Saver(tf.trainable_variables()).save(session, str(tmp_path / "model"))
    assert losses[-1] < losses[0] / 5
    shapes = dict(tf.train.list_variables(path))
    cells = {
        f"{cell}/{weight}": [rows, 64][2 - columns :]
        for cell, rows in (
            ("rnn/multi_rnn_cell/cell_0/basic_lstm_cell", 24),
            ("rnn/multi_rnn_cell/cell_1/basic_lstm_cell", 32),
            ("decoder/attention_wrapper/basic_lstm_cell", 40),
        )
        for weight, columns in (("kernel", 2), ("bias", 1))
    }
    assert shapes == {
        **cells,
        "embedding": [6, 8],
        "memory_layer/kernel": [16, 16],
        "decoder/attention_wrapper/attention_layer/kernel": [32, 16],
        "decoder/logits/kernel": [16, 6],
        "decoder/logits/bias": [6],
    }
    with tf.Graph().as_default(), tf.Session() as session:
        model = Translator()
        tf.train.Saver(tf.trainable_variables()).restore(session, path)
        feed = {model.source: source, model.lengths: lengths}
        greedy, beams = session.run([model.greedy[::2], model.beams], feed)
    assert (greedy[0].sample_id[:, :5] == source).mean() > 0.9
    ids, history = beams[0].predicted_ids, beams[1].cell_state.alignment_history
    assert (ids[:, :5, 0] == source).mean() > 0.9
    assert history.shape[1:] == (48, 5)
    np.testing.assert_allclose(history[:5].sum(2), 1, rtol=1e-4)


def test_errors_say_what_to_do():
    with tf.Graph().as_default():
        memory = tf.zeros([2, 3, 4])
        cell = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(4), seq2seq.LuongAttention(4, memory))
        zero = cell.zero_state(2, tf.float32)
        with pytest.raises(ValueError, match="tile_batch"):
            zero.clone(cell_state=tf.zeros([6, 4]))
        with pytest.raises(ValueError, match="num_units"):
            seq2seq.LuongAttention(5, memory)(tf.zeros([2, 4]), None)
        with pytest.raises(TypeError, match="AttentionWrapperState"):
            cell(tf.zeros([2, 4]), tf.zeros([2, 4]))
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="tile_batch"):
            run(cell.zero_state(tf.placeholder_with_default(6, []), tf.float32).cell_state)
        with pytest.raises(TypeError, match="Helper"):
            seq2seq.BasicDecoder(tf.nn.rnn_cell.GRUCell(4), None, zero)
