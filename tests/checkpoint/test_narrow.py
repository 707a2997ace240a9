"""VGG-16's fully connected layers with every k-th filter."""

import numpy as np
import pytest

from slimft.checkpoint import open_checkpoint, write_checkpoint
from slimft.checkpoint.narrow import narrowed
from slimft.checkpoint.view import ArraysInMemory
from slimft.errors import CheckpointError

WIDTH = 12


def arrays_of(scope="vgg_16", width=WIDTH):
    rng = np.random.default_rng(0)
    shapes = {
        f"{scope}/conv1/conv1_1/weights": (3, 3, 3, 4),
        f"{scope}/fc6/weights": (7, 7, 5, width),
        f"{scope}/fc6/biases": (width,),
        f"{scope}/fc6/weights/Momentum": (7, 7, 5, width),
        f"{scope}/fc7/weights": (1, 1, width, width),
        f"{scope}/fc7/biases": (width,),
        f"{scope}/fc7/biases/ExponentialMovingAverage": (width,),
        f"{scope}/fc8/weights": (1, 1, width, 3),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("fc_width, step", [(6, 2), (3, 4), (1, 12)])
@pytest.mark.parametrize("suffix", [".npz", ".ckpt"])
def test_every_kth_filter(tmp_path, fc_width, step, suffix):
    arrays = arrays_of()
    write_checkpoint(str(tmp_path / f"model{suffix}"), ArraysInMemory(arrays))
    source = open_checkpoint(tmp_path / f"model{suffix}")
    found = narrowed(source, fc_width)
    expected = arrays | {
        "vgg_16/fc6/weights": arrays["vgg_16/fc6/weights"][:, :, :, ::step],
        "vgg_16/fc6/biases": arrays["vgg_16/fc6/biases"][::step],
        "vgg_16/fc7/weights": arrays["vgg_16/fc7/weights"][:, :, ::step, ::step],
        "vgg_16/fc7/biases": arrays["vgg_16/fc7/biases"][::step],
    }
    assert list(found) == list(source) and (found.path, found.format) == (source.path, source.format)
    for name, array in expected.items():
        assert found.shape(name) == array.shape and found.dtype(name) == np.float32
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.c_contiguous and found[name].base is None or array.shape == arrays[name].shape
    assert not list(found.verify())
    found["vgg_16/fc7/biases"][:] = 0
    np.testing.assert_array_equal(found["vgg_16/fc7/biases"], expected["vgg_16/fc7/biases"])


def test_the_layers_compute_what_the_kept_filters_did():
    """Where the filters that are left out have no say in fc7, its kept outputs are the same."""
    arrays = arrays_of()
    dropped = np.arange(WIDTH) % 3 != 0
    arrays["vgg_16/fc7/weights"][:, :, dropped] = 0
    seen = np.random.default_rng(1).normal(size=(7, 7, 5)).astype(np.float32)

    def fc7(checkpoint):
        fc6 = np.tensordot(seen, checkpoint["vgg_16/fc6/weights"], 3) + checkpoint["vgg_16/fc6/biases"]
        return np.maximum(fc6, 0) @ checkpoint["vgg_16/fc7/weights"][0, 0] + checkpoint["vgg_16/fc7/biases"]

    source = ArraysInMemory(arrays)
    np.testing.assert_allclose(fc7(narrowed(source, 4)), fc7(source)[::3], rtol=1e-5)


@pytest.mark.parametrize("fc_width", [12, 24, 5, 7, 4096])
def test_widths_that_it_has_or_does_not_divide(fc_width):
    source = ArraysInMemory(arrays_of())
    assert narrowed(source, fc_width) is source


@pytest.mark.parametrize("missing", ["fc6/weights", "fc6/biases", "fc7/weights", "fc7/biases"])
def test_checkpoints_without_the_layers(missing):
    arrays = arrays_of()
    source = ArraysInMemory(arrays)
    assert narrowed(source, 6, scope="vgg_19") is source
    array = arrays.pop(f"vgg_16/{missing}")
    source = ArraysInMemory(arrays)
    assert narrowed(source, 6) is source
    source = ArraysInMemory({**arrays, f"vgg_16/{missing}": array[..., :-1]})
    assert narrowed(source, 6) is source


def test_other_names_and_scopes_are_followed():
    class Aliased(ArraysInMemory):
        def aliases(self):
            return {
                f"net/{name}": f"variables/{name}"
                for name in ("fc6/weights", "fc6/biases", "fc7/weights", "fc7/biases")
            }

    arrays = {name.replace("net/", "variables/", 1): array for name, array in arrays_of("net").items()}
    found = narrowed(Aliased(arrays), 6, scope="net")
    assert found.aliases()["net/fc6/weights"] == "variables/fc6/weights"
    assert found["variables/fc6/weights"].shape == found.shape("variables/fc6/weights") == (7, 7, 5, 6)
    assert found.shape("variables/fc6/weights/Momentum") == (7, 7, 5, WIDTH)


def test_nothing_is_read_before_it_is_asked_for():
    class Unreadable(ArraysInMemory):
        def _read(self, name):
            raise OSError("it is gone")

    found = narrowed(Unreadable(arrays_of()), 6)
    assert found.shape("vgg_16/fc7/weights") == (1, 1, 6, 6)
    with pytest.raises(CheckpointError, match="cannot read vgg_16/fc7/weights: it is gone"):
        found["vgg_16/fc7/weights"]
