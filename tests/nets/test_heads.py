"""The heads: what they compute (a reference in NumPy), how they train, and which one a checkpoint has."""

import numpy as np
import pytest

from slimft.checkpoint import open_checkpoint
from slimft.compat import dropout_seed, frozen_batch_norm, slim, tf
from slimft.inference import count_classes, head_of, logits_scope
from slimft.nets import HEADS, dense_heads, get_network
from slimft.nets.heads import get_head

CHANNELS, CLASSES = 12, 3
NORMALIZING = ("beta", "gamma", "moving_mean", "moving_variance")


def build_head(features, num_classes, kind, is_training):
    return get_head(kind).build(features, {}, num_classes, [None, 32, 32, 3], is_training)


def assign_random(session):
    """Gives all variables random values that keep a batch_norm layer alive; returns them by name."""
    rng, values = np.random.default_rng(6), {}
    for variable in tf.global_variables():
        values[variable.op.name] = rng.uniform(0.2, 1.2, variable.shape.as_list()).astype(np.float32)
        if variable.op.name.endswith(("weights", "mean")):
            values[variable.op.name] -= 0.7
    session.run([variable.assign(values[variable.op.name]) for variable in tf.global_variables()])
    return values


def in_numpy(values, features):
    """The logits that a head with `values` has in inference, by the formulas of its papers."""
    net = features.mean(axis=(1, 2))
    if "head/BatchNorm/gamma" in values:
        beta, gamma, mean, variance = (values[f"head/BatchNorm/{name}"] for name in NORMALIZING)
        net = (net - mean) / np.sqrt(variance + 0.001) * gamma + beta
    net = np.maximum(net @ values["head/hidden/weights"] + values["head/hidden/biases"], 0)
    return net @ values["head/logits/weights"] + values["head/logits/biases"]


@pytest.mark.parametrize("kind", ["mlp", "bn_mlp"])
@pytest.mark.parametrize("positions", [(1, 1), (2, 3)])
def test_logits_are_what_numpy_computes(kind, positions):
    features = np.random.default_rng(1).normal(size=(5, *positions, CHANNELS)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, *positions, CHANNELS])
        logits = build_head(images, CLASSES, kind, is_training=False)
        assert logits.shape.as_list() == [None, CLASSES]
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        values = assign_random(session)
        shapes = {name: value.shape for name, value in values.items()}
        first, again = (session.run(logits, {images: features}) for _ in range(2))
    assert shapes == {
        **({f"head/BatchNorm/{name}": (CHANNELS,) for name in NORMALIZING} if kind == "bn_mlp" else {}),
        "head/hidden/weights": (CHANNELS, 256),
        "head/hidden/biases": (256,),
        "head/logits/weights": (256, CLASSES),
        "head/logits/biases": (CLASSES,),
    }
    np.testing.assert_allclose(first, in_numpy(values, features), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(first, again)


def test_unknown_head(tiny):
    with pytest.raises(ValueError, match="no head 'mpl'; choose one of linear, mlp, bn_mlp"):
        get_head("mpl")
    with tf.Graph().as_default() as graph, pytest.raises(ValueError, match="no head 'mpl'"):
        get_network(tiny).build(tf.zeros([1, 16, 16, 3]), 2, is_training=False, head="mpl")
    assert [op.type for op in graph.get_operations()] == ["Const"]
    with tf.Graph().as_default(), pytest.raises(ValueError, match="linear: the network's function builds it"):
        build_head(tf.zeros([1, 1, 1, 2]), 2, "linear", is_training=False)


def test_heads_are_for_classification():
    assert {get_head(name).task for name in HEADS} == {"classification"}


def test_a_head_sees_the_networks_end_points(tiny, monkeypatch):
    """As a head for segmentation needs them."""

    def of_end_points(features, end_points, num_classes, image_shape, is_training):
        seen.update(features=features.shape, names=sorted(end_points), image=image_shape.as_list())
        seen.update(is_training=is_training, scope=tf.get_variable_scope().name, classes=num_classes)
        return tf.reduce_mean(end_points["Conv2d_5_pointwise"], [1, 2])

    seen = {}
    monkeypatch.setattr(dense_heads, "mlp", of_end_points)
    with tf.Graph().as_default():
        images = tf.zeros([2, 64, 64, 3])
        logits, end_points = get_network("mobilenet_v1_025").build(images, CLASSES, is_training=True, head="mlp")
    assert logits.shape == [2, 64]
    assert seen == {
        "features": [2, 1, 1, 256],
        "names": sorted(end_points),
        "image": [2, 64, 64, 3],
        "is_training": True,
        "scope": "head",
        "classes": CLASSES,
    }


def test_first_weights_are_of_the_variance_that_he_et_al_derive():
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        build_head(tf.zeros([1, 1, 1, 1024]), 100, "mlp", is_training=True)
        session.run(tf.global_variables_initializer())
        for scope, inputs in (("hidden", 1024), ("logits", 256)):
            weights, biases = session.run([f"head/{scope}/weights:0", f"head/{scope}/biases:0"])
            assert weights.std() == pytest.approx(np.sqrt(2 / inputs), rel=0.03)
            assert abs(weights.mean()) < 0.002
            # Truncated at two standard deviations, which are 1.3 times the variance apart (slim's initializer).
            assert abs(weights).max() < 2 * np.sqrt(1.3 * 2 / inputs)
            assert not biases.any()


@pytest.fixture
def trained():
    """A training graph of a bn_mlp head of random values; its logits are of a seed and 64 features."""
    with tf.Graph().as_default(), tf.Session() as session:
        seed = tf.placeholder(tf.int64, [2])
        features = tf.constant(np.random.default_rng(2).normal(3, 2, (64, 1, 1, CHANNELS)), tf.float32)
        with dropout_seed(seed):
            logits = build_head(features, CLASSES, "bn_mlp", is_training=True)
        session.run(tf.global_variables_initializer())
        yield lambda *key: session.run(logits, {seed: key})


def test_dropout_is_a_function_of_the_seed(trained):
    np.testing.assert_array_equal(trained(1, 2), trained(1, 2))
    assert not np.allclose(trained(1, 2), trained(1, 3))


def test_dropout_drops_half_of_the_hidden_layer(trained):
    trained(1, 2)
    graph = tf.get_default_graph()
    (rate,) = (op.name for op in graph.get_operations() if "head/dropout" in op.name and "GreaterEqual" in op.type)
    kept = tf.get_default_session().run(f"{rate}:0", {"Placeholder:0": (1, 2)})
    assert kept.shape == (64, 256)
    assert kept.mean() == pytest.approx(0.5, abs=0.02)


def test_batch_norm_normalizes_with_the_batch_and_moves_its_averages(trained):
    trained(1, 2)
    graph, session = tf.get_default_graph(), tf.get_default_session()
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    assert len(updates) == 2
    hidden = next(op for op in graph.get_operations() if op.type == "MatMul" and "hidden" in op.name)
    normalized = session.run(hidden.inputs[0])
    np.testing.assert_allclose(normalized.mean(axis=0), np.zeros(CHANNELS), atol=1e-5)
    np.testing.assert_allclose(normalized.std(axis=0), np.ones(CHANNELS), atol=1e-2)
    session.run(updates)
    assert np.all(session.run("head/BatchNorm/moving_mean:0") > 0)


def test_a_frozen_head_keeps_its_averages():
    with tf.Graph().as_default():
        with frozen_batch_norm(lambda scope: scope == "head/BatchNorm"):
            build_head(tf.zeros([4, 1, 1, 2]), 2, "bn_mlp", is_training=True)
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)


@pytest.mark.parametrize("weight_decay, expected", [(None, 1e-4), (0.25, 0.25), (0.0, None)])
def test_weight_decay_is_the_networks(tiny, weight_decay, expected):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.zeros([2, 16, 16, 3])
        get_network(tiny).build(images, CLASSES, is_training=True, weight_decay=weight_decay, head="mlp")
        values = assign_random(session)
        losses = [loss for loss in tf.losses.get_regularization_losses() if loss.name.startswith("head")]
        weights = [values[f"head/{scope}/weights"] for scope in ("hidden", "logits")]
        half_squares = [] if expected is None else [expected * np.square(value).sum() / 2 for value in weights]
        assert session.run(losses) == pytest.approx(half_squares, rel=1e-4)


def test_batch_norm_of_the_networks_arg_scope_does_not_reach_the_hidden_layer():
    """MobileNet V2's arg_scope normalizes every dense layer."""
    with tf.Graph().as_default():
        get_network("mobilenet_v2").build(tf.zeros([2, 32, 32, 3]), CLASSES, is_training=True, head="mlp")
        names = [variable.op.name for variable in tf.global_variables() if variable.op.name.startswith("head")]
    assert names == [f"head/{scope}/{kind}" for scope in ("hidden", "logits") for kind in ("weights", "biases")]


def test_evaluation_uses_the_variables_of_training(tiny):
    spec = get_network(tiny)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(np.random.default_rng(3).normal(size=(4, 16, 16, 3)), tf.float32)
        training, _ = spec.build(images, CLASSES, is_training=True, head="bn_mlp")
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            logits, _ = spec.build(images, CLASSES, is_training=False, head="bn_mlp")
        assert len({variable.op.name for variable in tf.global_variables()}) == len(tf.global_variables()) == 16
        session.run(tf.global_variables_initializer())
        np.testing.assert_array_equal(session.run(logits), session.run(logits))
        assert not np.allclose(session.run(training), session.run(training))


@pytest.mark.parametrize(
    "name, sizes",
    [
        ("alexnet_v2", (195, 300)),
        ("vgg_a", (32, 224, 288)),
        ("mobilenet_v1_025", (32, 96, 288)),
        ("inception_v1", (32, 224, 288)),
    ],
)
def test_every_size_gives_one_row_of_logits_an_image(name, sizes):
    for size in sizes:
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, size, size, 3])
            logits, _ = get_network(name).build(images, CLASSES, is_training=True, head="mlp")
            assert logits.shape.as_list() == [None, CLASSES]


def test_the_linear_head_is_the_networks_own_graph():
    spec, graphs = get_network("mobilenet_v1_025"), []
    for through_spec in (True, False):
        with tf.Graph().as_default() as graph:
            images = tf.placeholder(tf.float32, [None, 64, 64, 3])
            if through_spec:
                spec.build(images, CLASSES, is_training=True)
            else:
                with slim.arg_scope(spec.arg_scope()):
                    spec.function(images, CLASSES, is_training=True)
            graphs.append(graph.as_graph_def())
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize("head", HEADS)
def test_a_checkpoint_tells_its_head_and_its_classes(tiny, tmp_path, head):
    spec = get_network(tiny)
    with tf.Graph().as_default(), tf.Session() as session:
        spec.build(tf.zeros([1, 16, 16, 3]), CLASSES, is_training=True, head=head)
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    checkpoint = open_checkpoint(path)
    assert head_of(checkpoint) == head
    assert count_classes(checkpoint, logits_scope(spec, head)) == CLASSES
    assert any(name.startswith(spec.head_scopes(head)) for name in checkpoint)
