"""bin/convert_checkpoint --model: another library's weights as TF-Slim's variables."""

import json

import numpy as np
import pytest

import slimft
from slimft.cli import convert_checkpoint


@pytest.fixture
def convert(capsys):
    """Runs the command, which must succeed; returns the result and what was said on standard error."""

    def run(*arguments):
        status = convert_checkpoint.main(["convert_checkpoint", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert status == 0, err
        return json.loads(out), err

    return run


@pytest.fixture
def rejected(capsys):
    """Runs the command, which must refuse in one line with `words`."""

    def run(arguments, *words):
        status = convert_checkpoint.main(["convert_checkpoint", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert (status, out) == (2, "") and err.count("\n") == 1
        assert all(word in err for word in ("convert_checkpoint: ", *words)), err

    return run


@pytest.fixture
def mobilenet(tmp_path):
    """MobileNet of alpha 0.25 for five classes, as Keras 2 saved weights; the values by name."""
    import h5py

    rng = np.random.default_rng(0)
    kernels = {"conv1/kernel": (3, 3, 3, 8), "conv_preds/kernel": (1, 1, 256, 5), "conv_preds/bias": (5,)}
    inputs = 8
    for i, outputs in enumerate((16, 32, 32, 64, 64, *[128] * 6, 256, 256), start=1):
        kernels[f"conv_dw_{i}/depthwise_kernel"] = (3, 3, inputs, 1)
        kernels[f"conv_pw_{i}/kernel"] = (1, 1, inputs, outputs)
        inputs = outputs
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in kernels.items()}
    for name, shape in kernels.items():
        if not name.startswith("conv_preds"):
            layer, channels = name.partition("/")[0], shape[2] if "_dw_" in name else shape[3]
            for part in ("gamma", "beta", "moving_mean", "moving_variance"):
                values[f"{layer}_bn/{part}"] = rng.random(channels, dtype=np.float32)
    with h5py.File(tmp_path / "mobilenet.h5", "w") as file:
        for name, value in values.items():
            layer = name.partition("/")[0]
            file[f"{layer}/{name}:0"] = value
            file[layer].attrs["weight_names"] = [f"{layer}/x"]
    return tmp_path / "mobilenet.h5", values


def test_model_writes_keras_weights_as_tf_slims(convert, mobilenet, tmp_path):
    path, values = mobilenet
    result, err = convert(path, tmp_path / "slim.ckpt", "--model=mobilenet_v1_025")
    assert result["model"] == "mobilenet_v1_025" and result["format"] == "tensorflow_v2"
    assert result["variables"] == 137 and result["parameters"] == sum(value.size for value in values.values())
    assert "left out" not in err
    written = slimft.open_checkpoint(tmp_path / "slim.ckpt")
    assert np.array_equal(written["MobilenetV1/Conv2d_0/weights"], values["conv1/kernel"])
    assert np.array_equal(written["MobilenetV1/Logits/Conv2d_1c_1x1/biases"], values["conv_preds/bias"])
    result, _ = convert(path, tmp_path / "as_it_is.npz")
    assert "model" not in result and "conv1/conv1/kernel:0" in slimft.open_checkpoint(tmp_path / "as_it_is.npz")


def test_model_with_the_other_flags(convert, rejected, mobilenet, tmp_path):
    path, values = mobilenet
    flags = ["--model=mobilenet_v1_025", "--include=MobilenetV1/Conv2d_0,MobilenetV1/Logits", "--dtype=float16"]
    flags += ["--exclude=MobilenetV1/Conv2d_0/BatchNorm/gamma", "--rename=MobilenetV1:mine/MobilenetV1"]
    result, _ = convert(path, tmp_path / "part.safetensors", *flags)
    written = slimft.open_checkpoint(tmp_path / "part.safetensors")
    first, logits = "mine/MobilenetV1/Conv2d_0", "mine/MobilenetV1/Logits/Conv2d_1c_1x1"
    assert set(written) == {
        f"{first}/weights",
        f"{first}/BatchNorm/beta",
        f"{first}/BatchNorm/moving_mean",
        f"{first}/BatchNorm/moving_variance",
        f"{logits}/weights",
        f"{logits}/biases",
    }
    assert result["variables"] == 6
    assert np.array_equal(written[f"{first}/weights"], values["conv1/kernel"].astype(np.float16))
    arguments = [path, tmp_path / "b.npz", "--model=mobilenet_v1_025"]
    rejected([*arguments, "--include=conv1"], "--include=conv1 matches no variable")
    rejected([*arguments, "--full_names"], "no full names")


def test_model_says_what_is_left_out(convert, mobilenet, tmp_path):
    import h5py

    path, _ = mobilenet
    with h5py.File(path, "a") as file:
        del file["conv_preds"]
    result, err = convert(path, tmp_path / "notop.ckpt", "--model=mobilenet_v1_025")
    assert result["variables"] == 135
    left_out = "convert_checkpoint: MobilenetV1/Logits/Conv2d_1c_1x1 left out: conv_preds not in the file"
    assert err.splitlines().count(left_out) == 1


def test_model_and_file_that_do_not_match(rejected, mobilenet, tmp_path):
    path, slims = mobilenet[0], tmp_path / "slim.npz"
    slimft.write_checkpoint(slims, {"vgg_16/conv1/conv1_1/weights": np.ones([3, 3, 3, 64])})
    files = sorted(tmp_path.iterdir())
    words = ("mobilenet.h5", "no layer block1_conv1", "give --model=mobilenet_v1_025")
    rejected([path, tmp_path / "b.npz", "--model=vgg_16"], *words)
    rejected([path, tmp_path / "b.npz", "--model=vgg16"], "--model=vgg16", "vgg_16")
    rejected([slims, tmp_path / "b.npz", "--model=vgg_16"], "slim.npz", "leave --model out")
    rejected([path, path, "--model=mobilenet_v1_025", "--overwrite"], "read, not written")
    assert sorted(tmp_path.iterdir()) == files


def test_model_needs_no_tensorflow(mobilenet, tmp_path, run_python):
    run_python(
        "import sys; from slimft.cli.convert_checkpoint import main\n"
        "assert main(['convert_checkpoint', *sys.argv[1:]]) == 0\n"
        "assert not {'tensorflow', 'keras', 'tf_slim'} & set(sys.modules)",
        str(mobilenet[0]),
        str(tmp_path / "b.ckpt"),
        "--model=mobilenet_v1_025",
    )
