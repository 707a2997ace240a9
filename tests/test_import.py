"""What importing costs: nothing of TensorFlow until it is used."""

import pytest

import slimft

LIGHT = (
    "slimft",
    "slimft.api",
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


def test_what_needs_no_tensorflow_imports_none(run_python, tmp_path):
    """Nor does what is wrong with a keyword, or looking at a run again."""
    (tmp_path / "settings.json").write_text('{"model": "vgg_16"}')
    (tmp_path / "result.json").write_text(
        '{"result": {"split": "test", "accuracy": 0.5}, "restore": "", "class_names": [], "class_counts": {}, '
        '"confusion_matrix": null, "confused_pairs": [], "per_class": [], "calibration": null, "mistakes": [], '
        '"seconds": null, "images_per_second": null, "device": "", "versions": {}}'
    )
    printed = run_python(
        "import slimft, sys\n"
        "slimft.evaluate, slimft.Settings, slimft.open_checkpoint, slimft.VariableFilter, slimft.Dataset\n"
        "slimft.get_network('vgg_16'); slimft.load_dataset('digits')\n"
        "try: slimft.finetune(model='vgg_16', epochs=-1)\n"
        "except slimft.UsageError as error: print(error)\n"
        "try: slimft.finetune(model='vgg_16', exclude='vgg_16/fc8')\n"
        "except slimft.UsageError as error: print(error)\n"
        "print(slimft.load_run(sys.argv[1]))\n"
        "assert 'tensorflow' not in sys.modules",
        str(tmp_path),
    )
    assert "epochs=-1 must be" in printed and "they need a --checkpoint" in printed and "0.5000" in printed


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
