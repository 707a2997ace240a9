"""Weights of Keras Applications: its logits, the official releases' names and shapes, the kinds of its files.

`keras_outlines.json.gz` is keras_files.py's, of Keras 3.15.1.
"""

import functools
import gzip
import json
import math
import pathlib
import shutil

import h5py
import numpy as np
import pytest

import slimft
from slimft.checkpoint.official import OFFICIAL
from slimft.conversion import converted
from slimft.conversion.keras_applications import NETWORKS

# One of each family with its logits; of the others names and shapes, unless the slow tests are run.
WRITTEN = (
    "vgg_16",
    "resnet_v1_50",
    "resnet_v2_50",
    "inception_v3",
    "mobilenet_v1_025",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "densenet_121",
    "nasnet_mobile",
)
OUTLINES_FILE = pathlib.Path(__file__).with_name("keras_outlines.json.gz")
OUTLINES = json.loads(gzip.decompress(OUTLINES_FILE.read_bytes()))
# How the scopes begin that depend on the number of classes.
LOGITS = ("fc8/", "logits/", "Logits/", "FC/")


@pytest.fixture(scope="module")
def keras_files(run_keras, built_once):
    """The folder with the files of WRITTEN and, without values, of the others."""

    def make(folder):
        run_keras(folder, *WRITTEN)
        for name in OUTLINES.keys() - set(WRITTEN):
            write_outline(folder / f"{name}.h5", OUTLINES[name]["layers"])

    return built_once("keras_files", make)


def write_outline(path, layers):
    """Keras' legacy layout with datasets that are never written to."""
    with h5py.File(path, "w") as file:
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = list(weights)
            for weight, shape in weights.items():
                group.create_dataset(weight, shape, np.float32)


@pytest.fixture(scope="module")
def opened(keras_files):
    """Opens a network's file and shows it converted."""

    def opened(name, suffix=".h5", network=None):
        return converted(slimft.open_checkpoint(keras_files / f"{name}{suffix}"), network or name)

    return opened


def image_size(name):
    if name.startswith("inception"):
        return 75
    return 224 if name.startswith("vgg") else 64


def closeness(name):
    """As a share of the largest logit."""
    if name.startswith(("vgg", "resnet_v1")):
        return 3e-5  # Keras subtracts 103.939 and 116.779, TF-Slim 103.94 and 116.78.
    if name in ("mobilenet_v3_large", "mobilenet_v3_small"):
        return 1e-3  # Keras' squeeze-and-excite divides by 6, TF-Slim's multiplies by 0.16667.
    return 1e-5


@pytest.mark.parametrize(
    "name", [name if name in WRITTEN else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_logits_are_keras(name, request, tmp_path, run_keras, run_network, assert_close):
    if name in WRITTEN:
        folder = request.getfixturevalue("keras_files")
    else:
        folder = tmp_path
        run_keras(folder, name)
    expected = np.load(folder / f"{name}.logits.npy")
    assert expected.shape == (2, 7)
    with h5py.File(folder / f"{name}.h5") as file:
        layers = [file["model_weights"][layer] for layer in file["model_weights"].attrs["layer_names"]]
        shapes = [list(layer[weight].shape) for layer in layers for weight in layer.attrs["weight_names"]]
    assert sorted(shapes) == sorted(
        shape for layer in OUTLINES[name]["layers"].values() for shape in layer.values()
    )
    checkpoint = converted(slimft.open_checkpoint(folder / f"{name}.h5"), name)
    result = run_network(name, checkpoint, image_size(name))
    parameters = sum(math.prod(checkpoint.shape(variable)) for variable in checkpoint)
    print(f"{name}: {len(checkpoint)} variables, {parameters} parameters", end=", ")
    assert not result.plan.unused and len(result.plan.restored) == len(checkpoint)
    # They depend on the image by much more than what they may differ by.
    assert np.abs(expected[0] - expected[1]).max() > 0.003 * np.abs(expected).max()
    assert_close(result.logits, expected, within=closeness(name))
    if name not in WRITTEN:
        shutil.rmtree(folder)


@pytest.mark.parametrize(("name", "within"), [("resnet_v1_50", 3e-5), ("densenet_121", 1e-3)])
def test_images_of_65_pixels_are_padded_as_in_keras(name, within, keras_files, opened, run_network, assert_close):
    """As any of one more than a multiple of four: SAME is symmetric then. DenseNet's image has another border."""
    expected = np.load(keras_files / f"{name}.65.npy")
    assert_close(run_network(name, opened(name), 65).logits, expected, within=within)


def test_mobilenet_v3_with_keras_gate(keras_files, opened, run_network, assert_close, monkeypatch):
    """The rounded sixth of TF-Slim's squeeze-and-excite is all that differs."""
    from slimft.compat import tf
    from slimft.nets import mobilenet_v3

    gated = functools.partial(mobilenet_v3.squeeze_excite, gating_fn=lambda x: tf.nn.relu6(x + 3) / 6)
    monkeypatch.setattr(mobilenet_v3, "squeeze_excite", gated)
    logits = run_network("mobilenet_v3_small", opened("mobilenet_v3_small"), 64).logits
    assert_close(logits, np.load(keras_files / "mobilenet_v3_small.logits.npy"), within=1e-5)


def test_images_of_keras_resnet_v1_are_bgr(keras_files, opened, images, run_network):
    expected = np.load(keras_files / "resnet_v1_50.logits.npy")
    flipped = run_network("resnet_v1_50", opened("resnet_v1_50"), 64, pixels=images[..., ::-1])
    assert np.abs(flipped.logits - expected).max() > 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes_are_those_of_the_official_release(name, opened):
    checkpoint = opened(name)
    shapes = {variable: checkpoint.shape(variable) for variable in checkpoint}
    release = next((release for release in OFFICIAL.values() if release.network == name), None)
    if release is not None:
        official = {
            # Keras' networks were made with seven classes.
            variable: (*shape[:-1], 7) if variable.partition("/")[2].startswith(LOGITS) else shape
            for variable, shape in release.variables.items()
            if "/AuxLogits/" not in variable and not variable.startswith("aux_")
        }
        assert shapes == official
    # All of Keras' parameters are there, but for the biases that became a part of the mean.
    biases = sum(shape[0] for variable, shape in shapes.items() if variable.endswith("BatchNorm/gamma"))
    in_keras = OUTLINES[name]["parameters"]
    assert sum(map(math.prod, shapes.values())) == in_keras - biases * name.startswith("resnet_v1")


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "vgg_16"])
def test_keras_3_weights_with_and_without_layer_names(name, opened):
    expected, named = opened(name), opened(name, ".weights.h5")
    unnamed = slimft.open_checkpoint(named.path)
    assert unnamed.layers
    unnamed.layers.clear()  # As the first versions of Keras 3 wrote it.
    unnamed = converted(unnamed, name)
    assert set(expected) == set(named) == set(unnamed)
    for variable in expected:
        assert np.array_equal(named[variable], expected[variable]), variable
        assert np.array_equal(unnamed[variable], expected[variable]), variable


def test_inception_made_after_another_network(keras_files, opened, tmp_path):
    """Keras goes on counting: the second InceptionV3 of a process begins with conv2d_94."""
    with h5py.File(keras_files / "inception_v3.h5") as file, h5py.File(tmp_path / "later.h5", "w") as later:
        for layer in file["model_weights"]:
            kind, _, number = layer.rpartition("_")
            kind, number = (kind, int(number)) if number.isdigit() else (layer, 0)
            if kind in ("conv2d", "batch_normalization"):
                file.copy(file["model_weights"][layer], later, f"{kind}_{number + 94}")
        file.copy(file["model_weights/predictions"], later, "predictions")
    expected = opened("inception_v3")
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "later.h5"), "inception_v3")
    assert set(checkpoint) == set(expected)
    assert all(np.array_equal(checkpoint[variable], expected[variable]) for variable in expected)


def test_resnet50_by_its_names_of_2017(keras_files, opened, tmp_path):
    with h5py.File(keras_files / "resnet_v1_50.h5") as file, h5py.File(tmp_path / "old.h5", "w") as old:

        def add(name_there, name, *weights):
            group = old.create_group(name)
            group.attrs["weight_names"] = [f"{name}_{weight_here}_1:0" for _, weight_here in weights]
            for there, here in weights:
                group[f"{name}_{here}_1:0"] = file[f"model_weights/{name_there}/{name_there}/{there}"][:]

        convolution = [("kernel", "W"), ("bias", "b")]
        batch_norm = [(name, name) for name in ("gamma", "beta")]
        batch_norm += [("moving_mean", "running_mean"), ("moving_variance", "running_std")]
        add("conv1_conv", "conv1", *convolution)
        add("conv1_bn", "bn_conv1", *batch_norm)
        add("predictions", "fc1000", *convolution)
        for stage, letters in ((2, "abc"), (3, "abcd"), (4, "abcdef"), (5, "abc")):
            for unit, letter in enumerate(letters, start=1):
                for number, branch in enumerate(("1", "2a", "2b", "2c")):
                    if number or unit == 1:
                        layer = f"conv{stage}_block{unit}_{number}"
                        add(f"{layer}_conv", f"res{stage}{letter}_branch{branch}", *convolution)
                        add(f"{layer}_bn", f"bn{stage}{letter}_branch{branch}", *batch_norm)
    expected = opened("resnet_v1_50")
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "old.h5"), "resnet_v1_50")
    assert set(checkpoint) == set(expected)
    for variable in expected:
        # Keras added 0.001 to the variance then, and 1.001e-5 later.
        more = 1e-3 - 1.001e-5 if variable.endswith("moving_variance") else 0
        np.testing.assert_allclose(checkpoint[variable], expected[variable] + more, rtol=3e-7, err_msg=variable)


@pytest.mark.parametrize(
    ("name", "old_names"),
    [
        ("densenet_121", {"conv1_conv": "conv1/conv", "conv1_bn": "conv1/bn", "predictions": "fc1000"}),
        ("mobilenet_v2", {"predictions": "Logits"}),
    ],
)
def test_old_names(name, old_names, keras_files, opened, tmp_path):
    with h5py.File(keras_files / f"{name}.h5") as file, h5py.File(tmp_path / "old.h5", "w") as old:
        for layer, group in file["model_weights"].items():
            old_name = old_names.get(layer, layer)
            weights = group[layer] if layer in group else {}
            old.create_group(old_name).attrs["weight_names"] = [f"{old_name}/{weight}:0" for weight in weights]
            for weight in weights:
                old[f"{old_name}/{old_name}/{weight}:0"] = weights[weight][:]
    expected = opened(name)
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "old.h5"), name)
    assert set(checkpoint) == set(expected)
    assert all(np.array_equal(checkpoint[variable], expected[variable]) for variable in expected)


def test_densenet_with_variances_less_than_the_difference_of_epsilons(keras_files, tmp_path):
    """TF-Slim adds more to a variance than Keras: what would have to be negative is made up for by gamma."""
    shutil.copy(keras_files / "densenet_121.weights.h5", tmp_path / "a.weights.h5")
    variance = np.concatenate([[0, 1e-10, 1e-8, 9e-7, 9.9e-7, 1e-6, 1e-5], np.ones(57)]).astype(np.float32)
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        group = next(g["vars"] for g in file["layers"].values() if g["vars"].attrs["name"] == "conv2_block1_0_bn")
        gamma = group["0"][:].astype(np.float64)
        group["3"][:] = variance
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "a.weights.h5"), "densenet_121")
    scope = "densenet121/dense_block1/conv_block1/x1/BatchNorm"
    slims_gamma, slims_variance = checkpoint[f"{scope}/gamma"], checkpoint[f"{scope}/moving_variance"]
    assert slims_variance.min() == 0
    assert np.array_equal(slims_gamma[5:], gamma[5:])
    factor = slims_gamma / np.sqrt(slims_variance.astype(np.float64) + 1.1e-5)
    np.testing.assert_allclose(factor, gamma / np.sqrt(variance.astype(np.float64) + 1.001e-5), rtol=3e-7)


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("mobilenet_v1_025", ["conv_preds"]),
        ("mobilenet_v3_small", ["conv_2", "logits"]),  # As Keras' own files are.
        ("mobilenet_v3_small", ["logits"]),
        ("resnet_v2_50", ["predictions"]),
        ("inception_v3", ["predictions"]),
    ],
)
def test_files_without_the_classifier(name, lacking, keras_files, opened, tmp_path):
    path = tmp_path / "notop.weights.h5"
    shutil.copy(keras_files / f"{name}.weights.h5", path)
    with h5py.File(path, "a") as file:
        names = {group["vars"].attrs["name"]: layer for layer, group in file["layers"].items() if "vars" in group}
        for layer in lacking:
            del file["layers"][names[layer]]
    whole = opened(name)
    checkpoint = converted(slimft.open_checkpoint(path), name)
    left_out = (*LOGITS, "Conv_2/") if "conv_2" in lacking else LOGITS
    logits = [variable for variable in whole if variable.partition("/")[2].startswith(left_out)]
    assert len(logits) == 2 * len(lacking)
    assert set(checkpoint) == set(whole) - set(logits)
    assert logits[0].rpartition("/")[0] in checkpoint.notes[-1]
    assert checkpoint.notes[:-1] == whole.notes
    assert ("AuxLogits" in str(whole.notes)) == (name == "inception_v3")


@pytest.mark.parametrize(
    ("name", "network", "difference"),
    [
        ("vgg_19", "vgg_16", "layer block3_conv4, which"),
        ("vgg_16", "vgg_19", "no layer block3_conv4"),
        ("resnet_v1_101", "resnet_v1_50", "layer conv4_block10_"),
        ("resnet_v1_50", "resnet_v2_50", "no layer conv2_block1_preact_bn"),
        ("mobilenet_v1_050", "mobilenet_v1", "conv1 has kernel [3, 3, 3, 16], not [3, 3, 3, 32]"),
        ("mobilenet_v2", "mobilenet_v2_140", "Conv1 has kernel [3, 3, 3, 32], not [3, 3, 3, 48]"),
        ("densenet_169", "densenet_121", "pool4_bn has gamma [1280], not [1024]"),
        ("inception_v3", "vgg_16", "no layer block1_conv1"),
        ("vgg_16", "vgg_a", "no such network"),
    ],
)
def test_the_wrong_network_is_an_error_that_names_the_right_one(name, network, difference, keras_files, opened):
    with pytest.raises(slimft.CheckpointError) as error:
        opened(name, network=network)
    message = str(error.value)
    assert f"{name}.h5 does not hold Keras Applications weights of {network}: " in message
    assert difference in message and message.endswith(f"they are those of {name}: give --model={name}")
