"""--remat computes the gradients that there are without it, to the last bit, and keeps fewer activations."""

import numpy as np
import pytest

import slimft
from slimft.compat import dropout_seed, tf
from slimft.compat.graphs import ancestors
from slimft.nets import get_network, network_names
from slimft.training import Settings, finetune
from slimft.training.remat import recomputed_gradients

QUICK = ("mobilenet_v1_025", "inception_v1")
# Threads add up in any order what their branches have in common.
ANY_ORDER = ("InceptionV3", "InceptionV4", "InceptionResnetV2")


def smallest_of_each_family():
    """Those of which building and running takes long with -m slow."""
    found = {}
    for spec in map(get_network, network_names()):
        if spec.task != "classification":
            continue
        found[spec.module] = min(spec, found.get(spec.module, spec), key=lambda spec: spec.parameters)
    names = sorted(spec.name for spec in found.values())
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def loss_of(name, size):
    """The images and the loss of a training network, auxiliary logits included."""
    generator = np.random.default_rng(0)
    images = tf.constant(generator.uniform(-1, 1, (4, size, size, 3)).astype(np.float32))
    with dropout_seed(tf.constant([1, 2], tf.int64)):
        logits, end_points = get_network(name).build(images, 10, is_training=True)
    outputs = [logits, end_points["AuxLogits"]] if "AuxLogits" in end_points else [logits]
    losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1, 2, 3, 4], logits=one) for one in outputs]
    return images, tf.add_n([tf.reduce_mean(loss) for loss in losses] + tf.losses.get_regularization_losses())


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        tf.get_variable_scope().set_use_resource(True)
        yield graph


@pytest.mark.parametrize("name", smallest_of_each_family())
def test_gradients_are_those_without_it(name):
    spec = get_network(name)
    images, loss = loss_of(name, max(64, spec.min_image_size) if "vgg" not in name else 32)
    variables = tf.trainable_variables()
    recomputed = recomputed_gradients(loss, variables, images)
    assert recomputed.blocks >= 2 and recomputed.bytes_after < recomputed.bytes_before
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        expected, found = session.run([tf.gradients(loss, variables), recomputed.gradients])
    for variable, one, other in zip(variables, expected, found):
        name = variable.op.name
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * np.abs(one).max(), err_msg=name)
        # Threads also add up over the batch in any order, for other variables than weights.
        if name.endswith("weights") and spec.scope not in ANY_ORDER:
            np.testing.assert_array_equal(other, one, err_msg=name)


def test_gradients_read_what_was_kept_and_what_was_recomputed():
    images, loss = loss_of("vgg_a", 32)
    variables = tf.trainable_variables()
    first = recomputed_gradients(loss, variables, images).gradients[0]
    computed = [op for op in ancestors([first.op]) if op.name.startswith(("gradients", "recomputed"))]
    read = {tensor.op.name for op in computed for tensor in op.inputs}
    assert "recomputed/vgg_a/conv2/conv2_1/Relu" in read and "vgg_a/conv2/conv2_1/Relu" not in read
    # A copy begins when the gradients of the weights behind it are there.
    copied = tf.get_default_graph().get_operation_by_name("recomputed_1/vgg_a/conv1/conv1_1/Conv2D")
    assert copied.inputs[0].op.type == "Identity" and copied.inputs[0].op.control_inputs


def test_frozen_layers_are_not_computed_again():
    images, loss = loss_of("mobilenet_v1_025", 64)
    variables = [one for one in tf.trainable_variables() if "Conv2d_13" in one.op.name or "Logits" in one.op.name]
    found = recomputed_gradients(loss, variables, images)
    copies = [op.name for op in tf.get_default_graph().get_operations() if "recomputed" in op.name]
    assert None not in found.gradients
    assert not [name for name in copies if "Conv2d_12" in name]


def test_where_only_the_last_layer_trains_it_says_that_it_does_nothing():
    images, loss = loss_of("mobilenet_v1_025", 64)
    variables = [one for one in tf.trainable_variables() if "Logits" in one.op.name]
    found = recomputed_gradients(loss, variables, images)
    assert found.blocks == 0 and "does nothing" in found.describe()


def test_statistics_of_batch_norm_move_once():
    images, loss = loss_of("mobilenet_v1_025", 64)
    recomputed_gradients(loss, tf.trainable_variables(), images)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    before = ancestors([getattr(update, "op", update) for update in updates])
    assert len(updates) == 2 * 27 and not [op for op in before if "recomputed" in op.name]


def test_a_run_with_it_ends_with_the_same_weights(tiny, tmp_path, capfd):
    results = []
    for remat in (False, True):
        settings = Settings(
            model="tiny",
            dataset="digits",
            batch_size=16,
            steps=4,
            train_dir=str(tmp_path / f"{remat}"),
            remat=remat,
        )
        results.append(finetune(settings))
    assert "--remat: " in capfd.readouterr().err
    one, other = (slimft.open_checkpoint(result["checkpoint"]) for result in results)
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert results[1]["loss"] == pytest.approx(results[0]["loss"], rel=1e-4)


def test_xla_says_where_it_does_nothing(tiny, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    finetune(Settings(model="tiny", dataset="digits", steps=1, train_dir=str(tmp_path / "run"), xla=True))
    assert "--xla does nothing here" in capfd.readouterr().err
