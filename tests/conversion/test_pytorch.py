"""State dicts of torchvision and timm by the names and shapes that the libraries' own networks have.

`torch_outlines.json.gz` is torch_files.py's, of torchvision 0.29.1 and timm 1.0.31; logits: test_torch_networks.py.
"""

import gzip
import json
import math
import pathlib
import re
import struct

import ml_dtypes
import numpy as np
import pytest

import slimft
from slimft.checkpoint.official import OFFICIAL
from slimft.cli.convert_checkpoint import main
from slimft.conversion import conversion_advice, converted

OUTLINES = json.loads(gzip.decompress(pathlib.Path(__file__).with_name("torch_outlines.json.gz").read_bytes()))
NETWORKS = {
    "torchvision.vgg11": "vgg_a",
    "torchvision.vgg16": "vgg_16",
    "torchvision.vgg19": "vgg_19",
    "torchvision.vgg11_bn": "vgg_a",
    "torchvision.vgg16_bn": "vgg_16",
    "torchvision.vgg19_bn": "vgg_19",
    "torchvision.densenet121": "densenet_121",
    "torchvision.densenet169": "densenet_169",
    "torchvision.googlenet": "inception_v1",
    "torchvision.inception_v3": "inception_v3",
    "torchvision.mobilenet_v2": "mobilenet_v2",
    "timm.vgg11": "vgg_a",
    "timm.vgg16": "vgg_16",
    "timm.vgg19": "vgg_19",
    "timm.vgg16_bn": "vgg_16",
    "timm.densenet121": "densenet_121",
    "timm.densenet169": "densenet_169",
    "timm.inception_v3": "inception_v3",
    "timm.inception_v4": "inception_v4",
    "timm.inception_resnet_v2": "inception_resnet_v2",
    "timm.mobilenetv1_100": "mobilenet_v1",
    "timm.mobilenetv2_100": "mobilenet_v2",
    "timm.mobilenetv2_140": "mobilenet_v2_140",
}
# TF-Slim's auxiliary logits that the library has none of.
NOT_PUBLISHED = {
    "timm.inception_v4": "InceptionV4/AuxLogits",
    "timm.inception_resnet_v2": "InceptionResnetV2/AuxLogits",
}
LOGITS = ("fc8/", "logits/", "Logits/", "AuxLogits/Conv2d_2b_1x1/")
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def write_state(tmp_path):
    """Writes a state dict of given shapes as safetensors: zeros, which take no space, but for what `values` has."""

    def write(shapes, values=None, name="model.safetensors"):
        header, end = {}, 0
        for key, shape in shapes.items():
            is_counter = key.endswith("num_batches_tracked")
            size = math.prod(shape) * (8 if is_counter else 4)
            dtype = "I64" if is_counter else "F32"
            header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header).encode()
        with open(tmp_path / name, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)
            for key, value in (values or {}).items():
                file.seek(8 + len(text) + header[key]["data_offsets"][0])
                file.write(value.astype(np.float32).tobytes())
        return tmp_path / name

    return write


def random_values(shapes, prefixes):
    rng = np.random.default_rng(5)
    return {
        key: rng.normal(size=shape) ** (2 if key.endswith("running_var") else 1)
        for key, shape in shapes.items()
        if key.startswith(prefixes) and not key.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes(name, write_state):
    network = NETWORKS[name]
    path = write_state(OUTLINES[name])
    checkpoint = converted(slimft.open_checkpoint(path), network)
    shapes = {variable: checkpoint.shape(variable) for variable in checkpoint}
    release = next((release for release in OFFICIAL.values() if release.network == network), None)
    if release is not None:
        assert shapes == {
            # The outlines were made with seven classes.
            variable: (*shape[:-1], 7) if variable.partition("/")[2].startswith(LOGITS) else shape
            for variable, shape in release.variables.items()
            if name not in NOT_PUBLISHED or not variable.startswith(NOT_PUBLISHED[name])
        }
    left_out = [note for note in checkpoint.notes if "left out" in note]
    unused = ("aux1", "aux2") if name == "torchvision.googlenet" else ()
    expected = [f"{scope}.* left out: TF-Slim's network has none" for scope in unused]
    if name in NOT_PUBLISHED:
        expected = [f"{NOT_PUBLISHED[name]} left out: the library has none"]
    assert left_out == expected
    # By its own advice, a restore names the network.
    assert conversion_advice(slimft.open_checkpoint(path)) == (
        "it holds weights of torchvision or timm; convert them first: "
        f"bin/convert_checkpoint --model={network} SRC DST"
    )


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model.", "backbone."])
def test_names_of_what_a_network_was_wrapped_in(prefix, write_state):
    shapes = {f"{prefix}{key}": shape for key, shape in OUTLINES["timm.mobilenetv2_100"].items()}
    checkpoint = converted(slimft.open_checkpoint(write_state(shapes)), "mobilenet_v2")
    assert set(checkpoint) == set(OFFICIAL["mobilenet_v2_1.0_224"].variables)


def test_the_first_names_of_densenet(write_state):
    """Those of the files that torchvision publishes: denselayer1.norm.1.weight."""
    shapes = OUTLINES["torchvision.densenet121"]
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): shape for key, shape in shapes.items()}
    assert "features.denseblock4.denselayer16.conv.2.weight" in old
    paths = write_state(old, name="old.safetensors"), write_state(shapes)
    old, new = (converted(slimft.open_checkpoint(path), "densenet_121") for path in paths)
    assert {name: old.shape(name) for name in old} == {name: new.shape(name) for name in new}


@pytest.mark.parametrize(
    ("name", "logits"),
    [
        ("torchvision.googlenet", "fc."),
        ("torchvision.mobilenet_v2", "classifier."),
        ("timm.mobilenetv1_100", "classifier."),
        ("timm.inception_v3", ("fc.", "AuxLogits.")),
        ("timm.vgg16", ("pre_logits.", "head.")),
    ],
)
def test_files_without_the_classifier(name, logits, write_state):
    shapes = {key: shape for key, shape in OUTLINES[name].items() if not key.startswith(logits)}
    checkpoint = converted(slimft.open_checkpoint(write_state(shapes)), NETWORKS[name])
    left_out = [note for note in checkpoint.notes if "not in the file" in note]
    assert len(left_out) == (2 if name == "timm.inception_v3" else 1)
    assert not any(variable.partition("/")[2].startswith(("fc", "Logits/", "AuxLogits")) for variable in checkpoint)


def normalized(result, values, layer, epsilon):
    """What batch normalization makes in evaluation of a convolution's result."""
    gamma, beta, mean, variance = (
        values[f"{layer}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (result - mean) / np.sqrt(variance + epsilon) * gamma + beta


def test_scales_that_inception_has_not_are_in_its_weights(write_state):
    """A 1x1 convolution at one position, there and here, with negative and zero scales too."""
    shapes = OUTLINES["timm.inception_v3"]
    values = random_values(shapes, "Mixed_5b.branch1x1.")
    values["Mixed_5b.branch1x1.bn.weight"][0] = 0
    assert values["Mixed_5b.branch1x1.bn.weight"].min() < 0
    checkpoint = converted(slimft.open_checkpoint(write_state(shapes, values)), "inception_v3")
    inputs = np.random.default_rng(1).normal(size=192)
    expected = normalized(
        values["Mixed_5b.branch1x1.conv.weight"][:, :, 0, 0] @ inputs, values, "Mixed_5b.branch1x1.bn", 1e-3
    )
    scope = "InceptionV3/Mixed_5b/Branch_0/Conv2d_0a_1x1"
    mean, variance, beta = (
        checkpoint[f"{scope}/BatchNorm/{part}"] for part in ("moving_mean", "moving_variance", "beta")
    )
    result = (inputs @ checkpoint[f"{scope}/weights"][0, 0] - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    assert any("in training, which normalizes anew, they count no longer" in note for note in checkpoint.notes)


def test_batch_normalization_of_vgg_is_in_weights_and_biases(write_state):
    """The first convolution at one position, of images as each side takes them."""
    shapes = OUTLINES["torchvision.vgg11_bn"]
    values = random_values(shapes, ("features.0.", "features.1."))
    checkpoint = converted(slimft.open_checkpoint(write_state(shapes, values)), "vgg_a")
    pixels = np.random.default_rng(1).uniform(0, 255, [3, 3, 3])
    theirs = ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)
    result = np.tensordot(values["features.0.weight"], theirs, 3) + values["features.0.bias"]
    ours = np.tensordot(pixels - [123.68, 116.78, 103.94], checkpoint["vgg_a/conv1/conv1_1/weights"], 3)
    np.testing.assert_allclose(
        ours + checkpoint["vgg_a/conv1/conv1_1/biases"], normalized(result, values, "features.1", 1e-5), rtol=1e-3
    )
    assert "batch normalization became a part of weights and biases, as TF-Slim's VGG has none" in checkpoint.notes


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["torchvision.vgg11_bn", "timm.mobilenetv1_100", "torchvision.googlenet"])
def test_half_precision(name, dtype, tmp_path):
    """Computed as of the same numbers in float32: what becomes of scales and variances has no other rounding."""
    values = random_values({key: shape for key, shape in OUTLINES[name].items() if "classifier" not in key}, "")
    half = {key: value.astype(dtype) for key, value in values.items()}
    slimft.write_checkpoint(tmp_path / "half.safetensors", half)
    slimft.write_checkpoint(tmp_path / "same.safetensors", {k: v.astype(np.float32) for k, v in half.items()})
    checkpoint, same = (
        converted(slimft.open_checkpoint(tmp_path / f"{name_of}.safetensors"), NETWORKS[name])
        for name_of in ("half", "same")
    )
    for variable in checkpoint:
        assert checkpoint[variable].dtype == np.float32
        assert np.array_equal(checkpoint[variable], same[variable]), variable


def first_result(checkpoint, scope, pixels):
    """The first convolution's normalized result at one position, of pixels in [-1, 1]."""
    mean, variance, beta = (
        checkpoint[f"{scope}/BatchNorm/{part}"] for part in ("moving_mean", "moving_variance", "beta")
    )
    gamma = checkpoint.get(f"{scope}/BatchNorm/gamma", 1)
    result = np.tensordot(pixels / 127.5 - 1, checkpoint[f"{scope}/weights"], 3)
    return (result - mean) / np.sqrt(variance + 1e-3) * gamma + beta


@pytest.mark.parametrize(
    ("name", "scope", "layers", "epsilon", "own"),
    [
        ("timm.mobilenetv2_100", "MobilenetV2/Conv", ("conv_stem", "bn1"), 1e-5, (MEAN, STD)),
        ("timm.mobilenetv1_100", "MobilenetV1/Conv2d_0", ("conv_stem", "bn1"), 1e-5, ([0.5] * 3, [0.5] * 3)),
        (
            "timm.inception_v3",
            "InceptionV3/Conv2d_1a_3x3",
            ("Conv2d_1a_3x3.conv", "Conv2d_1a_3x3.bn"),
            1e-3,
            ([0.5] * 3, [0.5] * 3),
        ),
    ],
)
@pytest.mark.parametrize("other", [None, ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])])
def test_the_first_layer_takes_tf_slims_images(name, scope, layers, epsilon, own, other, write_state, tmp_path):
    shapes = OUTLINES[name]
    convolution, batch_norm = layers
    values = random_values(shapes, tuple(f"{layer}." for layer in layers))
    path = write_state(shapes, values)
    mean, std = other or own
    pixels = np.random.default_rng(1).uniform(0, 255, [3, 3, 3])
    theirs = ((pixels / 255 - mean) / std).transpose(2, 0, 1)
    expected = normalized(np.tensordot(values[f"{convolution}.weight"], theirs, 3), values, batch_norm, epsilon)
    flags = [f"--{flag}={','.join(map(str, numbers))}" for flag, numbers in zip(("mean", "std"), other or ())]
    destination = str(tmp_path / "converted.npz")
    assert main(["convert_checkpoint", str(path), destination, f"--model={NETWORKS[name]}", *flags]) == 0
    checkpoint = slimft.open_checkpoint(destination)
    np.testing.assert_allclose(first_result(checkpoint, scope, pixels), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--mean=0.5,0.5,0.5"], "--std: give three numbers, of red, green and blue; --mean and --std go together"),
        (["--mean=0.5", "--std=0.5"], "--mean: give three numbers"),
        (["--mean=a,b,c", "--std=1,1,1"], "--mean=a,b,c: give three numbers"),
        (["--mean=nan,0,0", "--std=1,1,1"], "--mean: give three numbers"),
        (["--mean=0,0,0", "--std=1,0,1"], "--std=1.0,0.0,1.0: give numbers greater than 0"),
        (["--mean=0,0,0", "--std=1,1,1", "--model="], "give --model too"),
    ],
)
def test_bad_normalization(flags, words, write_state, tmp_path, capsys):
    path = write_state(OUTLINES["timm.mobilenetv1_100"])
    arguments = [str(path), str(tmp_path / "a.ckpt"), "--model=mobilenet_v1", *flags]
    assert main(["convert_checkpoint", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("a.ckpt*"))


@pytest.mark.parametrize(
    ("name", "network", "words"),
    [
        ("torchvision.resnet50", "resnet_v1_50", ("ResNet V1.5", "use --checkpoint=resnet_v1_50")),
        ("timm.resnet50", "resnet_v2_50", ("ResNet V1.5",)),
        ("torchvision.resnet18", "resnet_v1_50", ("ResNet-18, 34",)),
        ("timm.resnetv2_50", "resnet_v2_50", ("timm's ResNetV2", "use --checkpoint=resnet_v2_50")),
        ("timm.resnetv2_50x1_bit", "resnet_v2_50", ("timm's ResNetV2",)),
        ("torchvision.alexnet", "alexnet_v2", ("AlexNet, another network than alexnet_v2",)),
        ("torchvision.alexnet", "vgg_16", ("AlexNet, another network than alexnet_v2",)),
        ("torchvision.vgg13", "vgg_16", ("no layer features.14", "known are vgg11[_bn], ")),
        ("torchvision.mnasnet1_0", "mobilenet_v2", ("known are ",)),
        ("timm.mobilenetv1_100h", "mobilenet_v1", ("the layer conv_head, which the network has not; known are ",)),
        ("timm.mobilenetv2_050", "mobilenet_v2", ("conv_stem has kernel [16, 3, 3, 3], not [32, 3, 3, 3]",)),
        ("timm.inception_v4", "inception_v3", ("they are those of inception_v4: give --model=inception_v4",)),
        ("timm.efficientnet_b0", "mobilenet_v2", ("known are ",)),
        ("timm.mobilenetv2_140", "mobilenet_v1", ("they are those of mobilenet_v2_140: give --model=",)),
        ("torchvision.googlenet", "inception_v3", ("they are those of inception_v1: give --model=inception_v1",)),
        ("torchvision.densenet169", "resnet_v1_50", ("has no such network", "give --model=densenet_169")),
    ],
)
def test_networks_that_are_not_equal_say_why(name, network, words, write_state, tmp_path, capsys):
    path = write_state(OUTLINES[name])
    assert main(["convert_checkpoint", str(path), str(tmp_path / "a.ckpt"), f"--model={network}"]) == 2
    error = capsys.readouterr().err
    for word in words:
        assert word in error
    assert len(error.splitlines()) == 1 and len(error.replace(str(path), "")) < 400
    assert not list(tmp_path.glob("a.ckpt*"))
    advice = conversion_advice(slimft.open_checkpoint(path))
    assert len(advice) < 300
    assert advice.startswith(
        "it holds weights of torchvision or timm; convert them" if name in NETWORKS else ("its ", "its names")
    )
