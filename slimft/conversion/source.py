"""Finding the layers of Keras Applications, torchvision, timm and Caffe in a file, by its names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from slimft.checkpoint import Checkpoint
from slimft.checkpoint.keras_h5 import KerasH5Checkpoint

PYTORCH = "torchvision or timm"
# A layer's entries: the name in the file by the part of the layer: kernel, pointwise, bias, gamma, beta, mean and
# variance.
Entries = dict[str, str]

# The part a legacy weight's name ends in; Keras 1 had short ones, and called the variance running_std.
_PARTS = {
    "pointwise_kernel": "pointwise", "kernel": "kernel", "W": "kernel", "bias": "bias", "b": "bias",
    "gamma": "gamma", "beta": "beta", "moving_mean": "mean", "running_mean": "mean",
    "moving_variance": "variance", "running_std": "variance",
}  # fmt: skip
_LEGACY_NAME = re.compile(rf"(?:.*?_)??({'|'.join(_PARTS)})(?:_\d+)?(?::\d+)?")
# Layers of a model that is a layer of another are below it.
_KERAS_3_NAME = re.compile(r"((?:layers/[a-z0-9_]+/)*)layers/(([a-z0-9_]+?)(?:_(\d{1,9}))?)/vars/(\d{1,9})")
# What is no layer's weight: the optimizer's state, sums of metrics, the state of dropout's random numbers.
_KERAS_3_STATE = re.compile(r"optimizer/|_?(compile_)?metrics/|.*/seed_generator/")
# How a layer's variables are numbered; a batch normalization of three has no gamma. A separable convolution's
# kernel is the depthwise one.
_NUMBERED = {
    ("batch_normalization", 4): ("gamma", "beta", "mean", "variance"),
    ("batch_normalization", 3): ("beta", "mean", "variance"),
    ("separable_conv2d", 2): ("kernel", "pointwise"),
}
_TORCH_NAME = re.compile(r"([^/]+)\.(weight|bias|running_mean|running_var|num_batches_tracked)")
# What training programs put a network in, or torch.compile and DataParallel.
_TORCH_WRAPPERS = re.compile(r"(?:(?:_orig_mod|module|model|net|network|backbone|timm_model)\.)+")
_TORCH_PARTS = {"weight": "kernel", "running_mean": "mean", "running_var": "variance"}
# As in vgg16.npy (a list of two for each layer), caffe-tensorflow's later files and vgg16_weights.npz.
_CAFFE_NAME = re.compile(r"((?:conv\d(?:_\d)?|fc\d))(?:/(0|1|weights|biases)|_(W|b))")
_CAFFE_PARTS = {"0": "kernel", "weights": "kernel", "W": "kernel", "1": "bias", "biases": "bias", "b": "bias"}


@dataclasses.dataclass(frozen=True)
class SourceLayers:
    """The layers of a file.

    Attributes:
        library: ``Keras Applications``, `PYTORCH`, ``Caffe`` (for BGR images) or ``Caffe (RGB)``; None if the file
            has the names of none of them.
        named: each layer's entries, by its name.
        inner: of Keras' models that are layers of this one, the layers, by the model's name.
        numbered: where the file has no layers' names, each layer's entries by its Keras class and number among
            its likes in the order of `Model.layers`.
    """

    library: str | None
    named: Mapping[str, Entries] = dataclasses.field(default_factory=dict)
    numbered: Mapping[tuple[str, int], Entries] = dataclasses.field(default_factory=dict)
    inner: Mapping[str, SourceLayers] = dataclasses.field(default_factory=dict)


def find_layers(source: Checkpoint) -> SourceLayers:
    """Finds the layers in the file `source`, of whichever layout it is.

    The layouts are Keras' legacy one (a group for each layer, below ``model_weights`` if there is more in the
    file), that of Keras 3's ``.weights.h5`` and ``.keras`` (``layers/conv2d_1/vars/0``), PyTorch's state dicts
    (``features.0.weight``), whosever network it is, and dictionaries with Caffe's names of layers (``conv1_1``).
    Sources: keras/src/legacy/saving/legacy_h5_format.py and keras/src/saving/saving_lib.py of Keras 3.15;
    torch/nn/modules/module.py; github.com/machrisaa/tensorflow-vgg; www.cs.toronto.edu/~frossard/post/vgg16.
    """
    if source.format in ("npy", "pickle", "npz") and any(_CAFFE_NAME.fullmatch(name) for name in source):
        return _caffe_layers(source)
    if any(_TORCH_NAME.fullmatch(name) for name in source):
        return SourceLayers(PYTORCH, _torch_layers(source))
    if not isinstance(source, KerasH5Checkpoint):
        return SourceLayers(None)
    if any(_KERAS_3_NAME.fullmatch(name) for name in source):
        return _keras_3_layers(source)
    return _legacy_layers(source)


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


def _caffe_layers(names: Iterable[str]) -> SourceLayers:
    layers: dict[str, Entries] = {}
    rgb = False
    for name in names:
        match = _CAFFE_NAME.fullmatch(name)
        if match:
            layer, part, letter = match.groups()
            rgb |= letter is not None
            _add(layers, layer, _CAFFE_PARTS[part or letter], name)
        else:
            _add(layers, name, name, name)
    return SourceLayers("Caffe (RGB)" if rgb else "Caffe", layers)


def _keras_3_layers(source: KerasH5Checkpoint) -> SourceLayers:
    others: dict[str, Entries] = {}
    models: dict[str, dict[tuple[str, str, int], list[str]]] = {"": {}}
    for name in source:
        match = _KERAS_3_NAME.fullmatch(name)
        if match:
            model, group, kind, number, _ = match.groups()
            groups = models.setdefault(model, {})
            groups.setdefault((f"{model}layers/{group}/vars", kind, int(number or 0)), []).append(name)
        elif not _KERAS_3_STATE.match(name):
            _add(others, name, name, name)
    found = {model.rstrip("/"): _layers_of_model(groups, source.layers) for model, groups in models.items()}
    outer = found.pop("")
    return dataclasses.replace(outer, named={**others, **outer.named}, inner=found)


def _layers_of_model(groups: Mapping[tuple[str, str, int], list[str]], names: Mapping[str, str]) -> SourceLayers:
    """The layers of one of Keras 3's models, without those of models that are layers of it.

    Args:
        groups: the variables of each layer, by the path of its variables, its class and number.
        names: of the layers, by such paths.
    """
    named: dict[str, Entries] = {}
    numbered: dict[tuple[str, int], Entries] = {}
    for (group, kind, number), variables in groups.items():
        parts = dict(enumerate(_NUMBERED.get((kind, len(variables)), ("kernel", "bias"))))
        for name in variables:
            part = parts.get(int(name.rpartition("/")[2]), name)
            if group in names:
                _add(named, names[group], part, name)
            else:
                numbered.setdefault((kind, number), {})[part] = name
    return SourceLayers("Keras Applications", named, numbered)


def _legacy_layers(source: KerasH5Checkpoint) -> SourceLayers:
    """The layers in Keras' legacy layout; none if there is no weight with a name of Keras' own.

    A model that is a layer of another has one group, in which the paths of weights tell its own layers.
    """
    top = "model_weights/" if any(name.startswith("model_weights/") for name in source) else ""
    groups = source.layers
    weights: dict[str, list[tuple[str, str, str]]] = {}
    known = False
    for name in source:
        if not name.startswith(top):
            continue  # The optimizer's state.
        scope, _, weight = name.rpartition("/")
        path = scope
        while path and path not in groups:
            path = path.rpartition("/")[0]
        layer = groups[path].removeprefix(top) if path else name.removeprefix(top).partition("/")[0]
        match = _LEGACY_NAME.fullmatch(weight)
        known |= match is not None and "/" in name
        weights.setdefault(layer, []).append((scope, _PARTS[match[1]] if match else weight, name))
    if not known:
        return SourceLayers(None)
    layers: dict[str, Entries] = {}
    inner: dict[str, dict[str, Entries]] = {}
    for layer, of_layer in weights.items():
        is_model = len({scope for scope, _, _ in of_layer}) > 1
        for scope, part, name in of_layer:
            if is_model:
                _add(inner.setdefault(layer, {}), scope.rpartition("/")[2], part, name)
            else:
                _add(layers, layer, part, name)
    library = "Keras Applications"
    models = {name: SourceLayers(library, of_model) for name, of_model in inner.items()}
    return SourceLayers(library, layers, inner=models)
