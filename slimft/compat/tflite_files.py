"""TFLite files, changed by TensorFlow's own reader and writer of them, which is no public part."""

from __future__ import annotations

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils


def with_buffer(model: bytes, name: str, data: bytes) -> bytes:
    """A TFLite file with one more buffer, that its metadata list by `name`."""
    read = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    read.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(read.buffers) - 1
    read.metadata = [*(read.metadata or ()), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(read))
