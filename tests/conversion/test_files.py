"""Converting files made by hand: names by Keras 1 and 2, damage, what is read when, numbers that need care."""

import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

import slimft
from slimft.checkpoint.official import OFFICIAL
from slimft.conversion import NETWORKS, converted

# By torchvision's names.
_VGG11_WIDTHS = {0: (64, 3), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256)}
_VGG11_WIDTHS |= {number: (512, 512) for number in (13, 16, 18)}
VGG11_TRUNK = {f"features.{i}.weight": (*widths, 3, 3) for i, widths in _VGG11_WIDTHS.items()}
VGG11_TRUNK |= {f"features.{i}.bias": widths[:1] for i, widths in _VGG11_WIDTHS.items()}

SIZE = 8  # The channels of mobilenet_v1_025's first layer.


def mobilenet_v1(classes=5):
    """Random weights of Keras' MobileNet of alpha 0.25, by the names of Keras 2; TF-Slim's scopes of the layers."""
    rng = np.random.default_rng(1)
    layers, scopes = {}, {}

    def add(layer, scope, kernel, shape):
        layers[layer] = {f"{layer}/{kernel}:0": rng.normal(size=shape).astype(np.float32)}
        channels = shape[3] if kernel == "kernel" else shape[2]
        layers[f"{layer}_bn"] = {
            f"{layer}_bn/{name}:0": rng.random(channels, dtype=np.float32)
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        }
        scopes[layer] = f"MobilenetV1/{scope}"

    inputs = SIZE
    add("conv1", "Conv2d_0", "kernel", (3, 3, 3, SIZE))
    for i, outputs in enumerate((16, 32, 32, 64, 64, *[128] * 6, 256, 256), start=1):
        add(f"conv_dw_{i}", f"Conv2d_{i}_depthwise", "depthwise_kernel", (3, 3, inputs, 1))
        add(f"conv_pw_{i}", f"Conv2d_{i}_pointwise", "kernel", (1, 1, inputs, outputs))
        inputs = outputs
    kernel, bias = rng.normal(size=(1, 1, inputs, classes)), np.arange(classes)
    logits = {"conv_preds/kernel:0": kernel, "conv_preds/bias:0": bias}
    layers["conv_preds"] = {name: value.astype(np.float32) for name, value in logits.items()}
    scopes["conv_preds"] = "MobilenetV1/Logits/Conv2d_1c_1x1"
    return layers, scopes


def in_slim(layers, scopes):
    """The same variables by TF-Slim's names."""
    variables = {}
    for layer, scope in scopes.items():
        for weight, value in layers[layer].items():
            part = weight.rpartition("/")[2].removesuffix(":0")
            name = {"kernel": "weights", "depthwise_kernel": "depthwise_weights", "bias": "biases"}[part]
            variables[f"{scope}/{name}"] = value
        for weight, value in layers.get(f"{layer}_bn", {}).items():
            variables[f"{scope}/BatchNorm/{weight.rpartition('/')[2].removesuffix(':0')}"] = value
    return variables


def assert_same(checkpoint, variables):
    assert set(checkpoint) == set(variables)
    for name, value in variables.items():
        assert checkpoint.dtype(name) == np.float32 and checkpoint.shape(name) == value.shape
        assert np.array_equal(checkpoint[name], value), name


def open_as(path, network):
    return converted(slimft.open_checkpoint(path), network)


@pytest.mark.parametrize("top", ["", "model_weights/"])
def test_keras_2(write_h5, top):
    layers, scopes = mobilenet_v1()
    checkpoint = open_as(write_h5(layers, top=top), "mobilenet_v1_025")
    assert_same(checkpoint, in_slim(layers, scopes))
    assert checkpoint.notes == ()
    assert {name: shape for name, (shape, _) in checkpoint._variables.items() if "Logits" not in name} == {
        name: shape for name, shape in OFFICIAL["mobilenet_v1_0.25_224"].variables.items() if "Logits" not in name
    }


def test_names_that_keras_2_made_unique_or_no_attributes_tell(write_h5):
    import h5py

    layers, scopes = mobilenet_v1()
    again = {
        layer: {weight.replace("/", "_1/", 1): value for weight, value in weights.items()}
        for layer, weights in layers.items()
    }
    path = write_h5(again)
    assert_same(open_as(path, "mobilenet_v1_025"), in_slim(layers, scopes))
    with h5py.File(path, "a") as file:
        for group in file.values():
            del group.attrs["weight_names"]
    assert_same(open_as(path, "mobilenet_v1_025"), in_slim(layers, scopes))


def test_keras_1_vgg(write_h5):
    shapes = {name.removeprefix("vgg_16/"): shape for name, shape in OFFICIAL["vgg_16"].variables.items()}
    layers = {}
    for name, shape in shapes.items():
        scope, kind = name.rsplit("/", 1)
        block, _, number = scope.rpartition("/conv")[2].partition("_")
        layer = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}.get(scope, f"block{block}_conv{number}")
        there = shape if scope.startswith("conv") or kind == "biases" else (math.prod(shape[:-1]), shape[-1])
        letter = {"weights": "W", "biases": "b"}[kind]
        layers.setdefault(layer, {})[f"{layer}_{letter}_1:0"] = there
    kernel = np.random.default_rng(0).normal(size=[3, 3, 3, 64]).astype(np.float32)
    layers["block1_conv1"]["block1_conv1_W_1:0"] = kernel
    checkpoint = open_as(write_h5(layers), "vgg_16")
    assert {name: checkpoint.shape(name) for name in checkpoint} == OFFICIAL["vgg_16"].variables
    assert np.array_equal(checkpoint["vgg_16/conv1/conv1_1/weights"], kernel[:, :, ::-1])
    notop = {layer: weights for layer, weights in layers.items() if layer.startswith("block")}
    checkpoint = open_as(write_h5(notop, "notop.h5"), "vgg_16")
    assert len(checkpoint) == 26
    assert checkpoint.notes == (
        "vgg_16/fc6, vgg_16/fc7, vgg_16/fc8 left out: fc1, fc2, predictions not in the file",
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions(write_h5, dtype):
    layers, scopes = mobilenet_v1()
    stored = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    layers = {
        layer: {weight: value.astype(stored) for weight, value in weights.items()}
        for layer, weights in layers.items()
    }
    variables = {name: value.astype(np.float32) for name, value in in_slim(layers, scopes).items()}
    assert_same(open_as(write_h5(layers), "mobilenet_v1_025"), variables)


def test_a_number_too_large_for_float32(write_h5):
    layers, _ = mobilenet_v1()
    layers["conv1_bn"]["conv1_bn/beta:0"] = np.full(SIZE, 1e300)
    checkpoint = open_as(write_h5(layers), "mobilenet_v1_025")
    with pytest.raises(slimft.CheckpointError, match="BatchNorm/beta: 8 of its values do not fit into float32"):
        checkpoint["MobilenetV1/Conv2d_0/BatchNorm/beta"]
    assert [name for name, _ in checkpoint.verify()] == ["MobilenetV1/Conv2d_0/BatchNorm/beta"]


def remove(layer):
    return lambda layers: layers.pop(layer)


def put(layer, weight, value):
    return lambda layers: layers.setdefault(layer, {}).update({weight: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("conv_pw_7"), "it has no layer conv_pw_7"),
        (remove("conv_dw_7_bn"), "it has no layer conv_dw_7_bn"),
        (lambda layers: layers["conv_pw_7_bn"].pop("conv_pw_7_bn/beta:0"), "its layer conv_pw_7_bn has no beta"),
        (lambda layers: layers["conv_preds"].pop("conv_preds/bias:0"), "its layer conv_preds has no bias"),
        (put("conv1", "conv1/kernel:0", (5, 5, 3, 8)), "its layer conv1 has kernel [5, 5, 3, 8], not [3, 3, 3, 8]"),
        (put("conv1", "conv1/kernel:0", (27,)), "its layer conv1 has kernel [27], not [3, 3, 3, 8]"),
        (put("conv1_bn", "conv1_bn/beta:0", (9,)), "its layer conv1_bn has beta [9], not [8]"),
        (put("conv_preds", "conv_preds/bias:0", (6,)), "its layer conv_preds has bias [6], not [5]"),
        (put("conv1", "conv1/kernel:0", np.zeros([3, 3, 3, 8], "i4")), "has kernel of int32, not of floating"),
        (put("dense", "dense/kernel:0", (5, 5)), "it has the layer dense, which the network has not"),
        (put("a\nb", "a/kernel:0", (5, 5)), "it has the layer a\\nb, which the network has not"),
        (put("conv1", "conv1/extra:0", (5, 5)), "it has extra:0 of the layer conv1, which the network has not"),
        (put("conv1", "conv1/kernel_1:0", (3, 3, 3, 8)), "of the layer conv1, which the network has not"),
    ],
)
def test_what_does_not_fit_is_named(write_h5, change, words):
    layers, _ = mobilenet_v1()
    change(layers)
    with pytest.raises(slimft.CheckpointError) as error:
        open_as(write_h5(layers), "mobilenet_v1_025")
    message = str(error.value)
    assert "weights.h5 does not hold Keras Applications weights of mobilenet_v1_025: " in message
    assert words in message and "they are those of" not in message and "\n" not in message


def test_files_of_others(write_h5, tmp_path):
    slims = {f"resnet_v1_50/conv1/{name}": np.ones(64) for name in ("BatchNorm/gamma", "BatchNorm/beta")}
    for name in ("slim.ckpt", "slim.npz"):
        slimft.write_checkpoint(tmp_path / name, slims)
        with pytest.raises(slimft.CheckpointError, match=f"{name} has no names of layers .* leave --model out"):
            open_as(tmp_path / name, "resnet_v1_50")
    path = write_h5({"data": {"x": np.ones(3), "y/z": np.ones(3)}})
    with pytest.raises(slimft.CheckpointError, match="weights.h5 has no names of layers of Keras Applications or"):
        open_as(path, "vgg_16")
    path = write_h5({"dense": {"dense/kernel:0": np.ones([3, 3])}})
    with pytest.raises(slimft.CheckpointError, match="it has no layer block1_conv1$"):
        open_as(path, "vgg_16")
    with pytest.raises(slimft.UsageError, match="--model=alexnet_v2: .*choose one of vgg_16, vgg_19, resnet_v"):
        open_as(path, "alexnet_v2")
    assert {"vgg_a", "densenet_169", "mobilenet_v2_140"} <= set(NETWORKS)


def resnet_v1_50(write_h5, **values):
    """The layers of ResNet50 without values but for those of conv1, which are `values`."""
    layers, shapes = {}, OFFICIAL["resnet_v1_50"].variables
    values = {name: np.asarray(value, np.float32) for name, value in values.items()}
    for name, shape in shapes.items():
        *scope, kind = name.split("/")
        if kind != "weights" or "logits" in scope:
            continue
        if "conv1" == scope[1]:
            layer = "conv1"
        else:
            block, unit, part = int(scope[1][5:]), int(scope[2][5:]), scope[4] if len(scope) > 4 else ""
            number = 0 if part == "shortcut" else int(part[4:])
            layer = f"conv{block + 1}_block{unit}_{number}"
        layers[f"{layer}_conv"] = {"kernel": shape, "bias": shape[3:]}
        layers[f"{layer}_bn"] = {n: shape[3:] for n in ("gamma", "beta", "moving_mean", "moving_variance")}
    for layer in ("conv1_conv", "conv1_bn"):
        layers[layer] |= {name: value for name, value in values.items() if name in layers[layer]}
    for layer, weights in layers.items():
        layers[layer] = {f"{layer}/{weight}": value for weight, value in weights.items()}
    return open_as(write_h5(layers), "resnet_v1_50")


def test_resnet_v1_computes_the_same(write_h5):
    """conv1 and its batch normalization, of Keras and of TF-Slim, in float64; variances down to nothing."""
    rng = np.random.default_rng(4)
    variance = np.concatenate([[0, 1e-9, 1e-6, 1e-5, 1e-4], rng.random(59)]).astype(np.float32)
    given = {"gamma": rng.random(64), "beta": rng.random(64), "moving_mean": rng.random(64), "bias": rng.random(64)}
    given = {name: value.astype(np.float32) for name, value in given.items()} | {"moving_variance": variance}
    kernel = rng.normal(size=[7, 7, 3, 64]).astype(np.float32)
    checkpoint = resnet_v1_50(write_h5, kernel=kernel, **given)
    conv1 = [name for name in checkpoint if name.startswith("resnet_v1_50/conv1/")]
    new = {name.rpartition("/")[2]: checkpoint[name].astype(np.float64) for name in conv1}
    assert set(new) == {"weights", "gamma", "beta", "moving_mean", "moving_variance"}
    image = rng.normal(size=[7, 7, 3])
    before = np.einsum("hwi,hwio->o", image[:, :, ::-1], kernel.astype(np.float64)) + given["bias"]
    before = (before - given["moving_mean"]) / np.sqrt(variance.astype(np.float64) + 1.001e-5) * given["gamma"]
    after = np.einsum("hwi,hwio->o", image, new["weights"])
    after = (after - new["moving_mean"]) / np.sqrt(new["moving_variance"] + 1e-5) * new["gamma"]
    np.testing.assert_allclose(after + new["beta"], before + given["beta"], rtol=1e-5, atol=1e-5)


def test_nothing_is_read_before_it_is_asked_for_and_each_array_is_its_readers(write_h5):
    layers, scopes = mobilenet_v1()
    source = slimft.open_checkpoint(write_h5(layers))
    read = []
    original = type(source)._read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(source), "_read", lambda self, name: read.append(name) or original(self, name))
        checkpoint = converted(source, "mobilenet_v1_025")
        assert not read and checkpoint.path == source.path
        name = "MobilenetV1/Conv2d_0/weights"
        checkpoint[name][:] = 0
        assert read == ["conv1/conv1/kernel:0"]
        assert np.array_equal(checkpoint[name], in_slim(layers, scopes)[name])
        assert checkpoint[name].flags.writeable and not checkpoint.is_mapped(name)


def test_memory_stays_within_a_variable_and_its_copy(tmp_path):
    """torchvision's kernels are copied to TF-Slim's order."""
    rng = np.random.default_rng(0)
    weights = {name: rng.random(shape, dtype=np.float32) for name, shape in VGG11_TRUNK.items()}
    slimft.write_checkpoint(tmp_path / "a.safetensors", weights)
    del weights
    largest = 512 * 512 * 9 * 4
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "a.safetensors", memory_map=False), "vgg_a")
    tracemalloc.start()
    try:
        slimft.write_checkpoint(tmp_path / "b.ckpt", checkpoint)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * largest + (5 << 20), peak / largest


def test_advice_where_a_file_is_given_unconverted(tmp_path):
    """To restoring and predicting alike; not for checkpoints of any other network."""
    from slimft.compat import tf
    from slimft.inference import count_classes

    np.savez(tmp_path / "torch.npz", **{name: np.zeros(shape, np.float16) for name, shape in VGG11_TRUNK.items()})
    np.savez(tmp_path / "other.npz", **{"net/conv1/weights": np.zeros((7, 7, 3, 64), np.float32)})
    advice = r"weights of torchvision or timm; convert them first: bin/convert_checkpoint --model=vgg_a SRC DST$"
    with tf.Graph().as_default():
        variable = tf.get_variable("vgg_16/conv1/conv1_1/weights", [3, 3, 3, 64])
        for name, expected in (("torch", advice), ("other", "choose the model or the checkpoint to match$")):
            plan = slimft.plan_restore(tmp_path / f"{name}.npz", [variable])
            with pytest.raises(slimft.RestoreError, match=expected):
                plan.check()
    with pytest.raises(slimft.CheckpointError, match=advice):
        count_classes(slimft.open_checkpoint(tmp_path / "torch.npz"), "vgg_16/fc8")
