"""Weights that other libraries publish, as the variables of TF-Slim's networks. Nothing here imports TensorFlow.

    checkpoint = converted(open_checkpoint("resnet50_weights_tf_dim_ordering_tf_kernels.h5"), "resnet_v1_50")

is a `Checkpoint` with TF-Slim's names. `NETWORKS` names the networks there are weights for.
"""

from __future__ import annotations

from slimft.checkpoint import Checkpoint
from slimft.conversion import keras_applications, torchvision
from slimft.conversion.converted import ConvertedCheckpoint, fit
from slimft.conversion.layers import Weights
from slimft.conversion.recipes import Mismatch
from slimft.conversion.source import SourceLayers, find_layers
from slimft.errors import CheckpointError, UsageError
from slimft.messages import printable

__all__ = ["NETWORKS", "ConvertedCheckpoint", "conversion_advice", "converted"]

_LIBRARIES = {
    "Keras Applications": keras_applications.NETWORKS,
    "torchvision": torchvision.NETWORKS,
}
NETWORKS = tuple(dict.fromkeys(name for names in _LIBRARIES.values() for name in names))


def converted(source: Checkpoint, network: str) -> ConvertedCheckpoint:
    """Shows the weights of a network of Keras Applications or torchvision as TF-Slim's variables.

    Args:
        source: the weights: a Keras ``.h5`` in the layout of Keras' own downloads, of ``model.save("x.h5")`` or of
            ``model.save_weights("x.weights.h5")``; or a torchvision state dict, as ``.safetensors`` or ``.npz``.
        network: one of `NETWORKS`.

    Returns:
        The variables, float32, each read and converted when asked for. Files without the classifier are taken
        too; `notes` says what is left out.

    Raises:
        UsageError: there are no weights of `network` to convert.
        CheckpointError: `source` does not hold weights of `network`; says how it differs, and which network's it
            holds if that is known.
    """
    if network not in NETWORKS:
        raise UsageError(
            f"--model={network}: neither Keras Applications nor torchvision has weights that fit it; "
            f"choose one of {', '.join(NETWORKS)}"
        )
    found = find_layers(source)
    if found.library is None:
        raise CheckpointError(
            f"{source.path} has no names of layers of {' or '.join(_LIBRARIES)}; "
            f"leave --model out if its names are TF-Slim's already"
        )
    if network not in _LIBRARIES[found.library]:
        problem = f"{found.library} has no such network"
    else:
        try:
            return fit(source, found, _weights(found, network))
        except Mismatch as error:
            problem = printable(str(error))
    others = [name for name in _LIBRARIES[found.library] if name != network and _fits(source, found, name)]
    advice = f"; they are those of {others[0]}: give --model={others[0]}" if others else ""
    raise CheckpointError(f"{source.path} does not hold {found.library} weights of {network}: {problem}{advice}")


def conversion_advice(source: Checkpoint) -> str | None:
    """What to do if the names in `source` are those of another library; None if they are not."""
    library = find_layers(source).library
    if library is None:
        return None
    return f"it holds weights of {library}; convert them first: bin/convert_checkpoint --model=NETWORK SRC DST"


def _weights(found: SourceLayers, network: str) -> Weights:
    if found.library == "torchvision":
        return torchvision.weights_of(network)
    return keras_applications.weights_of(network, found.named)


def _fits(source: Checkpoint, found: SourceLayers, network: str) -> bool:
    try:
        fit(source, found, _weights(found, network))
    except Mismatch:
        return False
    return True
