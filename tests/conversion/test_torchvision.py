"""torchvision's state dicts of VGG against PyTorch's semantics, written down here in NumPy."""

import math

import numpy as np
import pytest

import slimft
from slimft.checkpoint.official import OFFICIAL
from slimft.conversion import converted

# torchvision/models/vgg.py: the configurations' widths, M for a pooling.
CONFIGURATIONS = {
    "vgg_a": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "vgg_13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "vgg_16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "vgg_19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
# What images are to be before the first layer: ToTensor, Normalize. RGB.
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SLIM_MEANS = (123.68, 116.78, 103.94)


def modules_of(name):
    """The modules of `features`, each a width of a convolution, "relu" or "pool"."""
    modules = []
    for item in CONFIGURATIONS[name].split():
        modules += ["pool"] if item == "M" else [int(item), "relu"]
    return modules


def state_dict(name, classes=7, batch_norm=False, trunk=False):
    """Random weights by torchvision's names."""
    rng = np.random.default_rng(3)
    weights, inputs = {}, 3

    def add(layer, *shape):
        weight = rng.random(shape, dtype=np.float32)
        weight -= 0.5
        weight *= math.sqrt(24 / math.prod(shape[1:]))
        weights[f"{layer}.weight"] = weight
        weights[f"{layer}.bias"] = rng.random(shape[0], dtype=np.float32) - 0.5

    number = 0
    for module in modules_of(name):
        if isinstance(module, int):
            add(f"features.{number}", module, inputs, 3, 3)
            inputs = module
            if batch_norm:
                number += 1
                for part in ("weight", "bias", "running_mean", "running_var"):
                    weights[f"features.{number}.{part}"] = np.ones(module, np.float32)
        number += 1
    if not trunk:
        for module, inputs, outputs in ((0, 512 * 7 * 7, 4096), (3, 4096, 4096), (6, 4096, classes)):
            add(f"classifier.{module}", outputs, inputs)
    return weights


def conv3x3(images, weight, bias):
    """torch.nn.Conv2d of ``[batch, channels, height, width]``, without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(2, 3))
    return np.tensordot(windows, weight, [(1, 4, 5), (1, 2, 3)]).transpose(0, 3, 1, 2) + bias[:, None, None]


def torch_logits(name, weights, pixels, outside):
    """What PyTorch computes of RGB images ``[batch, 224, 224, 3]``; `outside` is the colour around them."""
    padded = np.empty([len(pixels), 226, 226, 3])
    padded[:] = outside
    padded[:, 1:-1, 1:-1] = pixels
    net = ((padded / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).astype(np.float32)
    for number, module in enumerate(modules_of(name)):
        if module == "relu":
            net = np.maximum(net, 0)
        elif module == "pool":
            batch, channels, height, width = net.shape
            net = net.reshape(batch, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
        else:
            padding = 1 if number else 0
            net = np.pad(net, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
            net = conv3x3(net, weights[f"features.{number}.weight"], weights[f"features.{number}.bias"])
    net = net.reshape(len(net), -1)  # torch.flatten: channel, row, column
    for number in (0, 3, 6):
        net = net @ weights[f"classifier.{number}.weight"].T + weights[f"classifier.{number}.bias"]
        net = np.maximum(net, 0) if number < 6 else net
    return net


@pytest.mark.parametrize("name", ["vgg_a", *(pytest.param(f"vgg_{n}", marks=pytest.mark.slow) for n in (16, 19))])
def test_logits_are_pytorchs(name, images, run_network, assert_close, tmp_path):
    weights = state_dict(name)
    slimft.write_checkpoint(tmp_path / "vgg.safetensors", weights)
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "vgg.safetensors"), name)
    result = run_network(name, checkpoint, 224, pixels=images[:1])
    (tmp_path / "vgg.safetensors").unlink()
    assert not result.plan.unused
    print(f"{name}: {len(checkpoint)} variables", end=", ")
    # Exactly, if what lies outside of the image has the colour that TF-Slim's padding stands for ...
    assert_close(result.logits, torch_logits(name, weights, images[:1], SLIM_MEANS), within=1e-5)
    # ... and nearly with PyTorch's padding, of less than half a grey level's difference.
    assert np.abs(MEAN * 255 - SLIM_MEANS).max() < 0.51
    assert_close(result.logits, torch_logits(name, weights, images[:1], MEAN * 255), within=1e-3)


@pytest.mark.parametrize("name", ["vgg_a", "vgg_16", "vgg_19"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_names_and_shapes_of_the_trunk(name, prefix, tmp_path):
    weights = {f"{prefix}{key}": value for key, value in state_dict(name, trunk=True).items()}
    slimft.write_checkpoint(tmp_path / "trunk.npz", weights)
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "trunk.npz"), name)
    official = OFFICIAL["vgg_19"].variables
    shapes = {variable: checkpoint.shape(variable) for variable in checkpoint}
    assert shapes == {variable: official[variable.replace(name, "vgg_19", 1)] for variable in checkpoint}
    assert len(shapes) == 2 * {"vgg_a": 8, "vgg_16": 13, "vgg_19": 16}[name]
    if name != "vgg_a":
        assert set(shapes) == {variable for variable in OFFICIAL[name].variables if "/fc" not in variable}
    assert checkpoint.notes == (
        f"{name}/fc6, {name}/fc7, {name}/fc8 left out: classifier.0, classifier.3, classifier.6 not in the file",
    )


@pytest.mark.parametrize(
    ("name", "arguments", "network", "words"),
    [
        ("vgg_16", {}, "vgg_19", ("no layer features.16", "they are those of vgg_16: give --model=vgg_16")),
        ("vgg_19", {}, "vgg_16", ("no layer features.17", "they are those of vgg_19: give --model=vgg_19")),
        ("vgg_13", {}, "vgg_16", ("no layer features.14", "known are vgg11[_bn], vgg16[_bn]")),
        ("vgg_16", {"batch_norm": True}, "vgg_19", ("they are those of vgg_16: give --model=vgg_16",)),
        ("vgg_16", {}, "resnet_v1_50", ("torchvision or timm has no such network", "--model=vgg_16")),
    ],
)
def test_other_networks(name, arguments, network, words, tmp_path):
    slimft.write_checkpoint(tmp_path / "vgg.npz", state_dict(name, trunk=True, **arguments))
    with pytest.raises(slimft.CheckpointError) as error:
        converted(slimft.open_checkpoint(tmp_path / "vgg.npz"), network)
    for word in (f"vgg.npz does not hold torchvision or timm weights of {network}: ", *words):
        assert word in str(error.value)


def test_half_precision(tmp_path):
    exact = state_dict("vgg_a", trunk=True)
    half = {name: value.astype(np.float16) for name, value in exact.items()}
    slimft.write_checkpoint(tmp_path / "half.npz", half)
    slimft.write_checkpoint(tmp_path / "same.npz", {name: value.astype(np.float32) for name, value in half.items()})
    checkpoint, same = (converted(slimft.open_checkpoint(tmp_path / f"{n}.npz"), "vgg_a") for n in ("half", "same"))
    for name in checkpoint:
        assert checkpoint.dtype(name) == checkpoint[name].dtype == np.float32
        # Small numbers, such as the first kernel by 255 times a deviation, would lose digits in float16.
        assert np.array_equal(checkpoint[name], same[name]), name
