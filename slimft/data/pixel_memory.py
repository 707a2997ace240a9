"""The pixels of Pillow's images as NumPy arrays, where they lie."""

from __future__ import annotations

import ctypes

import numpy as np
from PIL import Image

# Bytes of a pixel in Pillow's memory, where the image is in RGB.
_PIXEL_BYTES = 4


class _ArrowArray(ctypes.Structure):
    """ArrowArray of the Arrow C data interface."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.argtypes, _pointer_of.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p


def pixels_of(image: Image.Image) -> np.ndarray:
    """The pixels of an image in RGB: `shared_pixels`, or a copy, uint8 ``[height, width, 3]``."""
    shared = shared_pixels(image)
    return np.asarray(image) if shared is None else shared


def shared_pixels(image: Image.Image) -> np.ndarray | None:
    """The memory of an image in RGB; to copy it takes a fifth as long as to decode a JPEG.

    Returns:
        uint8 ``[height, width, 4]``, not to be written to, whose last channel means nothing; None where Pillow is
        older than 11.2 or the image takes several blocks of memory (it has more than four million pixels).
    """
    try:
        _, capsule = image.__arrow_c_array__()
    except (AttributeError, ValueError):
        return None
    array = _ArrowArray.from_address(_pointer_of(capsule, b"arrow_array"))
    size = image.height * image.width * _PIXEL_BYTES
    if array.n_children != 1 or array.offset:
        return None
    octets = array.children[0].contents
    if octets.length != size or octets.offset or octets.n_buffers != 2:
        return None
    memory = (ctypes.c_uint8 * size).from_address(octets.buffers[1])
    memory.owner = capsule  # While that is there, so is the memory.
    pixels = np.frombuffer(memory, np.uint8).reshape(image.height, image.width, _PIXEL_BYTES)
    pixels.flags.writeable = False
    return pixels
