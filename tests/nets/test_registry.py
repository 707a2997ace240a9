"""The registry: every network is found by its name, without TensorFlow and without running its file."""

import ast
import dataclasses
import importlib
import pathlib
import py_compile
import sys
import zipfile

import pytest

from slimft import nets
from slimft.errors import UsageError
from slimft.nets import get_network, network_names, registry

# The first ones, in the order that `--list_models` always had. Those that come later stand beside their families or
# at the end.
FIRST = [
    "alexnet_v2", "vgg_a", "vgg_16", "vgg_19", "vgg_postech", "resnet_v1_50", "resnet_v1_101", "resnet_v1_152",
    "resnet_v2_50", "resnet_v2_101", "resnet_v2_152", "inception_v1", "inception_v3", "mobilenet_v1",
    "mobilenet_v1_075", "mobilenet_v1_050", "mobilenet_v1_025", "mobilenet_v2", "mobilenet_v2_140", "densenet_121",
    "densenet_169",
]  # fmt: skip
NAMES = network_names()


def test_names():
    assert [name for name in NAMES if name in FIRST] == FIRST
    assert [get_network(name).name for name in NAMES] == NAMES


@pytest.mark.parametrize(
    "name, hint",
    [
        ("vgg16", "did you mean vgg_16?"),
        ("resnet_v1_5", "did you mean resnet_v1_50?"),
        ("densenet121", "did you mean densenet_121?"),
        ("mobilenet_1", "did you mean mobilenet_v1?"),
        ("zebra", "choose one of " + ", ".join(NAMES)),
        ("", "choose one of " + ", ".join(NAMES)),
    ],
)
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
    with pytest.raises(AttributeError, match="no attribute 'squeezenet'"):
        _ = nets.squeezenet


def test_a_spec_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_network("vgg_16").default_image_size = 32


def test_networks_without_official_checkpoint():
    without = [name for name in FIRST if get_network(name).official_checkpoint is None]
    assert without == ["alexnet_v2", "vgg_a", "vgg_postech", "densenet_121", "densenet_169"]


@pytest.mark.parametrize(
    "size, arguments",
    [
        (32, {"fc_conv_padding": "SAME", "global_pool": True}),
        (223, {"fc_conv_padding": "SAME", "global_pool": True}),
        (224, {"global_pool": False}),
        (255, {"global_pool": False}),
        (256, {"global_pool": True}),
        (320, {"global_pool": True}),
    ],
)
def test_arguments_of_vgg(size, arguments):
    assert get_network("vgg_16").arguments_for(size, True) == arguments


def test_arguments_of_resnet():
    assert get_network("resnet_v1_50").arguments_for(32, True) == {}


@pytest.mark.parametrize("weight_decay, factors", [(None, [0.0005] * 11), (0.25, [0.25] * 11), (0.0, [])])
def test_build_takes_the_weight_decay(weight_decay, factors):
    from slimft.compat import tf

    with tf.Graph().as_default():
        get_network("vgg_a").build(tf.zeros([1, 32, 32, 3]), 5, is_training=True, weight_decay=weight_decay)
        losses = tf.losses.get_regularization_losses()
        assert [float(tf.get_static_value(loss.op.inputs[0])) for loss in losses] == pytest.approx(factors)


FAMILIES = sorted({get_network(name).module for name in NAMES})
NEW_FAMILY = '''
"""A family."""
import tensorflow_that_is_not_there

from slimft.nets.spec import NetworkSpec


def newnet(): pass


SPECS = tuple(
    NetworkSpec(
        name=name, module=__name__, arg_scope_name="newnet_arg_scope", scope=name, logits_scopes=(f"{name}/fc",),
        preprocessing="inception", default_image_size=224, min_image_size=32, num_imagenet_classes=1000,
        official_checkpoint=None, parameters=1, gflops=0.1,
    )
    for name in ("newnet", "newnet_b")
)
'''


def source_of(module):
    return pathlib.Path(nets.__file__).parent.joinpath(*module.split(".")[2:]).with_suffix(".py").read_text()


@pytest.mark.parametrize("module", FAMILIES)
def test_specs_are_a_families_last_statement_and_read_as_they_run(module):
    last = ast.parse(source_of(module)).body[-1]
    assert isinstance(last, ast.Assign) and [target.id for target in last.targets] == ["SPECS"]
    specs = importlib.import_module(module).SPECS
    assert registry.read_specs(source_of(module), module) == specs
    assert [spec for spec in specs if isinstance(spec, nets.NetworkSpec)] == [
        get_network(name) for name in NAMES if get_network(name).module == module
    ]


@pytest.fixture
def another_folder(tmp_path, monkeypatch):
    """A function that adds a folder, or an archive, to those where the modules of slimft.nets are found."""

    def add(path):
        monkeypatch.setattr(nets, "__path__", [*nets.__path__, str(path)])
        forget()

    def forget():
        registry._in_files.cache_clear()
        registry._specs.cache_clear()

    yield add
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_makes_a_network_known(tmp_path, another_folder, zipped):
    """From a folder and from a zip; the file is not run."""
    folder = tmp_path / "nets.zip" if zipped else tmp_path
    if zipped:
        with zipfile.ZipFile(folder, "w") as archive:
            archive.writestr("newnet.py", NEW_FAMILY)
    else:
        (folder / "newnet.py").write_text(NEW_FAMILY)
    another_folder(folder)
    assert network_names() == [*NAMES, "newnet", "newnet_b"]
    assert get_network("newnet_b").logits_scopes == ("newnet_b/fc",)
    assert registry.arg_scope_call(["newnet/fc/weights"]) == "newnet.newnet_arg_scope()"
    with pytest.raises(ModuleNotFoundError, match="tensorflow_that_is_not_there"):
        _ = get_network("newnet").function
    with pytest.raises(ModuleNotFoundError, match="tensorflow_that_is_not_there"):
        _ = nets.newnet


def test_a_file_of_a_package_does_too(tmp_path, another_folder):
    package = tmp_path / "newnets"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "newnet.py").write_text(NEW_FAMILY)
    another_folder(tmp_path)
    try:
        assert network_names() == [*NAMES, "newnet", "newnet_b"]
        assert get_network("newnet").module == "slimft.nets.newnets.newnet"
        assert "slimft.nets.newnets.newnet" not in sys.modules
    finally:
        sys.modules.pop("slimft.nets.newnets", None)


@pytest.mark.parametrize(
    "text, message",
    [
        ("SPECS = (NetworkSpec(name=NAME),)", "name 'NAME' is not defined"),
        ("SPECS = (NetworkSpec(name='newnet'),)", "missing 11 required positional arguments"),
        ("SPECS = ()\nOTHER = 1", "too many values to unpack"),
        ("SPECS = [1]", "it is no tuple of NetworkSpec"),
        ("SPECS = (1,)", "it is no tuple of NetworkSpec"),
        ("SPECS: tuple = ()", "it is no assignment"),
        ("SPECS += ()", "it is no assignment"),
        ("SPECS = (__import__('os'),)", "name '__import__' is not defined"),
        ("SPECS = (", "was never closed"),
    ],
)
def test_specs_that_cannot_be_read(tmp_path, another_folder, text, message):
    (tmp_path / "newnet.py").write_text(f"NAME = 'newnet'\n\n{text}\n")
    another_folder(tmp_path)
    with pytest.raises(ImportError) as caught:
        network_names()
    told = str(caught.value)
    assert told.startswith("slimft.nets.newnet: SPECS cannot be read (") and message in told
    assert "it has to be the file's last statement, SPECS = (NetworkSpec(...), ...)" in told


def test_files_without_specs_are_no_networks(tmp_path, another_folder):
    (tmp_path / "newnet.py").write_text("'''SPECS'''\nclass A:\n    SPECS = 1\n")
    another_folder(tmp_path)
    assert network_names() == NAMES


def test_two_networks_of_one_name(tmp_path, another_folder):
    (tmp_path / "newnet.py").write_text(NEW_FAMILY.replace("newnet_b", "vgg_16"))
    another_folder(tmp_path)
    modules = "slimft.nets.vgg and slimft.nets.newnet"
    with pytest.raises(ImportError, match=f"two networks are called vgg_16: in {modules}"):
        network_names()


def test_networks_whose_source_is_not_there(tmp_path, another_folder):
    py_compile.compile(str(pathlib.Path(nets.__file__).with_name("vgg.py")), str(tmp_path / "newnet.pyc"))
    another_folder(tmp_path)
    with pytest.raises(ImportError, match="slimft.nets.newnet: .* reads networks from source files"):
        network_names()
