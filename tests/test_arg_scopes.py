"""Networks built outside their arg_scope do not restore, whichever way round and by whichever function."""

import functools

import numpy as np
import pytest

import slimft
from slimft import PatternError, RestoreError, plan_restore
from slimft.checkpoint import Checkpoint
from slimft.compat import slim, tf
from slimft.nets import get_network, mobilenet_v1, network_names
from slimft.nets.registry import arg_scope_call

# One of each family always; all others with -m slow.
ALWAYS = (
    "alexnet_v2",
    "overfeat",
    "vgg_16",
    "resnet_v1_50",
    "resnet_v2_50",
    "inception_v1",
    "inception_v3",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "densenet_121",
    "lenet",
    "cifarnet",
)
# Without their arg_scope, these are the same ops on the same variables.
SAME = {"alexnet_v2", "vgg_a", "vgg_16", "vgg_19", "vgg_postech"}
SAME |= {name for name in network_names() if name.startswith(("mobilenet_v2", "mobilenet_v3", "mobilenet_edgetpu"))}
SAME |= {"fcn_32s", "fcn_16s", "fcn_8s", "overfeat", "lenet", "cifarnet"}


class Shapes(Checkpoint):
    """A checkpoint of variables, of their names and shapes alone."""

    format = "memory"

    def __init__(self, variables, path="saved.ckpt"):
        self.path = path
        self._shapes = {v.op.name: (tuple(v.shape.as_list()), np.dtype(np.float32)) for v in variables}

    def _shapes_and_dtypes(self):
        return self._shapes

    def _read(self, name):
        return np.zeros(self.shape(name), np.float32)


def build(spec, inside, num_classes=10):
    """Builds the network in the default graph; returns its logits."""
    size = max(64, spec.min_image_size)
    images = tf.placeholder(tf.float32, [1, size, size, spec.channels])
    if inside:
        return spec.build(images, num_classes, is_training=False)[0]
    # That NASNet's arg_scope names a layer too is another error, of layers that are not there.
    named = {"scope": "FC"} if "nasnet" in spec.name else {}
    with slim.arg_scope([slim.fully_connected], **named):
        return spec.function(images, num_classes, is_training=False, **spec.arguments_for(size, False))[0]


def computation(logits):
    """What the logits are computed by: the type, inputs and attributes of each op."""
    ops, ahead = {}, [logits.op]
    while ahead:
        op = ahead.pop()
        if op.name not in ops:
            attributes = sorted((key, str(value)) for key, value in op.node_def.attr.items())
            ops[op.name] = (op.type, [tensor.name for tensor in op.inputs], attributes)
            # How a variable begins does not matter.
            ahead += [] if "Variable" in op.type else [tensor.op for tensor in op.inputs]
    return ops


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in network_names()]
)
def test_each_network(name):
    spec = get_network(name)
    # An FCN's is that of the network whose scope it has, which its variables tell.
    of = get_network(spec.scope) if spec.task == "segmentation" else spec
    call = f"with slim.arg_scope({of.module.rpartition('.')[2]}.{of.arg_scope_name}()):"
    graphs, checkpoints, computations = {}, {}, {}
    for inside in (True, False):
        graphs[inside] = tf.Graph()
        with graphs[inside].as_default():
            computations[inside] = computation(build(spec, inside))
            checkpoints[inside] = Shapes(slim.get_model_variables())
            plan = plan_restore(checkpoints[inside])
            plan.check()
            assert not plan.unused and not plan.left_over
    with graphs[False].as_default():
        plan = plan_restore(checkpoints[True])
        if name in SAME:
            plan.check()
            assert computations[True] == computations[False]
            return
        with pytest.raises(RestoreError) as caught:
            plan.check()
        said = str(caught.value)
        assert call in said and "--exclude" not in said and "\n" not in said
        # Who excludes what is missing, every `biases`, is told the same.
        missing = [name for name in plan.missing if name.endswith("/biases")]
        assert set(missing) == set(plan.missing)
        with pytest.raises(RestoreError) as caught:
            plan_restore(checkpoints[True], exclude=missing or None).check()
        assert call in str(caught.value)
        assert "left over" in plan.summary() and "unused, though its layer is restored" in str(plan)
    with graphs[True].as_default():
        written = "the network that wrote it was built|written by a network built"
        with pytest.raises(RestoreError, match=written) as caught:
            plan_restore(checkpoints[False]).check()
        assert "outside its arg_scope" in str(caught.value) and call not in str(caught.value)


def test_a_network_that_the_registry_does_not_have():
    assert arg_scope_call(["densenet161/conv1/weights"]) == "densenet.densenet_arg_scope()"
    assert arg_scope_call(["densenet162/conv1/weights"]) is None


def test_other_classes_beside_it_are_told_too():
    spec = get_network("resnet_v1_50")
    with tf.Graph().as_default():
        build(spec, True, 1000)
        checkpoint = Shapes(slim.get_model_variables())
    with tf.Graph().as_default():
        build(spec, False, 10)
        with pytest.raises(RestoreError) as caught:
            plan_restore(checkpoint).check()
        said = str(caught.value)
        assert said.index("resnet_v1.resnet_arg_scope()") < said.index("--exclude=resnet_v1_50/logits")
        assert said.endswith("exclude with --exclude=resnet_v1_50/logits")
        with pytest.raises(RestoreError) as caught:
            plan_restore(checkpoint, exclude="*/biases").check()
        assert str(caught.value).endswith("exclude with --exclude=resnet_v1_50/logits")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A MobileNet that TensorFlow saved, and its values."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        build(get_network("mobilenet_v1_025"), True)
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path_factory.mktemp("saved") / "mobilenet.ckpt"))
        return path, session.run({variable.op.name: variable for variable in tf.global_variables()})


@pytest.fixture
def outside():
    """A session, with that network built outside its arg_scope in its graph."""
    with tf.Graph().as_default(), tf.Session() as session:
        build(get_network("mobilenet_v1_025"), False)
        yield session


def hooked(path, session, **arguments):
    hook = slimft.RestoreHook(path, **arguments)
    with tf.train.MonitoredSession(hooks=[hook]) as monitored:
        return monitored.run({variable.op.name: variable for variable in tf.global_variables()})


def assigned(path, session, **arguments):
    op, feeds = slimft.assign_from_checkpoint(path, slimft.get_variables_to_restore(), **arguments)
    session.run(op, feeds)


FUNCTIONS = {
    "restore": lambda path, session, **arguments: slimft.restore(session, path, **arguments),
    "init_fn": lambda path, session, **arguments: slimft.init_fn(path, **arguments)(session),
    "RestoreHook": hooked,
    "assign_from_checkpoint": assigned,
    "assign_from_checkpoint_fn": lambda path, session, **arguments: slimft.assign_from_checkpoint_fn(
        path, slimft.get_variables_to_restore(), **arguments
    )(session),
    "ignore_missing_vars": lambda path, session, **arguments: slimft.assign_from_checkpoint_fn(
        path, slim.get_model_variables(), ignore_missing_vars=True, **arguments
    )(session),
    "mapping": lambda path, session, **arguments: slimft.assign_from_checkpoint_fn(
        path, {variable.op.name: variable for variable in slim.get_model_variables()}, **arguments
    )(session),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_that_restores(saved, outside, function):
    path, values = saved
    restore = functools.partial(FUNCTIONS[function], path, outside)
    scope = r"`with slim.arg_scope\(mobilenet_v1.mobilenet_v1_arg_scope\(\)\):`"
    with pytest.raises(RestoreError, match=f"27 entries .*build it under {scope}.*pass ignore_unused"):
        restore()
    with pytest.raises(PatternError, match=r"ignore_unused=\*/gama matches no variable"):
        restore(ignore_unused="*/gama")
    with pytest.raises(RestoreError, match="26 entries"):
        restore(ignore_unused="MobilenetV1/Conv2d_0")
    found = restore(ignore_unused="*/gamma")
    if not isinstance(found, dict):
        found = outside.run({variable.op.name: variable for variable in tf.global_variables()})
    for name, value in found.items():
        np.testing.assert_array_equal(value, values[name])


def test_a_network_under_another_name(saved, outside):
    path, _ = saved
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [1, 64, 64, 3])
        with tf.variable_scope("mine"):
            mobilenet_v1.mobilenet_v1(images, 10, is_training=False, depth_multiplier=0.25)
        message = "mobilenet_v1.mobilenet_v1_arg_scope"
        with pytest.raises(RestoreError, match=message):
            plan_restore(path, rename={"MobilenetV1": "mine/MobilenetV1"}).check()
        by_name = {variable.op.name.removeprefix("mine/"): variable for variable in slim.get_model_variables()}
        for function in (slimft.assign_from_checkpoint_fn, lambda path, names: plan_restore(path, names).check()):
            with pytest.raises(RestoreError, match=message):
                function(path, by_name)
    with tf.Graph().as_default():
        mobilenet_v1.mobilenet_v1(
            tf.placeholder(tf.float32, [1, 64, 64, 3]), 10, is_training=False, depth_multiplier=0.25, scope="own"
        )
        with pytest.raises(RestoreError, match=r"under `with slim.arg_scope\(\.\.\.\):`"):
            plan_restore(path, rename={"MobilenetV1": "own"}).check()


def test_what_is_left_out_on_purpose_is_no_error(saved):
    """Scopes, parts of layers, layers the model does not have, and variables that are not named."""
    path, values = saved
    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
            images = tf.placeholder(tf.float32, [1, 64, 64, 3])
            mobilenet_v1.mobilenet_v1_base(images, "Conv2d_3_pointwise", depth_multiplier=0.25)
        session.run(tf.global_variables_initializer())
        for arguments in (
            {},
            {"exclude": "*/gamma"},
            {"exclude": "*/BatchNorm"},
            {"include": "*/weights,*/depthwise_weights"},
            {"exclude": "MobilenetV1/Conv2d_0"},
        ):
            plan = slimft.restore(session, path, **arguments)
            assert plan.restored and not plan.left_over and len(plan.unused) > 100
        weights = [variable for variable in slim.get_model_variables() if variable.op.name.endswith("weights")]
        assert len(slimft.restore(session, path, weights).restored) == len(weights)
        slimft.assign_from_checkpoint_fn(path, weights)(session)
        first = {"MobilenetV1/Conv2d_0/weights": weights[0]}
        slimft.restore(session, path, first)
        np.testing.assert_array_equal(session.run(weights[0]), values["MobilenetV1/Conv2d_0/weights"])


def test_what_training_adds_is_not_of_the_layer(tmp_path):
    """Slots of optimizers, moving averages and what batch renormalization keeps; a network without gammas."""

    def convolution(**arguments):
        return slim.conv2d(
            tf.ones([1, 4, 4, 3]),
            2,
            3,
            scope="net/conv",
            normalizer_fn=slim.batch_norm,
            normalizer_params=arguments,
        )

    with tf.Graph().as_default(), tf.Session() as session:
        loss = tf.reduce_sum(convolution(renorm=True))
        step = tf.train.get_or_create_global_step()
        for optimizer in (
            tf.train.AdamOptimizer(),
            tf.train.MomentumOptimizer(0.1, 0.9),
            tf.train.RMSPropOptimizer(0.1),
            tf.train.FtrlOptimizer(0.1),
            tf.train.AdagradOptimizer(0.1),
        ):
            optimizer.minimize(loss, step)
        tf.train.ExponentialMovingAverage(0.9).apply(slim.get_model_variables())
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "trained"))
    with tf.Graph().as_default():
        convolution()
        plan = plan_restore(path)
        plan.check()
        names = {name.removeprefix("net/conv/") for name in plan.restored}
        assert names == {"weights", "BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance"}
        assert len(plan.unused) > 15
        averages = {f"{v.op.name}/ExponentialMovingAverage": v for v in slim.get_model_variables()}
        assert len(plan_restore(path, averages).restored) == 4


@pytest.mark.parametrize(
    "theirs, ours, left",
    [
        ({}, {"biases_initializer": None}, ["biases"]),
        (
            {"normalizer_fn": slim.batch_norm},
            {"biases_initializer": None},
            ["beta", "moving_mean", "moving_variance"],
        ),
        (
            {"normalizer_fn": slim.batch_norm, "normalizer_params": {"scope": "bn"}},
            {},
            ["beta", "moving_mean", "moving_variance"],
        ),
        ({"normalizer_fn": slim.layer_norm}, {"biases_initializer": None}, ["beta", "gamma"]),
        (
            {"normalizer_fn": slim.batch_norm},
            {"normalizer_fn": slim.batch_norm, "normalizer_params": {"center": False}},
            ["beta"],
        ),
    ],
)
@pytest.mark.parametrize("layer", [slim.conv2d, slim.separable_conv2d, slim.conv2d_transpose, slim.fully_connected])
def test_kinds_of_layers(layer, theirs, ours, left):
    def graph(arguments):
        with tf.Graph().as_default() as made:
            more = (3,) if layer is not slim.fully_connected else ()
            layer(tf.ones([1, 4, 4, 3] if more else [4, 3]), 2, *more, scope="net/layer", **arguments)
            return made

    with graph(theirs).as_default():
        checkpoint = Shapes(slim.get_model_variables())
    with graph(ours).as_default():
        plan = plan_restore(checkpoint)
        assert sorted(name.rpartition("/")[2] for name in plan.left_over) == left
        with pytest.raises(RestoreError, match="arg_scope"):
            plan.check()
        exclude = "net/layer/biases" if plan.missing else None
        plan_restore(checkpoint, exclude=exclude, ignore_unused="net/layer").check()


def test_evaluation_has_no_advice_to_ignore(saved, outside):
    with pytest.raises(RestoreError) as caught:
        plan_restore(saved[0]).check(can_exclude=False)
    assert "ignore_unused" not in str(caught.value) and "mobilenet_v1_arg_scope" in str(caught.value)


@pytest.mark.real
def test_the_official_mobilenet_outside_its_arg_scope(shared):
    with tf.Graph().as_default(), tf.Session() as session:
        mobilenet_v1.mobilenet_v1(tf.placeholder(tf.float32, [1, 224, 224, 3]), 1001, is_training=False)
        with pytest.raises(RestoreError, match=r"27 entries.*mobilenet_v1.mobilenet_v1_arg_scope\(\)"):
            slimft.restore(session, shared / "checkpoints" / "mobilenet_v1_1.0_224.ckpt")
