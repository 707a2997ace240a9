"""Batch normalization folded into the convolution before it: the same function, of whatever the variables hold."""

import numpy as np
import pytest

import slimft
from slimft.compat import slim, tf
from slimft.compat.graphs import ancestors
from slimft.inference import Architecture
from slimft.nets import get_network
from slimft.nets.folding import fold_batch_norm
from slimft.runs.settings import Settings
from slimft.training.completion import complete
from slimft.training.run import prepare

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)


def values_for(variables):
    """Values as trained networks have them, none of which is what a variable starts with."""
    found = {}
    for variable in variables:
        shape, name = variable.shape.as_list(), variable.op.name
        if name.endswith(("moving_variance", "gamma")):
            found[name] = RANDOM.uniform(0.5, 1.5, shape)
        elif name.endswith(("moving_mean", "beta", "biases")):
            found[name] = RANDOM.normal(0, 0.3, shape)
        else:
            found[name] = RANDOM.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    return found


def assign(session, variables, values):
    for variable in variables:
        variable.load(values[variable.op.name], session)


def normalizations(tensor):
    return [op for op in ancestors([tensor.op]) if op.type == "FusedBatchNormV3"]


@pytest.mark.parametrize(
    "model, number", [("mobilenet_v1", 27), ("resnet_v1_50", 53), ("resnet_v2_50", 32), ("inception_v3", 94)]
)
def test_it_is_the_same_function_whatever_is_restored_later(model, number):
    size = 96 if model == "inception_v3" else 64
    images = np.resize(IMAGES, (2, size, size, 3))
    with tf.Graph().as_default() as graph, tf.Session() as session:
        fed = tf.placeholder(tf.float32, images.shape)
        network = get_network(model)
        with tf.variable_scope("plain"):
            plain, _ = network.build(fed / 128.0 - 1, 5, is_training=False)
        ours = tf.global_variables()
        before = len(graph.get_operations())
        with tf.variable_scope("folded"):
            folded, _ = network.build(fed / 128.0 - 1, 5, is_training=False)
        theirs = tf.global_variables()[len(ours) :]
        held = len(normalizations(folded))
        assert fold_batch_norm(graph.get_operations()[before:]) >= number
        assert held - len(normalizations(folded)) == number and len(normalizations(plain)) == held
        session.run(tf.global_variables_initializer())
        for _ in range(2):
            values = values_for(ours)
            assign(session, ours, values)
            assign(session, theirs, {f"folded{name[5:]}": value for name, value in values.items()})
            expected, found = session.run([plain, folded], {fed: images})
            np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_convolutions(multiplier):
    with tf.Graph().as_default() as graph, tf.Session() as session:
        pixels = tf.constant(IMAGES, tf.float32) / 128.0
        outputs = [
            slim.separable_conv2d(
                pixels, None, 3, multiplier, stride=2, normalizer_fn=slim.batch_norm, scope="layer", reuse=reuse,
                normalizer_params={"is_training": False, "scale": True},
            )
            for reuse in (None, True)
        ]  # fmt: skip
        assert fold_batch_norm(ancestors([outputs[1].op]) - ancestors([outputs[0].op])) == 1
        variables = tf.global_variables()
        session.run(tf.global_variables_initializer())
        assign(session, variables, values_for(variables))
        plain, folded = session.run(outputs)
        assert not normalizations(outputs[1]) and normalizations(outputs[0]) and len(graph.get_operations())
        np.testing.assert_allclose(folded, plain, atol=1e-5)


def test_what_is_not_folded():
    with tf.Graph().as_default() as graph:
        pixels = tf.constant(IMAGES, tf.float32)
        convolved = slim.conv2d(pixels, 4, 3, activation_fn=None)
        slim.batch_norm(convolved, is_training=False) + convolved  # Something else takes it too.
        slim.batch_norm(pixels, is_training=False)  # Behind no convolution.
        slim.batch_norm(slim.conv2d(pixels, 4, 3, activation_fn=None), is_training=True)
        before = graph.as_graph_def()
        assert fold_batch_norm(graph.get_operations()) == 0 and graph.as_graph_def() == before


@pytest.mark.parametrize("precision, left", [("float32", 27), ("bfloat16", 0), ("float16", 0)])
def test_where_networks_are_used(precision, left):
    """In float32, where it gains little, the graph is slim's."""
    with tf.Graph().as_default():
        images = tf.placeholder(tf.uint8, [1, 64, 64, 3])
        architecture = Architecture(
            get_network("mobilenet_v1"), 5, 64, precision=precision, float32_variables=False
        )
        logits = architecture.outputs(images)
        assert len(normalizations(logits)) == left and logits.dtype == tf.float32


def test_a_run_and_its_evaluation_agree(tiny, tmp_path):
    """One has its variables in float32, the other in bfloat16."""
    run = {
        "dataset": "digits",
        "steps": 30,
        "batch_size": 32,
        "precision": "bfloat16",
        "train_dir": tmp_path / "run",
    }
    result = slimft.finetune(model=tiny, **run)
    same = slimft.evaluate(train_dir=tmp_path / "run")
    assert same["accuracy"] == result["accuracy"] and same["loss"] == pytest.approx(result["loss"], rel=1e-6)
    other = slimft.evaluate(train_dir=tmp_path / "run", precision="float32")
    assert other["accuracy"] == pytest.approx(result["accuracy"], abs=0.02)


def test_frozen_layers_of_a_training_graph_are_folded_and_learn_as_before(tiny, tmp_path):
    """Kernels train before normalizations that do not, and get their gradients through what is folded."""
    common = {"dataset": "digits", "precision": "bfloat16", "batch_size": 32, "learning_rate": 0.05}
    slimft.finetune(model=tiny, steps=60, train_dir=tmp_path / "first", **common)
    found = {}
    for batch_norm in ("frozen", "update"):
        common |= {"batch_norm": batch_norm, "checkpoint": str(tmp_path / "first")}
        settings = Settings(model=tiny, steps=60, train_dir=str(tmp_path / batch_norm), **common)
        run = prepare(complete(settings))
        loss = run.training.measured["loss"]
        with run.training.graph.as_default():
            found[batch_norm] = len(normalizations(loss))
            kernels = [variable for variable in tf.trainable_variables() if "weights" in variable.name]
            assert len(kernels) == 3 and all(one is not None for one in tf.gradients(loss, kernels))
    assert found == {"frozen": 0, "update": 2}
    first = slimft.evaluate(train_dir=tmp_path / "first")
    common["batch_norm"] = "frozen"
    folded = slimft.finetune(model=tiny, steps=60, train_dir=tmp_path / "run", **common)
    assert folded["loss"] < first["loss"]
