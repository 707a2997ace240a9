"""The registry: every network is found by its name, without TensorFlow, and builds as it says."""

import dataclasses

import pytest

from slimft import nets
from slimft.errors import UsageError
from slimft.nets import get_network, network_names

NAMES = ["vgg_a", "vgg_16", "vgg_19", "resnet_v1_50", "resnet_v1_101", "resnet_v1_152"]


def test_names():
    assert network_names() == NAMES
    assert [get_network(name).name for name in NAMES] == NAMES


@pytest.mark.parametrize("name, hint", [
    ("vgg16", "did you mean vgg_16?"),
    ("resnet_v1_5", "did you mean resnet_v1_50?"),
    ("resnet152", "did you mean resnet_v1_152?"),
    ("mobilenet", "choose one of " + ", ".join(NAMES)),
    ("", "choose one of " + ", ".join(NAMES)),
])  # fmt: skip
def test_unknown_name(name, hint):
    with pytest.raises(UsageError) as caught:
        get_network(name)
    assert str(caught.value) == f"--model={name}: there is no such network; {hint}"
    assert caught.value.exit_status == 2


def test_finding_a_network_imports_no_tensorflow(run_python):
    code = (
        "import sys, slimft.nets as nets\n"
        "for name in nets.network_names():\n"
        "    nets.get_network(name).check_image_size(224)\n"
        "try: nets.get_network('vgg')\n"
        "except Exception as error: assert type(error).__name__ == 'UsageError'\n"
        "print(sorted(name for name in sys.modules if name.startswith(('tensorflow', 'tf_slim', 'keras'))))\n"
    )
    assert run_python(code).strip() == "[]"


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'alexnet'"):
        _ = nets.alexnet


def test_a_spec_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_network("vgg_16").default_image_size = 32


@pytest.mark.parametrize("name", NAMES)
def test_spec(name):
    from slimft.data.preprocessing import PREPROCESSING

    spec = get_network(name)
    module = getattr(nets, spec.module)
    assert spec.function is getattr(module, name)
    assert spec.arg_scope is getattr(module, spec.arg_scope_name)
    assert isinstance(spec.arg_scope(weight_decay=0.1), dict)
    assert spec.function.default_image_size == spec.default_image_size == 224
    assert spec.scope == name
    assert spec.preprocessing in PREPROCESSING
    assert spec.num_imagenet_classes == 1000
    assert spec.official_checkpoint == (None if name == "vgg_a" else name)


@pytest.mark.parametrize("name", ["vgg_16", "resnet_v1_50"])
@pytest.mark.parametrize("size", [1, 31])
def test_too_small_images(name, size):
    spec = get_network(name)
    for check in (spec.check_image_size, spec.arguments_for):
        with pytest.raises(UsageError) as caught:
            check(size)
        assert str(caught.value) == f"--image_size={size} is too small for {name}, which needs at least 32"


@pytest.mark.parametrize("size, arguments", [
    (32, {"fc_conv_padding": "SAME", "global_pool": True}),
    (223, {"fc_conv_padding": "SAME", "global_pool": True}),
    (224, {"global_pool": False}),
    (255, {"global_pool": False}),
    (256, {"global_pool": True}),
    (320, {"global_pool": True}),
])  # fmt: skip
def test_arguments_of_vgg(size, arguments):
    assert get_network("vgg_16").arguments_for(size) == arguments


def test_arguments_of_resnet():
    assert get_network("resnet_v1_50").arguments_for(32) == {}


@pytest.mark.parametrize("size", [32, 64, 223, 224, 255, 256, 320])
def test_every_size_gives_one_row_of_logits_an_image(size):
    from slimft.compat import tf

    with tf.Graph().as_default():
        logits = get_network("vgg_a").build(tf.zeros([2, size, size, 3]), 5, is_training=False)
        assert logits.shape == [2, 5]


@pytest.mark.parametrize("name", NAMES)
def test_build_calls_the_function_under_its_arg_scope(monkeypatch, name):
    from slimft.compat import slim, tf

    def function(*args, **kwargs):
        calls.append((args, kwargs, slim.current_arg_scope()))
        return "logits", "end points"

    calls, spec = [], get_network(name)
    monkeypatch.setattr(getattr(nets, spec.module), name, function)
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 64, 64, 3])
        assert spec.build(images, 5, is_training="training") == "logits"
    ((args, kwargs, arg_scope),) = calls
    assert args == (images, 5)
    assert kwargs == {"is_training": "training", **spec.arguments_for(64)}
    assert arg_scope.keys() == spec.arg_scope().keys()


@pytest.mark.parametrize("name", NAMES)
def test_arg_scope_takes_the_weight_decay(name):
    from slimft.compat import slim, tf

    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope(get_network(name).arg_scope(weight_decay=0.25)):
            slim.conv2d(tf.zeros([1, 8, 8, 2]), 3, [3, 3], weights_initializer=tf.ones_initializer())
        session.run(tf.global_variables_initializer())
        assert session.run(tf.losses.get_regularization_losses()) == [0.25 * (3 * 3 * 2 * 3) / 2]


@pytest.mark.parametrize("weight_decay, factors", [(None, [0.0005] * 11), (0.25, [0.25] * 11), (0.0, [])])
def test_build_takes_the_weight_decay(weight_decay, factors):
    from slimft.compat import tf

    with tf.Graph().as_default():
        get_network("vgg_a").build(tf.zeros([1, 32, 32, 3]), 5, is_training=True, weight_decay=weight_decay)
        losses = tf.losses.get_regularization_losses()
        assert [float(tf.get_static_value(loss.op.inputs[0])) for loss in losses] == pytest.approx(factors)
