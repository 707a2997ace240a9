"""What `with` blocks of slimft.compat say counts in their own thread, beside others that build graphs."""

import threading

import numpy as np
import pytest

from slimft.compat import batch_norm_decay, dropout_seed, frozen_batch_norm, slim, tf
from slimft.compat.graphs import ancestors


def in_turns(*threads):
    """Runs functions in threads; each `meet()` waits until all have come there. Returns their results."""
    barrier = threading.Barrier(len(threads), timeout=60)
    results, errors = [None] * len(threads), []

    def run(index, function):
        try:
            with tf.Graph().as_default():
                results[index] = function(barrier.wait)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    running = [threading.Thread(target=run, args=pair) for pair in enumerate(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
    return results


def dropped():
    outputs = slim.dropout(tf.ones([50, 40]), scope="drop")
    with tf.Session() as session:
        return session.run(outputs)


def test_each_thread_drops_by_its_own_seed():
    def build(seed):
        def function(meet):
            with dropout_seed([seed, 3]):
                meet()  # Both are inside.
                mask = dropped()
                meet()
            return mask

        return function

    first, second = in_turns(build(7), build(8))
    for seed, mask in ((7, first), (8, second)):
        with tf.Graph().as_default(), dropout_seed([seed, 3]):
            np.testing.assert_array_equal(dropped(), mask)
    assert np.any(first != second)


def test_a_thread_outside_is_not_seeded():
    def outside(meet):
        meet()
        outputs = slim.dropout(tf.ones([50, 40]), scope="drop")
        meet()
        return {op.type for op in ancestors([outputs.op])}

    def inside(meet):
        with dropout_seed([7, 3]):
            meet()
            outputs = slim.dropout(tf.ones([50, 40]), scope="drop")
            meet()
        return {op.type for op in ancestors([outputs.op])}

    outside_types, inside_types = in_turns(outside, inside)
    assert "RandomUniform" in outside_types and not any("Stateless" in name for name in outside_types)
    assert any("Stateless" in name for name in inside_types) and "RandomUniform" not in inside_types


@pytest.mark.parametrize("block", ["frozen_batch_norm", "batch_norm_decay"])
def test_batch_norm_of_another_thread_stays_as_it_is(block):
    blocks = {
        "frozen_batch_norm": lambda: frozen_batch_norm(lambda scope: True),
        "batch_norm_decay": lambda: batch_norm_decay(lambda decay: tf.constant(0.25, name="another")),
    }

    def layer():
        slim.batch_norm(tf.ones([2, 3, 3, 4]), decay=0.9)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        return len(updates), any(op.name == "another" for op in ancestors(updates))

    def inside(meet):
        with blocks[block]():
            meet()
            seen = layer()
            meet()
        return seen

    def outside(meet):
        meet()
        seen = layer()
        meet()
        return seen

    changed, unchanged = in_turns(inside, outside)
    assert unchanged == (2, False)
    assert changed == ((0, False) if block == "frozen_batch_norm" else (2, True))


def test_blocks_inside_one_another_and_left_by_an_error():
    def updates():
        with tf.Graph().as_default():
            slim.batch_norm(tf.ones([2, 3, 3, 4]), scope="here")
            return len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))

    with pytest.raises(KeyError), frozen_batch_norm(lambda scope: scope == "elsewhere"):
        with frozen_batch_norm(lambda scope: scope == "here"):
            assert updates() == 0
        assert updates() == 2
        raise KeyError
    assert updates() == 2


def test_ancestors_with_and_without_control_inputs():
    with tf.Graph().as_default():
        first, other = tf.constant(1.0), tf.constant(2.0)
        with tf.control_dependencies([other]):
            last = tf.negative(first)
        assert ancestors([last.op]) == {last.op, first.op, other.op}
        assert ancestors([last.op], control_inputs=False) == {last.op, first.op}
