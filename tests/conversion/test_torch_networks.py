"""torchvision's and timm's own logits, of networks with random weights; needs torch, which is slow to install."""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import slimft
from slimft.compat import slim, tf
from slimft.conversion import converted
from slimft.data.preprocessing import PREPROCESSING
from slimft.nets import inception_v3

TORCH_FILES = pathlib.Path(__file__).with_name("torch_files.py")
# The network here, the size at which both pad alike, the library's own size, and the most that its own logits
# differ, as a share of the largest.
NETWORKS = {
    "torchvision.vgg11": ("vgg_a", 224, 224, 1e-3),
    "torchvision.vgg16": ("vgg_16", 224, 224, 1e-3),
    "torchvision.vgg19": ("vgg_19", 224, 224, 1e-3),
    "torchvision.vgg11_bn": ("vgg_a", 224, 224, 1e-3),
    "torchvision.vgg16_bn": ("vgg_16", 224, 224, 1e-3),
    "torchvision.vgg19_bn": ("vgg_19", 224, 224, 1e-3),
    "torchvision.densenet121": ("densenet_121", 225, 224, 0.02),
    "torchvision.densenet169": ("densenet_169", 225, 224, 0.02),
    "torchvision.googlenet": ("inception_v1", 223, 224, 0.03),
    "torchvision.inception_v3": ("inception_v3", 299, 299, 0.1),
    "torchvision.mobilenet_v2": ("mobilenet_v2", 225, 224, 0.2),
    "timm.vgg11": ("vgg_a", 224, 224, 1e-3),
    "timm.vgg16": ("vgg_16", 224, 224, 1e-3),
    "timm.vgg19": ("vgg_19", 224, 224, 1e-3),
    "timm.vgg16_bn": ("vgg_16", 224, 224, 1e-3),
    "timm.densenet121": ("densenet_121", 225, 224, 0.02),
    "timm.densenet169": ("densenet_169", 225, 224, 0.02),
    "timm.inception_v3": ("inception_v3", 299, 299, 0.1),
    "timm.inception_v4": ("inception_v4", 299, 299, 3e-5),
    "timm.inception_resnet_v2": ("inception_resnet_v2", 299, 299, 3e-5),
    "timm.mobilenetv1_100": ("mobilenet_v1", 225, 224, 0.2),
    "timm.mobilenetv2_100": ("mobilenet_v2", 225, 224, 0.2),
    "timm.mobilenetv2_140": ("mobilenet_v2_140", 225, 224, 0.2),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(module) is None for module in ("torch", "torchvision", "timm")),
        reason="needs torch, torchvision and timm: pip install -e '.[test-torch]'",
    ),
]


@pytest.fixture
def run_torch(large_images, tmp_path):
    """Runs torch_files.py; returns the folder with what it wrote, which is removed after the test."""

    def run(name):
        np.save(tmp_path / "images.npy", large_images)
        command = [sys.executable, TORCH_FILES, tmp_path, tmp_path / "images.npy", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        return tmp_path

    yield run
    shutil.rmtree(tmp_path)


def share(values, expected):
    """The largest difference, as a share of the largest expected magnitude."""
    assert values.shape == expected.shape
    return np.max(np.abs(values - expected)) / np.max(np.abs(expected))


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_the_librarys(name, run_torch, run_network, large_images):
    network, same_size, own_size, most = NETWORKS[name]
    folder = run_torch(name)
    exact, same, own = (np.load(folder / f"{name}{kind}.npy") for kind in (".exact", ".same_size", ""))
    checkpoint = converted(slimft.open_checkpoint(folder / f"{name}.safetensors"), network)
    result = run_network(network, checkpoint, same_size, pixels=large_images)
    assert {entry.partition("/")[2].partition("/")[0] for entry in result.plan.unused} <= {"AuxLogits"}
    assert exact.shape == (2, 7)
    # They depend on the image by much more than what they may differ by.
    assert np.abs(exact[0] - exact[1]).max() > 0.01 * np.abs(exact).max()
    differences = share(result.logits, exact), share(result.logits, same)
    if same_size != own_size:
        result = run_network(network, checkpoint, own_size, pixels=large_images)
    print(f"{name}: {differences[0]:.1e} (with TF-Slim's border), {differences[1]:.1e} at {same_size}", end=", ")
    print(f"{share(result.logits, own):.1e} at {own_size}")
    assert differences[0] < 3e-5
    assert max(differences[1], share(result.logits, own)) < most


@pytest.mark.parametrize("name", ["torchvision.inception_v3", "timm.inception_v3"])
def test_auxiliary_logits_of_inception_v3(name, run_torch, large_images):
    folder = run_torch(name)
    checkpoint = converted(slimft.open_checkpoint(folder / f"{name}.safetensors"), "inception_v3")
    with tf.Graph().as_default(), tf.Session() as session:
        images = PREPROCESSING["inception"](tf.constant(large_images[:, :299, :299]))
        with slim.arg_scope(inception_v3.inception_v3_arg_scope()):
            _, end_points = inception_v3.inception_v3(images, 7, is_training=False)
        plan = slimft.plan_restore(checkpoint)
        plan.apply(session)
        assert not plan.unused
        assert share(session.run(end_points["AuxLogits"]), np.load(folder / f"{name}.auxiliary.npy")) < 3e-5
