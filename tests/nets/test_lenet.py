"""LeNet and CifarNet, which no other library has: against NumPy; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

import slimft
from slimft.compat import slim, tf
from slimft.nets import cifarnet, get_network, lenet
from slimft.prediction import Classifier

NAMES = ("lenet", "cifarnet")


def relu(x):
    return np.maximum(x, 0)


def pooled(x):
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    return x[:, : 2 * rows, : 2 * columns].reshape([len(x), rows, 2, columns, 2, x.shape[3]]).max((2, 4))


def normalized(x):
    """Local response normalization: Krizhevsky's cuda-convnet, with 9 channels, 0.001 / 9 and 0.75."""
    squares = np.pad(x**2, [(0, 0), (0, 0), (0, 0), (4, 4)])
    sums = sum(squares[..., i : i + x.shape[-1]] for i in range(9))
    return x / (1 + 0.001 / 9 * sums) ** 0.75


@pytest.mark.parametrize("name, channels", [("lenet", 1), ("cifarnet", 3)])
def test_logits_are_those_of_numpy(build, random_weights, windows, assert_close, name, channels):
    images = 3 * np.random.default_rng(5).standard_normal((3, 12, 14, channels), dtype=np.float32)
    network = build("slimft.nets", name, 7, (None, 12, 14, channels))
    with random_weights(network.graph) as (session, _):
        logits, predictions = session.run(
            [network.logits, network.end_points["Predictions"]], {network.images: images}
        )
        variables = {v.op.name.partition("/")[2]: session.run(v).astype(np.float64) for v in tf.model_variables()}

    def conv(x, layer):
        kernel = np.einsum("nijcyx,yxco->nijo", windows(x, 5, 1), variables[f"{layer}/weights"])
        return relu(kernel + variables[f"{layer}/biases"])

    def dense(x, layer):
        return x @ variables[f"{layer}/weights"] + variables[f"{layer}/biases"]

    x = pooled(conv(images.astype(np.float64), "conv1"))
    if name == "lenet":
        x = relu(dense(pooled(conv(x, "conv2")).reshape([3, -1]), "fc3"))
        expected = dense(x, "fc4")
    else:
        x = pooled(normalized(conv(normalized(x), "conv2")))
        x = relu(dense(relu(dense(x.reshape([3, -1]), "fc3")), "fc4"))
        expected = dense(x, "logits")
    assert np.std(expected) > 0
    assert_close(logits, expected, within=1e-5)
    shares = np.exp(expected - expected.max(1, keepdims=True))
    assert_close(predictions, shares / shares.sum(1, keepdims=True), within=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_classes", [0, None])
def test_without_classes_the_last_hidden_layer_is_the_result(build, name, num_classes):
    network = build("slimft.nets", name, num_classes, (2, 28, 28, 1))
    key = {"lenet": "fc3", "cifarnet": "fc4"}[name]
    assert network.logits is network.end_points[key] and list(network.end_points)[-1] == key
    assert not {"Logits", "Predictions"} & network.end_points.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_reaches_the_network(build, monkeypatch, name):
    dropouts, mode = [], object()

    def dropout(net, keep_prob, is_training, scope):
        dropouts.append((scope, keep_prob, is_training))
        return net

    def prediction(logits, scope):
        return tf.sigmoid(logits, name=scope)

    monkeypatch.setattr(slim, "dropout", dropout)
    arguments = {"is_training": mode, "dropout_keep_prob": 0.75, "prediction_fn": prediction, "scope": "mine"}
    network = build("slimft.nets", name, 5, (2, 8, 8, 2), **arguments)
    assert dropouts == [("dropout3", 0.75, mode)]
    assert network.end_points["Predictions"].op.type == "Sigmoid"
    variables = network.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
    assert all(variable.op.name.startswith("mine/") for variable in variables)


def test_what_variables_begin_with_and_what_decays(build):
    """As research/slim has it: deviations of weights, biases, and factors of the regularizers."""
    started = {
        "lenet": {"conv1": (0.1, 0), "conv2": (0.1, 0), "fc3": (0.1, 0), "fc4": (0.1, 0)},
        "cifarnet": {
            "conv1": (0.05, 0), "conv2": (0.05, 0), "fc3": (0.04, 0.1), "fc4": (0.04, 0.1), "logits": (1 / 192, 0),
        },
    }  # fmt: skip
    for name, layers in started.items():
        graph = build("slimft.nets", name, 10, (1, 28, 28, 3)).graph
        losses = [loss.op for loss in graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)]
        decays = {op.name.partition("/")[2].split("/")[0]: tf.get_static_value(op.inputs[0]) for op in losses}
        assert decays == ({} if name == "lenet" else {"fc3": np.float32(0.004), "fc4": np.float32(0.004)})
        with graph.as_default(), tf.Session() as session:
            tf.set_random_seed(1)
            for variable in tf.model_variables():
                session.run(variable.initializer)
                layer, kind = variable.op.name.split("/")[1:]
                value, (deviation, bias) = session.run(variable), layers[layer]
                if kind == "biases":
                    assert (value == np.float32(bias)).all()
                else:  # Truncated at two deviations, which leaves 0.88 of it.
                    assert value.std() == pytest.approx(0.8796 * deviation, rel=0.1)
                    assert np.abs(value).max() <= 2 * deviation


def test_arg_scopes_take_the_factor_of_the_decay():
    assert str(inspect.signature(lenet.lenet_arg_scope)) == "(weight_decay=0.0)"
    assert str(inspect.signature(cifarnet.cifarnet_arg_scope)) == "(weight_decay=0.004)"
    with tf.Graph().as_default(), slim.arg_scope(cifarnet.cifarnet_arg_scope(weight_decay=0.25)):
        cifarnet.cifarnet(tf.zeros([1, 8, 8, 3]))
        losses = tf.losses.get_regularization_losses()
    assert [tf.get_static_value(loss.op.inputs[0]) for loss in losses] == [0.25, 0.25]


def test_a_checkpoint_is_of_one_size():
    """Of fc3's; so data of another size is seen at the network's own, but for who asks for it."""
    for name in NAMES:
        assert get_network(name).suggested_size(40) is get_network(name).suggested_size(None) is None
    suggested = [get_network(name).suggested_size(size) for name, size in (("vgg_a", 40), ("inception_v3", 40))]
    assert suggested == [40, 75] and get_network("vgg_a").suggested_size(None) is None


def test_a_checkpoint_of_grey_digits_classifies_images_in_colour(tmp_path):
    """One as research/slim writes it, whose network takes ``(pixels - 128) / 128`` of MNIST."""
    digits = np.random.default_rng(0).integers(0, 256, [4, 28, 28, 1]).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        with slim.arg_scope(lenet.lenet_arg_scope()):
            logits, end_points = lenet.lenet(tf.constant((digits - 128) / 128))
        tf.train.create_global_step()
        session.run(tf.global_variables_initializer())
        expected = session.run(end_points["Predictions"])
        path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"), global_step=20000)
    assert slimft.open_checkpoint(path).shape("LeNet/conv1/weights") == (5, 5, 1, 32)
    with Classifier("lenet", path, top=10) as classifier:
        classified = classifier.classify(np.repeat(digits, 3, axis=3))
    for shares, top in zip(expected, classified):
        np.testing.assert_allclose([dict(top)[i] for i in range(10)], shares, rtol=1e-3, atol=1e-6)
