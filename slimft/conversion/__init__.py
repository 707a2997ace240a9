"""Weights that other libraries publish, as the variables of TF-Slim's networks. Nothing here imports TensorFlow.

    checkpoint = converted(open_checkpoint("resnet50_weights_tf_dim_ordering_tf_kernels.h5"), "resnet_v1_50")

is a `Checkpoint` with TF-Slim's names. `NETWORKS` names the networks there are weights for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from slimft.checkpoint import Checkpoint
from slimft.conversion import caffe, keras_applications, pytorch
from slimft.conversion.converted import ConvertedCheckpoint, fit
from slimft.conversion.layers import Normalization, Weights
from slimft.conversion.recipes import Mismatch
from slimft.conversion.source import PYTORCH, SourceLayers, find_layers
from slimft.errors import CheckpointError, UsageError
from slimft.messages import printable

__all__ = ["NETWORKS", "ConvertedCheckpoint", "conversion_advice", "converted"]

_LIBRARIES = {
    "Keras Applications": keras_applications.NETWORKS,
    PYTORCH: pytorch.NETWORKS,
    **dict.fromkeys(caffe.LIBRARIES, caffe.NETWORKS),
}
_ALEXNET = (
    "holds Caffe's AlexNet (bvlc_alexnet), another network than alexnet_v2: its conv2, conv4 and conv5 are grouped "
    "convolutions, of half the channels each; its weights fit no network here"
)
NETWORKS = tuple(dict.fromkeys(name for names in _LIBRARIES.values() for name in names))


def converted(
    source: Checkpoint,
    network: str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ConvertedCheckpoint:
    """Shows another library's weights of a network as TF-Slim's variables.

    Args:
        source: the weights: a Keras ``.h5`` in the layout of Keras' own downloads, of ``model.save("x.h5")`` or of
            ``model.save_weights("x.weights.h5")``, or a ``.keras``, where the network may be a layer of another
            model; a state dict of torchvision or timm, as ``.safetensors`` or ``.npz``; or VGG as ``vgg16.npy``,
            ``vgg19.npy`` or ``vgg16_weights.npz``.
        network: one of `NETWORKS`.
        mean, std: of a state dict: what its network's images, RGB from 0 to 1, were normalized with; three numbers
            each, `std` greater than 0. None for what the library's published weights take.

    Returns:
        The variables, float32, each read and converted when asked for. Files without the classifier are taken
        too; `notes` says what is left out, and what differs from the library.

    Raises:
        UsageError: there are no weights of `network` to convert, or `mean` and `std` are not of use.
        CheckpointError: `source` does not hold weights of `network`; says how it differs, and which network's it
            holds if that is known, or which there are.
    """
    found = find_layers(source)
    if caffe.is_caffe_alexnet(source, found):
        raise CheckpointError(f"{source.path} {_ALEXNET}")
    problem = _why_not(found)
    if network not in NETWORKS and problem is None:
        raise UsageError(
            f"--model={network}: no library whose files are known here has weights that fit it; "
            f"choose one of {', '.join(NETWORKS)}"
        )
    images = _normalization(mean, std)
    if found.library is None:
        raise CheckpointError(
            f"{source.path} has no names of layers of Keras Applications or {PYTORCH} or Caffe; leave --model "
            "out if its names are TF-Slim's already"
        )
    if images and found.library != PYTORCH:
        raise UsageError(f"--mean and --std are for files of {PYTORCH}; {source.path} is of {found.library}")
    if problem is None and network not in _LIBRARIES[found.library]:
        problem = f"{found.library} has no such network"
    elif problem is None:
        try:
            return _fitted(source, found, network, images)
        except Mismatch as error:
            problem = printable(str(error))
    raise CheckpointError(
        f"{source.path} does not hold {found.library} weights of {network}: {problem}{_advice(source, found)}"
    )


def conversion_advice(source: Checkpoint) -> str | None:
    """What to do if the names in `source` are those of another library; None if they are not."""
    found = find_layers(source)
    if caffe.is_caffe_alexnet(source, found):
        return f"it {_ALEXNET}"
    if found.library is None:
        return None
    problem = _why_not(found)
    if problem is not None:
        return f"its weights are {found.library}'s: {problem}"
    fitting = _fitting(source, found)
    if found.library == PYTORCH and not fitting:
        return f"its names are PyTorch's, of a network that is not known here{_advice(source, found)}"
    network = fitting[0] if len(fitting) == 1 else "NETWORK"
    command = f"bin/convert_checkpoint --model={network} SRC DST"
    return f"it holds weights of {found.library}; convert them first: {command}"


def _normalization(mean: Sequence[float] | None, std: Sequence[float] | None) -> Normalization | None:
    if mean is None and std is None:
        return None
    for flag, values in (("mean", mean), ("std", std)):
        if values is None or len(values) != 3 or not all(map(math.isfinite, values)):
            raise UsageError(f"--{flag}: give three numbers, of red, green and blue; --mean and --std go together")
    if min(std) <= 0:
        raise UsageError(f"--std={','.join(map(str, std))}: give numbers greater than 0")
    return Normalization(tuple(mean), tuple(std))


def _fitted(
    source: Checkpoint, found: SourceLayers, network: str, images: Normalization | None = None
) -> ConvertedCheckpoint:
    """The network in a file, or in a model that is a layer of the file's; raises Mismatch where neither fits."""
    try:
        return fit(source, found, _weights(found, network, images))
    except Mismatch:
        fitting = [name for name, inner in found.inner.items() if _fits(source, inner, network)]
        if len(fitting) != 1 and len(found.inner) != 1:
            raise
        # Of a single model it is worth knowing why it does not fit.
        name = fitting[0] if fitting else next(iter(found.inner))
    inner = found.inner[name]
    checkpoint = fit(source, inner, _weights(inner, network))
    around = [*found.named, *(f"{kind} number {number}" for kind, number in found.numbered)]
    around += [other for other in found.inner if other != name]
    notes = [f"{', '.join(around)} left out: around the model {name}"] if around else []
    return ConvertedCheckpoint(source, checkpoint.recipes, [*checkpoint.notes, *notes])


def _weights(found: SourceLayers, network: str, images: Normalization | None = None) -> Weights:
    if found.library == PYTORCH:
        return pytorch.weights_of(network, found.named, images)
    if found.library in caffe.LIBRARIES:
        return caffe.weights_of(network, found.library)
    return keras_applications.weights_of(network, found.named)


def _why_not(found: SourceLayers) -> str | None:
    return pytorch.why_not(found.named) if found.library == PYTORCH else None


def _advice(source: Checkpoint, found: SourceLayers) -> str:
    """Which network's weights these are, or what could be converted of PyTorch's; empty if neither helps."""
    fitting = _fitting(source, found)
    if fitting:
        return f"; they are those of {fitting[0]}: give --model={fitting[0]}"
    if found.library == PYTORCH and _why_not(found) is None:
        return f"; known are {pytorch.published_names()}"
    return ""


def _fitting(source: Checkpoint, found: SourceLayers) -> list[str]:
    """The networks whose weights a file holds."""
    if _why_not(found) is not None:
        return []
    return [network for network in _LIBRARIES[found.library] if _fits(source, found, network)]


def _fits(source: Checkpoint, found: SourceLayers, network: str) -> bool:
    try:
        _fitted(source, found, network)
    except Mismatch:
        return False
    return True
