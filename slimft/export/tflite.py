"""TFLite (LiteRT) files: one image in, RGB in 0..255, with the preprocessing inside; probabilities out.

The weights are float32, float16, or int8: ``dynamic`` computes with them in floats, ``int8`` with whole numbers
throughout, for which it needs to see images: how large the numbers of each layer become.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from slimft.compat import tf
from slimft.errors import ExportError, UsageError
from slimft.export.graph import inference_graph
from slimft.export.labels import labels_text
from slimft.export.signatures import Signature
from slimft.export.tflite_metadata import with_metadata
from slimft.inference import Network

INPUT, OUTPUT = "images", "probabilities"
MASK = "classes"


def write(
    network: Network,
    files: dict[str, pathlib.Path],
    images: Callable[[], Iterator[np.ndarray]] | None,
    scratch: pathlib.Path,
) -> dict[str, Signature]:
    """Writes a network as one or several TFLite files.

    Args:
        network: the network, sized.
        files: where to, by the weights: ``float32``, ``float16``, ``dynamic``, ``int8``.
        images: for ``int8``: yields images, float32 ``[1, size, size, 3]``, RGB in 0..255, that stand for all.
        scratch: a folder for what is needed meanwhile.

    Returns:
        What each takes and gives, by its weights.
    """
    is_map = network.task.targets.is_map
    signatures = {}
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        plain = pathlib.Path(folder, "plain")
        with inference_graph(network, INPUT, batch=1) as built:
            if is_map:
                outputs = {MASK: tf.argmax(built.logits, axis=3, output_type=tf.int32, name=MASK)}
            else:
                outputs = {OUTPUT: built.probabilities}
            tf.saved_model.simple_save(built.session, str(plain), {INPUT: built.images}, outputs)
            signature = Signature.of({INPUT: built.images}, outputs)
        for weights, file in files.items():
            converted = _converted(plain, weights, images)
            described = with_metadata(
                converted,
                name=network.spec.name,
                labels=labels_text(network.classes),
                is_map=is_map,
                is_quantized=weights == "int8",
            )
            file.write_bytes(described)
            signatures[weights] = signature if weights != "int8" else _quantized(signature)
    return signatures


def _converted(plain: pathlib.Path, weights: str, images: Callable[[], Iterator[np.ndarray]] | None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(plain))
    if weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if weights == "int8":
        if images is None:
            raise UsageError(
                "--format=tflite_int8 needs images that stand for all; give --images, a folder of some"
            )
        converter.representative_dataset = lambda: ([image] for image in images())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    try:
        return converter.convert()
    except Exception as error:  # The converter's own class is no public part, and its messages have pages.
        if type(error).__name__ != "ConverterError":
            raise
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"TensorFlow's converter cannot make a TFLite file of {weights} weights: {reason}"
        ) from error


def _quantized(signature: Signature) -> Signature:
    """`signature` with bytes in place of floats."""

    def octets(named: dict[str, str]) -> dict[str, str]:
        return {name: text.replace("float32", "uint8") for name, text in named.items()}

    return Signature(octets(dict(signature.inputs)), octets(dict(signature.outputs)))
