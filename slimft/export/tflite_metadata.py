"""Metadata of TFLite files: what the image is, and the classes' names, in a file within the file.

Apps find them by TensorFlow Lite's metadata_schema.fbs, of which the numbers of tables' fields are here: the
metadata are a FlatBuffer in a buffer of the model's, and files that they name are a ZIP archive behind the model.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import flatbuffers

from slimft.compat.tflite_files import with_buffer

LABELS = "labels.txt"
# A time that every archive has, so that the same network makes the same file.
_DATE = (1980, 1, 1, 0, 0, 0)
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"
_FEATURES, _IMAGE, _RGB = 1, 2, 1
_NORMALIZATION, _AXIS_LABELS = 1, 2


def with_metadata(model: bytes, *, name: str, labels: str, is_map: bool, is_quantized: bool) -> bytes:
    """A TFLite file with metadata.

    Args:
        model: the file, with one image as its input and one output.
        name: the network's.
        labels: a line for each class.
        is_map: whether the output is of each pixel the number of its class.
        is_quantized: whether the input is of bytes.
    """
    metadata = _metadata(name, is_map, is_quantized)
    described = io.BytesIO(with_buffer(model, "TFLITE_METADATA", metadata))
    with zipfile.ZipFile(described, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, _DATE), labels.encode("utf-8", "backslashreplace"))
    return described.getvalue()


def _metadata(name: str, is_map: bool, is_quantized: bool) -> bytes:
    builder = flatbuffers.Builder(1024)
    say = builder.CreateString
    image = _table(builder, 2, {0: ("int8", _RGB)})
    content = _table(builder, 3, {0: ("uint8", _IMAGE), 1: ("offset", image)})
    # The model takes 0..255 itself: nothing to subtract, nothing to divide by.
    nothing = _table(builder, 2, {0: ("offset", _floats(builder, [0.0])), 1: ("offset", _floats(builder, [1.0]))})
    unit = _table(builder, 2, {0: ("uint8", _NORMALIZATION), 1: ("offset", nothing)})
    extremes = {0: ("offset", _floats(builder, [255.0])), 1: ("offset", _floats(builder, [0.0]))}
    of_image = {
        0: ("offset", say("image")),
        1: ("offset", say(f"RGB, {'bytes' if is_quantized else 'numbers'} in 0..255")),
        3: ("offset", content),
        4: ("offset", _vector(builder, [unit])),
        5: ("offset", _table(builder, 2, extremes)),
    }
    given = _table(builder, 7, of_image)
    label_file = {
        0: ("offset", say(LABELS)),
        1: ("offset", say("the names of the classes, a line for each")),
        2: ("int8", _AXIS_LABELS),
    }
    files = _vector(builder, [_table(builder, 5, label_file)])
    features = _table(builder, 3, {0: ("uint8", _FEATURES), 1: ("offset", _table(builder, 0, {}))})
    told = "the class of each pixel" if is_map else "the probability of each class"
    of_output = {
        0: ("offset", say("classes" if is_map else "probability")),
        1: ("offset", say(told)),
        3: ("offset", features),
        6: ("offset", files),
    }
    taken = _table(builder, 7, of_output)
    graph = {2: ("offset", _vector(builder, [given])), 3: ("offset", _vector(builder, [taken]))}
    model = {
        0: ("offset", say(name)),
        1: ("offset", say("segmentation" if is_map else "classification")),
        3: ("offset", _vector(builder, [_table(builder, 9, graph)])),
        7: ("offset", say(_PARSER)),
    }
    builder.Finish(_table(builder, 8, model), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, fields: int, values: dict[int, tuple[str, int]]) -> int:
    builder.StartObject(fields)
    for number, (kind, value) in values.items():
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        elif kind == "int8":
            builder.PrependInt8Slot(number, value, 0)
        else:
            builder.PrependUint8Slot(number, value, 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
