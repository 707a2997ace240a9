"""bin/finetune on real checkpoints and data. The slow ones are recorded in docs/results.md."""

import json
import subprocess
import sys

import numpy as np
import pytest

import slimft
from slimft.checkpoint.named import open_hed

FC = ("vgg_16/fc6", "vgg_16/fc7", "vgg_16/fc8")


@pytest.fixture
def finetune(warm_python):
    """Runs the command; returns its result and what it said."""

    def finetune(*flags):
        command = [warm_python, "bin/finetune", *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return finetune


@pytest.fixture
def hed():
    try:
        return open_hed()
    except slimft.CheckpointError as error:
        pytest.skip(str(error))


def test_only_the_last_layers_of_vgg_16_train(finetune, hed, tmp_path):
    """From the real trunk, with fc6 to fc8 trained: conv1_1 to conv5_3 stay bit for bit.

    Of the taps of fc6, images of 32x32 reach one: it alone has momentum.
    """
    result, err = finetune(
        "--model=vgg_16",
        "--checkpoint=hed",
        f"--exclude={','.join(FC)}",
        f"--trainable={','.join(FC)}",
        "--steps=2",
        "--batch_size=8",
        "--learning_rate=0.001",
        f"--train_dir={tmp_path}",
    )
    assert "restored      26  14,714,688 parameters" in err
    trained = slimft.open_checkpoint(result["checkpoint"])
    for name in hed:
        np.testing.assert_array_equal(trained[name], hed[name], err_msg=name)
    slots = {name.removesuffix("/Momentum") for name in trained if name.endswith("/Momentum")}
    names = {f"{scope}/{kind}" for scope in FC for kind in ("weights", "biases")}
    assert slots == names - {"vgg_16/fc6/weights"} | {"vgg_16/fc6/weights/reached"}
    assert trained["vgg_16/fc6/weights"].shape == (7, 7, 512, 4096)
    assert trained["vgg_16/fc6/weights/reached/Momentum"].shape == (1, 1, 512, 4096)
    assert all(np.any(trained[f"{name}/Momentum"]) for name in slots)


def test_resnet_v1_50_to_another_number_of_classes(finetune, tmp_path):
    """Trained briefly on ten classes, restored into 1000: all but the logits arrives bit for bit."""
    first = str(tmp_path / "first")
    flags = ["--model=resnet_v1_50", "--steps=2", "--batch_size=16"]
    finetune(*flags, f"--train_dir={first}")
    from slimft.compat import tf
    from slimft.nets import get_network

    saved = slimft.open_checkpoint(first)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3])
        get_network("resnet_v1_50").build(images, num_classes=1000, is_training=False)
        with pytest.raises(slimft.RestoreError, match="--exclude=resnet_v1_50/logits$"):
            slimft.restore(session, first)
        session.run(tf.global_variables_initializer())
        fresh = session.run("resnet_v1_50/logits/weights:0")
        plan = slimft.restore(session, first, exclude="resnet_v1_50/logits")
        values = session.run({name: plan.variables[name] for name in plan.restored})
        assert len(values) == 265
        for name, value in values.items():
            np.testing.assert_array_equal(value, saved[name], err_msg=name)
        moved = [name for name in values if "moving_" in name and np.any(values[name] != ("variance" in name))]
        assert len(moved) == 106
        np.testing.assert_array_equal(session.run("resnet_v1_50/logits/weights:0"), fresh)


@pytest.mark.slow
def test_the_readmes_first_command_learns(finetune, tmp_path):
    result, _ = finetune(
        "--model=vgg_16",
        f"--exclude={','.join(FC)}",
        "--checkpoint=hed",
        "--dataset=digits",
        f"--train_dir={tmp_path}",
    )
    assert result["accuracy"] >= 0.97


@pytest.mark.slow
@pytest.mark.real
def test_a_restored_trunk_is_ahead_of_a_fresh_one_on_cifar10(finetune, shared, tmp_path):
    data = tmp_path / "cifar10"
    subprocess.run([sys.executable, shared / "scripts" / "unpack_cifar10", data], check=True)
    flags = [
        "--model=vgg_16",
        "--dataset=cifar10",
        f"--data_dir={data}",
        "--steps=120",
        "--batch_size=64",
        "--optimizer=adam",
        "--learning_rate=0.0001",
    ]
    restored, _ = finetune(
        *flags,
        f"--checkpoint={shared}/checkpoints/vgg_16_hed.ckpt",
        f"--exclude={','.join(FC)}",
        f"--train_dir={tmp_path}/restored",
    )
    scratch, _ = finetune(*flags, f"--train_dir={tmp_path}/scratch")
    assert restored["accuracy"] >= scratch["accuracy"] + 0.10
