"""Every network, from a checkpoint with ImageNet's classes, learns ten digits: real training steps, in float32."""

import dataclasses

import numpy as np
import pytest

import slimft
from slimft.checkpoint import Checkpoint, write_checkpoint
from slimft.checkpoint.official import OFFICIAL
from slimft.checkpoint.view import ArraysInMemory
from slimft.compat import tf
from slimft.data import load_dataset
from slimft.filters import VariableFilter
from slimft.nets import get_network, network_names
from slimft.training import Settings
from slimft.training.completion import complete
from slimft.training.graph import build_graph
from slimft.training.stages import Stage

CLASSIFIERS = [name for name in network_names() if get_network(name).task == "classification"]
STEPS, BATCH_SIZE = 20, 16
# VGG, AlexNet, OverFeat and NASNet are dear; of the Inceptions, V1 and V3 are tested, of the ResNets V1.
LEFT_OUT = (
    "vgg", "alexnet", "overfeat", "inception_v2", "inception_v4", "inception_resnet_v2", "nasnet", "resnet_v2",
)  # fmt: skip


def always_trained():
    """The smallest network of each file, but for some; the others with -m slow."""
    smallest = {}
    for spec in map(get_network, CLASSIFIERS):
        smallest[spec.module] = min(spec, smallest.get(spec.module, spec), key=lambda spec: spec.parameters)
    return {spec.name for spec in smallest.values() if not spec.module.endswith(LEFT_OUT)}


ALWAYS = always_trained()


def fresh_checkpoint(spec, image_size, path):
    """Writes what `spec` with ImageNet's classes starts training from."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        spec.build(
            tf.zeros([1, image_size, image_size, spec.channels]), spec.num_imagenet_classes, is_training=True
        )
        session.run(tf.global_variables_initializer())
        values = session.run({variable.op.name: variable for variable in tf.model_variables()})
    if spec.module == "slimft.nets.vgg":
        keep_the_scale(values)
    write_checkpoint(path, ArraysInMemory(values))


def keep_the_scale(values):
    """Scales VGG's weights by He et al. (arXiv:1502.01852), as trained ones are: signals keep their scale.

    TF-Slim starts with Glorot's, with which they fade from layer to layer and nothing is learnt in 20 steps. Pixels
    come with a scale of about 60; of fc6, only the tap in the middle meets images of 32x32 of them.
    """
    for name, value in values.items():
        if name.endswith("/weights"):
            fan_in = np.prod(value.shape[2 if "/fc6/" in name else 0 : 3])
            value *= np.sqrt(2 / fan_in) / value.std() / (60 if "/conv1_1/" in name else 1)


def losses_of_training(spec, image_size, checkpoint, **restoring):
    """Restores, checks that this did what the plan says, and trains on the same 16 digits.

    Returns:
        The plan, and the loss of each step.
    """
    train = load_dataset("digits")["train"]
    images, labels = train.images[:BATCH_SIZE], train.labels[:BATCH_SIZE]
    few = dataclasses.replace(train, images=images, labels=labels, max_shift=0.0)
    told = Settings(
        model=spec.name,
        dataset="digits",
        image_size=image_size,
        batch_size=BATCH_SIZE,
        optimizer="adam",
        schedule="fixed",
        learning_rate=0.0001 if spec.module == "slimft.nets.vgg" else 0.0005,
    )
    settings = complete(told)
    training = build_graph(settings, spec, few, Stage(0, 0, STEPS, (), settings.learning_rate))
    with training.graph.as_default(), tf.Session() as session:
        plan = slimft.plan_restore(checkpoint, **restoring)
        session.run(tf.global_variables_initializer())
        plan.apply(session)
        entries = list(plan.restored.items())
        for name, entry in (entries[0], entries[len(entries) // 2], entries[-1]):
            np.testing.assert_array_equal(session.run(plan.variables[name]), plan.checkpoint[entry])
        training.parts.take(session)
        training.batches.start(session, few)
        losses = [session.run([training.loss, training.train_op])[0] for _ in range(STEPS)]
        assert session.run(training.all_finite)
    return plan, losses


def assert_falls(spec, losses):
    """VGG, which has no batch normalization but dropout, learns much more slowly than the others."""
    assert np.mean(losses[-5:]) < (0.95 if spec.module == "slimft.nets.vgg" else 0.7) * np.mean(losses[:3])


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in CLASSIFIERS]
)
def test_learns_from_a_checkpoint_without_its_logits(name, tmp_path):
    spec = get_network(name)
    # LeNet and CifarNet take 4 pixels and a NASNet 3, in which there is nothing to see.
    image_size = max(spec.min_image_size, min(spec.default_image_size, 32))
    checkpoint = str(tmp_path / "model.ckpt")
    fresh_checkpoint(spec, image_size, checkpoint)
    plan, losses = losses_of_training(spec, image_size, checkpoint, exclude=spec.logits_scopes)
    print(f"{name}: {image_size}x{image_size}, loss {losses[0]:.3f} to {losses[-1]:.3f}")
    logits = VariableFilter(include=spec.logits_scopes)
    assert all(map(logits.selects, plan.excluded)) and not any(map(logits.selects, plan.restored))
    assert len(plan.restored) + len(plan.excluded) == len(plan.variables)
    assert_falls(spec, losses)


class Vgg19(Checkpoint):
    """What the official vgg_19.ckpt holds, by its names and shapes; every value is 1."""

    path, format = "vgg_19.ckpt", "memory"

    def _shapes_and_dtypes(self):
        float32 = np.dtype(np.float32)
        return {name: (tuple(shape), float32) for name, shape in OFFICIAL["vgg_19"].variables.items()}

    def _read(self, name):
        return np.ones(self.shape(name), np.float32)


# What the figure's network has beyond VGG-19, with 2, 2, 4, 4 and 4 convolutions.
EXTRA = ("vgg_postech/conv2/conv2_3", "vgg_postech/conv4/conv4_5", "vgg_postech/conv5/conv5_5")


def test_vgg_postech_from_vgg_19_by_renaming():
    spec = get_network("vgg_postech")
    with tf.Graph().as_default(), tf.Session() as session:
        spec.build(tf.zeros([1, 32, 32, 3]), 10, is_training=False)
        model = [variable.op.name for variable in tf.model_variables()]
        plan = slimft.plan_restore(Vgg19(), rename={"vgg_19": "vgg_postech"}, exclude=spec.logits_scopes)
        assert plan.missing == tuple(f"{scope}/{kind}" for scope in EXTRA for kind in ("weights", "biases"))
        with pytest.raises(slimft.RestoreError) as caught:
            plan.check()
        advice = str(caught.value).partition("--exclude=")[2]
        assert sorted(advice.split(",")) == sorted([*EXTRA, "vgg_postech/fc8"])

        plan = slimft.plan_restore(Vgg19(), rename={"vgg_19": "vgg_postech"}, exclude=advice)
        assert plan.missing == plan.mismatched == ()
        assert set(plan.unused) == {"vgg_19/fc8/weights", "vgg_19/fc8/biases"}
        fresh = VariableFilter(include=advice)
        assert plan.excluded == tuple(fresh.select(model)) and len(plan.excluded) == 8
        assert dict(plan.restored) == {
            name: name.replace("vgg_postech", "vgg_19") for name in model if not fresh.selects(name)
        }
        for line in str(plan).splitlines()[: len(model)]:
            name, _, fate = line.split(maxsplit=2)
            assert fate == ("excluded" if fresh.selects(name) else f"restored from {plan.restored[name]}")
        session.run(tf.global_variables_initializer())
        biases = [variable for variable in tf.model_variables() if variable.op.name.endswith("biases")]
        plan.apply(session)
        for variable, value in zip(biases, session.run(biases)):
            assert np.all(value == (0 if fresh.selects(variable.op.name) else 1)), variable.op.name


@pytest.mark.slow
def test_vgg_postech_learns_from_a_vgg_19(tmp_path):
    fresh_checkpoint(get_network("vgg_19"), 32, str(tmp_path / "vgg_19.ckpt"))
    spec = get_network("vgg_postech")
    exclude = [*EXTRA, *spec.logits_scopes]
    plan, losses = losses_of_training(
        spec, 32, str(tmp_path / "vgg_19.ckpt"), exclude=exclude, rename={"vgg_19": "vgg_postech"}
    )
    print(f"vgg_postech from vgg_19: loss {losses[0]:.3f} to {losses[-1]:.3f}")
    assert len(plan.restored) == 36
    assert_falls(spec, losses)
