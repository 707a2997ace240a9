"""The graph of a network with its checkpoint, in inference mode, that the formats of one input are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from slimft.compat import tf
from slimft.data.preprocessing import PREPROCESSING
from slimft.ensemble import Ensemble
from slimft.inference import Network
from slimft.nets.fully_connected import as_convolutions

# What networks call their probabilities among their end points.
_PREDICTIONS = ("Predictions", "predictions")


class InferenceGraph(NamedTuple):
    """A graph with a session in which the network is restored.

    Attributes:
        session: the session; its graph is the default one.
        images: placeholder: ``[batch, size, size, channels]``; of a segmentation ``[batch, height, width, 3]``.
        logits: float32 ``[batch, classes]``; of a segmentation ``[batch, height, width, classes]``.
        probabilities: float32 of the shape of `logits`.
    """

    session: Any
    images: Any
    logits: Any
    probabilities: Any


@contextlib.contextmanager
def inference_graph(
    network: Network, name: str, batch: int | None, slims: bool = False
) -> Iterator[InferenceGraph]:
    """A graph of its own for the length of the block.

    Args:
        network: the network, sized.
        name: of the placeholder.
        batch: images at a time; None for any number.
        slims: whether it has TF-Slim's ops and takes preprocessed images, as the graphs of research/slim do; else
            RGB in 0..255.
    """
    architecture, spec = network.architecture, network.spec
    is_map = network.task.targets.is_map
    side = None if is_map else network.image_size
    with tf.Graph().as_default(), contextlib.ExitStack() as stack:
        tf.set_random_seed(0)
        images = tf.placeholder(tf.float32, [batch, side, side, spec.channels if slims else 3], name)
        pixels = images
        if not slims:
            pixels = PREPROCESSING[spec.preprocessing](images)
        with as_convolutions() if slims else contextlib.nullcontext():
            logits, end_points = architecture.build(pixels)
        if is_map:
            height, width = tf.unstack(tf.shape(images)[1:3])
            logits = tf.identity(logits[:, :height, :width], "logits")
        has_own = (slims or isinstance(network, Ensemble)) and not is_map
        own = [end_points[key] for key in _PREDICTIONS if key in end_points] if has_own else []
        if own and own[0].shape.as_list() == logits.shape.as_list():
            probabilities = own[0]
        else:
            probabilities = tf.nn.softmax(logits, name="probabilities")
        session = stack.enter_context(network.session())
        yield InferenceGraph(session, images, logits, probabilities)
