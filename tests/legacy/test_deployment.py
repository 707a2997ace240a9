"""Clones of a model: where they are, and that they train as one."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.compat.graphs import ancestors
from slimft.legacy.deployment import model_deploy
from slimft.legacy.deployment.model_deploy import DeploymentConfig

CPU = "/device:CPU:0"


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


# Devices and scopes.


def places(config, clone=0):
    """Those of a clone, the optimizer and the input."""
    clone = (config.clone_scope(clone), config.clone_device(clone))
    return (*clone, config.optimizer_device(), config.inputs_device())


@pytest.mark.parametrize(
    "arguments, clone, expected",
    [
        ({}, 0, ("", "/device:GPU:0", CPU, CPU)),
        ({"clone_on_cpu": True}, 0, ("", CPU, CPU, CPU)),
        ({"num_clones": 3}, 2, ("clone_2", "/device:GPU:2", CPU, CPU)),
        ({"num_clones": 3, "clone_on_cpu": True}, 1, ("clone_1", CPU, CPU, CPU)),
        ({"num_ps_tasks": 1}, 0, ("", "/job:worker/device:GPU:0", f"/job:worker{CPU}", f"/job:worker{CPU}")),
        (
            {"num_clones": 2, "num_replicas": 2, "num_ps_tasks": 3, "worker_job_name": "w", "replica_id": 1},
            1,
            ("clone_1", "/job:w/device:GPU:1", f"/job:w{CPU}", f"/job:w{CPU}"),
        ),
    ],
)
def test_places(arguments, clone, expected):
    config = DeploymentConfig(**arguments)
    assert places(config, clone) == expected
    for ask in (config.clone_device, config.clone_scope):
        with pytest.raises(ValueError, match=f"clone_index={config.num_clones} has to be less than num_clones"):
            ask(config.num_clones)


def test_a_configuration_tells_what_it_was_told():
    config = DeploymentConfig(2, True, 1, 3, 4, "w", "p")
    names = (
        "num_clones",
        "clone_on_cpu",
        "replica_id",
        "num_replicas",
        "num_ps_tasks",
        "worker_device",
        "ps_device",
    )
    assert [getattr(config, name) for name in names] == [2, True, 1, 3, 4, "/job:w", "/job:p"]
    assert (DeploymentConfig().worker_device, DeploymentConfig().ps_device) == ("", "")
    with pytest.raises(AttributeError):
        config.num_clones = 3


@pytest.mark.parametrize("use_resource", [False, True])
def test_variables_take_turns_on_parameter_servers(use_resource):
    config = DeploymentConfig(num_ps_tasks=2)
    with tf.device(config.variables_device()):
        variables = [tf.Variable(0.0, use_resource=use_resource) for _ in range(3)]
        read, other = variables[0] + 1, tf.no_op()
        with tf.device("/job:elsewhere"):
            kept = tf.Variable(0.0, use_resource=use_resource)
    assert [variable.device for variable in variables] == [f"/job:ps/task:{i}{CPU}" for i in (0, 1, 0)]
    assert read.device == other.device == "" and kept.device == "/job:elsewhere"
    assert config.caching_device()(variables[1].op) == variables[1].op.device
    assert DeploymentConfig().variables_device() == CPU and DeploymentConfig().caching_device() is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_replicas": 2}, "num_replicas=2 needs parameter servers"),
        ({"num_ps_tasks": 1, "worker_job_name": ""}, "worker_job_name is empty"),
        ({"num_ps_tasks": 1, "ps_job_name": None}, "ps_job_name is empty"),
        ({"replica_id": 1}, "replica_id=1 has to be less than num_replicas=1"),
    ],
)
def test_what_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        DeploymentConfig(**arguments)


# Training.

IMAGES = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, 8)


def batches(parts):
    """A model's function, that builds a layer on the next part of the images each time it is called."""
    split = iter(zip(np.split(IMAGES, parts), np.split(LABELS, parts)))

    def model_fn(width, use_batch_norm=False):
        images, labels = next(split)
        net = slim.batch_norm(tf.constant(images)) if use_batch_norm else tf.constant(images)
        regularizer = slim.l2_regularizer(0.1)
        logits = slim.fully_connected(net, width, activation_fn=None, weights_regularizer=regularizer, scope="fc")
        slim.losses.sparse_softmax_cross_entropy(logits, labels)
        tf.summary.scalar("of_the_model", logits[0, 0])
        return logits

    return model_fn


def trained(parts, **arguments):
    """The losses of some steps and the variables after them, with a clone for each part of the images."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        config = DeploymentConfig(num_clones=parts, clone_on_cpu=True)
        optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
        model = model_deploy.deploy(config, batches(parts), [3], optimizer=optimizer, **arguments)
        session.run(tf.global_variables_initializer())
        weights = next(v for v in tf.trainable_variables() if v.op.name == "fc/weights")
        weights.load(0.3 * IMAGES[:5, :3], session)
        losses = [session.run([model.total_loss, model.train_op])[0] for _ in range(5)]
        assert session.run(tf.train.get_global_step()) == 5
        assert model.summary_op.op.name == "summary_op/summary_op" and model.train_op.op.name == "train_op"
        assert session.run(model.summary_op)
        return losses, session.run(weights)


def test_clones_train_as_one_network_does_on_all_of_the_batch():
    one, of_one = trained(1)
    assert one[-1] < one[0]
    for clones in (2, 4):
        losses, weights = trained(clones, summarize_gradients=True)
        np.testing.assert_allclose(losses, one, rtol=1e-5)
        np.testing.assert_allclose(weights, of_one, rtol=1e-4, atol=1e-6)


def test_clones_share_variables_and_the_first_one_updates(graph):
    config = DeploymentConfig(num_clones=2, num_ps_tasks=2)
    model = model_deploy.deploy(
        config, batches(2), [3], {"use_batch_norm": True}, tf.train.GradientDescentOptimizer(0.1), True
    )
    assert [(clone.scope, clone.device) for clone in model.clones] == [
        (f"clone_{i}/", f"/job:worker/device:GPU:{i}") for i in (0, 1)
    ]
    assert [clone.outputs.op.name for clone in model.clones] == ["clone_0/fc/BiasAdd", "clone_1/fc/BiasAdd"]
    variables = slim.get_model_variables()
    assert len(variables) == 5
    assert [variable.device for variable in variables] == [f"/job:ps/task:{i % 2}{CPU}" for i in range(5)]
    assert len(tf.losses.get_regularization_losses()) == 1
    updates = {update.op for update in tf.get_collection(tf.GraphKeys.UPDATE_OPS)}
    running = updates & set(ancestors([model.train_op.op]))
    assert running == {op for op in updates if op.name.startswith("clone_0/")} and 2 * len(running) == len(updates)
    # All summaries are on the CPU, of the first clone and of the gradients.
    summaries = [tensor.op for tensor in model.summary_op.op.inputs]
    assert {op.device for op in summaries} == {f"/job:worker{CPU}", "/job:worker/device:GPU:0"}
    names = {tf.get_static_value(op.inputs[0]).item().decode() for op in summaries}
    assert names == {
        "total_loss_1", "clone_0/of_the_model", "clone_0/Losses/clone_0//clone_loss",
        "clone_0/Losses/regularization_loss", "fc/weights_gradient", "fc/weights_gradient_norm",
        "fc/biases_gradient", "fc/biases_gradient_norm", "BatchNorm/beta_gradient", "BatchNorm/beta_gradient_norm",
    }  # fmt: skip


def test_evaluation_has_losses_and_nothing_to_train():
    model = model_deploy.deploy(DeploymentConfig(clone_on_cpu=True), batches(1), [3])
    assert model.train_op is None and model.clones[0].scope == "" and not tf.get_collection("train_op")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        total, parts = session.run(
            [model.total_loss, [tf.losses.get_losses(), tf.losses.get_regularization_losses()]]
        )
    assert total == pytest.approx(sum(map(sum, parts)))
    nothing = model_deploy.deploy(DeploymentConfig(), lambda: None)
    assert nothing.total_loss is not None  # The graph's regularization losses.
    with tf.Graph().as_default():
        assert model_deploy.deploy(DeploymentConfig(), lambda: None)[:3] == (None, None, None)
        with pytest.raises(ValueError, match="there is no loss"):
            model_deploy.deploy(DeploymentConfig(), lambda: None, optimizer=tf.train.GradientDescentOptimizer(0.1))


def test_gradients_are_added_up():
    first, second = tf.Variable(1.0, name="first"), tf.Variable(1.0, name="second")
    none = tf.Variable(1.0, name="none")
    one, two = tf.constant(1.0), tf.constant(2.0)
    summed = model_deploy._sum_clones_gradients(
        [[(one, first), (None, second), (None, none)], [(two, first), (two, second), (None, none)]]
    )
    assert [variable for _, variable in summed] == [first, second]
    assert summed[0][0].op.name == "first/sum_grads" and summed[1][0] is two
    with tf.Session() as session:
        assert session.run(summed[0][0]) == 3
    with pytest.raises(ValueError, match="first is not a variable of all clones"):
        model_deploy._sum_clones_gradients([[(one, first)], [(one, second)]])
    sparse = tf.IndexedSlices(tf.ones([1, 2]), tf.constant([0]))
    assert len(model_deploy._add_gradients_summaries([(sparse, first), (None, none)])) == 2
