"""WebP decoded by the libwebp that Pillow brings, straight into an array.

Pillow decodes every WebP file as an animation, and holds four copies of the picture at once, 16 bytes a pixel; the
library's function for a still picture writes it into the caller's memory and needs no other of that size.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np


def decode_still(data: bytes, width: int, height: int, channels: int) -> np.ndarray | None:
    """Decodes a WebP file with one picture.

    Args:
        data: the file.
        width: the picture's width, as its header has it.
        height: its height.
        channels: 3 for RGB, 4 for RGB and opacity.

    Returns:
        uint8 ``[height, width, channels]``; None where the file is animated or damaged, or the library is not to be
        found.
    """
    decode = _functions().get(channels)
    if decode is None:
        return None
    pixels = np.empty((height, width, channels), np.uint8)
    done = decode(data, len(data), pixels.ctypes.data, pixels.nbytes, width * channels)
    return pixels if done else None


@functools.cache
def _functions() -> dict[int, ctypes._CFuncPtr]:
    """WebPDecodeRGBInto and WebPDecodeRGBAInto of libwebp's webp/decode.h, by the number of channels."""
    try:
        from PIL import _webp

        library = ctypes.CDLL(_webp.__file__)
        found = {3: library.WebPDecodeRGBInto, 4: library.WebPDecodeRGBAInto}
    except (ImportError, OSError, AttributeError):
        return {}
    for function in found.values():
        function.restype = ctypes.c_void_p
        function.argtypes = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return found
