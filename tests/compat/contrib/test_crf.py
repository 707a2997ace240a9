"""tf.contrib.crf, against all tag sequences one by one."""

import itertools

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import crf

LENGTHS = np.array([4, 2, 1, 3])
RANDOM = np.random.RandomState(0)
POTENTIALS = RANDOM.normal(size=(4, 4, 3)).astype(np.float32)
TRANSITIONS = RANDOM.normal(size=(3, 3)).astype(np.float32)
TAGS = RANDOM.randint(0, 3, (4, 4))


def score(potentials, tags):
    return sum(potentials[i, tag] for i, tag in enumerate(tags)) + sum(
        TRANSITIONS[a, b] for a, b in zip(tags, tags[1:])
    )


def all_scores(entry):
    return {
        tags: score(POTENTIALS[entry], tags) for tags in itertools.product(range(3), repeat=int(LENGTHS[entry]))
    }


@pytest.fixture(scope="module")
def results():
    """What the functions give for sequences of any number of steps, and for one step."""
    with tf.Graph().as_default(), tf.Session() as session:
        potentials = tf.placeholder(tf.float32, [None, None, 3])
        tags, lengths = tf.placeholder(tf.int64, [None, None]), tf.placeholder(tf.int64, [None])
        with tf.variable_scope("crf"):
            likelihood, transitions = crf.crf_log_likelihood(potentials, tags, lengths)
        names = [v.op.name for v in tf.trainable_variables()]
        bitmap = tf.logical_or(tf.one_hot(tags, 3, True, False), tf.one_hot((tags + 1) % 3, 3, True, False))
        fetches = {
            "likelihood": likelihood,
            "score": crf.crf_sequence_score(potentials, tags, lengths, transitions),
            "norm": crf.crf_log_norm(potentials, lengths, transitions),
            "decoded": crf.crf_decode(potentials, transitions, lengths),
            "multitag": crf.crf_multitag_sequence_score(potentials, bitmap, lengths, transitions),
            "gradient": tf.gradients(likelihood, transitions)[0],
        }
        session.run(tf.global_variables_initializer())
        transitions.load(TRANSITIONS, session)
        whole = session.run(fetches, {potentials: POTENTIALS, tags: TAGS, lengths: LENGTHS})
        cut = {potentials: POTENTIALS[:, :1], tags: TAGS[:, :1], lengths: [1, 1, 1, 0]}
        return whole, session.run(fetches, cut), names


def test_scores_and_norms_are_those_of_all_sequences(results):
    for entry, length in enumerate(LENGTHS):
        scores = all_scores(entry)
        tags = tuple(TAGS[entry, :length])
        norm = np.log(np.sum(np.exp(list(scores.values()))))
        allowed = [s for t, s in scores.items() if all((a - b) % 3 < 2 for a, b in zip(t, tags))]
        assert results[0]["score"][entry] == pytest.approx(scores[tags], abs=1e-5)
        assert results[0]["norm"][entry] == pytest.approx(norm, abs=1e-5)
        assert results[0]["likelihood"][entry] == pytest.approx(scores[tags] - norm, abs=1e-5)
        assert results[0]["multitag"][entry] == pytest.approx(np.log(np.sum(np.exp(allowed))), abs=1e-5)
    assert results[2] == ["crf/transitions"]


def test_the_gradient_is_what_was_there_minus_what_was_expected(results):
    expected = np.zeros((3, 3))
    for entry, length in enumerate(LENGTHS):
        for a, b in zip(TAGS[entry, :length], TAGS[entry, 1:length]):
            expected[a, b] += 1
        for tags, s in all_scores(entry).items():
            for a, b in zip(tags, tags[1:]):
                expected[a, b] -= np.exp(s - results[0]["norm"][entry])
    np.testing.assert_allclose(results[0]["gradient"], expected, atol=1e-4)


def test_decoding_finds_the_best_sequence(results):
    tags, scores = results[0]["decoded"]
    for entry, length in enumerate(LENGTHS):
        best = max(all_scores(entry).items(), key=lambda item: item[1])
        assert tuple(tags[entry, :length]) == best[0] and not tags[entry, length:].any()
        assert scores[entry] == pytest.approx(best[1], abs=1e-5)
        alone, alone_score = crf.viterbi_decode(POTENTIALS[entry, :length], TRANSITIONS)
        assert alone == list(best[0]) and alone_score == pytest.approx(best[1], abs=1e-5)


def test_one_step_and_none(results):
    first = POTENTIALS[:, 0]
    tags, scores = results[1]["decoded"]
    np.testing.assert_array_equal(tags[:3, 0], first[:3].argmax(1))
    np.testing.assert_allclose(scores, first.max(1), rtol=1e-6)
    np.testing.assert_allclose(results[1]["norm"][:3], np.log(np.exp(first[:3]).sum(1)), rtol=1e-5)
    assert results[1]["norm"][3] == results[1]["likelihood"][3] == 0
