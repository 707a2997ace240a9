"""Finding the layers of Keras Applications, torchvision and timm in a file, by its names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from slimft.checkpoint import Checkpoint
from slimft.checkpoint.keras_h5 import KerasH5Checkpoint

PYTORCH = "torchvision or timm"
# A layer's entries: the name in the file by the part of the layer: kernel, bias, gamma, beta, mean, variance.
Entries = dict[str, str]

# The part a legacy weight's name ends in; Keras 1 had short ones, and called the variance running_std.
_PARTS = {
    "kernel": "kernel", "W": "kernel", "bias": "bias", "b": "bias",
    "gamma": "gamma", "beta": "beta", "moving_mean": "mean", "running_mean": "mean",
    "moving_variance": "variance", "running_std": "variance",
}  # fmt: skip
_LEGACY_NAME = re.compile(rf"(?:.*_)?({'|'.join(_PARTS)})(?:_\d+)?(?::\d+)?")
_KERAS_3_NAME = re.compile(r"layers/(([a-z0-9_]+?)(?:_(\d{1,9}))?)/vars/(\d{1,9})")
# What is no layer's weight: the optimizer's state, sums of metrics, the state of dropout's random numbers.
_KERAS_3_STATE = re.compile(r"optimizer/|_?(compile_)?metrics/|.*/seed_generator/")
# How a layer's variables are numbered; a batch normalization of three has no gamma.
_NUMBERED = {
    ("batch_normalization", 4): ("gamma", "beta", "mean", "variance"),
    ("batch_normalization", 3): ("beta", "mean", "variance"),
}
_TORCH_NAME = re.compile(r"([^/]+)\.(weight|bias|running_mean|running_var|num_batches_tracked)")
# What training programs put a network in, or torch.compile and DataParallel.
_TORCH_WRAPPERS = re.compile(r"(?:(?:_orig_mod|module|model|net|network|backbone|timm_model)\.)+")
_TORCH_PARTS = {"weight": "kernel", "running_mean": "mean", "running_var": "variance"}


@dataclasses.dataclass(frozen=True)
class SourceLayers:
    """The layers of a file.

    Attributes:
        library: ``Keras Applications`` or `PYTORCH`; None if the file's names are of neither kind.
        named: each layer's entries, by its name.
        numbered: where the file has no layers' names, each layer's entries by its Keras class and number among
            its likes in the order of `Model.layers`.
    """

    library: str | None
    named: Mapping[str, Entries] = dataclasses.field(default_factory=dict)
    numbered: Mapping[tuple[str, int], Entries] = dataclasses.field(default_factory=dict)


def find_layers(source: Checkpoint) -> SourceLayers:
    """Finds the layers in the file `source`, of whichever layout it is.

    The layouts are Keras' legacy one (a group for each layer, below ``model_weights`` if there is more in the
    file), that of Keras 3's ``.weights.h5`` (``layers/conv2d_1/vars/0``) and PyTorch's state dicts
    (``features.0.weight``), whosever network it is. Sources: keras/src/legacy/saving/legacy_h5_format.py and
    keras/src/saving/saving_lib.py of Keras 3.15; torch/nn/modules/module.py.
    """
    if any(_TORCH_NAME.fullmatch(name) for name in source):
        return SourceLayers(PYTORCH, _torch_layers(source))
    if not isinstance(source, KerasH5Checkpoint):
        return SourceLayers(None)
    if any(_KERAS_3_NAME.fullmatch(name) for name in source):
        return _keras_3_layers(source)
    layers = _legacy_layers(source)
    return SourceLayers("Keras Applications" if layers else None, layers)


def _add(layers: dict[str, Entries], layer: str, part: str, name: str) -> None:
    """Adds an entry; under its own name, which is no part of a layer, where the layer has that part already."""
    entries = layers.setdefault(layer, {})
    entries[name if part in entries else part] = name


def _torch_layers(source: Checkpoint) -> dict[str, Entries]:
    layers: dict[str, Entries] = {}
    for name in source:
        match = _TORCH_NAME.fullmatch(name)
        if match is None:
            _add(layers, name, name, name)
        elif match[2] != "num_batches_tracked":  # A counter, which evaluation does not use.
            layer = _TORCH_WRAPPERS.sub("", match[1], count=1) if _TORCH_WRAPPERS.match(match[1]) else match[1]
            _add(layers, layer, _TORCH_PARTS.get(match[2], match[2]), name)
    for entries in layers.values():
        if "kernel" in entries and len(source.shape(entries["kernel"])) == 1:
            for part, of_normalization in (("kernel", "gamma"), ("bias", "beta")):
                if part in entries:
                    entries[of_normalization] = entries.pop(part)
    return layers


def _keras_3_layers(source: KerasH5Checkpoint) -> SourceLayers:
    named: dict[str, Entries] = {}
    numbered: dict[tuple[str, int], Entries] = {}
    groups: dict[tuple[str, str, int], list[str]] = {}
    for name in source:
        match = _KERAS_3_NAME.fullmatch(name)
        if match:
            group, kind, number, _ = match.groups()
            groups.setdefault((f"layers/{group}/vars", kind, int(number or 0)), []).append(name)
        elif not _KERAS_3_STATE.match(name):
            _add(named, name, name, name)
    names = source.layers
    for (group, kind, number), variables in groups.items():
        parts = dict(enumerate(_NUMBERED.get((kind, len(variables)), ("kernel", "bias"))))
        for name in variables:
            part = parts.get(int(name.rpartition("/")[2]), name)
            if group in names:
                _add(named, names[group], part, name)
            else:
                numbered.setdefault((kind, number), {})[part] = name
    return SourceLayers("Keras Applications", named, numbered)


def _legacy_layers(source: KerasH5Checkpoint) -> dict[str, Entries]:
    """The layers in Keras' legacy layout; none if there is no weight with a name of Keras' own."""
    top = "model_weights/" if any(name.startswith("model_weights/") for name in source) else ""
    groups = source.layers
    layers: dict[str, Entries] = {}
    known = False
    for name in source:
        if not name.startswith(top):
            continue  # The optimizer's state.
        path, _, weight = name.rpartition("/")
        while path and path not in groups:
            path = path.rpartition("/")[0]
        layer = groups[path].removeprefix(top) if path else name.removeprefix(top).partition("/")[0]
        match = _LEGACY_NAME.fullmatch(weight)
        known |= match is not None and "/" in name
        _add(layers, layer, _PARTS[match[1]] if match else weight, name)
    return layers if known else {}
