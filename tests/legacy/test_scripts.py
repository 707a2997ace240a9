"""Scripts in the style of 2017 run as processes of their own, and their checkpoints go both ways."""

import pathlib
import re
import shutil

import numpy as np
import pytest

import slimft

HERE = pathlib.Path(__file__).parent
# Runs a script as bin/run_legacy does. VGG-16 gets few channels: what is left of its size is fc7.
RUN = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
NARROW = "from slimft.nets import vgg; vgg._WIDTHS = (2, 2, 2, 2, 2); "
INSTALL = "import slimft.compat; slimft.compat.install(); "
rng = np.random.default_rng(0)


def narrow_vgg():
    """What an official vgg_16.ckpt holds, but narrow, and with random values."""
    shapes, before = {}, 3
    for block, layers in enumerate((2, 2, 3, 3, 3), start=1):
        for layer in range(1, layers + 1):
            shapes[f"conv{block}/conv{block}_{layer}"] = [3, 3, before, 2]
            before = 2
    shapes.update({"fc6": [7, 7, 2, 4096], "fc7": [1, 1, 4096, 4096], "fc8": [1, 1, 4096, 1000]})
    arrays = {"global_step": np.array(0, np.int64), "vgg_16/mean_rgb": np.ones(3, np.float32)}
    for name, shape in shapes.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[:3])))
        arrays[f"vgg_16/{name}/weights"] = rng.standard_normal(shape, np.float32) * scale
        arrays[f"vgg_16/{name}/biases"] = rng.standard_normal(shape[-1:], np.float32) * np.float32(0.01)
    return arrays


@pytest.fixture(scope="module", params=["edited", "unedited"])
def transfer(request, tmp_path_factory, run_warm_python):
    """The folder of the transfer learning script's run, what it started from and what it printed."""
    folder = tmp_path_factory.mktemp("transfer")
    arrays = narrow_vgg()
    slimft.write_checkpoint(str(folder / "vgg_16.ckpt"), arrays)
    script, code = HERE / "transfer_learning.py", NARROW + RUN
    if request.param == "unedited":
        before, after = diff_of_the_page()
        assert after in script.read_text()
        script, code = folder / "unedited.py", INSTALL + code
        script.write_text((HERE / "transfer_learning.py").read_text().replace(after, before))
    printed = run_warm_python(code, str(script), str(folder / "vgg_16.ckpt"), str(folder))
    yield folder, arrays, printed
    shutil.rmtree(folder)  # 344 MB.


def diff_of_the_page():
    """The lines that docs/legacy.md tells to remove, and those that take their place."""
    page = (HERE.parents[1] / "docs" / "legacy.md").read_text()
    lines = re.search(r"```diff\n(.*?)```", page, re.DOTALL)[1].splitlines(keepends=True)
    return tuple("".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")


def test_transfer_learning(transfer):
    """tf.train.Saver restores what slimft wrote, all but fc8; only fc8 is trained."""
    folder, arrays, printed = transfer
    assert len(re.findall(r"step \d: loss \d", printed)) == 3 and "accuracy" in printed
    restored, trained = np.load(folder / "restored.npz"), np.load(folder / "trained.npz")
    assert len(restored) == 30
    for name in restored:
        np.testing.assert_array_equal(restored[name], arrays[name])
        np.testing.assert_array_equal(trained[name], arrays[name])
    assert trained["vgg_16/fc8/weights"].shape == (1, 1, 4096, 2)
    assert (trained["vgg_16/fc8/weights/Adam"] != 0).any() and "vgg_16/fc7/weights/Adam" not in trained


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_what_the_script_saved(transfer, version):
    folder = transfer[0]
    checkpoint, trained = slimft.open_checkpoint(str(folder / f"{version}.ckpt")), np.load(folder / "trained.npz")
    assert checkpoint.format == f"tensorflow_{version.lower()}"
    assert set(checkpoint) == {name for name in trained if "Adam" not in name and "beta" not in name}
    for name, value in checkpoint.items():
        np.testing.assert_array_equal(value, trained[name])


def test_train_and_evaluate(tmp_path, run_warm_python):
    """slim.assign_from_checkpoint_fn restores what slimft wrote, and slimft what slim.learning.train saved."""
    arrays = {}
    for layer, depth in (("conv1", 3), ("conv2", 8)):
        arrays[f"net/{layer}/weights"] = rng.standard_normal([3, 3, depth, 8], np.float32) * np.float32(0.2)
        for name in ("beta", "moving_mean", "moving_variance"):
            arrays[f"net/{layer}/BatchNorm/{name}"] = rng.uniform(0.5, 1, 8).astype(np.float32)
    slimft.write_checkpoint(str(tmp_path / "start.ckpt"), arrays)
    logs = tmp_path / "logs"
    printed = run_warm_python(RUN, str(HERE / "train_and_evaluate.py"), str(tmp_path / "start.ckpt"), str(logs))
    assert float(re.search(r"accuracy (\S+)", printed)[1]) > 0.9
    last = slimft.open_checkpoint(str(logs))
    for name in ("weights", "BatchNorm/beta"):
        np.testing.assert_array_equal(last[f"net/conv1/{name}"], arrays[f"net/conv1/{name}"])
    assert not np.allclose(last["net/conv2/weights"], arrays["net/conv2/weights"])
    assert last["global_step"] == 60
    # create_train_op runs the update ops.
    assert not np.allclose(last["net/conv1/BatchNorm/moving_mean"], arrays["net/conv1/BatchNorm/moving_mean"])
