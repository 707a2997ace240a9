"""slimft.compat.install: what TF1 scripts import is there, is the right thing, and goes away again."""

import importlib
import operator
import subprocess
import sys

import pytest
import tf_slim

import slimft.compat
from slimft.compat import slim, tf
from slimft.errors import SlimftError, UsageError

LEGACY = ("deployment", "google3", "nets", "preprocessing", "tensorflow.contrib")


def legacy_modules():
    return {name for name in sys.modules if f"{name}.".startswith(tuple(f"{root}." for root in LEGACY))}


@pytest.fixture
def installed():
    slimft.compat.install()
    yield
    slimft.compat.uninstall()
    assert not legacy_modules()


def executed(*lines):
    """The names that these lines of a script leave."""
    names = {}
    exec("\n".join(lines), names)
    return names


def test_tensorflow_is_tensorflow_1(installed):
    names = executed(
        "import tensorflow as tf",
        "from tensorflow.python.ops import control_flow_ops",
        "import tensorflow.python.framework.ops",
        "import tensorflow.compat.v1 as v1",
        "from tensorflow.keras import layers",
    )
    script_tf = names["tf"]
    for name in ("Session", "placeholder", "GraphKeys", "FixedLenFeature", "app", "gfile", "logging", "Print"):
        assert getattr(script_tf, name) is getattr(tf, name)
    assert script_tf.contrib.slim.conv2d is tf.contrib.slim.conv2d is tf_slim.conv2d
    assert script_tf.VERSION == names["v1"].VERSION == script_tf.__version__
    assert names["control_flow_ops"].with_dependencies
    assert script_tf.python.framework.ops is names["tensorflow"].python.framework.ops
    assert {"contrib", "Session", "function"} <= set(dir(script_tf))


def test_tensorflow_1_stays_itself_when_others_import_its_parts(run_warm_python):
    """`import tensorflow.compat.v1.logging` makes a second module of that name, which is not ours."""
    run_warm_python(
        "import slimft.compat, tensorflow.compat.v1.logging\n"
        "slimft.compat.install()\n"
        "import tensorflow\n"
        "ours = slimft.compat.tf\n"
        "assert all(getattr(tensorflow, name) is getattr(ours, name) for name in ('logging', 'gfile', 'app'))"
    )


def test_contrib(installed):
    names = executed(
        "import tensorflow.contrib.slim as slim",
        "from tensorflow.contrib import layers, framework, slim as slim_again",
        "from tensorflow.contrib.layers import xavier_initializer, l2_regularizer, batch_norm, optimize_loss",
        "from tensorflow.contrib.framework import arg_scope, get_or_create_global_step, list_variables",
        "from tensorflow.contrib.layers.python.layers import conv2d, utils",
        "from tensorflow.contrib.framework.python.ops import variables",
        "from tensorflow.contrib.slim.python.slim import learning",
        "from tensorflow.contrib.slim.python.slim.data import tfexample_decoder",
        "from tensorflow.contrib.training import create_train_op",
        "from tensorflow.contrib.metrics import streaming_accuracy",
    )
    contrib_slim = names["slim"]
    assert names["conv2d"] is slim.conv2d
    assert contrib_slim is names["slim_again"]
    for name in dir(slim):
        if not name.startswith("_") and name != "nets":
            assert getattr(contrib_slim, name) is getattr(slim, name), name
    assert names["batch_norm"] is slim.batch_norm is slimft.compat.batch_norm
    assert names["arg_scope"] is slim.arg_scope
    assert names["learning"].train is slim.learning.train
    assert names["list_variables"] is tf.train.list_variables
    assert names["streaming_accuracy"] is slim.metrics.streaming_accuracy
    assert {"conv2d", "nets"} <= set(dir(contrib_slim))
    with tf.Graph().as_default():
        variable = tf.contrib.framework.model_variable("w", [3], regularizer=names["l2_regularizer"](2.0))
        assert tf.contrib.framework.get_variables_to_restore() == [variable]
        assert len(tf.losses.get_regularization_losses()) == 1


def test_contrib_without_install():
    assert tf.contrib.slim.nets.vgg is importlib.import_module("slimft.nets.vgg")
    assert tf.contrib.framework.arg_scope is slim.arg_scope
    assert not legacy_modules()


def test_nets_and_preprocessing_are_slimfts_modules(installed):
    names = executed(
        "import nets.vgg",
        "import tensorflow.contrib.slim.nets as contrib_nets",
        "from nets import nets_factory, inception, overfeat, vgg",
        "from nets.mobilenet import conv_blocks, mobilenet, mobilenet_v2, mobilenet_v3",
        "from tensorflow.contrib.slim.nets import resnet_v1",
        "from tensorflow.contrib.slim.python.slim.nets import vgg as vgg_again",
        "from preprocessing import preprocessing_factory, vgg_preprocessing",
        "import preprocessing.inception_preprocessing",
        "from nets.nasnet import nasnet, pnasnet",
        "from deployment import model_deploy",
        "from google3.testing.pybase import parameterized",
    )
    vgg = importlib.import_module("slimft.nets.vgg")
    assert names["vgg"] is names["vgg_again"] is names["nets"].vgg is names["contrib_nets"].vgg is vgg
    assert names["mobilenet_v2"] is importlib.import_module("slimft.nets.mobilenet_v2")
    assert names["mobilenet_v2"].lib is names["mobilenet"] and names["mobilenet_v3"].ops is names["conv_blocks"]
    assert names["resnet_v1"] is importlib.import_module("slimft.nets.resnet_v1")
    assert names["pnasnet"] is importlib.import_module("slimft.nets.nasnet.pnasnet")
    assert names["parameterized"] is importlib.import_module("absl.testing.parameterized")
    assert names["overfeat"] is importlib.import_module("slimft.nets.overfeat")
    assert names["model_deploy"] is importlib.import_module("slimft.legacy.deployment.model_deploy")
    assert vgg.__name__ == vgg.__spec__.name == "slimft.nets.vgg"
    assert tf.contrib.slim.nets.inception.inception_v1 is names["inception"].inception_v1


def test_uninstall_leaves_everything_as_it_was():
    executed("import tensorflow.compat, tensorflow.lite")
    modules, finders = dict(sys.modules), list(sys.meta_path)
    slimft.compat.install()
    slimft.compat.install()
    assert sys.modules["tensorflow"] is not modules["tensorflow"]
    assert len(sys.meta_path) == len(finders) + 3
    executed("import nets.vgg, preprocessing, tensorflow.contrib.slim.nets")
    executed("import tensorflow.keras.layers, tensorflow.lite.python.lite")
    slimft.compat.uninstall()
    slimft.compat.uninstall()
    assert sys.modules["tensorflow"] is modules["tensorflow"]
    assert sys.meta_path == finders
    assert not legacy_modules()
    assert not hasattr(modules["tensorflow"], "contrib")
    assert executed("import tensorflow.keras.layers")["tensorflow"].keras.layers.Dense
    with pytest.raises(ImportError):
        executed("import nets")


def test_importing_slimft_installs_nothing():
    code = (
        "import sys, tensorflow; before = list(sys.meta_path)\n"
        "import slimft, slimft.compat, slimft.nets, slimft.preprocessing\n"
        "assert sys.modules['tensorflow'] is tensorflow and not hasattr(tensorflow, 'contrib')\n"
        "print([type(finder).__module__ for finder in sys.meta_path if finder not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "slimft" not in done.stdout.strip().splitlines()[-1]


def test_the_scripts_own_nets_come_first(installed, tmp_path, monkeypatch):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").write_text("")
    (tmp_path / "nets" / "vgg.py").write_text("whose = 'the script'")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert executed("from nets import vgg")["vgg"].whose == "the script"
        # What it does not bring along is ours.
        assert executed("from nets import resnet_v1")["resnet_v1"].resnet_v1_50
        with pytest.raises(ImportError, match="my_net"):
            executed("from nets import my_net")
    finally:
        for name in legacy_modules():
            del sys.modules[name]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tf.contrib.rnn.NoCell", ("tf.contrib.rnn.NoCell", "ended with TensorFlow 1", "tf.nn.rnn_cell")),
        ("from tensorflow.contrib.layers.python.ops import gone; gone()", ("tf.contrib.layers.python.ops.gone",)),
        ("from tensorflow.contrib.layers.python.ops.gone import Gone", ("layers.python.ops.gone.Gone",)),
        ("tf.contrib.slim.no_such_layer", ("tf.contrib.slim.no_such_layer", "tf-slim")),
        ("from tensorflow.contrib import gan; gan.gan_model()", ("tf.contrib.gan.gan_model", "tensorflow-gan")),
        ("from tensorflow.contrib.bigtable import BigtableClient", ("BigtableClient",)),
        ("tf.contrib.learn.no_such_name", ("tf.contrib.learn.no_such_name", "slim.learning.train")),
        ("tf.scalar_sumary", ("tf.scalar_sumary",)),
        ("import tensorflow.contrib.gdr", ("tf.contrib.gdr", "ended with TensorFlow 1")),
        ("from tensorflow.contrib import gdr", ("tf.contrib.gdr", "ended with TensorFlow 1")),
        ("from nets import my_net", ("nets.my_net", "beside the script")),
        ("from google3.pyglib import logging", ("google3.pyglib", "Google's own", "absl.testing")),
        ("from preprocessing import my_preprocessing", ("my_preprocessing", "beside the script")),
        ("from deployment import my_deploy", ("deployment.my_deploy", "model_deploy", "beside the script")),
    ],
)
def test_what_is_gone_is_one_clear_line(installed, line, words):
    with pytest.raises((AttributeError, ImportError)) as error:
        executed("import tensorflow as tf", line)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def described(variables):
    return [(variable.op.name, variable.shape.as_list()) for variable in variables]


@pytest.mark.parametrize(
    ("name", "module", "arg_scope", "image_size"),
    [
        ("vgg_a", "vgg", "vgg_arg_scope", 224),
        ("inception_v1", "inception", "inception_v3_arg_scope", 224),
        ("inception_v2", "inception", "inception_v3_arg_scope", 224),
        ("resnet_v2_50", "resnet_v2", "resnet_utils.resnet_arg_scope", 224),
        ("overfeat", "overfeat", "overfeat_arg_scope", 231),
    ],
)
def test_network_fn_builds_what_tf_slims_function_builds(name, module, arg_scope, image_size):
    from slimft.nets import nets_factory

    module = importlib.import_module(f"tf_slim.nets.{module}")
    with tf.Graph().as_default():
        with slim.arg_scope(operator.attrgetter(arg_scope)(module)(weight_decay=0.01)):
            getattr(module, name)(tf.zeros([2, image_size, image_size, 3]), 7)
        expected = described(slim.get_model_variables())
        penalties = len(tf.losses.get_regularization_losses())
    with tf.Graph().as_default():
        network_fn = nets_factory.get_network_fn(name, num_classes=7, weight_decay=0.01, is_training=True)
        assert network_fn.default_image_size == image_size
        logits, end_points = network_fn(tf.zeros([2, image_size, image_size, 3]))
        assert logits.shape == [2, 7]
        assert end_points
        assert described(slim.get_model_variables()) == expected
        assert len(tf.losses.get_regularization_losses()) == penalties
    assert network_fn.__name__ == nets_factory.networks_map[name].__name__ == name


def test_network_fn_of_other_sizes_and_arguments():
    from slimft.nets import nets_factory

    with tf.Graph().as_default():
        logits, _ = nets_factory.get_network_fn("vgg_16", 5)(tf.zeros([2, 64, 64, 3]))
        assert logits.shape == [2, 5]
        features, _ = nets_factory.get_network_fn("resnet_v1_50", None)(tf.zeros([2, 64, 64, 3]))
        assert features.shape == [2, 1, 1, 2048]
        network_fn = nets_factory.get_network_fn("inception_v1", 5)
        logits, _ = network_fn(tf.zeros([2, 224, 224, 3]), spatial_squeeze=False)
        assert logits.shape == [2, 1, 1, 5]
    with tf.Graph().as_default():
        # research/slim builds the auxiliary logits in evaluation too, and its checkpoints hold them.
        nets_factory.get_network_fn("inception_v3", 5)(tf.zeros([2, 299, 299, 3]))
        assert any("AuxLogits" in variable.op.name for variable in slim.get_model_variables())


def test_unknown_networks_and_preprocessing():
    from slimft.nets import nets_factory
    from slimft.preprocessing import preprocessing_factory

    for call, word in (
        (lambda: nets_factory.get_network_fn("vgg_17", 10), "vgg_16"),
        (lambda: preprocessing_factory.get_preprocessing("vgg_17"), "inception"),
    ):
        with pytest.raises(ValueError, match=word) as error:
            call()
        assert isinstance(error.value, SlimftError)
    with pytest.raises(UsageError, match="alexnet_v2"):
        nets_factory.get_network_fn("alexnet_v2", 10)(tf.zeros([1, 32, 32, 3]))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("layers.python.layers.layers", "conv2d"),
        ("framework.python.ops.variables", "variable"),
        ("rnn.python.ops.core_rnn_cell", "BasicLSTMCell"),
        ("slim.python.slim.nets.vgg", "vgg_16"),
        ("training.python.training.hparam", "HParams"),
    ],
)
def test_modules_of_contrib_are_attributes_too(path, name):
    found = operator.attrgetter(f"{path}.{name}")(tf.contrib)
    assert callable(found)
