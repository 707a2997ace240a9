"""Packages that are left out until they are used."""

import importlib.util
import sys

import pytest

from slimft.imports import Deferred, left_out


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a package that nobody has imported."""
    (tmp_path / "left_out_package").mkdir()
    (tmp_path / "left_out_package/__init__.py").write_text("value = 7\n")
    (tmp_path / "left_out_package/part.py").write_text("value = 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "left_out_package"
    for name in [name for name in sys.modules if name.startswith("left_out_package")]:
        del sys.modules[name]


def test_what_is_left_out_is_found_but_not_imported(package):
    with left_out(package):
        for name in (package, f"{package}.part"):
            with pytest.raises(ImportError, match="left_out_package is left out"):
                importlib.import_module(name)
        assert importlib.util.find_spec(package).origin.endswith("__init__.py")
    assert importlib.import_module(f"{package}.part").value == 8


def test_what_is_imported_already_stays(package):
    importlib.import_module(package)
    with left_out(package):
        assert importlib.import_module(f"{package}.part").value == 8


def test_what_is_not_there_is_not_found():
    with left_out("no_such_package"), pytest.raises(ModuleNotFoundError, match="No module named"):
        importlib.import_module("no_such_package")


def test_it_is_in_force_no_longer_than_the_block(package):
    with pytest.raises(RuntimeError), left_out(package):
        raise RuntimeError
    assert importlib.import_module(package).value == 7


def test_a_deferred_module(package):
    module = Deferred(f"{package}.part")
    assert package not in sys.modules
    assert module.value == 8
    with pytest.raises(AttributeError):
        _ = module.no_such_name


def test_the_commands_import_tensorflow_without_keras(run_python):
    """And what is asked of Keras later is there."""
    run_python(
        "import sys\n"
        "from slimft.cli.common import quiet_standard_error\n"
        "with quiet_standard_error():\n"
        "    import slimft.api.reported\n"
        "unused = {'keras', 'tf_keras', 'sklearn', 'matplotlib', 'IPython', 'joblib', 'pandas'}\n"
        "assert not unused & set(sys.modules), unused & set(sys.modules)\n"
        "import tensorflow as tf\n"
        "from tensorflow.keras import layers\n"
        "assert layers.Dense is tf.keras.layers.Dense\n"
    )


def test_slims_losses_still_find_scikit_learn(run_python):
    run_python(
        "import sys\n"
        "from slimft.cli.common import quiet_standard_error\n"
        "with quiet_standard_error():\n"
        "    from slimft.compat import slim\n"
        "from tf_slim.losses import metric_learning\n"
        "assert 'sklearn' not in sys.modules and metric_learning.HAS_SKLEARN\n"
        "assert abs(metric_learning.metrics.v_measure_score([0, 0, 1], [1, 1, 0]) - 1) < 1e-9\n"
    )
