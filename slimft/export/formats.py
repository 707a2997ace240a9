"""The formats that a network is exported in; imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable

from slimft.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: what ``--format`` calls it.
        file: the name of the file or folder that holds it.
        kind: what reads it: see `slimft.export.consumer`.
        bound: how much a probability may differ from the session's, at most, on any image of the check;
            None where that tells little, as of weights of 8 bits.
        mean_bound: how far probabilities may be from the session's on average: half the sum of the differences of
            an image's, which is the share of it that went to other classes; of a segmentation the share of pixels
            whose likeliest class is another.
        use: who loads it, a few words.
        weights: of TFLite: ``float32``, ``float16``, ``dynamic`` (int8, computed with in floats) or ``int8``.
    """

    name: str
    file: str
    kind: str
    bound: float | None
    mean_bound: float
    use: str
    weights: str = "float32"


FORMATS = {
    one.name: one
    for one in (
        Format("saved_model", "saved_model", "saved_model", 1e-5, 0.01, "TensorFlow, TensorFlow Serving"),
        # Other kernels round otherwise.
        Format("frozen_graph", "frozen_graph.pb", "frozen_graph", 1e-3, 0.01, "TF1 code, OpenCV"),
        Format("tflite", "model.tflite", "tflite", 1e-3, 0.01, "phones, in float32"),
        Format("tflite_float16", "model_float16.tflite", "tflite", 0.2, 0.05, "phones with GPUs", "float16"),
        Format("tflite_dynamic", "model_dynamic.tflite", "tflite", None, 0.4, "phones, 8-bit weights", "dynamic"),
        Format("tflite_int8", "model_int8.tflite", "tflite", None, 0.5, "8-bit accelerators", "int8"),
        Format("onnx", "model.onnx", "onnx", 1e-3, 0.01, "ONNX Runtime"),
    )
}


def chosen_formats(names: Iterable[str]) -> list[Format]:
    """The formats of these names, each once, in the order of `FORMATS`.

    Raises:
        UsageError: a name is unknown, or there are none.
    """
    wanted = [name.strip() for name in names]
    for name in wanted:
        if name not in FORMATS:
            close = difflib.get_close_matches(name, FORMATS, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"--format={name}: there is no such format; {hint}There are {', '.join(FORMATS)}")
    if not wanted:
        raise UsageError(f"--format= is empty; give one or more of {', '.join(FORMATS)}")
    return [one for one in FORMATS.values() if one.name in wanted]
