"""Every network's logits, against tf-slim's and Keras' with the same random weights."""

import inspect
import types

import numpy as np
import pytest

from slimft.compat import tf
from slimft.nets import get_network

from .entry import only

PART = "logits"


def images_of(size):
    return np.random.default_rng(7).standard_normal((4, size, size, 3), dtype=np.float32)


def check_they_depend_on_the_image(logits):
    assert np.std(logits) > 0
    assert np.abs(logits[0] - logits[1]).max() > 0.01 * np.abs(logits).max()


@pytest.fixture(scope="session")
def pairs(entry, build, random_weights):
    """Ours and tf-slim's logits, auxiliary ones too, for each size and mode; and the file of the variables."""
    graph, networks = tf.Graph(), {}
    for size, is_training in entry.tf_slim.logits_at:
        arguments = {"is_training": is_training}
        if is_training and "dropout_keep_prob" in inspect.signature(get_network(entry.name).function).parameters:
            arguments["dropout_keep_prob"] = 1.0
        for package in ("slimft.nets", "tf_slim.nets"):
            with graph.as_default(), tf.variable_scope(tf.get_variable_scope(), reuse=bool(networks)):
                network = build(package, entry.name, 10, (None, size, size, 3), graph, **arguments)
            networks[size, is_training, package] = network
    results = {}
    with random_weights(graph) as (session, variables):
        for (size, is_training, package), network in networks.items():
            fetches = {"Logits": network.logits}
            if "AuxLogits" in network.end_points:
                fetches["AuxLogits"] = network.end_points["AuxLogits"]
            results[size, is_training, package] = session.run(fetches, {network.images: images_of(size)})
        yield types.SimpleNamespace(results=results, variables=variables)


@only(lambda entry: entry.tf_slim and entry.tf_slim.logits_at)
def test_logits_are_tf_slims(entry, pairs, assert_close):
    for size, is_training in entry.tf_slim.logits_at:
        ours, theirs = (pairs.results[size, is_training, package] for package in ("slimft.nets", "tf_slim.nets"))
        assert ours.keys() == theirs.keys()
        for key, logits in ours.items():
            expected = theirs[key].reshape(4, 10)
            check_they_depend_on_the_image(expected)
            assert_close(logits, expected, within=entry.tf_slim.within)


@only(lambda entry: entry.keras)
def test_logits_are_keras(entry, pairs, keras_logits, assert_close):
    size, is_training = entry.tf_slim.logits_at[0]
    assert not is_training
    expected = keras_logits(entry.name, pairs.variables, images_of(size))
    assert expected.shape == (4, 10)
    check_they_depend_on_the_image(expected)
    assert_close(pairs.results[size, False, "slimft.nets"]["Logits"], expected, within=1e-5)
