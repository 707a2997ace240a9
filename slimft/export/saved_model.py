"""SavedModels that take images as they are: everything between a picture and its class is inside.

Signatures: ``serving_default`` takes float32 images, ``uint8`` bytes, both of any size, RGB in 0..255;
``jpeg_bytes`` encoded files; ``features`` gives what the logits are made of. All lead to one network.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from slimft.compat import tf
from slimft.compat.graphs import last_features
from slimft.ensemble import Ensemble
from slimft.export.decoding import decoded, decoded_squares
from slimft.export.signatures import Signature
from slimft.export.squares import central_squares, seen, whole_bytes
from slimft.inference import Network
from slimft.tasks.segmentation_bands import in_bands

SIGNATURES = ("serving_default", "uint8", "jpeg_bytes", "features")
# Classes whose names are given with each image.
_TOP = 5


def write(network: Network, folder: pathlib.Path, longest_side: int | None = None) -> dict[str, Signature]:
    """Writes a network as a SavedModel.

    Args:
        network: the network, sized.
        folder: where to; it is made.
        longest_side: of a segmentation: images with a longer side are scaled down to that for the network.

    Returns:
        What each signature takes and gives.
    """
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        floats = tf.placeholder_with_default(np.zeros([0, 1, 1, 3], np.float32), [None] * 3 + [3], "images")
        octets = tf.placeholder_with_default(np.zeros([0, 1, 1, 3], np.uint8), [None] * 3 + [3], "images_uint8")
        encoded = tf.placeholder_with_default(np.zeros([0], object), [None], "image_bytes")
        # Of these, one is given.
        images = tf.cond(tf.size(floats) > 0, lambda: whole_bytes(floats), lambda: octets)
        if network.task.targets.is_map:
            outputs = _masks(network, images, encoded, longest_side)
        else:
            outputs = _classes(network, images, encoded)
        inputs = {
            "serving_default": {"images": floats},
            "uint8": {"images": octets},
            "jpeg_bytes": {"image_bytes": encoded},
            "features": {"images": floats},
        }
        features = outputs.pop("features", None)
        given = {name: outputs for name in SIGNATURES}
        if features is None:
            del given["features"]
        else:
            given["features"] = {"features": features}
        with network.session() as session:
            builder = tf.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.tag_constants.SERVING],
                {
                    name: tf.saved_model.predict_signature_def(inputs[name], tensors)
                    for name, tensors in given.items()
                },
                strip_default_attrs=True,
            )
            builder.save()
        return {name: Signature.of(inputs[name], tensors) for name, tensors in given.items()}


def _classes(network: Network, images: Any, encoded: Any) -> dict[str, Any]:
    """Probabilities, the likeliest classes, and what the logits are made of."""
    size = network.image_size
    squares = tf.cond(
        tf.size(encoded) > 0, lambda: decoded_squares(encoded, size), lambda: central_squares(images, size)
    )
    squares.set_shape([None, size, size, 3])
    logits = network.architecture.outputs(squares)
    probabilities = tf.nn.softmax(logits, name="probabilities")
    shares, classes = tf.nn.top_k(probabilities, min(_TOP, network.num_classes))
    made = {
        "probabilities": probabilities,
        "logits": tf.identity(logits, "logits"),
        "top_classes": tf.cast(classes, tf.int64),
        "top_probabilities": shares,
        "top_names": tf.gather(tf.constant(network.classes.texts), classes),
    }
    if isinstance(network, Ensemble):  # Each of them has features of its own.
        return made
    return {**made, "features": last_features(logits)}


def _masks(network: Network, images: Any, encoded: Any, longest_side: int | None) -> dict[str, Any]:
    """The class of each pixel."""

    def one_file() -> Any:
        alone = tf.debugging.Assert(tf.equal(tf.size(encoded), 1), ["jpeg_bytes takes one image at a time"])
        with tf.control_dependencies([alone]):
            return decoded(encoded[0]).pixels[tf.newaxis]

    pixels = tf.cond(tf.size(encoded) > 0, one_file, lambda: images)
    pixels.set_shape([None, None, None, 3])
    outputs = network.architecture.outputs(seen(pixels, longest_side))
    (predicted,) = in_bands(outputs, tf.shape(pixels)[1:3])
    return {"classes": tf.identity(predicted, "classes")}
