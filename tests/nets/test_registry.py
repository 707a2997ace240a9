"""The registry: every network is found by its name, without TensorFlow, and builds as it says."""

import dataclasses

import pytest

from slimft import nets
from slimft.checkpoint.official import OFFICIAL
from slimft.errors import UsageError
from slimft.nets import get_network, network_names

# Network, module, arg_scope, scope, size, classes; None where that is the name, 224 or 1000. The classes and the
# sizes are those of research/slim/README.md's table of checkpoints.
EXPECTED = {
    "alexnet_v2": ("alexnet", "alexnet_v2_arg_scope", None, 224, 1000),
    "vgg_a": ("vgg", "vgg_arg_scope", None, 224, 1000),
    "vgg_16": ("vgg", "vgg_arg_scope", None, 224, 1000),
    "vgg_19": ("vgg", "vgg_arg_scope", None, 224, 1000),
    "vgg_postech": ("vgg", "vgg_arg_scope", None, 224, 1000),
    "resnet_v1_50": ("resnet_v1", "resnet_arg_scope", None, 224, 1000),
    "resnet_v1_101": ("resnet_v1", "resnet_arg_scope", None, 224, 1000),
    "resnet_v1_152": ("resnet_v1", "resnet_arg_scope", None, 224, 1000),
    "resnet_v2_50": ("resnet_v2", "resnet_arg_scope", None, 299, 1001),
    "resnet_v2_101": ("resnet_v2", "resnet_arg_scope", None, 299, 1001),
    "resnet_v2_152": ("resnet_v2", "resnet_arg_scope", None, 299, 1001),
    "inception_v1": ("inception_v1", "inception_v1_arg_scope", "InceptionV1", 224, 1001),
    "inception_v3": ("inception_v3", "inception_v3_arg_scope", "InceptionV3", 299, 1001),
    "mobilenet_v1": ("mobilenet_v1", "mobilenet_v1_arg_scope", "MobilenetV1", 224, 1001),
    "mobilenet_v1_075": ("mobilenet_v1", "mobilenet_v1_arg_scope", "MobilenetV1", 224, 1001),
    "mobilenet_v1_050": ("mobilenet_v1", "mobilenet_v1_arg_scope", "MobilenetV1", 224, 1001),
    "mobilenet_v1_025": ("mobilenet_v1", "mobilenet_v1_arg_scope", "MobilenetV1", 224, 1001),
    "mobilenet_v2": ("mobilenet_v2", "training_scope", "MobilenetV2", 224, 1001),
    "mobilenet_v2_140": ("mobilenet_v2", "training_scope", "MobilenetV2", 224, 1001),
    "densenet_121": ("densenet", "densenet_arg_scope", "densenet121", 224, 1000),
    "densenet_169": ("densenet", "densenet_arg_scope", "densenet169", 224, 1000),
}
NAMES = list(EXPECTED)


def test_names():
    assert network_names() == NAMES
    assert [get_network(name).name for name in NAMES] == NAMES


@pytest.mark.parametrize("name, hint", [
    ("vgg16", "did you mean vgg_16?"),
    ("resnet_v1_5", "did you mean resnet_v1_50?"),
    ("densenet121", "did you mean densenet_121?"),
    ("mobilenet_1", "did you mean mobilenet_v1?"),
    ("zebra", "choose one of " + ", ".join(NAMES)),
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
    with pytest.raises(AttributeError, match="no attribute 'overfeat'"):
        _ = nets.overfeat


def test_a_spec_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_network("vgg_16").default_image_size = 32


@pytest.mark.parametrize("name", NAMES)
def test_spec(name):
    from slimft.data.preprocessing import PREPROCESSING

    spec = get_network(name)
    module_name, arg_scope, scope, size, classes = EXPECTED[name]
    module = getattr(nets, module_name)
    assert spec.function is getattr(module, name)
    assert spec.arg_scope is getattr(module, arg_scope)
    assert isinstance(spec.arg_scope(weight_decay=0.1), dict)
    assert spec.scope == scope or name
    assert (spec.default_image_size, spec.num_imagenet_classes) == (size, classes)
    # research/slim's own default; its README says 299 for the ResNet V2 checkpoints.
    assert spec.function.default_image_size == (224 if "resnet_v2" in name else size)
    assert spec.preprocessing in PREPROCESSING


@pytest.mark.parametrize("name", [name for name in NAMES if get_network(name).official_checkpoint])
def test_official_checkpoints_are_the_networks(name):
    release = OFFICIAL[get_network(name).official_checkpoint]
    assert release.network == name
    (classes,) = {shape[-1] for variable, shape in release.variables.items() if is_logits(name, variable)}
    assert classes == get_network(name).num_imagenet_classes


def is_logits(name, variable):
    scopes = get_network(name).logits_scopes
    return variable.startswith(scopes[0] + "/") and variable.endswith("biases")


def test_networks_without_official_checkpoint():
    without = [name for name in NAMES if get_network(name).official_checkpoint is None]
    assert without == ["alexnet_v2", "vgg_a", "vgg_postech", "densenet_121", "densenet_169"]


@pytest.mark.parametrize("name, size", [
    ("vgg_16", 31), ("resnet_v1_50", 31), ("alexnet_v2", 194), ("inception_v3", 74), ("mobilenet_v2", 1),
])  # fmt: skip
def test_too_small_images(name, size):
    spec = get_network(name)
    for check in (spec.check_image_size, lambda size: spec.arguments_for(size, True)):
        with pytest.raises(UsageError) as caught:
            check(size)
        needed = f"which needs at least {spec.min_image_size}"
        assert str(caught.value) == f"--image_size={size} is too small for {name}, {needed}"


@pytest.mark.parametrize("size, arguments", [
    (32, {"fc_conv_padding": "SAME", "global_pool": True}),
    (223, {"fc_conv_padding": "SAME", "global_pool": True}),
    (224, {"global_pool": False}),
    (255, {"global_pool": False}),
    (256, {"global_pool": True}),
    (320, {"global_pool": True}),
])  # fmt: skip
def test_arguments_of_vgg(size, arguments):
    assert get_network("vgg_16").arguments_for(size, True) == arguments


def test_arguments_of_resnet():
    assert get_network("resnet_v1_50").arguments_for(32, True) == {}


@pytest.mark.parametrize("size", [32, 64, 223, 224, 255, 256, 320])
def test_every_size_gives_one_row_of_logits_an_image(size):
    from slimft.compat import tf

    for name in ("vgg_a", "alexnet_v2", "inception_v1", "mobilenet_v1_025"):
        size = max(size, get_network(name).min_image_size)
        with tf.Graph().as_default():
            logits, _ = get_network(name).build(tf.zeros([2, size, size, 3]), 5, is_training=False)
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
        images = tf.placeholder(tf.float32, [None, 200, 200, 3])
        assert spec.build(images, 5, is_training=True) == ("logits", "end points")
    ((args, kwargs, arg_scope),) = calls
    assert args == (images, 5)
    assert kwargs == {"is_training": True, **spec.arguments_for(200, True)}
    assert arg_scope.keys() == spec.arg_scope().keys()


@pytest.mark.parametrize("name", NAMES)
def test_arg_scope_takes_the_weight_decay(name):
    from slimft.compat import slim, tf

    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope(get_network(name).arg_scope(weight_decay=0.25)):
            slim.conv2d(
                tf.zeros([1, 8, 8, 2]), 3, [3, 3], weights_initializer=tf.ones_initializer(), normalizer_fn=None
            )
        session.run(tf.global_variables_initializer())
        assert session.run(tf.losses.get_regularization_losses()) == [0.25 * (3 * 3 * 2 * 3) / 2]


@pytest.mark.parametrize("weight_decay, factors", [(None, [0.0005] * 11), (0.25, [0.25] * 11), (0.0, [])])
def test_build_takes_the_weight_decay(weight_decay, factors):
    from slimft.compat import tf

    with tf.Graph().as_default():
        get_network("vgg_a").build(tf.zeros([1, 32, 32, 3]), 5, is_training=True, weight_decay=weight_decay)
        losses = tf.losses.get_regularization_losses()
        assert [float(tf.get_static_value(loss.op.inputs[0])) for loss in losses] == pytest.approx(factors)
