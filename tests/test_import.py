"""What importing costs: nothing of TensorFlow until it is used."""

import pytest

import slimft

LIGHT = (
    "slimft",
    "slimft.checkpoint",
    "slimft.cli.evaluate",
    "slimft.cli.finetune",
    "slimft.cli.predict",
    "slimft.conversion",
    "slimft.data",
    "slimft.data.images",
    "slimft.filters",
    "slimft.nets",
    "slimft.training",
)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_imports_no_tensorflow(module, run_python):
    run_python(f"import {module}, sys; assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules")


@pytest.mark.parametrize("command", ["finetune", "evaluate"])
def test_help_imports_no_tensorflow_and_names_every_flag(command, run_python):
    printed = run_python(
        f"import sys; from slimft.cli.{command} import main; assert main(['{command}', '--help']) == 0; "
        "assert 'tensorflow' not in sys.modules"
    )
    for flag in ("--model --model_name", "--checkpoint --checkpoint_path", "--dataset --dataset_name"):
        assert flag in printed


def test_every_public_name_is_there():
    for name in slimft.__all__:
        assert getattr(slimft, name) is not None
    assert set(slimft.__all__) <= set(dir(slimft))
    with pytest.raises(AttributeError):
        _ = slimft.no_such_name


def test_restore_is_a_function_and_a_module():
    from slimft.restore import plan_restore

    assert callable(slimft.restore)
    assert slimft.restore.plan_restore is plan_restore is slimft.plan_restore
